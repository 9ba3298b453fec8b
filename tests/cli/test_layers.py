"""Shared layers are counted once."""

from __future__ import annotations

from datetime import UTC, datetime

from ecr_cleanup.cli.layers import Content, Contents, freed_by, gone_with
from ecr_cleanup.decision import Decision, Evidence, Verdict
from ecr_cleanup.image import Image, ImageId, ImageStatus, Repository
from ecr_cleanup.survey import Judged

REPOSITORY = Repository("111111111111", "eu-central-1", "team/app")
NOW = datetime(2030, 1, 31, tzinfo=UTC)


def digest(name: str) -> str:
    return f"sha256:{name.encode().hex():0>64}"


def judged(name: str, verdict: str = "remove", *tags: str, rule: str = "any", subject: str | None = None) -> Judged:
    image_id = ImageId(REPOSITORY, digest(name))
    image = Image(image_id, frozenset(tags), 1, NOW, subject=digest(subject) if subject else None)
    evidence = Evidence(image_id, image, {}, 0, NOW)
    return Judged(image, Decision(Verdict(verdict), rule, ""), evidence)


def contents(**images: str) -> Contents:
    """By name: its layers, each of a byte, or in capitals an index of these images."""
    known = {}
    for name, parts in images.items():
        if name.isupper():
            known[digest(name)] = Content({}, tuple(digest(part) for part in parts))
        else:
            known[digest(name)] = Content(dict.fromkeys(parts, 1))
    return Contents(known)


def freed(some: list[Judged], known: Contents) -> tuple[int, int]:
    found = freed_by(some, known)
    return found.images, found.bytes


def test_a_layer_goes_with_the_last_image_that_has_it() -> None:
    some = [judged("a"), judged("b"), judged("c", "keep")]
    assert freed(some, contents(a="xyz", b="yz", c="z")) == (2, 2)


def test_an_index_takes_its_parts_along() -> None:
    some = [judged("I", "remove", "v1"), judged("a", "postpone", rule="untagged")]
    assert freed(some, contents(I="a", a="xy")) == (2, 2)


def test_a_part_of_another_index_stays() -> None:
    some = [judged("I"), judged("J", "keep"), judged("a", "postpone")]
    assert freed(some, contents(I="a", J="a", a="xy")) == (1, 0)


def test_a_part_that_somebody_uses_stays() -> None:
    assert freed([judged("I"), judged("a", "keep", rule="in_use")], contents(I="a", a="xy")) == (1, 0)


def test_a_part_with_a_tag_stays() -> None:
    assert freed([judged("I"), judged("a", "keep", "v1")], contents(I="a", a="xy")) == (1, 0)


def test_an_index_takes_the_indexes_in_it_along() -> None:
    some = [judged("I"), judged("J", "postpone"), judged("a", "postpone")]
    assert freed(some, contents(I="J", J="a", a="x")) == (3, 1)


def test_what_refers_to_an_image_goes_with_it() -> None:
    signature = judged("s", "keep", rule="not_an_image", subject="a")
    by_tag = judged("t", "keep", f"sha256-{digest('a')[7:]}.sig", rule="not_an_image")
    assert freed([judged("a"), signature, by_tag], contents(a="x", s="y", t="z")) == (3, 3)


def test_what_refers_to_an_image_that_stays_stays() -> None:
    signature = judged("s", "keep", rule="not_an_image", subject="a")
    assert gone_with([judged("a", "keep"), signature], contents(a="x", s="y")) == set()


def test_manifests_that_could_not_be_read_are_counted() -> None:
    archived = judged("b", "keep")
    archived = archived._replace(image=archived.image._replace(status=ImageStatus.ARCHIVED))
    found = freed_by([judged("a"), archived], contents(a="x"))
    assert (found.bytes, found.unread) == (1, 1)
