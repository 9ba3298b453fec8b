from __future__ import annotations

from typing import TYPE_CHECKING

from safety.soak import shortcomings, soak

if TYPE_CHECKING:
    import pytest

STEPS = 3_000
SEED = 5


def test_whatever_happens_nothing_used_is_removed_and_in_the_end_everything_unused_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capsys.disabled():
        print(f"\nthe state machine, {STEPS} steps:")
        totals = soak(STEPS, SEED, shrink=False)
        print("\n".join(f"{count:10} {name}" for name, count in sorted(totals.items())))
    assert shortcomings(totals) == []
