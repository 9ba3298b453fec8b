# A registry that is replicated into several regions, and is cleaned up in all of them.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  registry_regions = [var.region, "eu-west-1", "us-east-1"]
  workloads = {
    account_ids = var.workload_account_ids
    regions     = [var.region, "eu-west-1", "us-east-1"]
  }
}
