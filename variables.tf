# Each input is checked where it is used: in modules/shared_account and modules/workload_account.

variable "name_prefix" {
  type        = string
  description = "First part of every name, 1 to 24 characters. Changing it makes everything anew, the ledger included."
  default     = "ecr-cleanup"
  nullable    = false
}

variable "workloads" {
  type = object({
    account_ids                  = optional(set(string))
    organization_id              = optional(string)
    regions                      = optional(set(string))
    exempt                       = optional(set(string), [])
    aggregator_name              = optional(string)
    max_registration_lag_minutes = optional(number, 60)
  })
  description = <<-EOT
    Who uses images of the registry. An image is only removed while every one of these accounts and regions is known.
    - `account_ids`: the accounts, up to 150 of them, the shared account included if it runs ECS itself.
    - `organization_id`: instead of `account_ids`, every account of this organization.
      The shared account must then be the management account or a delegated administrator of AWS Config.
    - `regions`: the regions in which they run ECS. Default: the region of this module.
    - `exempt`: accounts (`123456789012`), or single regions of them (`123456789012/eu-central-1`), that nobody has to
      know. Images that they use can be removed.
    - `aggregator_name`: an AWS Config aggregator that exists in this account and region and covers all of them.
      Default: one is made.
    - `max_registration_lag_minutes`: how long AWS Config may take to show a new task definition, 5 to 1440 minutes.
      If it takes longer, its account counts as unknown and nothing is removed.
  EOT
  nullable    = false
}

variable "workload" {
  type = object({
    event_source = optional(string, "cloudtrail")
    recorder = optional(object({
      history_days = optional(number, 90)
    }))
  })
  description = <<-EOT
    `{}` if the shared account runs ECS itself, in the region of this module: the single-account set-up. Other accounts,
    and other regions, get the module workload_account.
    - `event_source`: where the events about task definitions come from: `cloudtrail` needs a trail with management
      events, `config` only the AWS Config recorder.
    - `recorder`: `{}` makes an AWS Config recorder where there is none yet. It keeps `history_days` (1 to 3650) of
      AWS Config's history files.
  EOT
  default     = null

  validation {
    condition     = var.workload == null || var.workloads.account_ids == null || contains(coalesce(var.workloads.account_ids, []), data.aws_caller_identity.current.account_id)
    error_message = "With workload, workloads.account_ids must name this account too, such as [\"${data.aws_caller_identity.current.account_id}\"]: it would not be asked otherwise, and images that it uses would be removed."
  }
  validation {
    condition     = var.workload == null || var.workloads.regions == null || contains(coalesce(var.workloads.regions, []), data.aws_region.current.id)
    error_message = "With workload, workloads.regions must name this region too, such as [\"${data.aws_region.current.id}\"]: it would not be asked otherwise, and images that are used in it would be removed."
  }
}

variable "registry_regions" {
  type        = set(string)
  description = "The regions of this account's registry that are cleaned up. Default: the region of this module."
  default     = null
}

variable "opt_in_tag" {
  type = object({
    key   = optional(string, "ecr-cleanup")
    value = optional(string, "enabled")
  })
  description = "The tag with which a repository opts in. Images of any other repository cannot be removed."
  default     = {}
  nullable    = false
}

variable "grace_period_hours" {
  type        = number
  description = "How long an image is kept after its last known use, so that a rollback finds it: 1 to 8760 hours."
  default     = 24
  nullable    = false
}

variable "action" {
  type        = string
  description = "What is done with an unused image: `report` logs what would be removed, `delete` removes it for good."
  default     = "report"
  nullable    = false
}

variable "lambda" {
  type = object({
    runtime              = optional(string, "python3.13")
    architecture         = optional(string, "arm64")
    memory_mb            = optional(number, 512)
    log_level            = optional(string, "INFO")
    powertools_layer_arn = optional(string)
  })
  description = <<-EOT
    How the functions run.
    - `runtime`: `python3.11`, `python3.12` or `python3.13`.
    - `architecture`: `arm64` or `x86_64`.
    - `memory_mb`: 256 to 10240 MB. A registry with millions of images needs 1024 or more.
    - `log_level`: `DEBUG`, `INFO`, `WARNING` or `ERROR`. Verdicts are logged as `INFO`.
    - `powertools_layer_arn`: a layer version with Powertools for AWS Lambda (Python), version 3, in the region of this
      module. Default: AWS's public layer, which GovCloud and China do not have under this name.
  EOT
  default     = {}
  nullable    = false
}

variable "lambda_package" {
  type = object({
    filename          = optional(string)
    s3_bucket         = optional(string)
    s3_key            = optional(string)
    s3_object_version = optional(string)
    source_code_hash  = optional(string)
  })
  description = <<-EOT
    A ready package, for where Terraform runs without Python. Default: it is built from the sources during apply.
    - `filename`: path of a zip made with `lambda_src/build.py`, or
    - `s3_bucket`, `s3_key` and `s3_object_version`: such a zip in S3, in the region of this module.
    - `source_code_hash`: any string that changes with the package's content. Default for a file: its SHA-256.
  EOT
  default     = null
}

variable "kms_key_arn" {
  type        = string
  description = <<-EOT
    A customer managed key for queues, ledger, log groups and the functions' environment. Its policy must let
    events.amazonaws.com and logs.<region>.amazonaws.com use it. Dead-letter queues do not use it, so that a broken key
    cannot lose messages. Default: keys of AWS.
  EOT
  default     = null
}

variable "permissions_boundary_arn" {
  type        = string
  description = "A policy that bounds every role made here. Default: none."
  default     = null
}

variable "log_retention_days" {
  type        = number
  description = "How long the functions' logs are kept, in days. They say of every image why it was kept or removed."
  default     = 365
  nullable    = false
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the ledger refuses to be deleted. Without the ledger, it is not known when images were last used."
  default     = true
  nullable    = false
}

variable "tags" {
  type        = map(string)
  description = "Tags for everything that can have them."
  default     = {}
  nullable    = false
}
