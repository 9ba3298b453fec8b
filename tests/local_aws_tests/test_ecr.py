from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import time_machine
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from local_aws import Behaviour
from local_aws import ecr as strict_ecr
from local_aws.images import (
    PullError,
    pull,
    push_build,
    push_cache,
    push_chart,
    push_image,
    push_index,
    push_signature,
)
from local_aws.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

START = datetime(2025, 1, 1, 12, tzinfo=UTC)
NOWHERE = "sha256:" + "0" * 64
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture(scope="module")
def client() -> ECRClient:
    session = boto3.Session("test", "test", region_name="eu-central-1")
    return session.client("ecr", config=Config(parameter_validation=False))


@pytest.fixture
def ecr(clock: time_machine.Traveller, client: ECRClient) -> Iterator[ECRClient]:
    patches = Patches()
    for owner, name, replacement in strict_ecr.patches():
        patches.set(owner, name, replacement)
    with mock_aws():
        client.create_repository(repositoryName="web")
        yield client
    patches.undo()


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def by_digest(*digests: str) -> list[ImageIdentifierTypeDef]:
    return [{"imageDigest": digest} for digest in digests]


def by_tag(*tags: str) -> list[ImageIdentifierTypeDef]:
    return [{"imageTag": tag} for tag in tags]


def stored(ecr: ECRClient, repository: str = "web") -> dict[str, list[str]]:
    """What a repository holds: digests with their tags."""
    details = ecr.describe_images(repositoryName=repository, maxResults=1000)["imageDetails"]
    return {detail["imageDigest"]: detail.get("imageTags", []) for detail in details}


def detail(ecr: ECRClient, digest: str) -> dict[str, Any]:
    (found,) = ecr.describe_images(repositoryName="web", imageIds=by_digest(digest))["imageDetails"]
    return dict(found)


def put(ecr: ECRClient, manifest: str, **params: Any) -> dict[str, Any]:
    return dict(ecr.put_image(repositoryName="web", imageManifest=manifest, **params))


# Pushing


def test_digest_is_the_hash_of_the_manifest(ecr: ECRClient) -> None:
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": []}, indent=7)
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    image = put(ecr, manifest, imageTag="v1", imageDigest=digest)["image"]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert image["imageManifest"] == manifest
    with pytest.raises(ClientError) as error:
        put(ecr, manifest, imageTag="v2", imageDigest=NOWHERE)
    assert code_of(error) == "ImageDigestDoesNotMatchException"


def test_index_has_a_digest_of_its_own_content(ecr: ECRClient) -> None:
    children = [push_image(ecr, "web"), push_image(ecr, "web")]
    both = push_index(ecr, "web", ["both"], children=children)
    one = push_index(ecr, "web", ["one"], children=children[:1])
    assert both != one
    assert stored(ecr) == {children[0]: [], children[1]: [], both: ["both"], one: ["one"]}


@pytest.mark.parametrize(
    ("manifest", "params"),
    [
        ("not json", {"imageManifestMediaType": MANIFEST}),
        ("{}", {}),
        (json.dumps({"mediaType": MANIFEST}), {"imageManifestMediaType": "text/plain"}),
        (json.dumps({"mediaType": MANIFEST}), {"imageTag": "-v1"}),
        (json.dumps({"mediaType": MANIFEST}), {"imageTag": "v" * 129}),
    ],
)
def test_refuses_malformed_images(ecr: ECRClient, manifest: str, params: dict[str, str]) -> None:
    with pytest.raises(ClientError) as error:
        put(ecr, manifest, **params)
    assert code_of(error) == "InvalidParameterException"
    assert stored(ecr) == {}


