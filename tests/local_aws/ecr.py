"""Amazon ECR as strict as AWS: what moto's ECR lacks or takes too easily.

Pages, filters and the limits of one call; digests that are the hash of the manifest; tags that move and leave their
old image untagged; indexes that hold on to their children; pull times, referrers and storage classes; the events that
ECR itself puts on the default bus. Layers are not looked at: a manifest can be put without having uploaded them. A
repository of another region does not exist.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Any, TypeVar, cast

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.exceptions import ImageAlreadyExistsException, ImageNotFoundException, InvalidParameterException
from moto.ecr.models import Image, Repository, ecr_backends
from moto.ecr.responses import ECRResponse

from local_aws.behaviour import Behaviour

T = TypeVar("T")
ImageId = Mapping[str, str]
# What a request is answered with: for moto to serialize, or as the JSON itself.
Answer = ActionResult | str
Handler = Callable[[ECRResponse], Answer]
# Takes account, region and detail of an event of ECR's.
Emit = Callable[[str, str, dict[str, Any]], None]
# Gives the ARN of the role or user to whom an access key belongs.
PrincipalOf = Callable[[str], str | None]

_MAX_IDS = 100
_DEFAULT_PAGE = 100
_MAX_PAGE = 1000
_MAX_REFERRERS = 50
_DEFAULT_REFERRERS = 20
_MAX_EXCLUSIONS = 100
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive_restore_image.html
_RESTORE_TIME = timedelta(minutes=20)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST_OF = attrgetter("digest")
_PRINCIPAL = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*")
_MAX_PRINCIPAL = 200
_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# Requests come in on several threads, and moto's lists of images are not made for that.
_LOCK = threading.RLock()


class EcrError(ServiceException):
    """An error that moto has no class for, by code and message; its own base class cannot be raised from here."""


class StoredImage(Image):
    """An image of moto's with what ECR derives from its manifest and remembers of its life.

    `children` are the digests that an index lists; `subject` is the digest of the image that this artifact refers to;
    `artifact_type` is named by the manifest, or by the type of its configuration.
    """

    def __init__(self, repository: Repository, manifest: str, media_type: str) -> None:
        digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        super().__init__(
            repository.account_id,
            cast("str", None),  # moto's way of an untagged image
            manifest,
            repository.name,
            media_type,
            digest,
            repository.registry_id,
        )
        self.digest = digest
        self.pushed_at = datetime.now(UTC)
        self.pulled_at: datetime | None = None
        self.archived_at: datetime | None = None
        self.active_from: datetime | None = None
        # What is asked again and again. The whole manifest would be ten times the memory, and 100,000 of them are work
        # for the garbage collector.
        document = self.document
        config = document.get("config") or {}
        is_index = media_type in _INDEX_TYPES
        self.children: tuple[str, ...] = (
            tuple(child["digest"] for child in document.get("manifests", ())) if is_index else ()
        )
        self.subject: str | None = (document.get("subject") or {}).get("digest")
        self.artifact_type: str | None = document.get("artifactType") or config.get("mediaType")
        self._own_size: int = sum(part.get("size", 0) for part in (config, *document.get("layers", ())))

    @property
    def document(self) -> dict[str, Any]:
        """The manifest."""
        return cast("dict[str, Any]", json.loads(self.image_manifest))

    @property
    def status(self) -> str:
        """ACTIVE, ARCHIVED, or ACTIVATING while it is being restored."""
        if self.archived_at is None:
            return "ACTIVE"
        if self.active_from is None:
            return "ARCHIVED"
        return "ACTIVE" if datetime.now(UTC) >= self.active_from else "ACTIVATING"

    def size(self, siblings: Mapping[str, StoredImage]) -> int:
        """Bytes of configuration and layers; of an index, those of its largest child that is there."""
        if self.children:
            return max((siblings[child].size(siblings) for child in self.children if child in siblings), default=0)
        return self._own_size

    def detail(self, siblings: Mapping[str, StoredImage]) -> dict[str, Any]:
        """The image as DescribeImages shows it."""
        shown = {
            "registryId": self.registry_id,
            "repositoryName": self.repository_name,
            "imageDigest": self.digest,
            "imageTags": list(self.image_tags) or None,
            "imageSizeInBytes": self.size(siblings),
            "imagePushedAt": self.pushed_at,
            "imageManifestMediaType": self.image_manifest_media_type,
            "artifactMediaType": self.artifact_type,
            "lastRecordedPullTime": self.pulled_at,
            "subjectManifestDigest": self.subject,
            "imageStatus": self.status,
            "lastArchivedAt": self.archived_at,
            "lastActivatedAt": self.active_from if self.status == "ACTIVE" else None,
        }
        return {name: value for name, value in shown.items() if value is not None}


class Shelf(dict[str, StoredImage]):
    """The images of a repository by digest, which takes the place of moto's list.

    100,000 are too many for each call to look at all of them, so it is known which indexes hold an image (`parents`)
    and what refers to it (`referrers`), both by the digest of that image, in the order of their coming.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parents: defaultdict[str, list[str]] = defaultdict(list)
        self.referrers: defaultdict[str, list[StoredImage]] = defaultdict(list)

    def put(self, image: StoredImage) -> None:
        """Take an image in that is not there yet."""
        self[image.digest] = image
        for child in image.children:
            self.parents[child].append(image.digest)
        if image.subject:
            self.referrers[image.subject].append(image)

    def take(self, digest: str) -> None:
        """Take an image out."""
        image = self.pop(digest)
        for child in image.children:
            self.parents[child].remove(digest)
        if image.subject:
            self.referrers[image.subject].remove(image)


