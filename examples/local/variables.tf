variable "region" {
  type        = string
  description = "The region of everything."
  default     = "eu-central-1"
}

variable "shared_account_id" {
  type        = string
  description = "The account with the registry."
  default     = "111111111111"
}

variable "production_account_id" {
  type        = string
  description = "A workload account."
  default     = "222222222222"
}

variable "development_account_id" {
  type        = string
  description = "Another workload account."
  default     = "333333333333"
}

variable "grace_period_hours" {
  type        = number
  description = "How long an image is kept after its last known use."
  default     = 24
}

variable "event_source" {
  type        = string
  description = "Where the workload accounts' events come from: cloudtrail or config."
  default     = "cloudtrail"
}

variable "newest_images" {
  type        = number
  description = "How many of the newest images of each repository are kept in any case."
  default     = 1
}

variable "sweep_schedule" {
  type        = string
  description = "When all images of the opted-in repositories are looked at."
  default     = "rate(1 day)"
}

variable "report_bucket" {
  type        = string
  description = "A bucket that gets the report of each sweep. Default: none."
  default     = null
}

variable "alarms" {
  type = object({
    removals_per_hour  = optional(number)
    days_without_event = optional(number)
    days_without_sweep = optional(number)
  })
  description = "When alarms ring."
  default     = {}
}
