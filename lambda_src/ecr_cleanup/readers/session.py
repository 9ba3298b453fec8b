"""What a reader works with: the clients of one place, under the role that was assumed there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from botocore.exceptions import ClientError

from ecr_cleanup.errors import LiveUsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from botocore.client import BaseClient
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_config import ConfigServiceClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import TaskDefinitionTypeDef
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from ecr_cleanup.inventory import TaskDefinition
    from ecr_cleanup.settings import CheckSettings, Place


class Memory(Protocol):
    """Remembers the images of what never changes, from one batch to the next."""

    def remembered_images(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """The images of those names that are remembered."""

    def remember_images(self, name: str, images: Collection[str]) -> None:
        """Remember the images of a name, of which there is at least one."""


@dataclass(eq=False)
class PlaceSession:
    """One place, and how to ask it. A session is used by one thread at a time.

    `shown` are the ACTIVE task definitions of all places that the aggregator shows, by ARN. All methods, and the
    clients, raise botocore's errors, and `LiveUsageError` where an answer does not say what it should.
    """

    place: Place
    settings: CheckSettings
    shown: Mapping[str, TaskDefinition]
    memory: Memory
    client_for: Callable[[str], BaseClient]
    _described: dict[str, TaskDefinitionTypeDef | None] = field(default_factory=dict)

    @cached_property
    def batch(self) -> BatchClient:
        return cast("BatchClient", self.client_for("batch"))

    @cached_property
    def config(self) -> ConfigServiceClient:
        return cast("ConfigServiceClient", self.client_for("config"))

    @cached_property
    def ecs(self) -> ECSClient:
        return cast("ECSClient", self.client_for("ecs"))

    @cached_property
    def events(self) -> EventBridgeClient:
        return cast("EventBridgeClient", self.client_for("events"))

    @cached_property
    def functions(self) -> LambdaClient:
        return cast("LambdaClient", self.client_for("lambda"))

    @cached_property
    def scheduler(self) -> EventBridgeSchedulerClient:
        return cast("EventBridgeSchedulerClient", self.client_for("scheduler"))

    @cached_property
    def cluster_arns(self) -> tuple[str, ...]:
        """The clusters of ECS. Where there are none, nothing of ECS runs or can be started."""
        pages = self.ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 100})
        return tuple(arn for page in pages for arn in page["clusterArns"])

    def images_of(self, task_definition: str) -> tuple[str, ...] | None:
        """The image strings of a task definition, whatever its status. None where there is none of this name."""
        known = self.shown.get(task_definition)
        if known:
            return known.images
        found = self.describe(task_definition)
        if found is None:
            return None
        return tuple(container["image"] for container in found["containerDefinitions"] if "image" in container)

    def never_resolves(self, task_definition: str, container: str) -> bool:
        """Whether ECS was told to take the image's tag anew for each task (`versionConsistency`)."""
        found = self.describe(task_definition) if task_definition else None
        containers = found["containerDefinitions"] if found else ()
        return any(each["name"] == container and each.get("versionConsistency") == "disabled" for each in containers)

    def describe(self, task_definition: str) -> TaskDefinitionTypeDef | None:
        """A task definition as ECS has it, asked for once; None where there is none of this name."""
        if task_definition not in self._described:
            try:
                answer = self.ecs.describe_task_definition(taskDefinition=task_definition)
            except ClientError as error:
                # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html
                if error.response["Error"]["Code"] != "ClientException":
                    raise
                self._described[task_definition] = None
            else:
                self._described[task_definition] = answer["taskDefinition"]
        return self._described[task_definition]

    def is_of_interest(self, image: str) -> bool:
        """Whether an image string may name the registry, if only by a digest; what else runs is not written down."""
        return self.settings.registry_id in image or "@" in image

    def refuse_failures(self, failures: Iterable[Mapping[str, Any]], operation: str) -> None:
        """Raise LiveUsageError for what ECS could not describe, unless it went away meanwhile."""
        for failure in failures:
            if failure.get("reason") != "MISSING":
                raise LiveUsageError(
                    f"{operation} says nothing of {failure.get('arn')}: {failure.get('reason') or 'no reason'}"
                )


def pages_of(call: Callable[..., Mapping[str, Any]], token: str, **request: object) -> Iterator[Mapping[str, Any]]:
    """All pages of a list for which botocore has no paginator; `token` is what both request and answer call theirs."""
    while True:
        page = call(**request)
        yield page
        if not page.get(token):
            return
        request[token] = page[token]
