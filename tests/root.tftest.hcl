# What there is to ask of AWS, so that no account is needed: terraform init && terraform test
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  workloads = { account_ids = ["111111111111"] }
}

run "joins_both_modules_for_one_account" {
  command = plan

  variables {
    workload = {}
  }

  assert {
    condition     = output.event_bus_arn != null
    error_message = "the bus must be an output"
  }
}

run "is_the_shared_account_alone_without_workload" {
  command = plan

  variables {
    workload = null
  }

  assert {
    condition     = length(module.workload_account) == 0
    error_message = "no workload, no module of it"
  }
}

run "refuses_a_single_account_that_does_not_expect_itself" {
  command = plan

  variables {
    workload  = {}
    workloads = { account_ids = ["222222222222"] }
  }

  expect_failures = [var.workload]
}
