"""The ledger for those who only look: what the domain would write into it goes nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.ledger_table import LedgerTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from ecr_cleanup.aws.ledger import ImageRecord, TaskDefinitionRecord
    from ecr_cleanup.aws.ledger_table import Item, K, Update, Value
    from ecr_cleanup.image import ImageId


class ReadOnlyTable(LedgerTable):
    """Reads as the ledger's table does; each write seems to succeed, and is dropped."""

    def put(self, pk: str, sk: str, values: Mapping[str, Value]) -> None:
        pass

    def delete(self, pk: str, sk: str) -> None:
        pass

    def update(self, update: Update) -> bool:
        return True

    def update_and_put(self, update: Update, pk: str, sk: str, values: Mapping[str, Value]) -> bool:
        return True

    def update_and_delete(self, update: Update, pk: str, sk: str) -> bool:
        return True


class NoTable(ReadOnlyTable):
    """Where there is no installation yet: nothing is known."""

    def get(self, keys: Mapping[K, str]) -> dict[K, Item]:
        return {key: {} for key in keys}

    def query(self, pk: str) -> Iterator[Item]:
        return iter(())


class ReadOnlyLedger(Ledger):
    """What the functions know, without anything being added to it.

    What taking an inventory would have written about the use of images is remembered, and told as if it had been: else
    the command line would judge an image otherwise than the functions do.
    """

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        super().__init__(client, table_name)
        self._table = ReadOnlyTable(client, table_name)
        self._used: dict[ImageId, tuple[datetime, frozenset[str]]] = {}
        self._deregistered: dict[str, datetime] = {}

    def record_last_use(self, image_id: ImageId, *, at: datetime, by: str | None = None) -> None:
        before, users = self._used.get(image_id, (at, frozenset()))
        self._used[image_id] = max(at, before), users | ({by} if by else frozenset())

    def record_deregistration(self, arn: str, *, at: datetime, **_: object) -> None:
        self._deregistered[arn] = at

    def images(self, image_ids: Iterable[ImageId]) -> dict[ImageId, ImageRecord]:
        records = super().images(image_ids)
        for image_id in records.keys() & self._used.keys():
            record, (at, users) = records[image_id], self._used[image_id]
            last = max(record.last_used_at or at, at)
            records[image_id] = record._replace(last_used_at=last, used_by=record.used_by | users)
        return records

    def task_definitions(self, arns: Iterable[str]) -> dict[str, TaskDefinitionRecord]:
        records = super().task_definitions(arns)
        for arn in records.keys() & self._deregistered.keys():
            records[arn] = records[arn]._replace(
                deregistered_at=records[arn].deregistered_at or self._deregistered[arn]
            )
        return records


class NoLedger(Ledger):
    """A ledger with nothing in it."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        super().__init__(client, table_name)
        self._table = NoTable(client, table_name)
