"""Inputs of every kind for what reads texts of others: image references, events, manifests and checks.

Whatever comes in, nothing is raised but the documented error. What is read is what was written, and what is not ours is
not taken for ours.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ecr_cleanup.check import Check
from ecr_cleanup.errors import CheckError, EventError, ImageReferenceError, ManifestError
from ecr_cleanup.events import PushEvent, TaskDefinitionEvent, parse_event
from ecr_cleanup.image import ImageId
from ecr_cleanup.image_reference import parse_image_reference
from ecr_cleanup.manifest import MANIFEST_TYPES, Manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = [json.loads(path.read_text()) for path in sorted((Path(__file__).parents[1] / "events").glob("*.json"))]
NOW = datetime(2030, 2, 1, tzinfo=UTC)
_ROUND = 5_000

# The hosts of registries, by partition:
# https://docs.aws.amazon.com/general/latest/gr/ecr.html and botocore's partitions.json.
SUFFIXES = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
)
DUAL_STACK_SUFFIXES = (
    "on.aws",
    "on.amazonwebservices.com.cn",
    "on.amazonwebservices.eu",
    "on.aws.ic.gov",
    "on.aws.scloud",
    "on.cloud-aws.adc-e.uk",
    "on.aws.hci.ic.gov",
)

ARABIC_INDIC_ONE = "\u0661"
_noise = st.text(st.sampled_from("aZ09.:/@-_ \n\0é*%"), max_size=6)
_accounts = st.sampled_from(["111111111111", "222222222222", "11111111111", "1111111111111", ARABIC_INDIC_ONE * 12])
_regions = st.sampled_from(["eu-central-1", "us-gov-west-1", "cn-north-1", "eu-isoe-west-1", "eu", "evil.eu-central-1"])
_dkr = st.sampled_from(["dkr.ecr", "dkr.ecr-fips", "dkr-ecr", "dkr-ecr-fips", "dkrecr", "xdkr.ecr", "dkr.ecrx"])
_suffixes = st.sampled_from(
    [*SUFFIXES, *DUAL_STACK_SUFFIXES, "amazonaws.com.evil.org", "evil-amazonaws.com", "example"]
)
_ports = st.sampled_from(["", "", "", ":443", ":80", ".", "@", ":"])
_hosts = st.tuples(_accounts, _dkr, _regions, _suffixes).map(".".join) | st.sampled_from(
    ["docker.io", "public.ecr.aws", "111111111111.dkr.ecr.eu-central-1.amazonaws.com@evil.org", "localhost:5000"]
)
_names = st.sampled_from(["team/app", "a", "ab", "Team/app", "a//b", "-a", "team/app/", "a" * 256, "a" * 257]) | _noise
_tags = st.sampled_from(["", ":v1", ":", ":latest", ":-v", ":" + "t" * 128, ":" + "t" * 129, ":v1:v2"])
_digests = st.sampled_from(
    ["", "@", "@sha256:" + "0" * 64, "@sha256:" + "A" * 64, "@sha512:" + "0" * 128, "@sha256:" + "0" * 64 + "\n"]
)
_built = st.tuples(_hosts, _ports, st.just("/"), _names, _tags, _digests).map("".join)
_spliced = st.tuples(_built, st.integers(0, 80), _noise).map(
    lambda each: each[0][: each[1]] + each[2] + each[0][each[1] :]
)
references = _built | _spliced | st.text(max_size=40)


def _host_is_ecrs(host: str, registry_id: str, region: str) -> bool:
    hosts = {f"{registry_id}.{dkr}.{region}.{suffix}" for dkr in ("dkr.ecr", "dkr.ecr-fips") for suffix in SUFFIXES}
    hosts |= {
        f"{registry_id}.{dkr}.{region}.{suffix}"
        for dkr in ("dkr-ecr", "dkr-ecr-fips")
        for suffix in DUAL_STACK_SUFFIXES
    }
    return host.lower().removesuffix(":443") in hosts


def _image_references(text: str) -> None:
    host = text.strip().partition("/")[0]
    try:
        reference = parse_image_reference(text)
    except ImageReferenceError:
        # Nobody is told that a foreign reference is wrong.
        assert any(suffix in host.lower() for suffix in (*SUFFIXES, *DUAL_STACK_SUFFIXES)), text
        return
    if reference is None:
        return
    repository = reference.repository
    assert _host_is_ecrs(host, repository.registry_id, repository.region), text
    assert reference.tag or reference.digest, text
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    printed = f"{repository.registry_id}.dkr.ecr.{repository.region}.amazonaws.com/{repository.name}{tag}{digest}"
    assert parse_image_reference(printed) == reference, text
    if reference.image_id:
        assert ImageId.parse(str(reference.image_id)) == reference.image_id, text


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**12) | st.floats() | st.text(max_size=12) | references,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, inner in entries for each in _paths(inner, (*path, key)))]


def _changed(document: Any, path: tuple[Any, ...], value: Any, *, remove: bool) -> Any:
    """A copy of the document in which one value is another, or is gone."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


