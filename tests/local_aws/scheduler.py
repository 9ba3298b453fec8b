"""Amazon EventBridge Scheduler: validation, firing, retries, dead letters and removal after completion.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html. Of the targets SQS and the running of
ECS tasks are emulated (by a cluster as target, or by the universal target), of the expressions `at()` and `rate()`.
A schedule with `cron()` is taken if AWS takes it, and fires if it is of one time of every day; any other never fires.
StartDate and EndDate are refused.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moto.core.exceptions import JsonRESTError
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, ScheduleGroup, scheduler_backends
from moto.scheduler.responses import EventBridgeSchedulerResponse

from local_aws.identity import RoleError
from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.clock import Item
    from local_aws.queues import Queues
    from local_aws.world import World

_NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
# The least and the greatest number of each field of cron(), the names that stand for numbers, and what else it takes:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON_FIELDS: tuple[tuple[int, int, tuple[str, ...], str], ...] = (
    (0, 59, (), ""),
    (0, 23, (), ""),
    (1, 31, (), r"\?|L|([1-9]|[12]\d|3[01])W"),
    (1, 12, _MONTHS, ""),
    (1, 7, _DAYS, r"\?|[1-7]?L|([1-7]|" + "|".join(_DAYS) + r")#[1-5]"),
    (1970, 2199, (), ""),
)
_MAX_INPUT = 256 * 1024
_PAGE = 100
_RUN_TASK = "arn:aws:scheduler:::aws-sdk:ecs:runTask"


@dataclass
class _State:
    """What is planned for a schedule beside what moto keeps: the next firing, or the removal after the last one."""

    firing: Item | None = None
    completed: bool = False


class Scheduler:
    """The schedules of all accounts."""

    def __init__(self, world: World, queues: Queues) -> None:
        self._world = world
        self._queues = queues
        self._states: dict[str, _State] = {}
        # Takes cluster, task definition, count and who starts them; gives an error or None.
        self.run_task: Callable[[str, str, int, str], str | None] = lambda *_: "no tasks are emulated"
        patches = world.patches
        patches.set(EventBridgeSchedulerResponse, "list_schedules", _list_schedules)
        patches.set(EventBridgeSchedulerResponse, "list_schedule_groups", _list_schedule_groups)
        patches.wrap(EventBridgeSchedulerBackend, "create_schedule", self._create)
        patches.wrap(EventBridgeSchedulerBackend, "delete_schedule", self._delete)
        patches.set(EventBridgeSchedulerResponse, "update_schedule", self._update_request())
        patches.wrap(EventBridgeSchedulerBackend, "create_schedule_group", _create_group)
        patches.wrap(EventBridgeSchedulerBackend, "delete_schedule_group", self._delete_group)

    def _create(self, original: Callable[..., Schedule]) -> Callable[..., Schedule]:
        def create_schedule(backend: EventBridgeSchedulerBackend, **fields: Any) -> Schedule:
            group = backend.get_schedule_group(fields["group_name"])
            self._check(fields, group)
            schedule = original(backend, **fields)
            schedule.action_after_completion = schedule.action_after_completion or "NONE"
            self._plan(backend, schedule, begins=self._world.behaviour.rates_begin_at_once)
            return schedule

        return create_schedule

    def _update_request(self) -> Callable[..., str]:
        def update_schedule(response: EventBridgeSchedulerResponse) -> str:
            # A schedule updated is the schedule described by this request, with nothing left of the old one.
            backend = response.scheduler_backend
            group_name, name = response._get_param("GroupName"), response.uri.split("?")[0].rpartition("/")[2]
            old = backend.get_schedule(group_name, name)
            state = self._states[old.arn]
            if state.completed and not self._world.behaviour.updates_survive_removal:
                return f'{{"ScheduleArn": "{old.arn}"}}'
            fields = {
                "description": response._get_param("Description"),
                "end_date": response._get_param("EndDate"),
                "flexible_time_window": response._get_param("FlexibleTimeWindow"),
                "group_name": group_name,
                "kms_key_arn": response._get_param("KmsKeyArn"),
                "name": name,
                "schedule_expression": response._get_param("ScheduleExpression"),
                "schedule_expression_timezone": response._get_param("ScheduleExpressionTimezone"),
                "start_date": response._get_param("StartDate"),
                "state": response._get_param("State"),
                "target": response._get_param("Target"),
                "action_after_completion": response._get_param("ActionAfterCompletion"),
            }
            self._check(fields, backend.get_schedule_group(group_name))
            backend.delete_schedule(group_name, name)
            schedule = backend.create_schedule(**fields)
            schedule.creation_date = old.creation_date
            # Of an update, AWS does not say that a rate() begins anew at once.
            self._forget(schedule)
            self._plan(backend, schedule, begins=False)
            return f'{{"ScheduleArn": "{schedule.arn}"}}'

        return update_schedule

    def _delete(self, original: Callable[..., None]) -> Callable[..., None]:
        def delete_schedule(backend: EventBridgeSchedulerBackend, group_name: str | None, name: str) -> None:
            schedule = backend.get_schedule(group_name, name)
            original(backend, group_name, name)
            self._forget(schedule)

        return delete_schedule

    def _delete_group(self, original: Callable[..., None]) -> Callable[..., None]:
        def delete_schedule_group(backend: EventBridgeSchedulerBackend, name: str | None) -> None:
            for schedule in backend.get_schedule_group(name).schedules.values():
                self._forget(schedule)
            original(backend, name)

        return delete_schedule_group

    def _forget(self, schedule: Schedule) -> None:
        state = self._states.pop(schedule.arn)
        if state.firing:
            state.firing.cancel()

    def _check(self, fields: dict[str, Any], group: ScheduleGroup) -> None:
        if not _NAME.fullmatch(fields["name"]):
            raise _invalid("Name must be 1 to 64 characters of [0-9a-zA-Z-_.].")
        due = self._first_firing(fields["schedule_expression"], fields["schedule_expression_timezone"])
        is_past = due is not None and due < self._world.clock.now()
        if is_past and self._world.behaviour.refuses_past_schedules:
            raise _invalid("Invalid Schedule Expression: the time of at() has passed.")
        if fields["start_date"] is not None or fields["end_date"] is not None:
            raise _invalid("StartDate and EndDate are not emulated.")
        window = fields["flexible_time_window"] or {}
        if window.get("Mode") not in ("OFF", "FLEXIBLE"):
            raise _invalid("FlexibleTimeWindow.Mode must be OFF or FLEXIBLE.")
        if fields["action_after_completion"] not in (None, "NONE", "DELETE"):
            raise _invalid("ActionAfterCompletion must be NONE or DELETE.")
        target = fields["target"] or {}
        if ":sqs:" not in target.get("Arn", "") and _task_of(target) is None:
            raise _invalid("Only SQS targets, and those that run a task of ECS, are emulated.")
        if len(target.get("Input", "").encode()) > _MAX_INPUT:
            raise _invalid("The input is larger than 256 KB.")
        try:
            self._assume(target.get("RoleArn", ""), group.arn)
        except RoleError as error:
            raise _invalid(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            ) from error

    def _assume(self, role_arn: str, group_arn: str) -> Any:
        context = {"aws:SourceArn": group_arn, "aws:SourceAccount": group_arn.split(":")[4]}
        if ":role/" not in role_arn:
            raise RoleError(f"{role_arn} is not a role")
        return self._world.identity.assume_as_service(role_arn, "scheduler.amazonaws.com", context, "scheduler")

    def _first_firing(self, expression: str, zone_name: str | None, *, begins: bool = False) -> datetime | None:
        """When a schedule fires first, a `rate()` at once if it begins; None for never."""
        try:
            zone = ZoneInfo(zone_name or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise _invalid(f"Invalid time zone: {zone_name}") from error
        if at := _AT.fullmatch(expression or ""):
            try:
                return datetime.fromisoformat(at[1]).replace(tzinfo=zone).astimezone(UTC)
            except ValueError as error:
                raise _invalid(f"Invalid Schedule Expression {expression}.") from error
        if cron := _CRON.fullmatch(expression or ""):
            if not _is_cron(cron[1]):
                raise _invalid(f"Invalid Schedule Expression {expression}.")
            return _next_of_day(cron[1], self._world.clock.now(), zone)
        interval = _interval(expression)
        return self._world.clock.now() + (timedelta() if begins else interval)

    def _plan(self, backend: EventBridgeSchedulerBackend, schedule: Schedule, *, begins: bool) -> None:
        state = self._states[schedule.arn] = _State()
        if schedule.state == "ENABLED":
            due = self._first_firing(schedule.schedule_expression, schedule.schedule_expression_timezone, begins=begins)
            if due is not None:
                self._plan_firing(backend, schedule, state, due)

    def _plan_firing(
        self, backend: EventBridgeSchedulerBackend, schedule: Schedule, state: _State, due: datetime
    ) -> None:
        share = zlib.crc32(schedule.name.encode()) % 1000 / 1000
        window = timedelta(minutes=schedule.flexible_time_window.get("MaximumWindowInMinutes", 0))
        late = self._world.behaviour.schedule_spread * share + window

        def fire() -> None:
            self._attempt(schedule, self._world.clock.now(), 0)
            if schedule.schedule_expression.startswith("rate("):
                self._plan_firing(backend, schedule, state, due + _interval(schedule.schedule_expression))
            elif schedule.schedule_expression.startswith("cron("):
                self._plan(backend, schedule, begins=False)
            else:
                state.firing = None
                self._complete(backend, schedule, state)

        state.firing = self._world.agenda.at(due + late, fire)

    def _complete(self, backend: EventBridgeSchedulerBackend, schedule: Schedule, state: _State) -> None:
        if schedule.action_after_completion != "DELETE" or self._world.faults.keeps_completed_schedules:
            return
        state.completed = True

        def remove() -> None:
            if self._states.get(schedule.arn) is state:
                backend.delete_schedule(schedule.group_name, schedule.name)

        if delay := self._world.behaviour.schedule_removal_delay:
            self._world.agenda.after(delay, remove)
        else:
            remove()

    def _attempt(self, schedule: Schedule, first: datetime, retries: int) -> None:
        """Deliver once; retry what may pass, put the rest into the dead-letter queue."""
        target = schedule.target
        body = target.get("Input", "")
        task = _task_of(target)
        code, reason = self._run(schedule, *task) if task else self._send(schedule, target["Arn"], body, {})
        if code is None:
            return
        policy = target["RetryPolicy"]
        age = self._world.clock.now() - first + self._world.behaviour.scheduler_retry_interval
        allowed = retries < policy.get("MaximumRetryAttempts", 185)
        if code == "RETRY" and allowed and age.total_seconds() <= policy.get("MaximumEventAgeInSeconds", 86400):
            self._world.agenda.after(
                self._world.behaviour.scheduler_retry_interval,
                lambda: self._attempt(schedule, first, retries + 1),
            )
            return
        queue_arn = target.get("DeadLetterConfig", {}).get("Arn")
        if queue_arn:
            attributes = {
                "SCHEDULE_ARN": schedule.arn,
                "TARGET_ARN": target["Arn"],
                "ERROR_CODE": code,
                "ERROR_MESSAGE": reason,
            }
            second, why = self._send(schedule, queue_arn, body, attributes)
            if second is None:
                return
            reason = f"{reason}; dead-letter queue: {why}"
        self._world.lose(schedule.arn, target["Arn"], reason, body)

    def _run(self, schedule: Schedule, cluster: str, definition: str, count: int) -> tuple[str | None, str]:
        """An error's code and reason, or None."""
        account, region = schedule.arn.split(":")[4], schedule.arn.split(":")[3]
        group = scheduler_backends[account][region].get_schedule_group(schedule.group_name)
        if not cluster.startswith("arn:"):
            cluster = f"arn:aws:ecs:{region}:{account}:cluster/{cluster}"
        resource = definition
        if not definition.startswith("arn:"):
            resource = f"arn:aws:ecs:{region}:{account}:task-definition/{definition}"
        try:
            session = self._assume(schedule.target["RoleArn"], group.arn)
        except RoleError as error:
            return "NO_PERMISSIONS", str(error)
        if not self._world.identity.call_as_service(session, "ecs", "RunTask", resource, region):
            return "NO_PERMISSIONS", f"{session.arn} may not ecs:RunTask on {resource}"
        reason = self.run_task(cluster, definition, count, f"chronos-schedule/{schedule.name}")
        return ("ERROR_FROM_TARGET", reason) if reason else (None, "")

    def _send(
        self, schedule: Schedule, queue_arn: str, body: str, attributes: dict[str, str]
    ) -> tuple[str | None, str]:
        """An error's code and reason, or None."""
        account, region = schedule.arn.split(":")[4], schedule.arn.split(":")[3]
        group = scheduler_backends[account][region].get_schedule_group(schedule.group_name)
        try:
            session = self._assume(schedule.target["RoleArn"], group.arn)
        except RoleError as error:
            return "NO_PERMISSIONS", str(error)
        identity = self._world.identity
        if not identity.call_as_service(session, "sqs", "SendMessage", queue_arn, region):
            if identity.decide(session, "sqs:SendMessage", queue_arn, {}, region).allowed:
                return "RETRY", "the queue answered with an error"
            return "NO_PERMISSIONS", f"{session.arn} may not sqs:SendMessage on {queue_arn}"
        if not self._queues.send(queue_arn, body, attributes):
            return "RESOURCE_NOT_FOUND", f"{queue_arn} does not exist"
        return None, ""


