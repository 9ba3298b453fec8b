output "run_checks_function_name" {
  description = "The function that decides about images."
  value       = module.shared_account.run_checks_function_name
}