def test_image_under_several_tags_is_one_image(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web", ["v1", "latest"])
    assert stored(ecr) == {digest: ["v1", "latest"]}


def test_moved_tag_leaves_its_old_image_untagged(ecr: ECRClient) -> None:
    old = push_image(ecr, "web", ["latest"])
    new = push_image(ecr, "web", ["latest"])
    assert stored(ecr) == {old: [], new: ["latest"]}


def test_tag_can_move_to_an_image_that_is_there(ecr: ECRClient) -> None:
    first = push_image(ecr, "web", ["v1"], content="first")
    second = push_image(ecr, "web", ["v2", "latest"])
    push_image(ecr, "web", ["latest"], content="first")
    assert stored(ecr) == {first: ["v1", "latest"], second: ["v2"]}


def test_same_image_and_tag_exist_already(ecr: ECRClient) -> None:
    push_image(ecr, "web", ["v1"], content="same")
    for tags in (["v1"], []):
        with pytest.raises(ClientError) as error:
            push_image(ecr, "web", tags, content="same")
        assert code_of(error) == "ImageAlreadyExistsException"


@pytest.mark.parametrize(
    ("mutability", "tag", "moves"),
    [
        ("MUTABLE", "v1", True),
        ("IMMUTABLE", "v1", False),
        ("MUTABLE_WITH_EXCLUSION", "v1", True),
        ("MUTABLE_WITH_EXCLUSION", "release-1", False),
        ("IMMUTABLE_WITH_EXCLUSION", "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", "release-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", "a-release-1", False),
    ],
)
def test_tag_mutability(ecr: ECRClient, mutability: Any, tag: str, moves: bool) -> None:
    params: dict[str, Any] = {}
    if mutability.endswith("_WITH_EXCLUSION"):
        params["imageTagMutabilityExclusionFilters"] = [{"filterType": "WILDCARD", "filter": "release-*"}]
    ecr.put_image_tag_mutability(repositoryName="web", imageTagMutability=mutability, **params)
    old = push_image(ecr, "web", [tag])
    if moves:
        new = push_image(ecr, "web", [tag])
        assert stored(ecr) == {old: [], new: [tag]}
    else:
        with pytest.raises(ClientError) as error:
            push_image(ecr, "web", [tag])
        assert code_of(error) == "ImageTagAlreadyExistsException"
        assert stored(ecr) == {old: [tag]}


def test_index_needs_its_children(ecr: ECRClient) -> None:
    child = push_image(ecr, "web")
    with pytest.raises(ClientError) as error:
        push_index(ecr, "web", ["v1"], children=[child, NOWHERE])
    assert code_of(error) == "ReferencedImagesNotFoundException"
    assert NOWHERE in str(error.value)
    assert child not in str(error.value)


def test_repository_must_exist(ecr: ECRClient) -> None:
    with pytest.raises(ClientError) as error:
        push_image(ecr, "nowhere", ["v1"])
    assert code_of(error) == "RepositoryNotFoundException"


# Reading


def test_image_detail(ecr: ECRClient, clock: time_machine.Traveller) -> None:
    digest = push_image(ecr, "web", ["v1"], size=5_000)
    clock.shift(timedelta(hours=1))
    assert detail(ecr, digest) == {
        "registryId": "123456789012",
        "repositoryName": "web",
        "imageDigest": digest,
        "imageTags": ["v1"],
        "imageSizeInBytes": 5_000,
        "imagePushedAt": START,
        "imageManifestMediaType": MANIFEST,
        "artifactMediaType": "application/vnd.oci.image.config.v1+json",
        "imageStatus": "ACTIVE",
    }


def test_untagged_image_has_no_tags_at_all(ecr: ECRClient) -> None:
    assert "imageTags" not in detail(ecr, push_image(ecr, "web"))


def test_size_of_an_index_is_that_of_its_largest_child(ecr: ECRClient) -> None:
    children = [push_image(ecr, "web", size=size) for size in (7_000, 9_000)]
    index = detail(ecr, push_index(ecr, "web", ["v1"], children=children))
    assert index["imageSizeInBytes"] == 9_000
    assert index["imageManifestMediaType"] == "application/vnd.oci.image.index.v1+json"
    assert "artifactMediaType" not in index


def test_describe_images_pages(ecr: ECRClient) -> None:
    digests = {push_image(ecr, "web", [f"v{number}"]) for number in range(105)}
    first = ecr.describe_images(repositoryName="web")
    assert len(first["imageDetails"]) == 100
    second = ecr.describe_images(repositoryName="web", nextToken=first["nextToken"])
    assert "nextToken" not in second
    seen = [image["imageDigest"] for image in first["imageDetails"] + second["imageDetails"]]
    assert len(seen) == 105
    assert set(seen) == digests
    paginator = ecr.get_paginator("describe_images")
    pages = list(paginator.paginate(repositoryName="web", PaginationConfig={"PageSize": 30}))
    assert [len(page["imageDetails"]) for page in pages] == [30, 30, 30, 15]
    assert "nextToken" not in ecr.describe_images(repositoryName="web", maxResults=105)


def test_deleting_between_two_pages_skips_nothing(ecr: ECRClient) -> None:
    digests = {push_image(ecr, "web") for _ in range(20)}
    first = ecr.describe_images(repositoryName="web", maxResults=10)
    gone = [image["imageDigest"] for image in first["imageDetails"]]
    ecr.batch_delete_image(repositoryName="web", imageIds=by_digest(*gone))
    second = ecr.describe_images(repositoryName="web", maxResults=10, nextToken=first["nextToken"])
    assert {image["imageDigest"] for image in second["imageDetails"]} == digests - set(gone)


@pytest.mark.parametrize("size", [0, 1001])
def test_page_size_limits(ecr: ECRClient, size: int) -> None:
    for call in (ecr.describe_images, ecr.list_images):
        with pytest.raises(ClientError) as error:
            call(repositoryName="web", maxResults=size)
        assert code_of(error) == "InvalidParameterException"


def test_token_of_something_else_is_refused(ecr: ECRClient) -> None:
    ecr.create_repository(repositoryName="api")
    for _ in range(2):
        push_image(ecr, "web")
    token = ecr.describe_images(repositoryName="web", maxResults=1)["nextToken"]
    for repository, given in (("api", token), ("web", "nonsense"), ("web", "bm9uc2Vuc2U=")):
        with pytest.raises(ClientError) as error:
            ecr.describe_images(repositoryName=repository, nextToken=given)
        assert code_of(error) == "InvalidParameterException"


def test_describe_by_id(ecr: ECRClient) -> None:
    first = push_image(ecr, "web", ["v1", "v2"])
    second = push_image(ecr, "web")
    ids = [*by_tag("v1", "v2"), *by_digest(first, second)]
    found = ecr.describe_images(repositoryName="web", imageIds=ids)["imageDetails"]
    assert [image["imageDigest"] for image in found] == [first, second]
    assert ecr.describe_images(repositoryName="web", imageIds=[{"imageDigest": first, "imageTag": "v1"}])[
        "imageDetails"
    ]


@pytest.mark.parametrize("missing", [{"imageDigest": NOWHERE}, {"imageTag": "v9"}, {}])
def test_one_missing_id_fails_the_whole_call(ecr: ECRClient, missing: ImageIdentifierTypeDef) -> None:
    digest = push_image(ecr, "web", ["v1"])
    with pytest.raises(ClientError) as error:
        ecr.describe_images(repositoryName="web", imageIds=[*by_digest(digest), missing])
    assert code_of(error) == "ImageNotFoundException"


def test_tag_and_digest_must_belong_together(ecr: ECRClient) -> None:
    push_image(ecr, "web", ["v1"])
    second = push_image(ecr, "web", ["v2"])
    mismatch: ImageIdentifierTypeDef = {"imageDigest": second, "imageTag": "v1"}
    with pytest.raises(ClientError) as error:
        ecr.describe_images(repositoryName="web", imageIds=[mismatch])
    assert code_of(error) == "ImageNotFoundException"


@pytest.mark.parametrize("operation", ["describe_images", "batch_get_image", "batch_delete_image"])
def test_at_most_100_ids(ecr: ECRClient, operation: str) -> None:
    digest = push_image(ecr, "web")
    with pytest.raises(ClientError) as error:
        getattr(ecr, operation)(repositoryName="web", imageIds=by_digest(*[digest] * 101))
    assert code_of(error) == "InvalidParameterException"
    assert stored(ecr) == {digest: []}
    getattr(ecr, operation)(repositoryName="web", imageIds=by_digest(*[digest] * 100))


def test_ids_exclude_paging(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web")
    with pytest.raises(ClientError) as error:
        ecr.describe_images(repositoryName="web", imageIds=by_digest(digest), maxResults=5)
    assert code_of(error) == "InvalidParameterException"


def test_tag_status_filter(ecr: ECRClient) -> None:
    tagged, untagged = push_image(ecr, "web", ["v1"]), push_image(ecr, "web")
    expected: dict[Any, set[str]] = {"TAGGED": {tagged}, "UNTAGGED": {untagged}, "ANY": {tagged, untagged}}
    for status, digests in expected.items():
        described = ecr.describe_images(repositoryName="web", filter={"tagStatus": status})
        assert {image["imageDigest"] for image in described["imageDetails"]} == digests
        listed = ecr.list_images(repositoryName="web", filter={"tagStatus": status})
        assert {image["imageDigest"] for image in listed["imageIds"]} == digests


def test_list_images_pages_over_tags(ecr: ECRClient) -> None:
    tagged = push_image(ecr, "web", ["v1", "v2", "v3"])
    untagged = push_image(ecr, "web")
    pages = list(ecr.get_paginator("list_images").paginate(repositoryName="web", PaginationConfig={"PageSize": 3}))
    assert [len(page["imageIds"]) for page in pages] == [3, 1]
    ids = [image_id for page in pages for image_id in page["imageIds"]]
    assert {"imageDigest": untagged} in ids
    assert {"imageDigest": tagged, "imageTag": "v2"} in ids


def test_describe_repositories_pages(ecr: ECRClient) -> None:
    for number in range(4):
        ecr.create_repository(repositoryName=f"app/{number}")
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
    assert [[repository["repositoryName"] for repository in page["repositories"]] for page in pages] == [
        ["app/0", "app/1"],
        ["app/2", "app/3"],
        ["web"],
    ]
    (named,) = ecr.describe_repositories(repositoryNames=["app/3"])["repositories"]
    assert named["repositoryName"] == "app/3"


def test_get_image_counts_as_a_pull_once_a_day(ecr: ECRClient, clock: time_machine.Traveller) -> None:
    digest = push_image(ecr, "web", ["v1"])
    assert "lastRecordedPullTime" not in detail(ecr, digest)

    def pull() -> datetime:
        ecr.batch_get_image(repositoryName="web", imageIds=by_tag("v1"))
        pulled_at: datetime = detail(ecr, digest)["lastRecordedPullTime"]
        return pulled_at

    assert pull() == START
    clock.shift(timedelta(hours=23))
    assert pull() == START
    clock.shift(timedelta(hours=1))
    assert pull() == START + timedelta(hours=24)


def test_get_image_answers_with_the_manifest_and_failures(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web", ["v1"])
    ids = [*by_tag("v1"), *by_digest(NOWHERE)]
    answer = ecr.batch_get_image(repositoryName="web", imageIds=ids)
    (image,) = answer["images"]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert "sha256:" + hashlib.sha256(image["imageManifest"].encode()).hexdigest() == digest
    (failure,) = answer["failures"]
    assert (failure["failureCode"], failure["imageId"]) == ("ImageNotFound", {"imageDigest": NOWHERE})


def test_get_image_of_a_media_type_that_is_not_accepted(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web")
    answer = ecr.batch_get_image(repositoryName="web", imageIds=by_digest(digest), acceptedMediaTypes=["text/plain"])
    assert not answer["images"]
    assert answer["failures"]
    assert "lastRecordedPullTime" not in detail(ecr, digest)


# Deleting


def delete(ecr: ECRClient, *ids: ImageIdentifierTypeDef) -> tuple[list[Any], list[tuple[str, Any]]]:
    answer: Any = ecr.batch_delete_image(repositoryName="web", imageIds=ids)
    failures = [(failure["failureCode"], failure["imageId"]) for failure in answer["failures"]]
    return answer["imageIds"], failures


def test_delete_by_tag_takes_the_tag_and_with_the_last_one_the_image(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web", ["v1", "v2"])
    assert delete(ecr, {"imageTag": "v1"}) == ([{"imageDigest": digest, "imageTag": "v1"}], [])
    assert stored(ecr) == {digest: ["v2"]}
    assert delete(ecr, {"imageTag": "v2"}) == ([{"imageDigest": digest, "imageTag": "v2"}], [])
    assert stored(ecr) == {}


@pytest.mark.parametrize("mutability", ["MUTABLE", "IMMUTABLE"])
def test_delete_by_digest_takes_the_image_with_all_tags(ecr: ECRClient, mutability: Any) -> None:
    ecr.put_image_tag_mutability(repositoryName="web", imageTagMutability=mutability)
    digest = push_image(ecr, "web", ["v1", "v2"])
    other = push_image(ecr, "web")
    deleted, failures = delete(ecr, {"imageDigest": digest})
    assert deleted == [
        {"imageDigest": digest, "imageTag": "v1"},
        {"imageDigest": digest, "imageTag": "v2"},
    ]
    assert failures == []
    assert stored(ecr) == {other: []}


def test_delete_of_an_untagged_image(ecr: ECRClient) -> None:
    digest = push_image(ecr, "web")
    assert delete(ecr, {"imageDigest": digest}) == ([{"imageDigest": digest}], [])
    assert stored(ecr) == {}


def test_deleted_tag_can_be_pushed_again_even_where_tags_are_immutable(ecr: ECRClient) -> None:
    ecr.put_image_tag_mutability(repositoryName="web", imageTagMutability="IMMUTABLE")
    push_image(ecr, "web", ["v1"])
    delete(ecr, {"imageTag": "v1"})
    new = push_image(ecr, "web", ["v1"])
    assert stored(ecr) == {new: ["v1"]}


def test_failures_do_not_stop_the_others(ecr: ECRClient) -> None:
    first, second = push_image(ecr, "web", ["v1"]), push_image(ecr, "web", ["v2"])
    mismatch: ImageIdentifierTypeDef = {"imageDigest": first, "imageTag": "v2"}
    deleted, failures = delete(
        ecr,
        {"imageDigest": NOWHERE},
        {"imageTag": "v9"},
        {},
        mismatch,
        {"imageDigest": "md5:1"},
        {"imageDigest": second},
        {"imageDigest": second},
    )
    assert deleted == [{"imageDigest": second, "imageTag": "v2"}]
    assert failures == [
        ("ImageNotFound", {"imageDigest": NOWHERE}),
        ("ImageNotFound", {"imageTag": "v9"}),
        ("MissingDigestAndTag", {}),
        ("ImageTagDoesNotMatchDigest", mismatch),
        ("InvalidImageDigest", {"imageDigest": "md5:1"}),
        ("ImageNotFound", {"imageDigest": second}),
    ]
    assert stored(ecr) == {first: ["v1"]}


def test_child_of_an_index_cannot_be_deleted(ecr: ECRClient) -> None:
    child = push_image(ecr, "web", ["child"])
    first = push_index(ecr, "web", ["first"], children=[child])
    second = push_index(ecr, "web", ["second"], children=[child, first])
    held = [("ImageReferencedByManifestList", {"imageDigest": child})]
    assert delete(ecr, {"imageDigest": child}) == ([], held)
    assert delete(ecr, {"imageTag": "child"})[1] == [("ImageReferencedByManifestList", {"imageTag": "child"})]
    # In one call with the index that holds it, it stays as well.
    deleted, failures = delete(ecr, {"imageDigest": second}, {"imageDigest": child})
    assert [image["imageDigest"] for image in deleted] == [second]
    assert failures == held
    assert delete(ecr, {"imageDigest": child})[1] == held
    delete(ecr, {"imageDigest": first})
    assert delete(ecr, {"imageDigest": child})[1] == []
    assert stored(ecr) == {}


def test_tag_of_a_held_child_can_go_while_it_has_others(ecr: ECRClient) -> None:
    child = push_image(ecr, "web", ["one", "two"])
    push_index(ecr, "web", ["index"], children=[child])
    assert delete(ecr, {"imageTag": "one"})[1] == []
    assert stored(ecr)[child] == ["two"]


# Referrers and storage classes


def test_referrers(ecr: ECRClient) -> None:
    image = push_image(ecr, "web", ["v1"])
    signature = push_image(ecr, "web", subject=image, artifact_type="application/signature")
    sbom = push_image(ecr, "web", subject=image, artifact_type="application/sbom")
    push_image(ecr, "web", subject=NOWHERE, artifact_type="application/sbom")
    assert detail(ecr, sbom)["subjectManifestDigest"] == image
    assert detail(ecr, sbom)["artifactMediaType"] == "application/sbom"

    subject: Any = {"imageDigest": image}
    found = ecr.list_image_referrers(repositoryName="web", subjectId=subject)["referrers"]
    assert {referrer["digest"] for referrer in found} == {signature, sbom}
    (only,) = ecr.list_image_referrers(
        repositoryName="web", subjectId=subject, filter={"artifactTypes": ["application/sbom"]}
    )["referrers"]
    assert (only["digest"], only["mediaType"], only["artifactStatus"]) == (sbom, MANIFEST, "ACTIVE")


def test_referrers_page(ecr: ECRClient) -> None:
    image = push_image(ecr, "web", ["v1"])
    for _ in range(53):
        push_image(ecr, "web", subject=image, artifact_type="application/sbom")
    subject: Any = {"imageDigest": image}
    assert len(ecr.list_image_referrers(repositoryName="web", subjectId=subject)["referrers"]) == 20
    first = ecr.list_image_referrers(repositoryName="web", subjectId=subject, maxResults=50)
    assert len(first["referrers"]) == 50
    rest = ecr.list_image_referrers(repositoryName="web", subjectId=subject, nextToken=first["nextToken"])
    assert len(rest["referrers"]) == 3
    assert "nextToken" not in rest


def test_archive_and_restore(ecr: ECRClient, clock: time_machine.Traveller) -> None:
    digest = push_image(ecr, "web", ["v1"])
    everything: Any = {"imageStatus": "ANY"}

    def move(target: Any) -> str:
        answer = ecr.update_image_storage_class(
            repositoryName="web", imageId={"imageDigest": digest}, targetStorageClass=target
        )
        return str(answer["imageStatus"])

    def shown() -> dict[str, Any]:
        (image,) = ecr.describe_images(repositoryName="web", filter=everything)["imageDetails"]
        return dict(image)

    assert move("ARCHIVE") == "ARCHIVED"
    assert shown()["lastArchivedAt"] == START
    assert stored(ecr) == {}
    assert not ecr.list_images(repositoryName="web")["imageIds"]
    answer = ecr.batch_get_image(repositoryName="web", imageIds=by_digest(digest))
    assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageInaccessible"]
    with pytest.raises(ClientError) as error:
        move("ARCHIVE")
    assert code_of(error) == "ImageStorageClassUpdateNotSupportedException"

    assert move("STANDARD") == "ACTIVATING"
    clock.shift(timedelta(minutes=19))
    assert shown()["imageStatus"] == "ACTIVATING"
    assert "lastActivatedAt" not in shown()
    clock.shift(timedelta(minutes=1))
    assert shown()["imageStatus"] == "ACTIVE"
    assert shown()["lastActivatedAt"] == START + timedelta(minutes=20)
    assert stored(ecr) == {digest: ["v1"]}
    assert move("ARCHIVE") == "ARCHIVED"


def test_storage_class_of_a_missing_image(ecr: ECRClient) -> None:
    with pytest.raises(ClientError) as error:
        ecr.update_image_storage_class(
            repositoryName="web", imageId={"imageDigest": NOWHERE}, targetStorageClass="ARCHIVE"
        )
    assert code_of(error) == "ImageNotFoundException"


def archive(ecr: ECRClient, digest: str) -> None:
    ecr.update_image_storage_class(repositoryName="web", imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE")


def anything(ecr: ECRClient) -> dict[str, Any]:
    """The images of any status, by digest."""
    details = ecr.describe_images(repositoryName="web", filter={"imageStatus": "ANY"})["imageDetails"]
    return {detail["imageDigest"]: dict(detail) for detail in details}


@pytest.mark.parametrize("tags", [["v1"], ["v2"], []])
def test_pushing_an_archived_image_restores_it_at_once(
    ecr: ECRClient, clock: time_machine.Traveller, tags: list[str]
) -> None:
    digest = push_image(ecr, "web", ["v1"], content="same")
    archive(ecr, digest)
    clock.shift(timedelta(hours=1))
    push_image(ecr, "web", tags, content="same")
    assert stored(ecr) == {digest: sorted({"v1", *tags})}
    shown = anything(ecr)[digest]
    assert (shown["imageStatus"], shown["imagePushedAt"]) == ("ACTIVE", START)
    assert shown["lastActivatedAt"] == START + timedelta(hours=1)
    with pytest.raises(ClientError) as error:
        push_image(ecr, "web", tags, content="same")
    assert code_of(error) == "ImageAlreadyExistsException"


def test_archived_child_of_an_active_index_cannot_be_pulled_and_the_index_can(ecr: ECRClient) -> None:
    child = push_image(ecr, "web")
    index = push_index(ecr, "web", ["v1"], children=[child])
    assert pull(ecr, "web", "v1") == pull(ecr, "web", index) == child
    archive(ecr, child)
    assert ecr.batch_get_image(repositoryName="web", imageIds=by_tag("v1"))["images"]
    with pytest.raises(PullError, match="ImageInaccessible"):
        pull(ecr, "web", "v1")


def test_archived_image_can_be_deleted_and_is_held_by_its_index_like_any_other(ecr: ECRClient) -> None:
    child = push_image(ecr, "web")
    index = push_index(ecr, "web", ["v1"], children=[child])
    archive(ecr, child)
    archive(ecr, index)
    assert delete(ecr, {"imageDigest": child})[1] == [("ImageReferencedByManifestList", {"imageDigest": child})]
    assert delete(ecr, {"imageDigest": index})[1] == []
    assert delete(ecr, {"imageDigest": child})[1] == []
    assert anything(ecr) == {}


def test_index_whose_child_is_missing_is_described_and_not_pulled(ecr: ECRClient) -> None:
    children = [push_image(ecr, "web", size=size) for size in (9_000, 7_000)]
    whole = push_index(ecr, "web", ["whole"], children=children)
    single = push_index(ecr, "web", ["single"], children=children[:1])
    strict_ecr.drop_image("123456789012", "eu-central-1", "web", children[0])
    assert detail(ecr, whole)["imageSizeInBytes"] == 7_000
    assert detail(ecr, single)["imageSizeInBytes"] == 0
    with pytest.raises(PullError, match="ImageNotFound"):
        pull(ecr, "web", "whole")
    assert delete(ecr, {"imageDigest": whole}, {"imageDigest": single})[1] == []
    assert stored(ecr) == {children[1]: []}


def test_kinds_of_artifacts(ecr: ECRClient) -> None:
    image = push_image(ecr, "web", ["v1"])
    chart, cache, signature = (
        push_chart(ecr, "web", ["chart-1"]),
        push_cache(ecr, "web", ["cache"]),
        push_signature(ecr, "web", image),
    )
    types = {digest: shown["artifactMediaType"] for digest, shown in anything(ecr).items()}
    assert types == {
        image: "application/vnd.oci.image.config.v1+json",
        chart: "application/vnd.cncf.helm.config.v1+json",
        cache: "application/vnd.buildkit.cacheconfig.v0",
        signature: "application/vnd.oci.image.config.v1+json",
    }
    assert stored(ecr)[signature] == [f"sha256-{image.removeprefix('sha256:')}.sig"]


def test_build_has_an_attestation_beside_each_image(ecr: ECRClient) -> None:
    index = push_build(ecr, "web", ["v1"])
    (image,) = ecr.batch_get_image(repositoryName="web", imageIds=by_digest(index))["images"]
    manifests = json.loads(image["imageManifest"])["manifests"]
    platforms = [entry["platform"]["architecture"] for entry in manifests]
    assert platforms == ["amd64", "arm64", "unknown", "unknown"]
    assert stored(ecr) == {index: ["v1"]} | {entry["digest"]: [] for entry in manifests}
    described = [entry["annotations"]["vnd.docker.reference.digest"] for entry in manifests[2:]]
    assert described == [entry["digest"] for entry in manifests[:2]]
    assert pull(ecr, "web", "v1") == manifests[0]["digest"]


@pytest.mark.parametrize("image", ["v2", NOWHERE])
def test_pull_of_what_is_not_there(ecr: ECRClient, image: str) -> None:
    push_image(ecr, "web", ["v1"])
    with pytest.raises(PullError, match="ImageNotFound"):
        pull(ecr, "web", image)


# Principals whose pulls are not recorded

ROLE = "arn:aws:iam::123456789012:role/team/reader"


def test_exclusions_are_registered_listed_and_deregistered(ecr: ECRClient) -> None:
    assert ecr.register_pull_time_update_exclusion(principalArn=ROLE)["createdAt"] == START
    with pytest.raises(ClientError) as error:
        ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    assert code_of(error) == "ExclusionAlreadyExistsException"
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == [ROLE]
    ecr.deregister_pull_time_update_exclusion(principalArn=ROLE)
    with pytest.raises(ClientError) as error:
        ecr.deregister_pull_time_update_exclusion(principalArn=ROLE)
    assert code_of(error) == "ExclusionNotFoundException"
    assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == []


def test_at_most_100_exclusions(ecr: ECRClient) -> None:
    for number in range(100):
        ecr.register_pull_time_update_exclusion(principalArn=f"{ROLE}-{number}")
    with pytest.raises(ClientError) as error:
        ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    assert code_of(error) == "LimitExceededException"


@pytest.mark.parametrize(
    "arn",
    [
        "reader",
        "arn:aws:sts::123456789012:assumed-role/reader/session",
        "arn:aws:iam::123456789012:root",
        f"{ROLE}{'x' * 200}",
    ],
)
def test_only_roles_and_users_can_be_excluded(ecr: ECRClient, arn: str) -> None:
    with pytest.raises(ClientError) as error:
        ecr.register_pull_time_update_exclusion(principalArn=arn)
    assert code_of(error) == "InvalidParameterException"


# Repository tags


def test_tags_of_a_repository(ecr: ECRClient) -> None:
    arn = "arn:aws:ecr:eu-central-1:123456789012:repository/web"
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "ecr-cleanup", "Value": "enabled"}])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "ecr-cleanup", "Value": "enabled"}]
    ecr.untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == []


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:ecr:eu-west-1:123456789012:repository/web", "InvalidParameterException"),
        ("web", "InvalidParameterException"),
        ("arn:aws:ecr:eu-central-1:123456789012:repository/api", "RepositoryNotFoundException"),
        ("arn:aws:ecr:eu-central-1:222222222222:repository/web", "RepositoryNotFoundException"),
    ],
)
def test_tags_of_what_is_not_there(ecr: ECRClient, arn: str, code: str) -> None:
    with pytest.raises(ClientError) as error:
        ecr.list_tags_for_resource(resourceArn=arn)
    assert code_of(error) == code


def test_other_pull_record_interval(ecr: ECRClient, clock: time_machine.Traveller) -> None:
    patches = Patches()
    for owner, name, replacement in strict_ecr.patches(Behaviour(pull_record_interval=timedelta())):
        patches.set(owner, name, replacement)
    digest = push_image(ecr, "web", ["v1"])
    for _ in range(2):
        clock.shift(timedelta(minutes=1))
        ecr.batch_get_image(repositoryName="web", imageIds=by_tag("v1"))
    assert detail(ecr, digest)["lastRecordedPullTime"] == START + timedelta(minutes=2)
    patches.undo()


def test_there_are_no_pull_through_cache_rules(ecr: ECRClient) -> None:
    assert ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"] == []
