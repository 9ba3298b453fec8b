"""What both functions do around each record of a batch."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from ecr_cleanup.errors import InputError
from ecr_cleanup.observability import count, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord


def careful(handle: Callable[[SQSRecord], None]) -> Callable[[SQSRecord], None]:
    """Say why a record failed, and let it fail alone: the queue retries it and gives it to a person in the end.

    The record itself is never logged, since container definitions carry secrets.
    """

    @wraps(handle)
    def handle_carefully(record: SQSRecord) -> None:
        with logger.append_context_keys(
            message_id=record.message_id, delivery=record.attributes.approximate_receive_count
        ):
            try:
                handle(record)
            except InputError as error:
                count("RecordsRefused")
                logger.error("record refused", extra={"error": type(error).__name__, "reason": str(error)})
                raise
            except Exception:
                count("RecordsFailed")
                logger.exception("record failed")
                raise

    return handle_carefully
