data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# ARNs are built from names, so that policies are fully known, and can be checked, at plan time.
locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id

  # The aggregator is where the bus is.
  aggregator_region     = split(":", var.event_bus_arn)[3]
  aggregator_account_id = split(":", var.event_bus_arn)[4]

  rule_name       = "${var.name_prefix}-task-definitions"
  rule_arn        = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${local.rule_name}"
  dead_letter_arn = "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${var.name_prefix}-forward-dead-letter"
}
