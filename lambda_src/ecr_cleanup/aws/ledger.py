"""The ledger: the DynamoDB table of what events told and what was done.

    pk                        sk       what
    TASK_DEFINITION#<arn>     STATE    registered_at, deregistered_at, complete_at, references, images
    AWAITING                  <arn>    registrations that the aggregator has not been seen to show yet
    IMAGE#<image id>          STATE    last_used_at, and of a removal: removal_started_at, removed_at, removal

Every write of an event can be repeated and reordered without changing the outcome: times are set once or only moved
forwards, sets only grow, and a revision once deregistered stays so. All reads are strongly consistent. Times are
ISO 8601 in UTC, so that they compare as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ecr_cleanup.chunks import chunks
from ecr_cleanup.errors import LedgerConflictError
from ecr_cleanup.image import ImageId
from ecr_cleanup.inventory import Registration
from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botocore.exceptions import ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_BATCH_GET_LIMIT = 100
# Longer than the longest grace period (365 days) by another year, for those who ask afterwards.
_IMAGE_RECORD_LIFETIME = timedelta(days=730)
# A registration whose revision is unknown cannot be matched with the aggregator; by then Config shows it.
_NAMELESS_LIFETIME = timedelta(hours=24)
_STATE = "STATE"
_AWAITING = "AWAITING"

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class TaskDefinitionRecord:
    """What the ledger knows about a task definition of a workload account."""

    registered_at: datetime | None = None
    deregistered_at: datetime | None = None
    complete_at: datetime | None = None
    """As `deregistered_at`, once all its images of then are known."""
    references: frozenset[str] = frozenset()
    image_ids: frozenset[ImageId] = frozenset()


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the ledger knows about an image. `removal` is what others are told of a removal, as JSON."""

    last_used_at: datetime | None = None
    removal_started_at: datetime | None = None
    removed_at: datetime | None = None
    removal: str | None = None

    @property
    def removal_is_unfinished(self) -> bool:
        """Whether a function began to remove the image and did not live to say that it did."""
        return self.removal_started_at is not None and self.removed_at is None


