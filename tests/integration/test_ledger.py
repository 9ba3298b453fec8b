from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.aws.ledger import ImageRecord, Ledger, TaskDefinitionRecord
from ecr_cleanup.errors import LedgerConflictError
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.settings import CheckSettings, Place

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLACE = Place("222222222222", "eu-central-1")
ARN = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
FAMILY = ARN.rpartition(":")[0]
REPOSITORY = Repository("111111111111", "eu-central-1", "team/app")
IMAGE = ImageId(REPOSITORY, "sha256:" + "a" * 64)
OTHER_IMAGE = ImageId(REPOSITORY, "sha256:" + "b" * 64)
REFERENCE = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1"


def register(ledger: Ledger, at: datetime = AT, arn: str = ARN) -> None:
    ledger.record_registration(arn, PLACE, at=at, references=[REFERENCE], image_ids=[IMAGE], now=at)


def deregister(ledger: Ledger, at: datetime = AT + HOUR, image_ids: tuple[ImageId, ...] = (IMAGE,)) -> None:
    ledger.record_deregistration(ARN, at=at, references=[REFERENCE], image_ids=image_ids)


def contents(settings: CheckSettings) -> list[dict[str, Any]]:
    items = boto3.client("dynamodb").scan(TableName=settings.ledger_table_name)["Items"]
    for item in items:
        for value in item.values():
            if "SS" in value:
                value["SS"] = sorted(value["SS"])
    return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def test_a_registration_counts_at_once(ledger: Ledger) -> None:
    register(ledger)
    (registration,) = ledger.awaiting(now=AT)
    assert (registration.arn, registration.place, registration.registered_at) == (ARN, PLACE, AT)
    assert registration.references == {REFERENCE}
    assert registration.image_ids == {IMAGE}
    assert ledger.task_definition(ARN).registered_at == AT


def test_a_deregistration_ends_it_for_good(ledger: Ledger) -> None:
    register(ledger)
    deregister(ledger)
    register(ledger)
    assert ledger.awaiting(now=AT) == []
    assert ledger.task_definition(ARN) == TaskDefinitionRecord(
        AT, AT + HOUR, AT + HOUR, frozenset({REFERENCE}), frozenset({IMAGE})
    )


def test_duplicated_reordered_and_late_events_leave_the_same_ledger(ledger: Ledger, settings: CheckSettings) -> None:
    steps: list[Callable[[Ledger], None]] = [
        register,
        deregister,
        partial(deregister, at=AT + 2 * HOUR, image_ids=(OTHER_IMAGE,)),
        lambda ledger: ledger.record_last_use(IMAGE, at=AT + HOUR),
        lambda ledger: ledger.record_last_use(IMAGE, at=AT + 2 * HOUR),
    ]
    outcomes = []
    client = boto3.client("dynamodb")
    for order in itertools.permutations(steps):
        for step in (*order, order[0]):
            step(ledger)
        outcomes.append(contents(settings))
        for item in outcomes[-1]:
            client.delete_item(TableName=settings.ledger_table_name, Key={"pk": item["pk"], "sk": item["sk"]})
    different = {len(str(outcome)): outcome for outcome in outcomes}
    assert all(outcome == outcomes[0] for outcome in outcomes), different


def test_a_deregistration_whose_registration_nobody_saw(ledger: Ledger) -> None:
    deregister(ledger)
    assert ledger.task_definition(ARN).deregistered_at == AT + HOUR
    register(ledger)
    assert ledger.awaiting(now=AT) == []
    assert ledger.task_definition(ARN).registered_at == AT


