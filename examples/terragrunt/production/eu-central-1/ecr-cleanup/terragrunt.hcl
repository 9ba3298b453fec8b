include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "../../../../..//modules/workload_account"
}

dependency "shared" {
  config_path = "../../../shared/eu-central-1/ecr-cleanup"

  # For plans of what is not applied yet.
  mock_outputs = {
    event_bus_arn = "arn:aws:events:eu-central-1:111111111111:event-bus/ecr-cleanup"
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan"]
}

inputs = {
  event_bus_arn = dependency.shared.outputs.event_bus_arn
  recorder      = {}
}
