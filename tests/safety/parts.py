"""The parts of AWS around the functions, in this process: small, and at least as strict as AWS.

Each is a state and the calls that change it; nothing here knows the functions. Sources: AWS's documentation as linked
in `local_aws`, whose form of the same parts these follow.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from local_aws import advanced_query

Params = Mapping[str, Any]
TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"
TASK_SET = "AWS::ECS::TaskSet"
RECORDER = "AWS::Config::ConfigurationRecorder"
_NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_PAGE, _AGGREGATE_PAGE, _MAX_LIMIT = 25, 500, 100


class RefusedError(Exception):
    """What AWS answers instead of doing it: an error's code, its message and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Place(NamedTuple):
    """An account and a region of it."""

    account: str
    region: str


@dataclass
class Message:
    """A message of a queue; `origin` is whatever the test wants to know it by."""

    body: str
    origin: str
    visible_from: datetime
    receives: int = 0


@dataclass
class Queue:
    """A standard queue of Amazon SQS with the event source mapping and the dead-letter queue that belong to it."""

    batch_size: int
    window: timedelta
    visibility: timedelta
    max_receives: int = 5
    messages: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)

    def send(self, body: str, origin: str, now: datetime) -> None:
        self.messages.append(Message(body, origin, now))

    def next_due(self) -> datetime | None:
        """When the mapping takes its next batch."""
        return min((message.visible_from for message in self.messages), default=None)

    def receive(self, now: datetime) -> list[Message]:
        """A batch of what is visible; a message received too often becomes a dead letter instead."""
        visible = [message for message in self.messages if message.visible_from <= now]
        for message in [each for each in visible if each.receives >= self.max_receives]:
            self.messages.remove(message)
            visible.remove(message)
            self.dead.append(message)
        batch = visible[: self.batch_size]
        for message in batch:
            message.receives += 1
            message.visible_from = now + self.visibility
        return batch

    def redrive(self, now: datetime) -> int:
        """Put the dead letters back, as a person does."""
        letters, self.dead = self.dead, []
        for letter in letters:
            self.send(letter.body, letter.origin, now)
        return len(letters)


@dataclass
class Schedule:
    """A one-time schedule; it fires up to a minute after it is due, and is removed some time after that."""

    name: str
    due: datetime
    body: str
    fired_at: datetime | None = None

    @property
    def fires_at(self) -> datetime:
        return self.due + timedelta(seconds=zlib.crc32(self.name.encode()) % 60)


class Scheduler:
    """A schedule group of EventBridge Scheduler.

    `removal_delay` is how long a schedule that fired is still there: what is written into it then is lost with it.
    """

    def __init__(self, removal_delay: timedelta) -> None:
        self.removal_delay = removal_delay
        self.schedules: dict[str, Schedule] = {}

    def create_schedule(self, params: Params, now: datetime) -> dict[str, Any]:
        if params["Name"] in self.schedules:
            raise RefusedError("ConflictException", f"Schedule {params['Name']} already exists.", 409)
        self.schedules[params["Name"]] = self._schedule(params, now)
        return {"ScheduleArn": "arn"}

    def update_schedule(self, params: Params, now: datetime) -> dict[str, Any]:
        old, new = self._find(params), self._schedule(params, now)
        if old.fired_at is None:
            self.schedules[params["Name"]] = new
        return {"ScheduleArn": "arn"}

    def get_schedule(self, params: Params, now: datetime) -> dict[str, Any]:
        schedule = self._find(params)
        return {"Name": schedule.name, "ScheduleExpression": f"at({schedule.due:%Y-%m-%dT%H:%M:%S})"}

    def delete_schedule(self, params: Params, now: datetime) -> dict[str, Any]:
        del self.schedules[self._find(params).name]
        return {}

    def pending(self) -> list[Schedule]:
        return [schedule for schedule in self.schedules.values() if schedule.fired_at is None]

    def next_due(self) -> datetime | None:
        return min((schedule.fires_at for schedule in self.pending()), default=None)

    def fire(self, now: datetime) -> list[str]:
        """The payloads of what is due."""
        for schedule in list(self.schedules.values()):
            if schedule.fired_at and now >= schedule.fired_at + self.removal_delay:
                del self.schedules[schedule.name]
        due = [schedule for schedule in self.pending() if schedule.fires_at <= now]
        for schedule in due:
            schedule.fired_at = now
        return [schedule.body for schedule in due]

    def _find(self, params: Params) -> Schedule:
        if params["Name"] not in self.schedules:
            raise RefusedError("ResourceNotFoundException", f"Schedule {params['Name']} does not exist.", 404)
        return self.schedules[params["Name"]]

    def _schedule(self, params: Params, now: datetime) -> Schedule:
        at = _AT.fullmatch(params["ScheduleExpression"])
        if not _NAME.fullmatch(params["Name"]) or not at:
            raise RefusedError("ValidationException", "Name or ScheduleExpression is wrong.")
        due = datetime.fromisoformat(at[1]).replace(tzinfo=UTC)
        if due < now or params.get("ActionAfterCompletion") != "DELETE" or "DeadLetterConfig" not in params["Target"]:
            raise RefusedError("ValidationException", "It is in the past, would stay for ever, or be lost.")
        return Schedule(params["Name"], due, params["Target"]["Input"])


