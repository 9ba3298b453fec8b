# Three accounts of the local AWS: a registry with eight repositories, and ECS in production and development.
# The environment variable AWS_ENDPOINT_URL says where the local AWS is.

provider "aws" {
  region                      = var.region
  s3_use_path_style           = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true

  assume_role {
    role_arn = "arn:aws:iam::${var.shared_account_id}:role/OrganizationAccountAccessRole"
  }
}

provider "aws" {
  alias                       = "production"
  region                      = var.region
  s3_use_path_style           = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true

  assume_role {
    role_arn = "arn:aws:iam::${var.production_account_id}:role/OrganizationAccountAccessRole"
  }
}

provider "aws" {
  alias                       = "development"
  region                      = var.region
  s3_use_path_style           = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true

  assume_role {
    role_arn = "arn:aws:iam::${var.development_account_id}:role/OrganizationAccountAccessRole"
  }
}

module "shared_account" {
  source = "../../modules/shared_account"

  workloads           = { account_ids = [var.production_account_id, var.development_account_id] }
  action              = "delete"
  grace_period_hours  = var.grace_period_hours
  protections         = { newest_images = var.newest_images }
  sweep               = { schedule = var.sweep_schedule, report_bucket = var.report_bucket }
  notifications       = { create_topic = true, digest = {} }
  alarms              = var.alarms
  deletion_protection = false
}

module "production" {
  source    = "../../modules/workload_account"
  providers = { aws = aws.production }

  event_bus_arn = module.shared_account.event_bus_arn
  event_source  = var.event_source
  recorder      = {}
}

module "development" {
  source    = "../../modules/workload_account"
  providers = { aws = aws.development }

  event_bus_arn = module.shared_account.event_bus_arn
  event_source  = var.event_source
  recorder      = {}
}
