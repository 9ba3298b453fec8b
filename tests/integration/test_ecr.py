from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ecr_cleanup.aws import ecr as ecr_module
from ecr_cleanup.aws.ecr import Deletion, Registry, missing_operations
from ecr_cleanup.errors import DeletionRefusedError, ManifestError
from ecr_cleanup.image import ImageId, ImageStatus, Repository
from ecr_cleanup.image_reference import ImageReference
from ecr_cleanup.manifest import Manifest, ManifestKind
from ecr_cleanup.settings import Action
from fakes import HOST, REGION, SHARED, Pushed
from local_aws import ecr as strict_ecr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MISSING = "sha256:" + "f" * 64
NOWHERE = Repository(SHARED, REGION, "no/such")
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"


class Calls:
    """The operations that a client was asked for, in order, and what with."""

    def __init__(self, ecr: Pushed) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        ecr.client.meta.events.register("before-call.ecr", self._note)

    def _note(self, model: Any, params: dict[str, Any], **_: object) -> None:
        self.made.append((model.name, json.loads(params["body"])))

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.made if name == operation]


def an_error(code: str, operation: str = "Anything") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def raises(error: Exception) -> Callable[..., Any]:
    def refuse(**_: object) -> None:
        raise error

    return refuse


def missing_ids(repository: Repository, count: int) -> list[ImageId]:
    return [ImageId(repository, f"sha256:{n:064x}") for n in range(count)]


def test_finds_the_images_that_exist_among_those_that_do_not(ecr: Pushed) -> None:
    repository, other = ecr.repository(), ecr.repository("other/app")
    ids = [ecr.push(repository, f"v{n}", content=str(n)) for n in range(3)]
    there = ecr.push(other, "v1")
    missing = [ImageId(repository, f"sha256:{n:064x}") for n in range(120)]
    gone = ImageId(NOWHERE, MISSING)
    assert set(ecr.registry.images([*ids, *missing, there, gone])) == {*ids, there}


def test_describes_tags_and_size(ecr: Pushed) -> None:
    repository = ecr.repository()
    image_id = ecr.push(repository, "v1", "stable")
    image = ecr.registry.images([image_id])[image_id]
    assert image.tags == {"v1", "stable"}
    assert image.size_bytes > 0
    assert image.pushed_at.tzinfo is not None


def test_resolves_tags_and_digests_to_images(ecr: Pushed) -> None:
    repository = ecr.repository()
    one, two = ecr.push(repository, "v1", content="one"), ecr.push(repository, "v2", content="two")
    resolved = ecr.registry.resolve(
        [
            ImageReference(repository, "v1", None),
            ImageReference(repository, "missing", None),
            ImageReference(repository, "v1", two.digest),
            ImageReference(NOWHERE, "v1", None),
        ]
    )
    assert resolved == {one, two}


def test_reads_the_tags_of_a_repository(ecr: Pushed) -> None:
    repository = ecr.repository(ecr_cleanup="enabled", team="platform")
    assert ecr.registry.repository_tags(repository) == {"ecr-cleanup": "enabled", "team": "platform"}
    assert ecr.registry.repository_tags(NOWHERE) is None


def test_deletes_one_image_with_all_its_tags_and_no_other(ecr: Pushed) -> None:
    repository = ecr.repository()
    one, two = ecr.push(repository, "v1", "stable", content="one"), ecr.push(repository, "v2", content="two")
    assert ecr.registry.delete(one) is Deletion.DELETED
    assert not ecr.exists(one)
    assert ecr.exists(two)
    assert ecr.registry.delete(one) is Deletion.NOT_FOUND
    assert ecr.registry.delete(ImageId(NOWHERE, MISSING)) is (Deletion.NOT_FOUND)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("ImageReferencedByManifestList", Deletion.HELD_BY_AN_INDEX), ("ImageNotFound", Deletion.NOT_FOUND)],
)
def test_a_deletion_that_did_nothing_is_not_taken_for_one(
    ecr: Pushed, monkeypatch: pytest.MonkeyPatch, code: str, outcome: Deletion
) -> None:
    monkeypatch.setattr(ecr.client, "batch_delete_image", answering(code))
    assert ecr.registry.delete(ImageId(ecr.repository(), MISSING)) is outcome


def test_an_unknown_failure_of_a_deletion_is_an_error(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr.client, "batch_delete_image", answering("KmsError"))
    with pytest.raises(DeletionRefusedError, match="KmsError"):
        ecr.registry.delete(ImageId(ecr.repository(), MISSING))


