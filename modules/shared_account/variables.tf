variable "name_prefix" {
  type        = string
  description = "First part of every name, 1 to 24 characters. Changing it makes everything anew, the ledger included."
  default     = "ecr-cleanup"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", var.name_prefix))
    error_message = "name_prefix must be 1 to 24 lower-case letters, digits and inner hyphens, such as \"ecr-cleanup\"."
  }
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

  validation {
    condition     = (var.workloads.account_ids == null) != (var.workloads.organization_id == null)
    error_message = "workloads needs either account_ids, such as [\"123456789012\"], or organization_id, such as \"o-a1b2c3d4e5\", and not both."
  }
  validation {
    condition     = var.workloads.account_ids == null || try(length(var.workloads.account_ids) >= 1 && length(var.workloads.account_ids) <= 150, false)
    error_message = "workloads.account_ids must hold 1 to 150 accounts, such as [\"123456789012\"]. With more, give organization_id."
  }
  validation {
    condition     = alltrue([for id in coalesce(var.workloads.account_ids, []) : can(regex("^[0-9]{12}$", id))])
    error_message = "workloads.account_ids must hold account ids of 12 digits, such as \"123456789012\"."
  }
  validation {
    condition     = var.workloads.organization_id == null || can(regex("^o-[a-z0-9]{10,32}$", var.workloads.organization_id))
    error_message = "workloads.organization_id must be the id of an organization, such as \"o-a1b2c3d4e5\"."
  }
  validation {
    condition     = var.workloads.regions == null || try(length(var.workloads.regions) >= 1, false)
    error_message = "workloads.regions must hold at least one region, such as [\"eu-central-1\"], or be left out."
  }
  validation {
    condition     = alltrue([for region in coalesce(var.workloads.regions, []) : can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]$", region))])
    error_message = "workloads.regions must hold regions, such as \"eu-central-1\"."
  }
  validation {
    condition     = alltrue([for place in var.workloads.exempt : can(regex("^([0-9]{12}(/[a-z]{2,4}(-[a-z]+)+-[0-9])?|arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_./:-]+)$", place))])
    error_message = "workloads.exempt must hold accounts, such as \"123456789012\", regions of them, such as \"123456789012/eu-central-1\", or ARNs of single resources, such as \"arn:aws:ecs:eu-central-1:123456789012:service/main/api\"."
  }
  validation {
    condition     = length(join(",", var.workloads.exempt)) <= 2000
    error_message = "workloads.exempt must not be longer than 2000 characters, commas between its entries included, because AWS Lambda takes 4 KB of settings. Exempt a whole region, such as \"123456789012/eu-central-1\", instead of many resources in it."
  }
  validation {
    condition = length(setsubtract(["AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ECS::TaskSet"], var.workloads.resource_types)) == 0 && length(setsubtract(var.workloads.resource_types, [
      "AWS::AppRunner::Service", "AWS::CodeBuild::Project", "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ECS::TaskSet", "AWS::SageMaker::Model",
    ])) == 0
    error_message = "workloads.resource_types must hold \"AWS::ECS::Service\", \"AWS::ECS::TaskDefinition\" and \"AWS::ECS::TaskSet\", and may hold \"AWS::AppRunner::Service\", \"AWS::CodeBuild::Project\" and \"AWS::SageMaker::Model\", and nothing else."
  }
  validation {
    condition     = var.workloads.aggregator_name == null || can(regex("^[A-Za-z0-9_-]{1,256}$", var.workloads.aggregator_name))
    error_message = "workloads.aggregator_name must be the name of an AWS Config aggregator, such as \"organization\"."
  }
  validation {
    condition     = var.workloads.max_registration_lag_minutes >= 5 && var.workloads.max_registration_lag_minutes <= 1440 && floor(var.workloads.max_registration_lag_minutes) == var.workloads.max_registration_lag_minutes
    error_message = "workloads.max_registration_lag_minutes must be a whole number of minutes from 5 to 1440, such as 60."
  }
  validation {
    condition     = var.workloads.newest_revisions == null || try(var.workloads.newest_revisions >= 1 && var.workloads.newest_revisions <= 1000 && floor(var.workloads.newest_revisions) == var.workloads.newest_revisions, false)
    error_message = "workloads.newest_revisions must be a whole number from 1 to 1000, such as 10, or be left out."
  }
  validation {
    condition     = var.workloads.newest_revisions == null || coalesce(var.workloads.live_usage, true)
    error_message = "workloads.newest_revisions needs workloads.live_usage = true: only the accounts themselves know which older revisions run, or are started by schedules."
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

  validation {
    condition     = var.sweep == null || can(regex("^(rate\\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\\)|cron\\([0-9*,/-]+ [0-9*,/-]+ (\\? [^ ()?]+ [^ ()?]+|[^ ()?]+ [^ ()?]+ \\?) [0-9*,/-]+\\))$", var.sweep.schedule))
    error_message = "sweep.schedule must be a rate or a cron expression of EventBridge Scheduler, such as \"rate(1 day)\" or \"cron(0 3 * * ? *)\"."
  }
  validation {
    condition     = try(var.sweep.report_bucket, null) == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.sweep.report_bucket))
    error_message = "sweep.report_bucket must be the name of an S3 bucket, such as \"acme-reports\", or be left out."
  }
  validation {
    condition     = try(var.sweep.report_prefix, null) == null || try(length(var.sweep.report_prefix) <= 500 && can(regex("^([0-9A-Za-z!_.'()-]+/?)*$", var.sweep.report_prefix)), false)
    error_message = "sweep.report_prefix must be up to 500 letters, digits and ! _ . ' ( ) / -, without a slash at the beginning and without two in a row, such as \"clean-up/\"."
  }
}

