"""What the tests of adapters and handlers use in place of AWS and of time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.aws.config import ShownTaskDefinition
from ecr_cleanup.consumers import CONSUMER_TYPES, TASK_DEFINITION, Consumer, ConsumerType
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.inventory import Recorder, SourceStatus, TaskDefinition
from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_ecr import ECRClient

    from ecr_cleanup.aws.ecr import Registry

REGION = "eu-central-1"
SHARED, PRODUCTION, DEVELOPMENT = "111111111111", "222222222222", "333333333333"
HOST = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com"
PROD = Place(PRODUCTION, REGION)
DEV = Place(DEVELOPMENT, REGION)


@dataclass
class FakeClock:
    now: datetime = datetime(2030, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class FakeAggregator:
    """Stands for the aggregator adapter, whose own tests are elsewhere; here it says what a test wants it to.

    Places in `recorded` have a recorder that leaves nothing to be desired, unless `own_recorders` has others.
    `counted` is what it counts of task definitions, `counted_before` what it does before they are read.
    """

    active: dict[str, TaskDefinition] = field(default_factory=dict)
    inactive: dict[str, TaskDefinition] = field(default_factory=dict)
    holding: list[Consumer] = field(default_factory=list)
    sources: dict[Place, SourceStatus] = field(
        default_factory=lambda: {PROD: SourceStatus.SUCCEEDED, DEV: SourceStatus.SUCCEEDED}
    )
    recorded: set[Place] = field(default_factory=lambda: {PROD, DEV})
    own_recorders: list[Recorder] = field(default_factory=list)
    error: Exception | None = None
    counted: int | None = None
    counted_before: int | None = None
    reads: int = 0
    looked_up: list[str] = field(default_factory=list)

    def show(self, arn: str, *images: str, place: Place = PROD, active: bool = True) -> None:
        (self.active if active else self.inactive)[arn] = TaskDefinition(arn, place, images)

    def show_consumer(
        self, resource_type: str, arn: str, *images: str, task_definition: str | None = None, place: Place = PROD
    ) -> None:
        self.holding.append(Consumer(CONSUMER_TYPES[resource_type], arn, place, images, task_definition))

    def active_task_definitions(self) -> list[TaskDefinition]:
        self.reads += 1
        if self.error:
            raise self.error
        return list(self.active.values())

    def consumers(self, consumer_type: ConsumerType) -> list[Consumer]:
        return [consumer for consumer in self.holding if consumer.type is consumer_type]

    def counts(self, resource_types: Iterable[str]) -> dict[tuple[Place, str], int]:
        kinds = [(definition.place, TASK_DEFINITION) for definition in self.active.values()]
        kinds += [(consumer.place, consumer.type) for consumer in self.holding]
        counts = Counter((place, kind.resource_type) for place, kind in kinds if kind.resource_type in resource_types)
        counted = self.counted if self.reads else self.counted_before
        return dict(counts) if counted is None else {(PROD, TASK_DEFINITION.resource_type): counted}

    def task_definitions(self, arns: Iterable[str]) -> dict[str, ShownTaskDefinition]:
        known = {arn: ShownTaskDefinition(td, "ACTIVE") for arn, td in self.active.items()} | {
            arn: ShownTaskDefinition(td, "INACTIVE") for arn, td in self.inactive.items()
        }
        wanted = sorted(arns)
        self.looked_up += wanted
        return {arn: known[arn] for arn in wanted if arn in known}

    def recorders(self) -> list[Recorder]:
        own = {recorder.place for recorder in self.own_recorders}
        return self.own_recorders + [
            Recorder(
                f"arn:aws:config:{place.region}:{place.account}:configuration-recorder/default",
                place,
                recording=True,
                all_supported=True,
            )
            for place in sorted(self.recorded - own)
        ]

    def source_statuses(self) -> dict[Place, SourceStatus]:
        return self.sources


@dataclass
class Pushed:
    """A registry in moto, and a registry adapter over it."""

    client: ECRClient
    registry: Registry

    def repository(self, name: str = "team/app", **tags: str) -> Repository:
        self.client.create_repository(
            repositoryName=name, tags=[{"Key": key.replace("_", "-"), "Value": value} for key, value in tags.items()]
        )
        return Repository(SHARED, REGION, name)

    def push(
        self,
        repository: Repository,
        *tags: str,
        content: str = "one",
        config_type: str = "application/vnd.oci.image.config.v1+json",
        **more: Any,
    ) -> ImageId:
        """`more` are further members of the manifest."""
        return self._put(
            repository,
            tags,
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": config_type,
                    "size": 1,
                    "digest": f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
                },
                "layers": [{"mediaType": "y", "size": 1000, "digest": f"sha256:{'0' * 64}"}],
                **more,
            },
        )

    def push_image(self, repository: Repository, *tags: str, content: str = "one", **more: Any) -> ImageId:
        """An image that is one by its manifest, too."""
        return self.push(
            repository, *tags, content=content, config_type="application/vnd.oci.image.config.v1+json", **more
        )

    def push_index(self, repository: Repository, *tags: str, children: Iterable[ImageId], **more: Any) -> ImageId:
        """An index of images that are in the repository already."""
        entries = [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": child.digest}
            for child in children
        ]
        media_type = "application/vnd.oci.image.index.v1+json"
        return self._put(repository, tags, {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **more})

    def push_referrer(
        self,
        subject: ImageId,
        *tags: str,
        content: str = "signature",
        artifact_type: str = "application/vnd.dev.cosign.artifact.sig.v1+json",
    ) -> ImageId:
        """An artifact that refers to an image, or to another artifact."""
        return self.push(
            subject.repository,
            *tags,
            content=content,
            config_type="application/vnd.oci.empty.v1+json",
            artifactType=artifact_type,
            subject={
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": 1,
                "digest": subject.digest,
            },
        )

    def _put(self, repository: Repository, tags: tuple[str, ...], document: dict[str, Any]) -> ImageId:
        manifest = json.dumps(document)
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        for tag in tags or (None,):
            arguments: dict[str, Any] = {"imageTag": tag} if tag else {}
            self.client.put_image(
                repositoryName=repository.name, imageManifest=manifest, imageDigest=digest, **arguments
            )
        return ImageId(repository, digest)

    def exists(self, image_id: ImageId) -> bool:
        return image_id in self.registry.images([image_id])
