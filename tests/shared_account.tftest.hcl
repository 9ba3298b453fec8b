# What there is to ask of AWS, so that no account is needed: terraform init && terraform test
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  workloads = { account_ids = ["222222222222"] }
}

run "deletes_nothing_unless_asked" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    tags = { Team = "platform" }
  }

  assert {
    condition     = aws_lambda_function.this["run_checks"].environment[0].variables["ACTION"] == "report"
    error_message = "action must be report by default"
  }

  assert {
    condition     = aws_lambda_function.this["run_checks"].tags["Team"] == "platform"
    error_message = "tags must be on the functions"
  }
}

run "deletes_where_asked" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    action = "delete"
  }

  assert {
    condition     = aws_lambda_function.this["run_checks"].environment[0].variables["ACTION"] == "delete"
    error_message = "action must reach the function"
  }
}

run "goes_without_a_sweep" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    sweep = null
  }

  assert {
    condition     = length(aws_scheduler_schedule.sweep) == 0
    error_message = "no sweep, no schedule of it"
  }
}

run "takes_an_aggregator_that_exists" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    workloads = { account_ids = ["222222222222"], aggregator_name = "organization" }
  }

  assert {
    condition     = length(aws_config_configuration_aggregator.this) == 0
    error_message = "no other aggregator must be made"
  }
}

run "refuses_a_prefix_in_capitals" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    name_prefix = "ECR"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_a_prefix_that_is_too_long" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    name_prefix = "aaaaaaaaaaaaaaaaaaaaaaaaa"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_accounts_and_an_organization" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    workloads = { account_ids = ["222222222222"], organization_id = "o-a1b2c3d4e5" }
  }

  expect_failures = [var.workloads]
}

run "refuses_nobody" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    workloads = {}
  }

  expect_failures = [var.workloads]
}

run "refuses_an_account_of_eleven_digits" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    workloads = { account_ids = ["22222222222"] }
  }

  expect_failures = [var.workloads]
}

run "refuses_newest_revisions_without_live_usage" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    workloads = { account_ids = ["222222222222"], newest_revisions = 3, live_usage = false }
  }

  expect_failures = [var.workloads]
}

run "refuses_an_unknown_action" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    action = "purge"
  }

  expect_failures = [var.action]
}

run "refuses_no_grace_period" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    grace_period_hours = 0
  }

  expect_failures = [var.grace_period_hours]
}

run "refuses_a_schedule_that_is_none" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    sweep = { schedule = "daily" }
  }

  expect_failures = [var.sweep]
}

run "refuses_a_report_prefix_with_a_slash_first" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    sweep = { report_bucket = "acme-reports", report_prefix = "/a" }
  }

  expect_failures = [var.sweep]
}

run "refuses_a_region_that_is_none" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    registry_regions = ["Frankfurt"]
  }

  expect_failures = [var.registry_regions]
}

run "refuses_an_alias_of_a_key" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    kms_key_arn = "alias/mine"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_an_old_runtime" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    lambda = { runtime = "python3.9" }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_package_from_nowhere" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    lambda_package = {}
  }

  expect_failures = [var.lambda_package]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    permissions_boundary_arn = "boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_logs_for_a_time_that_cloudwatch_lacks" {
  command = plan

  module {
    source = "./modules/shared_account"
  }

  variables {
    log_retention_days = 2
  }

  expect_failures = [var.log_retention_days]
}
