# What somebody should hear of. docs/operations.md says of each alarm what it means and what to do.
#
# With `ignore`, an alarm stays as it is until there is news: SQS tells nothing of a queue in which nothing happened for six
# hours, even if messages are in it, and the others have a figure only when something runs.
locals {
  alarms_arn = "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${var.name_prefix}-*"

  # A day more than there is between two sweeps; a period of evaluation cannot be longer than a week.
  rate_of_sweeps     = try(regex("^rate\\(([0-9]+) (minute|hour|day)s?\\)$", var.sweep.schedule), null)
  days_of_sweeps     = try(ceil(local.rate_of_sweeps[0] / { minute = 1440, hour = 24, day = 1 }[local.rate_of_sweeps[1]]) + 1, 8)
  sweeps_daily       = can(regex("^cron\\([^ ]+ [^ ]+ [*?] [*] [*?] [*]\\)$", try(var.sweep.schedule, "")))
  days_without_sweep = try(coalesce(var.alarms.days_without_sweep, local.sweeps_daily ? 2 : local.days_of_sweeps), 8)

  own_metrics = { service = var.name_prefix }

  # Of the module's own metrics. `statistic` of `period` seconds `comparison` threshold.
  alarms_of_own_metrics = var.alarms == null ? {} : merge(
    {
      records-failed = {
        description = "Messages could not be handled: they come again, and go to a dead-letter queue in the end"
        metric      = "RecordsFailed"
        statistic   = "Sum"
        period      = 3600
        threshold   = 0
        missing     = "notBreaching"
      }
      records-refused = {
        description = "Messages have something wrong in them: they go to a dead-letter queue in the end"
        metric      = "RecordsRefused"
        statistic   = "Sum"
        period      = 3600
        threshold   = 0
        missing     = "notBreaching"
      }
      checks-postponed = {
        description = "Something does not work for an image again and again: its check is postponed"
        metric      = "CheckAttempts"
        statistic   = "Maximum"
        period      = 3600
        threshold   = var.alarms.postponements - 1
        missing     = "notBreaching"
      }
      # A trusted inventory within this time is enough, hence the minimum.
      inventory-not-trusted = {
        description = "Nothing is removed, since nobody can say what all accounts use"
        metric      = "InventoryProblems"
        statistic   = "Minimum"
        period      = 3600 * var.alarms.untrusted_hours
        threshold   = 0
        missing     = "ignore"
      }
      images-deleted = {
        description = "Many images were deleted within an hour"
        metric      = "ImagesRemoved"
        statistic   = "Sum"
        period      = 3600
        threshold   = var.alarms.removals_per_hour
        missing     = "notBreaching"
      }
      images-archived = {
        description = "Many images were archived within an hour"
        metric      = "ImagesArchived"
        statistic   = "Sum"
        period      = 3600
        threshold   = var.alarms.removals_per_hour
        missing     = "notBreaching"
      }
      removals-capped = {
        description = "Images wait to be removed: protections.removals_per_day is reached"
        metric      = "RemovalsCapped"
        statistic   = "Sum"
        period      = 3600
        threshold   = 0
        missing     = "notBreaching"
      }
      archived-images-used = {
        description = "A task definition has an image that is in the archive, and cannot be pulled"
        metric      = "ArchivedImagesUsed"
        statistic   = "Sum"
        period      = 3600
        threshold   = 0
        missing     = "notBreaching"
      }
    },
    var.sweep == null ? {} : {
      repositories-not-swept = {
        description = "A sweep could not look at some repositories"
        metric      = "RepositoriesFailed"
        statistic   = "Maximum"
        period      = 86400
        threshold   = 0
        missing     = "ignore"
      }
      no-events = {
        description = "An account that has task definitions sent no event for ${var.alarms.days_without_event} days"
        metric      = "DaysSinceLastEvent"
        statistic   = "Maximum"
        period      = 86400
        threshold   = var.alarms.days_without_event - 1
        missing     = "ignore"
      }
    },
  )
}

locals {
  # All of them, for the dashboard: names are known before the alarms are made.
  alarm_names = var.alarms == null ? [] : sort(concat(
    [for key in keys(local.alarms_of_own_metrics) : "${var.name_prefix}-${key}"],
    [for key in keys(local.dead_letters) : "${var.name_prefix}-${key}-dead-letter"],
    [for key in keys(local.queues) : "${var.name_prefix}-${key}-waiting"],
    flatten([for function in values(local.functions) : ["${function.name}-errors", "${function.name}-throttles"]]),
    var.sweep == null || local.days_without_sweep > 7 ? [] : ["${var.name_prefix}-sweep-not-finished"],
  ))
}

resource "aws_cloudwatch_metric_alarm" "own_metric" {
  for_each = local.alarms_of_own_metrics

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "EcrCleanup"
  metric_name         = each.value.metric
  dimensions          = local.own_metrics
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = each.value.missing
  alarm_actions       = local.topic_arns
  tags                = var.tags
}

moved {
  from = aws_cloudwatch_metric_alarm.removals_capped
  to   = aws_cloudwatch_metric_alarm.own_metric["removals-capped"]
}

# Nothing at all is what it is about. So it rings until the first sweep is finished, too.
resource "aws_cloudwatch_metric_alarm" "sweep_not_finished" {
  for_each = toset(var.alarms == null || var.sweep == null || local.days_without_sweep > 7 ? [] : ["this"])

  alarm_name          = "${var.name_prefix}-sweep-not-finished"
  alarm_description   = "No sweep was finished for ${local.days_without_sweep} days"
  namespace           = "EcrCleanup"
  metric_name         = "RepositoriesSwept"
  dimensions          = local.own_metrics
  statistic           = "SampleCount"
  period              = 86400
  evaluation_periods  = local.days_without_sweep
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = var.alarms == null ? {} : local.dead_letters

  alarm_name          = "${var.name_prefix}-${each.key}-dead-letter"
  alarm_description   = "Somebody must look: ${each.value}"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = "${var.name_prefix}-${each.key}-dead-letter" }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "ignore"
  alarm_actions       = local.topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "queue_age" {
  for_each = var.alarms == null ? {} : local.queues

  alarm_name          = "${var.name_prefix}-${each.key}-waiting"
  alarm_description   = "Messages wait for ${each.value} for hours"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = "${var.name_prefix}-${each.key}" }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.alarms.queue_age_hours * 3600
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "function_errors" {
  for_each = var.alarms == null ? {} : local.functions

  alarm_name          = "${each.value.name}-errors"
  alarm_description   = "${each.key} failed as a whole: it crashed, or its time or memory was up"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.alarms.function_errors
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "function_throttles" {
  for_each = var.alarms == null ? {} : local.functions

  alarm_name          = "${each.value.name}-throttles"
  alarm_description   = "${each.key} is not let run: the account's or the function's concurrency is used up"
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = each.value.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = var.alarms.minutes_of_throttling / 5
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.topic_arns
  tags                = var.tags
}
