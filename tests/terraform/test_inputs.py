"""Inputs that make no sense are refused before anything is made, with a message that shows a right value."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from plain_aws import ACCOUNT, plain_aws
from terraform_tools import Terraform, TerraformError, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A module with one input (as Terraform writes it) and what is said about it; None if it is right."""

    module: str
    name: str
    value: str
    message: str | None

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


def shared(name: str, message: str | None, *values: str) -> list[Case]:
    return [Case("shared_account", name, value, message) for value in values]


def workload(name: str, message: str | None, *values: str) -> list[Case]:
    return [Case("workload_account", name, value, message) for value in values]


def workloads(message: str | None, *values: str) -> list[Case]:
    return shared("workloads", message, *(f"{{ {value} }}" for value in values))


def schedules(message: str | None, *values: str) -> list[Case]:
    return shared("sweep", message, *(f'{{ schedule = "{value}" }}' for value in values))


def notifications(message: str | None, *values: str) -> list[Case]:
    return shared("notifications", message, *(f"{{ {value} }}" for value in values))


def alarms(message: str | None, *values: str) -> list[Case]:
    return shared("alarms", message, *(f"{{ {value} }}" for value in values))


def protections(message: str | None, *values: str) -> list[Case]:
    return shared("protections", message, *(f"{{ {value} }}" for value in values))


MANY = [f"{number:012}" for number in range(151)]
ONE = 'account_ids = ["123456789012"]'
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LAYER = "arn:aws:lambda:eu-central-1:123456789012:layer:powertools:7"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
SERVICE = "arn:aws:ecs:eu-central-1:123456789012:service/main/api"
ECS = ["AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ECS::TaskSet"]
BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/ecr-cleanup"

