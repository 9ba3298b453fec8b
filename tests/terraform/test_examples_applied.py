"""Each example is applied to local AWS as it is, has nothing to do then, works, and can be destroyed."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws
from terraform_tools import TREE, Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SHARED, PRODUCTION, DEVELOPMENT = "111111111111", "222222222222", "333333333333"
REGION = "eu-central-1"
PREFIX = "ecr-cleanup"

# Applied by tests/end_to_end, with much more besides.
ELSEWHERE = {"local"}
# The first sweep begins at once.
TO_SWEEP = timedelta(minutes=3)


def nothing(_aws: LocalAws, _directory: Path) -> dict[str, str]:
    """The example needs nothing."""
    return {}


def recorder(_aws: LocalAws, _directory: Path) -> dict[str, str]:
    return {"recorder": "true"}


def accounts(_aws: LocalAws, _directory: Path) -> dict[str, str]:
    return {
        "shared_account_id": SHARED,
        "production_account_id": PRODUCTION,
        "development_account_id": DEVELOPMENT,
    }


def aggregator(aws: LocalAws, _directory: Path) -> dict[str, str]:
    aws.session(SHARED).client("config").put_configuration_aggregator(
        ConfigurationAggregatorName="organization",
        AccountAggregationSources=[{"AccountIds": [PRODUCTION, DEVELOPMENT], "AwsRegions": [REGION]}],
    )
    return {"aggregator_name": "organization"}


def units(aws: LocalAws, _directory: Path) -> dict[str, str]:
    organizations = aws.session(SHARED).client("organizations")
    (root,) = organizations.list_roots()["Roots"]
    made = organizations.create_organizational_unit(ParentId=root["Id"], Name="workloads")
    unit = made["OrganizationalUnit"]["Id"]
    organizations.move_account(AccountId=PRODUCTION, SourceParentId=root["Id"], DestinationParentId=unit)
    return {"organization_id": aws.organization_id, "organizational_unit_ids": f'["{unit}"]'}


def layer(aws: LocalAws, _directory: Path) -> dict[str, str]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("python/any.py", "")
    published = (
        aws.session(SHARED)
        .client("lambda")
        .publish_layer_version(LayerName="powertools", Content={"ZipFile": content.getvalue()})
    )
    return {"powertools_layer_arn": published["LayerVersionArn"]}


def package(aws: LocalAws, directory: Path) -> dict[str, str]:
    file = directory / "package.zip"
    subprocess.check_call([sys.executable, TREE / "lambda_src/build.py", file])
    bucket(aws, "artifacts").put_object(Bucket="artifacts", Key="it.zip", Body=file.read_bytes())
    return {"package_bucket": "artifacts", "package_key": "it.zip"}


def reports(aws: LocalAws, _directory: Path) -> dict[str, str]:
    bucket(aws, "reports")
    return {"report_bucket": "reports"}


def bucket(aws: LocalAws, name: str) -> Any:
    s3 = aws.session(SHARED).client("s3")
    where: Any = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return s3


# Makes what an example needs to be there, and gives its variables.
NEEDS: dict[str, Callable[[LocalAws, Path], dict[str, str]]] = {
    "archive": nothing,
    "existing_aggregator": aggregator,
    "multi_account": accounts,
    "organization": units,
    "private_layer": layer,
    "ready_package": package,
    "registry_regions": nothing,
    "report_only": reports,
    "single_account": recorder,
}

# Where it puts the part of a workload account, besides the account that it is applied in.
WORKLOADS = {"multi_account": {PRODUCTION, DEVELOPMENT}, "organization": {PRODUCTION}}


def test_every_example_is_applied() -> None:
    there = {path.parent.name for path in TREE.glob("examples/*/main.tf")}
    assert {*NEEDS, *ELSEWHERE} == there


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws(region=REGION) as local:
        for account in (SHARED, PRODUCTION, DEVELOPMENT):
            local.create_account(account)
        yield local


def left(aws: LocalAws, account: str) -> dict[str, list[str]]:
    """What an account has in the region of the module that has its prefix, by kind."""
    session = aws.session(account)
    queues = session.client("sqs").list_queues().get("QueueUrls", [])
    found: dict[str, Sequence[Any]] = {
        "functions": session.client("lambda").list_functions()["Functions"],
        "queues": [{"Name": url.rpartition("/")[2]} for url in queues],
        "tables": [{"Name": name} for name in session.client("dynamodb").list_tables()["TableNames"]],
        "buses": session.client("events").list_event_buses()["EventBuses"],
        "rules": session.client("events").list_rules()["Rules"],
        "schedule groups": session.client("scheduler").list_schedule_groups()["ScheduleGroups"],
        "log groups": session.client("logs").describe_log_groups()["logGroups"],
        "buckets": session.client("s3").list_buckets()["Buckets"],
        "aggregators": session.client("config").describe_configuration_aggregators()["ConfigurationAggregators"],
        "dashboards": session.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "roles": session.client("iam").list_roles()["Roles"],
        "alarms": session.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "stack sets": session.client("cloudformation").list_stack_sets()["Summaries"] if account == SHARED else [],
    }
    named = {kind: [next(it[name] for name in _NAMES if name in it) for it in them] for kind, them in found.items()}
    return {kind: ours for kind, names in named.items() if (ours := [name for name in names if PREFIX in name])}


_NAMES = (
    "FunctionName",
    "RoleName",
    "AlarmName",
    "logGroupName",
    "StackSetName",
    "ConfigurationAggregatorName",
    "DashboardName",
    "Name",
)


@pytest.mark.slow
@pytest.mark.parametrize("example", NEEDS)
def test_is_applied_has_nothing_to_do_then_and_can_be_destroyed(example: str, aws: LocalAws, tmp_path: Path) -> None:
    variables = {f"TF_VAR_{name}": value for name, value in NEEDS[example](aws, tmp_path).items()}
    environment = terraform_environment(tmp_path, aws.terraform_environment(SHARED) | variables)
    directory = copy_of_tree(tmp_path / "tree") / "examples" / example
    terraform = Terraform(directory, environment)
    terraform.init()

    terraform.apply()

    assert not terraform.plan()
    everywhere = {account: left(aws, account) for account in (SHARED, PRODUCTION, DEVELOPMENT)}
    assert everywhere[SHARED].keys() >= {"functions", "queues", "tables", "buses", "schedule groups", "roles", "alarms"}
    reached = {account for account in (PRODUCTION, DEVELOPMENT) if everywhere[account].keys() >= {"roles", "rules"}}
    assert reached == WORKLOADS.get(example, set())
    aws.advance(TO_SWEEP)
    (sweep,) = aws.invocations(f"{PREFIX}-sweep")
    assert sweep.error is None
    assert [call for call in aws.calls if not call.allowed] == []
    assert aws.lost_events == []

    # As the README says; before, the ledger refuses.
    main = directory / "main.tf"
    source = re.search(r'  source += "[./]+(modules/shared_account)?"\n', main.read_text())
    assert source
    main.write_text(main.read_text().replace(source[0], f"{source[0]}  deletion_protection = false\n"))
    terraform.apply()
    terraform.destroy()

    assert {account: left(aws, account) for account in (SHARED, PRODUCTION, DEVELOPMENT)} == {
        account: {} for account in (SHARED, PRODUCTION, DEVELOPMENT)
    }