def patches(
    behaviour: Behaviour | None = None,
    emit: Emit = lambda _account, _region, _detail: None,
    principal_of: PrincipalOf = lambda _: None,
) -> list[tuple[type, str, Any]]:
    """What to replace on moto's classes: class, attribute (some are new), replacement.

    `emit` takes ECR's own events, `principal_of` tells who calls.
    """
    behaviour = behaviour or Behaviour()
    handlers: dict[str, Handler] = {
        "describe_repositories": _describe_repositories,
        "describe_images": _describe_images,
        "list_images": _list_images,
        "put_image": _put_image(behaviour, emit),
        "batch_get_image": _batch_get_image(behaviour, principal_of),
        "batch_delete_image": _batch_delete_image(emit),
        "list_image_referrers": _list_image_referrers,
        "update_image_storage_class": _update_image_storage_class,
        "register_pull_time_update_exclusion": _if_available(behaviour, _register_exclusion),
        "deregister_pull_time_update_exclusion": _if_available(behaviour, _deregister_exclusion),
        "list_pull_time_update_exclusions": _if_available(behaviour, _list_exclusions),
        "describe_pull_through_cache_rules": _describe_pull_through_cache_rules,
    }
    for name in ("list_tags_for_resource", "tag_resource", "untag_resource"):
        handlers[name] = _in_its_own_region(getattr(ECRResponse, name))
    return [(ECRResponse, name, _one_at_a_time(handler)) for name, handler in handlers.items()]


def drop_image(account: str, region: str, repository: str, digest: str) -> None:
    """Take an image out of its repository although an index holds it, which no call of ECR's does.

    So an index comes to list what is not there, as one does that was copied or replicated in part.
    """
    with _LOCK:
        _shelf(ecr_backends[account][region].repositories[repository]).take(digest)


def stored_images(account: str, region: str, repository: str) -> Mapping[str, StoredImage]:
    """The images of a repository by digest, whoever may see them."""
    return _shelf(ecr_backends[account][region].repositories[repository])


def store_images(
    account: str, region: str, repository: str, media_type: str, manifests: Iterable[str]
) -> list[StoredImage]:
    """Put images into a repository as if they had always been there: no event tells of it, and nothing is checked."""
    shelf = _shelf(found := ecr_backends[account][region].repositories[repository])
    images = [StoredImage(found, manifest, media_type) for manifest in manifests]
    with _LOCK:
        for image in images:
            shelf.put(image)
    return images