CASES = [
    *shared("name_prefix", "such as \"ecr-cleanup\"", '""', '"Ecr"', '"-a"', '"a-"', '"a_b"', f'"{"a" * 25}"'),
    *shared("name_prefix", None, '"a"', f'"{"a" * 24}"', '"0-a"'),
    *workloads("needs either account_ids", "", f'{ONE}, organization_id = "o-a1b2c3d4e5"'),
    *workloads("1 to 150 accounts", "account_ids = []", f"account_ids = {json.dumps(MANY)}"),
    *workloads("account ids of 12 digits", 'account_ids = ["12345678901"]', 'account_ids = ["*"]'),
    *workloads("the id of an organization", 'organization_id = "*"', 'organization_id = "ou-a1b2-c3d4e5f6"'),
    *workloads("at least one region", f"{ONE}, regions = []"),
    *workloads("must hold regions", f'{ONE}, regions = ["eu-central"]', f'{ONE}, regions = ["*"]'),
    *workloads("must hold accounts", *(f'{ONE}, exempt = ["{it}"]' for it in ("12", "123456789012/", "*", "a b"))),
    *workloads("ARNs of single", *(f'{ONE}, exempt = ["{it}"]' for it in (SERVICE + ",x", SERVICE + "*", "arn:aws"))),
    *workloads("longer than 2000", f"{ONE}, exempt = {json.dumps([f'{SERVICE}{n}' for n in range(100, 140)])}"),
    *workloads('must hold "AWS::ECS::Service"', *(f"{ONE}, resource_types = {json.dumps(it)}" for it in ([], ECS[1:]))),
    *workloads("and nothing else", f"{ONE}, resource_types = {json.dumps([*ECS, 'AWS::Lambda::Function'])}"),
    *workloads("name of an AWS Config aggregator", f'{ONE}, aggregator_name = ""', f'{ONE}, aggregator_name = "a b"'),
    *workloads("from 5 to 1440", *(f"{ONE}, max_registration_lag_minutes = {lag}" for lag in (0, 4, 1441, 5.5, -60))),
    *workloads("a bool", f'{ONE}, live_usage = "sometimes"'),
    *workloads("from 1 to 1000", *(f"{ONE}, newest_revisions = {count}" for count in (0, -1, 1001, 1.5))),
    *workloads("needs workloads.live_usage = true", f"{ONE}, newest_revisions = 10, live_usage = false"),
    *workloads(None, f"{ONE}, newest_revisions = 1", f"{ONE}, newest_revisions = 1000, live_usage = null"),
    *schedules("such as \"rate(1 day)\"", "", "daily", "rate(0 days)", "at(2030-01-01T00:00:00)"),
    *schedules("such as \"rate(1 day)\"", "cron(0 3 * * *)", "cron(0 3 * * * *)", "cron(0 3 1 * MON *)"),
    *schedules(None, "rate(12 hours)", "cron(0/30 3 ? JAN MON-FRI 2030)", "cron(0 3 15W * ? *)"),
    *shared("sweep", "name of an S3 bucket", '{ report_bucket = "Reports" }', '{ report_bucket = "s3://reports" }'),
    *shared(
        "sweep",
        "report_prefix must be",
        '{ report_prefix = "a b" }',
        '{ report_prefix = "/clean-up/" }',
        '{ report_prefix = "clean//up/" }',
        f'{{ report_prefix = "{"a" * 501}" }}',
    ),
    *shared("sweep", None, '{ report_prefix = "a/b-c/" }', '{ report_prefix = "" }'),
    *shared("sweep", None, "null", "{}", '{ schedule = "cron(0 3 * * ? *)", report_bucket = "acme-reports" }'),
    *workloads(
        None,
        ONE,
        f"{ONE}, live_usage = false",
        f"{ONE}, live_usage = null",
        'organization_id = "o-a1b2c3d4e5"',
        f"account_ids = {json.dumps(MANY[1:])}",
        f'{ONE}, regions = ["us-gov-west-1", "ap-southeast-3"], exempt = ["123456789012/eu-central-1", "210987654321"]',
        f'{ONE}, exempt = ["{SERVICE}", "{SERVICE.replace("service/main/api", "task-definition/api:7")}"]',
        f"{ONE}, exempt = {json.dumps(MANY)}",
        f"{ONE}, resource_types = {json.dumps(ECS)}",
        f"{ONE}, resource_types = {json.dumps([*ECS, 'AWS::AppRunner::Service', 'AWS::SageMaker::Model'])}",
        f"{ONE}, max_registration_lag_minutes = 5",
        f"{ONE}, max_registration_lag_minutes = 1440",
    ),
    *shared("registry_regions", "at least one region", "[]"),
    *shared("registry_regions", "must hold regions", '["Frankfurt"]'),
    *shared("opt_in_tag", "opt_in_tag.key must be", '{ key = "" }', '{ key = "a*" }'),
    *shared("opt_in_tag", "must not begin with \"aws:\"", '{ key = "aws:x" }', '{ key = "AWS:x" }'),
    *shared("opt_in_tag", "opt_in_tag.value must be", '{ value = "" }', '{ value = "*" }', '{ value = "yes?" }'),
    *shared("opt_in_tag", None, '{ key = "team:cleanup/images", value = "yes please" }'),
    *shared("grace_period_hours", "from 1 to 8760 (365 days), such as 24", "0", "-24", "8761", "0.5", "9999999999999"),
    *shared("grace_period_hours", None, "1", "8760"),
    *shared("action", '"report", "delete" or "archive"', '"Delete"', '"restore"', '""'),
    *shared("action", None, '"delete"', '"archive"'),
    *shared("archive_days", "from 1 to 3650, such as 90", "0", "-1", "3651", "1.5"),
    *shared("archive_days", None, "1", "3650"),
    *protections("1 to 128 letters", *(f'tag_patterns = ["{it}"]' for it in ("", "a,b", "v?", "é", "a" * 129))),
    *protections("minimum_age_days must be", *(f"minimum_age_days = {days}" for days in (-1, 3651, 0.5))),
    *protections(
        "untagged_minimum_age_days must be", *(f"untagged_minimum_age_days = {days}" for days in (-1, 3651, 0.5))
    ),
    *protections("from 0 to 8760", *(f"pulled_within_hours = {hours}" for hours in (-1, 8761, 0.5))),
    *protections(
        "never_used_pulled_within_days must be",
        *(f"never_used_pulled_within_days = {days}" for days in (-1, 3651, 0.5)),
    ),
    *protections("from 0 to 10000", *(f"newest_images = {number}" for number in (-1, 10001, 0.5))),
    *protections("from 1 to 100000", *(f"removals_per_day = {number}" for number in (0, 100001, 1.5))),
    *protections(
        None,
        "",
        f'tag_patterns = ["*", "release-*", "v1._-*", "{"a" * 128}"]',
        "minimum_age_days = 0, pulled_within_hours = 0, never_used_pulled_within_days = 0, newest_images = 0",
        "untagged_minimum_age_days = 0",
        "untagged_minimum_age_days = 3650",
        "minimum_age_days = 3650, pulled_within_hours = 8760, never_used_pulled_within_days = 3650",
        "newest_images = 10000, removals_per_day = 100000, tags_never_move = true",
        "pulled_within_hours = null, removals_per_day = 1",
    ),
    *shared("lambda", "lambda.runtime must be", '{ runtime = "python3.10" }', '{ runtime = "nodejs22.x" }'),
    *shared("lambda", "lambda.architecture must be", '{ architecture = "arm" }'),
    *shared("lambda", "from 256 to 10240", "{ memory_mb = 128 }", "{ memory_mb = 10241 }", "{ memory_mb = 512.5 }"),
    *shared("lambda", "lambda.log_level must be", '{ log_level = "info" }'),
    *shared("lambda", "ARN of a layer version", '{ powertools_layer_arn = "powertools" }'),
    *shared("lambda", "ARN of a layer version", f'{{ powertools_layer_arn = "{LAYER[:-2]}" }}'),
    *shared("lambda", None, '{ runtime = "python3.11", architecture = "x86_64", memory_mb = 10240 }'),
    *shared("lambda", None, f'{{ powertools_layer_arn = "{LAYER}" }}'),
    *shared("lambda_package", "needs either filename", "{}", '{ filename = "a.zip", s3_bucket = "b", s3_key = "c" }'),
    *shared("lambda_package", "go together", '{ s3_bucket = "b" }', '{ filename = "a.zip", s3_key = "c" }'),
    *shared("lambda_package", None, '{ s3_bucket = "b", s3_key = "c" }'),
    *shared("kms_key_arn", "must be the ARN of a key", '"alias/aws/sqs"', f'"{KEY.replace("key/", "alias/")}"'),
    *shared("kms_key_arn", None, f'"{KEY}"'),
    *notifications("ARN of an SNS topic", *(f'topic_arn = "{it}"' for it in ("on-call", f"{TOPIC}:subscription", BUS))),
    *notifications("ARN of an SNS topic that is not FIFO", f'topic_arn = "{TOPIC}.fifo"'),
    *notifications("and not both", f'topic_arn = "{TOPIC}", create_topic = true'),
    *notifications("must be the ARN of a key", f'topic_arn = "{TOPIC}", kms_key_arn = "alias/aws/sns"'),
    *notifications("of no use without it", f'kms_key_arn = "{KEY}"', f'create_topic = true, kms_key_arn = "{KEY}"'),
    *notifications("digest needs a topic", "digest = {}", "create_topic = false, digest = {}"),
    *notifications("digest.schedule must be", 'create_topic = true, digest = { schedule = "daily" }'),
    *notifications(
        None,
        "",
        "create_topic = true, digest = {}",
        f'topic_arn = "{TOPIC}", kms_key_arn = "{KEY}"',
        f'topic_arn = "{TOPIC}", digest = {{ schedule = "rate(12 hours)", when_nothing_was_removed = true }}',
    ),
    *alarms("from 1 to 24", *(f"untrusted_hours = {hours}" for hours in (0, 25, 1.5))),
    *alarms("from 1 to 20", *(f"postponements = {times}" for times in (0, 21, 1.5))),
    *alarms("from 1 to 24", *(f"queue_age_hours = {hours}" for hours in (0, 25, 1.5))),
    *alarms("from 1 to 100000", *(f"removals_per_hour = {images}" for images in (0, 100001, 1.5))),
    *alarms("from 1 to 365", *(f"days_without_event = {days}" for days in (0, 366, 1.5))),
    *alarms("from 1 to 7", *(f"days_without_sweep = {days}" for days in (0, 8, 1.5))),
    *alarms("from 0 to 1000", *(f"function_errors = {errors}" for errors in (-1, 1001, 1.5))),
    *alarms("minutes_of_throttling must be 5,", *(f"minutes_of_throttling = {minutes}" for minutes in (0, 7, 65))),
    *alarms("account ids of 12 digits", 'quiet_accounts = ["12345678901"]'),
    *alarms(None, "", "days_without_sweep = null, removals_per_hour = null", 'quiet_accounts = ["123456789012"]'),
    *alarms(None, "untrusted_hours = 24, postponements = 20, queue_age_hours = 1, days_without_sweep = 7"),
    *shared("alarms", None, "null"),
    *shared("dashboard", "a bool", '"big"'),
    *shared("permissions_boundary_arn", "must be the ARN of a policy", '"boundary"'),
    *shared("permissions_boundary_arn", None, '"arn:aws:iam::aws:policy/PowerUserAccess"'),
    *shared("log_retention_days", "that CloudWatch Logs takes", "0", "2", "366"),
    *workload("name_prefix", "such as \"ecr-cleanup\"", '"Ecr"'),
    *workload("event_bus_arn", "the ARN of the shared account's event bus", '"ecr-cleanup"', f'"{BUS[:-12]}"'),
    *workload("event_bus_arn", "the ARN of the shared account's event bus", f'"{BUS}/a"', f'"{BUS}{"x" * 14}"'),
    *workload("event_bus_arn", None, f'"{BUS}{"x" * 13}"'),
    *workload("event_source", '"cloudtrail" or "config"', '"eventbridge"'),
    *workload("recorder", "from 1 to 3650", *(f"{{ history_days = {days} }}" for days in (0, 3651, 1.5))),
    *workload("recorder", None, "{}", "{ history_days = 1 }"),
    *workload("live_usage", "a bool", '"sometimes"'),
    *workload("live_usage", None, "true", "false"),
    *workload("permissions_boundary_arn", "must be the ARN of a policy", '"boundary"'),
]  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Case, list[str]]:
    """What `terraform validate` says of each case, from one run over all of them."""
    tree = copy_of_tree(tmp_path_factory.mktemp("inputs") / "tree")
    terraform = Terraform(tree / "cases", terraform_environment(tree, {}))
    terraform.directory.mkdir()
    lines: list[str] = []
    at_line: dict[int, Case] = {}
    for number, case in enumerate(CASES):
        inputs = {"shared_account": {"workloads": f"{{ {ONE} }}"}, "workload_account": {"event_bus_arn": f'"{BUS}"'}}
        lines += [f'module "case_{number}" {{', f'  source = "../modules/{case.module}"']
        for name, value in {**inputs[case.module], case.name: case.value}.items():
            lines.append(f"  {name} = {value}")
            at_line[len(lines)] = case
        lines.append("}")
    (terraform.directory / "main.tf").write_text("\n".join(lines) + "\n")
    terraform.init()
    output = subprocess.run(
        ["terraform", "validate", "-json"],  # noqa: S607
        cwd=terraform.directory,
        env=dict(terraform.environment),
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    messages: dict[Case, list[str]] = {case: [] for case in CASES}
    for diagnostic in json.loads(output)["diagnostics"]:
        messages[at_line[diagnostic["range"]["start"]["line"]]].append(diagnostic["detail"])
    return messages


@pytest.mark.parametrize("case", CASES, ids=str)
def test_input(case: Case, said: Mapping[Case, list[str]]) -> None:
    if case.message is None:
        assert said[case] == []
    else:
        assert any(case.message in message for message in said[case]), said[case]


def refusal(tree: Path, aws: Mapping[str, str], **inputs: str) -> str:
    """What is said when the root is planned with these inputs, in one line."""
    variables = {f"TF_VAR_{name}": value for name, value in inputs.items()}
    terraform = Terraform(tree, terraform_environment(tree, {**aws, **variables}))
    terraform.init()
    with pytest.raises(TerraformError) as refused:
        terraform.plan()
    return " ".join(str(refused.value).replace("│", " ").split())


@pytest.fixture(scope="module")
def aws() -> Iterator[Mapping[str, str]]:
    with plain_aws() as variables:
        yield variables


def test_single_account_must_expect_itself(tmp_path: Path, aws: Mapping[str, str]) -> None:
    workloads = '{ account_ids = ["999999999999"], regions = ["eu-west-1"] }'

    said = refusal(copy_of_tree(tmp_path / "tree"), aws, workloads=workloads, workload="{}")

    assert f'workloads.account_ids must name this account too, such as ["{ACCOUNT}"]' in said
    assert 'workloads.regions must name this region too, such as ["eu-central-1"]' in said


def test_as_many_accounts_and_regions_as_there_are_fit_into_settings_and_policy(
    tmp_path: Path, aws: Mapping[str, str]
) -> None:
    # About as many regions as AWS has, with names as long as they come.
    sides = ("northeast", "southeast", "southwest", "northwest")
    regions = json.dumps([f"ap-{side}-{number}" for side in sides for number in range(1, 9)])
    tree = copy_of_tree(tmp_path / "tree")
    inputs = {
        "workloads": f"{{ account_ids = {json.dumps(MANY[1:])} }}",
        "registry_regions": regions,
        "name_prefix": "a" * 24,
        "action": "delete",
    }
    environment = {**aws, **{f"TF_VAR_{name}": value for name, value in inputs.items()}}
    terraform = Terraform(tree, terraform_environment(tree, environment))
    terraform.init()

    terraform.plan(out=tree / "out.tfplan")

    plan = terraform.show_json(tree / "out.tfplan")
    (policy,) = (
        change["change"]["after"]["policy"]
        for change in plan["resource_changes"]
        if change["address"].endswith('aws_iam_role_policy.function["run_checks"]')
    )
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, which does not count white space
    assert len("".join(policy.split())) <= 10240


def test_settings_must_fit_into_what_lambda_takes(tmp_path: Path, aws: Mapping[str, str]) -> None:
    workloads = f"{{ account_ids = {json.dumps(MANY[1:])}, exempt = {json.dumps(MANY[1:])} }}"

    said = refusal(copy_of_tree(tmp_path / "tree"), aws, workloads=workloads)

    assert "AWS Lambda takes 4096 characters of settings, and these are more: give workloads.organization_id" in said
