# What the functions may do: one role each, every action used, every resource named.

resource "aws_iam_role" "function" {
  for_each = local.functions

  name                 = each.value.name
  description          = each.value.description
  assume_role_policy   = data.aws_iam_policy_document.function_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions

  name = "function"
  role = aws_iam_role.function[each.key].name
  policy = {
    schedule_checks = data.aws_iam_policy_document.schedule_checks.json
    run_checks      = data.aws_iam_policy_document.run_checks.json
    sweep           = one(data.aws_iam_policy_document.sweep[*].json)
    digest          = one(data.aws_iam_policy_document.digest[*].json)
  }[each.key]
}

# No aws:SourceAccount or aws:SourceArn: AWS does not document that Lambda sends them when it assumes an execution role.
# Nor are they needed, as a role can only be given to functions of its own account, by someone with iam:PassRole on it.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
data "aws_iam_policy_document" "function_trust" {
  statement {
    sid     = "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${each.value.name}:*"]
  }

  # X-Ray has no resources to name: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }

  statement {
    sid       = "ReceiveMessages"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [local.queue_arns[each.value.queue]]
  }

  dynamic "statement" {
    for_each = each.key == "digest" ? [] : [local.schedule_role_arn]

    content {
      sid       = "GiveSchedulesTheirRole"
      actions   = ["iam:PassRole"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["scheduler.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid       = "DecryptMessagesLedgerAndEnvironment"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

# For those that move checks, one after the other.
data "aws_iam_policy_document" "checks" {
  statement {
    sid       = "ReadImages"
    actions   = ["ecr:DescribeImages", "ecr:ListTagsForResource"]
    resources = local.repository_arns
  }

  statement {
    sid = "ScheduleChecks"
    actions = [
      "scheduler:CreateSchedule",
      "scheduler:DeleteSchedule",
      "scheduler:GetSchedule",
      "scheduler:UpdateSchedule",
    ]
    resources = [local.schedules_arn]
  }
}

# For those that judge images.
data "aws_iam_policy_document" "judging" {
  statement {
    sid       = "ReadRepositories"
    actions   = ["ecr:DescribeRepositories"]
    resources = local.repository_arns
  }

  statement {
    sid       = "AskAggregator"
    actions   = ["config:DescribeConfigurationAggregatorSourcesStatus", "config:SelectAggregateResourceConfig"]
    resources = [local.aggregators_arn]
  }

  # A list of the roles' ARNs would not fit into a policy, so the accounts are a condition. AWS has both keys with most
  # actions, and AssumeRole is not among the exceptions that it lists:
  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceaccount
  dynamic "statement" {
    for_each = var.workloads.live_usage ? ["arn:${local.partition}:iam::*:role/${local.reader_role_name}-*"] : []

    content {
      sid       = "AssumeReaders"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = var.workloads.organization_id == null ? "aws:ResourceAccount" : "aws:ResourceOrgID"
        values   = var.workloads.organization_id == null ? sort(coalesce(var.workloads.account_ids, [])) : [var.workloads.organization_id]
      }
    }
  }

  # ListAccounts has no resource to name:
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html
  dynamic "statement" {
    for_each = var.workloads.organization_id[*]

    content {
      sid       = "ListAccountsOfTheOrganization"
      actions   = ["organizations:ListAccounts"]
      resources = ["*"]
    }
  }
}

data "aws_iam_policy_document" "schedule_checks" {
  source_policy_documents = [
    data.aws_iam_policy_document.function["schedule_checks"].json,
    data.aws_iam_policy_document.checks.json,
  ]

  statement {
    sid       = "WriteLedger"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [local.ledger_arn]
  }

  statement {
    sid       = "AskAggregator"
    actions   = ["config:SelectAggregateResourceConfig"]
    resources = [local.aggregators_arn]
  }
}

data "aws_iam_policy_document" "run_checks" {
  source_policy_documents = [
    data.aws_iam_policy_document.function["run_checks"].json,
    data.aws_iam_policy_document.checks.json,
    data.aws_iam_policy_document.judging.json,
  ]

  statement {
    sid = "WriteLedger"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:DeleteItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ]
    resources = [local.ledger_arn]
  }

  statement {
    sid       = "TellOfRemovals"
    actions   = ["events:PutEvents"]
    resources = [local.event_bus_arn]
  }

  # Repositories that did not opt in are out of reach, whatever the code does.
  dynamic "statement" {
    for_each = var.action == "report" ? [] : [local.repository_arns]

    content {
      sid = "RemoveImagesOfOptedInRepositories"
      actions = [
        "ecr:BatchDeleteImage",
        "ecr:BatchGetImage", # what belongs to an image: its manifest, and ListImageReferrers
        "ecr:UpdateImageStorageClass",
      ]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceTag/${var.opt_in_tag.key}"
        values   = [var.opt_in_tag.value]
      }
    }
  }

  # Reading a manifest counts as a pull otherwise. There is no resource to name, as for all that is of a registry:
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
  dynamic "statement" {
    for_each = var.action == "report" ? [] : ["*"]

    content {
      sid       = "ExcludeOwnReadsFromPullTimes"
      actions   = ["ecr:RegisterPullTimeUpdateExclusion"]
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "sweep" {
  count = var.sweep == null ? 0 : 1

  source_policy_documents = [
    data.aws_iam_policy_document.function["sweep"].json,
    data.aws_iam_policy_document.judging.json,
  ]

  statement {
    sid       = "WriteLedger"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    resources = [local.ledger_arn]
  }

  # GetResources has no resource to name:
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonresourcegrouptaggingapi.html
  statement {
    sid       = "FindOptedInRepositories"
    actions   = ["tag:GetResources"]
    resources = ["*"]
  }

  statement {
    sid       = "ListImages"
    actions   = ["ecr:DescribeImages"]
    resources = local.repository_arns
  }

  # Only where there is none: what is pending stays as it is.
  statement {
    sid       = "MakeChecks"
    actions   = ["scheduler:CreateSchedule"]
    resources = [local.schedules_arn]
  }

  dynamic "statement" {
    for_each = var.sweep.report_bucket[*]

    content {
      sid       = "WriteReports"
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["arn:${local.partition}:s3:::${statement.value}/${local.report_prefix}*"]
    }
  }
}


locals {
  schedules_arn   = "arn:${local.partition}:scheduler:${local.region}:${local.account_id}:schedule/${var.name_prefix}/*"
  repository_arns = [for region in sort(local.registry_regions) : "arn:${local.partition}:ecr:${region}:${local.account_id}:repository/*"]

  # The id in an aggregator's ARN is random.
  aggregators_arn = "arn:${local.partition}:config:${local.region}:${local.account_id}:config-aggregator/*"
}
