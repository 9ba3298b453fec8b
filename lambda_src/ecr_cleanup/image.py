"""Repositories and images of the registry, as values."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

ACCOUNT_ID = re.compile(r"[0-9]{12}")
REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")
# Wider than what ECR admits (it refuses doubled separators): refusing a name here could hide a usage.
REPOSITORY_NAME = re.compile(r"[a-z0-9][a-z0-9._/-]{0,254}[a-z0-9]")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INDEX_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Repository(NamedTuple):
    """A repository of a private registry. Each region's copy is a repository of its own."""

    registry_id: str
    region: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry_id}/{self.region}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Repository:
        """The inverse of `str()`.

        Raises:
            ValueError: the text was not made by `str()` of a `Repository`.
        """
        registry_id, _, rest = text.partition("/")
        region, _, name = rest.partition("/")
        if not (ACCOUNT_ID.fullmatch(registry_id) and REGION.fullmatch(region) and REPOSITORY_NAME.fullmatch(name)):
            raise ValueError(f"{text!r} is not of the form 123456789012/eu-central-1/repository")
        return cls(registry_id, region, name)


class ImageId(NamedTuple):
    """Names one image: a manifest digest (`sha256:<64 hex>`) in a repository."""

    repository: Repository
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> ImageId:
        """The inverse of `str()`.

        Raises:
            ValueError: the text was not made by `str()` of an `ImageId`.
        """
        place, _, digest = text.partition("@")
        try:
            repository = Repository.parse(place)
        except ValueError:
            repository = None
        if repository is None or not DIGEST.fullmatch(digest):
            raise ValueError(f"{text!r} is not of the form 123456789012/eu-central-1/repository@sha256:<64 hex>")
        return cls(repository, digest)


class ImageStatus(Enum):
    """Whether an image can be pulled.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    ACTIVATING = "ACTIVATING"


class Image(NamedTuple):
    """An image as ECR describes it at one moment.

    `size_bytes` is ECR's own figure: compressed, layers shared with other images included, and for an index only
    its largest child. `media_type` is the manifest's, `artifact_type` that of its configuration or the one that it
    names; `subject` is the digest of the image that an artifact refers to. They are None where ECR does not say.
    """

    id: ImageId
    tags: frozenset[str]
    size_bytes: int
    pushed_at: datetime
    last_pulled_at: datetime | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    subject: str | None = None
    status: ImageStatus = ImageStatus.ACTIVE

    @property
    def is_index(self) -> bool:
        """Whether it is an index of others, as far as the registry says."""
        return self.media_type in INDEX_MEDIA_TYPES
