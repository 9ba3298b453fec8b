output "account_id" {
  description = "The shared account."
  value       = local.account_id
}

output "region" {
  description = "The region of the bus, the queues, the ledger, the functions and the aggregator."
  value       = local.region
}

output "event_bus_arn" {
  description = "Where workload accounts send their events: the input `event_bus_arn` of the module workload_account."
  value       = local.event_bus_arn

  # Nobody sends before the bus admits it.
  depends_on = [aws_cloudwatch_event_bus_policy.this]
}

output "event_bus_name" {
  description = "The bus on which `ECR Image Removed` is published."
  value       = aws_cloudwatch_event_bus.this.name
}

output "aggregator_name" {
  description = "The AWS Config aggregator that is asked who uses an image."
  value       = coalesce(var.workloads.aggregator_name, var.name_prefix)
}

output "ledger_name" {
  description = "The DynamoDB table of what is known about task definitions and images."
  value       = aws_dynamodb_table.ledger.name
}

output "schedule_group_name" {
  description = "The group of the schedules, one per image with a pending check."
  value       = aws_scheduler_schedule_group.this.name
}

output "schedule_checks_function_name" {
  description = "The function that handles events."
  value       = aws_lambda_function.this["schedule_checks"].function_name
}

output "schedule_checks_role_arn" {
  description = "Its role."
  value       = aws_iam_role.function["schedule_checks"].arn
}

output "run_checks_function_name" {
  description = "The function that decides about images and removes them."
  value       = aws_lambda_function.this["run_checks"].function_name
}

output "run_checks_role_arn" {
  description = "Its role."
  value       = aws_iam_role.function["run_checks"].arn
}

output "sweep_function_name" {
  description = "The function that looks at all images of the opted-in repositories; null where it is off."
  value       = try(aws_lambda_function.this["sweep"].function_name, null)
}

output "sweep_role_arn" {
  description = "Its role."
  value       = try(aws_iam_role.function["sweep"].arn, null)
}

output "events_queue_url" {
  description = "The queue in front of schedule_checks."
  value       = aws_sqs_queue.this["events"].url
}

output "checks_queue_url" {
  description = "The queue in front of run_checks."
  value       = aws_sqs_queue.this["checks"].url
}

output "events_dead_letter_queue_url" {
  description = "Events that could not be delivered or handled: someone must look."
  value       = aws_sqs_queue.dead_letter["events"].url
}

output "checks_dead_letter_queue_url" {
  description = "Checks that could not be handled: someone must look."
  value       = aws_sqs_queue.dead_letter["checks"].url
}

output "schedules_dead_letter_queue_url" {
  description = "Checks and sweeps that EventBridge Scheduler could not deliver: someone must look."
  value       = aws_sqs_queue.dead_letter["schedules"].url
}

output "sweeps_queue_url" {
  description = "The queue in front of sweep; null where it is off."
  value       = try(aws_sqs_queue.this["sweeps"].url, null)
}

output "sweeps_dead_letter_queue_url" {
  description = "Sweeps that failed again and again: someone must look; null where they are off."
  value       = try(aws_sqs_queue.dead_letter["sweeps"].url, null)
}

output "digest_function_name" {
  description = "The function that tells people what was removed; null where it is off."
  value       = try(aws_lambda_function.this["digest"].function_name, null)
}

output "digests_queue_url" {
  description = "The queue in front of digest; null where it is off."
  value       = try(aws_sqs_queue.this["digests"].url, null)
}

output "digests_dead_letter_queue_url" {
  description = "Requests for a digest that failed again and again: someone must look; null where they are off."
  value       = try(aws_sqs_queue.dead_letter["digests"].url, null)
}

output "topic_arn" {
  description = "The SNS topic that is told of alarms and removals; null where there is none."
  value       = local.creates_topic ? one(aws_sns_topic.this[*].arn) : var.notifications.topic_arn

  # Whoever is subscribed is told from the first alarm on.
  depends_on = [aws_sns_topic_policy.this]
}

output "dashboard_name" {
  description = "The dashboard of CloudWatch; null where there is none."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
