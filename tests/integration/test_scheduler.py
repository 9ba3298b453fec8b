from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ecr_cleanup.check import Check
from ecr_cleanup.errors import ScheduleConflictError
from ecr_cleanup.image import ImageId, Repository

if TYPE_CHECKING:
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.settings import CheckSettings
    from fakes import FakeClock

CHECK = Check(ImageId(Repository("111111111111", "eu-central-1", "team/app"), "sha256:" + "a" * 64), "because")
DAY = timedelta(hours=24)


def stored() -> dict[str, Any]:
    return dict(boto3.client("scheduler").get_schedule(GroupName="ecr-cleanup", Name=CHECK.schedule_name))


def count() -> int:
    return len(boto3.client("scheduler").list_schedules(GroupName="ecr-cleanup")["Schedules"])


def test_makes_one_complete_schedule(schedules: CheckSchedules, clock: FakeClock, settings: CheckSettings) -> None:
    assert schedules.put(CHECK, clock.now + DAY, now=clock.now) == clock.now + DAY
    schedule = stored()
    assert schedule["ScheduleExpression"] == "at(2030-02-01T12:00:00)"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["Target"]["Arn"] == settings.check_queue_arn
    assert schedule["Target"]["RoleArn"] == settings.schedule_role_arn
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": settings.schedule_dead_letter_queue_arn}
    assert json.loads(schedule["Target"]["Input"])["image"] == str(CHECK.image_id)


def test_a_later_use_moves_the_check_and_loses_nothing_of_it(schedules: CheckSchedules, clock: FakeClock) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    before = stored()
    assert schedules.put(CHECK, clock.now + 2 * DAY, now=clock.now) == clock.now + 2 * DAY
    after = stored()
    assert after["ScheduleExpression"] == "at(2030-02-02T12:00:00)"
    for same in ("Target", "ActionAfterCompletion", "FlexibleTimeWindow", "State", "ScheduleExpressionTimezone"):
        assert after[same] == before[same]
    assert count() == 1


def test_an_earlier_use_does_not_bring_the_check_forward(schedules: CheckSchedules, clock: FakeClock) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    assert schedules.put(CHECK, clock.now + DAY / 2, now=clock.now) == clock.now + DAY
    assert stored()["ScheduleExpression"] == "at(2030-02-01T12:00:00)"


def test_is_never_due_in_the_past_nor_before_its_time(schedules: CheckSchedules, clock: FakeClock) -> None:
    assert schedules.put(CHECK, clock.now - DAY, now=clock.now) == clock.now + timedelta(minutes=2)
    clock.advance(days=3)
    exact = clock.now + DAY + timedelta(microseconds=1)
    assert schedules.put(CHECK, exact, now=clock.now) == clock.now + DAY + timedelta(seconds=1)


def test_one_that_fired_and_is_still_there_is_made_anew(
    schedules: CheckSchedules, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    clock.advance(hours=24, seconds=30)

    def swallowed(**_: object) -> None:
        pytest.fail("an update of a schedule that fired can vanish with it")

    monkeypatch.setattr(schedules._client, "update_schedule", swallowed)
    assert schedules.put(CHECK, clock.now + DAY, now=clock.now) == clock.now + DAY
    assert stored()["ScheduleExpression"] == "at(2030-02-02T12:00:30)"


def vanish(schedules: CheckSchedules, monkeypatch: pytest.MonkeyPatch, operation: str, times: int) -> None:
    """Somebody removes the schedule right before each of the first calls of an operation."""
    real = getattr(schedules._client, operation)
    left = [times]

    def call(**arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            boto3.client("scheduler").delete_schedule(GroupName="ecr-cleanup", Name=CHECK.schedule_name)
        return real(**arguments)

    monkeypatch.setattr(schedules._client, operation, call)


@pytest.mark.parametrize("operation", ["get_schedule", "update_schedule"])
def test_one_that_vanishes_meanwhile_is_made_anew(
    schedules: CheckSchedules, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    vanish(schedules, monkeypatch, operation, 1)
    assert schedules.put(CHECK, clock.now + 2 * DAY, now=clock.now) == clock.now + 2 * DAY
    assert stored()["ScheduleExpression"] == "at(2030-02-02T12:00:00)"


def test_one_that_fired_and_vanishes_meanwhile_is_made_anew(
    schedules: CheckSchedules, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    clock.advance(days=2)
    vanish(schedules, monkeypatch, "delete_schedule", 1)
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    assert stored()["ScheduleExpression"] == "at(2030-02-03T12:00:00)"


def test_never_gives_up_with_nothing_pending(
    schedules: CheckSchedules, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    real = schedules._due
    answers = [None, None]
    monkeypatch.setattr(schedules, "_due", lambda name: answers.pop() if answers else real(name))
    clock.advance(hours=24)
    assert schedules.put(CHECK, clock.now + DAY, now=clock.now) == clock.now + DAY
    assert count() == 1


def test_gives_up_loudly_where_others_keep_changing_it(
    schedules: CheckSchedules, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.put(CHECK, clock.now + DAY, now=clock.now)
    monkeypatch.setattr(schedules, "_due", lambda _: None)
    with pytest.raises(ScheduleConflictError, match="team/app"):
        schedules.put(CHECK, clock.now + 2 * DAY, now=clock.now)
