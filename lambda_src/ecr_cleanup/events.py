"""Events: what happened to which task definition, with which images, and which tag was given to which image.

Two kinds of event tell of task definitions, because not every workload account has a trail:

- `AWS API Call via CloudTrail`
  (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html)
- `Config Configuration Item Change`
  (https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html)

One, of the registry itself, tells of pushes:

- `ECR Image Action`
  (https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html)

An event speaks only for the account and region that EventBridge put on its envelope. Container definitions carry
secrets: no message of an error raised here repeats anything of them but a wrong type's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple

from ecr_cleanup.errors import EventError
from ecr_cleanup.image import ACCOUNT_ID, DIGEST, REGION, REPOSITORY_NAME, TAG, Repository
from ecr_cleanup.settings import Place

CLOUDTRAIL_DETAIL_TYPE = "AWS API Call via CloudTrail"
CONFIG_DETAIL_TYPE = "Config Configuration Item Change"
ECR_DETAIL_TYPE = "ECR Image Action"
TASK_DEFINITION_TYPE = "AWS::ECS::TaskDefinition"

_TASK_DEFINITION_ARN = re.compile(
    r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):task-definition/"
    r"(?P<family>[A-Za-z0-9_-]{1,255}):(?P<revision>[0-9]+)"
)
_FAMILY_AND_REVISION = re.compile(r"[A-Za-z0-9_-]{1,255}:[0-9]+")


class Change(Enum):
    """What happened to a task definition."""

    REGISTERED = "registered"
    DEREGISTERED = "deregistered"
    UNCLEAR = "unclear"
    """Something changed, and the event was too large to say what: whoever wants to know must look."""


class TaskDefinitionEvent(NamedTuple):
    """What one event says.

    `arn` is None where a registration was too large to carry the revision it made; `family_arn` is always there, and
    ends in `/?` where not even the family is known. `images` are the image strings of all containers, None where the
    event was too large to carry them.
    """

    event_id: str
    place: Place
    change: Change
    arn: str | None
    family_arn: str
    occurred_at: datetime
    images: tuple[str, ...] | None


class PushEvent(NamedTuple):
    """A tag was given to an image of a repository of the account that the event is from.

    `occurred_at` is what the event says, whatever the present is: the same event must always be the same push.
    """

    event_id: str
    repository: Repository
    digest: str
    tag: str
    occurred_at: datetime


def parse_event(envelope: object, *, now: datetime, partition: str = "aws") -> TaskDefinitionEvent | PushEvent | None:
    """Read an event as EventBridge delivers it.

    Args:
        envelope: the decoded JSON of the event.
        now: the present (UTC); a task definition's event from the future is taken as happening now.
        partition: the partition of all accounts that send events, for ARNs of which the event has only the end.

    Returns:
        What happened, or None where nothing of interest did (the API call failed; no tag was pushed).

    Raises:
        EventError: the event is malformed, of an unknown kind, or names a task definition of another place.
    """
    event = _mapping(envelope, "the event")
    account, region = _text(event, "account"), _text(event, "region")
    if not ACCOUNT_ID.fullmatch(account) or not REGION.fullmatch(region):
        raise EventError(f'the envelope\'s "account" {account[:50]!r} or "region" {region[:50]!r} is none')
    origin = _Origin(Place(account, region), partition)
    event_id = _text(event, "id")
    source, detail_type = _text(event, "source"), _text(event, "detail-type")
    detail = _mapping(event.get("detail"), '"detail"')
    if (source, detail_type) == ("aws.ecs", CLOUDTRAIL_DETAIL_TYPE):
        occurred_at = min(_time(detail, "eventTime"), now)
        return _parse_api_call(detail, event_id, origin, occurred_at)
    if (source, detail_type) == ("aws.config", CONFIG_DETAIL_TYPE):
        occurred_at = min(_time(event, "time"), now)
        return _parse_configuration_change(detail, event_id, origin, occurred_at)
    if (source, detail_type) == ("aws.ecr", ECR_DETAIL_TYPE):
        return _parse_image_action(detail, event_id, origin.place, _time(event, "time"))
    raise EventError(
        f"an event of source {source[:100]!r} and detail-type {detail_type[:100]!r} is not one that this function "
        f"understands: it must be aws.ecs with {CLOUDTRAIL_DETAIL_TYPE!r}, aws.config with {CONFIG_DETAIL_TYPE!r} "
        f"or aws.ecr with {ECR_DETAIL_TYPE!r}"
    )


class _Origin(NamedTuple):
    """The one place that an event may speak for."""

    place: Place
    partition: str

    @property
    def arn_prefix(self) -> str:
        return f"arn:{self.partition}:ecs:{self.place.region}:{self.place.account}:task-definition/"


def _parse_api_call(
    detail: Mapping[str, Any], event_id: str, origin: _Origin, occurred_at: datetime
) -> TaskDefinitionEvent | None:
    name = _text(detail, "eventName")
    changes = {"RegisterTaskDefinition": Change.REGISTERED, "DeregisterTaskDefinition": Change.DEREGISTERED}
    if _text(detail, "eventSource") != "ecs.amazonaws.com" or name not in changes:
        raise EventError(f"the API call {name[:100]!r} is none of {', '.join(changes)} of ecs.amazonaws.com")
    if detail.get("errorCode"):
        return None
    # CloudTrail leaves each of the two out when it exceeds 100 KB
    # (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
    request, response = detail.get("requestParameters"), detail.get("responseElements")
    if response is not None:
        task_definition = _mapping(
            _mapping(response, '"responseElements"').get("taskDefinition"),
            '"responseElements.taskDefinition"',
        )
        arn = _arn(_text(task_definition, "taskDefinitionArn"), origin)
        images = _images(task_definition.get("containerDefinitions"), "image")
    elif changes[name] is Change.DEREGISTERED:
        arn, images = _arn(_text(_mapping(request, '"requestParameters"'), "taskDefinition"), origin), None
    elif request is None:
        unknown = f"{origin.arn_prefix}?"
        return TaskDefinitionEvent(event_id, origin.place, Change.REGISTERED, None, unknown, occurred_at, None)
    else:
        request = _mapping(request, '"requestParameters"')
        family = _text(request, "family")
        if not _FAMILY_AND_REVISION.fullmatch(f"{family}:1"):
            raise EventError(f'"requestParameters.family" {family[:100]!r} is not the name of a family')
        family_arn = f"{origin.arn_prefix}{family}"
        images = _images(request.get("containerDefinitions"), "image")
        return TaskDefinitionEvent(event_id, origin.place, Change.REGISTERED, None, family_arn, occurred_at, images)
    return TaskDefinitionEvent(event_id, origin.place, changes[name], arn, _family_arn(arn), occurred_at, images)


def _parse_configuration_change(
    detail: Mapping[str, Any], event_id: str, origin: _Origin, occurred_at: datetime
) -> TaskDefinitionEvent:
    if detail.get("configurationItem") is None and "configurationItemSummary" in detail:
        summary = _mapping(detail["configurationItemSummary"], '"configurationItemSummary"')
        _check_item(summary, origin.place)
        arn = _arn(_text(summary, "ARN"), origin)
        change, images = Change.UNCLEAR, None
    else:
        item = _mapping(detail.get("configurationItem"), '"configurationItem"')
        _check_item(item, origin.place)
        arn = _arn(_text(item, "ARN"), origin)
        change, images = _state(item)
    return TaskDefinitionEvent(event_id, origin.place, change, arn, _family_arn(arn), occurred_at, images)


def _parse_image_action(
    detail: Mapping[str, Any], event_id: str, place: Place, occurred_at: datetime
) -> PushEvent | None:
    action, result = _text(detail, "action-type"), _text(detail, "result")
    # A push by digest alone, such as that of an index's child, has no tag.
    if (action, result) != ("PUSH", "SUCCESS") or not detail.get("image-tag"):
        return None
    name = _matching(detail, "repository-name", REPOSITORY_NAME)
    digest = _matching(detail, "image-digest", DIGEST)
    tag = _matching(detail, "image-tag", TAG)
    return PushEvent(event_id, Repository(place.account, place.region, name), digest, tag, occurred_at)


def _check_item(item: Mapping[str, Any], place: Place) -> None:
    if _text(item, "resourceType") != TASK_DEFINITION_TYPE:
        raise EventError(f"the resource type {item['resourceType'][:100]!r} is not {TASK_DEFINITION_TYPE}")
    named = Place(_text(item, "awsAccountId"), _text(item, "awsRegion"))
    if named != place:
        raise EventError(f"the event came from {place} but speaks for {str(named)[:100]}; it is refused")


def _state(item: Mapping[str, Any]) -> tuple[Change, tuple[str, ...] | None]:
    if item.get("configuration") is None:
        if str(item.get("configurationItemStatus")).startswith("ResourceDeleted"):
            # Only what is inactive can be deleted, so its images were told of before, and may be none of ours.
            return Change.DEREGISTERED, ()
        raise EventError('the "configurationItem" has neither a "configuration" nor the status ResourceDeleted')
    configuration = _mapping(item["configuration"], '"configuration"')
    changes = {
        "ACTIVE": Change.REGISTERED,
        "INACTIVE": Change.DEREGISTERED,
        "DELETE_IN_PROGRESS": Change.DEREGISTERED,
    }
    status = _text(configuration, "Status")
    if status not in changes:
        raise EventError(f'the task definition\'s "Status" {status[:50]!r} is none of {", ".join(changes)}')
    return changes[status], _images(configuration.get("ContainerDefinitions"), "Image")


def _arn(text: str, origin: _Origin) -> str:
    """The full ARN of the task definition that a text names, which must be one of the event's own place."""
    if _FAMILY_AND_REVISION.fullmatch(text):
        return f"{origin.arn_prefix}{text}"
    match = _TASK_DEFINITION_ARN.fullmatch(text)
    if match is None:
        raise EventError(f"{text[:300]!r} is not a task definition with its revision, such as family:7 or its ARN")
    named = Place(match["account"], match["region"])
    if named != origin.place:
        raise EventError(
            f"the event came from {origin.place} but speaks for a task definition of {named}; it is refused"
        )
    return text


def _family_arn(arn: str) -> str:
    return arn.rpartition(":")[0]


def _images(containers: object, key: str) -> tuple[str, ...]:
    if not isinstance(containers, list) or not containers:
        raise EventError(f"the container definitions are {type(containers).__name__}, but must be a list with entries")
    return tuple(_text(_mapping(container, "a container definition"), key) for container in containers)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EventError(f"{what} is {type(value).__name__}, but must be a JSON object")
    return value


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or not value:
        raise EventError(f'"{key}" is {type(value).__name__}, but must be text')
    return value


def _matching(mapping: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(mapping, key)
    if not pattern.fullmatch(value):
        raise EventError(f'"{key}" {value[:300]!r} is none')
    return value


def _time(mapping: Mapping[str, Any], key: str) -> datetime:
    text = _text(mapping, key)
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise EventError(f'"{key}" {text[:50]!r} is not a time such as 2030-01-31T12:00:00Z') from None
