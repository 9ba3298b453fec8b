# Roles are global, but this module is applied once per region: hence the region in their names.

resource "aws_iam_role" "forward" {
  name                 = "${var.name_prefix}-forward-${local.region}"
  description          = "Lets EventBridge forward what happens to task definitions"
  assume_role_policy   = data.aws_iam_policy_document.forward_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "forward" {
  name   = "put-events"
  role   = aws_iam_role.forward.name
  policy = data.aws_iam_policy_document.forward.json
}

# https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
data "aws_iam_policy_document" "forward_trust" {
  statement {
    sid     = "RuleOfThisModule"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.rule_arn]
    }
  }
}

data "aws_iam_policy_document" "forward" {
  statement {
    sid       = "PutEvents"
    actions   = ["events:PutEvents"]
    resources = [var.event_bus_arn]
  }
}
