"""The function that tells people once a day what was removed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.digest_ledger import DigestLedger
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.digest import Digest, hours_to_tell_of
from ecr_cleanup.errors import DigestError
from ecr_cleanup.handlers.records import careful
from ecr_cleanup.observability import count, logger, metrics, tracer
from ecr_cleanup.settings import DigestSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

ASKS_FOR_ONE = {"version": 1, "digest": "send"}


@cache
def _settings() -> DigestSettings:
    return DigestSettings.from_environment(os.environ)


@cache
def _adapters() -> dict[str, Any]:
    client, table = clients.dynamodb_client(), _settings().ledger_table_name
    return {"ledger": Ledger(client, table), "digests": DigestLedger(client, table), "sns": clients.sns_client()}


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a message that asks for a digest: `{"version": 1, "digest": "send"}`.

    Returns:
        The messages that failed (`batchItemFailures`), which the queue then delivers again, and in the end moves to
        the dead-letter queue.
    """

    def take(record: SQSRecord) -> None:
        _check(record.body)
        _send(timedelta(milliseconds=context.get_remaining_time_in_millis()))

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=careful(take), processor=processor, context=context)


def _check(body: str) -> None:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if message != ASKS_FOR_ONE:
        raise DigestError(f"the message does not ask for a digest, as {json.dumps(ASKS_FOR_ONE)} does")


def _send(time_left: timedelta) -> None:
    """Tell of what no digest told of so far. Only a function that dies right after it told makes another tell again."""
    settings, now = _settings(), _now()
    ledger, digests = _adapters()["ledger"], _adapters()["digests"]
    leased_until = now + time_left
    sent_until = digests.claim(now=now, until=leased_until)
    hours = hours_to_tell_of(sent_until, now)
    if not hours:
        count("DigestsSent", 0)
        digests.finish(sent_until=sent_until, leased_until=leased_until)
        logger.info("digest already sent")
        return
    digest = Digest(logger.service, settings.registry_id, hours[0], hours[-1] + timedelta(hours=1))
    for hour in hours:
        for facts in ledger.removed_in(hour):
            digest.add(facts)
    told = bool(digest.images) or settings.when_nothing_was_removed
    if told:
        _adapters()["sns"].publish(TopicArn=settings.topic_arn, Subject=digest.subject, Message=digest.text)
    count("DigestsSent", int(told))
    digests.finish(sent_until=digest.until, leased_until=leased_until)
    logger.info(
        "digest sent" if told else "nothing to tell",
        extra={"since": digest.since.isoformat(), "until": digest.until.isoformat(), "images": digest.images},
    )


def _now() -> datetime:
    return datetime.now(UTC)
