from __future__ import annotations

import pytest

from safety.fuzz import FUZZES, fuzz

INPUTS = 10_000
SEED = 1


@pytest.mark.parametrize("name", FUZZES)
def test_no_input_raises_anything_but_the_documented_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = fuzz(name, INPUTS // len(FUZZES), SEED)
    assert given == INPUTS // len(FUZZES)
    with capsys.disabled():
        print(f"\n{given} inputs to {name}, seed {SEED}")
