"""What is freed in truth: images share layers, and a layer goes only with the last image that has it.

Reads the manifests of all images of a repository, each of which ECR takes for a pull. Layers are counted per
repository, as ECR stores them: https://docs.aws.amazon.com/AmazonECR/latest/userguide/what-is-ecr.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecr_cleanup.chunks import chunks
from ecr_cleanup.image import ImageStatus
from ecr_cleanup.manifest import MANIFEST_TYPES, REFERRER_TAG
from ecr_cleanup.removal import goes_along

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from mypy_boto3_ecr import ECRClient

    from ecr_cleanup.image import Repository
    from ecr_cleanup.survey import Judged

_IDS_PER_CALL = 100
# What of itself keeps a part of an image that goes.
_STAYS_BY_ITSELF = frozenset(["in_use", "inventory_not_trusted", "not_opted_in", "repository_settings_invalid"])


@dataclass(frozen=True, slots=True)
class Content:
    """What a manifest lists: the sizes in bytes of its configuration and layers by digest, and the images in it."""

    blobs: Mapping[str, int]
    children: tuple[str, ...] = ()


@dataclass
class Freed:
    """What the removals free: bytes, in so many images with their parts.

    `unread` images have manifests that could not be read: if they stay, they may share layers with those that go.
    """

    bytes: int = 0
    images: int = 0
    unread: int = 0

    def add(self, other: Freed) -> None:
        """Count what another repository has."""
        self.bytes += other.bytes
        self.images += other.images
        self.unread += other.unread


@dataclass
class Contents:
    """The manifests of a repository, by digest."""

    by_digest: dict[str, Content] = field(default_factory=dict)

    def parents(self) -> dict[str, set[str]]:
        """The indexes that hold each image."""
        parents: dict[str, set[str]] = {}
        for digest, content in self.by_digest.items():
            for child in content.children:
                parents.setdefault(child, set()).add(digest)
        return parents


def read_contents(
    client: ECRClient, repository: Repository, digests: Sequence[str], advance: Callable[[int], None]
) -> Contents:
    """Read the manifests of these images, a hundred a call. Those that cannot be read are left out.

    Raises botocore's errors.
    """
    contents = Contents()
    for some in chunks(digests, _IDS_PER_CALL):
        answer = client.batch_get_image(
            registryId=repository.registry_id,
            repositoryName=repository.name,
            imageIds=[{"imageDigest": digest} for digest in some],
            acceptedMediaTypes=list(MANIFEST_TYPES),
        )
        for image in answer["images"]:
            if content := _content(image.get("imageManifest", "")):
                contents.by_digest[image["imageId"]["imageDigest"]] = content
        advance(len(some))
    return contents


def freed_by(judged: Sequence[Judged], contents: Contents) -> Freed:
    """What goes with the images that look unused, and with what belongs to them."""
    gone = gone_with(judged, contents)
    known = contents.by_digest
    stays = {blob for digest, content in known.items() if digest not in gone for blob in content.blobs}
    goes = {blob: size for digest in gone if digest in known for blob, size in known[digest].blobs.items()}
    size = sum(size for blob, size in goes.items() if blob not in stays)
    # What is in the archive can be read by nobody.
    unread = sum(each.image.id.digest not in known for each in judged)
    return Freed(size, len(gone), unread)


def gone_with(judged: Sequence[Judged], contents: Contents) -> set[str]:
    """The digests of images that look unused, of parts that nothing else holds, and of what refers to any of them."""
    by_digest = {each.image.id.digest: each for each in judged}
    gone = {digest for digest, each in by_digest.items() if each.looks_unused}
    parents = contents.parents()
    while more := set(_parts(by_digest, gone, parents)):
        gone |= more
    return gone


def _parts(
    by_digest: Mapping[str, Judged], gone: Collection[str], parents: Mapping[str, Collection[str]]
) -> Iterator[str]:
    for digest, each in by_digest.items():
        image = each.image
        if digest in gone or each.decision.rule in _STAYS_BY_ITSELF or image.status is ImageStatus.ARCHIVED:
            continue
        holding = parents.get(digest, ())
        named = {f"sha256:{match['hex']}" for tag in image.tags if (match := REFERRER_TAG.fullmatch(tag))}
        belongs = bool(holding) or image.subject in gone or bool(named)
        if belongs and all(parent in gone for parent in holding) and goes_along(image, gone):
            yield digest


def _content(text: str) -> Content | None:
    try:
        document: dict[str, Any] = json.loads(text)
        if "manifests" in document:
            return Content({}, tuple(str(entry["digest"]) for entry in document["manifests"]))
        parts = [document["config"], *document["layers"]]
        return Content({str(part["digest"]): int(part["size"]) for part in parts})
    except (KeyError, TypeError, ValueError):
        # Schema 1 does not say how large layers are.
        return None
