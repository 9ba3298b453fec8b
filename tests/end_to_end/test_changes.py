"""What a change of the inputs does to a pending check: it is made all the same, or the plan and the docs say so.

UPGRADING.md has the table; the tests go through it on one installation, one change upon the other.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from end_to_end.installation import CHECK, GRACE, HOST, MINUTE, PREFIX, REGION, SHARED, TO_ANSWER, Installation
from local_aws import LocalAws
from terraform_tools import Terraform, changes, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

OTHER = "acme"
DAY = timedelta(days=1)
AGGREGATOR = "module.ecr_cleanup.aws_config_configuration_aggregator.this[0]"

# One account, which runs what is in its registry.
CONFIGURATION = """
provider "aws" {
  s3_use_path_style           = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true
}

variable "prefix" {
  default = "ecr-cleanup"
}

variable "tag" {
  default = "ecr-cleanup"
}

variable "inputs" {
  type    = any
  default = {}
}

variable "recorder" {
  default = true
}

module "ecr_cleanup" {
  source = "../modules/shared_account"

  name_prefix         = var.prefix
  opt_in_tag          = { key = var.tag }
  workloads           = { account_ids = ["%(account)s"], aggregator_name = lookup(var.inputs, "aggregator_name", null) }
  registry_regions    = lookup(var.inputs, "registry_regions", null)
  action              = lookup(var.inputs, "action", "delete")
  archive_days        = lookup(var.inputs, "archive_days", null)
  kms_key_arn         = lookup(var.inputs, "kms_key_arn", null)
  protections         = { newest_images = 0, minimum_age_days = 0 }
  notifications       = { create_topic = true, digest = {} }
  deletion_protection = false
}

module "workload" {
  source = "../modules/workload_account"

  name_prefix   = var.prefix
  event_bus_arn = module.ecr_cleanup.event_bus_arn
  recorder      = var.recorder ? {} : null

  # There is one of it for each account and region that aggregates, whatever the prefix.
  authorize_aggregator = var.recorder
}
"""


@dataclass
class Changing:
    """An installation, and the inputs that it has by now."""

    installation: Installation
    variables: dict[str, Any] = field(default_factory=dict)

    def arguments(self, **changed: Any) -> tuple[str, ...]:
        """The inputs, with others changed, as Terraform takes them."""
        variables = {**self.variables, **changed}
        return tuple(f"-var={key}={_hcl(value)}" for key, value in variables.items())

    def plan(self, **changed: Any) -> dict[str, list[str]]:
        """What a change would do, by the address of each resource."""
        saved = self.installation.terraform.directory / "out.tfplan"
        self.installation.terraform.plan(*self.arguments(**changed), out=saved)
        return changes(self.installation.terraform.show_json(saved))

    def differences(self) -> dict[str, dict[str, Any]]:
        """What a plan without a change would change all the same: attributes by resource, as they are and would be."""
        saved = self.installation.terraform.directory / "out.tfplan"
        self.installation.terraform.plan(*self.arguments(), out=saved)
        planned = self.installation.terraform.show_json(saved)
        found = {}
        for address in changes(planned):
            (change,) = [it["change"] for it in planned["resource_changes"] if it["address"] == address]
            before, after = change["before"] or {}, change["after"] or {}
            keys = before.keys() | after.keys()
            found[address] = {
                key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
            }
        return found

    def apply(self, **changed: Any) -> None:
        """Change inputs; a second plan then finds nothing to do."""
        self.installation.terraform.apply(*self.arguments(**changed))
        self.variables |= changed
        assert self.differences() == {}

    def pending_check(self, tag: str = PREFIX) -> tuple[str, str]:
        """An image that nobody uses any more, and whose check is not due yet."""
        installation = self.installation
        repository = installation.repository(opted_in=False)
        arn = f"arn:aws:ecr:{REGION}:{SHARED}:repository/{repository}"
        installation.client("ecr").tag_resource(resourceArn=arn, tags=[{"Key": tag, "Value": "enabled"}])
        digest = installation.push(repository, "v1")
        installation.deregister(installation.deployed(SHARED, f"{HOST}/{repository}:v1"))
        installation.aws.advance(MINUTE)
        return repository, digest

    def schedules(self, group: str = PREFIX) -> list[str]:
        """The names of the schedules of all pending checks."""
        found = self.installation.client("scheduler").list_schedules(GroupName=group)["Schedules"]
        return [schedule["Name"] for schedule in found if CHECK.fullmatch(schedule["Name"])]


def _hcl(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def a_check_is_pending(changing: Changing) -> Iterator[tuple[str, str]]:
    """A check is scheduled before the change that the block makes, and is so after it; then its time comes."""
    others = changing.schedules()
    repository, digest = changing.pending_check()
    (pending,) = set(changing.schedules()) - set(others)
    yield repository, digest
    assert pending in changing.schedules()
    assert changing.installation.exists(repository, digest)
    assert changing.installation.verdicts(digest) == []
    changing.installation.aws.advance(GRACE + TO_ANSWER)
    assert len(changing.installation.verdicts(digest)) == 1


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    directory = tmp_path_factory.mktemp("changes")
    with LocalAws(region=REGION) as aws:
        aws.create_account(SHARED)
        tree = copy_of_tree(directory / "tree")
        for name in ("first", "second"):
            (tree / name).mkdir()
            (tree / name / "main.tf").write_text(CONFIGURATION % {"account": SHARED})
        terraform = Terraform(tree / "first", terraform_environment(directory, aws.terraform_environment(SHARED)))
        terraform.init()
        terraform.apply()
        aws.advance(TO_ANSWER)
        yield Changing(Installation(aws, terraform))


def test_a_region_of_the_registry_more(changing: Changing) -> None:
    with a_check_is_pending(changing) as (repository, digest):
        changing.apply(inputs={"registry_regions": [REGION, "eu-west-1"]})
    assert not changing.installation.exists(repository, digest)


def test_a_region_of_the_registry_less(changing: Changing) -> None:
    with a_check_is_pending(changing) as (repository, digest):
        changing.apply(inputs={})
    assert not changing.installation.exists(repository, digest)


def test_another_key(changing: Changing) -> None:
    """From AWS's own to one, and from that to another one."""
    for _ in range(2):
        with a_check_is_pending(changing) as (repository, digest):
            changing.apply(inputs={"kms_key_arn": a_key(changing.installation)})
        assert not changing.installation.exists(repository, digest)


