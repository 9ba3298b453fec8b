"""Names stay within what AWS takes, with the longest prefix and the longest name of a region, and with the shortest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from plain_aws import ACCOUNT, plain_aws
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    Named = dict[str, list[str]]

# ap-southeast-1 and its like are the longest of the regions that a commercial account can have.
LONGEST_REGION = "ap-southeast-1"
INPUTS = {
    "workloads": f'{{ account_ids = ["{ACCOUNT}"], regions = ["{LONGEST_REGION}"] }}',
    "workload": '{ recorder = {}, event_source = "config" }',
    "sweep": '{ report_bucket = "acme-reports" }',
    "notifications": "{ create_topic = true, digest = {} }",
}

# The attribute that is the name, what AWS takes, and where it says so.
RULES = {
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    "aws_iam_role": ("name", r"[\w+=,.@-]{1,64}"),
    "aws_iam_role_policy": ("name", r"[\w+=,.@-]{1,128}"),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    "aws_lambda_function": ("function_name", r"[a-zA-Z0-9_-]{1,64}"),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    "aws_sqs_queue": ("name", r"[a-zA-Z0-9_-]{1,80}"),
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html, CreateEventBus and PutTargets
    "aws_cloudwatch_event_rule": ("name", r"[.\-_A-Za-z0-9]{1,64}"),
    "aws_cloudwatch_event_bus": ("name", r"[.\-_A-Za-z0-9]{1,256}"),
    "aws_cloudwatch_event_target": ("target_id", r"[.\-_A-Za-z0-9]{1,64}"),
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html and CreateSchedule
    "aws_scheduler_schedule_group": ("name", r"[0-9a-zA-Z-_.]{1,64}"),
    "aws_scheduler_schedule": ("name", r"[0-9a-zA-Z-_.]{1,64}"),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    "aws_dynamodb_table": ("name", r"[a-zA-Z0-9_.-]{3,255}"),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
    "aws_cloudwatch_log_group": ("name", r"[.\-_/#A-Za-z0-9]{1,512}"),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
    "aws_cloudwatch_query_definition": ("name", r"[^:*|]{1,255}"),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html and PutDashboard
    "aws_cloudwatch_metric_alarm": ("alarm_name", r".{1,255}"),
    "aws_cloudwatch_dashboard": ("dashboard_name", r"[a-zA-Z0-9_-]{1,255}"),
    # https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    "aws_sns_topic": ("name", r"[a-zA-Z0-9_-]{1,256}"),
    # https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html
    "aws_kms_alias": ("name", r"alias/[a-zA-Z0-9/_-]{1,250}"),
    # https://docs.aws.amazon.com/config/latest/APIReference/API_PutConfigurationAggregator.html and its like
    "aws_config_configuration_aggregator": ("name", r"[\w-]{1,256}"),
    "aws_config_configuration_recorder": ("name", r".{1,256}"),
    "aws_config_delivery_channel": ("name", r".{1,256}"),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "aws_s3_bucket": ("bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "aws_s3_object": ("key", r".{1,1024}"),
}
# What is named within a role, a rule or a group of schedules.
WITHIN = {"aws_iam_role_policy", "aws_cloudwatch_event_target", "aws_scheduler_schedule"}
# What has no name of its own.
NAMELESS = {
    "aws_cloudwatch_event_bus_policy",
    "aws_config_aggregate_authorization",
    "aws_config_configuration_recorder_status",
    "aws_iam_role_policy_attachment",
    "aws_kms_key",
    "aws_kms_key_policy",
    "aws_lambda_event_source_mapping",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_sns_topic_policy",
    "terraform_data",
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[dict[str, Any]]]:
    """What is planned with the longest and with the shortest prefix."""
    tree = copy_of_tree(tmp_path_factory.mktemp("names") / "tree")
    planned = {}
    with plain_aws() as aws:
        for prefix in ("a" * 24, "a"):
            inputs = {f"TF_VAR_{name}": value for name, value in {**INPUTS, "name_prefix": prefix}.items()}
            terraform = Terraform(tree, terraform_environment(tree, {**aws, **inputs, "AWS_REGION": LONGEST_REGION}))
            terraform.init()
            terraform.plan(out=tree / "out.tfplan")
            changes = terraform.show_json(tree / "out.tfplan")["resource_changes"]
            planned[prefix] = [change for change in changes if change["mode"] == "managed"]
    return planned


def test_every_kind_of_resource_is_known(resources: Mapping[str, list[dict[str, Any]]]) -> None:
    assert {each["type"] for some in resources.values() for each in some} <= RULES.keys() | NAMELESS


def test_names_are_what_aws_takes(resources: Mapping[str, list[dict[str, Any]]]) -> None:
    wrong = []
    checked = 0
    for some in resources.values():
        for each in some:
            attribute, rule = RULES.get(each["type"], (None, ""))
            name = each["change"]["after"].get(attribute) if attribute else None
            if name is not None:
                checked += 1
                wrong += [] if re.fullmatch(rule, name) else [(each["address"], name, len(name))]
    assert wrong == []
    # All of them are known when they are planned.
    named = [each for some in resources.values() for each in some if each["type"] in RULES]
    assert checked == len(named)


def test_nothing_is_named_without_the_prefix(resources: Mapping[str, list[dict[str, Any]]]) -> None:
    """So two installations in one account have nothing in common."""
    (longest, _) = resources.values()
    names = {
        each["address"]: each["change"]["after"][RULES[each["type"]][0]]
        for each in longest
        if each["type"] in RULES.keys() - WITHIN
    }
    assert names
    assert {address: name for address, name in names.items() if "a" * 24 not in name} == {}
