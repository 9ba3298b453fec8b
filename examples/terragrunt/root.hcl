# What all units have in common: whose account they are in, and where the state is.

locals {
  account = read_terragrunt_config(find_in_parent_folders("account.hcl")).locals
  region  = read_terragrunt_config(find_in_parent_folders("region.hcl")).locals
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-EOT
    provider "aws" {
      region = "${local.region.region}"

      assume_role {
        role_arn = "arn:aws:iam::${local.account.account_id}:role/OrganizationAccountAccessRole"
      }
    }
  EOT
}

# Yours: an S3 bucket, for example.
remote_state {
  backend = "local"
  generate = {
    path      = "backend.tf"
    if_exists = "overwrite_terragrunt"
  }
  config = {
    path = "terraform.tfstate"
  }
}