@dataclass(frozen=True)
class PulledImage:
    """What a pull got: the digest of what was asked for, and that of the image that runs (a child of an index)."""

    digest: str
    platform_digest: str


class CannotPullError(Exception):
    """An image that cannot be pulled; the text is the reason."""


def pull_image(
    account: str,
    region: str,
    repository: str,
    image: str,
    *,
    architecture: str = "amd64",
    record_interval: timedelta | None = None,
) -> PulledImage:
    """Pull an image by tag or digest as a container runtime does; raises CannotPullError.

    The pull is recorded as one where `record_interval` is given, see `Behaviour.pull_record_interval`. Who may pull is
    not judged.
    """
    with _LOCK:
        try:
            images = _shelf(ecr_backends[account][region].repositories[repository])
        except KeyError as error:
            raise CannotPullError(f"repository {repository} of {account} does not exist in {region}") from error
        found = _find(images, {"imageDigest": image} if ":" in image else {"imageTag": image})
        if found is None:
            raise CannotPullError(f"{repository}:{image}: not found")
        pulled = [found]
        if found.image_manifest_media_type in _INDEX_TYPES:
            wanted = {"os": "linux", "architecture": architecture}
            listed = [child["digest"] for child in found.document["manifests"] if child.get("platform") == wanted]
            if not listed:
                raise CannotPullError(f"no matching manifest for linux/{architecture} in {found.digest}")
            if listed[0] not in images:
                raise CannotPullError(f"{repository}@{listed[0]}: not found")
            pulled.append(images[listed[0]])
        for each in pulled:
            if each.status != "ACTIVE":
                raise CannotPullError(f"{repository}@{each.digest} is {each.status}")
        if record_interval is not None:
            for each in pulled:
                _record_pull(each, record_interval)
        return PulledImage(found.digest, pulled[-1].digest)


def _one_at_a_time(handler: Handler) -> Handler:
    def locked(response: ECRResponse) -> Answer:
        with _LOCK:
            return handler(response)

    return locked


# What requests have in common


def _repository(request: ECRResponse) -> Repository:
    name = request._get_param("repositoryName")
    return request.ecr_backend._get_repository(name, request._get_param("registryId"))


def _shelf(repository: Repository) -> Shelf:
    images: object = repository.images
    if not isinstance(images, Shelf):
        # Before there is anything in moto's list. Of moto's own calls, those of scans look into it, which fail loudly.
        images = Shelf()
        repository.images = cast("list[Image]", images)
    return images


def _filtered(request: ECRResponse, images: Iterable[StoredImage]) -> list[StoredImage]:
    """The images that the request's filter lets through: without one, those that are ACTIVE."""
    wanted = request._get_param("filter") or {}
    tagged = {"TAGGED": True, "UNTAGGED": False}.get(wanted.get("tagStatus", "ANY"))
    status = wanted.get("imageStatus", "ACTIVE")
    found = list(images) if tagged is None else [image for image in images if bool(image.image_tags) == tagged]
    if status == "ANY":
        return found
    # Most never were in the archive, and then there is nothing to work out.
    return [image for image in found if (image.status if image.archived_at else "ACTIVE") == status]


def _image_ids(request: ECRResponse) -> list[ImageId]:
    ids = request._get_param("imageIds") or []
    if not 1 <= len(ids) <= _MAX_IDS:
        raise _invalid("imageIds", f"Member must have length between 1 and {_MAX_IDS}")
    return cast("list[ImageId]", ids)


def _find(images: Mapping[str, StoredImage], image_id: ImageId) -> StoredImage | None:
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if digest is None:
        return None if tag is None else next((image for image in images.values() if tag in image.image_tags), None)
    image = images.get(digest)
    return image if image is not None and (tag is None or tag in image.image_tags) else None


