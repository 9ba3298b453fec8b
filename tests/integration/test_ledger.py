from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.aws.ledger import ImageRecord, Ledger, PlaceRecord, Push, TaskDefinitionRecord
from ecr_cleanup.errors import LedgerConflictError
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.manifest import Manifest, ManifestKind
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
MANIFEST = Manifest(ManifestKind.INDEX, children=(OTHER_IMAGE.digest,))
REFERENCE = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1"


def register(ledger: Ledger, at: datetime = AT, arn: str = ARN) -> None:
    ledger.record_registration(arn, PLACE, at=at, references=[REFERENCE], image_ids=[IMAGE], now=at)


def deregister(ledger: Ledger, at: datetime = AT + HOUR, image_ids: tuple[ImageId, ...] = (IMAGE,)) -> None:
    ledger.record_deregistration(ARN, at=at, references=[REFERENCE], image_ids=image_ids)


def removal(ledger: Ledger, at: datetime = AT) -> None:
    """Begin a removal of the image as it is known now."""
    ledger.begin_removal(IMAGE, record=ledger.images([IMAGE])[IMAGE], at=at, removal='{"digest": "x"}')


def image(ledger: Ledger) -> ImageRecord:
    return ledger.images([IMAGE])[IMAGE]


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
        lambda ledger: ledger.record_last_use(IMAGE, at=AT + HOUR, by=ARN),
        lambda ledger: ledger.record_last_use(IMAGE, at=AT + 2 * HOUR, by=f"{FAMILY}:8"),
    ]
    assert_order_is_nothing(steps, ledger, settings)


def test_what_checks_find_in_any_order_leaves_the_same_ledger(ledger: Ledger, settings: CheckSettings) -> None:
    of_a_place: list[Callable[[Ledger], None]] = [
        deregister,
        lambda ledger: ledger.record_count(PLACE, active=7, deregistered=1, at=AT),
        lambda ledger: ledger.record_count(PLACE, active=8, deregistered=2, at=AT + HOUR),
    ]
    assert_order_is_nothing(of_a_place, ledger, settings)
    of_an_image: list[Callable[[Ledger], None]] = [
        lambda ledger: ledger.record_last_use(IMAGE, at=AT, by=ARN),
        lambda ledger: ledger.record_watch(IMAGE, at=AT - HOUR),
        lambda ledger: ledger.record_manifest(IMAGE, MANIFEST, read_at=AT),
        lambda ledger: ledger.record_manifest(IMAGE, MANIFEST, read_at=AT + HOUR),
        lambda ledger: ledger.record_holding(IMAGE, at=AT + HOUR),
    ]
    assert_order_is_nothing(of_an_image, ledger, settings)


def assert_order_is_nothing(steps: list[Callable[[Ledger], None]], ledger: Ledger, settings: CheckSettings) -> None:
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
    client = ledger._table._client
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


def test_users_beyond_the_first_fifty_are_not_remembered_and_not_in_the_way(ledger: Ledger) -> None:
    arns = [f"{FAMILY}:{number}" for number in range(1, 53)]
    for number, arn in enumerate(arns):
        ledger.record_last_use(IMAGE, at=AT + number * HOUR, by=arn)
    assert image(ledger).used_by == set(arns[:50])
    assert image(ledger).last_used_at == AT + 51 * HOUR


def test_a_user_is_remembered_whose_event_came_late(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT + HOUR, by=ARN)
    ledger.record_last_use(IMAGE, at=AT, by=f"{FAMILY}:6")
    assert image(ledger).used_by == {ARN, f"{FAMILY}:6"}
    assert image(ledger).last_used_at == AT + HOUR


def test_a_deregistration_does_not_end_what_holds_an_image(ledger: Ledger) -> None:
    ledger.record_holding(IMAGE, at=AT)
    ledger.record_last_use(IMAGE, at=AT + HOUR, by=ARN)
    assert image(ledger) == ImageRecord(last_used_at=AT + HOUR, held=True, used_by=frozenset({ARN}))


