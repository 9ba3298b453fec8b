"""What is scheduled."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3

from ecr_cleanup.check import Check

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from integration.bench import Bench


def put(bench: Bench, cause: str, hours: float, *, image: str = "v1") -> str:
    image_id = bench.image_id if image == "v1" else bench.push(image, content=image)
    check = Check(image_id, cause)
    bench.schedules.put(check, bench.clock.now + timedelta(hours=hours), now=bench.clock.now)
    return check.schedule_name


def test_lists_checks_by_their_time(bench: Bench, cli: CommandLine) -> None:
    put(bench, "later", 3)
    put(bench, "sooner", 1, image="v2")
    causes = [check["cause"] for check in json.loads(cli.prints("pending", "--output", "json"))["checks"]]
    assert causes == ["sooner", "later"]


def test_leaves_out_schedules_that_are_no_checks(bench: Bench, cli: CommandLine) -> None:
    assert cli.prints("pending") == "No check is pending.\n"
    assert cli.calls.count("scheduler:GetSchedule") == 0


def test_a_check_that_fires_meanwhile_is_left_out(bench: Bench, cli: CommandLine) -> None:
    put(bench, "any", 1)
    cli.refuse("scheduler:GetSchedule", "ResourceNotFoundException")
    assert cli.prints("pending") == "No check is pending.\n"


def test_one_that_is_due_says_so(bench: Bench, cli: CommandLine) -> None:
    put(bench, "any", 1)
    bench.clock.advance(hours=2)
    assert "2030-01-31T13:00:00Z (due)" in cli.prints("pending")


def test_a_schedule_that_holds_no_check_is_named(bench: Bench, cli: CommandLine) -> None:
    name = put(bench, "any", 1)
    client = boto3.client("scheduler")
    schedule = client.get_schedule(GroupName="ecr-cleanup", Name=name)
    client.update_schedule(
        GroupName="ecr-cleanup",
        Name=name,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={**schedule["Target"], "Input": "nonsense"},
    )
    assert f"the schedule {name} holds no check that can be read" in cli.prints("pending")


def test_a_group_that_is_not_there_is_said(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("scheduler:ListSchedules", "ResourceNotFoundException")
    assert "there is no schedule group ecr-cleanup" in cli.fails(3, "pending")
