# The topic that people subscribe to: of alarms, and of the digest of removals.
locals {
  creates_topic = coalesce(var.notifications.create_topic, false)
  topic_name    = "${var.name_prefix}-notifications"
  topic_arn     = local.creates_topic ? "arn:${local.partition}:sns:${local.region}:${local.account_id}:${local.topic_name}" : var.notifications.topic_arn
  topic_arns    = compact([local.topic_arn])

  # SNS takes the alias, which is known before the key is.
  topic_key_alias = "alias/${local.topic_name}"
}

resource "aws_sns_topic" "this" {
  count = local.creates_topic ? 1 : 0

  name              = local.topic_name
  display_name      = "ECR clean-up"
  kms_master_key_id = local.topic_key_alias
  tags              = var.tags

  depends_on = [aws_kms_alias.topic]
}

resource "aws_sns_topic_policy" "this" {
  count = local.creates_topic ? 1 : 0

  arn    = aws_sns_topic.this[0].arn
  policy = data.aws_iam_policy_document.topic[0].json
}

data "aws_iam_policy_document" "topic" {
  count = local.creates_topic ? 1 : 0

  statement {
    sid       = "AlarmsOfThisModulePublish"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.alarms_arn]
    }
  }

  statement {
    sid       = "DenyPublishingWithoutTls"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

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
}

# AWS's own key for SNS does not let CloudWatch in, and its policy cannot be changed:
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
resource "aws_kms_key" "topic" {
  count = local.creates_topic ? 1 : 0

  description             = "Encrypts messages of ${local.topic_name}"
  deletion_window_in_days = 7
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.topic_key[0].json
  tags                    = var.tags
}

resource "aws_kms_alias" "topic" {
  count = local.creates_topic ? 1 : 0

  name          = local.topic_key_alias
  target_key_id = aws_kms_key.topic[0].key_id
}

# A key's policy is about that key, whatever its resource says, which must be "*".
data "aws_iam_policy_document" "topic_key" {
  count = local.creates_topic ? 1 : 0

  statement {
    sid       = "ThisAccountGivesPermissions"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid       = "AlarmsOfThisModuleEncrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.alarms_arn]
    }
  }
}

# The daily digest of removals

resource "aws_scheduler_schedule" "digest" {
  count = var.notifications.digest == null ? 0 : 1

  name                         = "digest"
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Has people told what was removed"
  schedule_expression          = var.notifications.digest.schedule
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.queue_arns["digests"]
    role_arn = local.schedule_role_arn
    input    = jsonencode({ version = 1, digest = "send" })

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

data "aws_iam_policy_document" "digest" {
  count = var.notifications.digest == null ? 0 : 1

  source_policy_documents = [data.aws_iam_policy_document.function["digest"].json]

  statement {
    sid       = "ReadRemovals"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    resources = [local.ledger_arn]
  }

  statement {
    sid       = "TellOfRemovals"
    actions   = ["sns:Publish"]
    resources = local.topic_arns
  }

  # The ARN of a key that is made here is not known before; its alias is.
  dynamic "statement" {
    for_each = local.creates_topic ? ["arn:${local.partition}:kms:${local.region}:${local.account_id}:key/*"] : var.notifications.kms_key_arn[*]

    content {
      sid       = "EncryptMessagesOfTheTopic"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sns.${local.region}.${data.aws_partition.current.dns_suffix}"]
      }

      dynamic "condition" {
        for_each = local.creates_topic ? [local.topic_key_alias] : []

        content {
          test     = "ForAnyValue:StringEquals"
          variable = "kms:ResourceAliases"
          values   = [condition.value]
        }
      }
    }
  }
}
