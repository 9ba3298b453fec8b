"""The Config aggregator: what all accounts have configured.

Grammar and limits of the queries:
https://docs.aws.amazon.com/config/latest/developerguide/query-components.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecr_cleanup.chunks import chunks
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.inventory import SourceStatus, TaskDefinition
from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_config import ConfigServiceClient

_PAGE_SIZE = 100
# An expression has at most 4,096 characters, and the ARN of a task definition at most 340.
_ARNS_PER_QUERY = 10

_IS_TASK_DEFINITION = "resourceType = 'AWS::ECS::TaskDefinition'"
_TASK_DEFINITION = "accountId, awsRegion, arn, configuration.Status, configuration.ContainerDefinitions.Image"


@dataclass(frozen=True, slots=True)
class ShownTaskDefinition:
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
        rows = self._select(
            f"SELECT {_TASK_DEFINITION} WHERE {_IS_TASK_DEFINITION} AND configuration.Status = 'ACTIVE'"
        )
        return [_shown(row).task_definition for row in rows]

    def count_active_task_definitions(self) -> int:
        """How many ACTIVE task definitions there are."""
        rows = self._select(
            f"SELECT COUNT(*) WHERE {_IS_TASK_DEFINITION} AND configuration.Status = 'ACTIVE'",
        )
        try:
            return sum(int(row["COUNT(*)"]) for row in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise AggregatorError(f"a count of the aggregator cannot be read: {error}") from None

    def task_definitions(self, arns: Iterable[str]) -> dict[str, ShownTaskDefinition]:
        """Those of the task definitions that the aggregator shows, by ARN."""
        shown = {}
        for some in chunks(sorted(set(arns)), _ARNS_PER_QUERY):
            quoted = ", ".join(f"'{arn}'" for arn in some)
            for row in self._select(f"SELECT {_TASK_DEFINITION} WHERE {_IS_TASK_DEFINITION} AND arn IN ({quoted})"):
                found = _shown(row)
                shown[found.task_definition.arn] = found
        return shown

    def recorded_places(self) -> frozenset[Place]:
        """The accounts and regions of which the aggregator holds any resource."""
        rows = self._select("SELECT accountId, awsRegion, COUNT(*) GROUP BY accountId, awsRegion")
        return frozenset(_place(row) for row in rows)

    def source_statuses(self) -> dict[Place, SourceStatus]:
        """The state of each account and region that the aggregator reads."""
        pages = self._client.get_paginator("describe_configuration_aggregator_sources_status").paginate(
            ConfigurationAggregatorName=self._name
        )
        statuses: dict[Place, SourceStatus] = {}
        for page in pages:
            for source in page["AggregatedSourceStatusList"]:
                if "AwsRegion" not in source or source.get("SourceType") == "ORGANIZATION":
                    continue
                try:
                    place = Place(source["SourceId"], source["AwsRegion"])
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
                    yield json.loads(text)
                except ValueError as error:
                    raise AggregatorError(f"a row of the aggregator is not JSON: {error}") from None


def _shown(row: Mapping[str, Any]) -> ShownTaskDefinition:
    try:
        configuration = row["configuration"]
        definition = TaskDefinition(
            arn=row["arn"],
            place=_place(row),
            images=tuple(container["Image"] for container in configuration["ContainerDefinitions"]),
        )
        status = configuration["Status"]
    except (KeyError, TypeError) as error:
        raise AggregatorError(f"a task definition of the aggregator lacks {error}") from None
    if not definition.images:
        raise AggregatorError(f"{definition.arn} has no containers in the aggregator")
    return ShownTaskDefinition(definition, status)


def _place(row: Mapping[str, Any]) -> Place:
    try:
        return Place(row["accountId"], row["awsRegion"])
    except KeyError as error:
        raise AggregatorError(f"a row of the aggregator lacks {error}") from None
