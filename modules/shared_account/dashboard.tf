# At a glance: is it working, what has it removed, what did it save, what is stuck?
locals {
  # Of these, the figures of a day belong together: something is counted only when something runs.
  widgets_of_own_metrics = [
    { row = 1, title = "Images that were removed, or would have been, each day", stat = "Sum", period = 86400, view = "timeSeries", metrics = ["ImagesRemoved", "ImagesArchived", "ImagesReported"] },
    { row = 1, title = "Verdicts each hour", stat = "Sum", period = 3600, view = "timeSeries", metrics = ["ChecksReceived", "ImagesKept", "ImagesGone", "ChecksPostponed"] },
    { row = 2, title = "Bytes of deleted images, as ECR states them", stat = "Sum", period = 86400, view = "singleValue", metrics = ["BytesRemoved"] },
    { row = 2, title = "Bytes that are stored, and that look unused", stat = "Maximum", period = 86400, view = "timeSeries", metrics = ["BytesStored", "BytesReclaimable"] },
    { row = 2, title = "Images that are stored, and that look unused", stat = "Maximum", period = 86400, view = "timeSeries", metrics = ["ImagesStored", "ImagesReclaimable"] },
    { row = 3, title = "Why nothing is removed: problems of the inventory", stat = "Maximum", period = 3600, view = "timeSeries", metrics = ["InventoryProblems"] },
    { row = 3, title = "Attempts in vain for one image; images that wait for the cap", stat = "Maximum", period = 3600, view = "timeSeries", metrics = ["CheckAttempts", "RemovalsCapped"] },
    { row = 3, title = "Messages that could not be handled; archived images in use", stat = "Sum", period = 3600, view = "timeSeries", metrics = ["RecordsFailed", "RecordsRefused", "ArchivedImagesUsed"] },
    { row = 0, title = "Events, and checks that were scheduled", stat = "Sum", period = 3600, view = "timeSeries", metrics = ["EventsReceived", "ChecksScheduled"] },
    { row = 0, title = "Sweeps: repositories, and days without an event of some account", stat = "Maximum", period = 86400, view = "timeSeries", metrics = ["RepositoriesSwept", "RepositoriesFailed", "DaysSinceLastEvent"] },
  ]
  widgets_of_aws_metrics = [
    { row = 3, title = "Dead letters: somebody must look", stat = "Maximum", period = 300, metrics = [for name in keys(local.dead_letters) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${var.name_prefix}-${name}-dead-letter"]] },
    { row = 3, title = "Seconds that the oldest message waits", stat = "Maximum", period = 300, metrics = [for name in keys(local.queues) : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${var.name_prefix}-${name}"]] },
    { row = 0, title = "Runs of the functions", stat = "Sum", period = 3600, metrics = [for function in values(local.functions) : ["AWS/Lambda", "Invocations", "FunctionName", function.name]] },
    { row = 0, title = "Runs that failed as a whole", stat = "Sum", period = 3600, metrics = [for function in values(local.functions) : ["AWS/Lambda", "Errors", "FunctionName", function.name]] },
  ]
  metric_widgets = concat(
    [for widget in local.widgets_of_own_metrics : {
      row     = widget.row
      title   = widget.title
      stat    = widget.stat
      period  = widget.period
      view    = widget.view
      metrics = [for metric in widget.metrics : ["EcrCleanup", metric, "service", var.name_prefix]]
    }],
    [for widget in local.widgets_of_aws_metrics : merge(widget, { view = "timeSeries" })],
  )

  # Each row has a heading, and below it its widgets, three beside each other, and then what the logs say.
  dashboard_rows = [
    "# Is it working?",
    "# What has it removed?",
    "# What did it save?",
    "# What is stuck?",
  ]
  log_widgets = {
    "1" = { title = "The last removals", functions = ["run_checks"], query = "fields @timestamp, action, repository, tags.0, bytes, reason | filter removed = 1 | sort @timestamp desc | limit 20" }
    "3" = { title = "Postponed again, since something does not work", functions = ["run_checks"], query = "fields @timestamp, repository, tags.0, rule, reason, attempt | filter verdict = \"postpone\" | filter attempt > 0 | sort @timestamp desc | limit 20" }
  }

  row_height = 26 # more than any row needs; CloudWatch moves widgets up
  dashboard_widgets = flatten([
    for row, heading in local.dashboard_rows : [
      [{ type = "text", x = 0, y = row * local.row_height, width = 24, height = 1, properties = { markdown = heading } }],
      row == 0 && var.alarms != null ? [{
        type       = "alarm", x = 0, y = row * local.row_height + 1, width = 24, height = 3
        properties = { title = "Alarms", alarms = local.alarm_arns }
      }] : [],
      [for index, widget in [for each in local.metric_widgets : each if each.row == row] : {
        type = "metric", x = 8 * (index % 3), y = row * local.row_height + 4 + 6 * floor(index / 3), width = 8, height = 6
        properties = {
          title                = widget.title
          region               = local.region
          stat                 = widget.stat
          period               = widget.period
          view                 = widget.view
          setPeriodToTimeRange = widget.view == "singleValue"
          metrics              = widget.metrics
        }
      }],
      [for key, widget in local.log_widgets : {
        type = "log", x = 0, y = row * local.row_height + 20, width = 24, height = 6
        properties = {
          title  = widget.title
          region = local.region
          view   = "table"
          query  = join(" | ", concat([for key in widget.functions : "SOURCE '${local.log_groups[key]}'"], [widget.query]))
        }
      } if key == tostring(row)],
    ]
  ])

  # An alarm widget takes 100 of them: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
  alarm_arns = [for name in local.alarm_names : "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${name}"]
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name_prefix
  dashboard_body = jsonencode({ start = "-P14D", widgets = local.dashboard_widgets })
}
