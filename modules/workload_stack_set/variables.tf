variable "event_bus_arn" {
  type        = string
  description = "The bus of the shared account: the output `event_bus_arn` of the module shared_account."
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.event_bus_arn))
    error_message = "event_bus_arn must be the ARN of the shared account's event bus, such as \"arn:aws:events:eu-central-1:123456789012:event-bus/ecr-cleanup\"."
  }
}

variable "organizational_unit_ids" {
  type        = set(string)
  description = <<-EOT
    The organizational units, or the organization's root, whose accounts run the images: `ou-...` or `r-...`. Accounts
    that join them later get the workload part by themselves. The management account never gets it: StackSets leave it
    out.
  EOT
  nullable    = false

  validation {
    condition = length(var.organizational_unit_ids) > 0 && alltrue([
      for id in var.organizational_unit_ids : can(regex("^(ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|r-[0-9a-z]{4,32})$", id))
    ])
    error_message = "organizational_unit_ids must be one or more ids of organizational units, such as \"ou-a1b2-c3d4e5f6\", or of the root, such as \"r-a1b2\"."
  }
}

variable "regions" {
  type        = set(string)
  description = "The regions in which the images are run."
  nullable    = false

  validation {
    condition     = length(var.regions) > 0 && alltrue([for region in var.regions : can(regex("^[a-z]{2,3}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "regions must be one or more names of regions, such as \"eu-central-1\"."
  }
}

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

variable "excluded_account_ids" {
  type        = set(string)
  description = <<-EOT
    Accounts of the units that get no workload part, such as a sandbox. The shared account has to exempt them as well
    (its `workloads.exempt`), or it removes nothing.
  EOT
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.excluded_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "excluded_account_ids must be account ids of 12 digits, such as \"123456789012\"."
  }
}

variable "call_as" {
  type        = string
  description = "`SELF` from the organization's management account, `DELEGATED_ADMIN` from a delegated administrator of StackSets."
  default     = "SELF"
  nullable    = false

  validation {
    condition     = contains(["SELF", "DELEGATED_ADMIN"], var.call_as)
    error_message = "call_as must be \"SELF\" or \"DELEGATED_ADMIN\"."
  }
}

variable "rollout" {
  type = object({
    max_concurrent_percentage    = optional(number, 25)
    failure_tolerance_percentage = optional(number, 10)
  })
  description = <<-EOT
    How a change goes through the accounts of a region; all regions at once.
    - `max_concurrent_percentage`: how many accounts at a time, 1 to 100.
    - `failure_tolerance_percentage`: how many may fail before it stops, 0 to 100. While one has failed, the shared
      account cannot read it and removes nothing.
  EOT
  default     = {}
  nullable    = false

  validation {
    condition     = var.rollout.max_concurrent_percentage >= 1 && var.rollout.max_concurrent_percentage <= 100 && floor(var.rollout.max_concurrent_percentage) == var.rollout.max_concurrent_percentage
    error_message = "rollout.max_concurrent_percentage must be a whole number from 1 to 100, such as 25."
  }

  validation {
    condition     = var.rollout.failure_tolerance_percentage >= 0 && var.rollout.failure_tolerance_percentage <= 100 && floor(var.rollout.failure_tolerance_percentage) == var.rollout.failure_tolerance_percentage
    error_message = "rollout.failure_tolerance_percentage must be a whole number from 0 to 100, such as 10."
  }
}

variable "authorize_aggregator" {
  type        = bool
  description = <<-EOT
    Whether to let the shared account's AWS Config aggregator read each account and region. Needed where the shared
    account was given `account_ids`; an aggregator of an organization needs no authorization.
  EOT
  default     = true
  nullable    = false
}

variable "event_source" {
  type        = string
  description = <<-EOT
    Where the events about task definitions come from: `cloudtrail` needs a trail with management events in each account
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
    `{}` makes an AWS Config recorder for what this module needs, with its bucket, in every account
    and region: a stack fails where there is one already (AWS allows one each). Default: there are recorders, and they
    continuously record the types that the README of the module workload_account lists.
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
    Whether to make the role under which the shared account reads what runs in each account and region. While it expects
    an account and cannot read it, it removes no image of anybody, unless its `workloads.live_usage` is `false`.
  EOT
  default     = true
  nullable    = false
}

variable "permissions_boundary_name" {
  type        = string
  description = "Name, with its path if any, of a policy that every account has and that bounds every role made there. Default: none."
  default     = null

  validation {
    condition     = var.permissions_boundary_name == null || can(regex("^[A-Za-z0-9_+=,.@/-]{1,512}$", var.permissions_boundary_name)) && !startswith(coalesce(var.permissions_boundary_name, "-"), "/")
    error_message = "permissions_boundary_name must be the name of a policy, not its ARN, such as \"boundary\" or \"platform/boundary\"."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags for everything that can have them."
  default     = {}
  nullable    = false
}
