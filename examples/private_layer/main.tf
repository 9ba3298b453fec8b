# Powertools from a layer of one's own, for where AWS's public layer is not allowed or not there.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = { account_ids = var.workload_account_ids }
  lambda = {
    runtime              = "python3.13"
    architecture         = "arm64"
    powertools_layer_arn = var.powertools_layer_arn
  }
}
