output "account_id" {
  description = "The shared account."
  value       = module.shared_account.account_id
}

output "region" {
  description = "The region of the bus, the queues, the ledger, the functions and the aggregator."
  value       = module.shared_account.region
}

output "event_bus_arn" {
  description = "Where workload accounts send their events: the input `event_bus_arn` of the module workload_account."
  value       = module.shared_account.event_bus_arn
}

output "event_bus_name" {
  description = "The bus on which `ECR Image Removed` is published."
  value       = module.shared_account.event_bus_name
}

output "aggregator_name" {
  description = "The AWS Config aggregator that is asked who uses an image."
  value       = module.shared_account.aggregator_name
}

output "ledger_name" {
  description = "The DynamoDB table of what is known about task definitions and images."
  value       = module.shared_account.ledger_name
}

output "schedule_group_name" {
  description = "The group of the schedules, one per image with a pending check."
  value       = module.shared_account.schedule_group_name
}

output "schedule_checks_function_name" {
  description = "The function that handles events."
  value       = module.shared_account.schedule_checks_function_name
}

output "schedule_checks_role_arn" {
  description = "Its role."
  value       = module.shared_account.schedule_checks_role_arn
}

output "run_checks_function_name" {
  description = "The function that decides about images and removes them."
  value       = module.shared_account.run_checks_function_name
}

output "run_checks_role_arn" {
  description = "Its role."
  value       = module.shared_account.run_checks_role_arn
}

output "sweep_function_name" {
  description = "The function that looks at all images of the opted-in repositories; null where it is off."
  value       = module.shared_account.sweep_function_name
}

output "sweep_role_arn" {
  description = "Its role."
  value       = module.shared_account.sweep_role_arn
}

output "events_queue_url" {
  description = "The queue in front of schedule_checks."
  value       = module.shared_account.events_queue_url
}

output "checks_queue_url" {
  description = "The queue in front of run_checks."
  value       = module.shared_account.checks_queue_url
}

output "events_dead_letter_queue_url" {
  description = "Events that could not be delivered or handled: someone must look."
  value       = module.shared_account.events_dead_letter_queue_url
}

output "checks_dead_letter_queue_url" {
  description = "Checks that could not be handled: someone must look."
  value       = module.shared_account.checks_dead_letter_queue_url
}

output "schedules_dead_letter_queue_url" {
  description = "Checks and sweeps that EventBridge Scheduler could not deliver: someone must look."
  value       = module.shared_account.schedules_dead_letter_queue_url
}

output "sweeps_queue_url" {
  description = "The queue in front of sweep; null where it is off."
  value       = module.shared_account.sweeps_queue_url
}

output "sweeps_dead_letter_queue_url" {
  description = "Sweeps that failed again and again: someone must look; null where they are off."
  value       = module.shared_account.sweeps_dead_letter_queue_url
}

output "digest_function_name" {
  description = "The function that tells people what was removed; null where it is off."
  value       = module.shared_account.digest_function_name
}

output "digests_queue_url" {
  description = "The queue in front of digest; null where it is off."
  value       = module.shared_account.digests_queue_url
}

output "digests_dead_letter_queue_url" {
  description = "Requests for a digest that failed again and again: someone must look; null where they are off."
  value       = module.shared_account.digests_dead_letter_queue_url
}

output "topic_arn" {
  description = "The SNS topic that is told of alarms and removals; null where there is none."
  value       = module.shared_account.topic_arn
}

output "dashboard_name" {
  description = "The dashboard of CloudWatch; null where there is none."
  value       = module.shared_account.dashboard_name
}

output "forward_dead_letter_queue_url" {
  description = "Events of this account that could not be forwarded, if it is its own workload: someone must look."
  value       = one(module.workload_account[*].forward_dead_letter_queue_url)
}