variable "registry_regions" {
  type        = set(string)
  description = "The regions of this account's registry that are cleaned up. Default: the region of this module."
  default     = null

  validation {
    condition     = var.registry_regions == null || try(length(var.registry_regions) >= 1, false)
    error_message = "registry_regions must hold at least one region, such as [\"eu-central-1\"], or be left out."
  }
  validation {
    condition     = alltrue([for region in coalesce(var.registry_regions, []) : can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]$", region))])
    error_message = "registry_regions must hold regions, such as \"eu-central-1\"."
  }
}

variable "opt_in_tag" {
  type = object({
    key   = optional(string, "ecr-cleanup")
    value = optional(string, "enabled")
  })
  description = "The tag with which a repository opts in. Images of any other repository cannot be removed."
  default     = {}
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9 _.:/=+@-]{1,128}$", var.opt_in_tag.key)) && !can(regex("^(?i:aws:)", var.opt_in_tag.key))
    error_message = "opt_in_tag.key must be 1 to 128 letters, digits, spaces and _ . : / = + - @, and must not begin with \"aws:\"; such as \"ecr-cleanup\"."
  }
  validation {
    condition     = can(regex("^[A-Za-z0-9 _.:/=+@-]{1,256}$", var.opt_in_tag.value))
    error_message = "opt_in_tag.value must be 1 to 256 letters, digits, spaces and _ . : / = + - @; such as \"enabled\"."
  }
}

variable "grace_period_hours" {
  type        = number
  description = "How long an image is kept after its last known use, so that a rollback finds it: 1 to 8760 hours."
  default     = 24
  nullable    = false

  validation {
    condition     = var.grace_period_hours >= 1 && var.grace_period_hours <= 8760 && floor(var.grace_period_hours) == var.grace_period_hours
    error_message = "grace_period_hours must be a whole number of hours from 1 to 8760 (365 days), such as 24."
  }
}

variable "action" {
  type        = string
  description = <<-EOT
    What is done with an unused image: `report` logs what would be removed, `delete` removes it for good, `archive` moves
    it to ECR's archive, from where it can be restored until it is deleted after `archive_days`.
  EOT
  default     = "report"
  nullable    = false

  validation {
    condition     = contains(["report", "delete", "archive"], var.action)
    error_message = "action must be \"report\", \"delete\" or \"archive\"."
  }
}

