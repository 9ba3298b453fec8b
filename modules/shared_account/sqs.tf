locals {
  # Each queue feeds the function of this name.
  queues = merge(
    { events = "schedule_checks", checks = "run_checks" },
    var.sweep == null ? {} : { sweeps = "sweep" },
    var.notifications.digest == null ? {} : { digests = "digest" },
  )

  queue_arns = {
    for name in concat(keys(local.queues), [for name in keys(local.dead_letters) : "${name}-dead-letter"]) :
    name => "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${var.name_prefix}-${name}"
  }

  dead_letters = merge(
    {
      events    = "What schedule_checks could not handle, and what the rules could not deliver"
      checks    = "What run_checks could not handle"
      schedules = "What EventBridge Scheduler could not deliver"
    },
    var.sweep == null ? {} : { sweeps = "What sweep could not handle" },
    var.notifications.digest == null ? {} : { digests = "What digest could not handle" },
  )
}

resource "aws_sqs_queue" "this" {
  for_each = local.queues

  name = "${var.name_prefix}-${each.key}"
  # Six times the function's timeout, as
  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html advises.
  visibility_timeout_seconds = 6 * local.functions[each.value].timeout_seconds
  message_retention_seconds  = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
  policy                     = data.aws_iam_policy_document.queue[each.key].json
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = local.queue_arns["${each.key}-dead-letter"]
    maxReceiveCount     = 5
  })

  depends_on = [aws_sqs_queue.dead_letter]
}

# Always encrypted by SQS itself: one broken key must not lose both a queue and its dead letters.
resource "aws_sqs_queue" "dead_letter" {
  for_each = local.dead_letters

  name                      = "${var.name_prefix}-${each.key}-dead-letter"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.queue["${each.key}-dead-letter"].json
  tags                      = merge(var.tags, { Description = each.value })
}

data "aws_iam_policy_document" "queue" {
  for_each = local.queue_arns

  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  # The other queues get their messages under a role's own permissions.
  dynamic "statement" {
    for_each = contains(["events", "events-dead-letter"], each.key) ? [sort(values(local.rule_arns))] : []

    content {
      sid       = "RulesSendMessages"
      actions   = ["sqs:SendMessage"]
      resources = [each.value]

      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = statement.value
      }
    }
  }
}
