# An aggregator that is there already, such as that of AWS Control Tower in its audit account.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = {
    account_ids     = var.workload_account_ids
    aggregator_name = var.aggregator_name
  }
}
