from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.manifest import Manifest, ManifestKind
from ecr_cleanup.removal import Belongings, Removal, find_belongings, goes_along, referrers_in
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Collection

REPOSITORY = Repository("111111111111", "eu-central-1", "team/app")
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(name: str) -> str:
    return f"sha256:{name.encode().hex().ljust(64, '0')}"


def image(name: str, *tags: str, subject: str | None = None, media_type: str | None = None) -> Image:
    return Image(
        ImageId(REPOSITORY, digest(name)),
        frozenset(tags),
        1,
        datetime(2030, 1, 1, tzinfo=UTC),
        media_type=media_type,
        subject=digest(subject) if subject else None,
    )


def index(*children: str) -> Manifest:
    return Manifest(ManifestKind.INDEX, tuple(map(digest, children)))


def belongings(
    root: str,
    manifest: Manifest,
    *listing: Image,
    nested: dict[str, Manifest] | None = None,
    referrers: tuple[str, ...] = (),
) -> Belongings:
    known = {digest(name): each for name, each in (nested or {}).items()}

    def read(wanted: Collection[str]) -> dict[str, Manifest]:
        return {each: known[each] for each in wanted if each in known}

    return find_belongings(
        digest(root),
        manifest,
        listing={each.id.digest: each for each in listing},
        referring=referrers_in(listing),
        referrers=map(digest, referrers),
        read_manifests=read,
    )


def named(found: Belongings) -> dict[str, list[str]]:
    def name(value: str) -> str:
        return bytes.fromhex(value.removeprefix("sha256:")).rstrip(b"\0").decode()

    return {name(whole): list(map(name, parts)) for whole, parts in found.items()}


def test_nothing_belongs_to_a_plain_image() -> None:
    assert belongings("a", Manifest(ManifestKind.IMAGE), image("a"), image("b", "v2")) == {}


def test_children_of_an_index_belong_to_it_missing_ones_too() -> None:
    found = belongings("i", index("amd", "arm", "missing"), image("i", "v1"), image("amd"), image("arm"))
    assert named(found) == {"i": ["amd", "arm", "missing"]}


def test_referrers_of_an_image_and_of_its_children_belong_to_it_however_deep() -> None:
    found = belongings(
        "i",
        index("amd"),
        image("amd"),
        image("sbom", subject="amd"),
        image("sig", subject="sbom"),
        image("other", subject="unrelated"),
    )
    assert named(found) == {"i": ["amd"], "amd": ["sbom"], "sbom": ["sig"]}


def test_signatures_by_tag_belong_to_what_their_tag_names() -> None:
    tags = [f"sha256-{digest('a')[7:]}{end}" for end in (".sig", ".att", ".sbom", "")]
    found = belongings("a", Manifest(ManifestKind.IMAGE), *(image(f"s{n}", tag) for n, tag in enumerate(tags)))
    assert named(found) == {"a": ["s0", "s1", "s2", "s3"]}


def test_a_tag_that_only_begins_like_one_of_a_signature_names_nothing() -> None:
    tags = [f"sha256-{digest('a')[7:]}{end}" for end in ("0", "-amd64", ".signed", ".sig2")]
    found = belongings("a", Manifest(ManifestKind.IMAGE), *(image(f"s{n}", tag) for n, tag in enumerate(tags)))
    assert found == {}


def test_an_index_within_an_index_is_followed() -> None:
    found = belongings(
        "i", index("j", "amd"), image("j", media_type=INDEX), image("amd"), nested={"j": index("arm", "amd")}
    )
    assert named(found) == {"i": ["j", "amd"], "j": ["arm", "amd"]}


def test_a_referrer_that_the_registry_names_and_the_listing_does_not_yet_is_followed() -> None:
    assert named(belongings("a", Manifest(ManifestKind.IMAGE), referrers=("new",))) == {"a": ["new"]}


def test_what_refers_to_each_other_comes_to_an_end() -> None:
    found = belongings("a", Manifest(ManifestKind.IMAGE), image("b", subject="a"), image("a", subject="b"))
    assert named(found) == {"a": ["b"]}


def test_what_refers_to_each_other_among_the_parts_comes_to_an_end() -> None:
    cosign = f"sha256-{digest('c')[7:]}.sig"
    found = belongings("a", Manifest(ManifestKind.IMAGE), image("b", cosign, subject="a"), image("c", subject="b"))
    assert named(found) == {"a": ["b"], "b": ["c"], "c": ["b"]}


def test_a_part_that_many_share_is_named_with_each_and_followed_once() -> None:
    read: list[str] = []

    def read_manifests(wanted: Collection[str]) -> dict[str, Manifest]:
        read.extend(wanted)
        return {digest(name): index("amd") for name in ("j", "k") if digest(name) in wanted}

    inner = [image(name, media_type=INDEX) for name in ("i", "j", "k")]
    found = find_belongings(
        digest("i"),
        index("j", "k", "j", "amd"),
        listing={each.id.digest: each for each in (*inner, image("amd"))},
        referring={},
        referrers=(),
        read_manifests=read_manifests,
    )
    assert named(found) == {"i": ["j", "k", "amd"], "j": ["amd"], "k": ["amd"]}
    # Reading a manifest counts as a pull: only what may hold others is read, and the whole was read before.
    assert read == [digest("j"), digest("k")]


def test_nothing_is_read_where_no_part_is_an_index() -> None:
    def read_manifests(wanted: Collection[str]) -> dict[str, Manifest]:
        raise AssertionError(wanted)

    for root in (image("i", media_type=INDEX), image("i")):
        found = find_belongings(
            digest("i"),
            index("amd", "missing"),
            listing={each.id.digest: each for each in (root, image("amd"))},
            referring={},
            referrers=(),
            read_manifests=read_manifests,
        )
        assert named(found) == {"i": ["amd", "missing"]}


def test_a_part_goes_along_if_it_has_no_tag_but_those_for_what_is_gone() -> None:
    gone = {digest("a")}
    assert goes_along(image("x"), gone)
    assert goes_along(image("x", f"sha256-{digest('a')[7:]}.sig"), gone)
    assert not goes_along(image("x", f"sha256-{digest('b')[7:]}.sig"), gone)
    assert not goes_along(image("x", "v1-amd64"), gone)
    assert not goes_along(image("x", f"sha256-{digest('a')[7:]}.sig", "keep"), gone)
    assert not goes_along(image("x", f"sha256-{digest('a')[7:]}.signed-by-me"), gone)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4)),
    st.sampled_from(list(Action)),
)
def test_a_removal_comes_back_from_the_ledger_as_it_was(parts: dict[str, list[str]], action: Action) -> None:
    found = {digest(whole): tuple(map(digest, some)) for whole, some in parts.items()}
    removal = Removal(ImageId(REPOSITORY, digest("a")), action, found, {"tags": ["v1"]})
    assert Removal.from_json(removal.image_id, removal.to_json()) == removal
    assert removal.image_id.digest not in removal.parts
