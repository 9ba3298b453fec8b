"""`make bench`: what the sweep, the checks and the rules cost, written to docs/benchmarks.md.

With the path of a checkout of awslabs/ecr-cleanup-lambda, also what that tool does to the same registry.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.function import run_function
from bench.place import REGION, Place, Size, local_place, pending_checks

_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENT = _ROOT / "docs/benchmarks.md"
_SIZES = tuple(Size(images, definitions) for images in (1_000, 10_000, 100_000) for definitions in (1_000, 10_000))
_COMPARED = Size(1_000, 1_000)
_DECISIONS = ((100_000, 10_000), (1_000_000, 100_000))
_HANDLERS = ("schedule_checks", "run_checks", "sweep")
_READINGS = 5
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
    "are left. That tool also removes images that were pushed five days ago and never deployed, beyond the newest 100."
)
_INVENTORY = ("config.SelectAggregateResourceConfig", "config.DescribeConfigurationAggregatorSourcesStatus")
_LISTING = ("ecr.DescribeImages", "resourcegroupstaggingapi.GetResources")


@dataclass(frozen=True)
class Cost:
    """What a function did: calls by operation, seconds, megabytes."""

    size: Size
    calls: dict[str, int]
    questions: int
    seconds: float
    peak_mb: float

    @classmethod
    def of(cls, size: Size, told: dict[str, Any]) -> Cost:
        return cls(size, told["calls"], told["questions"], told["seconds"], told["peak_mb"])

    @property
    def reads(self) -> int:
        """Calls for the inventory and the listings."""
        return sum(self.calls.get(operation, 0) for operation in _INVENTORY + _LISTING)

    @property
    def lower_bound(self) -> int:
        """Of those: full pages of task definitions and images, and one page for each other question."""
        definitions = math.ceil(self.size.definitions / _PER_QUERY)
        others = self.questions - 1 + len(("sources", "repositories"))
        return definitions + others + math.ceil(self.size.images / _PER_LISTING)

    @property
    def further(self) -> float:
        """All other calls, by removable image."""
        return (sum(self.calls.values()) - self.reads) / self.size.removable


def sweep_and_check(place: Place, size: Size) -> tuple[Cost, Cost]:
    """Sweep the registry, and make the checks that came of it a day later.

    Raises:
        SystemExit: an image that is used is gone, or one that is not is left.
    """
    swept = Cost.of(size, run_function("sweep", None, place.environment))
    batches = pending_checks(place)
    checked = Cost.of(size, run_function("check", batches, place.environment))
    left = place.left()
    if lost := place.used - left:
        sys.exit(f"{len(lost)} images are gone that are used")
    if kept := place.removable & left:
        sys.exit(f"{len(kept)} images are left that nothing uses")
    return swept, checked


def _sweeps(sizes: tuple[Size, ...]) -> list[str]:
    columns = "images, task definitions, removable, reads, lower bound, ratio, further calls per removable image"
    rows = _heads(f"{columns}, seconds, peak MB")
    checks = _heads("images, task definitions, removed, calls per removed image, seconds, peak MB")
    calls: dict[str, list[str]] = {}
    for number, size in enumerate(sizes):
        with local_place(size) as place:
            swept, checked = sweep_and_check(place, size)
        rows.append(
            f"| {size.images:,} | {size.definitions:,} | {size.removable:,} | {swept.reads:,} | {swept.lower_bound:,} "
            f"| {swept.reads / swept.lower_bound:.2f} | {swept.further:.1f} | {swept.seconds:.1f} "
            f"| {swept.peak_mb:.0f} |"
        )
        checks.append(
            f"| {size.images:,} | {size.definitions:,} | {size.removable:,} | {checked.further:.1f} "
            f"| {checked.seconds:.1f} | {checked.peak_mb:.0f} |"
        )
        for operation, count in swept.calls.items():
            calls.setdefault(operation, ["0"] * len(sizes))[number] = f"{count:,}"
        print(rows[-1], flush=True)
    heads = " | ".join(f"{size.images:,} / {size.definitions:,}" for size in sizes)
    operations = [f"| operation | {heads} |", "|---|" + "---:|" * len(sizes)]
    operations += [f"| `{name}` | {' | '.join(counts)} |" for name, counts in sorted(calls.items())]
    return [
        "## The sweep",
        "",
        _SWEEP,
        "",
        *rows,
        "",
        "Calls of the sweep by operation, for so many images / task definitions:",
        "",
        *operations,
        "",
        "## The checks",
        "",
        "The checks that each sweep made, a day later, in batches of 100: all removable images went, no other did.",
        "",
        *checks,
        "",
    ]


def _decisions() -> list[str]:
    rows = _heads("images, references, inventory (CPU s), decisions (CPU s), with reasons in words (CPU s), peak MB")
    for images, references in _DECISIONS:
        cost = json.loads(_output("bench.decision", str(images), str(references)))
        rows.append(
            f"| {images:,} | {references:,} | {cost['inventory_seconds']:.2f} | {cost['decision_seconds']:.2f} "
            f"| {cost['worded_seconds']:.2f} | {cost['peak_mb']:.0f} |"
        )
        print(rows[-1], flush=True)
    return ["## The decision alone", "", "In memory, without any call; nine images of ten go through all rules.", "",
            *rows, ""]  # fmt: skip


def _imports() -> list[str]:
    rows = ["| handler | milliseconds of CPU |", "|---|---:|"]
    for handler in _HANDLERS:
        least = min(float(_output("bench.imports", handler)) for _ in range(_READINGS))
        rows.append(f"| `{handler}` | {least * 1000:.0f} |")
        print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "package.zip"
        subprocess.run([sys.executable, _ROOT / "lambda_src/build.py", package], stdout=subprocess.DEVNULL, check=True)
        size = package.stat().st_size / 1000
    return [
        "## The start of a function",
        "",
        f"Import of a handler beyond boto3 and Powertools, the least of {_READINGS} readings.",
        "",
        f"The code of the functions is {size:.0f} KB as a zip.",
        "",
        *rows,
        "",
    ]


def _comparison(checkout: Path | None) -> list[str]:
    title = ["## Beside awslabs/ecr-cleanup-lambda", ""]
    if checkout is None:
        print("awslabs/ecr-cleanup-lambda: skipped, since no path of a checkout was given (make bench AWSLABS=PATH)")
        return [*title, "Not measured: `make bench AWSLABS=PATH`, with the path of a checkout, does it.", ""]
    with local_place(_COMPARED) as place:
        swept, checked = sweep_and_check(place, _COMPARED)
        calls = sum(swept.calls.values()) + sum(checked.calls.values())
        ours = (calls, swept.seconds + checked.seconds, *_wrong(place))
    with local_place(_COMPARED) as place:
        environment = {**place.environment, "REGION": REGION, "DRYRUN": "false", "IMAGES_TO_KEEP": "100"}
        told = run_function("other", str(checkout / "main.py"), environment)
        theirs = (sum(told["calls"].values()), told["seconds"], *_wrong(place))
    rows = ["| | calls | seconds | wrongly removed | wrongly kept |", "|---|---:|---:|---:|---:|"]
    for name, (count, seconds, lost, kept) in (("this module", ours), ("awslabs/ecr-cleanup-lambda", theirs)):
        rows.append(f"| {name} | {count:,} | {seconds:.1f} | {lost:,} | {kept:,} |")
        print(rows[-1])
    return [
        *title,
        _COMPARISON.format(images=_COMPARED.images, used=_COMPARED.used, removable=_COMPARED.removable),
        "",
        *rows,
        "",
    ]


def _heads(columns: str) -> list[str]:
    names = columns.split(", ")
    return [f"| {' | '.join(names)} |", "|" + "---:|" * len(names)]


def _wrong(place: Place) -> tuple[int, int]:
    left = place.left()
    return len(place.used - left), len(place.removable & left)


def _output(*command: str) -> str:
    environment = {**os.environ, "POWERTOOLS_SERVICE_NAME": "ecr-cleanup"}
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def _machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {model}, Python {platform.python_version()}, "
        f"{platform.system()}; the load of the machine was {load:.1f} when it began."
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure everything, print it as it comes, and write the document."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, help="a checkout of awslabs/ecr-cleanup-lambda")
    parser.add_argument("--largest", type=int, default=100_000, help="leave out registries with more images than this")
    parser.add_argument("--document", type=Path, default=_DOCUMENT, help="where to write the figures")
    asked = parser.parse_args(arguments)
    if asked.checkout and not (asked.checkout / "main.py").is_file():
        parser.error(f"{asked.checkout} has no main.py: give the path of a checkout of awslabs/ecr-cleanup-lambda")
    sizes = tuple(size for size in _SIZES if size.images <= asked.largest)
    if not sizes:
        parser.error(f"--largest is {asked.largest}, but the smallest registry has {_SIZES[0].images} images")
    machine, started = _machine(), time.perf_counter()
    print(machine)
    parts = [_imports(), _decisions(), _comparison(asked.checkout), _sweeps(sizes)]
    head = ["# Benchmarks", "", "What `make bench` measured. Written by it; do not edit.", "", machine, ""]
    if len(sizes) < len(_SIZES):
        head += [f"Registries of more than {asked.largest:,} images were left out (`--largest`).", ""]
    asked.document.write_text("\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n")
    print(f"{asked.document}: written after {(time.perf_counter() - started) / 60:.0f} min")


if __name__ == "__main__":
    main()
