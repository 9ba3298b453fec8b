output "event_bus_arn" {
  description = "Where workload accounts send their events: event_bus_arn of the module workload_account."
  value       = module.ecr_cleanup.event_bus_arn
}

output "stack_set_name" {
  description = "The StackSet that takes the workload part to the accounts."
  value       = module.workload.stack_set_name
}