variable "archive_days" {
  type        = number
  description = <<-EOT
    How long an archived image that stays unused is kept before it is deleted, 1 to 3650 days. AWS charges for at least
    90 days in the archive.
  EOT
  default     = 90
  nullable    = false

  validation {
    condition     = var.archive_days >= 1 && var.archive_days <= 3650 && floor(var.archive_days) == var.archive_days
    error_message = "archive_days must be a whole number of days from 1 to 3650, such as 90."
  }
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

  validation {
    condition     = alltrue([for pattern in var.protections.tag_patterns : can(regex("^[A-Za-z0-9_.*-]{1,128}$", pattern))])
    error_message = "protections.tag_patterns must hold patterns of 1 to 128 letters, digits and _ . - *, such as \"release-*\"."
  }
  validation {
    condition     = var.protections.minimum_age_days >= 0 && var.protections.minimum_age_days <= 3650 && floor(var.protections.minimum_age_days) == var.protections.minimum_age_days
    error_message = "protections.minimum_age_days must be a whole number of days from 0 to 3650, such as 14."
  }
  validation {
    condition     = var.protections.untagged_minimum_age_days >= 0 && var.protections.untagged_minimum_age_days <= 3650 && floor(var.protections.untagged_minimum_age_days) == var.protections.untagged_minimum_age_days
    error_message = "protections.untagged_minimum_age_days must be a whole number of days from 0 to 3650, such as 30."
  }
  validation {
    condition     = var.protections.pulled_within_hours == null || try(var.protections.pulled_within_hours >= 0 && var.protections.pulled_within_hours <= 8760 && floor(var.protections.pulled_within_hours) == var.protections.pulled_within_hours, false)
    error_message = "protections.pulled_within_hours must be a whole number of hours from 0 to 8760 (365 days), such as 48, or be left out."
  }
  validation {
    condition     = var.protections.never_used_pulled_within_days >= 0 && var.protections.never_used_pulled_within_days <= 3650 && floor(var.protections.never_used_pulled_within_days) == var.protections.never_used_pulled_within_days
    error_message = "protections.never_used_pulled_within_days must be a whole number of days from 0 to 3650, such as 90."
  }
  validation {
    condition     = var.protections.newest_images >= 0 && var.protections.newest_images <= 10000 && floor(var.protections.newest_images) == var.protections.newest_images
    error_message = "protections.newest_images must be a whole number of images from 0 to 10000, such as 1."
  }
  validation {
    condition     = var.protections.removals_per_day >= 1 && var.protections.removals_per_day <= 100000 && floor(var.protections.removals_per_day) == var.protections.removals_per_day
    error_message = "protections.removals_per_day must be a whole number of images from 1 to 100000, such as 500."
  }
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

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.lambda.runtime)
    error_message = "lambda.runtime must be \"python3.11\", \"python3.12\" or \"python3.13\"."
  }
  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda.architecture)
    error_message = "lambda.architecture must be \"arm64\" or \"x86_64\"."
  }
  validation {
    condition     = var.lambda.memory_mb >= 256 && var.lambda.memory_mb <= 10240 && floor(var.lambda.memory_mb) == var.lambda.memory_mb
    error_message = "lambda.memory_mb must be a whole number of MB from 256 to 10240, such as 512."
  }
  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.lambda.log_level)
    error_message = "lambda.log_level must be \"DEBUG\", \"INFO\", \"WARNING\" or \"ERROR\"."
  }
  validation {
    condition     = var.lambda.powertools_layer_arn == null || can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+$", var.lambda.powertools_layer_arn))
    error_message = "lambda.powertools_layer_arn must be the ARN of a layer version, such as \"arn:aws:lambda:eu-central-1:123456789012:layer:powertools:7\"."
  }
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

  validation {
    condition     = var.lambda_package == null || try((var.lambda_package.filename == null) != (var.lambda_package.s3_bucket == null), false)
    error_message = "lambda_package needs either filename, such as \"ecr_cleanup.zip\", or s3_bucket and s3_key, such as \"my-artifacts\" and \"ecr_cleanup.zip\"."
  }
  validation {
    condition     = var.lambda_package == null || try((var.lambda_package.s3_bucket == null) == (var.lambda_package.s3_key == null), false)
    error_message = "lambda_package.s3_bucket and lambda_package.s3_key go together, such as \"my-artifacts\" and \"ecr_cleanup.zip\"."
  }
}

