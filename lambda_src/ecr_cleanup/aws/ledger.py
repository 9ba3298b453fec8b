"""The ledger: the DynamoDB table of what events told and what was done.

    pk                           sk       what
    TASK_DEFINITION#<arn>        STATE    registered_at, deregistered_at, complete_at, references, images
    AWAITING                     <arn>    registrations that the aggregator has not been seen to show yet
    IMAGE#<image id>             STATE    last_used_at, watched_since, used_by, held, archived_at,
                                          held_by_index_at, manifest, manifest_read_at, and of a removal:
                                          removal_started_at, removed_at, removal
    TAG#<repository>:<tag>       STATE    pushes: "<time>|<digest>"
    REMOVALS#<hour>              STATE    removals: how many
    REMEMBERED#<what>            STATE    images: what a version of a Lambda function runs, or a schedule starts
    REMOVED#<hour>               <image id>  facts: of a removal that was finished in this hour
    PLACE                        <place>  deregistered, last_event_at, expected_since, and what was counted last:
                                          active, counted_at, deregistered_then

Every write of an event can be repeated and reordered without changing the outcome: times are set once or only moved
forwards, sets only grow (the first so many of `used_by` and `pushes` are kept), and a revision once deregistered stays
so, and is counted once. All reads are strongly consistent. Times are ISO 8601 in UTC, so that they compare as text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ecr_cleanup.aws.ledger_table import Item, LedgerTable, Update, Value, number, text, texts, time, time_as_text
from ecr_cleanup.errors import LedgerConflictError
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.inventory import Registration
from ecr_cleanup.manifest import Manifest
from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

# Longer than an image can be in the archive (10 years), by two for those who ask afterwards.
_IMAGE_RECORD_LIFETIME = timedelta(days=12 * 365)
# A registration whose revision is unknown cannot be matched with the aggregator; by then Config shows it.
_NAMELESS_LIFETIME = timedelta(hours=24)
_COUNTED_HOURS = 25
_REMEMBERED_FOR = timedelta(days=365)
_REMOVALS_LIFETIME = timedelta(days=3)
# Digests can be switched on, or go on after a failure, so long afterwards.
_REMOVED_LIFETIME = timedelta(days=35)
# So rarely is it written down that a place was heard of: each event would be in the others' way.
_HEARD_AGAIN_AFTER = timedelta(hours=1)
_USERS_KEPT = 50
# One push of a tag can prove something, two already cannot.
_PUSHES_KEPT = 5
_AWAITING = "AWAITING"
_PLACE = "PLACE"


class TaskDefinitionRecord(NamedTuple):
    """What the ledger knows about a task definition of a workload account."""

    registered_at: datetime | None = None
    deregistered_at: datetime | None = None
    complete_at: datetime | None = None
    """As `deregistered_at`, once all its images of then are known."""
    references: frozenset[str] = frozenset()
    image_ids: frozenset[ImageId] = frozenset()


class ImageRecord(NamedTuple):
    """What the ledger knows about an image.

    `watched_since` is when an image without a known use was first found unused, and `used_by` has the ARNs of task
    definitions that used it. `held` says that it was seen in use by something whose end no event tells, and
    `held_by_index_at` when it was last found to be part of an index. Our own reading of the manifest at
    `manifest_read_at` is one of the pulls that ECR records. `removal` is what others are told of a removal, as JSON.
    """

    last_used_at: datetime | None = None
    watched_since: datetime | None = None
    used_by: frozenset[str] = frozenset()
    held: bool = False
    held_by_index_at: datetime | None = None
    archived_at: datetime | None = None
    manifest: Manifest | None = None
    manifest_read_at: datetime | None = None
    removal_started_at: datetime | None = None
    removed_at: datetime | None = None
    removal: str | None = None

    @property
    def removal_is_unfinished(self) -> bool:
        """Whether a function began to remove the image and did not live to say that it did."""
        return self.removal_started_at is not None and self.removed_at is None


class Push(NamedTuple):
    """A tag was given to an image, a manifest digest, at that moment."""

    at: datetime
    digest: str


class PlaceRecord(NamedTuple):
    """How many task definitions a place had, and how many went since.

    `active` were counted at `counted_at`, both None where nobody counted yet. `deregistered` is the number of
    deregistrations that events have told of in all, `deregistered_then` what it was at that moment. The newest event
    that came from there, of any task definition, is of `last_event_at`; `expected_since` is when one was first missed.
    """

    active: int | None = None
    counted_at: datetime | None = None
    deregistered: int = 0
    deregistered_then: int = 0
    last_event_at: datetime | None = None
    expected_since: datetime | None = None


class Ledger:
    """Reads and writes the ledger.

    All methods raise botocore's `ClientError` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._table = LedgerTable(client, table_name)
        self._heard_of: dict[Place, datetime] = {}

    def record_registration(
        self,
        arn: str,
        place: Place,
        *,
        at: datetime,
        references: Iterable[str],
        image_ids: Iterable[ImageId],
        now: datetime,
    ) -> None:
        """A task definition is known from now on, and counts as used at once, unless it is deregistered already."""
        facts = _facts(references, image_ids)
        update = _update_of_task_definition(arn, "registered_at = :at", at, facts)
        fresh = update._replace(
            condition="attribute_not_exists(registered_at) AND attribute_not_exists(deregistered_at)"
        )
        if not self._table.update_and_put(fresh, _AWAITING, arn, _awaiting(place, at, now, facts)):
            # Known before, or the event came after that of the deregistration, which it then completes. Or the images
            # could not be found at the first attempt.
            late = "attribute_not_exists(registered_at) AND attribute_exists(deregistered_at)"
            self._table.update(update._replace(condition=f"({late}) OR attribute_not_exists(images)"))

    def record_nameless_registration(
        self,
        family_arn: str,
        event_id: str,
        place: Place,
        *,
        at: datetime,
        references: Iterable[str],
        image_ids: Iterable[ImageId],
        now: datetime,
    ) -> None:
        """A task definition of unknown revision counts as used until the aggregator must have it."""
        values = _awaiting(place, at, now, _facts(references, image_ids))
        values["expires_at"] = _expiry(at, _NAMELESS_LIFETIME)
        self._table.put(_AWAITING, f"{family_arn}:?{event_id}", values)

    def record_deregistration(
        self,
        arn: str,
        *,
        at: datetime,
        references: Iterable[str],
        image_ids: Iterable[ImageId],
        complete: bool = True,
    ) -> None:
        """A task definition is inactive for good, since `at` at the latest; its place has one less.

        `complete` says that its images are all known, so that a duplicate of the event need not look for them again.
        """
        moments = "deregistered_at = :at, complete_at = :at" if complete else "deregistered_at = :at"
        update = _update_of_task_definition(arn, moments, at, _facts(references, image_ids))
        fresh = update._replace(condition="attribute_not_exists(deregistered_at)")
        if self._table.update_and_delete(fresh, _AWAITING, arn):
            # Not in the transaction, where the many of one place would be in each other's way. If it is not reached,
            # one too few is counted, which at worst looks as if task definitions had disappeared.
            place = _place_of(arn)
            self._table.update(Update(_PLACE, "ADD deregistered :one", {"one": 1}, sk=str(place)))
        else:
            incomplete = "(attribute_not_exists(complete_at) OR complete_at < :at)"
            condition = f"deregistered_at < :at OR (deregistered_at = :at AND {incomplete})"
            self._table.update(update._replace(condition=condition))

    def hear_of(self, place: Place, *, at: datetime) -> None:
        """An event of that moment came from a place. One that is not an hour later than the last changes nothing."""
        known = self._heard_of.get(place)
        if known and at - known < _HEARD_AGAIN_AFTER:
            return
        later = "attribute_not_exists(last_event_at) OR last_event_at < :at"
        self._table.update(Update(_PLACE, "SET last_event_at = :at", {"at": at}, later, sk=str(place)))
        self._heard_of[place] = at

    def expect_events_of(self, place: Place, *, since: datetime) -> None:
        """Nothing was ever heard of a place that should be heard of; the first time stays."""
        first = "attribute_not_exists(expected_since)"
        self._table.update(Update(_PLACE, "SET expected_since = :at", {"at": since}, first, sk=str(place)))

    def task_definition(self, arn: str) -> TaskDefinitionRecord:
        """What is known about one task definition; an empty record where nothing is."""
        return self.task_definitions([arn])[arn]

    def task_definitions(self, arns: Iterable[str]) -> dict[str, TaskDefinitionRecord]:
        """What is known about each of these task definitions, by ARN."""
        items = self._table.get({arn: _task_definition(arn) for arn in arns})
        return {
            arn: TaskDefinitionRecord(
                registered_at=time(item, "registered_at"),
                deregistered_at=time(item, "deregistered_at"),
                complete_at=time(item, "complete_at"),
                references=texts(item, "references"),
                image_ids=_image_ids(item),
            )
            for arn, item in items.items()
        }

    def awaiting(self, *, now: datetime) -> list[Registration]:
        """The registrations that the aggregator has not been seen to show yet."""
        return [
            Registration(
                arn=item["sk"]["S"],
                place=Place(item["account"]["S"], item["region"]["S"]),
                references=texts(item, "references"),
                image_ids=_image_ids(item),
                registered_at=datetime.fromisoformat(item["registered_at"]["S"]),
                recorded_at=datetime.fromisoformat(item["recorded_at"]["S"]),
            )
            for item in self._table.query(_AWAITING)
            # DynamoDB deletes expired items within days, not at once.
            if (expiry := number(item, "expires_at")) is None or expiry > now.timestamp()
        ]

    def forget_awaiting(self, arn: str) -> None:
        """The aggregator shows this task definition; from now on it speaks for it."""
        self._table.delete(_AWAITING, arn)

    def record_last_use(self, image_id: ImageId, *, at: datetime, by: str | None = None) -> None:
        """An image was in use at that moment; a later one that is known already stays.

        `by` is the ARN of the task definition that used it, of which 50 are remembered, to explain a removal.
        """
        self._move_last_use(image_id, at)
        if by:
            room = "attribute_not_exists(used_by) OR (size(used_by) < :most AND NOT contains(used_by, :by))"
            self._table.update(
                Update(_image(image_id), "ADD used_by :users", {"users": [by], "by": by, "most": _USERS_KEPT}, room)
            )

    def record_holding(self, image_id: ImageId, *, at: datetime) -> None:
        """An image is in use by something whose end no event tells: only a check can find that it ended."""
        if not self._move_last_use(image_id, at, ", held = :held", {"held": True}):
            self._table.update(Update(_image(image_id), "SET held = :held", {"held": True}))

    def release(self, image_id: ImageId, *, at: datetime, still_archived: bool = False) -> None:
        """What held an image ended, or somebody restored it from the archive, nobody knows when: it was used until now.

        `still_archived` says that it was not restored, and its time in the archive goes on. Where a later use is known
        already, it may be of whatever holds the image again, and nothing changes.
        """
        self._move_last_use(image_id, at, " REMOVE held" if still_archived else " REMOVE held, archived_at")

    def record_watch(self, image_id: ImageId, *, at: datetime) -> None:
        """An image without a known use was found unused; the first time stays."""
        self._table.update(
            Update(
                _image(image_id),
                "SET watched_since = :at, expires_at = if_not_exists(expires_at, :expiry)",
                {"at": at, "expiry": _expiry(at, _IMAGE_RECORD_LIFETIME)},
                "attribute_not_exists(watched_since)",
            )
        )

    def end_watch(self, image_id: ImageId) -> None:
        """Nobody looks any more whether the image is used."""
        self._table.update(
            Update(_image(image_id), "REMOVE watched_since", condition="attribute_exists(watched_since)")
        )

    def record_part(self, image_id: ImageId, *, at: datetime) -> None:
        """An image was found to be part of an index that lives; the last time counts."""
        self._table.update(
            Update(
                _image(image_id),
                "SET held_by_index_at = :at, expires_at = if_not_exists(expires_at, :expiry)",
                {"at": at, "expiry": _expiry(at, _IMAGE_RECORD_LIFETIME)},
                "attribute_not_exists(held_by_index_at) OR held_by_index_at < :at",
            )
        )

    def record_manifest(self, image_id: ImageId, manifest: Manifest, *, read_at: datetime | None) -> None:
        """The manifest of an image was read, which ECR takes for a pull: for one of ours if `read_at` says when."""
        if read_at is None:
            update = Update(_image(image_id), "SET manifest = :manifest", {"manifest": manifest.to_json()})
            self._table.update(update._replace(condition="attribute_not_exists(manifest)"))
            return
        self._table.update(
            Update(
                _image(image_id),
                "SET manifest = :manifest, manifest_read_at = :at, expires_at = if_not_exists(expires_at, :expiry)",
                {"manifest": manifest.to_json(), "at": read_at, "expiry": _expiry(read_at, _IMAGE_RECORD_LIFETIME)},
                "attribute_not_exists(manifest_read_at) OR manifest_read_at < :at",
            )
        )

    def record_archiving(self, image_id: ImageId, *, at: datetime) -> None:
        """An image went to the archive; if it did so before, the last time counts."""
        self._table.update(
            Update(
                _image(image_id),
                "SET archived_at = :at, expires_at = :expiry",
                {"at": at, "expiry": _expiry(at, _IMAGE_RECORD_LIFETIME)},
                "attribute_not_exists(archived_at) OR archived_at < :at",
            )
        )

    def images(self, image_ids: Iterable[ImageId]) -> dict[ImageId, ImageRecord]:
        """What is known about each of these images; an empty record where nothing is."""
        items = self._table.get({image_id: _image(image_id) for image_id in image_ids})
        return {image_id: _image_record(item) for image_id, item in items.items()}

    def begin_removal(self, image_id: ImageId, *, record: ImageRecord, at: datetime, removal: str) -> None:
        """Put on record that the image is about to be removed; `removal` is what to tell others of it, as JSON.

        Raises:
            LedgerConflictError: the image was used, held or watched anew since `record` was read.
        """
        known: dict[str, Value | None] = {"last_used_at": record.last_used_at, "watched_since": record.watched_since}
        if not record.held:
            known["held"] = None
        unchanged = [f"attribute_not_exists({n})" if v is None else f"{n} = :{n}" for n, v in known.items()]
        began = self._table.update(
            Update(
                _image(image_id),
                "SET removal_started_at = :at, removal = :removal, expires_at = :expiry REMOVE removed_at",
                {
                    "at": at,
                    "removal": removal,
                    "expiry": _expiry(at, _IMAGE_RECORD_LIFETIME),
                    **{name: value for name, value in known.items() if value is not None},
                },
                " AND ".join(unchanged),
            )
        )
        if not began:
            raise LedgerConflictError(f"{image_id} was used again while its removal was being decided")

    def finish_removal(self, image_id: ImageId, *, at: datetime, facts: Mapping[str, Any]) -> None:
        """The image is gone and everybody was told. `facts` is for those who ask what went in this hour.

        They may hear of it twice, in two hours, where a function dies between the two writes.
        """
        self._table.update(
            Update(
                _removed(_hour(at)),
                "SET facts = :facts, expires_at = :expiry",
                {"facts": json.dumps(dict(facts)), "expiry": _expiry(at, _REMOVED_LIFETIME)},
                sk=str(image_id),
            )
        )
        self._table.update(Update(_image(image_id), "SET removed_at = :at", {"at": at}))

    def removed_in(self, hour: datetime) -> Iterator[dict[str, Any]]:
        """The facts of all removals that were finished in the hour that begins then, for 35 days."""
        for item in self._table.query(_removed(hour)):
            yield json.loads(item["facts"]["S"])

    def abandon_removal(self, image_id: ImageId) -> None:
        """The registry did not let the image go; it is not being removed any more."""
        self._table.update(Update(_image(image_id), "REMOVE removal_started_at, removal"))

    def removals(self, *, now: datetime) -> dict[datetime, int]:
        """How many removals were counted in this hour and in each of the 24 before it, where there were any.

        By the beginning of the hour, in UTC.
        """
        hours = [_hour(now) - timedelta(hours=ago) for ago in range(_COUNTED_HOURS)]
        items = self._table.get({hour: _removals(hour) for hour in hours})
        return {hour: count for hour, item in items.items() if (count := number(item, "removals"))}

    def count_removal(self, *, now: datetime, limit: int) -> bool:
        """Count a removal in this hour; False, and nothing is counted, where there were `limit` of them already.

        A call whose answer is lost is made again, and counts twice.
        """
        if limit <= 0:
            return False
        hour = _hour(now)
        return self._table.update(
            Update(
                _removals(hour),
                "SET expires_at = :expiry ADD removals :one",
                {"one": 1, "limit": limit, "expiry": _expiry(hour, _REMOVALS_LIFETIME)},
                "attribute_not_exists(removals) OR removals < :limit",
            )
        )

    def record_push(self, repository: Repository, tag: str, digest: str, *, at: datetime) -> None:
        """A tag was given to an image, once at that moment however often it is said. What is recorded stays for good.

        Five pushes of a tag are remembered: who asks whether there was but one knows by then.
        """
        self._table.update(
            Update(
                _tag(repository, tag),
                "ADD pushes :push",
                {"push": [f"{time_as_text(at)}|{digest}"], "most": _PUSHES_KEPT},
                "attribute_not_exists(pushes) OR size(pushes) < :most",
            )
        )

    def pushes(self, repository: Repository, tags: Iterable[str]) -> dict[str, frozenset[Push]]:
        """The known pushes of each of these tags; none where an event was lost or the tag is older than the ledger."""
        items = self._table.get({tag: _tag(repository, tag) for tag in tags})
        return {tag: frozenset(map(_push, texts(item, "pushes"))) for tag, item in items.items()}

    def remembered_images(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """The images of those of the names that `remember_images` was told of, for a year."""
        items = self._table.get({name: _remembered(name) for name in names})
        return {name: images for name, item in items.items() if (images := texts(item, "images"))}

    def remember_images(self, name: str, images: Collection[str]) -> None:
        """What a name means for good: image strings, at least one."""
        values: dict[str, Value] = {"images": images, "expiry": _expiry(datetime.now(UTC), _REMEMBERED_FOR)}
        self._table.update(Update(_remembered(name), "SET images = :images, expires_at = :expiry", values))

    def places(self) -> dict[Place, PlaceRecord]:
        """All places of which anything was counted."""
        return {
            Place(*item["sk"]["S"].split("/")): PlaceRecord(
                active=number(item, "active"),
                counted_at=time(item, "counted_at"),
                deregistered=number(item, "deregistered") or 0,
                deregistered_then=number(item, "deregistered_then") or 0,
                last_event_at=time(item, "last_event_at"),
                expected_since=time(item, "expected_since"),
            )
            for item in self._table.query(_PLACE)
        }

    def record_count(self, place: Place, *, active: int, deregistered: int, at: datetime) -> None:
        """So many task definitions were ACTIVE, after so many deregistrations; the last count stays."""
        self._table.update(
            Update(
                _PLACE,
                "SET active = :active, counted_at = :at, deregistered_then = :deregistered",
                {"active": active, "at": at, "deregistered": deregistered},
                "attribute_not_exists(counted_at) OR counted_at < :at",
                sk=str(place),
            )
        )

    def _move_last_use(
        self, image_id: ImageId, at: datetime, more: str = "", values: Mapping[str, Value] | None = None
    ) -> bool:
        """Move the last use forwards, and with it whatever `more` adds to the expression."""
        return self._table.update(
            Update(
                _image(image_id),
                f"SET last_used_at = :at, expires_at = :expiry{more}",
                {"at": at, "expiry": _expiry(at, _IMAGE_RECORD_LIFETIME), **(values or {})},
                "attribute_not_exists(last_used_at) OR last_used_at <= :at",
            )
        )


def _task_definition(arn: str) -> str:
    return f"TASK_DEFINITION#{arn}"


def _image(image_id: ImageId) -> str:
    return f"IMAGE#{image_id}"


def _tag(repository: Repository, tag: str) -> str:
    return f"TAG#{repository}:{tag}"


def _remembered(name: str) -> str:
    return f"REMEMBERED#{name}"


def _removals(hour: datetime) -> str:
    return f"REMOVALS#{hour:%Y-%m-%dT%H}"


def _removed(hour: datetime) -> str:
    return f"REMOVED#{hour:%Y-%m-%dT%H}"


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _expiry(at: datetime, lifetime: timedelta) -> int:
    return int((at + lifetime).timestamp())


def _place_of(task_definition_arn: str) -> Place:
    _, _, _, region, account, *_ = task_definition_arn.split(":")
    return Place(account, region)


def _facts(references: Iterable[str], image_ids: Iterable[ImageId]) -> dict[str, frozenset[str]]:
    """The non-empty sets; DynamoDB refuses empty ones."""
    sets = {"references": frozenset(references), "images": frozenset(map(str, image_ids))}
    return {name: values for name, values in sets.items() if values}


def _awaiting(place: Place, at: datetime, now: datetime, facts: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "account": place.account,
        "region": place.region,
        "registered_at": at,
        "recorded_at": now,
        **facts,
    }


def _update_of_task_definition(arn: str, moments: str, at: datetime, facts: Mapping[str, Value]) -> Update:
    additions = ", ".join(f"#{name} :{name}" for name in facts)
    expression = f"SET {moments} ADD {additions}" if facts else f"SET {moments}"
    # "references" is a reserved word.
    return Update(_task_definition(arn), expression, {"at": at, **facts}, names=facts.keys())


def _image_ids(item: Item) -> frozenset[ImageId]:
    return frozenset(map(ImageId.parse, texts(item, "images")))


def _image_record(item: Item) -> ImageRecord:
    manifest = text(item, "manifest")
    return ImageRecord(
        last_used_at=time(item, "last_used_at"),
        watched_since=time(item, "watched_since"),
        used_by=texts(item, "used_by"),
        held="held" in item,
        held_by_index_at=time(item, "held_by_index_at"),
        archived_at=time(item, "archived_at"),
        manifest=Manifest.from_json(manifest) if manifest else None,
        manifest_read_at=time(item, "manifest_read_at"),
        removal_started_at=time(item, "removal_started_at"),
        removed_at=time(item, "removed_at"),
        removal=text(item, "removal"),
    )


def _push(entry: str) -> Push:
    at, _, digest = entry.partition("|")
    return Push(datetime.fromisoformat(at), digest)
