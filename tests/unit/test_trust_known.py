"""Of which batches it is known whether the inventory can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ecr_cleanup.evidence import Finder
from ecr_cleanup.inventory import Inventory, TrustProblem

if TYPE_CHECKING:
    from ecr_cleanup.live_usage import LiveUsage

PROBLEM = TrustProblem(None, "nobody knows", "find out")
ANOTHER = TrustProblem(None, "nobody said", "ask")


def inventory(*problems: TrustProblem) -> Inventory:
    return Inventory(datetime(2030, 1, 31, tzinfo=UTC), problems)


def finder(*, asks: bool = True, **read: Inventory) -> Finder:
    """A finder that has read these of `inventory` and `running`."""
    made = Finder.__new__(Finder)
    live: LiveUsage | Any = object() if asks else None
    made.__dict__.update(read, _live_usage=live)
    return made


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (finder(), False),
        (finder(inventory=inventory()), False),
        (finder(inventory=inventory(), asks=False), True),
        (finder(inventory=inventory(PROBLEM)), True),
        (finder(inventory=inventory(), running=inventory()), True),
        (finder(inventory=inventory(), running=inventory(PROBLEM)), True),
    ],
)
def test_trust_is_known_once_all_were_asked_or_something_is_wrong(made: Finder, *, known: bool) -> None:
    assert made.trust_is_known is known


def test_the_problems_are_those_of_all_that_was_read() -> None:
    assert finder(inventory=inventory()).problems == ()
    assert finder(inventory=inventory(PROBLEM)).problems == (PROBLEM,)
    assert finder(inventory=inventory(), running=inventory(PROBLEM)).problems == (PROBLEM,)
    assert finder(inventory=inventory(ANOTHER), running=inventory(ANOTHER, PROBLEM)).problems == (ANOTHER, PROBLEM)
