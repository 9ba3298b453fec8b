variable "region" {
  type        = string
  description = "The region of the registry and of the ECS services."
  default     = "eu-central-1"
}

variable "recorder" {
  type        = bool
  description = "Whether to make an AWS Config recorder: true only if the account has none in this region."
  default     = false
}
