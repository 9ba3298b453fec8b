locals {
  needed_functions = {
    schedule_checks = {
      name                = "${var.name_prefix}-schedule-checks"
      description         = "Writes what events tell into the ledger, and schedules image deletion checks"
      timeout_seconds     = 120
      queue               = "events"
      batch_size          = 10
      batching_seconds    = 0
      maximum_concurrency = 5
      environment         = {}
    }
    run_checks = {
      name                = "${var.name_prefix}-run-checks"
      description         = "Decides whether images are still used, and removes those that are not"
      timeout_seconds     = 900
      queue               = "checks"
      batch_size          = 500 # one batch shares one inventory
      batching_seconds    = 60
      maximum_concurrency = 2
      environment = merge(local.judging_environment, {
        FUNCTION_ROLE_ARN = "arn:${local.partition}:iam::${local.account_id}:role/${var.name_prefix}-run-checks"
      })
    }
  }

  optional_functions = {
    sweep = {
      name                = "${var.name_prefix}-sweep"
      description         = "Looks at all images of the opted-in repositories, and has those checked that look unused"
      timeout_seconds     = 900
      queue               = "sweeps"
      batch_size          = 1
      batching_seconds    = 0
      maximum_concurrency = 2 # the least that there is; the ledger lets one sweep at a time
      environment = merge(local.judging_environment, {
        FUNCTION_ROLE_ARN  = "arn:${local.partition}:iam::${local.account_id}:role/${var.name_prefix}-sweep"
        SWEEP_QUEUE_ARN    = try(local.queue_arns["sweeps"], "")
        REPORT_BUCKET      = try(coalesce(var.sweep.report_bucket), "")
        REPORT_PREFIX      = local.report_prefix
        REPOSITORY_METRICS = tostring(try(var.sweep.repository_metrics, true))
        QUIET_ACCOUNTS     = join(",", sort(try(var.alarms.quiet_accounts, [])))
      })
    }
    digest = {
      name                = "${var.name_prefix}-digest"
      description         = "Tells people once a day what was removed"
      timeout_seconds     = 120
      queue               = "digests"
      batch_size          = 1
      batching_seconds    = 0
      maximum_concurrency = 2 # the least that there is; the ledger lets one at a time
      environment = {
        TOPIC_ARN                = local.topic_arn == null ? "" : local.topic_arn
        WHEN_NOTHING_WAS_REMOVED = tostring(try(var.notifications.digest.when_nothing_was_removed, false))
      }
    }
  }

  wanted = {
    sweep  = var.sweep != null
    digest = var.notifications.digest != null
  }

  functions = merge(local.needed_functions, { for key, function in local.optional_functions : key => function if local.wanted[key] })

  # What is empty is left out, as there is little room.
  environments = {
    for key, function in local.functions :
    key => { for name, value in merge(local.environment, function.environment) : name => value if value != "" }
  }

  # For those that judge images.
  judging_environment = {
    ACTION                        = var.action
    ARCHIVE_DAYS                  = tostring(var.archive_days)
    WORKLOAD_ACCOUNT_IDS          = join(",", sort(coalesce(var.workloads.account_ids, [])))
    WORKLOAD_ORGANIZATION         = tostring(var.workloads.organization_id != null)
    WORKLOAD_REGIONS              = join(",", sort(local.workload_regions))
    EXEMPT_ACCOUNTS               = join(",", sort(var.workloads.exempt))
    READER_ROLE_NAME              = var.workloads.live_usage ? local.reader_role_name : ""
    READER_EXTERNAL_ID            = var.workloads.live_usage ? local.event_bus_arn : ""
    RESOURCE_TYPES                = join(",", sort(var.workloads.resource_types))
    MAX_REGISTRATION_LAG_MINUTES  = tostring(var.workloads.max_registration_lag_minutes)
    PROTECTED_TAG_PATTERNS        = join(",", sort(var.protections.tag_patterns))
    MINIMUM_AGE_DAYS              = tostring(var.protections.minimum_age_days)
    UNTAGGED_MINIMUM_AGE_DAYS     = tostring(var.protections.untagged_minimum_age_days)
    PULLED_WITHIN_HOURS           = var.protections.pulled_within_hours == null ? "" : tostring(var.protections.pulled_within_hours)
    NEVER_USED_PULLED_WITHIN_DAYS = tostring(var.protections.never_used_pulled_within_days)
    NEWEST_IMAGES                 = tostring(var.protections.newest_images)
    REMOVALS_PER_DAY              = tostring(var.protections.removals_per_day)
    TAGS_NEVER_MOVE               = tostring(var.protections.tags_never_move)
    EVENT_BUS_NAME                = var.name_prefix
    NEWEST_REVISIONS              = var.workloads.newest_revisions == null ? "" : tostring(var.workloads.newest_revisions)
  }

  environment = {
    REGISTRY_ID                    = local.account_id
    REGISTRY_REGIONS               = join(",", sort(local.registry_regions))
    OPT_IN_TAG_KEY                 = var.opt_in_tag.key
    OPT_IN_TAG_VALUE               = var.opt_in_tag.value
    GRACE_PERIOD_HOURS             = tostring(var.grace_period_hours)
    LEDGER_TABLE_NAME              = aws_dynamodb_table.ledger.name
    SCHEDULE_GROUP_NAME            = aws_scheduler_schedule_group.this.name
    SCHEDULE_ROLE_ARN              = local.schedule_role_arn
    CHECK_QUEUE_ARN                = local.queue_arns["checks"]
    SCHEDULE_DEAD_LETTER_QUEUE_ARN = local.queue_arns["schedules-dead-letter"]
    AGGREGATOR_NAME                = coalesce(var.workloads.aggregator_name, var.name_prefix)
    POWERTOOLS_SERVICE_NAME        = var.name_prefix
    POWERTOOLS_LOG_LEVEL           = var.lambda.log_level
    # Older SDKs ask a global STS for sessions, which regions that have to be opted in to do not accept.
    AWS_STS_REGIONAL_ENDPOINTS = "regional"
  }

  # AWS's public layer: https://docs.aws.amazon.com/powertools/python/latest/getting-started/install/
  powertools_layer_arn = coalesce(
    var.lambda.powertools_layer_arn,
    "arn:${local.partition}:lambda:${local.region}:017000801446:layer:AWSLambdaPowertoolsPythonV3-${replace(var.lambda.runtime, ".", "")}-${var.lambda.architecture}:27",
  )
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name     = each.value.name
  description       = each.value.description
  role              = aws_iam_role.function[each.key].arn
  handler           = "ecr_cleanup.handlers.${each.key}.handler"
  runtime           = var.lambda.runtime
  architectures     = [var.lambda.architecture]
  memory_size       = var.lambda.memory_mb
  timeout           = each.value.timeout_seconds
  layers            = [local.powertools_layer_arn]
  kms_key_arn       = var.kms_key_arn
  filename          = local.package.filename
  s3_bucket         = local.package.s3_bucket
  s3_key            = local.package.s3_key
  s3_object_version = local.package.s3_object_version
  source_code_hash  = local.package.source_code_hash
  tags              = var.tags

  environment {
    variables = local.environments[each.key]
  }

  tracing_config {
    mode = "Active"
  }

  # A replacement uploads code, but does not replace the package: build it again, in case this is a fresh checkout. When
  # the function goes for good, this is of no use and may fail.
  provisioner "local-exec" {
    when       = destroy
    on_failure = continue
    command    = "case \"$PACKAGE_FILE\" in */lambda_src/dist/ecr_cleanup.zip) sh '${path.module}/../../lambda_src/build.sh' \"$PACKAGE_FILE\";; esac"

    environment = {
      PACKAGE_FILE = self.filename == null ? "" : self.filename
    }
  }

  lifecycle {
    precondition {
      condition     = var.lambda.powertools_layer_arn != null || local.partition == "aws"
      error_message = "AWS publishes the Powertools layer under other names in the partition ${local.partition}: give lambda.powertools_layer_arn, such as \"arn:aws-cn:lambda:cn-north-1:498634801083:layer:AWSLambdaPowertoolsPythonV3-python313-arm64:27\"."
    }
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    precondition {
      condition     = length(jsonencode(local.environments[each.key])) <= 4096
      error_message = "AWS Lambda takes 4096 characters of settings, and these are more: give workloads.organization_id instead of many workloads.account_ids, or fewer entries in workloads.exempt, workloads.regions, registry_regions or protections.tag_patterns."
    }
  }

  depends_on = [
    aws_cloudwatch_log_group.function,
    aws_iam_role_policy.function,
    terraform_data.package,
  ]
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each = local.functions

  function_name                      = aws_lambda_function.this[each.key].arn
  event_source_arn                   = aws_sqs_queue.this[each.value.queue].arn
  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.batching_seconds
  function_response_types            = ["ReportBatchItemFailures"]
  tags                               = var.tags

  scaling_config {
    maximum_concurrency = each.value.maximum_concurrency
  }
}
