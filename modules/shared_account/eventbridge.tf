resource "aws_cloudwatch_event_bus" "this" {
  name        = var.name_prefix
  description = "Task definitions registered and deregistered in the workload accounts, and images removed"
  tags        = var.tags
}

resource "aws_cloudwatch_event_bus_policy" "this" {
  event_bus_name = aws_cloudwatch_event_bus.this.name
  policy         = data.aws_iam_policy_document.event_bus.json
}

data "aws_iam_policy_document" "event_bus" {
  statement {
    sid       = "WorkloadAccountsPutEvents"
    actions   = ["events:PutEvents"]
    resources = [local.event_bus_arn]

    principals {
      type        = "AWS"
      identifiers = var.workloads.account_ids == null ? ["*"] : [for id in var.workloads.account_ids : "arn:${local.partition}:iam::${id}:root"]
    }

    dynamic "condition" {
      for_each = var.workloads.organization_id[*]

      content {
        test     = "StringEquals"
        variable = "aws:PrincipalOrgID"
        values   = [condition.value]
      }
    }
  }
}

# The shape of these events: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/logging-using-cloudtrail.html and
# https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html
resource "aws_cloudwatch_event_rule" "task_definitions" {
  name           = local.rule_names.task_definitions
  description    = "Task definitions registered and deregistered, as CloudTrail or AWS Config tells it"
  event_bus_name = aws_cloudwatch_event_bus.this.name
  tags           = var.tags

  event_pattern = jsonencode({
    "$or" = [
      {
        source        = ["aws.ecs"]
        "detail-type" = ["AWS API Call via CloudTrail"]
        detail = {
          eventSource = ["ecs.amazonaws.com"]
          eventName   = ["RegisterTaskDefinition", "DeregisterTaskDefinition"]
          errorCode   = [{ exists = false }]
        }
      },
      {
        source        = ["aws.config"]
        "detail-type" = ["Config Configuration Item Change"]
        detail        = { configurationItem = { resourceType = ["AWS::ECS::TaskDefinition"] } }
      },
      {
        # An item that is too large for an event comes as a summary.
        source        = ["aws.config"]
        "detail-type" = ["Config Configuration Item Change"]
        detail        = { configurationItemSummary = { resourceType = ["AWS::ECS::TaskDefinition"] } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_target" "events" {
  rule           = aws_cloudwatch_event_rule.task_definitions.name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = "events"
  arn            = local.queue_arns["events"]

  dead_letter_config {
    arn = local.queue_arns["events-dead-letter"]
  }

  depends_on = [aws_sqs_queue.this]
}

# Pushes tell which image a tag meant, and when. ECR puts them on the default bus of the region they happen in; those in
# other regions are not heard of. The shape: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
resource "aws_cloudwatch_event_rule" "image_pushes" {
  name        = local.rule_names.image_pushes
  description = "Images pushed to the registry, as ECR tells it"
  tags        = var.tags

  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Image Action"]
    account       = [local.account_id]
    detail = {
      "action-type" = ["PUSH"]
      result        = ["SUCCESS"]
    }
  })
}

resource "aws_cloudwatch_event_target" "image_pushes" {
  rule      = aws_cloudwatch_event_rule.image_pushes.name
  target_id = "events"
  arn       = local.queue_arns["events"]

  dead_letter_config {
    arn = local.queue_arns["events-dead-letter"]
  }

  depends_on = [aws_sqs_queue.this]
}
