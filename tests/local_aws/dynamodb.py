"""DynamoDB transactions that cost what they touch. moto's copy the whole table each time, to be able to roll back."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.patches import Patches


def make_transactions_cheap(patches: Patches) -> None:
    """Let a copy of a table share its items, and let no update change an item that may be shared."""
    patches.set(Table, "__deepcopy__", _copy_of_table)
    patches.wrap(DynamoDBBackend, "update_item", _copying_on_write)


def _copy_of_table(table: Table, _: dict[int, Any]) -> Table:
    clone = copy.copy(table)
    clone.items = defaultdict(dict)
    for key, items in table.items.items():
        clone.items[key] = dict(items) if table.has_range_key else items
    return clone


def _copying_on_write(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_item(backend: DynamoDBBackend, table_name: str, key: dict[str, Any], **arguments: Any) -> Any:
        table = backend.get_table(table_name)
        item = table.get_item(*backend.get_keys_value(table, key))
        if item:
            _put_back(table, copy.deepcopy(item))
        return original(backend, table_name, key, **arguments)

    return update_item


def _put_back(table: Table, item: Any) -> None:
    if table.has_range_key:
        table.items[item.hash_key][item.range_key] = item
    else:
        table.items[item.hash_key] = item
