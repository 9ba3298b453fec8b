from __future__ import annotations

import pytest

from safety.soak import shortcomings, soak

STEPS = 3_000
SEED = 6


# Longer than any other test, on a machine that runs others as well.
@pytest.mark.timeout(1200)
def test_whatever_happens_nothing_used_is_removed_and_in_the_end_everything_unused_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capsys.disabled():
        print(f"\nthe state machine, {STEPS} steps:")
        totals = soak(STEPS, SEED, shrink=False)
        print("\n".join(f"{count:10} {name}" for name, count in sorted(totals.items())))
    assert shortcomings(totals) == []
