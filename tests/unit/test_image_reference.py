from __future__ import annotations

import re

import pytest
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_cleanup.errors import ImageReferenceError
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.image_reference import ImageReference, parse_image_reference

ACCOUNT = "123456789012"
HOST = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"
REPOSITORY = Repository(ACCOUNT, "eu-central-1", "team/app")
DIGEST = "sha256:" + "0123456789abcdef" * 4

FOREIGN = [
    "nginx",
    "nginx:1.27",
    "docker.io/library/nginx:1.27",
    "public.ecr.aws/docker/library/nginx:1",
    "ghcr.io/team/app:1",
    "localhost:5000/team/app:1",
    f"{HOST}.evil.example/team/app:1",
    f"evil.example/{HOST}/team/app:1",
    f"x{HOST}/team/app:1",
    f"x.{HOST}/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com.evil/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.org/team/app:1",
    f"{ACCOUNT}-dkr.ecr.eu-central-1.amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1xamazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr.ecr..amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr.ecr.nowhere.amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr-ecr.eu-central-1.amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.on.aws/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com:8443/team/app:1",
    "12345678901.dkr.ecr.eu-central-1.amazonaws.com/team/app:1",
    f"{ACCOUNT}4.dkr.ecr.eu-central-1.amazonaws.com/team/app:1",
    # The Kelvin sign is a k when lowered, and another host.
    f"{ACCOUNT}.d\N{KELVIN SIGN}r.ecr.eu-central-1.amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com:0443/team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com./team/app:1",
    f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.eu.evil/team/app:1",
    f"{ACCOUNT}.dkr.ecr-fipz.eu-central-1.amazonaws.com/team/app:1",
    f"{ACCOUNT}.dkr-ecr.eu-central-1.api.aws/team/app:1",
    f"{ACCOUNT}.dkr-ecr.eu-central-1.on.aws.evil.example/team/app:1",
    f"{ACCOUNT}.dkr-ecr.eu-central-1.onXaws/team/app:1",
    f"https://{HOST}/team/app:1",
    f"user@{HOST}/team/app:1",
    f"{HOST}\\@evil.example/team/app:1",
    "\N{FULLWIDTH DIGIT ONE}23456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app:1",
    "",
    "/",
    "@",
]

