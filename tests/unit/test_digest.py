from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecr_cleanup.digest import Digest, hours_to_tell_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2030, 1, 31, 7, 1, 2, tzinfo=UTC)
SIX, SEVEN = NOW.replace(hour=6, minute=0, second=0), NOW.replace(hour=7, minute=0, second=0)
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
MOST_BYTES, LONGEST_SUBJECT = 262_144, 100


def facts(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "region": "eu-central-1",
        "repository": "team/app",
        "digest": f"sha256:{number:064}",
        "sizeBytes": 50_000_000,
        "action": "delete",
        "tags": ["v1"],
        "reason": "nobody uses it",
        **changes,
    }


def digest(*removals: dict[str, Any]) -> Digest:
    made = Digest("ecr-cleanup", "111111111111", SIX - DAY, SIX)
    for removal in removals:
        made.add(removal)
    return made


# Which hours


def test_the_first_digest_is_of_the_last_day() -> None:
    hours = hours_to_tell_of(None, NOW)
    # What was decided just before seven may not be written down by now.
    assert (len(hours), hours[0], hours[-1]) == (24, SIX - DAY, SIX - HOUR)


def test_an_hour_is_told_of_when_it_is_surely_written_down() -> None:
    assert hours_to_tell_of(SIX, NOW) == []
    assert hours_to_tell_of(SIX, NOW + timedelta(minutes=4)) == [SIX]
    assert hours_to_tell_of(SEVEN, NOW + timedelta(minutes=4)) == []
    assert hours_to_tell_of(SEVEN, NOW) == []


def test_each_hour_is_told_of_once_however_digests_are_spread() -> None:
    told: list[datetime] = []
    sent_until = SIX
    for minutes in (0, 3, 64, 65, 500, 501, 5000):
        hours = hours_to_tell_of(sent_until, NOW + timedelta(minutes=minutes))
        told += hours
        if hours:
            sent_until = hours[-1] + HOUR
    assert told == [SIX + n * HOUR for n in range(len(told))]
    assert len(told) == (NOW + timedelta(minutes=5000) - SIX) // HOUR


def test_nobody_reads_a_year_of_hours() -> None:
    hours = hours_to_tell_of(SIX - 365 * DAY, NOW)
    assert (len(hours), hours[-1]) == (31 * 24, SIX - HOUR)


# What it says


def test_says_what_went_and_what_that_saves() -> None:
    made = digest(facts(1), facts(2, repository="other"), facts(3, action="archive", tags=[]))
    assert made.subject == "ecr-cleanup: 1 image archived, 2 images deleted"
    assert made.text.splitlines()[0] == (
        "What ecr-cleanup removed in account 111111111111 from 2030-01-30 06:00 to 2030-01-31 06:00 UTC: 1 image "
        "archived, 2 images deleted. The deleted ones had 100.0 MB, at most $0.01 a month; layers that others share "
        "are counted in."
    )
    assert "eu-central-1/team/app: 1 image archived, 1 image deleted\neu-central-1/other: 1 image deleted" in made.text
    assert f"deleted eu-central-1/team/app (v1) sha256:{1:064}, 50.0 MB: nobody uses it\n" in made.text
    assert f"archived eu-central-1/team/app (no tag) sha256:{3:064}" in made.text


def test_what_was_archived_saves_nothing() -> None:
    assert "$" not in digest(facts(action="archive")).text


def test_says_that_nothing_went() -> None:
    assert digest().subject == "ecr-cleanup: nothing was removed"
    assert digest().text.endswith("UTC: nothing.\n")


def test_an_image_that_is_on_record_twice_went_once() -> None:
    assert digest(facts(1), facts(1)).images == 1
    # It can be archived and, months later, deleted.
    assert digest(facts(1), facts(1, action="archive")).images == 2


@pytest.mark.parametrize("count", [1, 100, 101, 20_000])
def test_is_never_too_long_whatever_went(count: int) -> None:
    made = digest(
        *(
            facts(n, repository=f"{n % 300:03}/" + "r" * 250, tags=["t" * 128] * 5, reason="\u00e4" * 300)
            for n in range(count)
        )
    )
    assert made.images == count
    assert len(made.text.encode()) < MOST_BYTES // 2
    assert (f"and {count - 100:,} more" in made.text) is (count > 100)
    assert len(made.subject) <= LONGEST_SUBJECT
    assert made.subject.isascii()


def test_no_name_or_reason_makes_lines_of_its_own() -> None:
    made = digest(facts(reason="nobody\n\nALARM: click here", tags=["a\nb"]))
    (line,) = (line for line in made.text.splitlines() if "click here" in line)
    assert line.startswith("deleted eu-central-1/team/app (a b)")


def test_the_subject_of_an_installation_with_a_long_name_is_cut() -> None:
    assert len(Digest("a" * 200, "111111111111", SIX, SEVEN).subject) == LONGEST_SUBJECT
