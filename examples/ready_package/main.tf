# A package that was built before, for where Terraform runs without Python.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = { account_ids = var.workload_account_ids }
  lambda_package = {
    s3_bucket        = var.package_bucket
    s3_key           = var.package_key
    source_code_hash = var.package_hash
  }
}