def test_a_registration_of_unknown_revision_counts_for_a_day(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_nameless_registration(
            FAMILY, "event-1", PLACE, at=AT, references=[REFERENCE], image_ids=[IMAGE], now=AT
        )
    (registration,) = ledger.awaiting(now=AT + 23 * HOUR)
    assert not registration.names_its_revision
    assert registration.image_ids == {IMAGE}
    assert ledger.awaiting(now=AT + 25 * HOUR) == []


def test_what_the_aggregator_shows_is_not_awaited(ledger: Ledger) -> None:
    register(ledger)
    ledger.forget_awaiting(ARN)
    assert ledger.awaiting(now=AT) == []
    register(ledger)
    assert ledger.awaiting(now=AT) == [], "a duplicate of the event must not bring it back"


def test_unknown_things_have_empty_records(ledger: Ledger) -> None:
    assert ledger.task_definition(ARN) == TaskDefinitionRecord()
    assert ledger.images([IMAGE]) == {IMAGE: ImageRecord()}


def test_the_last_use_only_moves_forwards(ledger: Ledger) -> None:
    for hours in (2, 1, 3, 0):
        ledger.record_last_use(IMAGE, at=AT + hours * HOUR)
    assert ledger.images([IMAGE])[IMAGE].last_used_at == AT + 3 * HOUR


def test_reads_more_records_than_one_call_gives(ledger: Ledger) -> None:
    arns = [f"{FAMILY}:{number}" for number in range(1, 251)]
    for arn in arns[::50]:
        register(ledger, arn=arn)
    records = ledger.task_definitions(arns)
    assert len(records) == 250
    assert [arn for arn, record in records.items() if record.registered_at] == arns[::50]


def test_reads_what_a_first_answer_left_unprocessed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    register(ledger)
    client = ledger._client
    answers = client.batch_get_item
    calls = []

    def first_nothing(**request: Any) -> Any:
        calls.append(request)
        if len(calls) == 1:
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
        return answers(**request)

    monkeypatch.setattr(client, "batch_get_item", first_nothing)
    assert ledger.task_definition(ARN).registered_at == AT
    assert len(calls) == 2


def test_a_removal_from_beginning_to_end(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    ledger.begin_removal(IMAGE, last_used_at=AT, at=AT + HOUR, removal='{"digest": "x"}')
    record = ledger.images([IMAGE])[IMAGE]
    assert record.removal_is_unfinished
    assert record.removal == '{"digest": "x"}'
    ledger.finish_removal(IMAGE, at=AT + 2 * HOUR)
    record = ledger.images([IMAGE])[IMAGE]
    assert not record.removal_is_unfinished
    assert record.removed_at == AT + 2 * HOUR


def test_an_abandoned_removal_leaves_no_trace(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    ledger.begin_removal(IMAGE, last_used_at=AT, at=AT, removal="{}")
    ledger.abandon_removal(IMAGE)
    assert ledger.images([IMAGE])[IMAGE] == ImageRecord(last_used_at=AT)


def test_no_removal_begins_of_an_image_that_was_used_meanwhile(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    ledger.record_last_use(IMAGE, at=AT + HOUR)
    with pytest.raises(LedgerConflictError, match="used again"):
        ledger.begin_removal(IMAGE, last_used_at=AT, at=AT + HOUR, removal="{}")
    assert ledger.images([IMAGE])[IMAGE].removal_started_at is None


def test_an_image_that_comes_back_can_be_removed_again(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    ledger.begin_removal(IMAGE, last_used_at=AT, at=AT, removal="{}")
    ledger.finish_removal(IMAGE, at=AT)
    ledger.record_last_use(IMAGE, at=AT + HOUR)
    ledger.begin_removal(IMAGE, last_used_at=AT + HOUR, at=AT + HOUR, removal="{}")
    assert ledger.images([IMAGE])[IMAGE].removal_is_unfinished


@pytest.mark.parametrize("write", [register, deregister])
def test_a_failing_table_is_not_taken_for_a_condition(ledger: Ledger, write: Callable[[Ledger], None]) -> None:
    broken = Ledger(ledger._client, "no-such-table")
    with pytest.raises(ClientError):
        write(broken)


def test_a_conflicting_transaction_is_not_taken_for_a_condition(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(**_: object) -> None:
        raise ledger._client.exceptions.TransactionCanceledException(
            {
                "Error": {"Code": "TransactionCanceledException", "Message": "busy"},
                "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
            },
            "TransactWriteItems",
        )

    monkeypatch.setattr(ledger._client, "transact_write_items", conflict)
    with pytest.raises(ClientError, match="busy"):
        register(ledger)
