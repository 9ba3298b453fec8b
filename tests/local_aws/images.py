"""Pushes small, valid images and artifacts through ECR's API, and pulls images as a task does.

For benchmarks, `put_many` puts images into the registry past the API, which would take minutes for 100,000.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local_aws.ecr import store_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_IN_TOTO = "application/vnd.in-toto+json"
_SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
_CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_CONFIG_SIZE = 1_000
_PLATFORMS = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
_NO_PLATFORM = {"os": "unknown", "architecture": "unknown"}


@dataclass(frozen=True)
class StoredBefore:
    """An image for `put_many`: its tags, its size in bytes, and when it was pushed (by default now) and last pulled."""

    tags: Sequence[str] = ()
    size: int = 10_000_000
    pushed_at: datetime | None = None
    pulled_at: datetime | None = None


class PullError(Exception):
    """An image that cannot be pulled; the text is ECR's reason."""


def push_image(
    ecr: ECRClient,
    repository: str,
    tags: Sequence[str] = (),
    *,
    content: str | None = None,
    size: int = 10_000_000,
    subject: str | None = None,
    artifact_type: str | None = None,
) -> str:
    """Push an image under all the tags (none leaves it untagged) and return its digest.

    The same `content` gives the same digest; without it every call pushes a new image. `size` is in bytes. With
    `subject`, the digest of an image, an artifact that refers to it is pushed (a signature, an SBOM).
    """
    config = _EMPTY_CONFIG if artifact_type else _CONFIG
    manifest = _manifest(config, _LAYER, content, size)
    if artifact_type:
        manifest["artifactType"] = artifact_type
    if subject:
        manifest["subject"] = _reference(subject)
    return _put(ecr, repository, tags, manifest)


def put_many(account: str, region: str, repository: str, images: Iterable[StoredBefore]) -> list[str]:
    """Put images into a repository of the local AWS in this process as if they had long been there; gives the digests.

    Each is new content. No event tells of them. A tag must not be in the repository yet, nor be given twice.
    """
    wanted = list(images)
    manifests = (json.dumps(_manifest(_CONFIG, _LAYER, size=image.size)) for image in wanted)
    stored = store_images(account, region, repository, _MANIFEST, manifests)
    for image, facts in zip(stored, wanted, strict=True):
        for tag in facts.tags:
            image.update_tag(tag)
        image.pushed_at = facts.pushed_at or image.pushed_at
        image.pulled_at = facts.pulled_at
    return [image.digest for image in stored]


def push_index(
    ecr: ECRClient,
    repository: str,
    tags: Sequence[str] = (),
    *,
    children: Sequence[str],
    attestations: Sequence[str] = (),
) -> str:
    """Push an index of images that are in the repository already, one per platform, and return its digest.

    `attestations` are children as well, in the order of the children that they are about, as buildx lists them:
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    manifests: list[dict[str, Any]] = [
        _reference(child) | {"platform": _PLATFORMS[number % len(_PLATFORMS)]} for number, child in enumerate(children)
    ]
    for attestation, child in zip(attestations, children, strict=False):
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child}
        manifests.append(_reference(attestation) | {"platform": _NO_PLATFORM, "annotations": about})
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
    return _put(ecr, repository, tags, index)


def push_attestation(ecr: ECRClient, repository: str) -> str:
    """Push what buildx makes an attestation of, an untagged manifest with the configuration of an image."""
    return _put(ecr, repository, (), _manifest(_CONFIG, _IN_TOTO))


def push_build(ecr: ECRClient, repository: str, tags: Sequence[str] = ()) -> str:
    """Push what `docker buildx build` does for two platforms: an index, two images and two attestations."""
    children = [push_image(ecr, repository) for _ in _PLATFORMS]
    attestations = [push_attestation(ecr, repository) for _ in _PLATFORMS]
    return push_index(ecr, repository, tags, children=children, attestations=attestations)


def push_signature(ecr: ECRClient, repository: str, image: str) -> str:
    """Sign an image in the way of older versions of cosign, with a tag made of its digest; return the signature's."""
    tag = image.replace(":", "-") + ".sig"
    return _put(ecr, repository, [tag], _manifest(_CONFIG, _SIGNATURE))


def push_chart(ecr: ECRClient, repository: str, tags: Sequence[str] = ()) -> str:
    """Push a Helm chart and return its digest."""
    return _put(ecr, repository, tags, _manifest(_CHART_CONFIG, _CHART_LAYER))


def push_cache(ecr: ECRClient, repository: str, tags: Sequence[str] = ()) -> str:
    """Push a build cache as BuildKit does with `image-manifest=true` (ECR refuses the other form)."""
    return _put(ecr, repository, tags, _manifest(_CACHE_CONFIG, _LAYER))


def pull(ecr: ECRClient, repository: str, image: str, *, registry: str | None = None) -> str:
    """Pull an image by tag or digest as a task on linux/amd64 does; the digest of the image that runs.

    Of an index, its image for the platform is pulled too. `registry` is another account's. Raises PullError.
    """
    manifest, digest = _get(ecr, repository, image, registry)
    for child in manifest.get("manifests", ()):
        if child.get("platform") == _PLATFORMS[0]:
            return pull(ecr, repository, child["digest"], registry=registry)
    if "manifests" in manifest:
        raise PullError(f"no matching manifest for linux/amd64 in {digest}")
    return digest


def _get(ecr: ECRClient, repository: str, image: str, registry: str | None) -> tuple[dict[str, Any], str]:
    image_id: ImageIdentifierTypeDef = {"imageDigest": image} if ":" in image else {"imageTag": image}
    owner: Any = {"registryId": registry} if registry else {}
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=[image_id], **owner)
    for failure in answer["failures"]:
        raise PullError(f"{failure['failureCode']}: {failure['failureReason']}")
    found = answer["images"][0]
    return json.loads(found["imageManifest"]), found["imageId"]["imageDigest"]


def _manifest(config: str, layer: str, content: str | None = None, size: int = 10_000_000) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(config, "{}", _CONFIG_SIZE),
        "layers": [_descriptor(layer, content or str(uuid4()), size - _CONFIG_SIZE)],
    }


def _put(ecr: ECRClient, repository: str, tags: Sequence[str], manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, indent=2)
    media_type = manifest["mediaType"]
    for tag in tags:
        ecr.put_image(repositoryName=repository, imageManifest=text, imageManifestMediaType=media_type, imageTag=tag)
    if not tags:
        ecr.put_image(repositoryName=repository, imageManifest=text, imageManifestMediaType=media_type)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _descriptor(media_type: str, content: str, size: int) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(content.encode()).hexdigest()
    return {"mediaType": media_type, "digest": digest, "size": size}


def _reference(digest: str) -> dict[str, Any]:
    """A descriptor of a manifest. ECR does not compare the size, which only a pull of it would tell."""
    return {"mediaType": _MANIFEST, "digest": digest, "size": _CONFIG_SIZE}
