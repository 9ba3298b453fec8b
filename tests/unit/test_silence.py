from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ecr_cleanup.aws.ledger import PlaceRecord
from ecr_cleanup.settings import Place
from ecr_cleanup.silence import silences

NOW = datetime(2030, 1, 31, tzinfo=UTC)
HERE, THERE = Place("222222222222", "eu-central-1"), Place("222222222222", "eu-west-1")
OTHER = Place("333333333333", "eu-central-1")


def ago(**duration: float) -> datetime:
    return NOW - timedelta(**duration)


def days(records: dict[Place, PlaceRecord], *deploying: str) -> dict[str, int]:
    accounts = deploying or ("222222222222", "333333333333")
    return {each.account: each.days for each in silences([HERE, THERE, OTHER], records, deploying=accounts, now=NOW)}


def test_an_account_is_heard_of_in_any_of_its_regions() -> None:
    records = {HERE: PlaceRecord(last_event_at=ago(days=40)), THERE: PlaceRecord(last_event_at=ago(days=2, hours=5))}
    assert days(records) == {"222222222222": 2}


def test_an_account_that_never_said_anything_is_silent_since_it_was_missed() -> None:
    records = {
        HERE: PlaceRecord(expected_since=ago(days=9)),
        THERE: PlaceRecord(expected_since=ago(days=3)),
        OTHER: PlaceRecord(last_event_at=ago(hours=1), expected_since=ago(days=90)),
    }
    assert list(days(records).items()) == [("222222222222", 9), ("333333333333", 0)]


def test_of_an_account_without_task_definitions_nothing_is_expected() -> None:
    records = {HERE: PlaceRecord(last_event_at=ago(days=40)), OTHER: PlaceRecord(last_event_at=ago(days=50))}
    assert days(records, "333333333333") == {"333333333333": 50}


def test_a_place_of_which_nothing_is_known_says_nothing() -> None:
    assert days({}) == {}
    assert days({HERE: PlaceRecord(active=3)}) == {"222222222222": 0}


def test_an_event_of_the_future_is_none_of_long_ago() -> None:
    assert days({HERE: PlaceRecord(last_event_at=ago(days=-2))}) == {"222222222222": 0}
