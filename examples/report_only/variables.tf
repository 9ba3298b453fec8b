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

variable "report_bucket" {
  type        = string
  description = "An S3 bucket of this account, in this region, for the reports."
  default     = "acme-reports"
}
