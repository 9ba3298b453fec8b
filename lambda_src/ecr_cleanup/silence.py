"""Which accounts nothing was heard of: an account can be silent because nothing happens, or because nothing arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.aws.ledger import PlaceRecord
    from ecr_cleanup.settings import Place


class Silence(NamedTuple):
    """For how many whole days no event came from an account; `last_event_at` is None where none ever did."""

    account: str
    days: int
    last_event_at: datetime | None
    expected_since: datetime | None


def silences(
    places: Iterable[Place], records: Mapping[Place, PlaceRecord], *, deploying: Collection[str], now: datetime
) -> list[Silence]:
    """How long each account was silent, in all of its places together, the longest silence first.

    Only those accounts are `deploying` that have task definitions at all: of others, no event can come.
    """
    by_account: dict[str, list[PlaceRecord]] = {}
    for place in places:
        if place.account in deploying and place in records:
            by_account.setdefault(place.account, []).append(records[place])
    found = [_silence(account, some, now) for account, some in by_account.items()]
    return sorted(found, key=lambda silence: (-silence.days, silence.account))


def _silence(account: str, records: list[PlaceRecord], now: datetime) -> Silence:
    last_event_at = max((record.last_event_at for record in records if record.last_event_at), default=None)
    expected_since = min((record.expected_since for record in records if record.expected_since), default=None)
    since = last_event_at or expected_since or now
    return Silence(account, max(0, (now - since).days), last_event_at, expected_since)