def test_what_held_an_image_was_in_use_until_its_release(ledger: Ledger) -> None:
    ledger.record_holding(IMAGE, at=AT)
    ledger.release(IMAGE, at=AT + HOUR)
    assert image(ledger) == ImageRecord(last_used_at=AT + HOUR)


def test_a_release_that_comes_late_does_not_end_what_holds_the_image_now(ledger: Ledger) -> None:
    ledger.record_holding(IMAGE, at=AT + HOUR)
    ledger.release(IMAGE, at=AT)
    assert image(ledger) == ImageRecord(last_used_at=AT + HOUR, held=True)


def test_holding_that_was_seen_before_a_later_use_holds_all_the_same(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT + HOUR)
    ledger.record_holding(IMAGE, at=AT)
    assert image(ledger) == ImageRecord(last_used_at=AT + HOUR, held=True)


def test_watching_begins_once(ledger: Ledger) -> None:
    ledger.record_watch(IMAGE, at=AT)
    ledger.record_watch(IMAGE, at=AT + HOUR)
    assert image(ledger) == ImageRecord(watched_since=AT)


def test_a_manifest_is_kept_with_the_last_time_that_it_was_read(ledger: Ledger) -> None:
    for hours in (1, 2, 0):
        ledger.record_manifest(IMAGE, MANIFEST, read_at=AT + hours * HOUR)
    assert image(ledger) == ImageRecord(manifest=MANIFEST, manifest_read_at=AT + 2 * HOUR)


def test_a_manifest_whose_reading_counts_as_a_pull_does_not_hide_one(ledger: Ledger) -> None:
    ledger.record_manifest(IMAGE, MANIFEST, read_at=None)
    assert image(ledger) == ImageRecord(manifest=MANIFEST)
    ledger.record_manifest(OTHER_IMAGE, MANIFEST, read_at=AT)
    ledger.record_manifest(OTHER_IMAGE, MANIFEST, read_at=None)
    assert ledger.images([OTHER_IMAGE])[OTHER_IMAGE].manifest_read_at == AT


def test_the_last_time_in_the_archive_counts(ledger: Ledger) -> None:
    for hours in (1, 2, 0):
        ledger.record_archiving(IMAGE, at=AT + hours * HOUR)
    assert image(ledger) == ImageRecord(archived_at=AT + 2 * HOUR)


@pytest.mark.parametrize("still_archived", [True, False])
def test_a_release_forgets_the_archive_only_where_the_image_left_it(ledger: Ledger, still_archived: bool) -> None:
    ledger.record_archiving(IMAGE, at=AT)
    ledger.release(IMAGE, at=AT + HOUR, still_archived=still_archived)
    assert image(ledger) == ImageRecord(last_used_at=AT + HOUR, archived_at=AT if still_archived else None)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.record_last_use(IMAGE, at=AT, by=ARN),
        lambda ledger: ledger.record_holding(IMAGE, at=AT),
        lambda ledger: ledger.release(IMAGE, at=AT),
        lambda ledger: ledger.record_watch(IMAGE, at=AT),
        lambda ledger: ledger.record_manifest(IMAGE, MANIFEST, read_at=AT),
        lambda ledger: ledger.record_archiving(IMAGE, at=AT),
        removal,
    ],
)
def test_what_is_known_of_an_image_outlives_the_longest_time_in_the_archive_and_not_for_ever(
    ledger: Ledger, settings: CheckSettings, write: Callable[[Ledger], None]
) -> None:
    write(ledger)
    (item,) = contents(settings)
    expires_at = datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC)
    assert AT + timedelta(days=3650) < expires_at <= AT + timedelta(days=5000)


