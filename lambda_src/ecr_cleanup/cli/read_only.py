"""The ledger for those who only look: what the domain would write into it goes nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.ledger_table import LedgerTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from ecr_cleanup.aws.ledger_table import Item, K, Update, Value


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
    """What the functions know, without anything being added to it."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        super().__init__(client, table_name)
        self._table = ReadOnlyTable(client, table_name)


class NoLedger(Ledger):
    """A ledger with nothing in it."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        super().__init__(client, table_name)
        self._table = NoTable(client, table_name)
