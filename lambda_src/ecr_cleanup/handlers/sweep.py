"""The function that looks at all opted-in repositories, and makes a check of each image that looks unused."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from ecr_cleanup.aws import AWS_ERRORS, clients
from ecr_cleanup.aws.ledger import PlaceRecord
from ecr_cleanup.aws.sweep_ledger import SweepLedger
from ecr_cleanup.aws.tagging import opted_in_repositories
from ecr_cleanup.errors import LeasedToSameMessageError, LedgerConflictError, SweepError
from ecr_cleanup.evidence import Finder
from ecr_cleanup.handlers.adapters import Adapters
from ecr_cleanup.handlers.records import careful
from ecr_cleanup.observability import (
    count,
    logger,
    metrics,
    report_problems,
    report_silence,
    report_sweep,
    tracer,
)
from ecr_cleanup.report import report_head
from ecr_cleanup.settings import SweepSettings
from ecr_cleanup.silence import silences
from ecr_cleanup.survey import Survey
from ecr_cleanup.sweeping import SweepRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ecr_cleanup.aws.sweep_ledger import SweepPlace
    from ecr_cleanup.image import Repository
    from ecr_cleanup.report import Totals
    from ecr_cleanup.sweeping import SweepOutcome

_VERSION = 1
# The ledger has room for 400 KB an item.
_PROBLEMS_KEPT = 100
_START = "start"


@cache
def _settings() -> SweepSettings:
    return SweepSettings.from_environment(os.environ)


@cache
def _adapters() -> Adapters:
    return Adapters.of(_settings())


@cache
def _sweeps() -> SweepLedger:
    return SweepLedger(clients.dynamodb_client(), _settings().ledger_table_name)


@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Take a message that asks for a sweep: `{"version": 1, "sweep": "start"}`, or the name of one to go on with.

    Returns:
        The messages that failed (`batchItemFailures`), which the queue then delivers again, and in the end moves to
        the dead-letter queue.
    """

    def time_left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    def sweep(record: SQSRecord) -> None:
        name = sweep_to_go_on_with(record.body)
        sent_at = datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)
        _Sweep(time_left).run(name, sent_at, record.message_id)

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=careful(sweep), processor=processor, context=context)


def sweep_to_go_on_with(body: str) -> str | None:
    """The name of the sweep that a message asks to go on with; None where it asks for one to be started.

    Raises:
        SweepError: the message asks for no sweep.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    name = message.get("sweep") if isinstance(message, dict) and message.get("version") == _VERSION else None
    if not isinstance(name, str) or not name:
        raise SweepError(
            f'the message does not ask for a sweep, as {{"version": {_VERSION}, "sweep": "{_START}"}} does'
        )
    return None if name == _START else name


class _Sweep:
    """One message's run."""

    def __init__(self, time_left: Callable[[], timedelta]) -> None:
        settings, adapters = _settings(), _adapters()
        self._finder = Finder(
            settings,
            registry=adapters.registry,
            ledger=adapters.ledger,
            inventory_taker=adapters.inventory_taker,
            live_usage=adapters.live_usage,
            clock=_now,
            time_left=time_left,
        )
        self._report = None
        if settings.report_bucket:
            # Most installations have none, and start without it.
            from ecr_cleanup.aws.report_bucket import ReportBucket
            from ecr_cleanup.sweep_report import SweepReport

            bucket = ReportBucket(clients.s3_client(), settings.report_bucket, settings.report_prefix)
            self._report = SweepReport(bucket)
        failures: list[str] = []
        repositories = opted_in_repositories(clients.tagging_client, settings, failures)
        self._run = SweepRun(
            settings,
            registry=adapters.registry,
            repositories=repositories,
            survey=Survey(settings, self._finder, clock=_now, asks_accounts=adapters.live_usage is not None),
            ledger=adapters.ledger,
            sweeps=_sweeps(),
            schedules=adapters.schedules,
            report=self._report,
            clock=_now,
            time_left=time_left,
            unreadable=failures,
        )

    def run(self, sweep: str | None, asked_at: datetime, asked_by: str) -> None:
        """Sweep as far as the time goes, and see to it that the rest follows."""
        try:
            outcome = self._run.run(sweep, asked_at=asked_at, asked_by=asked_by)
        except LeasedToSameMessageError:
            # It came twice. Were it taken from the queue now, nobody would go on should the other function die.
            raise
        except LedgerConflictError as error:
            # Whoever is at it goes on to the end, or its message comes back.
            count("SweepsLeft")
            logger.info("sweep left to another", extra={"reason": str(error)})
            return
        if outcome is None:
            count("SweepsLeft")
            logger.info("sweep already finished", extra={"sweep": sweep})
            return
        if outcome.repositories is not None or self._finder.inventory_was_read:
            report_problems(self._finder.problems)
        if outcome.repositories is None:
            self._go_on_later(outcome)
        else:
            self._finish(outcome, outcome.repositories)

    def _go_on_later(self, outcome: SweepOutcome) -> None:
        place, settings = outcome.place, _settings()
        due = _adapters().schedules.continue_sweep(place.sweep, place.runs, settings.sweep_queue_arn, now=_now())
        self._run.leave()
        at = place.repository or place.done
        logger.info(
            "sweep goes on later",
            extra={"sweep": place.sweep, "runs": place.runs, "repository": str(at), "goes_on_at": due.isoformat()},
        )

    def _finish(self, outcome: SweepOutcome, repositories: Mapping[Repository, Totals]) -> None:
        place, settings = outcome.place, _settings()
        head = report_head(
            settings,
            installation=logger.service,
            generated_at=_now(),
            problems=self._finder.problems_if_read,
            asked_what_runs=settings.reader_role is not None,
            repositories=repositories,
            failures=place.failures,
        )
        # First of all, so that no report can keep the next sweep from beginning.
        self._run.finish(
            {
                **head,
                "sweep": place.sweep,
                "repositories": len(repositories),
                "problems": head["problems"][:_PROBLEMS_KEPT],
                "checks": place.checks,
            }
        )
        published = self._publish(head, place)
        report_sweep(place, repositories, published, per_repository=settings.repository_metrics)
        self._listen()

    def _listen(self) -> None:
        """Find out of which accounts nothing was heard for how long. What cannot be found out is found out tomorrow."""
        ledger, inventory, now = _adapters().ledger, self._finder.inventory, _now()
        deploying = {arn.split(":")[4] for arn in inventory.active} - _settings().quiet_accounts
        try:
            records = ledger.places()
            for place in sorted(inventory.expected):
                record = records.get(place, PlaceRecord())
                if place.account in deploying and not (record.last_event_at or record.expected_since):
                    ledger.expect_events_of(place, since=now)
                    records[place] = record._replace(expected_since=now)
            report_silence(silences(inventory.expected, records, deploying=deploying, now=now))
        except AWS_ERRORS as error:
            logger.exception("silence not known", extra={"reason": str(error)})

    def _publish(self, head: Mapping[str, Any], place: SweepPlace) -> list[str]:
        """Where the report is now; nowhere, if it cannot be written, or not whole."""
        if not self._report:
            return []
        if place.report_lost:
            logger.error("report not published", extra={"reason": f"a part of it is lost: {place.report_lost}"})
            return []
        try:
            return self._report.publish(head, place)
        except Exception as error:  # noqa: BLE001 - a page that makes no sense is no reason to sweep again
            logger.exception("report not published", extra={"reason": str(error)})
            return []


def _now() -> datetime:
    return datetime.now(UTC)
