locals {
  event_patterns = {
    cloudtrail = {
      source        = ["aws.ecs"]
      "detail-type" = ["AWS API Call via CloudTrail"]
      detail = {
        eventSource = ["ecs.amazonaws.com"]
        eventName   = ["RegisterTaskDefinition", "DeregisterTaskDefinition"]
        errorCode   = [{ exists = false }]
      }
    }
    config = {
      source        = ["aws.config"]
      "detail-type" = ["Config Configuration Item Change"]
      detail = {
        "$or" = [
          { configurationItem = { resourceType = ["AWS::ECS::TaskDefinition"] } },
          # An item that is too large for an event comes as a summary.
          { configurationItemSummary = { resourceType = ["AWS::ECS::TaskDefinition"] } },
        ]
      }
    }
  }
}

resource "aws_cloudwatch_event_rule" "task_definitions" {
  name          = local.rule_name
  description   = "Forwards what happens to task definitions to the account with the image registry"
  event_pattern = jsonencode(local.event_patterns[var.event_source])
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "event_bus" {
  rule      = aws_cloudwatch_event_rule.task_definitions.name
  target_id = "event-bus"
  arn       = var.event_bus_arn
  role_arn  = aws_iam_role.forward.arn

  dead_letter_config {
    arn = local.dead_letter_arn
  }

  depends_on = [aws_iam_role_policy.forward, aws_sqs_queue.dead_letter]
}

# Events that could not be forwarded.
resource "aws_sqs_queue" "dead_letter" {
  name                      = "${var.name_prefix}-forward-dead-letter"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.dead_letter.json
  tags                      = var.tags
}

data "aws_iam_policy_document" "dead_letter" {
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.dead_letter_arn]

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

  statement {
    sid       = "RuleSendsMessages"
    actions   = ["sqs:SendMessage"]
    resources = [local.dead_letter_arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.rule_arn]
    }
  }
}
