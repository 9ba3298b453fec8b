"""DynamoDB that costs what it touches: moto copies whole tables for transactions, and guesses names of members.

It also takes another key for a table that exists.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.patches import Patches


def make_transactions_cheap(patches: Patches) -> None:
    """Let a copy of a table share its items, and let no update change an item that may be shared."""
    patches.set(Table, "__deepcopy__", _copy_of_table)
    patches.wrap(DynamoDBBackend, "update_item", _copying_on_write)


def change_keys(patches: Patches) -> None:
    """Let the key of a table be changed, which moto overlooks."""
    patches.wrap(DynamoHandler, "update_table", _with_its_key)


def _with_its_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_table(handler: DynamoHandler) -> Any:
        answer = original(handler)
        if specification := handler.body.get("SSESpecification"):
            handler.dynamodb_backend.get_table(handler.body["TableName"]).sse_specification = specification
        return answer

    return update_table


def make_answers_cheap(patches: Patches) -> None:
    """Let moto look for a member of DynamoDB's answers by its name, not by all that an attribute may be called."""
    patches.wrap(AttributePicker, "__call__", _by_its_name)


def _by_its_name(original: Callable[..., Any]) -> Callable[..., Any]:
    def pick(picker: AttributePicker, context: AttributePickerContext) -> Any:
        model = context.service_model
        if type(context.obj) is dict and model and model.service_name == "dynamodb":
            return context.obj.get(context.key)
        return original(picker, context)

    return pick


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
