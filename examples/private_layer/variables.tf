variable "region" {
  type        = string
  description = "The region of the registry, and of what runs its images."
  default     = "eu-central-1"
}

variable "workload_account_ids" {
  type        = set(string)
  description = "The accounts that run images of this registry."
  default     = ["222222222222", "333333333333"]
}

variable "powertools_layer_arn" {
  type        = string
  description = "A layer version with Powertools for AWS Lambda (Python), version 3, in this region."
  default     = "arn:aws:lambda:eu-central-1:111111111111:layer:powertools:1"
}
