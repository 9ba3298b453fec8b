from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecr_cleanup.errors import ManifestError
from ecr_cleanup.image import DIGEST
from ecr_cleanup.manifest import (
    MANIFEST_TYPES,
    REFERRER_TAG,
    Manifest,
    ManifestKind,
    is_image_configuration,
    parse_manifest,
)

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
ONE, TWO, THREE = ("sha256:" + digit * 64 for digit in "123")


def descriptor(digest: str = ONE, media_type: str = OCI_IMAGE, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": 500, **more}


def image(config: str = OCI_CONFIG, media_type: str = OCI_IMAGE, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(media_type=config),
        "layers": [descriptor(media_type="application/vnd.oci.image.layer.v1.tar+gzip")],
        **more,
    }


def index(*children: str, media_type: str = OCI_INDEX, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [descriptor(child, platform={"os": "linux", "architecture": "arm64"}) for child in children],
        **more,
    }


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def parse(document: object, media_type: str | None = None) -> Manifest:
    if media_type is None:
        media_type = document["mediaType"] if isinstance(document, dict) else OCI_IMAGE
    return parse_manifest(json.dumps(document), media_type)


# What must not be taken for an image


@pytest.mark.parametrize(
    "config", [HELM_CONFIG, CACHE_CONFIG, EMPTY_CONFIG, "application/vnd.docker.plugin.v1+json", "x"]
)
def test_what_has_no_configuration_of_an_image_is_no_image(config: str) -> None:
    assert parse(image(config)) == Manifest(ManifestKind.ARTIFACT, artifact_type=config)
    assert not is_image_configuration(config)


def test_what_names_an_artifact_type_is_no_image() -> None:
    assert parse(image(artifactType=SIGNATURE)) == Manifest(ManifestKind.ARTIFACT, artifact_type=SIGNATURE)


def test_what_refers_to_an_image_is_none_itself() -> None:
    assert parse(image(subject=descriptor(TWO))) == Manifest(ManifestKind.ARTIFACT, (), TWO, OCI_CONFIG)
    assert parse(image(EMPTY_CONFIG, subject=descriptor(TWO), artifactType=SIGNATURE)) == Manifest(
        ManifestKind.ARTIFACT, (), TWO, SIGNATURE
    )


@pytest.mark.parametrize(
    ("more", "subject", "artifact_type"),
    [
        ({"artifactType": SIGNATURE}, None, SIGNATURE),
        ({"subject": descriptor(THREE)}, THREE, None),
        ({"subject": descriptor(THREE), "artifactType": SIGNATURE}, THREE, SIGNATURE),
    ],
)
def test_an_index_that_is_an_artifact_keeps_its_children(
    more: dict[str, Any], subject: str | None, artifact_type: str | None
) -> None:
    assert parse(index(ONE, TWO, **more)) == Manifest(ManifestKind.ARTIFACT, (ONE, TWO), subject, artifact_type)


def test_a_build_cache_written_as_an_index_is_no_image() -> None:
    cache = index()
    cache["manifests"] = [
        descriptor(ONE, "application/vnd.oci.image.layer.v1.tar+gzip"),
        descriptor(TWO, CACHE_CONFIG),
    ]
    assert parse(cache) == Manifest(ManifestKind.ARTIFACT, (ONE, TWO))


# What is understood


@pytest.mark.parametrize(
    "document",
    [
        image(),
        image(layers=[]),
        image(artifactType=None, subject=None),
        image(DOCKER_CONFIG, DOCKER_IMAGE),
        image(DOCKER_CONFIG),
    ],
)
def test_an_image_is_an_image(document: dict[str, Any]) -> None:
    assert parse(document) == Manifest(ManifestKind.IMAGE)


def test_a_manifest_need_not_name_its_own_type() -> None:
    assert parse(without(image(), "mediaType"), OCI_IMAGE) == Manifest(ManifestKind.IMAGE)
    assert parse(without(index(ONE), "mediaType"), OCI_INDEX) == Manifest(ManifestKind.INDEX, (ONE,))


def test_an_image_of_dockers_first_schema_is_an_image() -> None:
    document = {
        "schemaVersion": 1,
        "name": "team/app",
        "tag": "v1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": ONE}],
        "history": [{"v1Compatibility": "{}"}],
        "signatures": [{"header": {"alg": "ES256"}, "signature": "x", "protected": "y"}],
    }
    assert parse(document, SCHEMA_1) == Manifest(ManifestKind.IMAGE)
    assert parse(document, "application/vnd.docker.distribution.manifest.v1+json") == Manifest(ManifestKind.IMAGE)


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_lists_its_children_in_order_and_each_once(media_type: str) -> None:
    assert parse(index(TWO, ONE, TWO, media_type=media_type)) == Manifest(ManifestKind.INDEX, (TWO, ONE))
    assert parse(index(media_type=media_type)) == Manifest(ManifestKind.INDEX)


@pytest.mark.parametrize("media_type", MANIFEST_TYPES)
def test_the_children_of_an_index_may_be_manifests_of_every_type(media_type: str) -> None:
    document = index()
    document["manifests"] = [descriptor(ONE, media_type)]
    assert parse(document) == Manifest(ManifestKind.INDEX, (ONE,))


def test_knows_the_configurations_of_images() -> None:
    assert is_image_configuration(OCI_CONFIG)
    assert is_image_configuration(DOCKER_CONFIG)


