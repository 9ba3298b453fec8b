"""Pushes small, valid images through ECR's API."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ecr import ECRClient

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG_SIZE = 1_000
_PLATFORMS = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})


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
    layer = _descriptor(_LAYER, content or str(uuid4()), size - _CONFIG_SIZE)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_EMPTY_CONFIG if artifact_type else _CONFIG, "{}", _CONFIG_SIZE),
        "layers": [layer],
    }
    if artifact_type:
        manifest["artifactType"] = artifact_type
    if subject:
        manifest["subject"] = _reference(subject)
    return _put(ecr, repository, tags, manifest)


def push_index(ecr: ECRClient, repository: str, tags: Sequence[str] = (), *, children: Sequence[str]) -> str:
    """Push an index of images that are in the repository already, one per platform, and return its digest."""
    manifests = [
        _reference(child) | {"platform": _PLATFORMS[number % len(_PLATFORMS)]} for number, child in enumerate(children)
    ]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
    return _put(ecr, repository, tags, index)


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
