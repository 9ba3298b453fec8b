"""The schedules: one per image whose check is pending."""

from __future__ import annotations

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
        return datetime.strptime(schedule["ScheduleExpression"], _FORMAT).replace(tzinfo=UTC)

    def _definition(self, check: Check, due: datetime) -> dict[str, Any]:
        settings = self._settings
        return {
            "GroupName": settings.schedule_group_name,
            "Name": check.schedule_name,
            "Description": f"Image deletion check of {check.image_id}"[:512],
            "ScheduleExpression": f"{due.astimezone(UTC):{_FORMAT}}",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "State": "ENABLED",
            "Target": {
                "Arn": settings.check_queue_arn,
                "RoleArn": settings.schedule_role_arn,
                "Input": check.to_json(),
                "DeadLetterConfig": {"Arn": settings.schedule_dead_letter_queue_arn},
                "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
            },
        }


def _whole_second(time: datetime) -> datetime:
    """The first whole second not before the time."""
    return time if not time.microsecond else time.replace(microsecond=0) + timedelta(seconds=1)
