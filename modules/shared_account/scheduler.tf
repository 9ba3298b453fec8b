resource "aws_scheduler_schedule_group" "this" {
  name = var.name_prefix
  tags = var.tags
}

# Under this role, a schedule that is due sends its check to the queue.
resource "aws_iam_role" "scheduler" {
  name                 = local.schedule_role_name
  description          = "Lets EventBridge Scheduler send image deletion checks that are due"
  assume_role_policy   = data.aws_iam_policy_document.scheduler_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "send-checks"
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
    sid       = "SendChecks"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns["checks"], local.queue_arns["schedules-dead-letter"]]
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
