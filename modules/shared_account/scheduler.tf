resource "aws_scheduler_schedule_group" "this" {
  name = var.name_prefix
  tags = var.tags
}

# Each sweep begins with a message. A rate() without a start date fires as soon as it is made:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
resource "aws_scheduler_schedule" "sweep" {
  count = var.sweep == null ? 0 : 1

  name                         = "sweep"
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Begins a sweep of the opted-in repositories"
  schedule_expression          = var.sweep.schedule
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.queue_arns["sweeps"]
    role_arn = local.schedule_role_arn
    input    = jsonencode({ version = 1, sweep = "start" })

    dead_letter_config {
      arn = local.queue_arns["schedules-dead-letter"]
    }

    retry_policy {
      maximum_event_age_in_seconds = 86400
      maximum_retry_attempts       = 185
    }
  }

  depends_on = [aws_iam_role_policy.scheduler, aws_sqs_queue.this, aws_sqs_queue.dead_letter]
}

# Under this role, a schedule that is due sends its message to the queue.
resource "aws_iam_role" "scheduler" {
  name                 = local.schedule_role_name
  description          = "Lets EventBridge Scheduler send image deletion checks that are due, and begin sweeps"
  assume_role_policy   = data.aws_iam_policy_document.scheduler_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "send-messages"
  role   = aws_iam_role.scheduler.name
  policy = data.aws_iam_policy_document.scheduler.json
}

# https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    sid     = "SchedulesOfTheGroup"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.schedule_group_arn]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid     = "SendChecksAndSweeps"
    actions = ["sqs:SendMessage"]
    resources = concat(
      [local.queue_arns["checks"], local.queue_arns["schedules-dead-letter"]],
      var.sweep == null ? [] : [local.queue_arns["sweeps"]],
      var.notifications.digest == null ? [] : [local.queue_arns["digests"]],
    )
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "EncryptChecks"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}
