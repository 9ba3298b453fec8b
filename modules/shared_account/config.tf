resource "aws_config_configuration_aggregator" "this" {
  count = var.workloads.aggregator_name == null ? 1 : 0

  name = var.name_prefix
  tags = var.tags

  dynamic "account_aggregation_source" {
    for_each = var.workloads.account_ids == null ? [] : [var.workloads.account_ids]

    content {
      account_ids = sort(account_aggregation_source.value)
      regions     = sort(local.workload_regions)
    }
  }

  dynamic "organization_aggregation_source" {
    for_each = aws_iam_role.aggregator

    content {
      role_arn = organization_aggregation_source.value.arn
      regions  = sort(local.workload_regions)
    }
  }

  depends_on = [aws_iam_role_policy_attachment.aggregator]
}

# Lets AWS Config see which accounts the organization has. Only an organization's aggregator needs it.
resource "aws_iam_role" "aggregator" {
  count = var.workloads.aggregator_name == null && var.workloads.organization_id != null ? 1 : 0

  name                 = "${var.name_prefix}-aggregator"
  description          = "Lets AWS Config list the accounts of the organization"
  assume_role_policy   = data.aws_iam_policy_document.aggregator_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "aggregator" {
  count = length(aws_iam_role.aggregator)

  role       = aws_iam_role.aggregator[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSConfigRoleForOrganizations"
}

# No aws:SourceArn here: AWS documents it for recorders only, and an aggregator whose role does not work loses its data.
# https://docs.aws.amazon.com/config/latest/developerguide/iamrole-permissions.html
data "aws_iam_policy_document" "aggregator_trust" {
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
