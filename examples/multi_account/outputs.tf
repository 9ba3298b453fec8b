output "event_bus_arn" {
  description = "What a further workload account needs."
  value       = module.shared_account.event_bus_arn
}
