"""The registry: what images it has, who opted in, and the one call that deletes."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING

from ecr_cleanup.chunks import chunks
from ecr_cleanup.errors import DeletionRefusedError
from ecr_cleanup.image import Image, ImageId, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageIdentifierTypeDef

    from ecr_cleanup.image_reference import ImageReference

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
_DESCRIBE_LIMIT = 100


class Deletion(Enum):
    """How the registry answered the wish to delete an image."""

    DELETED = "deleted"
    NOT_FOUND = "not found"
    HELD_BY_AN_INDEX = "held by an index"


class Registry:
    """Reads and deletes images of one registry in any of its regions.

    All methods raise botocore's `ClientError` where ECR refuses or fails.
    """

    def __init__(self, client_for: Callable[[str], ECRClient], partition: str) -> None:
        self._client_for = client_for
        self._partition = partition

    def images(self, image_ids: Iterable[ImageId]) -> dict[ImageId, Image]:
        """Those of the images that exist."""
        digests: defaultdict[Repository, set[str]] = defaultdict(set)
        for image_id in image_ids:
            digests[image_id.repository].add(image_id.digest)
        found: dict[ImageId, Image] = {}
        for repository, some in digests.items():
            for detail in self._describe(repository, [{"imageDigest": digest} for digest in sorted(some)]):
                image = _image(repository, detail)
                found[image.id] = image
        return found

    def resolve(self, references: Iterable[ImageReference]) -> frozenset[ImageId]:
        """The images that these references mean now. A reference to what does not exist means none."""
        wanted: defaultdict[Repository, set[tuple[str, str]]] = defaultdict(set)
        for reference in references:
            digest_or_tag = ("imageDigest", reference.digest) if reference.digest else ("imageTag", reference.tag or "")
            wanted[reference.repository].add(digest_or_tag)
        return frozenset(
            ImageId(repository, detail["imageDigest"])
            for repository, some in wanted.items()
            for detail in self._describe(repository, [_identifier(key, value) for key, value in sorted(some)])
        )

    def repository_tags(self, repository: Repository) -> Mapping[str, str] | None:
        """The resource tags of a repository, or None if there is no such repository."""
        client = self._client_for(repository.region)
        arn = f"arn:{self._partition}:ecr:{repository.region}:{repository.registry_id}:repository/{repository.name}"
        try:
            answer = client.list_tags_for_resource(resourceArn=arn)
        except client.exceptions.RepositoryNotFoundException:
            return None
        return {tag["Key"]: tag["Value"] for tag in answer.get("tags", ())}

    def delete(self, image_id: ImageId) -> Deletion:
        """Delete an image, with all its tags, by its digest.

        Raises:
            DeletionRefusedError: the registry named a reason that is none of the known ones.
        """
        client = self._client_for(image_id.repository.region)
        try:
            answer = client.batch_delete_image(
                registryId=image_id.repository.registry_id,
                repositoryName=image_id.repository.name,
                imageIds=[{"imageDigest": image_id.digest}],
            )
        except client.exceptions.RepositoryNotFoundException:
            return Deletion.NOT_FOUND
        # The call succeeds even where it deleted nothing.
        codes = {failure.get("failureCode"): failure.get("failureReason") for failure in answer.get("failures", ())}
        if not codes:
            return Deletion.DELETED
        if "ImageNotFound" in codes:
            return Deletion.NOT_FOUND
        if "ImageReferencedByManifestList" in codes:
            return Deletion.HELD_BY_AN_INDEX
        raise DeletionRefusedError(f"ECR did not delete {image_id}: {codes}")

    def _describe(self, repository: Repository, identifiers: list[ImageIdentifierTypeDef]) -> list[ImageDetailTypeDef]:
        return [
            detail
            for some in chunks(identifiers, _DESCRIBE_LIMIT)
            for detail in self._describe_existing(repository, some)
        ]

    def _describe_existing(
        self, repository: Repository, identifiers: list[ImageIdentifierTypeDef]
    ) -> list[ImageDetailTypeDef]:
        """One missing image fails the whole call, so what fails is asked for again in halves."""
        client = self._client_for(repository.region)
        try:
            return client.describe_images(
                registryId=repository.registry_id, repositoryName=repository.name, imageIds=identifiers
            )["imageDetails"]
        except client.exceptions.RepositoryNotFoundException:
            return []
        except client.exceptions.ImageNotFoundException:
            if len(identifiers) == 1:
                return []
            middle = len(identifiers) // 2
            return self._describe_existing(repository, identifiers[:middle]) + self._describe_existing(
                repository, identifiers[middle:]
            )


def _identifier(key: str, value: str) -> ImageIdentifierTypeDef:
    return {"imageDigest": value} if key == "imageDigest" else {"imageTag": value}


def _image(repository: Repository, detail: ImageDetailTypeDef) -> Image:
    return Image(
        id=ImageId(repository, detail["imageDigest"]),
        tags=frozenset(detail.get("imageTags", ())),
        size_bytes=detail.get("imageSizeInBytes", 0),
        pushed_at=detail["imagePushedAt"],
        last_pulled_at=detail.get("lastRecordedPullTime"),
    )
