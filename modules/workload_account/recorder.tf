locals {
  # What the inventory counts on. AWS::Config::ConfigurationRecorder, which it reads as well, cannot be asked for: AWS
  # records it always, see https://docs.aws.amazon.com/config/latest/developerguide/resource-config-reference.html
  recorded_types = [
    "AWS::AppRunner::Service",
    "AWS::CodeBuild::Project",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::ECS::TaskSet",
    "AWS::SageMaker::Model",
  ]

  # The recorder's resources, or none of them.
  recorders = var.recorder == null ? {} : { this = var.recorder }

  bucket_name = "${var.name_prefix}-config-${local.account_id}-${local.region}"
  bucket_arn  = "arn:${local.partition}:s3:::${local.bucket_name}"
}

resource "aws_config_configuration_recorder" "this" {
  for_each = local.recorders

  name     = var.name_prefix
  role_arn = aws_iam_role.recorder[each.key].arn

  recording_group {
    all_supported                 = false
    include_global_resource_types = false
    resource_types                = local.recorded_types

    recording_strategy {
      use_only = "INCLUSION_BY_RESOURCE_TYPES"
    }
  }

  # With daily recording, an image could be in use for a day before anyone knows.
  recording_mode {
    recording_frequency = "CONTINUOUS"
  }
}

resource "aws_config_delivery_channel" "this" {
  for_each = local.recorders

  name           = var.name_prefix
  s3_bucket_name = aws_s3_bucket.recorder[each.key].bucket

  depends_on = [
    aws_config_configuration_recorder.this,
    aws_iam_role_policy.recorder,
    aws_s3_bucket_policy.recorder,
  ]
}

resource "aws_config_configuration_recorder_status" "this" {
  for_each = local.recorders

  name       = aws_config_configuration_recorder.this[each.key].name
  is_enabled = true

  depends_on = [aws_config_delivery_channel.this, aws_iam_role_policy_attachment.recorder]

  lifecycle {
    # With another name, the recorder is stopped first: the delivery channel of one that records cannot be deleted.
    replace_triggered_by = [aws_config_configuration_recorder.this[each.key].name]
  }
}

# AWS Config does not record without a place to deliver to. Nothing here reads what it delivers.
resource "aws_s3_bucket" "recorder" {
  for_each = local.recorders

  bucket        = local.bucket_name
  force_destroy = true # a copy of what AWS Config itself keeps
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "recorder" {
  for_each = local.recorders

  bucket                  = aws_s3_bucket.recorder[each.key].bucket
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "recorder" {
  for_each = local.recorders

  bucket = aws_s3_bucket.recorder[each.key].bucket

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "recorder" {
  for_each = local.recorders

  bucket = aws_s3_bucket.recorder[each.key].bucket

  rule {
    id     = "expire-history"
    status = "Enabled"

    filter {}

    expiration {
      days = each.value.history_days
    }
  }
}

resource "aws_s3_bucket_policy" "recorder" {
  for_each = local.recorders

  bucket = aws_s3_bucket.recorder[each.key].bucket
  policy = data.aws_iam_policy_document.recorder_bucket.json

  depends_on = [aws_s3_bucket_public_access_block.recorder]
}

# AWS Config delivers under the recorder's role, which is of this account: nobody else needs to be let in.
data "aws_iam_policy_document" "recorder_bucket" {
  statement {
    sid       = "DenyWithoutTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]

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

resource "aws_iam_role" "recorder" {
  for_each = local.recorders

  name                 = "${var.name_prefix}-recorder-${local.region}"
  description          = "Lets AWS Config read and record what uses images"
  assume_role_policy   = data.aws_iam_policy_document.recorder_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

# AWS's own policy: it follows the types that AWS Config learns to record.
resource "aws_iam_role_policy_attachment" "recorder" {
  for_each = local.recorders

  role       = aws_iam_role.recorder[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWS_ConfigRole"
}

resource "aws_iam_role_policy" "recorder" {
  for_each = local.recorders

  name   = "deliver"
  role   = aws_iam_role.recorder[each.key].name
  policy = data.aws_iam_policy_document.recorder.json
}

# https://docs.aws.amazon.com/config/latest/developerguide/iamrole-permissions.html, as the following one. The account is
# condition enough: whoever else may use Config in it may also pass this role.
data "aws_iam_policy_document" "recorder_trust" {
  statement {
    sid     = "ConfigOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["config.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

data "aws_iam_policy_document" "recorder" {
  statement {
    sid       = "FindBucket"
    actions   = ["s3:GetBucketAcl", "s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "DeliverHistory"
    actions   = ["s3:PutObject", "s3:PutObjectAcl"]
    resources = ["${local.bucket_arn}/AWSLogs/${local.account_id}/Config/*"]

    condition {
      test     = "StringLike"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }
  }
}
