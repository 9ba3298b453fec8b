"""Judges all images of a repository at once, which tells more than one after the other does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.decision import Decision, Verdict
from ecr_cleanup.survey import MANIFESTS_NOT_READ

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.image import Image, Repository
    from ecr_cleanup.survey import Judged


def judge(
    installation: Installation, repository: Repository, tags: Mapping[str, str], listing: Sequence[Image]
) -> list[Judged]:
    """The images of a repository with these resource tags, of which `listing` has all, in its order.

    Raises botocore's errors, and `CliError`.
    """
    finder = installation.finder
    finder.take_listing(repository, listing)
    judged = installation.survey.judge(tags, listing, finder.newer_images)
    if not any(each.looks_unused and not each.image.tags for each in judged):
        return judged
    return with_indexes(judged, *finder.known_parents(repository))


def with_indexes(
    judged: Sequence[Judged], parents: Mapping[str, Collection[str]], unknown: Collection[str]
) -> list[Judged]:
    """The same images, where those that an index holds stay with it.

    `parents` are the indexes that hold an image, by digest, and `unknown` those of which nobody knows what they hold.
    """
    by_digest = {each.image.id.digest: each for each in judged}
    held = True
    while held:  # an index can be in an index
        held = False
        for digest, each in by_digest.items():
            if each.image.tags or not each.looks_unused:
                continue
            stays = sorted(
                parent
                for parent in parents.get(digest, ())
                if parent in by_digest and not by_digest[parent].looks_unused
            )
            if stays:
                reason = f"the index {stays[0]} of the repository contains it"
                decision = Decision(Verdict.KEEP, "held_by_an_index", reason)
                by_digest[digest] = each._replace(decision=decision, doubts=())
                held = True
    if unknown:
        return list(by_digest.values())
    return [
        each._replace(doubts=tuple(doubt for doubt in each.doubts if doubt != MANIFESTS_NOT_READ))
        for each in by_digest.values()
    ]
