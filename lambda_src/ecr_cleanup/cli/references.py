"""What people write when they mean an image or a repository, in any spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.cli.failures import NotFoundError, UsageError
from ecr_cleanup.errors import ImageReferenceError
from ecr_cleanup.image import REPOSITORY_NAME, ImageId, Repository
from ecr_cleanup.image_reference import ImageReference, parse_image_reference

if TYPE_CHECKING:
    from ecr_cleanup.settings import Settings


def references_of(text: str, settings: Settings, region: str) -> list[ImageReference]:
    """What an image of the installation's registry is meant to be by a text, in each region that it may be of.

    A full reference says the region. Anything else may be of each region of the registry, `region` first.

    Raises:
        UsageError: the text is no reference.
        NotFoundError: it is one to another registry or region.
    """
    text = text.strip()
    try:
        reference = _full_reference(text)
        if reference:
            return [_in_charge(reference, settings)]
        if "." in text.partition("/")[0] and "/" in text:
            raise NotFoundError(f"{text[:300]} is no image of an ECR registry; this one is {settings.registry_id}")
        found = [
            parse_image_reference(f"{settings.registry_id}.dkr.ecr.{each}.amazonaws.com/{text}")
            for each in _regions(settings, region)
        ]
    except ImageReferenceError as error:
        raise UsageError(
            f"{text[:100]!r} is not an image: {error}; write repository:tag, repository@sha256:<64 hex> or a full "
            "reference"
        ) from None
    return [reference for reference in found if reference]


def repositories_of(text: str, settings: Settings, region: str) -> list[Repository]:
    """The repositories that a text may mean, in each region; as `references_of`.

    Raises:
        UsageError: the text is no name of a repository.
        NotFoundError: it is one of another registry or region.
    """
    text = text.strip()
    try:
        reference = parse_image_reference(text)
    except ImageReferenceError as error:
        raise UsageError(str(error)) from None
    if reference:
        return [_in_charge(reference, settings).repository]
    if not REPOSITORY_NAME.fullmatch(text):
        raise UsageError(
            f"{text[:100]!r} is not the name of a repository, such as team/app; tags and digests are for explain"
        )
    return [Repository(settings.registry_id, each, text) for each in _regions(settings, region)]


def _full_reference(text: str) -> ImageReference | None:
    """A reference with a host, or one as logs and the ledger write them."""
    try:
        image_id = ImageId.parse(text)
    except ValueError:
        return parse_image_reference(text)
    return ImageReference(image_id.repository, None, image_id.digest)


def _in_charge(reference: ImageReference, settings: Settings) -> ImageReference:
    if settings.in_charge_of(reference.repository):
        return reference
    regions = ", ".join(sorted(settings.registry_regions))
    raise NotFoundError(
        f"{reference} is not of this installation, which is for the registry {settings.registry_id} in {regions}"
    )


def _regions(settings: Settings, first: str) -> list[str]:
    return sorted(settings.registry_regions, key=lambda region: (region != first, region))
