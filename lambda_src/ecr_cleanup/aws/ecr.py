"""The registry: what images it has, who opted in, and the calls that archive and delete."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

from botocore.session import Session

from ecr_cleanup.chunks import chunks
from ecr_cleanup.errors import DeletionRefusedError, ManifestError, StalePlaceError
from ecr_cleanup.image import Image, ImageId, ImageStatus, Repository
from ecr_cleanup.manifest import MANIFEST_TYPES, Manifest, parse_manifest
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from botocore.model import StructureShape
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import (
        DescribeImagesRequestTypeDef,
        ImageDetailTypeDef,
        ImageIdentifierTypeDef,
        ListImageReferrersRequestTypeDef,
    )

    from ecr_cleanup.image_reference import ImageReference

# So many ids a call, and images and referrers a page: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/,
# API_DescribeImages.html, API_BatchGetImage.html, API_BatchDeleteImage.html, API_ListImageReferrers.html
_IDS_PER_CALL = 100
_IMAGES_PER_PAGE = 1000
_REFERRERS_PER_PAGE = 50

# The operations that the runtime's SDK may be too old for, and the first boto3 that has them. The same version brought
# the status of images and the subject of artifacts (`imageStatus`, `subjectManifestDigest`).
_SINCE = {
    "ListImageReferrers": "1.41.0",
    "UpdateImageStorageClass": "1.41.0",
    "RegisterPullTimeUpdateExclusion": "1.41.0",
}
# Reports read no manifests, as that counts as a pull, and so look for no referrers. Without the exclusion of pull times
# everything works: images that were read are merely kept for longer.
_NEEDED = {
    Action.REPORT: (),
    Action.DELETE: ("ListImageReferrers",),
    Action.ARCHIVE: ("ListImageReferrers", "UpdateImageStorageClass"),
}


class Page(NamedTuple):
    """Some of the images of a repository, whatever their status. The next ones follow after `next_token`, if any do."""

    images: list[Image]
    next_token: str | None


class Deletion(Enum):
    """How the registry answered the wish to delete an image."""

    DELETED = "deleted"
    NOT_FOUND = "not found"
    HELD_BY_AN_INDEX = "held by an index"


_FAILED_DELETIONS = {
    "ImageNotFound": Deletion.NOT_FOUND,
    "ImageReferencedByManifestList": Deletion.HELD_BY_AN_INDEX,
}


def missing_operations(action: Action) -> dict[str, str]:
    """What the action needs and the installed SDK lacks: operations, and the first boto3 version that has each."""
    known = _known_operations()
    return {operation: _SINCE[operation] for operation in _NEEDED[action] if operation not in known}


@cache
def _known_operations() -> frozenset[str]:
    return frozenset(Session().get_service_model("ecr").operation_names)


class Registry:
    """Reads, archives and deletes images of one registry in any of its regions.

    All methods raise botocore's `ClientError` where ECR refuses or fails. With an SDK that does not know the status of
    images, only those that can be pulled are seen.
    """

    def __init__(self, client_for: Callable[[str], ECRClient], partition: str) -> None:
        self._client_for = client_for
        self._partition = partition

    def images(self, image_ids: Iterable[ImageId]) -> dict[ImageId, Image]:
        """Those of the images that exist, whatever their status."""
        return {
            image.id: image
            for repository, digests in _by_repository(image_ids).items()
            for image in self._describe(repository, [{"imageDigest": digest} for digest in digests])
        }

    def find(self, references: Iterable[ImageReference]) -> list[Image]:
        """The images that these references mean now, each once and whatever their status.

        A digest counts before a tag. A reference to what does not exist means none.
        """
        wanted: defaultdict[Repository, set[tuple[str, str]]] = defaultdict(set)
        for reference in references:
            digest_or_tag = ("imageDigest", reference.digest) if reference.digest else ("imageTag", reference.tag or "")
            wanted[reference.repository].add(digest_or_tag)
        found = {
            image.id: image
            for repository, some in wanted.items()
            for image in self._describe(repository, [_identifier(key, value) for key, value in sorted(some)])
        }
        return list(found.values())

    def resolve(self, references: Iterable[ImageReference]) -> frozenset[ImageId]:
        """The names of the images that these references mean now."""
        return frozenset(image.id for image in self.find(references))

    def listing(self, repository: Repository) -> list[Image]:
        """All images of a repository, whatever their status. None if there is no such repository."""
        return [image for page in self.pages(repository) for image in page.images]

    def pages(self, repository: Repository, token: str | None = None) -> Iterator[Page]:
        """The images of a repository page by page, from where `token` says on.

        Raises:
            StalePlaceError: the registry does not know the token any more.
        """
        client = self._client_for(repository.region)
        request = _request(client, repository)
        request["maxResults"] = _IMAGES_PER_PAGE
        first = token
        while True:
            if token:
                request["nextToken"] = token
            try:
                answer = client.describe_images(**request)
            except client.exceptions.RepositoryNotFoundException:
                return
            except client.exceptions.InvalidParameterException as error:
                if token is None or token != first:
                    raise
                raise StalePlaceError(f"the listing of {repository} cannot be gone on with: {error}") from error
            token = answer.get("nextToken")
            yield Page([_image(repository, detail) for detail in answer["imageDetails"]], token)
            if not token:
                return

    def manifests(self, image_ids: Iterable[ImageId]) -> dict[ImageId, Manifest]:
        """What the manifests of the images say, without those that are gone, or archived. Counts as a pull of each.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html

        Raises:
            ManifestError: some manifest cannot be had for another reason, or cannot be understood.
        """
        return {
            image_id: manifest
            for repository, digests in _by_repository(image_ids).items()
            for some in chunks(digests, _IDS_PER_CALL)
            for image_id, manifest in self._manifests(repository, some)
        }

    def referrers(self, image_id: ImageId) -> frozenset[ImageId]:
        """The artifacts that refer to an image, whatever their status. Does not look for those that do so by a tag.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
        """
        repository = image_id.repository
        client = self._client_for(repository.region)
        request: ListImageReferrersRequestTypeDef = {
            "registryId": repository.registry_id,
            "repositoryName": repository.name,
            "subjectId": {"imageDigest": image_id.digest},
            "filter": {"artifactStatus": "ANY"},
            "maxResults": _REFERRERS_PER_PAGE,
        }
        found: set[ImageId] = set()
        while True:
            try:
                answer = client.list_image_referrers(**request)
            except (client.exceptions.RepositoryNotFoundException, client.exceptions.ImageNotFoundException):
                return frozenset(found)
            found.update(ImageId(repository, referrer["digest"]) for referrer in answer["referrers"])
            if not (token := answer.get("nextToken")):
                return frozenset(found)
            request["nextToken"] = token

    def tags_can_move(self, repository: Repository) -> bool:
        """Whether any tag of the repository could be moved to another image. Of one that is gone nobody can say no."""
        client = self._client_for(repository.region)
        try:
            answer = client.describe_repositories(registryId=repository.registry_id, repositoryNames=[repository.name])
        except client.exceptions.RepositoryNotFoundException:
            return True
        # IMMUTABLE_WITH_EXCLUSION lets some tags move.
        return not all(found.get("imageTagMutability") == "IMMUTABLE" for found in answer["repositories"])

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
        codes = {failure.get("failureCode", ""): failure.get("failureReason") for failure in answer.get("failures", ())}
        if not codes:
            return Deletion.DELETED
        for code, deletion in _FAILED_DELETIONS.items():
            if code in codes:
                return deletion
        raise DeletionRefusedError(f"ECR did not delete {image_id}: {codes}")

    def delete_all(self, repository: Repository, digests: Iterable[str]) -> dict[ImageId, Deletion]:
        """Delete images of one repository, with all their tags, by their digests, and say what became of each.

        An index and what it holds must not be in one call: ECR does not say in which order it deletes.
        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html

        Raises:
            DeletionRefusedError: of some image the registry named a reason that is none of the known ones, or said
                nothing. Others may have been deleted.
        """
        outcomes: dict[ImageId, Deletion] = {}
        for some in chunks(sorted(set(digests)), _IDS_PER_CALL):
            outcomes |= self._delete_some(repository, some)
        return outcomes

    def archive(self, image_id: ImageId) -> None:
        """Move an image into ECR's archive, from which nobody can pull it. One that is there already stays there.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UpdateImageStorageClass.html
        """
        client = self._client_for(image_id.repository.region)
        try:
            client.update_image_storage_class(
                registryId=image_id.repository.registry_id,
                repositoryName=image_id.repository.name,
                imageId={"imageDigest": image_id.digest},
                targetStorageClass="ARCHIVE",
            )
        except client.exceptions.ImageStorageClassUpdateNotSupportedException:
            image = self.images([image_id]).get(image_id)
            if image is None or image.status is not ImageStatus.ARCHIVED:
                raise

    def exclude_from_pull_times(self, region: str, role_arn: str) -> None:
        """What a role reads in this region is no pull from now on. Does nothing where the SDK does not know how.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegisterPullTimeUpdateExclusion.html
        """
        client = self._client_for(region)
        if "RegisterPullTimeUpdateExclusion" not in client.meta.service_model.operation_names:
            return
        try:
            client.register_pull_time_update_exclusion(principalArn=role_arn)
        except client.exceptions.ExclusionAlreadyExistsException:
            return

    def _describe(self, repository: Repository, identifiers: list[ImageIdentifierTypeDef]) -> Iterator[Image]:
        for some in chunks(identifiers, _IDS_PER_CALL):
            for detail in self._describe_existing(repository, some):
                yield _image(repository, detail)

    def _describe_existing(
        self, repository: Repository, identifiers: list[ImageIdentifierTypeDef]
    ) -> list[ImageDetailTypeDef]:
        """One missing image fails the whole call, so what fails is asked for again in halves."""
        client = self._client_for(repository.region)
        request = _request(client, repository)
        request["imageIds"] = identifiers
        try:
            return client.describe_images(**request)["imageDetails"]
        except client.exceptions.RepositoryNotFoundException:
            return []
        except client.exceptions.ImageNotFoundException:
            if len(identifiers) == 1:
                return []
            middle = len(identifiers) // 2
            return self._describe_existing(repository, identifiers[:middle]) + self._describe_existing(
                repository, identifiers[middle:]
            )

    def _manifests(self, repository: Repository, digests: list[str]) -> Iterator[tuple[ImageId, Manifest]]:
        client = self._client_for(repository.region)
        try:
            answer = client.batch_get_image(
                registryId=repository.registry_id,
                repositoryName=repository.name,
                imageIds=[{"imageDigest": digest} for digest in digests],
                # ECR may leave out, or convert, what nobody said to accept.
                acceptedMediaTypes=MANIFEST_TYPES,
            )
        except client.exceptions.RepositoryNotFoundException:
            return
        missing = set(digests)
        for failure in answer.get("failures", ()):
            if failure.get("failureCode") not in ("ImageNotFound", "ImageInaccessible"):
                raise ManifestError(f"ECR did not give the manifest of an image of {repository}: {failure}")
            missing.discard(failure.get("imageId", {}).get("imageDigest", ""))
        for image in answer["images"]:
            image_id = ImageId(repository, image["imageId"]["imageDigest"])
            try:
                manifest = parse_manifest(image["imageManifest"], image.get("imageManifestMediaType", ""))
            except ManifestError as error:
                raise ManifestError(f"the manifest of {image_id} cannot be understood: {error}") from error
            missing.discard(image_id.digest)
            yield image_id, manifest
        if missing:
            raise ManifestError(f"ECR said nothing of images of {repository}: {sorted(missing)}")

    def _delete_some(self, repository: Repository, digests: list[str]) -> dict[ImageId, Deletion]:
        client = self._client_for(repository.region)
        try:
            answer = client.batch_delete_image(
                registryId=repository.registry_id,
                repositoryName=repository.name,
                imageIds=[{"imageDigest": digest} for digest in digests],
            )
        except client.exceptions.RepositoryNotFoundException:
            return {ImageId(repository, digest): Deletion.NOT_FOUND for digest in digests}
        outcomes = {each.get("imageDigest"): Deletion.DELETED for each in answer.get("imageIds", ())}
        for failure in answer.get("failures", ()):
            code, digest = failure.get("failureCode", ""), failure.get("imageId", {}).get("imageDigest")
            if code not in _FAILED_DELETIONS:
                raise DeletionRefusedError(f"ECR did not delete {repository}@{digest}: {failure}")
            outcomes[digest] = _FAILED_DELETIONS[code]
        silent = set(digests) - outcomes.keys()
        if silent:
            raise DeletionRefusedError(f"ECR did not say whether it deleted images of {repository}: {sorted(silent)}")
        return {ImageId(repository, digest): outcomes[digest] for digest in digests}


def _by_repository(image_ids: Iterable[ImageId]) -> dict[Repository, list[str]]:
    digests: defaultdict[Repository, set[str]] = defaultdict(set)
    for image_id in image_ids:
        digests[image_id.repository].add(image_id.digest)
    return {repository: sorted(some) for repository, some in digests.items()}


def _request(client: ECRClient, repository: Repository) -> DescribeImagesRequestTypeDef:
    """What all requests for images have in common. An SDK that does not know the filter would refuse it."""
    request: DescribeImagesRequestTypeDef = {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
    }
    known_filters = cast("StructureShape", client.meta.service_model.shape_for("DescribeImagesFilter")).members
    if "imageStatus" in known_filters:
        request["filter"] = {"imageStatus": "ANY"}
    return request


def _identifier(key: str, value: str) -> ImageIdentifierTypeDef:
    return {"imageDigest": value} if key == "imageDigest" else {"imageTag": value}


def _image(repository: Repository, detail: ImageDetailTypeDef) -> Image:
    pulled_at = detail.get("lastRecordedPullTime")
    return Image(
        id=ImageId(repository, detail["imageDigest"]),
        tags=frozenset(detail.get("imageTags", ())),
        size_bytes=detail.get("imageSizeInBytes", 0),
        pushed_at=detail["imagePushedAt"].astimezone(UTC),
        last_pulled_at=pulled_at.astimezone(UTC) if pulled_at else None,
        media_type=detail.get("imageManifestMediaType"),
        artifact_type=detail.get("artifactMediaType"),
        subject=detail.get("subjectManifestDigest"),
        status=_status(detail.get("imageStatus", "ACTIVE")),
    )


def _status(name: str) -> ImageStatus:
    try:
        return ImageStatus(name)
    except ValueError:
        # A status of later days: neither can it be relied upon that the image can be pulled, nor that it cannot.
        return ImageStatus.ACTIVATING
