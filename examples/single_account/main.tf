# One account that owns the images and runs them.

provider "aws" {
  region = var.region
}

data "aws_caller_identity" "current" {}

module "ecr_cleanup" {
  source = "../.."

  workloads = { account_ids = [data.aws_caller_identity.current.account_id] }
  workload  = { recorder = var.recorder ? {} : null }
  action    = "delete"
}
