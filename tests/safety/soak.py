"""Runs the state machine for as many steps as wanted, and the fuzz with as many inputs: python -m safety.soak.

Each round has a seed, which is printed with what the round did. A round that fails says what happened, the shortest
way to it that was found, and how to have it again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

if TYPE_CHECKING:
    from collections.abc import Sequence

# Powertools reads it when it is imported.
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "ecr-cleanup")

from safety.fuzz import FUZZES, fuzz
from safety.machine import Safety

EXAMPLES = 20
# Short stories are found quickly, and long ones are where things come together. They cost four times as much a step,
# since whatever there is has to be swept.
LENGTHS = (40, 40, 40, 40, 60, 80)
# A run in which little is removed, or few rules speak, proves little.
REMOVED_PER_STEP = 1 / 100
BOTH = ("on", "off")
VERDICTS = (
    "verdict remove: unused",
    "verdict gone: gone",
    "verdict keep: in_use",
    "verdict keep: not_opted_in",
    "verdict keep: may_be_pinned",
    "verdict keep: not_an_image",
    "verdict keep: newest",
    "verdict postpone: inventory_not_trusted",
    "verdict postpone: within_grace_period",
    "verdict postpone: too_young",
)
VERDICTS_OF = {
    "on": (
        "untagged images removed",
        "images removed although a tag that can move is used",
        "kept for what runs alone",
        "postponed since a place could not be read",
    ),
    "off": ("verdict keep: untagged",),
}


def run(number: int, length: int, examples: int = EXAMPLES, *, live: str = "both", shrink: bool = True) -> Counter[str]:
    """One round: so many stories of so many steps, from this seed. Returns what happened, counted.

    `live` is whether live usage is `on`, `off`, or either, as each story has it (`both`). A story that fails is told in
    as few steps as can be found in five minutes, unless `shrink` says no.
    """
    Safety.totals.clear()
    machine = seed(number)(type("Safety", (Safety,), {"live": live}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=length,
            database=None,
            deadline=None,
            print_blob=False,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Counter(Safety.totals)


def shortcomings(totals: Counter[str], live: str = "both") -> list[str]:
    """Why a run proves too little, with live usage `on`, `off`, or `both`."""
    missing = [
        f"no {what} with live usage {mode}"
        for mode in (BOTH if live == "both" else (live,))
        for what in (*VERDICTS, *VERDICTS_OF[mode])
        if not totals[f"live usage {mode}, {what}"]
    ]
    removed, steps = totals["images removed"], totals["steps"]
    if removed < steps * REMOVED_PER_STEP:
        missing.append(f"only {removed} images removed in {steps} steps")
    return missing


def soak(
    steps: int, first_seed: int, *, live: str = "both", lengths: Sequence[int] = LENGTHS, shrink: bool = True
) -> Counter[str]:
    """Rounds until so many steps are done, each of stories of one of these lengths."""
    totals: Counter[str] = Counter()
    number = first_seed
    while totals["steps"] < steps:
        began = time.perf_counter()
        try:
            done = run(number, lengths[number % len(lengths)], live=live, shrink=shrink)
        except BaseException:
            steps = totals["steps"] + Safety.totals["steps"]
            print(
                f"seed {number} FAILED after {steps} steps; again: make soak STEPS=1 SEED={number} LIVE={live} "
                f"LENGTH={lengths[number % len(lengths)]}",
                flush=True,
            )
            raise
        totals += done
        took = time.perf_counter() - began
        print(
            f"seed {number}: {done['steps']} steps, {done['images removed']} images removed, {took:.0f} s; "
            f"{totals['steps']} steps in all",
            flush=True,
        )
        number += 1
    return totals


def main() -> int:
    """Soak, then fuzz; the exit code says whether both held and proved something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", choices=("on", "off", "both"), default="both", help="whether live usage is on")
    parser.add_argument("--length", type=int, help="how many steps a story has, instead of one of many lengths")
    parser.add_argument("--quick", action="store_true", help="do not look for the shortest way to what failed")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; seed {arguments.seed}")
    lengths = (arguments.length,) if arguments.length else LENGTHS
    totals = soak(arguments.steps, arguments.seed, live=arguments.live, lengths=lengths, shrink=not arguments.quick)
    for name, count in sorted(totals.items()):
        print(f"{count:10} {name}")
    missing = shortcomings(totals, arguments.live) if arguments.steps >= EXAMPLES * LENGTHS[-1] else []
    for each in missing:
        print(f"This proves too little: {each}")
    for name in FUZZES:
        done = fuzz(name, arguments.inputs // len(FUZZES), arguments.seed)
        print(f"{done:10} inputs to {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
