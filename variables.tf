# Each input is checked where it is used: in modules/shared_account and modules/workload_account.

variable "name_prefix" {
  type        = string
  description = "First part of every name, 1 to 24 characters. Changing it makes everything anew, the ledger included."
  default     = "ecr-cleanup"
  nullable    = false
}

variable "workloads" {
  type = object({
    account_ids     = optional(set(string))
    organization_id = optional(string)
    regions         = optional(set(string))
    exempt          = optional(set(string), [])
    resource_types = optional(set(string), [
      "AWS::AppRunner::Service",
      "AWS::CodeBuild::Project",
      "AWS::ECS::Service",
      "AWS::ECS::TaskDefinition",
      "AWS::ECS::TaskSet",
      "AWS::SageMaker::Model",
    ])
    aggregator_name              = optional(string)
    max_registration_lag_minutes = optional(number, 60)
    live_usage                   = optional(bool, true)
    newest_revisions             = optional(number)
  })
  description = <<-EOT
    Who uses images of the registry. An image is only removed while every one of these accounts and regions is known.
    - `account_ids`: the accounts, up to 150 of them, the shared account included if it runs anything itself.
    - `organization_id`: instead of `account_ids`, every account of this organization.
      The shared account must then be the management account or a delegated administrator of AWS Config.
    - `regions`: every region in which they run anything that uses images: ECS, Lambda, Batch, App Runner and so on.
      Default: the region of this module.
    - `exempt`: what nobody has to know: accounts (`123456789012`), single regions of them
      (`123456789012/eu-central-1`), or ARNs of single services, task sets and task definitions of which nobody can say
      which images they use; 2000 characters in all. Images that only they use can be removed.
    - `resource_types`: the types of AWS Config that are asked which images they use, and that every recorder must
      record: `AWS::ECS::Service`, `AWS::ECS::TaskDefinition` and `AWS::ECS::TaskSet`, and any of
      `AWS::AppRunner::Service`, `AWS::CodeBuild::Project` and `AWS::SageMaker::Model`. Default: all of these.
    - `aggregator_name`: an AWS Config aggregator that exists in this account and region and covers all of them.
      Default: one is made.
    - `max_registration_lag_minutes`: how long AWS Config may take to show a new task definition, 5 to 1440 minutes.
      If it takes longer, its account counts as unknown and nothing is removed.
    - `live_usage`: whether every one of these accounts and regions is asked what runs there right now, by digest,
      before an image is removed, under the role that the module workload_account makes. While one of them cannot be
      asked, nothing is removed. `false`: images that only Lambda, Batch, rules, schedules or ECS daemons use count as
      unused; those that may run under a tag that has moved, and untagged ones, are kept.
    - `newest_revisions`: how many of the ACTIVE revisions of each task definition family count as use, those registered
      last, in each account and region, 1 to 1000. What a service, task set, task, rule or schedule uses counts besides.
      For pipelines that never deregister. Default: all. Needs `live_usage`.
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

variable "sweep" {
  type = object({
    schedule           = optional(string, "rate(1 day)")
    report_bucket      = optional(string)
    report_prefix      = optional(string)
    repository_metrics = optional(bool, true)
  })
  description = <<-EOT
    The sweep, which looks at all images of the opted-in repositories and has those checked that look unused. `null`
    switches it off; then these stay forever: images that were never deployed, that are older than this installation,
    whose event was lost, and that were kept for a reason of whose end no event tells, such as having been the newest.
    - `schedule`: when, as EventBridge Scheduler writes it: `rate(1 day)`, or `cron(0 3 * * ? *)`, in UTC.
    - `report_bucket`: an S3 bucket in the region of this module that gets a report of each sweep, as a page and as JSON.
      Default: there is none.
    - `report_prefix`: how the names of the objects begin that are put there, such as `clean-up/`. Default:
      `name_prefix` and a slash. Two installations must not have the same one in the same bucket.
    - `repository_metrics`: whether each opted-in repository has four metrics of its own, for which CloudWatch charges.
  EOT
  default     = {}
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
  description = <<-EOT
    What is done with an unused image: `report` logs what would be removed, `delete` removes it for good, `archive` moves
    it to ECR's archive, from where it can be restored until it is deleted after `archive_days`.
  EOT
  default     = "report"
  nullable    = false
}

variable "archive_days" {
  type        = number
  description = <<-EOT
    How long an archived image that stays unused is kept before it is deleted, 1 to 3650 days. AWS charges for at least
    90 days in the archive.
  EOT
  default     = 90
  nullable    = false
}

variable "protections" {
  type = object({
    tag_patterns                  = optional(set(string), [])
    minimum_age_days              = optional(number, 14)
    untagged_minimum_age_days     = optional(number, 30)
    pulled_within_hours           = optional(number)
    never_used_pulled_within_days = optional(number, 90)
    newest_images                 = optional(number, 1)
    removals_per_day              = optional(number, 500)
    tags_never_move               = optional(bool, false)
  })
  description = <<-EOT
    What protects images that nobody uses. Owners of repositories can set some of this by tags on them.
    - `tag_patterns`: images with a tag that matches one of these are kept, such as `release-*`; `*` stands for any
      characters, or none.
    - `minimum_age_days`: an image of which no use is known is kept this long after its push, 0 to 3650 days.
    - `untagged_minimum_age_days`: an untagged image is kept this long after its push or its last pull, whichever is
      later, 0 to 3650 days. Without `workloads.live_usage`, untagged images are kept for good.
    - `pulled_within_hours`: an image that was pulled this recently is kept, 0 to 8760 hours. What ECR knows of pulls is
      up to 24 hours old. Default: the grace period and 24 hours.
    - `never_used_pulled_within_days`: an image of which no use is known is kept if it was pulled this recently, 0 to
      3650 days.
    - `newest_images`: this many images of each repository are kept, those pushed last, 0 to 10000.
    - `removals_per_day`: this many images are removed in any 24 hours, 1 to 100000; the others have to wait.
    - `tags_never_move`: `true` declares that no tag of any repository here ever moves to another image. Where that is
      wrong, images that still run are removed. Without it, an image in a repository whose tags can move is kept while
      anybody refers to that repository by a tag that may have meant this image.
  EOT
  default     = {}
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

variable "notifications" {
  type = object({
    topic_arn    = optional(string)
    kms_key_arn  = optional(string)
    create_topic = optional(bool, false)
    digest = optional(object({
      schedule                 = optional(string, "cron(0 7 * * ? *)")
      when_nothing_was_removed = optional(bool, false)
    }))
  })
  description = <<-EOT
    Who is told of alarms and removals: an SNS topic. Default: nobody is.
    - `topic_arn`: a topic that exists. Its policy must let cloudwatch.amazonaws.com publish, and where it is encrypted,
      so must that of its key: AWS's own key for SNS does not.
    - `kms_key_arn`: the key of that topic if it is a customer managed one, for the digest to use.
    - `create_topic`: `true` makes a topic, encrypted with a key of its own, to which you subscribe.
    - `digest`: `{}` sends one message a day about what was removed. `schedule` is when, as EventBridge Scheduler writes
      it, in UTC; `when_nothing_was_removed` has it sent on the other days, too.
  EOT
  default     = {}
  nullable    = false
}

variable "alarms" {
  type = object({
    untrusted_hours       = optional(number, 6)
    postponements         = optional(number, 5)
    queue_age_hours       = optional(number, 4)
    removals_per_hour     = optional(number, 200)
    days_without_event    = optional(number, 30)
    quiet_accounts        = optional(set(string), [])
    days_without_sweep    = optional(number)
    function_errors       = optional(number, 0)
    minutes_of_throttling = optional(number, 15)
  })
  description = <<-EOT
    Alarms of CloudWatch, which tell the topic of `notifications`; `null` makes none. What each means is in
    `docs/operations.md`.
    - `untrusted_hours`: rings when the inventory was not trusted for this long, 1 to 24 hours; nothing is removed
      meanwhile.
    - `postponements`: rings when something did not work for one image this often in a row, 1 to 20; the fifth time is
      some four hours after the first.
    - `queue_age_hours`: rings when a message waits this long in a queue, 1 to 24 hours.
    - `removals_per_hour`: rings when more images than this were deleted, or archived, within an hour, 1 to 100000.
    - `days_without_event`: rings when an account that has task definitions sent no event for this long, 1 to 365 days.
    - `quiet_accounts`: accounts of which that is known, and does not count.
    - `days_without_sweep`: rings when no sweep was finished for this long, 1 to 7 days. Default: a day more than there is
      between two sweeps, where `sweep.schedule` is a `rate()` of up to 6 days or a `cron()` of every day; otherwise there
      is no such alarm.
    - `function_errors`: rings when a function fails more often than this in 5 minutes, 0 to 1000.
    - `minutes_of_throttling`: rings when a function was not let run in each 5 minutes of this time, 5 to 60.
  EOT
  default     = {}
}

variable "dashboard" {
  type        = bool
  description = "Whether there is a dashboard of CloudWatch. The first three of an account are free, others $3 a month."
  default     = true
  nullable    = false
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
