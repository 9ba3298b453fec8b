"""The function that takes due image deletion checks from the check queue."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from ecr_cleanup.aws import AWS_ERRORS, clients
from ecr_cleanup.aws.event_bus import EventBus
from ecr_cleanup.check import Check
from ecr_cleanup.checking import CheckRun
from ecr_cleanup.errors import CheckError
from ecr_cleanup.handlers.adapters import Adapters
from ecr_cleanup.handlers.records import careful
from ecr_cleanup.observability import count, logger, metrics, report_answer, report_problems, tracer
from ecr_cleanup.settings import Action, CheckSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ecr_cleanup.aws.ecr import Registry


@cache
def _settings() -> CheckSettings:
    return CheckSettings.from_environment(os.environ)


@cache
def _adapters() -> dict[str, Any]:
    settings = _settings()
    adapters = Adapters.of(settings)
    if settings.action is not Action.REPORT:
        _exclude_own_pulls(settings, adapters.registry)
    return {
        "registry": adapters.registry,
        "ledger": adapters.ledger,
        "inventory_taker": adapters.inventory_taker,
        "schedules": adapters.schedules,
        "event_bus": EventBus(clients.events_client(), settings.event_bus_name),
        "live_usage": adapters.live_usage,
    }


def _exclude_own_pulls(settings: CheckSettings, registry: Registry) -> None:
    """Let the registry not take our reading of manifests for pulls, where it can."""
    for region in sorted(settings.registry_regions):
        try:
            registry.exclude_from_pull_times(region, settings.function_role_arn)
        except AWS_ERRORS as error:
            logger.warning("own pulls are not excluded", extra={"registry_region": region, "reason": str(error)})


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a batch of SQS messages, each with one check as its body.

    Returns:
        The messages that failed (`batchItemFailures`), which the queue then delivers again, and in the end moves to
        the dead-letter queue.
    """
    count("ChecksReceived", len(event["Records"]))

    def time_left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    run = CheckRun(_settings(), **_adapters(), clock=_now, time_left=time_left)

    def answer(record: SQSRecord) -> None:
        report_answer(run.answer(Check.from_json(record.body)))

    run.prepare(_readable_checks(event))
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    response = process_partial_response(
        event=event, record_handler=careful(answer), processor=processor, context=context
    )
    if run.trust_is_known:
        report_problems(run.problems_if_read)
    return response


def _readable_checks(event: dict[str, Any]) -> Iterator[Check]:
    """Those records that are checks. The others fail one by one, later, when it is their turn."""
    for record in event["Records"]:
        try:
            yield Check.from_json(record["body"])
        except CheckError:
            continue


def _now() -> datetime:
    return datetime.now(UTC)
