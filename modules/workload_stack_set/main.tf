# Service-managed: CloudFormation makes the roles it works under, and goes to each account that joins a unit.
resource "aws_cloudformation_stack_set" "this" {
  name             = "${var.name_prefix}-workload"
  description      = "Says what uses the images of the registry behind ${var.event_bus_arn}"
  permission_model = "SERVICE_MANAGED"
  call_as          = var.call_as
  capabilities     = ["CAPABILITY_NAMED_IAM"]
  template_body    = file("${path.module}/template.yaml")
  tags             = var.tags

  parameters = {
    EventBusArn             = var.event_bus_arn
    NamePrefix              = var.name_prefix
    EventSource             = var.event_source
    AuthorizeAggregator     = tostring(var.authorize_aggregator)
    LiveUsage               = tostring(var.live_usage)
    RecorderHistoryDays     = tostring(try(var.recorder.history_days, 0))
    PermissionsBoundaryName = var.permissions_boundary_name == null ? "" : var.permissions_boundary_name
  }

  auto_deployment {
    enabled = true
    # An account that leaves is not asked any more.
    retain_stacks_on_account_removal = false
  }

  # Several regions are one operation each: they queue instead of failing.
  managed_execution {
    active = true
  }

  operation_preferences {
    region_concurrency_type      = "PARALLEL"
    max_concurrent_percentage    = var.rollout.max_concurrent_percentage
    failure_tolerance_percentage = var.rollout.failure_tolerance_percentage
  }

  lifecycle {
    # AWS fills it in: https://github.com/hashicorp/terraform-provider-aws/pull/45992
    ignore_changes = [administration_role_arn]
  }
}

# Provider 6 prefers `stack_set_instance_region`, which provider 5 does not know; both take `region`.
resource "aws_cloudformation_stack_set_instance" "this" {
  for_each = var.regions

  stack_set_name = aws_cloudformation_stack_set.this.name
  region         = each.value
  call_as        = var.call_as

  deployment_targets {
    organizational_unit_ids = var.organizational_unit_ids
    account_filter_type     = length(var.excluded_account_ids) > 0 ? "DIFFERENCE" : null
    accounts                = length(var.excluded_account_ids) > 0 ? var.excluded_account_ids : null
  }

  operation_preferences {
    region_concurrency_type      = "PARALLEL"
    max_concurrent_percentage    = var.rollout.max_concurrent_percentage
    failure_tolerance_percentage = var.rollout.failure_tolerance_percentage
  }
}
