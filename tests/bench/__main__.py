"""`make bench`: what the sweep, the checks and the rules cost, written to docs/benchmarks.md.

Each part can be measured by itself, `make bench PARTS="decisions 100000/1000"`: the readings are kept in
build/bench.json, and the document is made of all that are there. With the path of a checkout of
awslabs/ecr-cleanup-lambda, the comparison measures what that tool does to the same registry.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.function import run_function
from bench.place import REGION, Place, Size, local_place, pending_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENT = _ROOT / "docs/benchmarks.md"
_READINGS_FILE = _ROOT / "build/bench.json"
_SIZES = {
    f"{images}/{definitions}": Size(images, definitions)
    for images in (1_000, 10_000, 100_000)
    for definitions in (1_000, 10_000)
}
_COMPARED = Size(1_000, 1_000)
_DECISIONS = ((100_000, 10_000), (1_000_000, 100_000))
_HANDLERS = ("schedule_checks", "run_checks", "sweep", "digest")
_READINGS = 5
_IMPORT_SECONDS = 0.05
_DECISION_SECONDS, _DECISION_MB, _GROWTH = 5, 1024, 11
_RATIO, _FURTHER_CALLS = 1.1, 6
_PER_LISTING, _PER_QUERY = 1_000, 100
_SWEEP = (
    "One repository on local AWS. One image of a hundred is old and unused, as many as there are task definitions (at "
    "most nine of ten) are used, all others are five days old. *Reads* are the calls for the inventory and for the "
    "listings of repositories and images; their *lower bound* is what the page sizes of 100 rows and 1,000 images "
    "allow, with one page for each question that has fewer rows. *Further calls* are all others (ledger, schedules)."
)
_COMPARISON = (
    "{images:,} images, {used:,} of them used by task definitions of another account, {removable:,} removable. That "
    "tool keeps the newest 100 images and what runs in its own account; this module's figures are those of the sweep "
    "and the checks together. *Wrongly removed* are used images that are gone, *wrongly kept* are removable ones that "
    "are left. That tool also removes images that were pushed five days ago and never deployed, beyond the newest 100. "
    "Its `main.py` was the one that git names `{blob}`."
)
_INVENTORY = ("config.SelectAggregateResourceConfig", "config.DescribeConfigurationAggregatorSourcesStatus")
_LISTING = ("ecr.DescribeImages", "resourcegroupstaggingapi.GetResources")


@dataclass(frozen=True)
class Cost:
    """What a function did: calls by operation, questions to the aggregator, seconds, megabytes."""

    calls: dict[str, int]
    questions: int
    seconds: float
    peak_mb: float

    @property
    def reads(self) -> int:
        """Calls for the inventory and the listings."""
        return sum(self.calls.get(operation, 0) for operation in _INVENTORY + _LISTING)

    def lower_bound(self, size: Size) -> int:
        """Of those: full pages of task definitions and images, and one page for each other question."""
        definitions = math.ceil(size.definitions / _PER_QUERY)
        others = self.questions - 1 + len(("sources", "repositories"))
        return definitions + others + math.ceil(size.images / _PER_LISTING)

    def further(self, size: Size) -> float:
        """All other calls, by removable image."""
        return (sum(self.calls.values()) - self.reads) / size.removable


def sweep_and_check(place: Place) -> tuple[Cost, Cost]:
    """Sweep the registry, and make the checks that came of it a day later.

    Raises:
        SystemExit: an image that is used is gone, or one that is not is left.
    """
    swept = Cost(**run_function("sweep", None, place.environment))
    batches = pending_checks(place)
    checked = Cost(**run_function("check", batches, place.environment))
    lost, kept = _wrong(place)
    if lost:
        sys.exit(f"{lost} images are gone that are used")
    if kept:
        sys.exit(f"{kept} images are left that nothing uses")
    return swept, checked


# The parts: what each measures, as JSON


def _measure_size(size: Size) -> dict[str, Any]:
    with local_place(size) as place:
        swept, checked = sweep_and_check(place)
    return {"sweep": asdict(swept), "checks": asdict(checked)}


def _measure_decisions() -> list[dict[str, float]]:
    return [
        {"images": images, "references": references}
        | json.loads(_output("bench.decision", str(images), str(references)))
        for images, references in _DECISIONS
    ]


def _measure_imports() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        # The zip has sources only, and nothing can be written beside them.
        from_source = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": directory}
        least = {
            handler: min(float(_output("bench.imports", handler, **from_source)) for _ in range(_READINGS))
            for handler in _HANDLERS
        }
        package = Path(directory) / "package.zip"
        subprocess.run([sys.executable, _ROOT / "lambda_src/build.py", package], stdout=subprocess.DEVNULL, check=True)
        return least | {"zip": package.stat().st_size}


def _measure_comparison(checkout: Path) -> dict[str, Any]:
    source = (checkout / "main.py").read_bytes()
    with local_place(_COMPARED) as place:
        costs = sweep_and_check(place)
        ours = (sum(sum(cost.calls.values()) for cost in costs), sum(cost.seconds for cost in costs), *_wrong(place))
    with local_place(_COMPARED) as place:
        environment = {**place.environment, "REGION": REGION, "DRYRUN": "false", "IMAGES_TO_KEEP": "100"}
        told = run_function("other", str(checkout / "main.py"), environment)
        theirs = (sum(told["calls"].values()), told["seconds"], *_wrong(place))
    # As git names the content of a file, so that its version can be found.
    blob = hashlib.sha1(f"blob {len(source)}\0".encode() + source, usedforsecurity=False).hexdigest()
    return {"blob": blob, "this module": ours, "awslabs/ecr-cleanup-lambda": theirs}


# The document


def _imports(readings: Mapping[str, Any]) -> list[str]:
    of = readings["imports"]
    return [
        f"Import of a handler beyond boto3 and Powertools, from its source: the least of {_READINGS} readings.",
        "",
        f"The code of the functions is {of['zip'] / 1000:.0f} KB as a zip.",
        "",
        "| handler | milliseconds of CPU |",
        "|---|---:|",
        *(f"| `{handler}` | {of[handler] * 1000:.0f} |" for handler in _HANDLERS),
        "",
        _goal(
            f"less than {_IMPORT_SECONDS * 1000:.0f} ms",
            [f"`{handler}`" for handler in _HANDLERS if of[handler] >= _IMPORT_SECONDS],
        ),
    ]


def _decisions(readings: Mapping[str, Any]) -> list[str]:
    rows = _heads("images, references, inventory (CPU s), decisions (CPU s), with reasons in words (CPU s), peak MB")
    less, most = readings["decisions"]
    rows += [
        f"| {of['images']:,} | {of['references']:,} | {of['inventory_seconds']:.2f} | {of['decision_seconds']:.2f} "
        f"| {of['worded_seconds']:.2f} | {of['peak_mb']:.0f} |"
        for of in readings["decisions"]
    ]
    return [
        "In memory, without any call; nine images of ten go through all rules. Words are for logs and reports only.",
        "",
        *rows,
        "",
        _goal(
            "1,000,000 images in less than 5 s and 1 GiB, in at most 11 times the time of 100,000",
            [
                what
                for what, is_missed in (
                    ("seconds", most["inventory_seconds"] + most["decision_seconds"] >= _DECISION_SECONDS),
                    ("memory", most["peak_mb"] >= _DECISION_MB),
                    ("growth", most["decision_seconds"] > _GROWTH * less["decision_seconds"]),
                )
                if is_missed
            ],
        ),
    ]


def _comparison(readings: Mapping[str, Any]) -> list[str]:
    found = readings["comparison"]
    rows = ["| | calls | seconds | wrongly removed | wrongly kept |", "|---|---:|---:|---:|---:|"]
    for name in ("this module", "awslabs/ecr-cleanup-lambda"):
        calls, seconds, lost, kept = found[name]
        rows.append(f"| {name} | {calls:,} | {seconds:.1f} | {lost:,} | {kept:,} |")
    figures = {"images": _COMPARED.images, "used": _COMPARED.used, "removable": _COMPARED.removable}
    return [_COMPARISON.format(**figures, blob=found["blob"]), "", *rows]


def _sweeps(readings: Mapping[str, Any]) -> list[str]:
    columns = "images, task definitions, removable, reads, lower bound, ratio, further calls per removable image"
    rows = _heads(f"{columns}, seconds, peak MB")
    measured = {name: size for name, size in _SIZES.items() if name in readings}
    missed = []
    for name, size in measured.items():
        cost = Cost(**readings[name]["sweep"])
        bound = cost.lower_bound(size)
        if cost.reads > _RATIO * bound or cost.further(size) > _FURTHER_CALLS:
            missed.append(f"{size.images:,} / {size.definitions:,}")
        rows.append(
            f"| {size.images:,} | {size.definitions:,} | {size.removable:,} | {cost.reads:,} | {bound:,} "
            f"| {cost.reads / bound:.2f} | {cost.further(size):.1f} | {cost.seconds:.1f} | {cost.peak_mb:.0f} |"
        )
    calls = {name: readings[name]["sweep"]["calls"] for name in measured}
    operations = sorted({operation for counts in calls.values() for operation in counts})
    heads = " | ".join(f"{size.images:,} / {size.definitions:,}" for size in measured.values())
    return [
        _SWEEP,
        "",
        *rows,
        "",
        _goal("a ratio of at most 1.1, and at most 6 further calls for each removable image", missed),
        "",
        "Calls of the sweep by operation, for so many images / task definitions:",
        "",
        f"| operation | {heads} |",
        "|---|" + "---:|" * len(measured),
        *(
            f"| `{operation}` | {' | '.join(f'{counts.get(operation, 0):,}' for counts in calls.values())} |"
            for operation in operations
        ),
    ]


def _checks(readings: Mapping[str, Any]) -> list[str]:
    rows = _heads("images, task definitions, removed, calls per removed image, seconds, peak MB")
    for name, size in _SIZES.items():
        if name in readings:
            cost = Cost(**readings[name]["checks"])
            rows.append(
                f"| {size.images:,} | {size.definitions:,} | {size.removable:,} | {cost.further(size):.1f} "
                f"| {cost.seconds:.1f} | {cost.peak_mb:.0f} |"
            )
    return ["The checks that each sweep made, a day later, in batches of 100: all removable images went, no other did.",
            "", *rows]  # fmt: skip


_SECTIONS: tuple[tuple[str, tuple[str, ...], Callable[[Mapping[str, Any]], list[str]]], ...] = (
    ("The start of a function", ("imports",), _imports),
    ("The decision alone", ("decisions",), _decisions),
    ("Beside awslabs/ecr-cleanup-lambda", ("comparison",), _comparison),
    ("The sweep", tuple(_SIZES), _sweeps),
    ("The checks", tuple(_SIZES), _checks),
)


def _circumstances(readings: Collection[Mapping[str, Any]]) -> Iterator[str]:
    for machine in dict.fromkeys(found["machine"] for found in readings):
        loads = [found["load"] for found in readings if found["machine"] == machine]
        load = f"{min(loads):.1f}" if len(loads) == 1 else f"{min(loads):.1f} to {max(loads):.1f}"
        yield f"{machine}; the load of the machine was {load} when it began"


def document(readings: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, of the `reading` of each part that was measured, and when, on which `machine` and under what `load`."""
    lines = ["# Benchmarks", "", "What `make bench` measured. Written by it; do not edit.", ""]
    for title, parts, section in _SECTIONS:
        there = {part: readings[part] for part in parts if part in readings}
        lines += [f"## {title}", ""]
        if there:
            lines += [*section({part: found["reading"] for part, found in there.items()}), ""]
            lines += [f"Measured {'; '.join(_circumstances(there.values()))}.", ""]
        if missing := [part for part in parts if part not in there]:
            how = " AWSLABS=PATH, the path of a checkout," if missing == ["comparison"] else ""
            lines += [f"Not measured: {', '.join(missing)}. `make bench`{how} does it.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _goal(goal: str, missed: Sequence[str]) -> str:
    outcome = f"Not reached: {', '.join(missed)}" if missed else "Reached"
    return f"Goal: {goal}. {outcome}."


def _heads(columns: str) -> list[str]:
    names = columns.split(", ")
    return [f"| {' | '.join(names)} |", "|" + "---:|" * len(names)]


def _wrong(place: Place) -> tuple[int, int]:
    left = place.left()
    return len(place.used - left), len(place.removable & left)


def _output(*command: str, **more: str) -> str:
    environment = {**os.environ, "POWERTOOLS_SERVICE_NAME": "ecr-cleanup", **more}
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def _machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    return (
        f"on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores of {model}, Python {platform.python_version()}, "
        f"{platform.system()}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for, print it as it comes, and write the document."""
    others: dict[str, Callable[[], Any]] = {"imports": _measure_imports, "decisions": _measure_decisions}
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    known = [*others, "comparison", *_SIZES]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; default: all of them")
    parser.add_argument("--awslabs", type=Path, metavar="PATH", help="a checkout of awslabs/ecr-cleanup-lambda")
    parser.add_argument("--readings", type=Path, default=_READINGS_FILE, help="where readings are kept")
    parser.add_argument("--document", type=Path, default=_DOCUMENT, help="where to write the figures")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(known):
        parser.error(f"{min(unknown)} is no part: those are {', '.join(known)}")
    if asked.awslabs and not (asked.awslabs / "main.py").is_file():
        parser.error(f"{asked.awslabs} has no main.py: give the path of a checkout of awslabs/ecr-cleanup-lambda")
    readings = json.loads(asked.readings.read_text()) if asked.readings.exists() else {}
    asked.readings.parent.mkdir(parents=True, exist_ok=True)
    for part in asked.parts or known:
        began = {"machine": _machine(), "load": os.getloadavg()[0]}
        if part in others:
            reading = others[part]()
        elif part in _SIZES:
            reading = _measure_size(_SIZES[part])
        elif asked.awslabs:
            reading = _measure_comparison(asked.awslabs)
        else:
            print("comparison: skipped, as no path of a checkout was given (make bench AWSLABS=PATH)")
            continue
        print(f"{part}: {json.dumps(reading)}", flush=True)
        readings[part] = {**began, "reading": reading}
        asked.readings.write_text(json.dumps(readings, indent=2))
        asked.document.write_text(document(readings))


if __name__ == "__main__":
    main()