variable "kms_key_arn" {
  type        = string
  description = <<-EOT
    A customer managed key for queues, ledger, log groups and the functions' environment. Its policy must let
    events.amazonaws.com and logs.<region>.amazonaws.com use it. Dead-letter queues do not use it, so that a broken key
    cannot lose messages. Default: keys of AWS.
  EOT
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, such as \"arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab\"."
  }
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

  validation {
    condition     = var.notifications.topic_arn == null || can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", var.notifications.topic_arn))
    error_message = "notifications.topic_arn must be the ARN of an SNS topic that is not FIFO, such as \"arn:aws:sns:eu-central-1:123456789012:on-call\"."
  }
  validation {
    condition     = var.notifications.topic_arn == null || !coalesce(var.notifications.create_topic, false)
    error_message = "notifications takes either topic_arn or create_topic = true, and not both."
  }
  validation {
    condition     = var.notifications.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.notifications.kms_key_arn))
    error_message = "notifications.kms_key_arn must be the ARN of a key, such as \"arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab\"."
  }
  validation {
    condition     = var.notifications.kms_key_arn == null || var.notifications.topic_arn != null
    error_message = "notifications.kms_key_arn is the key of the topic that notifications.topic_arn names, and is of no use without it."
  }
  validation {
    condition     = var.notifications.digest == null || var.notifications.topic_arn != null || coalesce(var.notifications.create_topic, false)
    error_message = "notifications.digest needs a topic: topic_arn, such as \"arn:aws:sns:eu-central-1:123456789012:on-call\", or create_topic = true."
  }
  validation {
    condition     = var.notifications.digest == null || can(regex("^(rate\\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\\)|cron\\([0-9*,/-]+ [0-9*,/-]+ (\\? [^ ()?]+ [^ ()?]+|[^ ()?]+ [^ ()?]+ \\?) [0-9*,/-]+\\))$", var.notifications.digest.schedule))
    error_message = "notifications.digest.schedule must be a rate or a cron expression of EventBridge Scheduler, such as \"cron(0 7 * * ? *)\"."
  }
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

  validation {
    condition     = var.alarms == null || try(var.alarms.untrusted_hours >= 1 && var.alarms.untrusted_hours <= 24 && floor(var.alarms.untrusted_hours) == var.alarms.untrusted_hours, false)
    error_message = "alarms.untrusted_hours must be a whole number of hours from 1 to 24, such as 6."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.postponements >= 1 && var.alarms.postponements <= 20 && floor(var.alarms.postponements) == var.alarms.postponements, false)
    error_message = "alarms.postponements must be a whole number from 1 to 20, such as 5."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.queue_age_hours >= 1 && var.alarms.queue_age_hours <= 24 && floor(var.alarms.queue_age_hours) == var.alarms.queue_age_hours, false)
    error_message = "alarms.queue_age_hours must be a whole number of hours from 1 to 24, such as 4."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.removals_per_hour >= 1 && var.alarms.removals_per_hour <= 100000 && floor(var.alarms.removals_per_hour) == var.alarms.removals_per_hour, false)
    error_message = "alarms.removals_per_hour must be a whole number of images from 1 to 100000, such as 200."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.days_without_event >= 1 && var.alarms.days_without_event <= 365 && floor(var.alarms.days_without_event) == var.alarms.days_without_event, false)
    error_message = "alarms.days_without_event must be a whole number of days from 1 to 365, such as 30."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.days_without_sweep == null, false) || try(var.alarms.days_without_sweep >= 1 && var.alarms.days_without_sweep <= 7 && floor(var.alarms.days_without_sweep) == var.alarms.days_without_sweep, false)
    error_message = "alarms.days_without_sweep must be a whole number of days from 1 to 7, such as 2."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.function_errors >= 0 && var.alarms.function_errors <= 1000 && floor(var.alarms.function_errors) == var.alarms.function_errors, false)
    error_message = "alarms.function_errors must be a whole number from 0 to 1000, such as 0."
  }
  validation {
    condition     = var.alarms == null || try(contains([5, 10, 15, 20, 30, 45, 60], var.alarms.minutes_of_throttling), false)
    error_message = "alarms.minutes_of_throttling must be 5, 10, 15, 20, 30, 45 or 60."
  }
  validation {
    condition     = var.alarms == null || try(alltrue([for id in var.alarms.quiet_accounts : can(regex("^[0-9]{12}$", id))]), false)
    error_message = "alarms.quiet_accounts must hold account ids of 12 digits, such as \"123456789012\"."
  }
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

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a policy, such as \"arn:aws:iam::123456789012:policy/boundary\"."
  }
}

variable "log_retention_days" {
  type        = number
  description = "How long the functions' logs are kept, in days. They say of every image why it was kept or removed."
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs takes: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
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
