"""Everything that is known about one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ecr_cleanup.check import Check
from ecr_cleanup.decision import RULES
from ecr_cleanup.errors import EcrCleanupError, ImageReferenceError
from ecr_cleanup.image import DIGEST, ImageId, Repository
from ecr_cleanup.image_reference import DEFAULT_TAG, ImageReference, parse_image_reference

if TYPE_CHECKING:
    from datetime import datetime

    from ecr_cleanup.aws.ledger import ImageRecord
    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.cli.planning import Planner
    from ecr_cleanup.survey import Judged


class UnknownImageError(EcrCleanupError):
    """No image is meant by what was given."""


@dataclass(frozen=True)
class Explanation:
    """What is known of one image. `judged` is None where the image is gone, `due` where no check is pending.

    `rules` has each rule in order, with what it says: None where it lets the image pass, "" where it was not reached.
    """

    image_id: ImageId
    record: ImageRecord
    judged: Judged | None
    rules: tuple[tuple[str, str | None], ...]
    due: datetime | None
    referrers: tuple[str, ...] | None


def find_image(installation: Installation, text: str) -> ImageId:
    """The image that is meant: a whole reference, or `repository:tag` and `repository@digest` of the registry.

    Raises:
        ImageReferenceError: it is malformed.
        UnknownImageError: it is in another registry, or there is no such image.
    """
    settings = installation.settings
    reference = parse_image_reference(text)
    references = [reference] if reference else _short(installation, text)
    for each in references:
        if not settings.in_charge_of(each.repository):
            regions = ", ".join(sorted(settings.registry_regions))
            raise UnknownImageError(f"{text} is not in the registry {settings.registry_id} in {regions}")
    found = sorted(installation.adapters.registry.resolve(references))
    if not found and (gone := next((each.image_id for each in references if each.image_id), None)):
        # Of one that is gone, the ledger may still tell.
        return gone
    if not found:
        raise UnknownImageError(f"there is no image {text}; give repository:tag or repository@sha256:<64 hex>")
    return found[0]


def _short(installation: Installation, text: str) -> list[ImageReference]:
    rest, _, digest = text.partition("@")
    name, _, tag = rest.partition(":")
    if digest and not DIGEST.fullmatch(digest):
        raise ImageReferenceError(f"{digest!r} is not a digest; it is sha256: and 64 hexadecimal digits")
    settings = installation.settings
    return [
        ImageReference(
            Repository(settings.registry_id, region, name), tag or (None if digest else DEFAULT_TAG), digest or None
        )
        for region in sorted(settings.registry_regions)
    ]


def explain(installation: Installation, planner: Planner, image_id: ImageId) -> Explanation:
    """Find out everything about an image, without reading manifests.

    Raises botocore's errors.
    """
    adapters = installation.adapters
    record = adapters.ledger.images([image_id])[image_id]
    due = adapters.schedules.due(Check(image_id, ""))
    tags = adapters.registry.repository_tags(image_id.repository)
    judged = None
    if tags is not None:
        judged = next((it for it in planner.judge(image_id.repository, tags) if it.image.id == image_id), None)
    rules: list[tuple[str, str | None]] = []
    if judged:
        names = [rule.__name__ for rule in RULES]
        decided = names.index(judged.decision.rule) if judged.decision.rule in names else len(names)
        rules = [(name, None if number < decided else "") for number, name in enumerate(names)]
        if decided < len(names):
            rules[decided] = (names[decided], judged.decision.reason)
    return Explanation(image_id, record, judged, tuple(rules), due, _referrers(installation, image_id))


def _referrers(installation: Installation, image_id: ImageId) -> tuple[str, ...] | None:
    """The digests of what refers to the image; None where the caller may not know."""
    try:
        return tuple(sorted(each.digest for each in installation.adapters.registry.referrers(image_id)))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return None