def _task_of(target: dict[str, Any]) -> tuple[str, str, int] | None:
    """Cluster, task definition and count of a target that runs a task; None for any other."""
    arn = target.get("Arn", "")
    if arn == _RUN_TASK:
        try:
            request = json.loads(target.get("Input") or "{}")
            return request.get("Cluster", "default"), request["TaskDefinition"], request.get("Count", 1)
        except (ValueError, KeyError) as error:
            raise _invalid("The input of runTask is JSON and names a TaskDefinition.") from error
    if ":ecs:" not in arn or ":cluster/" not in arn:
        return None
    parameters = target.get("EcsParameters") or {}
    if "TaskDefinitionArn" not in parameters:
        raise _invalid("EcsParameters must be specified for an ECS cluster as target.")
    return arn, parameters["TaskDefinitionArn"], parameters.get("TaskCount", 1)


def _list_schedules(request: EventBridgeSchedulerResponse) -> str:
    """All of the account, or of one group, which must exist."""
    group = request._get_param("ScheduleGroup")
    backend = request.scheduler_backend
    groups = [backend.get_schedule_group(group)] if group else list(backend.schedule_groups.values())
    prefix, state = request._get_param("NamePrefix") or "", request._get_param("State")
    found = {
        schedule.arn: schedule.to_dict(short=True)
        for each in groups
        for schedule in each.schedules.values()
        if schedule.name.startswith(prefix) and state in (None, schedule.state)
    }
    return _paged(request, "Schedules", found, [group, prefix, state])


