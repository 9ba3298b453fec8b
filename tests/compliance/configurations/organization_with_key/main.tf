# What no example shows: an organization instead of listed accounts, a key of one's own, archiving, alarms, tags, and a boundary.

module "ecr_cleanup" {
  source = "../.."

  workloads     = { organization_id = "o-a1b2c3d4e5" }
  workload      = { recorder = {} }
  kms_key_arn   = "arn:aws:kms:eu-central-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  notifications = { topic_arn = "arn:aws:sns:eu-central-1:111111111111:on-call" }
  action        = "archive"
  tags          = { Team = "platform" }

  permissions_boundary_arn = "arn:aws:iam::111111111111:policy/boundary"
}
