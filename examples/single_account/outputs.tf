output "run_checks_function_name" {
  description = "The function that decides about images: its log says of each one why it was kept or removed."
  value       = module.ecr_cleanup.run_checks_function_name
}
