"""What goes with an image: the children of an index, and what refers to any of them.

What belongs to an image is found out before the image goes, since nobody can ask afterwards, and is written into the
ledger. From then on anybody can finish the removal: each part goes once what it belongs to is gone, if nothing else
holds it by then.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ecr_cleanup.manifest import REFERRER_TAG
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ecr_cleanup.image import Image, ImageId
    from ecr_cleanup.manifest import Manifest

Belongings = dict[str, tuple[str, ...]]
"""For each digest the digests that belong to it: the children of an index, and the referrers."""


class Removal(NamedTuple):
    """One removal as the ledger keeps it. `facts` is what others are told of it."""

    image_id: ImageId
    action: Action
    belongings: Belongings
    facts: Mapping[str, Any]

    @property
    def parts(self) -> frozenset[str]:
        """The digests of all that may go with the image."""
        return parts_of(self.belongings) - {self.image_id.digest}

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps({"action": self.action.value, "belongings": self.belongings, "facts": dict(self.facts)})

    @classmethod
    def from_json(cls, image_id: ImageId, text: str) -> Removal:
        """The inverse of `to_json`."""
        document = json.loads(text)
        belongings = {digest: tuple(some) for digest, some in document["belongings"].items()}
        return cls(image_id, Action(document["action"]), belongings, document["facts"])


def parts_of(belongings: Belongings) -> frozenset[str]:
    """The digests of all that belongs to anything."""
    return frozenset(part for parts in belongings.values() for part in parts)


def find_belongings(
    root: str,
    manifest: Manifest,
    *,
    listing: Mapping[str, Image],
    referring: Mapping[str, Collection[str]],
    referrers: Iterable[str],
    read_manifests: Callable[[Collection[str]], Mapping[str, Manifest]],
) -> Belongings:
    """All that belongs to an image, however deep.

    Args:
        root: the image's digest.
        manifest: its manifest.
        listing: the images of the repository by digest.
        referring: the digests that refer to each, as `referrers_in` has them of the listing.
        referrers: the digests that refer to the root, as the registry knows them right now.
        read_manifests: reads the manifests of indexes within the index; those that are missing are left out.
    """
    of_root = {*referring.get(root, ()), *referrers}
    belongings: Belongings = {}
    manifests = {root: manifest}
    seen = {root}
    level = [root]
    while level:
        indexes = [digest for digest in level if digest != root and digest in listing and listing[digest].is_index]
        if indexes:
            manifests |= read_manifests(indexes)
        found: list[str] = []
        for digest in level:
            children = manifests[digest].children if digest in manifests else ()
            # A part of several is named with each: it goes with the last of them.
            refer = of_root if digest == root else referring.get(digest, ())
            parts = tuple(part for part in dict.fromkeys((*children, *sorted(refer))) if part != root)
            if parts:
                belongings[digest] = parts
            found += parts
        level = [part for part in dict.fromkeys(found) if part not in seen]
        seen.update(level)
    return belongings


def referrers_in(listing: Iterable[Image]) -> Mapping[str, Collection[str]]:
    """What refers to each digest: by its manifest (OCI), or by its tag (cosign, and registries without referrers)."""
    referring: defaultdict[str, set[str]] = defaultdict(set)
    for image in listing:
        if image.subject:
            referring[image.subject].add(image.id.digest)
        for tag in image.tags:
            if match := REFERRER_TAG.fullmatch(tag):
                referring[f"sha256:{match['hex']}"].add(image.id.digest)
    return referring


def goes_along(image: Image, gone: Collection[str]) -> bool:
    """Whether no tag holds a part of what is gone: it has none, or only those that say what it is for."""
    matches = [REFERRER_TAG.fullmatch(tag) for tag in image.tags]
    return all(match and f"sha256:{match['hex']}" in gone for match in matches)
