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

variable "package_bucket" {
  type        = string
  description = "The bucket that has the package, in this region."
  default     = "acme-artifacts"
}

variable "package_key" {
  type        = string
  description = "The name of the package in the bucket."
  default     = "ecr-cleanup/0.1.0.zip"
}

variable "package_hash" {
  type        = string
  description = "Any text that changes with the package's content."
  default     = "0.1.0"
}