def _invalid(parameter: str, constraint: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")


def _page(
    request: ECRResponse,
    entries: Iterable[T],
    key: Callable[[T], str],
    *,
    default: int = _DEFAULT_PAGE,
    maximum: int = _MAX_PAGE,
) -> tuple[list[T], str | None]:
    """One page of the entries in the order of their keys, and the token for the next one.

    A token names the last entry given, so that what is deleted between two pages moves nothing.
    """
    size = request._get_param("maxResults")
    if size is not None and not 1 <= int(size) <= maximum:
        raise _invalid("maxResults", f"Member must have value between 1 and {maximum}")
    scope = request._get_param("repositoryName") or ""
    token = request._get_param("nextToken")
    last = _last_key(token, scope) if token else ""
    rest = [entry for entry in entries if key(entry) > last]
    # A repository can have 100,000 images: they are neither all sorted for each page, nor packed up with their keys.
    page = heapq.nsmallest(int(size or default), rest, key=key)
    if len(page) == len(rest):
        return page, None
    text = json.dumps([scope, key(page[-1])])
    return page, base64.b64encode(text.encode()).decode()


def _last_key(token: str, scope: str) -> str:
    try:
        given_scope, key = json.loads(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise _invalid("nextToken", "Invalid token") from error
    if given_scope != scope:
        raise _invalid("nextToken", "Token of another request")
    return str(key)


def _answer(**members: object) -> ActionResult:
    return ActionResult({name: value for name, value in members.items() if value is not None})


# Reading


def _describe_repositories(request: ECRResponse) -> ActionResult:
    names = request._get_param("repositoryNames")
    found = request.ecr_backend.describe_repositories(
        repository_names=names, registry_id=request._get_param("registryId")
    )
    if names:
        _refuse_paging(request, "repositoryNames")
        return _answer(repositories=found)
    page, token = _page(request, found, attrgetter("name"))
    return _answer(repositories=page, nextToken=token)


def _refuse_paging(request: ECRResponse, names: str) -> None:
    for parameter in ("maxResults", "nextToken"):
        if request._get_param(parameter):
            raise _invalid(parameter, f"Must not be given together with {names}")


def _describe_images(request: ECRResponse) -> str:
    repository = _repository(request)
    siblings = _shelf(repository)
    if request._get_param("imageIds") is None:
        images = _filtered(request, siblings.values())
        page, token = _page(request, images, _DIGEST_OF)
        return _details(page, siblings, token)

    _refuse_paging(request, "imageIds")
    found: dict[str, StoredImage] = {}
    for image_id in _image_ids(request):
        image = _find(siblings, image_id)
        if image is None or not _filtered(request, [image]):
            digest, tag = image_id.get("imageDigest", "null"), image_id.get("imageTag", "null")
            raise ImageNotFoundException(
                image_id=f"{{imageDigest:'{digest}', imageTag:'{tag}'}}",
                repository_name=repository.name,
                registry_id=repository.registry_id,
            )
        found[image.digest] = image
    return _details(found.values(), siblings)


def _details(images: Iterable[StoredImage], siblings: Mapping[str, StoredImage], token: str | None = None) -> str:
    """moto would take a tenth of a second and more to serialize a page of 1000 images."""
    answer = {"imageDetails": [image.detail(siblings) for image in images]} | ({"nextToken": token} if token else {})
    return json.dumps(answer, default=_seconds)


def _seconds(moment: datetime) -> float:
    """A time as JSON, which has milliseconds."""
    return int(moment.timestamp() * 1000) / 1000


def _list_images(request: ECRResponse) -> ActionResult:
    images = _filtered(request, _shelf(_repository(request)).values())
    entries = [(image.digest, tag) for image in images for tag in image.image_tags or [""]]
    page, token = _page(request, entries, " ".join)
    return _answer(imageIds=[_image_id(digest, tag) for digest, tag in page], nextToken=token)


def _image_id(digest: str, tag: str | None) -> dict[str, str]:
    return {"imageDigest": digest, "imageTag": tag} if tag else {"imageDigest": digest}


def _batch_get_image(behaviour: Behaviour, principal_of: PrincipalOf) -> Handler:
    def handler(request: ECRResponse) -> ActionResult:
        images = _shelf(_repository(request))
        accepted = request._get_param("acceptedMediaTypes")
        is_recorded = principal_of(request.get_access_key()) not in _exclusions(request)
        found = []
        failures = []
        for image_id in _image_ids(request):
            image = _find(images, image_id)
            if image is None or (accepted and image.image_manifest_media_type not in accepted):
                failures.append(_missing(image_id, images))
            elif image.status != "ACTIVE":
                failures.append(_failure(image_id, "ImageInaccessible", "The image is not active"))
            else:
                if is_recorded:
                    _record_pull(image, behaviour.pull_record_interval)
                found.append(_manifest(image, image_id.get("imageTag")))
        return _answer(images=found, failures=failures)

    return handler


def _record_pull(image: StoredImage, interval: timedelta) -> None:
    """AWS promises no more than that the record is at most 24 hours old.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """
    now = datetime.now(UTC)
    if image.pulled_at is None or now - image.pulled_at >= interval:
        image.pulled_at = now


def _manifest(image: StoredImage, tag: str | None) -> dict[str, Any]:
    return {
        "registryId": image.registry_id,
        "repositoryName": image.repository_name,
        "imageId": _image_id(image.digest, tag),
        "imageManifest": image.image_manifest,
        "imageManifestMediaType": image.image_manifest_media_type,
    }


def _missing(image_id: ImageId, images: Mapping[str, StoredImage]) -> dict[str, Any]:
    """Why an image id stands for no image."""
    digest = image_id.get("imageDigest")
    if digest is None and "imageTag" not in image_id:
        reason = "Invalid request parameters: both tag and digest cannot be null"
        return _failure(image_id, "MissingDigestAndTag", reason)
    if digest is not None and not _DIGEST.fullmatch(digest):
        return _failure(image_id, "InvalidImageDigest", "Invalid request parameters: image digest")
    if digest in images and "imageTag" in image_id:
        reason = "The given tag does not belong to the given digest"
        return _failure(image_id, "ImageTagDoesNotMatchDigest", reason)
    return _failure(image_id, "ImageNotFound", "Requested image not found")


def _failure(image_id: ImageId, code: str, reason: str) -> dict[str, Any]:
    return {"imageId": dict(image_id), "failureCode": code, "failureReason": reason}


def _describe_pull_through_cache_rules(_: ECRResponse) -> ActionResult:
    """There are none, as nobody can make any here."""
    return _answer(pullThroughCacheRules=[])


def _list_image_referrers(request: ECRResponse) -> ActionResult:
    wanted = request._get_param("filter") or {}
    types = wanted.get("artifactTypes")
    status = wanted.get("artifactStatus", "ACTIVE")
    subject = request._get_param("subjectId")["imageDigest"]
    referrers = [
        image
        for image in _shelf(_repository(request)).referrers.get(subject, ())
        if status in ("ANY", image.status) and (not types or image.artifact_type in types)
    ]
    page, token = _page(request, referrers, _DIGEST_OF, default=_DEFAULT_REFERRERS, maximum=_MAX_REFERRERS)
    return _answer(referrers=[_referrer(image) for image in page], nextToken=token)


def _referrer(image: StoredImage) -> dict[str, Any]:
    shown = {
        "digest": image.digest,
        "mediaType": image.image_manifest_media_type,
        "artifactType": image.artifact_type,
        "size": len(image.image_manifest.encode()),
        "annotations": image.document.get("annotations"),
        "artifactStatus": image.status,
    }
    return {name: value for name, value in shown.items() if value is not None}


# Writing


def _put_image(behaviour: Behaviour, emit: Emit) -> Handler:
    def handler(request: ECRResponse) -> ActionResult:
        repository = _repository(request)
        tag = request._get_param("imageTag")
        image, is_new = _stored(request, repository, tag)
        if is_new or behaviour.retagging_emits_event:
            shown = {"image-tag": tag} if tag else {"image-tag": ""} if behaviour.untagged_push_has_empty_tag else {}
            emit(repository.registry_id, request.region, _action("PUSH", repository, image.digest) | shown)
        return _answer(image=_manifest(image, tag))

    return handler


def _action(kind: str, repository: Repository, digest: str) -> dict[str, Any]:
    """The detail of an ECR Image Action.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
    """
    return {"result": "SUCCESS", "repository-name": repository.name, "image-digest": digest, "action-type": kind}


def _stored(request: ECRResponse, repository: Repository, tag: str | None) -> tuple[StoredImage, bool]:
    """The image that was pushed, which has the tag now, and whether its content is new or comes from the archive."""
    images = _shelf(repository)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid("imageTag", f"must satisfy regular expression '{_TAG.pattern}'")
    pushed = _pushed(request, repository)
    missing = [child for child in pushed.children if child not in images]
    if missing:
        raise EcrError(
            "ReferencedImagesNotFoundException",
            f"Images with digests '{missing}' required for pushing image into repository with name "
            f"'{repository.name}' in the registry with id '{repository.registry_id}' do not exist",
        )

    image = images.get(pushed.digest)
    has_tag = image is not None and (tag is None or tag in image.image_tags)
    if image is not None and has_tag and image.status == "ACTIVE":
        raise ImageAlreadyExistsException(repository.name, repository.registry_id, pushed.digest, tag or "")
    holder = None if tag is None or has_tag else _find(images, {"imageTag": tag})
    if holder is not None and tag is not None:
        if _is_immutable(repository, tag):
            raise EcrError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be "
                "overwritten because the tag is immutable.",
            )
        holder.remove_tag(tag)
    is_new = image is None or image.status != "ACTIVE"
    if image is None:
        image = pushed
        images.put(image)
    elif is_new:
        # Pushing restores at once: https://docs.aws.amazon.com/AmazonECR/latest/userguide/restore-image.html
        image.active_from = datetime.now(UTC)
    if tag is not None and not has_tag:
        image.update_tag(tag)
    return image, is_new


def _pushed(request: ECRResponse, repository: Repository) -> StoredImage:
    manifest = request._get_param("imageManifest")
    try:
        document = json.loads(manifest)
    except ValueError as error:
        raise _invalid("ImageManifest", "Invalid JSON syntax") from error
    given, own = request._get_param("imageManifestMediaType"), document.get("mediaType")
    media_type = given or own
    if media_type is None or (own is not None and own != media_type):
        raise _invalid("imageManifestMediaType", "Must be given, here or in the manifest, and agree")
    image = StoredImage(repository, manifest, media_type)
    if request._get_param("imageDigest") not in (None, image.digest):
        raise EcrError(
            "ImageDigestDoesNotMatchException",
            f"The provided image digest does not match the calculated image digest '{image.digest}'",
        )
    return image


def _is_immutable(repository: Repository, tag: str) -> bool:
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, entry["filter"]) for entry in filters)
    return repository.image_tag_mutability.startswith("IMMUTABLE") != excluded


