# The role under which the shared account asks what runs here right now. It is named after the bus, which has the name
# prefix of the shared account, so that its function can tell the name; name_prefix of this module may be another.
locals {
  shared_account_partition = split(":", var.event_bus_arn)[1]
  shared_account_id        = split(":", var.event_bus_arn)[4]
  event_bus_name           = split("/", var.event_bus_arn)[1]

  reader_role_name = "${local.event_bus_name}-reader-${local.region}"
  reader_role_arn  = "arn:${local.partition}:iam::${local.account_id}:role/${local.reader_role_name}"
}

resource "aws_iam_role" "reader" {
  count = var.live_usage ? 1 : 0

  name                 = local.reader_role_name
  description          = "Lets the account with the image registry read what runs here"
  assume_role_policy   = data.aws_iam_policy_document.reader_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "reader" {
  count = length(aws_iam_role.reader)

  name   = "read"
  role   = aws_iam_role.reader[0].name
  policy = data.aws_iam_policy_document.reader.json
}

# A trust that named a function's role as its principal would be refused while that role does not exist, and would
# break when it is made anew: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
data "aws_iam_policy_document" "reader_trust" {
  statement {
    sid     = "FunctionsOfTheSharedAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.shared_account_partition}:iam::${local.shared_account_id}:root"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values = [
        for function in ["run-checks", "sweep"] :
        "arn:${local.shared_account_partition}:iam::${local.shared_account_id}:role/${local.event_bus_name}-${function}"
      ]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.event_bus_arn]
    }
  }
}

# All on `*`: whatever uses an image here has to be found, and much of it can only be listed, which has no resource to
# name; the pages beside the statements say which. The region is what can be limited, since the role of each region is
# for that region only.
data "aws_iam_policy_document" "reader" {
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsconfig.html
  statement {
    sid = "ReadRecorder"
    actions = [
      "config:DescribeConfigurationRecorderStatus",
      "config:DescribeConfigurationRecorders",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
  statement {
    sid = "ReadEcs"
    actions = [
      "ecs:DescribeDaemon",
      "ecs:DescribeDaemonDeployments",
      "ecs:DescribeDaemonRevisions",
      "ecs:DescribeDaemonTaskDefinition",
      "ecs:DescribeServiceDeployments",
      "ecs:DescribeServiceRevisions",
      "ecs:DescribeServices",
      "ecs:DescribeTaskDefinition",
      "ecs:DescribeTasks",
      "ecs:ListClusters",
      "ecs:ListDaemonTaskDefinitions",
      "ecs:ListDaemons",
      "ecs:ListServices",
      "ecs:ListTaskDefinitions",
      "ecs:ListTasks",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
  statement {
    sid = "ReadRules"
    actions = [
      "events:ListEventBuses",
      "events:ListRuleNamesByTarget",
      "events:ListTargetsByRule",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html
  statement {
    sid = "ReadSchedules"
    actions = [
      "scheduler:GetSchedule",
      "scheduler:ListScheduleGroups",
      "scheduler:ListSchedules",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  # The image of a function is in GetFunction and nowhere else.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
  statement {
    sid = "ReadFunctions"
    actions = [
      "lambda:GetFunction",
      "lambda:ListFunctions",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbatch.html
  statement {
    sid       = "ReadJobDefinitions"
    actions   = ["batch:DescribeJobDefinitions"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }
}
