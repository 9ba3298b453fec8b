"""What the tests of adapters and handlers use in place of AWS and of time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.aws.config import ShownTaskDefinition
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.inventory import SourceStatus, TaskDefinition
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
    """Stands for the aggregator adapter, whose own tests are elsewhere; here it says what a test wants it to."""

    active: dict[str, TaskDefinition] = field(default_factory=dict)
    inactive: dict[str, TaskDefinition] = field(default_factory=dict)
    sources: dict[Place, SourceStatus] = field(
        default_factory=lambda: {PROD: SourceStatus.SUCCEEDED, DEV: SourceStatus.SUCCEEDED}
    )
    recorded: set[Place] = field(default_factory=lambda: {PROD, DEV})
    error: Exception | None = None
    counted: int | None = None
    reads: int = 0

    def show(self, arn: str, *images: str, place: Place = PROD, active: bool = True) -> None:
        (self.active if active else self.inactive)[arn] = TaskDefinition(arn, place, images)

    def active_task_definitions(self) -> list[TaskDefinition]:
        self.reads += 1
        if self.error:
            raise self.error
        return list(self.active.values())

    def count_active_task_definitions(self) -> int:
        return self.counted if self.counted is not None else len(self.active)

    def task_definitions(self, arns: Iterable[str]) -> dict[str, ShownTaskDefinition]:
        known = {arn: ShownTaskDefinition(td, "ACTIVE") for arn, td in self.active.items()} | {
            arn: ShownTaskDefinition(td, "INACTIVE") for arn, td in self.inactive.items()
        }
        return {arn: known[arn] for arn in arns if arn in known}

    def recorded_places(self) -> frozenset[Place]:
        return frozenset(self.recorded)

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

    def push(self, repository: Repository, *tags: str, content: str = "one") -> ImageId:
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "x",
                    "size": 1,
                    "digest": f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
                },
                "layers": [{"mediaType": "y", "size": 1000, "digest": f"sha256:{'0' * 64}"}],
            }
        )
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        for tag in tags or (None,):
            arguments: dict[str, Any] = {"imageTag": tag} if tag else {}
            self.client.put_image(
                repositoryName=repository.name, imageManifest=manifest, imageDigest=digest, **arguments
            )
        return ImageId(repository, digest)

    def exists(self, image_id: ImageId) -> bool:
        return image_id in self.registry.images([image_id])
