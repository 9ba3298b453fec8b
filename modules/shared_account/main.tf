data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# ARNs are built from names, so that policies are fully known, and can be checked, at plan time.
locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id

  registry_regions = coalesce(var.registry_regions, [local.region])
  workload_regions = coalesce(var.workloads.regions, [local.region])

  event_bus_arn      = "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/${var.name_prefix}"
  ledger_arn         = "arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table/${var.name_prefix}-ledger"
  schedule_group_arn = "arn:${local.partition}:scheduler:${local.region}:${local.account_id}:schedule-group/${var.name_prefix}"
  schedule_role_arn  = "arn:${local.partition}:iam::${local.account_id}:role/${local.schedule_role_name}"

  # A rule of the default bus has no bus in its ARN.
  rule_arns = {
    task_definitions = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${var.name_prefix}/${local.rule_names.task_definitions}"
    image_pushes     = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${local.rule_names.image_pushes}"
  }
  rule_names = {
    task_definitions = "${var.name_prefix}-task-definitions"
    image_pushes     = "${var.name_prefix}-image-pushes"
  }

  schedule_role_name = "${var.name_prefix}-scheduler"

  # The module workload_account makes one per account and region, with the region after this.
  reader_role_name = "${var.name_prefix}-reader"
}