HOSTS = [
    (f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
    (f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
    (f"{ACCOUNT}.dkr-ecr.eu-central-1.on.aws", "eu-central-1"),
    (f"{ACCOUNT}.dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
    (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    (f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
    (f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    (f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
    (f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
    (f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
    (f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
    (f"{ACCOUNT}.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "eusc-de-east-1"),
    (f"{ACCOUNT}.dkr-ecr.us-iso-east-1.on.aws.ic.gov", "us-iso-east-1"),
    (f"{ACCOUNT}.dkr-ecr.us-isob-east-1.on.aws.scloud", "us-isob-east-1"),
    (f"{ACCOUNT}.dkr-ecr.eu-isoe-west-1.on.cloud-aws.adc-e.uk", "eu-isoe-west-1"),
    (f"{ACCOUNT}.dkr-ecr.us-isof-south-1.on.aws.hci.ic.gov", "us-isof-south-1"),
    (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    (f"{ACCOUNT}.dkr-ecr.eu-central-1.on.aws:443", "eu-central-1"),
    (f"{ACCOUNT}.dkr-ecr.EU-Central-1.On.AWS", "eu-central-1"),
    (f"  {ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
    (f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com:443", "eu-central-1"),
    (f"{ACCOUNT}.DKR.ECR.EU-CENTRAL-1.AmazonAWS.com", "eu-central-1"),
]


@pytest.mark.parametrize("text", FOREIGN)
def test_is_not_ours(text: str) -> None:
    assert parse_image_reference(text) is None


@pytest.mark.parametrize(("host", "region"), HOSTS)
def test_every_host_form_means_the_same_registry(host: str, region: str) -> None:
    reference = parse_image_reference(f"{host}/team/app:v1")
    assert reference == ImageReference(Repository(ACCOUNT, region, "team/app"), "v1", None)


def test_every_partition_and_region_that_boto_knows_is_understood() -> None:
    partitions = get_session().get_data("partitions")["partitions"]
    hosts = [
        f"{ACCOUNT}.{service}{fips}.{region}.{suffix}"
        for partition in partitions
        for region in partition["regions"]
        if not region.endswith("-global")
        for service, suffix in (
            ("dkr.ecr", partition["outputs"]["dnsSuffix"]),
            ("dkr-ecr", partition["outputs"]["dualStackDnsSuffix"].replace("api.", "on.", 1)),
        )
        for fips in ("", "-fips")
    ]
    assert len(hosts) > 100
    assert [host for host in hosts if parse_image_reference(f"{host}/team/app:v1") is None] == []


@pytest.mark.parametrize(
    ("rest", "tag", "digest"),
    [
        ("team/app", "latest", None),
        ("team/app:v1.2_3-x", "v1.2_3-x", None),
        (f"team/app@{DIGEST}", None, DIGEST),
        (f"team/app:v1@{DIGEST}", "v1", DIGEST),
        ("team/app:" + "t" * 128, "t" * 128, None),
        ("  team/app:v1 ".strip() + "  ", "v1", None),
    ],
)
def test_tag_digest_both_or_neither(rest: str, tag: str | None, digest: str | None) -> None:
    assert parse_image_reference(f"{HOST}/{rest}") == ImageReference(REPOSITORY, tag, digest)


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("", "'' is not a repository name"),
        ("Team/app:v1", "'Team/app' is not a repository name"),
        ("a:v1", "'a' is not a repository name"),
        (f"{'a' * 257}:v1", "is not a repository name"),
        ("team/app:", "'' is not a tag"),
        ("team/app:.v1", "'.v1' is not a tag"),
        ("team/app:" + "t" * 129, "is not a tag"),
        ("team/app:v1:v2", "'v1:v2' is not a tag"),
        ("team/app@", "'' is not a digest"),
        ("team/app@sha256:abc", "'sha256:abc' is not a digest"),
        (f"team/app@{DIGEST.upper()}", "is not a digest"),
        (f"team/app@{DIGEST}@{DIGEST}", "is not a digest"),
        ("team/app:v1\n", None),
    ],
)
def test_a_malformed_reference_to_ecr_is_refused(rest: str, complaint: str | None) -> None:
    if complaint is None:
        assert parse_image_reference(f"{HOST}/{rest}") == ImageReference(REPOSITORY, "v1", None)
        return
    with pytest.raises(ImageReferenceError, match=re.escape(complaint)):
        parse_image_reference(f"{HOST}/{rest}")


def test_a_host_without_a_repository_is_refused() -> None:
    with pytest.raises(ImageReferenceError, match="not a repository name"):
        parse_image_reference(HOST)


def test_a_digest_names_an_image_and_a_tag_does_not() -> None:
    by_digest = parse_image_reference(f"{HOST}/team/app:v1@{DIGEST}")
    by_tag = parse_image_reference(f"{HOST}/team/app:v1")
    assert by_digest is not None
    assert by_digest.image_id == ImageId(REPOSITORY, DIGEST)
    assert by_tag is not None
    assert by_tag.image_id is None


@given(
    name=st.from_regex(r"[a-z0-9]{2,20}(?:[._/-][a-z0-9]{1,10}){0,3}", fullmatch=True),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True),
    digest=st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)
def test_print_and_parse_round_trip(name: str, tag: str | None, digest: str | None) -> None:
    text = f"{HOST}/{name}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse_image_reference(text)
    assert reference is not None
    canonical = str(reference).removeprefix(f"{ACCOUNT}/eu-central-1/")
    assert parse_image_reference(f"{HOST}/{canonical}") == reference


@given(st.text(max_size=300) | st.text(max_size=100).map(lambda text: f"{HOST}/{text}"))
@settings(max_examples=2000)
def test_any_text_is_ours_foreign_or_refused(text: str) -> None:
    try:
        reference = parse_image_reference(text)
    except ImageReferenceError:
        assert text.strip().lower().startswith(HOST)
        return
    assert (reference is not None) == text.strip().lower().startswith(f"{HOST}/")


@given(st.text(max_size=80).filter(lambda text: "/" not in text))
@settings(max_examples=2000)
def test_nothing_but_the_exact_host_is_ours(surplus: str) -> None:
    for host in (f"{HOST}{surplus}", f"{surplus}{HOST}"):
        reference = None
        try:
            reference = parse_image_reference(f"{host}/team/app:v1")
        except ImageReferenceError:
            pytest.fail("a foreign host was taken for ECR's")
        if reference:
            assert host.strip().lower() in (HOST, f"{HOST}:443")


@pytest.mark.parametrize("rest", [9 * "n" + "N" * 700, "app:" + 700 * "t", f"app@sha256:{700 * 'd'}"])
def test_a_refusal_quotes_the_beginning_of_an_endless_reference(rest: str) -> None:
    text = f"{HOST}/{rest}"
    part = rest.removeprefix("app:").removeprefix("app@")
    with pytest.raises(ImageReferenceError) as raised:
        parse_image_reference(text)
    assert f"reference {text[:600]!r}: {part[:300]!r} is not" in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "team/app@" + DIGEST,
        f"{ACCOUNT}/eu-central-1/team/app",
        f"{ACCOUNT}/eu-central-1/team/app@sha256:1",
        f"{ACCOUNT}/nowhere/team/app@{DIGEST}",
        f"1/eu-central-1/team/app@{DIGEST}",
        f"{ACCOUNT}/eu-central-1/Team@{DIGEST}",
    ],
)
def test_an_image_id_that_was_not_printed_by_us_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        ImageId.parse(text)


def test_an_image_id_round_trips() -> None:
    image_id = ImageId(REPOSITORY, DIGEST)
    assert ImageId.parse(str(image_id)) == image_id
