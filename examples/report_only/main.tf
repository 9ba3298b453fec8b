# Says what would go, and may remove nothing.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = { account_ids = var.workload_account_ids }
  action    = "report"
  sweep     = { report_bucket = var.report_bucket }
}
