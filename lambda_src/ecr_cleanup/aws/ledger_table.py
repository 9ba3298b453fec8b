"""The DynamoDB table beneath the ledger: its keys and values, conditional writes, strongly consistent reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ecr_cleanup.chunks import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import ClientError
    from mypy_boto3_dynamodb import DynamoDBClient

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_BATCH_GET_LIMIT = 100
STATE = "STATE"
"""The sort key of items that are alone under their partition key."""

K = TypeVar("K")
Item = Mapping[str, Any]
Value = str | int | datetime | Collection[str]


class Update(NamedTuple):
    """A change of one item, made where the condition holds.

    `values` are what the expressions call `:name`, `names` the attributes that they call `#name`, since DynamoDB
    reserves the name itself.
    """

    pk: str
    expression: str
    values: Mapping[str, Value] = MappingProxyType({})
    condition: str | None = None
    sk: str = STATE
    names: Collection[str] = ()


class LedgerTable:
    """Reads and writes items.

    All methods raise botocore's `ClientError` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def get(self, keys: Mapping[K, str]) -> dict[K, Item]:
        """The items of these partition keys that are alone under theirs; an empty one where there is none."""
        found: dict[str, Item] = {}
        for some in chunks(sorted(set(keys.values())), _BATCH_GET_LIMIT):
            for item in self._batch_get(some):
                found[item["pk"]["S"]] = item
        return {key: found.get(pk, {}) for key, pk in keys.items()}

    def query(self, pk: str) -> Iterator[Item]:
        """All items under a partition key."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
        )
        return (item for page in pages for item in page["Items"])

    def put(self, pk: str, sk: str, values: Mapping[str, Value]) -> None:
        """Write an item, in place of the one that may be there."""
        self._client.put_item(TableName=self._name, Item=_item(pk, sk, values))

    def delete(self, pk: str, sk: str) -> None:
        """Delete an item, or nothing."""
        self._client.delete_item(TableName=self._name, Key=_item(pk, sk))

    def update(self, update: Update) -> bool:
        """Change an item; False where the condition does not hold."""
        try:
            self._client.update_item(**self._request(update))
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def update_and_put(self, update: Update, pk: str, sk: str, values: Mapping[str, Value]) -> bool:
        """Change one item and write another, or neither and False where the condition does not hold."""
        return self._transact(update, {"Put": {"TableName": self._name, "Item": _item(pk, sk, values)}})

    def update_and_delete(self, update: Update, pk: str, sk: str) -> bool:
        """Change one item and delete another, or neither and False where the condition does not hold."""
        return self._transact(update, {"Delete": {"TableName": self._name, "Key": _item(pk, sk)}})

    def _transact(self, update: Update, other: dict[str, Any]) -> bool:
        items: Any = [{"Update": self._request(update)}, other]
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            if "ConditionalCheckFailed" not in _cancellation_codes(error):
                raise
            return False
        return True

    def _request(self, update: Update) -> dict[str, Any]:
        request: dict[str, Any] = {
            "TableName": self._name,
            "Key": _item(update.pk, update.sk),
            "UpdateExpression": update.expression,
        }
        if update.values:
            request["ExpressionAttributeValues"] = {f":{name}": _attribute(v) for name, v in update.values.items()}
        if update.names:
            request["ExpressionAttributeNames"] = {f"#{name}": name for name in update.names}
        if update.condition:
            request["ConditionExpression"] = update.condition
        return request

    def _batch_get(self, partition_keys: list[str]) -> Iterator[Item]:
        request: Any = {self._name: {"Keys": [_item(pk, STATE) for pk in partition_keys], "ConsistentRead": True}}
        while request:
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._name, [])
            # What did not fit into the answer (16 MB) or was throttled.
            request = answer.get("UnprocessedKeys")


def time_as_text(time: datetime) -> str:
    """ISO 8601 in UTC to the millisecond, so that times compare as text."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def text(item: Item, name: str) -> str | None:
    """A text, or None where the item has none of that name."""
    return item[name]["S"] if name in item else None


def time(item: Item, name: str) -> datetime | None:
    """A time in UTC, or None where the item has none of that name."""
    return datetime.fromisoformat(item[name]["S"]) if name in item else None


def number(item: Item, name: str) -> int | None:
    """A whole number, or None where the item has none of that name."""
    return int(item[name]["N"]) if name in item else None


def texts(item: Item, name: str) -> frozenset[str]:
    """A set of texts; DynamoDB knows no empty ones, so none is an empty one."""
    return frozenset(item.get(name, {}).get("SS", ()))


def _item(pk: str, sk: str, values: Mapping[str, Value] | None = None) -> dict[str, Any]:
    return {name: _attribute(value) for name, value in {"pk": pk, "sk": sk, **(values or {})}.items()}


def _attribute(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case datetime():
            return {"S": time_as_text(value)}
        case str():
            return {"S": value}
        case _:
            return {"SS": sorted(set(value))}


def _cancellation_codes(error: ClientError) -> list[str]:
    answer: Mapping[str, Any] = error.response
    return [reason.get("Code", "") for reason in answer.get("CancellationReasons", ())]