def answering(code: str) -> Callable[..., Any]:
    return lambda **_: {"imageIds": [], "failures": [{"failureCode": code, "failureReason": "because"}]}


def test_errors_of_ecr_are_not_taken_for_absence(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeImages")

    monkeypatch.setattr(ecr.client, "describe_images", refuse)
    with pytest.raises(ClientError, match="AccessDenied"):
        ecr.registry.images([ImageId(ecr.repository(), MISSING)])


def test_the_host_of_the_test_registry_is_the_one_under_test() -> None:
    assert HOST.startswith("111111111111.dkr.ecr.eu-central-1.")


# Images


def test_sees_what_is_archived_and_says_so(ecr: Pushed) -> None:
    repository = ecr.repository()
    archived, active = ecr.push(repository, "v1"), ecr.push(repository, "v2", content="two")
    ecr.registry.archive(archived)
    images = ecr.registry.images([archived, active])
    assert images[archived].status is ImageStatus.ARCHIVED
    assert images[active].status is ImageStatus.ACTIVE
    (found,) = ecr.registry.find([ImageReference(repository, "v1", None)])
    assert found == images[archived]


def test_a_status_that_nobody_knows_is_not_taken_for_active_nor_for_archived(
    ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = ecr.push(ecr.repository())
    monkeypatch.setattr(strict_ecr.StoredImage, "status", "FROZEN")
    assert ecr.registry.images([image_id])[image_id].status is ImageStatus.ACTIVATING


def test_describes_what_an_artifact_is_and_refers_to(ecr: Pushed) -> None:
    repository = ecr.repository()
    image, chart = ecr.push_image(repository, "v1"), ecr.push(repository, "chart", config_type=HELM_CONFIG)
    index, signature = ecr.push_index(repository, "v2", children=[image]), ecr.push_referrer(image)
    images = ecr.registry.images([image, chart, index, signature])
    described = {key: (each.media_type, each.artifact_type, each.subject) for key, each in images.items()}
    assert described == {
        image: (OCI_IMAGE, OCI_CONFIG, None),
        chart: (OCI_IMAGE, HELM_CONFIG, None),
        index: (OCI_INDEX, None, None),
        signature: (OCI_IMAGE, SIGNATURE, image.digest),
    }


def test_finds_each_image_once_by_whatever_means_it(ecr: Pushed) -> None:
    repository, other = ecr.repository(), ecr.repository("other/app")
    one, two = ecr.push(repository, "v1", "stable"), ecr.push(other, "v1")
    references = [
        ImageReference(repository, "v1", None),
        ImageReference(repository, "stable", None),
        ImageReference(repository, None, one.digest),
        ImageReference(repository, "moved-or-never-there", one.digest),
        ImageReference(other, "v1", None),
        ImageReference(repository, "missing", None),
    ]
    found = ecr.registry.find(references)
    assert sorted(image.id for image in found) == sorted([one, two])
    assert ecr.registry.find([]) == []


# Listings


def test_lists_every_page_of_a_repository_and_nothing_else(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr_module, "_IMAGES_PER_PAGE", 2)
    repository = ecr.repository()
    ids = {ecr.push(repository, content=str(n)) for n in range(5)}
    ecr.push(ecr.repository("other/app"), "v1", content="other")
    calls = Calls(ecr)
    listing = ecr.registry.listing(repository)
    assert len(listing) == 5
    assert {image.id for image in listing} == ids
    assert len(calls.of("DescribeImages")) == 3


def test_asks_for_as_large_pages_as_there_are(ecr: Pushed) -> None:
    calls = Calls(ecr)
    assert ecr.registry.listing(ecr.repository()) == []
    assert [call["maxResults"] for call in calls.of("DescribeImages")] == [1000]


def test_a_listing_has_archived_images_too_and_says_that_they_are(ecr: Pushed) -> None:
    repository = ecr.repository()
    archived, active = ecr.push(repository, "v1"), ecr.push(repository, "v2", content="two")
    ecr.registry.archive(archived)
    found = {image.id: image.status for image in ecr.registry.listing(repository)}
    assert found == {archived: ImageStatus.ARCHIVED, active: ImageStatus.ACTIVE}


def test_a_repository_that_is_gone_has_no_images(ecr: Pushed) -> None:
    assert ecr.registry.listing(NOWHERE) == []


# Tags that move


@pytest.mark.parametrize("mutability", ["MUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"])
def test_tags_can_move_unless_every_one_is_immutable(ecr: Pushed, mutability: Any) -> None:
    repository = ecr.repository()
    excluded: Any = [{"filterType": "WILDCARD", "filter": "dev*"}] if mutability.endswith("_EXCLUSION") else []
    ecr.client.put_image_tag_mutability(
        repositoryName=repository.name,
        imageTagMutability=mutability,
        **({"imageTagMutabilityExclusionFilters": excluded} if excluded else {}),
    )
    assert ecr.registry.tags_can_move(repository)


def test_immutable_tags_cannot_move(ecr: Pushed) -> None:
    repository = ecr.repository()
    ecr.client.put_image_tag_mutability(repositoryName=repository.name, imageTagMutability="IMMUTABLE")
    assert not ecr.registry.tags_can_move(repository)


def test_of_a_repository_that_is_gone_nobody_says_that_its_tags_do_not_move(ecr: Pushed) -> None:
    assert ecr.registry.tags_can_move(NOWHERE)


# Manifests


def test_reads_what_manifests_say_in_several_repositories(ecr: Pushed) -> None:
    repository, other = ecr.repository(), ecr.repository("other/app")
    one, two = ecr.push_image(repository), ecr.push_image(repository, content="two")
    index = ecr.push_index(repository, "v1", children=[one, two])
    signature = ecr.push_referrer(index)
    chart = ecr.push(other, "v1", config_type=HELM_CONFIG)
    assert ecr.registry.manifests([one, index, signature, chart]) == {
        one: Manifest(ManifestKind.IMAGE),
        index: Manifest(ManifestKind.INDEX, (one.digest, two.digest)),
        signature: Manifest(ManifestKind.ARTIFACT, (), index.digest, SIGNATURE),
        chart: Manifest(ManifestKind.ARTIFACT, artifact_type=HELM_CONFIG),
    }


def test_leaves_out_the_manifests_of_what_is_gone_or_archived(ecr: Pushed) -> None:
    repository = ecr.repository()
    archived, active = ecr.push_image(repository), ecr.push_image(repository, content="two")
    ecr.registry.archive(archived)
    ids = [archived, active, *missing_ids(repository, 3), ImageId(NOWHERE, MISSING)]
    assert set(ecr.registry.manifests(ids)) == {active}


def test_reads_a_hundred_manifests_a_call(ecr: Pushed) -> None:
    repository = ecr.repository()
    there = ecr.push_image(repository)
    calls = Calls(ecr)
    assert set(ecr.registry.manifests([*missing_ids(repository, 249), there, there])) == {there}
    assert [len(call["imageIds"]) for call in calls.of("BatchGetImage")] == [100, 100, 50]


def test_a_manifest_that_nobody_understands_is_an_error_that_names_the_image(
    ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = ImageId(ecr.repository(), MISSING)
    for image in ({"imageManifest": "{}", "imageManifestMediaType": OCI_IMAGE}, {"imageManifest": "{}"}):
        answer = {"images": [{"imageId": {"imageDigest": MISSING}, **image}], "failures": []}
        monkeypatch.setattr(ecr.client, "batch_get_image", lambda answer=answer, **_: answer)
        with pytest.raises(ManifestError, match=f"team/app@{MISSING}"):
            ecr.registry.manifests([image_id])


@pytest.mark.parametrize("code", ["KmsError", "UpstreamUnavailable", "InvalidImageDigest"])
def test_other_failures_to_read_a_manifest_are_not_taken_for_absence(
    ecr: Pushed, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    failure = {"imageId": {"imageDigest": MISSING}, "failureCode": code, "failureReason": "because"}
    monkeypatch.setattr(ecr.client, "batch_get_image", lambda **_: {"images": [], "failures": [failure]})
    with pytest.raises(ManifestError, match=code):
        ecr.registry.manifests([ImageId(ecr.repository(), MISSING)])


def test_what_an_answer_does_not_speak_of_is_not_taken_for_absent(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr.client, "batch_get_image", lambda **_: {"images": []})
    with pytest.raises(ManifestError, match=MISSING):
        ecr.registry.manifests([ImageId(ecr.repository(), MISSING)])


# Referrers


def test_finds_every_page_of_referrers_whatever_their_status(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr_module, "_REFERRERS_PER_PAGE", 2)
    repository = ecr.repository()
    image, other = ecr.push_image(repository, "v1"), ecr.push_image(repository, "v2", content="two")
    referrers = {ecr.push_referrer(image, content=str(n)) for n in range(5)}
    archived = min(referrers)
    ecr.registry.archive(archived)
    of_a_referrer = ecr.push_referrer(archived, content="of a referrer")
    ecr.push_referrer(other, content="of another")
    calls = Calls(ecr)
    assert ecr.registry.referrers(image) == referrers
    assert len(calls.of("ListImageReferrers")) == 3
    assert ecr.registry.referrers(archived) == {of_a_referrer}


def test_what_is_not_there_has_no_referrers(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = ecr.repository()
    image_id = ImageId(repository, MISSING)
    assert ecr.registry.referrers(image_id) == frozenset()
    assert ecr.registry.referrers(ImageId(NOWHERE, MISSING)) == frozenset()
    answer = ecr.client.exceptions.ImageNotFoundException({"Error": {"Code": "ImageNotFoundException"}}, "x")
    monkeypatch.setattr(ecr.client, "list_image_referrers", raises(answer))
    assert ecr.registry.referrers(image_id) == frozenset()


def test_referrers_that_cannot_be_listed_are_not_taken_for_none(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecr.client, "list_image_referrers", raises(an_error("AccessDeniedException")))
    with pytest.raises(ClientError, match="AccessDenied"):
        ecr.registry.referrers(ImageId(ecr.repository(), MISSING))


# Deleting


def test_deletes_those_images_and_no_others_and_says_what_became_of_each(ecr: Pushed) -> None:
    repository, other = ecr.repository(), ecr.repository("other/app")
    tagged, untagged, kept = (
        ecr.push(repository, "v1", "stable"),
        ecr.push(repository, content="two"),
        ecr.push(repository, "v3", content="three"),
    )
    held = ecr.push(repository, content="held")
    index = ecr.push_index(repository, "v4", children=[held])
    same_elsewhere = ecr.push(other, "v1")
    assert same_elsewhere.digest == tagged.digest
    outcomes = ecr.registry.delete_all(repository, [tagged.digest, untagged.digest, held.digest, MISSING])
    assert outcomes == {
        tagged: Deletion.DELETED,
        untagged: Deletion.DELETED,
        held: Deletion.HELD_BY_AN_INDEX,
        ImageId(repository, MISSING): Deletion.NOT_FOUND,
    }
    assert {image.id for image in ecr.registry.listing(repository)} == {kept, held, index}
    assert ecr.exists(same_elsewhere)


def test_deletes_what_is_archived(ecr: Pushed) -> None:
    archived = ecr.push(ecr.repository(), "v1")
    ecr.registry.archive(archived)
    assert ecr.registry.delete_all(archived.repository, [archived.digest]) == {archived: Deletion.DELETED}
    assert not ecr.exists(archived)


def test_deletes_a_hundred_images_a_call(ecr: Pushed) -> None:
    repository = ecr.repository()
    there = ecr.push(repository, "v1")
    missing = missing_ids(repository, 249)
    calls = Calls(ecr)
    outcomes = ecr.registry.delete_all(repository, [each.digest for each in (*missing, there, there)])
    assert outcomes == dict.fromkeys(missing, Deletion.NOT_FOUND) | {there: Deletion.DELETED}
    assert [len(call["imageIds"]) for call in calls.of("BatchDeleteImage")] == [100, 100, 50]


def test_in_a_repository_that_is_gone_there_is_nothing_to_delete(ecr: Pushed) -> None:
    assert ecr.registry.delete_all(NOWHERE, [MISSING]) == {ImageId(NOWHERE, MISSING): Deletion.NOT_FOUND}
    assert ecr.registry.delete_all(NOWHERE, []) == {}


def test_an_image_of_which_the_answer_does_not_speak_is_not_taken_for_deleted(
    ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ecr.client, "batch_delete_image", lambda **_: {"imageIds": [], "failures": []})
    with pytest.raises(DeletionRefusedError, match=MISSING):
        ecr.registry.delete_all(ecr.repository(), [MISSING])


def test_an_unknown_failure_among_several_deletions_is_an_error(ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    one = "sha256:" + "1" * 64
    failure = {"imageId": {"imageDigest": MISSING}, "failureCode": "KmsError", "failureReason": "because"}
    answer = {"imageIds": [{"imageDigest": one}], "failures": [failure]}
    monkeypatch.setattr(ecr.client, "batch_delete_image", lambda **_: answer)
    with pytest.raises(DeletionRefusedError, match=f"{MISSING}.*KmsError"):
        ecr.registry.delete_all(ecr.repository(), [one, MISSING])


# Archiving


def test_archives_one_image_and_no_other(ecr: Pushed) -> None:
    repository = ecr.repository()
    one, two = ecr.push(repository, "v1"), ecr.push(repository, "v2", content="two")
    ecr.registry.archive(one)
    images = ecr.registry.images([one, two])
    assert images[one].status is ImageStatus.ARCHIVED
    assert images[one].tags == {"v1"}
    assert images[two].status is ImageStatus.ACTIVE


def test_what_is_archived_already_stays_archived(ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    ecr.registry.archive(image_id)
    ecr.registry.archive(image_id)
    assert ecr.registry.images([image_id])[image_id].status is ImageStatus.ARCHIVED


def test_what_is_being_restored_is_not_taken_for_archived(ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    ecr.registry.archive(image_id)
    ecr.client.update_image_storage_class(
        repositoryName=image_id.repository.name,
        imageId={"imageDigest": image_id.digest},
        targetStorageClass="STANDARD",
    )
    with pytest.raises(ClientError, match="ImageStorageClassUpdateNotSupported"):
        ecr.registry.archive(image_id)


def test_what_is_gone_cannot_be_archived(ecr: Pushed) -> None:
    with pytest.raises(ClientError, match="ImageNotFound"):
        ecr.registry.archive(ImageId(ecr.repository(), MISSING))
    with pytest.raises(ClientError, match="RepositoryNotFound"):
        ecr.registry.archive(ImageId(NOWHERE, MISSING))


# Pull times


ROLE = f"arn:aws:iam::{SHARED}:role/ecr-cleanup-run-checks"


def test_excludes_a_role_from_pull_times(ecr: Pushed) -> None:
    with Stubber(ecr.client) as stub:
        stub.add_response("register_pull_time_update_exclusion", {"principalArn": ROLE}, {"principalArn": ROLE})
        stub.add_client_error("register_pull_time_update_exclusion", "ExclusionAlreadyExistsException")
        ecr.registry.exclude_from_pull_times(REGION, ROLE)
        ecr.registry.exclude_from_pull_times(REGION, ROLE)
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["AccessDeniedException", "LimitExceededException"])
def test_a_role_that_cannot_be_excluded_is_an_error(ecr: Pushed, code: str) -> None:
    with Stubber(ecr.client) as stub:
        stub.add_client_error("register_pull_time_update_exclusion", code)
        with pytest.raises(ClientError, match=code):
            ecr.registry.exclude_from_pull_times(REGION, ROLE)


# An old SDK


@pytest.fixture
def old_sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The SDK as it was before it knew archives and referrers: botocore reads its model of ECR from another place."""
    loader = botocore.session.Session().get_component("data_loader")
    model = deepcopy(loader.load_service_model("ecr", "service-2"))
    for operation in ("ListImageReferrers", "UpdateImageStorageClass", "RegisterPullTimeUpdateExclusion"):
        del model["operations"][operation]
    del model["shapes"]["DescribeImagesFilter"]["members"]["imageStatus"]
    for name in ("imageStatus", "subjectManifestDigest"):
        del model["shapes"]["ImageDetail"]["members"][name]
    folder = tmp_path / "ecr" / "2015-09-21"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    ecr_module._known_operations.cache_clear()
    yield
    ecr_module._known_operations.cache_clear()


@pytest.fixture
def old_registry(ecr: Pushed, old_sdk: None) -> Registry:
    client = boto3.Session().client("ecr", region_name=REGION)
    assert "ListImageReferrers" not in client.meta.service_model.operation_names
    return Registry(lambda _: client, "aws")


def test_an_old_sdk_sees_what_can_be_pulled(ecr: Pushed, old_registry: Registry) -> None:
    repository = ecr.repository()
    archived, active = ecr.push(repository, "v1"), ecr.push(repository, "v2", content="two")
    ecr.registry.archive(archived)
    (image,) = old_registry.listing(repository)
    assert (image.id, image.status, image.subject) == (active, ImageStatus.ACTIVE, None)
    assert old_registry.images([archived, active]) == {active: image}
    assert old_registry.find([ImageReference(repository, tag, None) for tag in ("v1", "v2")]) == [image]


def test_an_old_sdk_leaves_pull_times_alone(ecr: Pushed, old_registry: Registry) -> None:
    old_registry.exclude_from_pull_times(REGION, ROLE)


def test_says_which_boto3_an_action_needs(old_sdk: None) -> None:
    assert missing_operations(Action.REPORT) == {}
    assert missing_operations(Action.DELETE) == {"ListImageReferrers": "1.41.0"}
    assert missing_operations(Action.ARCHIVE) == {"ListImageReferrers": "1.41.0", "UpdateImageStorageClass": "1.41.0"}


@pytest.mark.parametrize("action", Action)
def test_the_sdk_that_all_is_tested_with_has_every_operation(action: Action) -> None:
    assert missing_operations(action) == {}