class _Version(NamedTuple):
    visible_from: datetime
    item: dict[str, Any] | None


_Key = tuple[Place, str, str]


class Aggregator:
    """AWS Config: what recorders record, and what the aggregator shows of it, and when.

    `recorded_types` are those that each recorder records; `stopping_is_recorded`: whether a recorder that stops says
    so in its own item.
    """

    def __init__(
        self, places: tuple[Place, ...], recorded_types: tuple[str, ...], *, stopping_is_recorded: bool
    ) -> None:
        self.places = places
        self.lag: dict[Place, timedelta] = dict.fromkeys(places, timedelta(minutes=3))
        self.recording: dict[Place, bool] = dict.fromkeys(places, False)
        self.failed: dict[Place, datetime] = {}
        """Sources whose last update failed, and which show nothing newer than that."""
        self.hidden: set[Place] = set()
        """Sources that SUCCEEDED and of which nothing is shown all the same."""
        self._types = recorded_types
        self.stopping_is_recorded = stopping_is_recorded
        self._history: dict[_Key, list[_Version]] = {}
        self._pages: dict[str, list[str]] = {}

    # The recorders

    def start_recorder(self, place: Place, now: datetime) -> None:
        """Record from now on. Whoever calls this has what exists recorded anew, as the recorder does."""
        self.recording[place] = True
        self._record_recorder(place, now)

    def stop_recorder(self, place: Place, now: datetime) -> None:
        self.recording[place] = False
        if self.stopping_is_recorded:
            self._record_recorder(place, now)

    def record(self, place: Place, kind: str, arn: str, configuration: Mapping[str, Any] | None, now: datetime) -> bool:
        """A resource changed, or was deleted (None). Returns whether it was recorded."""
        if not self.recording[place] or kind not in self._types:
            return False
        self._add(place, kind, arn, configuration, now)
        return True

    def recorded(self, place: Place, kinds: tuple[str, ...]) -> list[tuple[str, str]]:
        """Type and ARN of what was recorded last as existing, shown already or not."""
        return [
            (kind, arn)
            for (where, kind, arn), versions in self._history.items()
            if where == place and kind in kinds and versions[-1].item
        ]

    def will_show(self, place: Place, kind: str, arn: str) -> bool:
        """Whether the resource was ever recorded: sooner or later it is shown."""
        return (place, kind, arn) in self._history

    def recorder(self, place: Place) -> dict[str, Any]:
        """The recorder as its own API shows it."""
        return {
            "arn": f"arn:aws:config:{place.region}:{place.account}:configuration-recorder/default",
            "name": "default",
            "roleARN": f"arn:aws:iam::{place.account}:role/config",
            "recordingGroup": {
                "allSupported": False,
                "includeGlobalResourceTypes": False,
                "resourceTypes": list(self._types),
                "exclusionByResourceTypes": {"resourceTypes": []},
                "recordingStrategy": {"useOnly": "INCLUSION_BY_RESOURCE_TYPES"},
            },
            "recordingMode": {"recordingFrequency": "CONTINUOUS", "recordingModeOverrides": []},
        }

    def _record_recorder(self, place: Place, now: datetime) -> None:
        configuration = {
            "Name": "default",
            "RoleARN": f"arn:aws:iam::{place.account}:role/config",
            "Recording": self.recording[place],
            "RecordingGroup": {
                "AllSupported": False,
                "IncludeGlobalResourceTypes": False,
                "ResourceTypes": list(self._types),
                "ExclusionByResourceTypes": {"ResourceTypes": []},
                "RecordingStrategy": {"UseOnly": "INCLUSION_BY_RESOURCE_TYPES"},
            },
            "RecordingMode": {"RecordingFrequency": "CONTINUOUS", "RecordingModeOverrides": []},
        }
        arn = f"arn:aws:config:{place.region}:{place.account}:configuration-recorder/default"
        self._add(place, RECORDER, arn, configuration, now)

    def _add(self, place: Place, kind: str, arn: str, configuration: Mapping[str, Any] | None, now: datetime) -> None:
        resource_id = arn.rpartition("/")[2] if kind in (TASK_DEFINITION, RECORDER) else arn
        item = {
            "version": "1.3",
            "accountId": place.account,
            "awsRegion": place.region,
            "arn": arn,
            "resourceType": kind,
            "resourceId": resource_id,
            "resourceName": arn.rpartition("/")[2],
            "configurationItemStatus": "OK",
            "configurationItemCaptureTime": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            "configuration": configuration,
        }
        versions = self._history.setdefault((place, kind, arn), [])
        versions.append(_Version(now + self.lag[place], item if configuration is not None else None))

    # The aggregator

    def shown(self, place: Place, kind: str, arn: str, now: datetime) -> dict[str, Any] | None:
        """The item of one resource as the aggregator shows it now."""
        return self._latest(place, self._history.get((place, kind, arn), ()), now)

    def items(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Everything that the aggregator shows now."""
        for (place, _, _), versions in self._history.items():
            item = self._latest(place, versions, now)
            if item:
                yield item

    def _latest(self, place: Place, versions: Any, now: datetime) -> dict[str, Any] | None:
        if place in self.hidden:
            return None
        until = self.failed.get(place, now)
        # The last version that is visible: with a lag that shrinks, one can overtake another.
        for version in reversed(versions):
            if version.visible_from <= until:
                item: dict[str, Any] | None = version.item
                return item
        return None

    def select_aggregate_resource_config(self, params: Params, now: datetime) -> dict[str, Any]:
        limit, token = params.get("Limit") or 0, params.get("NextToken")
        if not 0 <= limit <= _MAX_LIMIT:
            raise RefusedError("InvalidLimitException", "The limit must be between 0 and 100.")
        try:
            query = _parse(params["Expression"])
            rows = self._pages.pop(token) if token else advanced_query.run(query, self.items(now))
        except advanced_query.InvalidExpression as error:
            raise RefusedError("InvalidExpressionException", str(error)) from error
        except KeyError:
            raise RefusedError("InvalidNextTokenException", "The nextToken provided is invalid") from None
        size = limit or (_AGGREGATE_PAGE if query.is_aggregation else _PAGE)
        answer: dict[str, Any] = {"Results": rows[:size], "QueryInfo": {}}
        if len(rows) > size:
            answer["NextToken"] = f"page-{len(self._pages)}-{now.timestamp()}"
            self._pages[answer["NextToken"]] = rows[size:]
        return answer

    def describe_configuration_aggregator_sources_status(self, params: Params, now: datetime) -> dict[str, Any]:
        statuses = [
            {
                "SourceId": place.account,
                "SourceType": "ACCOUNT",
                "AwsRegion": place.region,
                "LastUpdateStatus": "FAILED" if place in self.failed else "SUCCEEDED",
                "LastUpdateTime": now,
            }
            for place in self.places
        ]
        return {"AggregatedSourceStatusList": statuses}


@lru_cache(maxsize=256)
def _parse(expression: str) -> advanced_query.Query:
    return advanced_query.parse(expression)
