include "root" {
  path = find_in_parent_folders("root.hcl")
}

# The two slashes have Terragrunt copy the whole tree: the module builds its functions from what is beside it.
terraform {
  source = "../../../../..//modules/shared_account"
}

inputs = {
  workloads = {
    account_ids = ["222222222222", "333333333333"]
    regions     = ["eu-central-1", "eu-west-1"]
  }
  action = "report"
}
