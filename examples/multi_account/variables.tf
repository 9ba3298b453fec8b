variable "region" {
  type        = string
  description = "The region of the registry and of the ECS services."
  default     = "eu-central-1"
}

variable "shared_account_id" {
  type        = string
  description = "The account with the registry."
}

variable "production_account_id" {
  type        = string
  description = "A workload account with a trail and an AWS Config recorder."
}

variable "development_account_id" {
  type        = string
  description = "A workload account without."
}

variable "role_name" {
  type        = string
  description = "The role that Terraform takes in each account."
  default     = "OrganizationAccountAccessRole"
}
