variable "name_prefix" {
  type        = string
  description = "First part of every name, 1 to 24 characters. Best the same as in the shared account."
  default     = "ecr-cleanup"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.name_prefix))
    error_message = "name_prefix must be 1 to 24 lower-case letters, digits and inner hyphens, such as \"ecr-cleanup\"."
  }
}

variable "event_bus_arn" {
  type        = string
  description = "The bus of the shared account: the output `event_bus_arn` of the module shared_account."
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.event_bus_arn))
    error_message = "event_bus_arn must be the ARN of the shared account's event bus, such as \"arn:aws:events:eu-central-1:123456789012:event-bus/ecr-cleanup\"."
  }
}

variable "authorize_aggregator" {
  type        = bool
  description = <<-EOT
    Whether to let the shared account's AWS Config aggregator read this account and region. Needed where the shared
    account was given `account_ids`; an aggregator of an organization needs no authorization.
  EOT
  default     = true
  nullable    = false
}

variable "event_source" {
  type        = string
  description = <<-EOT
    Where the events about task definitions come from: `cloudtrail` needs a trail with management events in this account
    and region (an organization's trail counts) and is the faster one; `config` needs only the AWS Config recorder.
  EOT
  default     = "cloudtrail"
  nullable    = false

  validation {
    condition     = contains(["cloudtrail", "config"], var.event_source)
    error_message = "event_source must be \"cloudtrail\" or \"config\"."
  }
}

variable "recorder" {
  type = object({
    history_days = optional(number, 90)
  })
  description = <<-EOT
    `{}` makes an AWS Config recorder for what this module needs, with its bucket, in an account and region that has
    none (AWS allows one each). Default: there is one, and it continuously records the types that the README lists.
    - `history_days`: how long the bucket keeps AWS Config's history files, 1 to 3650 days.
  EOT
  default     = null

  validation {
    condition     = var.recorder == null || try(var.recorder.history_days >= 1 && var.recorder.history_days <= 3650 && floor(var.recorder.history_days) == var.recorder.history_days, false)
    error_message = "recorder.history_days must be a whole number of days from 1 to 3650, such as 90."
  }
}

variable "live_usage" {
  type        = bool
  description = <<-EOT
    Whether to make the role under which the shared account reads what runs in this account and region. While it expects
    this account and cannot read it, it removes no image of anybody, unless its `workloads.live_usage` is `false`.
  EOT
  default     = true
  nullable    = false
}

variable "permissions_boundary_arn" {
  type        = string
  description = "A policy that bounds every role made here. Default: none."
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a policy, such as \"arn:aws:iam::123456789012:policy/boundary\"."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags for everything that can have them."
  default     = {}
  nullable    = false
}
