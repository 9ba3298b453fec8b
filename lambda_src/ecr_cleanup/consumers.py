"""Which resource type of AWS Config holds an image, and where: the one place to add the next type.

Property names as AWS's own schemas have them, letter case included:
https://github.com/awslabs/aws-config-resource-schema/tree/master/config/properties/resource-types
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ecr_cleanup.settings import Place


class ConsumerType(NamedTuple):
    """A resource type whose resources hold images, by name or through a task definition.

    `images` and `task_definition` are properties in the notation of advanced queries; an array on the way stands for
    each of its elements. `condition` leaves resources out that hold nothing. A resource that names nothing, although
    its type does not say that it `may_name_none`, is a reason not to trust its account.
    """

    resource_type: str
    kind: str
    images: tuple[str, ...] = ()
    task_definition: str | None = None
    condition: str | None = None
    may_name_none: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """All that a query has to select."""
        return (*self.images, self.task_definition) if self.task_definition else self.images


class Consumer(NamedTuple):
    """A resource of one of the types as the aggregator shows it, with the image strings it names itself."""

    type: ConsumerType
    arn: str
    place: Place
    images: tuple[str, ...] = ()
    task_definition: str | None = None
    """ARN of the task definition that it points to."""

    @property
    def names_too_little(self) -> bool:
        """Whether it must hold something, and nobody knows what."""
        return not (self.images or self.task_definition or self.type.may_name_none)


TASK_DEFINITION = ConsumerType(
    "AWS::ECS::TaskDefinition",
    "task definition",
    images=("configuration.ContainerDefinitions.Image",),
    condition="configuration.Status = 'ACTIVE'",
)
_OTHERS = (
    # With an external deployment controller, only the task sets point to task definitions.
    ConsumerType("AWS::ECS::Service", "service", task_definition="configuration.TaskDefinition", may_name_none=True),
    ConsumerType("AWS::ECS::TaskSet", "task set", task_definition="configuration.TaskDefinition"),
    # Built from source code, it has no image.
    ConsumerType(
        "AWS::AppRunner::Service",
        "App Runner service",
        images=("configuration.SourceConfiguration.ImageRepository.ImageIdentifier",),
        may_name_none=True,
    ),
    # Made of a model package, it names that instead.
    ConsumerType(
        "AWS::SageMaker::Model",
        "SageMaker model",
        images=("configuration.PrimaryContainer.Image", "configuration.Containers.Image"),
        may_name_none=True,
    ),
    ConsumerType("AWS::CodeBuild::Project", "CodeBuild project", images=("configuration.environment.image",)),
)
CONSUMER_TYPES = {each.resource_type: each for each in (TASK_DEFINITION, *_OTHERS)}
"""By resource type."""
