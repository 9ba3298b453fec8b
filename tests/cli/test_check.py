"""Asking for a check: the only command that writes."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from cli.conftest import configure
from ecr_cleanup.check import Check
from ecr_cleanup.cli.app import is_interactive
from ecr_cleanup.cli.calls import READS
from fakes import REGION

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from integration.bench import Bench


def messages() -> list[Check]:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="ecr-cleanup-checks")["QueueUrl"]
    return [Check.from_json(message["Body"]) for message in sqs.receive_message(QueueUrl=url).get("Messages", [])]


def test_schedules_a_check_after_a_grace_period(bench: Bench, cli: CommandLine) -> None:
    assert "is checked at 2030-02-01T12:00:00Z" in cli.prints("check", "team/app:v1")
    assert bench.due() == bench.clock.now + timedelta(hours=24)
    assert messages() == []


def test_goes_by_the_grace_period_of_the_repository(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup__grace_hours="48")
    cli.prints("check", "team/app:v1")
    assert bench.due() == bench.clock.now + timedelta(hours=48)


def test_moves_no_check_to_an_earlier_time(bench: Bench, cli: CommandLine) -> None:
    later = bench.clock.now + timedelta(hours=72)
    bench.schedules.put(Check(bench.image_id, "postponed"), later, now=bench.clock.now)
    assert "is checked at 2030-02-03T12:00:00Z" in cli.prints("check", "team/app:v1")
    assert bench.due() == later


def test_sends_one_at_once(bench: Bench, cli: CommandLine) -> None:
    assert "within minutes" in cli.prints("check", "team/app:v1", "--now")
    assert messages() == [Check(bench.image_id, "asked for with ecr-cleanup check")]
    assert bench.due() is None


def test_writes_nothing_else(bench: Bench, cli: CommandLine) -> None:
    cli.prints("check", "team/app:v1")
    cli.prints("check", "team/app:v1", "--now")
    assert set(cli.calls) - READS == {"scheduler:CreateSchedule", "sqs:GetQueueUrl", "sqs:SendMessage"}


def test_refuses_an_image_that_does_not_exist(bench: Bench, cli: CommandLine) -> None:
    assert "there is no image team/app:v9 in the registry" in cli.fails(5, "check", "team/app:v9", "--now")
    assert messages() == []


def test_refuses_an_image_that_is_in_several_regions(bench: Bench, cli: CommandLine) -> None:
    configure(REGISTRY_REGIONS=f"{REGION},eu-west-1")
    cli.answer(
        "ecr:DescribeImages",
        {"imageDetails": [{"imageDigest": bench.image_id.digest, "imagePushedAt": bench.clock.now}]},
    )
    assert "several regions (eu-central-1, eu-west-1)" in cli.fails(5, "check", "team/app:v1")


def test_says_that_the_check_of_a_repository_that_did_not_opt_in_is_in_vain(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup="disabled")
    result = cli("check", "team/app:v1")
    assert "not opted in with the tag ecr-cleanup = enabled" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(("answer", "exit_code", "asked_for"), [("y\n", 0, True), ("n\n", 1, False)])
def test_asks_on_a_terminal(
    bench: Bench,
    cli: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    exit_code: int,
    asked_for: bool,
) -> None:
    monkeypatch.setattr("ecr_cleanup.cli.app.is_interactive", lambda: True)
    result = cli("check", "team/app:v1", input=answer)
    assert result.exit_code == exit_code
    assert "after a grace period (action delete)?" in result.stderr
    assert (bench.due() is not None) is asked_for


def test_does_not_ask_where_it_is_told_not_to(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleanup.cli.app.is_interactive", lambda: True)
    assert "is checked" in cli.prints("check", "team/app:v1", "--yes")


def test_a_queue_that_is_not_there_is_said(bench: Bench, cli: CommandLine) -> None:
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="ecr-cleanup-checks")["QueueUrl"])
    assert "there is no queue ecr-cleanup-checks" in cli.fails(3, "check", "team/app:v1", "--now")


def test_what_is_sent_is_a_check(bench: Bench, cli: CommandLine) -> None:
    cli.prints("check", "team/app:v1", "--now")
    (check,) = messages()
    assert json.loads(check.to_json())["version"] == 1


def test_nobody_is_asked_whose_input_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not is_interactive()
