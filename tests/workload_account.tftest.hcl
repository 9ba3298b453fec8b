# What there is to ask of AWS, so that no account is needed: terraform init && terraform test
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  event_bus_arn = "arn:aws:events:eu-central-1:111111111111:event-bus/ecr-cleanup"
}

run "makes_a_reader_and_no_recorder" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    tags = { Team = "platform" }
  }

  assert {
    condition     = length(aws_iam_role.reader) == 1
    error_message = "a reader role must be made by default"
  }

  assert {
    condition     = length(aws_config_configuration_recorder.this) == 0
    error_message = "a recorder must not be made unless asked for"
  }
}

run "goes_without_a_reader" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    live_usage = false
  }

  assert {
    condition     = length(aws_iam_role.reader) == 0
    error_message = "no live usage, no role"
  }
}

run "makes_a_recorder_where_asked" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    recorder = {}
  }

  assert {
    condition     = length(aws_config_configuration_recorder.this) == 1
    error_message = "the recorder must be made"
  }
}

run "refuses_the_name_of_a_bus" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    event_bus_arn = "ecr-cleanup"
  }

  expect_failures = [var.event_bus_arn]
}

run "refuses_an_unknown_source" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    event_source = "eventbridge"
  }

  expect_failures = [var.event_source]
}

run "refuses_a_prefix_in_capitals" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    name_prefix = "ECR"
  }

  expect_failures = [var.name_prefix]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan

  module {
    source = "./modules/workload_account"
  }

  variables {
    permissions_boundary_arn = "boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}
