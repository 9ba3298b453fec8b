"""What the ledger keeps of digests: up to when removals were told of, and who is about to tell of more.

pk        sk       what
DIGEST    STATE    sent_until, leased_until
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.aws.ledger_table import LedgerTable, Update, Value, time
from ecr_cleanup.errors import LedgerConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_DIGEST = "DIGEST"


class DigestLedger:
    """Lets one function at a time send a digest, and remembers what was sent.

    All methods raise botocore's `ClientError` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._table = LedgerTable(client, table_name)

    def claim(self, *, now: datetime, until: datetime) -> datetime | None:
        """Nobody else sends a digest before `until`. Gives the moment up to which removals were told of, if any were.

        Raises:
            LedgerConflictError: somebody is at it.
        """
        values: dict[str, Value] = {"now": now, "until": until}
        free = "attribute_not_exists(leased_until) OR leased_until <= :now"
        if not self._table.update(Update(_DIGEST, "SET leased_until = :until", values, free)):
            raise LedgerConflictError("a digest is being sent by another function")
        return time(self._table.get({_DIGEST: _DIGEST})[_DIGEST], "sent_until")

    def finish(self, *, sent_until: datetime, leased_until: datetime) -> None:
        """Everybody was told of the removals before `sent_until`.

        Raises:
            LedgerConflictError: somebody else took over.
        """
        values: dict[str, Value] = {"sent": sent_until, "until": leased_until}
        expression = "SET sent_until = :sent REMOVE leased_until"
        if not self._table.update(Update(_DIGEST, expression, values, "leased_until = :until")):
            raise LedgerConflictError("another function sent a digest meanwhile")
