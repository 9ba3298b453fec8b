# What there is to ask of AWS, so that no account is needed: terraform init && terraform test
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  event_bus_arn           = "arn:aws:events:eu-central-1:111111111111:event-bus/ecr-cleanup"
  organizational_unit_ids = ["ou-a1b2-c3d4e5f6"]
  regions                 = ["eu-central-1"]
}

run "goes_to_accounts_that_join" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  assert {
    condition     = aws_cloudformation_stack_set.this.auto_deployment[0].enabled
    error_message = "an account that joins a unit must get the workload part"
  }

  assert {
    condition     = length(aws_cloudformation_stack_set_instance.this) == 1
    error_message = "one region, one deployment"
  }
}

run "takes_the_root_and_several_regions" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    organizational_unit_ids   = ["r-a1b2"]
    regions                   = ["eu-central-1", "us-gov-west-1"]
    permissions_boundary_name = "platform/boundary"
    call_as                   = "DELEGATED_ADMIN"
    rollout                   = { max_concurrent_percentage = 100, failure_tolerance_percentage = 0 }
  }

  assert {
    condition     = aws_cloudformation_stack_set.this.parameters["PermissionsBoundaryName"] == "platform/boundary"
    error_message = "the boundary must reach the template"
  }
}

run "refuses_no_units" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    organizational_unit_ids = []
  }

  expect_failures = [var.organizational_unit_ids]
}

run "refuses_units_by_name" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    organizational_unit_ids = ["production"]
  }

  expect_failures = [var.organizational_unit_ids]
}

run "refuses_no_regions" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    regions = []
  }

  expect_failures = [var.regions]
}

run "refuses_regions_by_place" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    regions = ["Frankfurt"]
  }

  expect_failures = [var.regions]
}

run "refuses_an_excluded_account_by_name" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    excluded_account_ids = ["sandbox"]
  }

  expect_failures = [var.excluded_account_ids]
}

run "refuses_another_caller" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    call_as = "ADMIN"
  }

  expect_failures = [var.call_as]
}

run "refuses_nobody_at_a_time" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    rollout = { max_concurrent_percentage = 0 }
  }

  expect_failures = [var.rollout]
}

run "refuses_a_part_of_a_percentage" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    rollout = { max_concurrent_percentage = 2.5 }
  }

  expect_failures = [var.rollout]
}

run "refuses_more_failures_than_all" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    rollout = { failure_tolerance_percentage = 101 }
  }

  expect_failures = [var.rollout]
}

run "refuses_a_boundary_by_arn" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    permissions_boundary_name = "arn:aws:iam::123456789012:policy/boundary"
  }

  expect_failures = [var.permissions_boundary_name]
}

run "refuses_a_boundary_with_a_leading_slash" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    permissions_boundary_name = "/boundary"
  }

  expect_failures = [var.permissions_boundary_name]
}

run "refuses_no_history" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    recorder = { history_days = 0 }
  }

  expect_failures = [var.recorder]
}

run "refuses_a_queue_for_a_bus" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    event_bus_arn = "arn:aws:sqs:eu-central-1:111111111111:ecr-cleanup"
  }

  expect_failures = [var.event_bus_arn]
}

run "refuses_capitals_in_the_prefix" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    name_prefix = "ACME"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_another_event_source" {
  command = plan

  module {
    source = "./modules/workload_stack_set"
  }

  variables {
    event_source = "sns"
  }

  expect_failures = [var.event_source]
}
