# Images in a shared account, used by ECS in two others. The shared account runs no ECS itself.

provider "aws" {
  region = var.region

  assume_role {
    role_arn = "arn:aws:iam::${var.shared_account_id}:role/${var.role_name}"
  }
}

provider "aws" {
  alias  = "production"
  region = var.region

  assume_role {
    role_arn = "arn:aws:iam::${var.production_account_id}:role/${var.role_name}"
  }
}

provider "aws" {
  alias  = "development"
  region = var.region

  assume_role {
    role_arn = "arn:aws:iam::${var.development_account_id}:role/${var.role_name}"
  }
}

module "shared_account" {
  source = "../../modules/shared_account"

  workloads = { account_ids = [var.production_account_id, var.development_account_id] }
  action    = "delete"
}

# One of these per workload account and region.
module "production" {
  source    = "../../modules/workload_account"
  providers = { aws = aws.production }

  event_bus_arn = module.shared_account.event_bus_arn
}

# This account has neither a trail nor a recorder.
module "development" {
  source    = "../../modules/workload_account"
  providers = { aws = aws.development }

  event_bus_arn = module.shared_account.event_bus_arn
  event_source  = "config"
  recorder      = {}
}
