# Every account of an organization, and whoever joins it.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = { organization_id = var.organization_id }
}
