from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.aws.ecr import Deletion
from ecr_cleanup.errors import DeletionRefusedError
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.image_reference import ImageReference
from fakes import HOST, Pushed

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING = "sha256:" + "f" * 64


def test_finds_the_images_that_exist_among_those_that_do_not(ecr: Pushed) -> None:
    repository, other = ecr.repository(), ecr.repository("other/app")
    ids = [ecr.push(repository, f"v{n}", content=str(n)) for n in range(3)]
    there = ecr.push(other, "v1")
    missing = [ImageId(repository, f"sha256:{n:064x}") for n in range(120)]
    gone = ImageId(Repository("111111111111", "eu-central-1", "no/such"), MISSING)
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
            ImageReference(Repository("111111111111", "eu-central-1", "no/such"), "v1", None),
        ]
    )
    assert resolved == {one, two}


def test_reads_the_tags_of_a_repository(ecr: Pushed) -> None:
    repository = ecr.repository(ecr_cleanup="enabled", team="platform")
    assert ecr.registry.repository_tags(repository) == {"ecr-cleanup": "enabled", "team": "platform"}
    assert ecr.registry.repository_tags(Repository("111111111111", "eu-central-1", "no/such")) is None


def test_deletes_one_image_with_all_its_tags_and_no_other(ecr: Pushed) -> None:
    repository = ecr.repository()
    one, two = ecr.push(repository, "v1", "stable", content="one"), ecr.push(repository, "v2", content="two")
    assert ecr.registry.delete(one) is Deletion.DELETED
    assert not ecr.exists(one)
    assert ecr.exists(two)
    assert ecr.registry.delete(one) is Deletion.NOT_FOUND
    assert ecr.registry.delete(ImageId(Repository("111111111111", "eu-central-1", "no/such"), MISSING)) is (
        Deletion.NOT_FOUND
    )


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
