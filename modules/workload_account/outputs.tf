output "rule_arn" {
  description = "The rule that forwards what happens to task definitions."
  value       = aws_cloudwatch_event_rule.task_definitions.arn
}

output "forward_role_arn" {
  description = "The role under which it forwards."
  value       = aws_iam_role.forward.arn
}

output "forward_dead_letter_queue_url" {
  description = "Events that could not be forwarded: someone must look."
  value       = aws_sqs_queue.dead_letter.url
}

output "recorder_name" {
  description = "The AWS Config recorder made here, if any."
  value       = try(aws_config_configuration_recorder.this["this"].name, null)
}

output "reader_role_arn" {
  description = "The role under which the shared account reads what runs here; null without `live_usage`."
  value       = var.live_usage ? local.reader_role_arn : null
}
