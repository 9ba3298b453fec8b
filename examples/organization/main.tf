# Every account of an organization, and whoever joins it: the workload part gets to them by a StackSet.

provider "aws" {
  region = var.region
}

module "ecr_cleanup" {
  source = "../../modules/shared_account"

  workloads = {
    organization_id = var.organization_id
    exempt          = var.exempt
  }
}

module "workload" {
  source = "../../modules/workload_stack_set"

  event_bus_arn           = module.ecr_cleanup.event_bus_arn
  organizational_unit_ids = var.organizational_unit_ids
  regions                 = [var.region]
  call_as                 = var.call_as

  # The aggregator of an organization needs no authorization.
  authorize_aggregator = false
}