class Ledger:
    """Reads and writes the ledger.

    All methods raise botocore's `ClientError` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name

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
        update = self._update_task_definition(arn, "registered_at", at, facts)
        awaiting = self._awaiting(arn, place, at, now, facts)
        fresh = "attribute_not_exists(registered_at) AND attribute_not_exists(deregistered_at)"
        put: TransactWriteItemTypeDef = {"Put": {"TableName": self._table, "Item": awaiting}}
        if not self._transact({**update, "ConditionExpression": fresh}, put):
            # Known before, or the event came after that of the deregistration, which it then completes. Or the images
            # could not be found at the first attempt.
            late = "attribute_not_exists(registered_at) AND attribute_exists(deregistered_at)"
            self._update_if(f"({late}) OR attribute_not_exists(images)", update)

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
        awaiting = self._awaiting(f"{family_arn}:?{event_id}", place, at, now, _facts(references, image_ids))
        awaiting["expires_at"] = _expiry(at, _NAMELESS_LIFETIME)
        self._client.put_item(TableName=self._table, Item=awaiting)

    def record_deregistration(
        self,
        arn: str,
        *,
        at: datetime,
        references: Iterable[str],
        image_ids: Iterable[ImageId],
        complete: bool = True,
    ) -> None:
        """A task definition is inactive for good, since `at` at the latest.

        `complete` says that its images are all known, so that a duplicate of the event need not look for them again.
        """
        update = self._update_task_definition(arn, "deregistered_at", at, _facts(references, image_ids))
        if complete:
            update["UpdateExpression"] = update["UpdateExpression"].replace("SET ", "SET complete_at = :at, ", 1)
        later = "attribute_not_exists(deregistered_at) OR deregistered_at < :at"
        update["ConditionExpression"] = f"{later} OR (deregistered_at = :at AND attribute_not_exists(complete_at))"
        self._transact(update, {"Delete": {"TableName": self._table, "Key": _key(_AWAITING, arn)}})

    def task_definition(self, arn: str) -> TaskDefinitionRecord:
        """What is known about one task definition; an empty record where nothing is."""
        return self.task_definitions([arn])[arn]

    def task_definitions(self, arns: Iterable[str]) -> dict[str, TaskDefinitionRecord]:
        """What is known about each of these task definitions, by ARN."""
        items = self._get({arn: f"TASK_DEFINITION#{arn}" for arn in arns})
        return {
            arn: TaskDefinitionRecord(
                registered_at=_time(item, "registered_at"),
                deregistered_at=_time(item, "deregistered_at"),
                complete_at=_time(item, "complete_at"),
                references=_set(item, "references"),
                image_ids=frozenset(map(ImageId.parse, _set(item, "images"))),
            )
            for arn, item in items.items()
        }

    def awaiting(self, *, now: datetime) -> list[Registration]:
        """The registrations that the aggregator has not been seen to show yet."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": _AWAITING}},
        )
        return [
            Registration(
                arn=item["sk"]["S"],
                place=Place(item["account"]["S"], item["region"]["S"]),
                references=_set(item, "references"),
                image_ids=frozenset(map(ImageId.parse, _set(item, "images"))),
                registered_at=_parse_time(item["registered_at"]["S"]),
                recorded_at=_parse_time(item["recorded_at"]["S"]),
            )
            for page in pages
            for item in page["Items"]
            # DynamoDB deletes expired items within days, not at once.
            if "expires_at" not in item or int(item["expires_at"]["N"]) > now.timestamp()
        ]

    def forget_awaiting(self, arn: str) -> None:
        """The aggregator shows this task definition; from now on it speaks for it."""
        self._client.delete_item(TableName=self._table, Key=_key(_AWAITING, arn))

    def record_last_use(self, image_id: ImageId, *, at: datetime) -> None:
        """An image was in use at that moment; a later one that is known already stays."""
        self._update_if(
            "attribute_not_exists(last_used_at) OR last_used_at < :at",
            {
                "TableName": self._table,
                "Key": _key(f"IMAGE#{image_id}", _STATE),
                "UpdateExpression": "SET last_used_at = :at, expires_at = :expiry",
                "ExpressionAttributeValues": {
                    ":at": {"S": _text(at)},
                    ":expiry": _expiry(at, _IMAGE_RECORD_LIFETIME),
                },
            },
        )

    def images(self, image_ids: Iterable[ImageId]) -> dict[ImageId, ImageRecord]:
        """What is known about each of these images; an empty record where nothing is."""
        items = self._get({image_id: f"IMAGE#{image_id}" for image_id in image_ids})
        return {
            image_id: ImageRecord(
                last_used_at=_time(item, "last_used_at"),
                removal_started_at=_time(item, "removal_started_at"),
                removed_at=_time(item, "removed_at"),
                removal=item["removal"]["S"] if "removal" in item else None,
            )
            for image_id, item in items.items()
        }

    def begin_removal(self, image_id: ImageId, *, last_used_at: datetime, at: datetime, removal: str) -> None:
        """Put on record that the image is about to be removed; `removal` is what to tell others of it, as JSON.

        Raises:
            LedgerConflictError: the image was used again since `last_used_at` was read.
        """
        began = self._update_if(
            "last_used_at = :last_used_at",
            {
                "TableName": self._table,
                "Key": _key(f"IMAGE#{image_id}", _STATE),
                "UpdateExpression": "SET removal_started_at = :at, removal = :removal, expires_at = :expiry "
                "REMOVE removed_at",
                "ExpressionAttributeValues": {
                    ":at": {"S": _text(at)},
                    ":removal": {"S": removal},
                    ":expiry": _expiry(at, _IMAGE_RECORD_LIFETIME),
                    ":last_used_at": {"S": _text(last_used_at)},
                },
            },
        )
        if not began:
            raise LedgerConflictError(f"{image_id} was used again while its removal was being decided")

    def finish_removal(self, image_id: ImageId, *, at: datetime) -> None:
        """The image is gone and everybody was told."""
        self._client.update_item(
            TableName=self._table,
            Key=_key(f"IMAGE#{image_id}", _STATE),
            UpdateExpression="SET removed_at = :at",
            ExpressionAttributeValues={":at": {"S": _text(at)}},
        )

    def abandon_removal(self, image_id: ImageId) -> None:
        """The registry did not let the image go; it is not being removed any more."""
        self._client.update_item(
            TableName=self._table,
            Key=_key(f"IMAGE#{image_id}", _STATE),
            UpdateExpression="REMOVE removal_started_at, removal",
        )

    def _awaiting(
        self, arn: str, place: Place, at: datetime, now: datetime, facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        return {
            **_key(_AWAITING, arn),
            "account": {"S": place.account},
            "region": {"S": place.region},
            "registered_at": {"S": _text(at)},
            "recorded_at": {"S": _text(now)},
            **facts,
        }

    def _update_task_definition(
        self, arn: str, moment: str, at: datetime, facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        expression = f"SET {moment} = :at"
        if facts:
            expression += " ADD " + ", ".join(f"#{name} :{name}" for name in facts)
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": _key(f"TASK_DEFINITION#{arn}", _STATE),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": {":at": {"S": _text(at)}, **{f":{n}": v for n, v in facts.items()}},
        }
        if facts:
            # "references" is a reserved word.
            update["ExpressionAttributeNames"] = {f"#{name}": name for name in facts}
        return update

    def _transact(self, update: dict[str, Any], other: TransactWriteItemTypeDef) -> bool:
        """Do both, or neither where the condition of the update does not hold."""
        items: Any = [{"Update": update}, other]
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            if "ConditionalCheckFailed" not in _cancellation_codes(error):
                raise
            return False
        return True

    def _update_if(self, condition: str, update: dict[str, Any]) -> bool:
        """Update where the condition holds."""
        try:
            self._client.update_item(**update, ConditionExpression=condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _get(self, keys: Mapping[K, str]) -> dict[K, Mapping[str, Any]]:
        """Items by partition key; an empty one where there is none."""
        found: dict[str, Mapping[str, Any]] = {}
        for some in chunks(sorted(set(keys.values())), _BATCH_GET_LIMIT):
            for item in self._batch_get(some):
                found[item["pk"]["S"]] = item
        return {key: found.get(pk, {}) for key, pk in keys.items()}

    def _batch_get(self, partition_keys: list[str]) -> Iterator[Mapping[str, Any]]:
        request: Any = {self._table: {"Keys": [_key(pk, _STATE) for pk in partition_keys], "ConsistentRead": True}}
        while request:
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._table, [])
            # What did not fit into the answer (16 MB) or was throttled.
            request = answer.get("UnprocessedKeys")


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _facts(references: Iterable[str], image_ids: Iterable[ImageId]) -> dict[str, dict[str, list[str]]]:
    """The non-empty sets; DynamoDB refuses empty ones."""
    sets = {"references": sorted(set(references)), "images": sorted(map(str, set(image_ids)))}
    return {name: {"SS": values} for name, values in sets.items() if values}


def _expiry(at: datetime, lifetime: timedelta) -> dict[str, str]:
    return {"N": str(int((at + lifetime).timestamp()))}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time(item: Mapping[str, Any], name: str) -> datetime | None:
    return _parse_time(item[name]["S"]) if name in item else None


def _set(item: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(item.get(name, {}).get("SS", ()))


def _cancellation_codes(error: ClientError) -> list[str]:
    answer: Mapping[str, Any] = error.response
    return [reason.get("Code", "") for reason in answer.get("CancellationReasons", ())]
