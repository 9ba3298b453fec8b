"""The StackSet puts into an account what the module workload_account does, in a way that CloudFormation takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.api import lint_file

from local_aws.stacks import Resource, TemplateError, check_parameters, load, resolve
from plain_aws import ACCOUNT, plain_aws
from terraform_tools import TREE, Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Json = dict[str, Any]
    Planned = dict[tuple[str, str], Json]
    Translated = list[tuple[str, str, Json]]

REGION = "eu-central-1"
BUS = "arn:aws:events:eu-west-1:999999999999:event-bus/images"
TEMPLATE = TREE / "modules/workload_stack_set/template.yaml"
BUCKET = "stack-recorderbucket"

INPUTS: dict[str, dict[str, str]] = {
    "by default": {},
    "everything the other way": {
        "name_prefix": "acme",
        "authorize_aggregator": "false",
        "event_source": "config",
        "live_usage": "false",
    },
    "with a recorder and a boundary": {"recorder": "{ history_days = 30 }", "boundary": "yes"},
}
# The variable that only one of both has: AWS names a policy by an ARN, which is another in each account.
BOUNDARY = {
    "workload_account": ("permissions_boundary_arn", f"arn:aws:iam::{ACCOUNT}:policy/platform/boundary"),
    "workload_stack_set": ("permissions_boundary_name", "platform/boundary"),
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Mapping[str, str]], list[Json]]]:
    """Plans a module with inputs; gives its managed resources."""
    tree = copy_of_tree(tmp_path_factory.mktemp("stack_set") / "tree")
    with plain_aws() as aws:

        def planned(module: str, inputs: Mapping[str, str]) -> list[Json]:
            given = dict(inputs)
            if given.pop("boundary", None):
                given |= dict([BOUNDARY[module]])
            variables = {f"TF_VAR_{key}": value for key, value in given.items()}
            directory = tree / "modules" / module
            terraform = Terraform(directory, terraform_environment(tree, {**aws, **variables}))
            if not (directory / ".terraform").exists():
                terraform.init()
            terraform.plan(out=directory / "out.tfplan")
            changes = terraform.show_json(directory / "out.tfplan")["resource_changes"]
            return [change for change in changes if change["mode"] == "managed"]

        yield planned


@pytest.fixture(scope="module", params=INPUTS)
def both(
    request: pytest.FixtureRequest, plan: Callable[[str, Mapping[str, str]], list[Json]]
) -> tuple[Planned, Planned]:
    """What the module workload_account plans with some inputs, and what the StackSet's stacks would have with them."""
    inputs = {"event_bus_arn": BUS, **INPUTS[request.param]}
    where = {"organizational_unit_ids": '["ou-a1b2-c3d4e5f6"]', "regions": f'["{REGION}"]'}
    (stack_set,) = [
        each["change"]["after"]
        for each in plan("workload_stack_set", {**inputs, **where})
        if each["type"] == "aws_cloudformation_stack_set"
    ]
    stack = resolve(stack_set["template_body"], stack_set["parameters"], ACCOUNT, REGION)
    return as_planned(plan("workload_account", inputs)), in_terraforms_words(stack)


def test_a_stack_has_what_the_module_makes(both: tuple[Planned, Planned]) -> None:
    of_module, of_stack = both

    assert of_stack.keys() == of_module.keys()
    for name, expected in of_module.items():
        assert of_stack[name] == expected, name


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("ecs:ListTasks", "ecs:StopTask"),
        ("sts:ExternalId: !Ref EventBusArn", "sts:ExternalId: anything"),
        ("DeregisterTaskDefinition]", "DeleteTaskDefinitions]"),
        ("Resource: !Ref EventBusArn", 'Resource: "*"'),
        ("MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 60"),
    ],
)
def test_a_template_that_differs_is_noticed(was: str, becomes: str) -> None:
    template = TEMPLATE.read_text()
    assert was in template
    parameters = {"EventBusArn": BUS}

    changed = in_terraforms_words(resolve(template.replace(was, becomes), parameters, ACCOUNT, REGION))

    assert changed != in_terraforms_words(resolve(template, parameters, ACCOUNT, REGION))


def test_cfn_lint_finds_nothing() -> None:
    assert [str(match) for match in lint_file(TEMPLATE)] == []


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text(TEMPLATE.read_text().replace("MessageRetentionPeriod:", "MessageRetention:"))

    assert [match.rule.id for match in lint_file(broken)] == ["E3002"]


def test_is_small_enough_to_be_sent_as_it_is() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    assert len(TEMPLATE.read_bytes()) < 51_200


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("EventBusArn", "arn:aws:events:eu-west-1:999999999999:rule/images"),
        ("NamePrefix", "Acme"),
        ("EventSource", "sns"),
        ("LiveUsage", "yes"),
        ("RecorderHistoryDays", "4000"),
        ("PermissionsBoundaryName", "arn:aws:iam::123456789012:policy/boundary"),
    ],
)
def test_the_template_alone_takes_no_wrong_parameter(parameter: str, value: str) -> None:
    with pytest.raises(TemplateError, match=parameter):
        check_parameters(load(TEMPLATE.read_text()), {"EventBusArn": BUS, parameter: value})


