# Unused images go into the archive first, from where they can be restored.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads    = { account_ids = var.workload_account_ids }
  action       = "archive"
  archive_days = 90
}