def _batch_delete_image(emit: Emit) -> Handler:
    def handler(request: ECRResponse) -> ActionResult:
        repository = _repository(request)
        deleted, failures = _deleted(request, repository)
        for image_id in deleted:
            tag = {"image-tag": image_id["imageTag"]} if "imageTag" in image_id else {}
            detail = _action("DELETE", repository, image_id["imageDigest"]) | tag
            emit(repository.registry_id, request.region, detail)
        return _answer(imageIds=deleted, failures=failures)

    return handler


def _deleted(request: ECRResponse, repository: Repository) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """By tag the tag goes, and the image with its last one; by digest the image with all its tags.

    An image that an index holds when the call begins stays, even if the same call deletes the index: AWS does not
    say in which order it works.
    """
    images = _shelf(repository)
    parents = {child: holding[-1] for child, holding in images.parents.items() if holding}
    deleted: list[dict[str, str]] = []
    failures: list[dict[str, Any]] = []
    for image_id in _image_ids(request):
        image = _find(images, image_id)
        tag = image_id.get("imageTag")
        if image is None:
            failures.append(_missing(image_id, images))
        elif "imageDigest" not in image_id and tag is not None and len(image.image_tags) > 1:
            image.remove_tag(tag)
            deleted.append(_image_id(image.digest, tag))
        elif image.digest in parents:
            reason = f"Requested image referenced by manifest list: [{parents[image.digest]}]"
            failures.append(_failure(image_id, "ImageReferencedByManifestList", reason))
        else:
            deleted += [_image_id(image.digest, each) for each in image.image_tags or [""]]
            images.take(image.digest)
    return deleted, failures