def test_goes_to_accounts_that_join_and_leaves_those_out_that_are_excluded(
    plan: Callable[[str, Mapping[str, str]], list[Json]],
) -> None:
    planned = plan(
        "workload_stack_set",
        {
            "event_bus_arn": BUS,
            "organizational_unit_ids": '["r-a1b2"]',
            "regions": '["eu-central-1", "eu-west-1"]',
            "excluded_account_ids": '["111111111111"]',
            "tags": '{ Team = "platform" }',
        },
    )

    of_kind: dict[str, list[Json]] = {}
    for each in planned:
        of_kind.setdefault(each["type"], []).append(each["change"]["after"])
    (stack_set,) = of_kind["aws_cloudformation_stack_set"]
    assert stack_set["permission_model"] == "SERVICE_MANAGED"
    assert stack_set["auto_deployment"] == [{"enabled": True, "retain_stacks_on_account_removal": False}]
    assert stack_set["tags"] == {"Team": "platform"}
    instances = of_kind["aws_cloudformation_stack_set_instance"]
    assert [it["region"] for it in instances] == ["eu-central-1", "eu-west-1"]
    for instance in instances:
        (targets,) = instance["deployment_targets"]
        assert targets["organizational_unit_ids"] == ["r-a1b2"]
        assert (targets["account_filter_type"], targets["accounts"]) == ("DIFFERENCE", ["111111111111"])


# The template in Terraform's words: what the module's plan would hold if Terraform made what the stack makes.


def in_terraforms_words(stack: list[Resource]) -> Planned:
    """The resources of a stack as those of the module workload_account, by type and name."""
    planned: Planned = {}
    for resource in stack:
        for kind, name, attributes in _TRANSLATIONS[resource.kind](resource, resource.properties):
            planned.setdefault((kind, name), {}).update(attributes)
    return planned


def as_planned(changes: list[Json]) -> Planned:
    """The managed resources of a plan of the module, each with all that it sets."""
    return {
        (change["type"], _name(change)): {
            key: _plain(key, said)
            for key, value in change["change"]["after"].items()
            if (said := _without_nothing(value)) not in NOTHING and (key, said) not in UNSAID
        }
        for change in changes
    }


# What the provider plans where nobody says anything, and what only Terraform knows of. Tags are the StackSet's.
UNSAID: list[tuple[str, Any]] = [
    ("event_bus_name", "default"),
    ("force_destroy", True),
    ("is_enabled", True),
    ("path", "/"),
    ("max_session_duration", 3600),
    ("max_message_size", 262144),
    ("delay_seconds", 0),
    ("receive_wait_time_seconds", 0),
    ("visibility_timeout_seconds", 30),
    ("kms_data_key_reuse_period_seconds", 0),
    ("fifo_queue", False),
    ("content_based_deduplication", False),
    ("force_destroy", False),
    ("force_detach_policies", False),
    ("transition_default_minimum_object_size", "all_storage_classes_128K"),
]


NOTHING: tuple[Any, ...] = (None, [], "")


def _without_nothing(value: Any) -> Any:
    """A value without the attributes within it that nobody set."""
    if isinstance(value, dict):
        kept = {key: _without_nothing(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in NOTHING}
    return [_without_nothing(each) for each in value] if isinstance(value, list) else value


def _name(change: Json) -> str:
    """What tells a resource of a type from the others."""
    after = change["change"]["after"]
    names = {
        "aws_iam_role_policy": ("role", "name"),
        "aws_iam_role_policy_attachment": ("role", "policy_arn"),
        "aws_cloudwatch_event_target": ("rule", "target_id"),
    }
    return "/".join(after[key] for key in names.get(change["type"], ("name",)) if after.get(key))


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, str):
        # CloudFormation names the bucket.
        value = value.replace(f"ecr-cleanup-config-{ACCOUNT}-{REGION}", BUCKET)
    if key in ("policy", "assume_role_policy"):
        return _statements(json.loads(value))
    return json.loads(value) if key == "event_pattern" else value