def test_a_removal_from_beginning_to_end(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    removal(ledger)
    assert image(ledger).removal_is_unfinished
    assert image(ledger).removal == '{"digest": "x"}'
    ledger.finish_removal(IMAGE, at=AT + 2 * HOUR, facts={})
    assert not image(ledger).removal_is_unfinished
    assert image(ledger).removed_at == AT + 2 * HOUR


def test_an_abandoned_removal_leaves_no_trace(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    removal(ledger)
    ledger.abandon_removal(IMAGE)
    assert image(ledger) == ImageRecord(last_used_at=AT)


def unchanged(ledger: Ledger) -> None:
    """Nothing happens."""


def use(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT + HOUR)


def hold(ledger: Ledger) -> None:
    # Seen by another function before the last use that is known.
    ledger.record_holding(IMAGE, at=AT - HOUR)


def watch(ledger: Ledger) -> None:
    ledger.record_watch(IMAGE, at=AT)


@pytest.mark.parametrize(
    ("before", "meanwhile"),
    [
        (unchanged, use),
        (unchanged, hold),
        (unchanged, watch),
        (lambda ledger: ledger.record_last_use(IMAGE, at=AT), use),
        (lambda ledger: ledger.record_last_use(IMAGE, at=AT), hold),
        (watch, use),
    ],
)
def test_no_removal_begins_of_an_image_that_is_not_as_it_was(
    ledger: Ledger, before: Callable[[Ledger], None], meanwhile: Callable[[Ledger], None]
) -> None:
    before(ledger)
    known = image(ledger)
    meanwhile(ledger)
    with pytest.raises(LedgerConflictError, match="used again"):
        ledger.begin_removal(IMAGE, record=known, at=AT + HOUR, removal="{}")
    assert image(ledger).removal_started_at is None


@pytest.mark.parametrize("before", [unchanged, use, hold, watch])
def test_a_removal_begins_of_an_image_that_is_as_it_was(ledger: Ledger, before: Callable[[Ledger], None]) -> None:
    before(ledger)
    removal(ledger)
    assert image(ledger).removal_is_unfinished


def test_an_image_that_comes_back_can_be_removed_again(ledger: Ledger) -> None:
    ledger.record_last_use(IMAGE, at=AT)
    removal(ledger)
    ledger.finish_removal(IMAGE, at=AT, facts={})
    ledger.record_last_use(IMAGE, at=AT + HOUR)
    removal(ledger)
    assert image(ledger).removal_is_unfinished


def test_no_removal_is_counted_beyond_the_limit(ledger: Ledger) -> None:
    assert [ledger.count_removal(now=AT, limit=2) for _ in range(4)] == [True, True, False, False]
    assert not ledger.count_removal(now=AT + HOUR, limit=0)
    assert ledger.removals(now=AT) == {AT: 2}


def test_removals_are_counted_by_the_hour_for_a_day(ledger: Ledger) -> None:
    for minutes in (0, 59, 60, 24 * 60 + 59, 25 * 60):
        assert ledger.count_removal(now=AT + timedelta(minutes=minutes), limit=500)
    day = AT + 24 * HOUR
    assert ledger.removals(now=day + timedelta(minutes=30)) == {AT: 2, AT + HOUR: 1, day: 1}
    assert ledger.removals(now=day + HOUR) == {AT + HOUR: 1, day: 1, day + HOUR: 1}


def test_hours_are_those_of_utc(ledger: Ledger) -> None:
    in_kathmandu = AT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert ledger.count_removal(now=in_kathmandu, limit=1)
    assert ledger.removals(now=AT) == {AT: 1}


def test_a_count_of_removals_is_not_kept_for_ever(ledger: Ledger, settings: CheckSettings) -> None:
    ledger.count_removal(now=AT, limit=1)
    (item,) = contents(settings)
    expires_at = datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC)
    assert AT + 25 * HOUR < expires_at < AT + timedelta(days=7)


def test_a_tag_that_nobody_was_seen_to_push_has_no_pushes(ledger: Ledger) -> None:
    ledger.record_push(REPOSITORY, "v1", IMAGE.digest, at=AT)
    other = Repository("111111111111", "eu-central-1", "team/application")
    assert ledger.pushes(other, ["v1"]) == {"v1": frozenset()}
    assert ledger.pushes(REPOSITORY, ["v2", "v1"]) == {"v2": frozenset(), "v1": frozenset({Push(AT, IMAGE.digest)})}


def test_the_same_digest_pushed_at_another_time_is_another_push(ledger: Ledger) -> None:
    for at in (AT + HOUR, AT, AT + HOUR):
        ledger.record_push(REPOSITORY, "v1", IMAGE.digest, at=at)
    assert ledger.pushes(REPOSITORY, ["v1"])["v1"] == {Push(AT, IMAGE.digest), Push(AT + HOUR, IMAGE.digest)}


def test_another_digest_pushed_at_the_same_time_is_another_push(ledger: Ledger) -> None:
    for digest in (IMAGE.digest, OTHER_IMAGE.digest):
        ledger.record_push(REPOSITORY, "v1", digest, at=AT)
    assert ledger.pushes(REPOSITORY, ["v1"])["v1"] == {Push(AT, IMAGE.digest), Push(AT, OTHER_IMAGE.digest)}


def test_a_tag_that_is_pushed_all_the_time_is_remembered_as_such_and_no_more(ledger: Ledger) -> None:
    for hours in range(8):
        ledger.record_push(REPOSITORY, "latest", IMAGE.digest, at=AT + hours * HOUR)
    assert len(ledger.pushes(REPOSITORY, ["latest"])["latest"]) == 5


def test_a_push_is_never_forgotten(ledger: Ledger, settings: CheckSettings) -> None:
    ledger.record_push(REPOSITORY, "v1", IMAGE.digest, at=AT)
    (item,) = contents(settings)
    assert "expires_at" not in item


def test_a_place_is_counted_by_what_is_known_of_it(ledger: Ledger) -> None:
    assert ledger.places() == {}
    ledger.record_count(PLACE, active=7, deregistered=0, at=AT)
    deregister(ledger)
    assert ledger.places() == {PLACE: PlaceRecord(active=7, counted_at=AT, deregistered=1, deregistered_then=0)}


def test_a_deregistration_is_counted_once_whoever_tells_of_it(ledger: Ledger) -> None:
    register(ledger)
    for hours in (1, 1, 2, 0):
        deregister(ledger, at=AT + hours * HOUR)
    assert ledger.places() == {PLACE: PlaceRecord(deregistered=1)}


def test_an_older_count_does_not_replace_a_newer_one(ledger: Ledger) -> None:
    ledger.record_count(PLACE, active=7, deregistered=2, at=AT + HOUR)
    ledger.record_count(PLACE, active=9, deregistered=1, at=AT)
    assert ledger.places() == {PLACE: PlaceRecord(active=7, counted_at=AT + HOUR, deregistered=0, deregistered_then=2)}


def test_the_images_of_a_later_deregistration_are_completed(ledger: Ledger) -> None:
    deregister(ledger)
    later = AT + 2 * HOUR
    ledger.record_deregistration(ARN, at=later, references=[REFERENCE], image_ids=[], complete=False)
    deregister(ledger, at=later, image_ids=(OTHER_IMAGE,))
    assert ledger.task_definition(ARN) == TaskDefinitionRecord(
        None, later, later, frozenset({REFERENCE}), frozenset({IMAGE, OTHER_IMAGE})
    )


@pytest.mark.parametrize("write", [register, deregister])
def test_a_failing_table_is_not_taken_for_a_condition(ledger: Ledger, write: Callable[[Ledger], None]) -> None:
    broken = Ledger(ledger._table._client, "no-such-table")
    with pytest.raises(ClientError):
        write(broken)


def test_a_conflicting_transaction_is_not_taken_for_a_condition(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(**_: object) -> None:
        raise ledger._table._client.exceptions.TransactionCanceledException(
            {
                "Error": {"Code": "TransactionCanceledException", "Message": "busy"},
                "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
            },
            "TransactWriteItems",
        )

    monkeypatch.setattr(ledger._table._client, "transact_write_items", conflict)
    with pytest.raises(ClientError, match="busy"):
        register(ledger)


FUNCTION = "arn:aws:lambda:eu-central-1:222222222222:function:resize:1#c0de"


def test_remembers_images_of_names_it_was_told_of_and_of_no_others(ledger: Ledger) -> None:
    ledger.remember_images(FUNCTION, [REFERENCE, str(IMAGE)])
    other = FUNCTION.replace("#c0de", "#c0de2")
    assert ledger.remembered_images([other, FUNCTION]) == {FUNCTION: frozenset({REFERENCE, str(IMAGE)})}
    assert ledger.remembered_images([]) == {}


def test_remembering_twice_is_remembering_once_and_the_last_time_counts(
    ledger: Ledger, settings: CheckSettings
) -> None:
    for _ in range(2):
        ledger.remember_images(FUNCTION, frozenset([REFERENCE]))
    (before,) = contents(settings)
    ledger.remember_images(FUNCTION, [str(IMAGE)])
    assert ledger.remembered_images([FUNCTION]) == {FUNCTION: frozenset({str(IMAGE)})}
    (after,) = contents(settings)
    assert (before["pk"], before["sk"]) == (after["pk"], after["sk"])


def test_remembers_many_names_at_a_time(ledger: Ledger) -> None:
    names = [f"{FUNCTION}{number}" for number in range(230)]
    for name in names:
        ledger.remember_images(name, [f"{REFERENCE}-{name[-3:]}"])
    assert ledger.remembered_images([*names, FUNCTION]) == {
        name: frozenset({f"{REFERENCE}-{name[-3:]}"}) for name in names
    }


def test_images_are_remembered_for_a_year(ledger: Ledger, settings: CheckSettings) -> None:
    ledger.remember_images(FUNCTION, [REFERENCE])
    (item,) = contents(settings)
    expires_at = datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC)
    assert abs(expires_at - datetime.now(UTC) - timedelta(days=365)) < timedelta(minutes=5)


def test_what_is_remembered_is_nothing_else(ledger: Ledger) -> None:
    ledger.remember_images(ARN, [REFERENCE])
    assert ledger.task_definition(ARN) == TaskDefinitionRecord()
    assert ledger.places() == {}


# What is told of removals, and who is heard of


def test_a_removal_is_on_record_in_the_hour_in_which_it_was_finished(ledger: Ledger) -> None:
    hour = AT.replace(minute=0, second=0, microsecond=0)
    ledger.finish_removal(IMAGE, at=hour + HOUR, facts={"action": "delete"})
    # Whoever finishes it again, since nobody knows that it was done, writes the same down.
    ledger.finish_removal(IMAGE, at=hour + HOUR + timedelta(minutes=59), facts={"action": "delete"})
    assert [list(ledger.removed_in(hour + n * HOUR)) for n in range(3)] == [[], [{"action": "delete"}], []]


def test_the_newest_event_of_a_place_counts_whatever_order_they_come_in(
    ledger: Ledger, settings: CheckSettings
) -> None:
    other = Ledger(boto3.client("dynamodb"), settings.ledger_table_name)
    for who, moment in ((ledger, AT), (other, AT + 3 * HOUR), (ledger, AT + 2 * HOUR), (other, AT - HOUR)):
        who.hear_of(PLACE, at=moment)
    assert ledger.places() == {PLACE: PlaceRecord(last_event_at=AT + 3 * HOUR)}


def test_of_many_events_of_a_place_one_in_an_hour_is_written_down(ledger: Ledger) -> None:
    ledger.hear_of(PLACE, at=AT)
    ledger.hear_of(PLACE, at=AT + timedelta(minutes=59))
    assert ledger.places()[PLACE].last_event_at == AT
    ledger.hear_of(PLACE, at=AT + HOUR)
    assert ledger.places()[PLACE].last_event_at == AT + HOUR


def test_a_place_is_missed_since_the_first_time(ledger: Ledger) -> None:
    ledger.record_count(PLACE, active=3, deregistered=0, at=AT)
    for hours in (1, 0, 2):
        ledger.expect_events_of(PLACE, since=AT + hours * HOUR)
    record = ledger.places()[PLACE]
    assert (record.expected_since, record.active) == (AT + HOUR, 3)
