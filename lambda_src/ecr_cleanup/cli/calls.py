"""Every call that the command line makes, by service and operation: whatever is not here is not called."""

from __future__ import annotations

READS = frozenset(
    [
        "cloudwatch:GetMetricData",
        "config:DescribeConfigurationAggregatorSourcesStatus",
        "config:DescribeConfigurationAggregators",
        "config:SelectAggregateResourceConfig",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "ecr:DescribeImages",
        "ecr:DescribePullThroughCacheRules",
        "ecr:DescribeRepositories",
        "ecr:GetLifecyclePolicy",
        "ecr:ListImageReferrers",
        "ecr:ListPullTimeUpdateExclusions",
        "ecr:ListTagsForResource",
        "events:DescribeRule",
        "lambda:GetFunctionConfiguration",
        "lambda:ListEventSourceMappings",
        "organizations:ListAccounts",
        "resourcegroupstaggingapi:GetResources",
        "scheduler:GetSchedule",
        "scheduler:ListSchedules",
        "sqs:GetQueueAttributes",
        "sqs:ListQueues",
        "sts:GetCallerIdentity",
    ]
)
"""What all commands may do."""
PULLS = frozenset(["ecr:BatchGetImage"])
"""What ECR takes for a pull (https://github.com/aws/containers-roadmap/issues/2390): `plan --layers` does it."""
WRITES = frozenset(
    [
        "scheduler:CreateSchedule",
        "scheduler:DeleteSchedule",
        "scheduler:UpdateSchedule",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
    ]
)
"""What `check` may do on top."""

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
_PERMISSIONS = {
    "ecr:ListImageReferrers": "ecr:BatchGetImage",
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
}
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
NEEDS_NO_PERMISSION = frozenset(["sts:GetCallerIdentity"])


def permission_for(call: str) -> str:
    """The IAM action that a call needs."""
    return _PERMISSIONS.get(call, call)