def _update_image_storage_class(request: ECRResponse) -> ActionResult:
    repository = _repository(request)
    image_id = request._get_param("imageId")
    target = request._get_param("targetStorageClass")
    image = _find(_shelf(repository), image_id)
    if image is None:
        raise ImageNotFoundException(str(dict(image_id)), repository.name, repository.registry_id)
    if image.status != {"ARCHIVE": "ACTIVE", "STANDARD": "ARCHIVED"}.get(target):
        raise EcrError(
            "ImageStorageClassUpdateNotSupportedException",
            f"An image that is {image.status} cannot be moved to {target}",
        )
    now = datetime.now(UTC)
    if target == "ARCHIVE":
        image.archived_at, image.active_from = now, None
    else:
        image.active_from = now + _RESTORE_TIME
    return _answer(
        registryId=repository.registry_id,
        repositoryName=repository.name,
        imageId=_image_id(image.digest, image_id.get("imageTag")),
        imageStatus=image.status,
    )


# Principals whose pulls are not recorded


def _if_available(behaviour: Behaviour, handler: Handler) -> Handler:
    def checked(request: ECRResponse) -> Answer:
        if not behaviour.offers_pull_time_exclusions:
            raise EcrError("UnknownOperationException", "")
        return handler(request)

    return checked