def a_key(installation: Installation) -> str:
    """A key with the policy that the README asks for."""
    services = ["events.amazonaws.com", f"logs.{REGION}.amazonaws.com"]
    statements = [
        {"Principal": {"AWS": f"arn:aws:iam::{SHARED}:root"}, "Action": "kms:*"},
        {
            "Principal": {"Service": services},
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
        },
    ]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **it} for it in statements]}
    arn: str = installation.client("kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    return arn


def test_archive_instead_of_delete(changing: Changing) -> None:
    with a_check_is_pending(changing) as (repository, digest):
        changing.apply(inputs={"action": "archive", "archive_days": 90})
    assert changing.installation.status(repository, digest) == "ARCHIVED"


def test_report_instead_of_delete(changing: Changing) -> None:
    """What is reported is not lost: once images are deleted again, it goes."""
    with a_check_is_pending(changing) as (repository, digest):
        changing.apply(inputs={"action": "report"})
    assert changing.installation.status(repository, digest) == "ACTIVE"


def test_an_aggregator_that_is_imported(changing: Changing) -> None:
    changing.apply(inputs={})
    terraform = changing.installation.terraform
    with a_check_is_pending(changing) as (repository, digest):
        terraform.forget(AGGREGATOR)
        terraform.run("import", *changing.arguments(), AGGREGATOR, PREFIX)
        assert not terraform.plan(*changing.arguments())
    assert not changing.installation.exists(repository, digest)


def test_an_aggregator_of_somebody_else(changing: Changing) -> None:
    changing.installation.client("config").put_configuration_aggregator(
        ConfigurationAggregatorName="theirs",
        AccountAggregationSources=[{"AccountIds": [SHARED], "AwsRegions": [REGION]}],
    )
    with a_check_is_pending(changing) as (repository, digest):
        assert changing.plan(inputs={"aggregator_name": "theirs"})[AGGREGATOR] == ["delete"]
        changing.apply(inputs={"aggregator_name": "theirs"})
    assert not changing.installation.exists(repository, digest)


@pytest.fixture
def second(changing: Changing) -> Changing:
    """Another installation in the same account, with a prefix and a tag of its own."""
    first = changing.installation
    directory = first.terraform.directory.parent / "second"
    other = Changing(Installation(first.aws, first.terraform.in_directory(directory), first._numbers))
    other.variables = {"prefix": OTHER, "tag": OTHER, "recorder": False}
    other.installation.terraform.init()
    return other


def test_two_installations_do_not_touch_each_other(changing: Changing, second: Changing) -> None:
    aws = changing.installation.aws
    kept = changing.pending_check()
    before = inventory(aws)

    second.apply()

    assert {name for name in before if name not in inventory(aws)} == set()
    assert changing.differences() == {}
    theirs = second.pending_check(OTHER)
    assert len(second.schedules(OTHER)) == 1
    roles = {name for name in inventory(aws) if name.startswith(f"role {OTHER}")}
    assert roles
    for role in roles:
        # Nothing of the first is in what the second may do.
        assert f":{PREFIX}-" not in policies(changing.installation, role.removeprefix("role "))
    aws.advance(GRACE + TO_ANSWER)
    assert not changing.installation.exists(*kept)
    assert not second.installation.exists(*theirs)

    pending = changing.pending_check()
    second.installation.terraform.destroy(*second.arguments())

    assert {name for name in inventory(aws) if OTHER in name.split()[1]} == set()
    assert changing.differences() == {}
    aws.advance(GRACE + TO_ANSWER)
    assert not changing.installation.exists(*pending)


def test_another_prefix_drops_pending_checks_and_the_first_sweep_finds_the_images(changing: Changing) -> None:
    installation = changing.installation
    repository, digest = changing.pending_check()
    group = "module.ecr_cleanup.aws_scheduler_schedule_group.this"
    # The plan says so.
    assert sorted(changing.plan(prefix=OTHER)[group]) == ["create", "delete"]

    changing.apply(prefix=OTHER)

    assert changing.schedules(OTHER) == []
    assert installation.exists(repository, digest)
    installation.aws.advance(3 * DAY)
    assert not installation.exists(repository, digest)


def test_destroyed_with_checks_pending_nothing_is_left(changing: Changing) -> None:
    installation = changing.installation
    changing.pending_check()
    assert changing.schedules(OTHER)

    installation.terraform.destroy(*changing.arguments())

    assert {name for name in inventory(installation.aws) if OTHER in name or PREFIX in name} == set()


def inventory(aws: LocalAws) -> set[str]:
    """All that there is in the account, each with its kind and its name."""
    session = aws.session(SHARED)

    def client(service: str) -> Any:
        return session.client(service)  # type: ignore[call-overload]

    groups = client("scheduler").list_schedule_groups()["ScheduleGroups"]
    there = {
        "role": [it["RoleName"] for it in client("iam").list_roles()["Roles"]],
        "queue": [url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])],
        "function": [it["FunctionName"] for it in client("lambda").list_functions()["Functions"]],
        "mapping": [
            it["FunctionArn"].rpartition(":")[2]
            for it in client("lambda").list_event_source_mappings()["EventSourceMappings"]
        ],
        "group": [it["Name"] for it in groups],
        "schedule": [
            f"{group['Name']}/{it['Name']}"
            for group in groups
            for it in client("scheduler").list_schedules(GroupName=group["Name"])["Schedules"]
        ],
        "table": client("dynamodb").list_tables()["TableNames"],
        "bus": [it["Name"] for it in client("events").list_event_buses()["EventBuses"]],
        "rule": [
            it["Name"]
            for bus in client("events").list_event_buses()["EventBuses"]
            for it in client("events").list_rules(EventBusName=bus["Name"])["Rules"]
        ],
        "logs": [it["logGroupName"] for it in client("logs").describe_log_groups()["logGroups"]],
        "query": [it["name"] for it in client("logs").describe_query_definitions()["queryDefinitions"]],
        "alarm": [it["AlarmName"] for it in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "dashboard": [it["DashboardName"] for it in client("cloudwatch").list_dashboards()["DashboardEntries"]],
        "topic": [it["TopicArn"].rpartition(":")[2] for it in client("sns").list_topics()["Topics"]],
        "alias": [it["AliasName"] for it in client("kms").list_aliases()["Aliases"]],
        "bucket": [it["Name"] for it in client("s3").list_buckets()["Buckets"]],
        "recorder": [
            it["name"] for it in client("config").describe_configuration_recorders()["ConfigurationRecorders"]
        ],
        "aggregator": [
            it["ConfigurationAggregatorName"]
            for it in client("config").describe_configuration_aggregators()["ConfigurationAggregators"]
        ],
    }
    return {f"{kind} {name}" for kind, names in there.items() for name in names}


def policies(installation: Installation, role: str) -> str:
    """All that a role may do, as text."""
    iam = installation.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return json.dumps([iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names])