def _list_schedule_groups(request: EventBridgeSchedulerResponse) -> str:
    prefix = request._get_param("NamePrefix") or ""
    groups = request.scheduler_backend.schedule_groups.values()
    found = {group.arn: group.to_dict() for group in groups if group.name.startswith(prefix)}
    return _paged(request, "ScheduleGroups", found, prefix)


def _paged(request: EventBridgeSchedulerResponse, member: str, entries: dict[str, Any], scope: object) -> str:
    try:
        names, token = page(
            entries,
            str,
            size=request._get_param("MaxResults"),
            token=request._get_param("NextToken"),
            default=_PAGE,
            maximum=_PAGE,
            scope=scope,
        )
    except PageError as error:
        raise _invalid(str(error)) from error
    answer: dict[str, Any] = {member: [entries[name] for name in names]}
    return json.dumps(answer | ({"NextToken": token} if token else {}))


def _next_of_day(cron: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When a cron() of one time of every day fires next; None for any other."""
    minute, hour, *days = cron.split(" ")
    if not minute.isdigit() or not hour.isdigit() or set(days) != {"*", "?"}:
        return None
    local = now.astimezone(zone)
    due = local.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    return (due if due > local else due + timedelta(days=1)).astimezone(UTC)


def _is_cron(fields: str) -> bool:
    """Whether AWS takes these fields of a cron(): six, and exactly one of the two for days is left to the other."""
    texts = fields.split(" ")
    if len(texts) != len(_CRON_FIELDS) or (texts[2] == "?") == (texts[4] == "?"):
        return False
    return all(_is_cron_field(text, *field) for text, field in zip(texts, _CRON_FIELDS, strict=True))


def _is_cron_field(text: str, least: int, greatest: int, names: tuple[str, ...], special: str) -> bool:
    def is_value(value: str) -> bool:
        return value in names or (value.isdecimal() and least <= int(value) <= greatest)

    def is_part(part: str) -> bool:
        value, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step) > 0):
            return False
        begin, dash, end = value.partition("-")
        return value == "*" or (is_value(begin) and (not dash or is_value(end)))

    return (special != "" and re.fullmatch(special, text) is not None) or all(is_part(part) for part in text.split(","))


def _interval(expression: str) -> timedelta:
    rate = _RATE.fullmatch(expression or "")
    if rate is None:
        raise _invalid(f"Invalid Schedule Expression {expression}.")
    unit = rate[2].rstrip("s") + "s"
    return timedelta(**{unit: int(rate[1])})


def _create_group(original: Callable[..., ScheduleGroup]) -> Callable[..., ScheduleGroup]:
    def create_schedule_group(
        backend: EventBridgeSchedulerBackend, name: str, tags: list[dict[str, str]]
    ) -> ScheduleGroup:
        if not _NAME.fullmatch(name):
            raise _invalid("Name must be 1 to 64 characters of [0-9a-zA-Z-_.].")
        if name in backend.schedule_groups:
            raise JsonRESTError("ConflictException", f"Schedule group {name} already exists.")
        return original(backend, name, tags)

    return create_schedule_group


def _invalid(message: str) -> JsonRESTError:
    return JsonRESTError("ValidationException", message)