_PUSH = {
    "version": "0",
    "id": "13cde686-328b-6117-af20-0e5566167482",
    "detail-type": "ECR Image Action",
    "source": "aws.ecr",
    "account": "111111111111",
    "time": "2030-01-31T12:00:00Z",
    "region": "eu-central-1",
    "resources": [],
    "detail": {
        "result": "SUCCESS",
        "repository-name": "team/app",
        "image-digest": "sha256:" + "0" * 64,
        "action-type": "PUSH",
        "image-tag": "v1",
    },
}
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 1, "annotations": {}}],
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 1},
    "layers": [{"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 1}],
    "subject": {"mediaType": "x", "digest": "sha256:" + "1" * 64, "size": 1},
    "artifactType": "application/x",
}
_CHECK = {"version": 1, "image": f"111111111111/eu-central-1/team/app@sha256:{'0' * 64}", "cause": "x", "attempt": 0}


def _altered(documents: list[Any]) -> st.SearchStrategy[Any]:
    """A document with one value changed, or something else altogether."""
    places = [(document, path) for document in documents for path in _paths(document)]
    one = st.builds(
        lambda place, value, remove: _changed(place[0], place[1], value, remove=remove),
        st.sampled_from(places),
        _json,
        st.booleans(),
    )
    return one | _json


def _events(envelope: Any) -> None:
    try:
        event = parse_event(envelope, now=NOW)
    except EventError:
        return
    if isinstance(event, TaskDefinitionEvent):
        assert (event.place.account, event.place.region) == (envelope["account"], envelope["region"])
        assert f":{event.place.region}:{event.place.account}:" in event.family_arn
        assert event.occurred_at <= NOW
    elif isinstance(event, PushEvent):
        assert (event.repository.registry_id, event.repository.region) == (envelope["account"], envelope["region"])
        assert ImageId.parse(str(ImageId(event.repository, event.digest))).digest == event.digest
    else:
        assert event is None


def _manifests(text: str, media_type: str) -> None:
    try:
        manifest = parse_manifest(text, media_type)
    except ManifestError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


def _checks(text: str) -> None:
    try:
        check = Check.from_json(text)
    except CheckError:
        return
    assert Check.from_json(check.to_json()) == check
    assert len(check.schedule_name) == len("0" * 64)


_texts = st.text(max_size=20)
_media_types = st.sampled_from([*MANIFEST_TYPES, "text/plain", ""])
FUZZES: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "image references": (_image_references, (references,)),
    "events": (_events, (_altered([*EVENTS, _PUSH]),)),
    "manifests": (_manifests, (_altered([_MANIFEST]).map(json.dumps) | _texts, _media_types)),
    "checks": (_checks, (_altered([_CHECK]).map(json.dumps) | _texts,)),
}


def fuzz(name: str, inputs: int, first_seed: int) -> int:
    """Give so many inputs to one of the fuzzes, in rounds with a seed of their own; returns how many were given."""
    check, inputs_of_check = FUZZES[name]
    given_so_far = 0
    number = first_seed
    while given_so_far < inputs:
        some = min(_ROUND, inputs - given_so_far)
        test = settings(
            max_examples=some,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )(seed(number)(given(*inputs_of_check)(check)))
        try:
            test()
        except BaseException:
            print(f"the fuzz of {name} failed in the round with the seed {number}")
            raise
        given_so_far += some
        number += 1
    return given_so_far