# What is not understood


@pytest.mark.parametrize(
    "document",
    [
        without(image(), "config"),
        without(image(), "layers"),
        without(image(), "schemaVersion"),
        image(schemaVersion=1),
        image(schemaVersion="2"),
        image(schemaVersion=2.0),
        image() | {"config": {}},
        image() | {"config": "x"},
        image() | {"config": {"mediaType": ""}},
        image() | {"config": {"mediaType": "x" * 256}},
        image(layers={}),
        image(artifactType=""),
        image(artifactType=7),
        image(artifactType="\ud800"),
        image(subject=ONE),
        image(subject={}),
        image(subject=descriptor("sha512:" + "1" * 128)),
        image(subject=descriptor(ONE + "\n")),
        without(index(), "manifests"),
        index(manifests={}),
        index(manifests=[ONE]),
        index(manifests=[None]),
        index(manifests=[without(descriptor(), "digest")]),
        index(manifests=[without(descriptor(), "mediaType")]),
        index(ONE, "sha256:short"),
        index(ONE, subject=False),
    ],
)
def test_in_doubt_nobody_says_what_a_manifest_is(document: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        parse(document)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (image(), DOCKER_IMAGE),
        (index(ONE), OCI_IMAGE),
        (image(), OCI_INDEX),
        (without(index(ONE), "mediaType"), OCI_IMAGE),
        (without(image(), "mediaType"), OCI_INDEX),
        (image(), "application/vnd.oci.artifact.manifest.v1+json"),
        (image(), ""),
        (image(), SCHEMA_1),
        ({"schemaVersion": 1}, SCHEMA_1),
        ({"schemaVersion": True, "fsLayers": []}, SCHEMA_1),
        ([], OCI_IMAGE),
        ("text", OCI_IMAGE),
        (None, OCI_IMAGE),
    ],
)
def test_a_manifest_of_another_type_than_the_registry_says_is_not_understood(document: object, media_type: str) -> None:
    with pytest.raises(ManifestError):
        parse(document, media_type)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ONE, OCI_IMAGE, SIGNATURE]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["mediaType", "digest", "config", "manifests", "kind", "subject"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
members = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "fsLayers"]
)
started = st.sampled_from([image(), image(HELM_CONFIG, subject=descriptor(TWO)), index(ONE, TWO), {"schemaVersion": 1}])
documents = st.builds(
    lambda start, changes: start | changes, started, st.dictionaries(members, json_values, max_size=3)
)
texts = (
    documents.map(json.dumps)
    | json_values.map(json.dumps)
    | st.text()
    # Neither to be parsed nor, where it is parsed, to be printed in a message.
    | st.integers(1, 3000).map(lambda depth: '{"schemaVersion": 2, "layers": ' + "[" * depth + "]" * depth + "}")
    | st.integers(1, 3000).map(
        lambda depth: '{"schemaVersion": 2, "manifests": [' + '{"digest": ' * depth + "1" + "}" * depth + "]}"
    )
)


@given(text=texts, media_type=st.sampled_from(MANIFEST_TYPES))
@example(text="[" * 100_000, media_type=OCI_IMAGE)
@example(text='{"schemaVersion": ' + "9" * 5000 + "}", media_type=OCI_IMAGE)
@example(text="\ufeff{}", media_type=OCI_IMAGE)
@example(text="", media_type=OCI_INDEX)
def test_whatever_a_manifest_is_nothing_but_the_documented_error_comes_of_it(text: str, media_type: str) -> None:
    try:
        manifest = parse_manifest(text, media_type)
    except ManifestError as error:
        assert len(str(error)) < 1000
        return
    assert all(DIGEST.fullmatch(digest) for digest in (*manifest.children, manifest.subject or ONE))
    assert manifest.kind is ManifestKind.ARTIFACT or (manifest.subject, manifest.artifact_type) == (None, None)
    assert Manifest.from_json(manifest.to_json()) == manifest


# The ledger's form


digests = st.sampled_from([ONE, TWO, THREE])


@given(
    st.builds(
        Manifest,
        st.sampled_from(ManifestKind),
        st.lists(digests, unique=True).map(tuple),
        st.none() | digests,
        st.none() | st.sampled_from([SIGNATURE, HELM_CONFIG]),
    )
)
def test_the_ledger_gives_back_what_it_was_given(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(json_values.map(json.dumps) | st.text())
@example('{"kind": "picture", "children": []}')
@example('{"kind": "image", "children": ["sha256:short"]}')
@example('{"kind": "image", "children": {}}')
@example('{"kind": "image", "children": [], "subject": "x"}')
@example('{"kind": "image", "children": [], "artifact_type": 7}')
def test_what_no_manifest_was_written_as_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(text)


# Referrers by tag


@pytest.mark.parametrize("suffix", ["", ".sig", ".att", ".sbom"])
def test_a_tag_can_say_which_image_it_belongs_to(suffix: str) -> None:
    match = REFERRER_TAG.fullmatch(f"sha256-{'a' * 64}{suffix}")
    assert match
    assert match["hex"] == "a" * 64


@pytest.mark.parametrize(
    "tag", ["v1", f"sha256-{'a' * 63}", f"sha256-{'a' * 64}.exe", f"sha256-{'a' * 64}-1", "sha256-"]
)
def test_other_tags_belong_to_no_other_image(tag: str) -> None:
    assert not REFERRER_TAG.fullmatch(tag)