def _exclusions(request: ECRResponse) -> dict[str, datetime]:
    """The registry's principals with the time of their registration."""
    exclusions: dict[str, datetime] = vars(request.ecr_backend).setdefault("pull_time_exclusions", {})
    return exclusions


def _register_exclusion(request: ECRResponse) -> ActionResult:
    arn = _excluded_principal(request)
    exclusions = _exclusions(request)
    if arn in exclusions:
        raise EcrError("ExclusionAlreadyExistsException", f"The exclusion of '{arn}' exists already.")
    if len(exclusions) >= _MAX_EXCLUSIONS:
        raise EcrError("LimitExceededException", f"A registry has at most {_MAX_EXCLUSIONS} exclusions.")
    exclusions[arn] = datetime.now(UTC)
    return _answer(principalArn=arn, createdAt=exclusions[arn])


def _deregister_exclusion(request: ECRResponse) -> ActionResult:
    arn = _excluded_principal(request)
    if _exclusions(request).pop(arn, None) is None:
        raise EcrError("ExclusionNotFoundException", f"There is no exclusion of '{arn}'.")
    return _answer(principalArn=arn)


def _list_exclusions(request: ECRResponse) -> ActionResult:
    page, token = _page(request, _exclusions(request), str)
    return _answer(pullTimeUpdateExclusions=page, nextToken=token)


def _excluded_principal(request: ECRResponse) -> str:
    arn = str(request._get_param("principalArn"))
    if len(arn) > _MAX_PRINCIPAL or not _PRINCIPAL.fullmatch(arn):
        raise _invalid("principalArn", f"must satisfy regular expression '{_PRINCIPAL.pattern}'")
    return arn


def _in_its_own_region(original: Handler) -> Handler:
    """moto looks only at the name in a repository's ARN; in AWS another region's repository is not there."""

    def handler(request: ECRResponse) -> Answer:
        parts = str(request._get_param("resourceArn")).split(":")
        if len(parts) < 6 or parts[3] != request.region:
            raise _invalid("resourceArn", "Must be the ARN of a repository in this region")
        return original(request)

    return handler
