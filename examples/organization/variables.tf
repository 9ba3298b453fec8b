variable "region" {
  type        = string
  description = "The region of the registry, and of what runs its images."
  default     = "eu-central-1"
}

variable "organization_id" {
  type        = string
  description = "The organization's id."
  default     = "o-a1b2c3d4e5"
}
