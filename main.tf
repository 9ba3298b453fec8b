data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

module "shared_account" {
  source = "./modules/shared_account"

  name_prefix              = var.name_prefix
  workloads                = var.workloads
  sweep                    = var.sweep
  registry_regions         = var.registry_regions
  opt_in_tag               = var.opt_in_tag
  grace_period_hours       = var.grace_period_hours
  action                   = var.action
  archive_days             = var.archive_days
  protections              = var.protections
  lambda                   = var.lambda
  lambda_package           = var.lambda_package
  kms_key_arn              = var.kms_key_arn
  notifications            = var.notifications
  alarms                   = var.alarms
  dashboard                = var.dashboard
  permissions_boundary_arn = var.permissions_boundary_arn
  log_retention_days       = var.log_retention_days
  deletion_protection      = var.deletion_protection
  tags                     = var.tags
}

module "workload_account" {
  source = "./modules/workload_account"
  count  = var.workload == null ? 0 : 1

  name_prefix              = var.name_prefix
  event_bus_arn            = module.shared_account.event_bus_arn
  authorize_aggregator     = var.workloads.organization_id == null
  event_source             = var.workload.event_source
  recorder                 = var.workload.recorder
  live_usage               = var.workloads.live_usage
  permissions_boundary_arn = var.permissions_boundary_arn
  tags                     = var.tags
}
