"""The function that takes events of task definitions and of pushes from the events queue."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.config import Aggregator
from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.scheduler import CheckSchedules
from ecr_cleanup.errors import EventError
from ecr_cleanup.events import TaskDefinitionEvent, parse_event
from ecr_cleanup.handlers.records import careful
from ecr_cleanup.observability import count, logger, metrics, report_event, report_push, tracer
from ecr_cleanup.scheduling import CheckScheduler
from ecr_cleanup.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _settings() -> Settings:
    return Settings.from_environment(os.environ)


@cache
def _adapters() -> dict[str, Any]:
    settings = _settings()
    return {
        "registry": Registry(clients.ecr_clients(), settings.partition),
        "ledger": Ledger(clients.dynamodb_client(), settings.ledger_table_name),
        "aggregator": Aggregator(clients.config_client(), settings.aggregator_name),
        "schedules": CheckSchedules(clients.scheduler_client(), settings),
    }


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a batch of SQS messages, each with one event of EventBridge as its body.

    Returns:
        The messages that failed (`batchItemFailures`), which the queue then delivers again, and in the end moves to
        the dead-letter queue.
    """
    count("EventsReceived", len(event["Records"]))
    # A scheduler per batch: opt-in tags are read anew for each.
    scheduler = CheckScheduler(_settings(), **_adapters(), clock=_now)

    def take(record: SQSRecord) -> None:
        event = parse_event(_decode(record.body), now=_now(), partition=_settings().partition)
        if isinstance(event, TaskDefinitionEvent):
            report_event(event, scheduler.take(event))
        elif event and scheduler.take_push(event):
            report_push(event)
        else:
            count("EventsIgnored")

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=careful(take), processor=processor, context=context)


def _decode(body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        # The decoder's own message could be followed by a piece of the event.
        raise EventError("the message is not JSON") from None


def _now() -> datetime:
    return datetime.now(UTC)
