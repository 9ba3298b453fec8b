"""What Lambda gives to a handler, and the ledger that it needs: for tests that call handlers themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fakes import REGION, SHARED
from function_environment import ENVIRONMENT

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass
class Context:
    """What Lambda tells a function of itself."""

    function_name: str = "ecr-cleanup-test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{SHARED}:function:ecr-cleanup-test"
    aws_request_id: str = "5b0f3d0c-45ab-4b1c-a3ed-4e4cf5f0a0cb"
    remaining: timedelta = timedelta(minutes=15)

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining.total_seconds() * 1000)


def batch(*bodies: str, sent_at: datetime | None = None) -> dict[str, Any]:
    """The event with messages of these bodies; sent long ago, unless the test says when."""
    return {"Records": [record(number, body, sent_at=sent_at) for number, body in enumerate(bodies)]}


def record(number: int, body: str, *, receives: int = 1, sent_at: datetime | None = None) -> dict[str, Any]:
    """A message of a queue, as the event source mapping hands it over."""
    sent = int(sent_at.timestamp() * 1000) if sent_at else 1545082649183
    return {
        "messageId": f"message-{number}",
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": str(sent)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": ENVIRONMENT["CHECK_QUEUE_ARN"],
        "awsRegion": REGION,
    }


def create_ledger_table(client: DynamoDBClient) -> None:
    """The table as the Terraform module makes it."""
    client.create_table(
        TableName=ENVIRONMENT["LEDGER_TABLE_NAME"],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
