# What no example shows: without `action`, unused images are reported and nobody may delete them; and without live usage,
# nobody may read what runs.

module "ecr_cleanup" {
  source = "../.."

  workloads = { organization_id = "o-a1b2c3d4e5", live_usage = false }
  workload  = { recorder = {} }
}
