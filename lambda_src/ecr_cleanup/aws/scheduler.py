"""The schedules: one per image whose check is pending."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.errors import ScheduleConflictError

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from ecr_cleanup.check import Check
    from ecr_cleanup.settings import Settings

# A schedule this close to firing may fire, or be removed after firing, while it is being changed
# (the scheduler's precision is 60 seconds: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
_MARGIN = timedelta(minutes=2)
_ATTEMPTS = 3
_FORMAT = "at(%Y-%m-%dT%H:%M:%S)"
CONTINUED_SWEEP = "sweep-continued"
"""How the names of the schedules begin that go on with a sweep."""


class CheckSchedules:
    """Puts image deletion checks into a schedule group.

    All methods raise botocore's `ClientError` where the scheduler refuses or fails.
    """

    def __init__(self, client: EventBridgeSchedulerClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def put(self, check: Check, due: datetime, *, now: datetime) -> datetime:
        """See to it that the image is checked at `due` or, where a later check is pending, then.

        Returns:
            When the check will be made: never before `due`, and never in the past.

        Raises:
            ScheduleConflictError: others kept changing the schedule meanwhile.
        """
        due = _whole_second(max(due, now + _MARGIN))
        name = check.schedule_name
        for _ in range(_ATTEMPTS):
            if self._create(check, due):
                return due
            pending = self._due(name)
            if pending is None:
                continue
            if pending > now + _MARGIN:
                if pending >= due:
                    return pending
                if self._update(check, due):
                    return due
            else:
                # It fired, or is about to. Whatever were written into it could vanish with it.
                self._delete(name)
                if self._create(check, due):
                    return due
        raise ScheduleConflictError(f"the schedule {name} of {check.image_id} kept changing")

    def put_if_none(self, check: Check, due: datetime) -> bool:
        """See to it that the image is checked at `due`, unless a check of it is pending: False then."""
        return self._create(check, _whole_second(due))

    def continue_sweep(self, sweep: str, run: int, queue_arn: str, *, now: datetime) -> datetime:
        """See to it that another run goes on with the sweep soon, after the given one, and return when.

        Not by a message of its own: AWS Lambda ends what looks like a loop of messages after 16 rounds.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
        """
        due = _whole_second(now + _MARGIN)
        message = json.dumps({"version": 1, "sweep": sweep})
        name = f"{CONTINUED_SWEEP}-{re.sub('[^0-9]', '', sweep)}-{run}"
        try:
            self._client.create_schedule(
                **self._one_time(name, f"Goes on with the sweep of {sweep}", due, queue_arn, message)
            )
        except self._client.exceptions.ConflictException:
            return due
        return due

    def _create(self, check: Check, due: datetime) -> bool:
        try:
            self._client.create_schedule(**self._definition(check, due))
        except self._client.exceptions.ConflictException:
            return False
        return True

    def _update(self, check: Check, due: datetime) -> bool:
        try:
            # An update replaces everything, so everything is given.
            self._client.update_schedule(**self._definition(check, due))
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True

    def _delete(self, name: str) -> None:
        try:
            self._client.delete_schedule(GroupName=self._settings.schedule_group_name, Name=name)
        except self._client.exceptions.ResourceNotFoundException:
            return  # it was removed after it fired

    def _due(self, name: str) -> datetime | None:
        try:
            schedule = self._client.get_schedule(GroupName=self._settings.schedule_group_name, Name=name)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return _time_of(schedule["ScheduleExpression"])

    def _definition(self, check: Check, due: datetime) -> dict[str, Any]:
        description = f"Image deletion check of {check.image_id}"
        return self._one_time(check.schedule_name, description, due, self._settings.check_queue_arn, check.to_json())

    def _one_time(self, name: str, description: str, due: datetime, queue_arn: str, message: str) -> dict[str, Any]:
        """A schedule that sends a message to a queue once, and is then removed."""
        settings = self._settings
        return {
            "GroupName": settings.schedule_group_name,
            "Name": name,
            "Description": description[:512],
            "ScheduleExpression": f"{due.astimezone(UTC):{_FORMAT}}",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "State": "ENABLED",
            "Target": {
                "Arn": queue_arn,
                "RoleArn": settings.schedule_role_arn,
                "Input": message,
                "DeadLetterConfig": {"Arn": settings.schedule_dead_letter_queue_arn},
                "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
            },
        }


def _time_of(expression: str) -> datetime:
    return datetime.strptime(expression, _FORMAT).replace(tzinfo=UTC)


def _whole_second(time: datetime) -> datetime:
    """The first whole second not before the time."""
    return time if not time.microsecond else time.replace(microsecond=0) + timedelta(seconds=1)
