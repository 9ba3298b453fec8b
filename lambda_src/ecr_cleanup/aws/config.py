"""The Config aggregator: what all accounts have configured.

Grammar and limits of the queries:
https://docs.aws.amazon.com/config/latest/developerguide/query-components.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ecr_cleanup.chunks import chunks
from ecr_cleanup.consumers import TASK_DEFINITION, Consumer, ConsumerType
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.inventory import Recorder, SourceStatus, TaskDefinition
from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_config import ConfigServiceClient

_PAGE_SIZE = 100
# An expression has at most 4,096 characters, and the ARN of a task definition at most 340.
_ARNS_PER_QUERY = 10

_STATUS = "configuration.Status"
_RECORDING_GROUP = "configuration.RecordingGroup"
_RECORDING_MODE = "configuration.RecordingMode"
_OVERRIDES = f"{_RECORDING_MODE}.RecordingModeOverrides"


class ShownTaskDefinition(NamedTuple):
    """A task definition of any status, as the aggregator shows it."""

    task_definition: TaskDefinition
    status: str


class Aggregator:
    """Asks one aggregator.

    All methods raise botocore's `ClientError` where Config refuses or fails, and `AggregatorError` where an answer
    cannot be understood: an unread usage must never look like none.
    """

    def __init__(self, client: ConfigServiceClient, name: str) -> None:
        self._client = client
        self._name = name

    def active_task_definitions(self) -> list[TaskDefinition]:
        """Every ACTIVE task definition of all accounts."""
        rows = self._select(_rows_of(TASK_DEFINITION, _STATUS, *TASK_DEFINITION.images))
        return [_shown(row).task_definition for row in rows]

    def task_definitions(self, arns: Iterable[str]) -> dict[str, ShownTaskDefinition]:
        """Those of the task definitions that the aggregator shows, by ARN."""
        shown = {}
        # What cannot be quoted is no ARN.
        for some in chunks(sorted({arn for arn in arns if "'" not in arn}), _ARNS_PER_QUERY):
            quoted = ", ".join(f"'{arn}'" for arn in some)
            rows = _rows_of(TASK_DEFINITION, _STATUS, *TASK_DEFINITION.images, condition=f"arn IN ({quoted})")
            for row in self._select(rows):
                found = _shown(row)
                shown[found.task_definition.arn] = found
        return shown

    def consumers(self, consumer_type: ConsumerType) -> list[Consumer]:
        """Every resource of a type."""
        rows = self._select(_rows_of(consumer_type, *consumer_type.properties))
        return [_consumer(consumer_type, row) for row in rows]

    def counts(self, resource_types: Iterable[str]) -> dict[tuple[Place, str], int]:
        """How many resources of each type there are in each account and region; none is not among them.

        Of task definitions, only the ACTIVE ones are counted.
        """
        types = ", ".join(f"'{name}'" for name in sorted(set(resource_types) - {TASK_DEFINITION.resource_type}))
        place = "accountId, awsRegion"
        rows = self._select(f"SELECT {place}, COUNT(*) WHERE {_condition(TASK_DEFINITION)} GROUP BY {place}")
        counts = {(_place(row), TASK_DEFINITION.resource_type): _count(row) for row in rows}
        group = f"{place}, resourceType"
        if types:
            rows = self._select(f"SELECT {group}, COUNT(*) WHERE resourceType IN ({types}) GROUP BY {group}")
            counts |= {(_place(row), _text(row, "resourceType")): _count(row) for row in rows}
        return counts

    def recorders(self) -> list[Recorder]:
        """Every Config recorder, as the last recorded item about itself has it.

        AWS records recorders whatever they are set to record:
        https://docs.aws.amazon.com/config/latest/developerguide/resource-config-reference.html
        """
        properties = (
            "configuration.Recording",
            f"{_RECORDING_GROUP}.AllSupported",
            f"{_RECORDING_GROUP}.ResourceTypes",
            f"{_RECORDING_GROUP}.ExclusionByResourceTypes.ResourceTypes",
            f"{_RECORDING_GROUP}.RecordingStrategy.UseOnly",
            f"{_RECORDING_MODE}.RecordingFrequency",
            f"{_OVERRIDES}.ResourceTypes",
            f"{_OVERRIDES}.RecordingFrequency",
        )
        rows = self._select(_rows_of(ConsumerType("AWS::Config::ConfigurationRecorder", "recorder"), *properties))
        return [_recorder(row) for row in rows]

    def source_statuses(self) -> dict[Place, SourceStatus]:
        """The state of each account and region that the aggregator reads.

        One of an organization is a place too, with the organization as its account, and no region where it has none.
        """
        pages = self._client.get_paginator("describe_configuration_aggregator_sources_status").paginate(
            ConfigurationAggregatorName=self._name
        )
        statuses: dict[Place, SourceStatus] = {}
        for page in pages:
            for source in page["AggregatedSourceStatusList"]:
                try:
                    place = Place(source["SourceId"], source.get("AwsRegion", ""))
                    statuses[place] = SourceStatus(source["LastUpdateStatus"])
                except (KeyError, ValueError) as error:
                    raise AggregatorError(f"the status of a source of the aggregator cannot be read: {error}") from None
        return statuses

    def _select(self, expression: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("select_aggregate_resource_config").paginate(
            Expression=expression,
            ConfigurationAggregatorName=self._name,
            PaginationConfig={"PageSize": _PAGE_SIZE},
        )
        for page in pages:
            for text in page["Results"]:
                try:
                    row = json.loads(text)
                except ValueError as error:
                    raise AggregatorError(f"a row of the aggregator is not JSON: {error}") from None
                if not isinstance(row, dict):
                    raise AggregatorError("a row of the aggregator is not an object")
                yield row


def _condition(consumer_type: ConsumerType, condition: str | None = None) -> str:
    is_of_type = f"resourceType = '{consumer_type.resource_type}'"
    condition = condition or consumer_type.condition
    return f"{is_of_type} AND {condition}" if condition else is_of_type


def _rows_of(consumer_type: ConsumerType, *properties: str, condition: str | None = None) -> str:
    selected = ", ".join(("accountId", "awsRegion", "arn", *properties))
    return f"SELECT {selected} WHERE {_condition(consumer_type, condition)}"


def _shown(row: Mapping[str, Any]) -> ShownTaskDefinition:
    arn = _text(row, "arn")
    images = tuple(_texts(row, TASK_DEFINITION.images[0]))
    containers = list(_values(row, TASK_DEFINITION.images[0].rpartition(".")[0]))
    if not images or len(images) != len(containers):
        raise AggregatorError(f"{arn} has {len(containers)} containers and {len(images)} images in the aggregator")
    return ShownTaskDefinition(TaskDefinition(arn, _place(row), images), _text(row, _STATUS))


def _consumer(consumer_type: ConsumerType, row: Mapping[str, Any]) -> Consumer:
    arn, place = _text(row, "arn"), _place(row)
    images = tuple(image for path in consumer_type.images for image in _texts(row, path))
    task_definition = None
    if consumer_type.task_definition:
        task_definition = next(iter(_texts(row, consumer_type.task_definition)), None)
    if task_definition and not task_definition.startswith("arn:"):
        # `family:revision` will do in most places, so it may appear here.
        partition = arn.partition(":")[2].partition(":")[0]
        task_definition = f"arn:{partition}:ecs:{place.region}:{place.account}:task-definition/{task_definition}"
    return Consumer(consumer_type, arn, place, images, task_definition)


def _recorder(row: Mapping[str, Any]) -> Recorder:
    overrides = []
    for override in _values(row, _OVERRIDES):
        frequency = next(iter(_texts(override, "RecordingFrequency")), "")
        overrides.append((frozenset(_texts(override, "ResourceTypes")), frequency))
    return Recorder(
        arn=_text(row, "arn"),
        place=_place(row),
        recording=_flag(row, "configuration.Recording"),
        strategy=next(iter(_texts(row, f"{_RECORDING_GROUP}.RecordingStrategy.UseOnly")), None),
        all_supported=_flag(row, f"{_RECORDING_GROUP}.AllSupported"),
        included=frozenset(_texts(row, f"{_RECORDING_GROUP}.ResourceTypes")),
        excluded=frozenset(_texts(row, f"{_RECORDING_GROUP}.ExclusionByResourceTypes.ResourceTypes")),
        frequency=next(iter(_texts(row, f"{_RECORDING_MODE}.RecordingFrequency")), None),
        overrides=tuple(overrides),
    )


def _place(row: Mapping[str, Any]) -> Place:
    return Place(_text(row, "accountId"), _text(row, "awsRegion"))


def _count(row: Mapping[str, Any]) -> int:
    count = row.get("COUNT(*)")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise AggregatorError(f"a count of the aggregator cannot be read: {count!r}")
    return count


def _values(value: object, path: str) -> Iterator[Any]:
    """Every value at a path, through every element of every array on the way; what is null is not there."""
    if isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif value is None:
        return
    elif not path:
        yield value
    elif isinstance(value, dict):
        name, _, rest = path.partition(".")
        yield from _values(value.get(name), rest)
    else:
        raise AggregatorError(f"a row of the aggregator has no object where {path} should be in one")


def _texts(value: object, path: str) -> list[str]:
    found = list(_values(value, path))
    if not all(isinstance(text, str) and text.strip() for text in found):
        raise AggregatorError(f"a row of the aggregator has something else than a text as {path}")
    return found


def _text(row: Mapping[str, Any], path: str) -> str:
    found = _texts(row, path)
    if len(found) != 1:
        raise AggregatorError(f"a row of the aggregator lacks {path}")
    return found[0]


def _flag(row: Mapping[str, Any], path: str) -> bool:
    """A boolean; one that is missing is false."""
    flag = next(_values(row, path), False)
    if not isinstance(flag, bool):
        raise AggregatorError(f"a row of the aggregator has something else than a boolean as {path}")
    return flag