def _statements(document: Json) -> list[Json]:
    """The statements of a policy, in which one thing and a list of it are the same."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        return sorted(value if isinstance(value, list) else [value])

    return [plain(statement) | {"Sid": statement["Sid"]} for statement in document["Statement"]]


def _rule(_: Resource, it: Json) -> Translated:
    rule = {"name": it["Name"], "description": it["Description"], "event_pattern": it["EventPattern"]}
    targets = [
        (
            "aws_cloudwatch_event_target",
            f"{it['Name']}/{target['Id']}",
            {
                "rule": it["Name"],
                "target_id": target["Id"],
                "arn": target["Arn"],
                "dead_letter_config": [{"arn": target["DeadLetterConfig"]["Arn"]}],
            },
        )
        for target in it["Targets"]
    ]
    return [("aws_cloudwatch_event_rule", it["Name"], rule), *targets]


def _queue(_: Resource, it: Json) -> Translated:
    attributes = {
        "name": it["QueueName"],
        "message_retention_seconds": it["MessageRetentionPeriod"],
        "sqs_managed_sse_enabled": it["SqsManagedSseEnabled"],
    }
    return [("aws_sqs_queue", it["QueueName"], attributes)]


def _queue_policy(_: Resource, it: Json) -> Translated:
    names = [url.rpartition("/")[2] for url in it["Queues"]]
    return [("aws_sqs_queue", name, {"policy": _statements(it["PolicyDocument"])}) for name in names]


def _role(_: Resource, it: Json) -> Translated:
    name = it["RoleName"]
    role = {
        "name": name,
        "description": it["Description"],
        "assume_role_policy": _statements(it["AssumeRolePolicyDocument"]),
    }
    if "PermissionsBoundary" in it:
        role["permissions_boundary"] = it["PermissionsBoundary"]
    policies = [
        (
            "aws_iam_role_policy",
            f"{name}/{policy['PolicyName']}",
            {"role": name, "name": policy["PolicyName"], "policy": _statements(policy["PolicyDocument"])},
        )
        for policy in it["Policies"]
    ]
    attached = [
        ("aws_iam_role_policy_attachment", f"{name}/{arn}", {"role": name, "policy_arn": arn})
        for arn in it.get("ManagedPolicyArns", [])
    ]
    return [("aws_iam_role", name, role), *policies, *attached]


def _authorization(_: Resource, it: Json) -> Translated:
    attributes = {"account_id": it["AuthorizedAccountId"], "region": it["AuthorizedAwsRegion"]}
    return [("aws_config_aggregate_authorization", "", attributes)]


def _recorder(_: Resource, it: Json) -> Translated:
    group = it["RecordingGroup"]
    attributes = {
        "name": it["Name"],
        "recording_group": [
            {
                "all_supported": group["AllSupported"],
                "include_global_resource_types": group["IncludeGlobalResourceTypes"],
                "resource_types": group["ResourceTypes"],
                "recording_strategy": [{"use_only": group["RecordingStrategy"]["UseOnly"]}],
            }
        ],
        "recording_mode": [{"recording_frequency": it["RecordingMode"]["RecordingFrequency"]}],
    }
    # CloudFormation starts what it makes.
    status = ("aws_config_configuration_recorder_status", it["Name"], {"name": it["Name"]})
    return [("aws_config_configuration_recorder", it["Name"], attributes), status]


def _channel(_: Resource, it: Json) -> Translated:
    attributes = {"name": it["Name"], "s3_bucket_name": it["S3BucketName"]}
    return [("aws_config_delivery_channel", it["Name"], attributes)]


def _bucket(resource: Resource, it: Json) -> Translated:
    assert resource.retained
    (encryption,) = it["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (expiry,) = it["LifecycleConfiguration"]["Rules"]
    public = it["PublicAccessBlockConfiguration"]
    return [
        ("aws_s3_bucket", "", {"bucket": resource.name}),
        (
            "aws_s3_bucket_public_access_block",
            "",
            {
                "bucket": resource.name,
                "block_public_acls": public["BlockPublicAcls"],
                "block_public_policy": public["BlockPublicPolicy"],
                "ignore_public_acls": public["IgnorePublicAcls"],
                "restrict_public_buckets": public["RestrictPublicBuckets"],
            },
        ),
        (
            "aws_s3_bucket_server_side_encryption_configuration",
            "",
            {
                "bucket": resource.name,
                "rule": [
                    {
                        "apply_server_side_encryption_by_default": [
                            {"sse_algorithm": encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"]}
                        ]
                    }
                ],
            },
        ),
        (
            "aws_s3_bucket_lifecycle_configuration",
            "",
            {
                "bucket": resource.name,
                "rule": [
                    {
                        "id": expiry["Id"],
                        "status": expiry["Status"],
                        "filter": [{}],
                        "expiration": [{"days": expiry["ExpirationInDays"], "expired_object_delete_marker": False}],
                    }
                ],
            },
        ),
    ]


def _bucket_policy(_: Resource, it: Json) -> Translated:
    attributes = {"bucket": it["Bucket"], "policy": _statements(it["PolicyDocument"])}
    return [("aws_s3_bucket_policy", "", attributes)]


_TRANSLATIONS: dict[str, Callable[[Resource, Json], Translated]] = {
    "AWS::Events::Rule": _rule,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::IAM::Role": _role,
    "AWS::Config::AggregationAuthorization": _authorization,
    "AWS::Config::ConfigurationRecorder": _recorder,
    "AWS::Config::DeliveryChannel": _channel,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
}
