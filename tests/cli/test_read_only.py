"""Nothing is written by those who only look."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli.conftest import configure, sweep_ended
from cli.world import build
from ecr_cleanup.cli.calls import PULLS, READS, WRITES
from ecr_cleanup.cli.read_only import NoLedger, ReadOnlyLedger
from ecr_cleanup.inventory import TaskDefinition
from fakes import HOST, PROD
from integration.bench import ARN, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.conftest import CommandLine
    from ecr_cleanup.aws.ledger import Ledger
    from integration.bench import Bench

COMMANDS: list[list[str]] = [
    ["plan"],
    ["plan", "--assume-opted-in"],
    ["plan", "team/app", "--output", "csv"],
    ["explain", "team/app:v0"],
    ["explain", "team/app:gone"],
    ["pending"],
    ["doctor"],
]


def test_the_lists_of_calls_have_nothing_in_common() -> None:
    assert not READS & WRITES
    assert not PULLS & (READS | WRITES)
    writing = ("Put", "Create", "Delete", "Update", "Send", "Batch", "Register", "Tag")
    assert {call for call in READS if call.partition(":")[2].startswith(writing)} == {"dynamodb:BatchGetItem"}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_only_reads(bench: Bench, cli: CommandLine, arguments: list[str]) -> None:
    build(bench)
    what_the_functions_would_write(bench)
    before = everything(bench)
    cli(*arguments)
    assert cli.calls
    assert set(cli.calls) <= READS
    assert everything(bench) == before


def test_layers_pull_and_write_nothing(bench: Bench, cli: CommandLine) -> None:
    build(bench)
    what_the_functions_would_write(bench)
    ledger = items()
    cli.prints("plan", "--layers")
    assert set(cli.calls) - READS == PULLS
    assert items() == ledger


def test_the_functions_would_have_written(bench: Bench) -> None:
    """Or else the tests above prove nothing."""
    build(bench)
    what_the_functions_would_write(bench)
    before = items()
    bench.check()
    assert items() != before


def what_the_functions_would_write(bench: Bench) -> None:
    """Registrations that the aggregator shows by now, or shows as inactive; and counts that were never taken."""
    register(bench, minutes_ago=120)
    bench.aggregator.show(ARN, f"{HOST}/team/app:v1")
    late = ARN.replace("app:7", "late:1")
    register(bench, arn=late, minutes_ago=120)
    bench.aggregator.inactive[late] = TaskDefinition(late, PROD, (f"{HOST}/team/app:v1",))


def items() -> list[dict[str, Any]]:
    return sorted(boto3.client("dynamodb").scan(TableName="ecr-cleanup-ledger")["Items"], key=str)


def everything(bench: Bench) -> tuple[Any, ...]:
    """The ledger, the registry with its pull times, and the schedules."""
    images = bench.ecr.client.describe_images(repositoryName="team/app")["imageDetails"]
    schedules = boto3.client("scheduler").list_schedules(GroupName="ecr-cleanup")["Schedules"]
    return items(), sorted(images, key=str), schedules


@pytest.mark.parametrize("kind", [ReadOnlyLedger, NoLedger])
def test_every_write_of_the_ledger_seems_to_succeed_and_is_dropped(
    bench: Bench, kind: Callable[[Any, str], Ledger]
) -> None:
    ledger, image_id, now = kind(boto3.client("dynamodb"), "ecr-cleanup-ledger"), bench.image_id, bench.clock.now
    before = items()
    ledger.record_registration(ARN, PROD, at=now, references=["a"], image_ids=[image_id], now=now)
    ledger.record_nameless_registration("arn", "1", PROD, at=now, references=["a"], image_ids=[], now=now)
    ledger.record_deregistration(ARN, at=now, references=["a"], image_ids=[image_id])
    ledger.forget_awaiting(ARN)
    ledger.record_last_use(image_id, at=now + timedelta(hours=1), by=ARN)
    ledger.record_count(PROD, active=1, deregistered=0, at=now)
    assert ledger.count_removal(now=now, limit=1) is True
    assert items() == before


def test_what_would_have_been_written_is_told_to_the_end(bench: Bench) -> None:
    """Or the command line would say that an image can go which the functions keep for a grace period."""
    ledger, now = ReadOnlyLedger(boto3.client("dynamodb"), "ecr-cleanup-ledger"), bench.clock.now
    bench.ledger.record_last_use(bench.image_id, at=now - timedelta(hours=2), by="arn:before")
    ledger.record_last_use(bench.image_id, at=now - timedelta(hours=1), by=ARN)
    ledger.record_last_use(bench.image_id, at=now - timedelta(hours=3))
    ledger.record_deregistration(ARN, at=now, references=[], image_ids=[])
    record = ledger.images([bench.image_id])[bench.image_id]
    assert record.last_used_at == now - timedelta(hours=1)
    assert record.used_by == {"arn:before", ARN}
    assert ledger.task_definitions([ARN, "arn:other"])[ARN].deregistered_at == now
    assert ledger.task_definitions(["arn:other"])["arn:other"].deregistered_at is None


def test_where_nothing_is_installed_nothing_is_known(bench: Bench) -> None:
    ledger = NoLedger(boto3.client("dynamodb"), "ecr-cleanup-ledger")
    assert ledger.images([bench.image_id])[bench.image_id].last_used_at is None
    assert ledger.awaiting(now=bench.clock.now) == []
    assert ledger.places() == {}


@pytest.mark.real_aggregator
def test_every_call_on_the_list_is_made(bench: Bench, cli: CommandLine) -> None:
    """The list is also what docs/command_line.md asks permission for."""
    build(bench)
    sweep_ended(bench)
    cli.answer("organizations:ListAccounts", {"Accounts": [{"Id": "222222222222", "State": "ACTIVE"}]})
    cli.refuse("config:DescribeConfigurationAggregatorSourcesStatus", "NoSuchConfigurationAggregatorException")
    cli.answer("config:DescribeConfigurationAggregators", {"ConfigurationAggregators": []})
    cli.answer("config:SelectAggregateResourceConfig", {"Results": []})
    configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")
    cli("plan", "--assume-opted-in")
    cli.answer("config:DescribeConfigurationAggregatorSourcesStatus", {"AggregatedSourceStatusList": []})
    for arguments in COMMANDS:
        cli(*arguments)
    cli("plan", "--name-prefix", "other")
    assert set(cli.calls) == READS
    cli.prints("check", "team/app:v0", "--now")
    cli.prints("check", "team/app:v0")
    # Those that only a check needs that is pending already.
    assert set(cli.calls) - READS >= WRITES - {"scheduler:CreateSchedule", "scheduler:DeleteSchedule"}
