"""The environment of the functions as the Terraform module sets it, for tests."""

from __future__ import annotations

ENVIRONMENT = {
    "REGISTRY_ID": "111111111111",
    "REGISTRY_REGIONS": "eu-central-1,eu-west-1",
    "OPT_IN_TAG_KEY": "ecr-cleanup",
    "OPT_IN_TAG_VALUE": "enabled",
    "GRACE_PERIOD_HOURS": "24",
    "LEDGER_TABLE_NAME": "ecr-cleanup-ledger",
    "SCHEDULE_GROUP_NAME": "ecr-cleanup",
    "SCHEDULE_ROLE_ARN": "arn:aws:iam::111111111111:role/ecr-cleanup-scheduler",
    "CHECK_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111111111111:ecr-cleanup-checks",
    "SCHEDULE_DEAD_LETTER_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111111111111:ecr-cleanup-schedules-dead-letter",
    "AGGREGATOR_NAME": "ecr-cleanup",
    "ACTION": "delete",
    "WORKLOAD_ACCOUNT_IDS": "222222222222,333333333333",
    "WORKLOAD_REGIONS": "eu-central-1",
    "EXEMPT_ACCOUNTS": "",
    "MAX_REGISTRATION_LAG_MINUTES": "60",
    "EVENT_BUS_NAME": "ecr-cleanup",
    "RESOURCE_TYPES": "AWS::AppRunner::Service,AWS::CodeBuild::Project,AWS::ECS::Service,AWS::ECS::TaskDefinition,"
    "AWS::ECS::TaskSet,AWS::SageMaker::Model",
    "FUNCTION_ROLE_ARN": "arn:aws:iam::111111111111:role/ecr-cleanup-run-checks",
    "PROTECTED_TAG_PATTERNS": "",
    "MINIMUM_AGE_DAYS": "14",
    "PULLED_WITHIN_HOURS": "",
    "NEVER_USED_PULLED_WITHIN_DAYS": "90",
    "UNTAGGED_MINIMUM_AGE_DAYS": "30",
    "NEWEST_IMAGES": "1",
    "TAGS_NEVER_MOVE": "false",
    "REMOVALS_PER_DAY": "500",
    "ARCHIVE_DAYS": "90",
    "READER_ROLE_NAME": "",
    "READER_EXTERNAL_ID": "",
    "NEWEST_REVISIONS": "",
}

SWEEP_ENVIRONMENT = {
    **ENVIRONMENT,
    "SWEEP_QUEUE_ARN": "arn:aws:sqs:eu-central-1:111111111111:ecr-cleanup-sweeps",
    "FUNCTION_ROLE_ARN": "arn:aws:iam::111111111111:role/ecr-cleanup-sweep",
    "REPORT_BUCKET": "",
    "REPORT_PREFIX": "",
    "REPOSITORY_METRICS": "true",
    "QUIET_ACCOUNTS": "",
}

DIGEST_ENVIRONMENT = {
    **ENVIRONMENT,
    "TOPIC_ARN": "arn:aws:sns:eu-central-1:111111111111:ecr-cleanup-notifications",
    "WHEN_NOTHING_WAS_REMOVED": "false",
}
