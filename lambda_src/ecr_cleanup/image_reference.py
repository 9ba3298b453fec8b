"""What the image string of a container definition means.

Hosts of one private registry (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html and
https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html): `<account>.dkr.ecr.<region>.<suffix>`, the
same with `ecr-fips`, and the dual-stack forms `<account>.dkr-ecr.<region>.on.aws` and `dkr-ecr-fips`. All of them
mean the same image.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ecr_cleanup.errors import ImageReferenceError
from ecr_cleanup.image import DIGEST, REGION, REPOSITORY_NAME, TAG, ImageId, Repository

DEFAULT_TAG = "latest"

# One suffix per partition, as botocore's partitions.json lists them.
_SUFFIXES = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
)
# Likewise the dual-stack domains, in which `api.` becomes `on.` for registries.
_DUAL_STACK_SUFFIXES = (
    "on.aws",
    "on.amazonwebservices.com.cn",
    "on.amazonwebservices.eu",
    "on.aws.ic.gov",
    "on.aws.scloud",
    "on.cloud-aws.adc-e.uk",
    "on.aws.hci.ic.gov",
)


def _any_of(texts: tuple[str, ...]) -> str:
    return "|".join(re.escape(text) for text in texts)


_HOST = re.compile(
    r"(?P<registry_id>[0-9]{12})\."
    rf"(?:dkr\.ecr(?:-fips)?\.(?P<region>{REGION.pattern})\.(?:{_any_of(_SUFFIXES)})"
    rf"|dkr-ecr(?:-fips)?\.(?P<dual_stack_region>{REGION.pattern})\.(?:{_any_of(_DUAL_STACK_SUFFIXES)}))"
    r"(?::443)?"
)


class ImageReference(NamedTuple):
    """A reference to an image of a private ECR registry, in canonical form.

    `tag` or `digest` is always there; a reference with neither means the tag `latest`. Where both are, the digest is
    what is pulled.
    """

    repository: Repository
    tag: str | None
    digest: str | None

    @property
    def image_id(self) -> ImageId | None:
        """The image that it names for good, where it has a digest."""
        return ImageId(self.repository, self.digest) if self.digest else None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse_image_reference(text: str) -> ImageReference | None:
    """Parse an image string of a container definition.

    Returns:
        The reference, or None if it is not one to a private ECR registry (Docker Hub, ECR Public, a lookalike host).

    Raises:
        ImageReferenceError: the host is one of ECR's, but what follows is not `repository[:tag][@digest]`.
    """
    host, slash, rest = text.strip().partition("/")
    # Host names do not distinguish case, everything else in a reference does. Some letters of other alphabets, such as
    # the Kelvin sign, are ASCII when lowered, and the host another one.
    match = _HOST.fullmatch(host.lower()) if host.isascii() else None
    if match is None:
        return None
    rest, at, digest = rest.partition("@")
    name, colon, tag = rest.partition(":")
    if not slash or not REPOSITORY_NAME.fullmatch(name):
        raise ImageReferenceError(
            f"image reference {text[:600]!r}: {name[:300]!r} is not a repository name; "
            "it has 2 to 256 lower-case letters, digits and . _ - /"
        )
    if colon and not TAG.fullmatch(tag):
        raise ImageReferenceError(
            f"image reference {text[:600]!r}: {tag[:300]!r} is not a tag; it has up to 128 letters, digits and . _ -"
        )
    if at and not DIGEST.fullmatch(digest):
        raise ImageReferenceError(
            f"image reference {text[:600]!r}: {digest[:300]!r} is not a digest; it is sha256: and 64 hexadecimal digits"
        )
    repository = Repository(match["registry_id"], match["region"] or match["dual_stack_region"], name)
    if not tag and not digest:
        tag = DEFAULT_TAG
    return ImageReference(repository, tag or None, digest or None)
