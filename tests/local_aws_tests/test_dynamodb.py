from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    import boto3


@pytest.fixture
def table(shared: boto3.Session) -> Any:
    client = shared.client("dynamodb")
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName="t", Item=key("1") | {"value": {"S": "old"}})
    client.put_item(TableName="t", Item=key("2") | {"value": {"S": "old"}})
    return client


def key(sk: str) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"S": sk}}


def update(sk: str, **more: Any) -> dict[str, Any]:
    values = {":v": {"S": "new"}}
    expression = "SET #v = :v"
    return {
        "Update": {
            "TableName": "t",
            "Key": key(sk),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
            "ExpressionAttributeNames": {"#v": "value"},
        }
        | more
    }


def contents(client: Any) -> dict[str, str]:
    return {item["sk"]["S"]: item["value"]["S"] for item in client.scan(TableName="t")["Items"]}


def test_a_transaction_changes_all(table: Any) -> None:
    table.transact_write_items(
        TransactItems=[update("1"), update("3"), {"Delete": {"TableName": "t", "Key": key("2")}}]
    )
    assert contents(table) == {"1": "new", "3": "new"}


@pytest.mark.parametrize("others", [[update("1")], [update("3")], [{"Delete": {"TableName": "t", "Key": key("1")}}]])
def test_a_transaction_that_fails_changes_nothing(table: Any, others: list[Any]) -> None:
    failing = update("2", ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(ClientError, match="TransactionCanceled"):
        table.transact_write_items(TransactItems=[*others, failing])
    assert contents(table) == {"1": "old", "2": "old"}
