"""What a manifest says of an image: whether it is one at all, and what belongs to it.

OCI: https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md and image-index.md beside it. Docker:
https://distribution.github.io/distribution/spec/manifest-v2-2/ (schema 2) and its predecessor, schema 1.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import Any, NamedTuple

from ecr_cleanup.errors import ManifestError
from ecr_cleanup.image import DIGEST, INDEX_MEDIA_TYPES

# An image's signatures as cosign tags them, and the tag by which OCI referrers are found in registries without an API
# for them: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
REFERRER_TAG = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})(?:\.(?:sig|att|sbom))?")

_IMAGE_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SCHEMA_1_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
)
MANIFEST_TYPES = (*_IMAGE_TYPES, *INDEX_MEDIA_TYPES, *_SCHEMA_1_TYPES)
"""The media types that `parse_manifest` understands."""

_IMAGE_CONFIGURATIONS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
_MEDIA_TYPE = re.compile(r"[ -~]{1,255}")


class ManifestKind(Enum):
    """What a manifest describes."""

    IMAGE = "image"
    INDEX = "index"
    ARTIFACT = "artifact"


class Manifest(NamedTuple):
    """What matters of a manifest.

    `children` are the digests that an index lists, in its order and each once (an artifact that is an index has them,
    too). `subject` is the digest of what an artifact refers to, `artifact_type` what it is, where it says so.
    """

    kind: ManifestKind
    children: tuple[str, ...] = ()
    subject: str | None = None
    artifact_type: str | None = None

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(
            {
                "kind": self.kind.value,
                "children": self.children,
                "subject": self.subject,
                "artifact_type": self.artifact_type,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The inverse of `to_json`.

        Raises:
            ManifestError: the text was not made by `to_json`.
        """
        document = _Object.parse(text)
        try:
            kind = ManifestKind(document.text("kind"))
        except ValueError as error:
            raise ManifestError(f"{document.text('kind')!r} is no kind of manifest") from error
        children = tuple(_digest(child, "children") for child in document.list_of("children"))
        subject = document.members.get("subject")
        return cls(
            kind,
            children,
            None if subject is None else _digest(subject, "subject"),
            document.type_or_none("artifact_type"),
        )


def is_image_configuration(artifact_type: str) -> bool:
    """Whether the configuration of this media type is one of a container image."""
    return artifact_type in _IMAGE_CONFIGURATIONS


def parse_manifest(text: str, media_type: str) -> Manifest:
    """What a manifest says.

    It is an artifact if it names an artifact type or a subject, if its configuration is not one of an image (a chart, a
    build cache, a signature), and if it is an index of anything but manifests.

    Args:
        text: the manifest as the registry keeps it.
        media_type: as the registry names it.

    Raises:
        ManifestError: it cannot be understood in full, so nobody can say what belongs to the image.
    """
    if media_type not in MANIFEST_TYPES:
        raise ManifestError(f"manifests of the type {media_type!r} are unknown")
    document = _Object.parse(text)
    own_type = document.type_or_none("mediaType")
    if own_type not in (None, media_type):
        raise ManifestError(f"the manifest says that it is of the type {own_type!r}, the registry {media_type!r}")
    schema_version = 1 if media_type in _SCHEMA_1_TYPES else 2
    given_version = document.members.get("schemaVersion")
    if (type(given_version), given_version) != (int, schema_version):
        raise ManifestError(f"`schemaVersion` is not {schema_version}, as manifests of the type {media_type!r} have it")
    if media_type in _SCHEMA_1_TYPES:
        document.list_of("fsLayers")
        return Manifest(ManifestKind.IMAGE)
    return _parse_index(document) if media_type in INDEX_MEDIA_TYPES else _parse_image(document)


def _parse_image(document: _Object) -> Manifest:
    document.list_of("layers")
    configuration = document.object("config").text("mediaType")
    artifact_type, subject = document.type_or_none("artifactType"), _subject(document)
    if artifact_type or subject or not is_image_configuration(configuration):
        return Manifest(ManifestKind.ARTIFACT, (), subject, artifact_type or configuration)
    return Manifest(ManifestKind.IMAGE)


def _parse_index(document: _Object) -> Manifest:
    entries = [_Object.of(entry, "manifests") for entry in document.list_of("manifests")]
    children = tuple(dict.fromkeys(_digest(entry.members.get("digest"), "manifests.digest") for entry in entries))
    artifact_type, subject = document.type_or_none("artifactType"), _subject(document)
    # BuildKit can write a build cache as an index of layers.
    is_of_manifests = all(entry.text("mediaType") in MANIFEST_TYPES for entry in entries)
    kind = ManifestKind.INDEX if is_of_manifests and not (artifact_type or subject) else ManifestKind.ARTIFACT
    return Manifest(kind, children, subject, artifact_type)


def _subject(document: _Object) -> str | None:
    if document.members.get("subject") is None:
        return None
    return _digest(document.object("subject").members.get("digest"), "subject.digest")


def _digest(value: object, name: str) -> str:
    if isinstance(value, str) and DIGEST.fullmatch(value):
        return value
    raise ManifestError(f"`{name}` is {_shown(value)}, which is not a digest such as sha256:<64 hex>")


def _shown(value: object) -> str:
    # Of anything but texts only the type: it may nest too deeply to be printed.
    if not isinstance(value, str):
        return "missing" if value is None else f"a {type(value).__name__}"
    return ascii(value if len(value) <= 100 else f"{value[:100]}...")


class _Object(NamedTuple):
    """An object in a JSON document, whose members are asked for by type."""

    members: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> _Object:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from error
        return cls.of(document, "manifest")

    @classmethod
    def of(cls, value: object, name: str) -> _Object:
        if isinstance(value, dict):
            return cls(value)
        raise ManifestError(f"`{name}` is {_shown(value)}, not an object")

    def object(self, name: str) -> _Object:
        return self.of(self.members.get(name), name)

    def list_of(self, name: str) -> list[Any]:
        value = self.members.get(name)
        if isinstance(value, list):
            return value
        raise ManifestError(f"`{name}` is {_shown(value)}, not a list")

    def text(self, name: str) -> str:
        value = self.members.get(name)
        if isinstance(value, str) and _MEDIA_TYPE.fullmatch(value):
            return value
        raise ManifestError(f"`{name}` is {_shown(value)}, not a short text")

    def type_or_none(self, name: str) -> str | None:
        return None if self.members.get(name) is None else self.text(name)
