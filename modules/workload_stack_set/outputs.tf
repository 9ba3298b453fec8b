output "stack_set_name" {
  description = "The StackSet: its operations and instances tell where it is deployed."
  value       = aws_cloudformation_stack_set.this.name
}

output "stack_set_arn" {
  description = "The same, as an ARN."
  value       = aws_cloudformation_stack_set.this.arn
}
