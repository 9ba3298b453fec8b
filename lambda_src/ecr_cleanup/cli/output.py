"""How reports are shown in a terminal, and written for other programs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from ecr_cleanup.report import dollars_a_month

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

_COLUMNS = (
    "repository",
    "region",
    "digest",
    "tags",
    "bytes",
    "pushed_at",
    "pulled_at",
    "last_used_at",
    "archived",
    "verdict",
    "rule",
    "reason",
    "certain",
    "accounts",
)
_VERDICTS = {"remove": ("would go", "magenta"), "keep": ("stays", "green"), "postpone": ("waits", "yellow")}


def size(size_bytes: int) -> str:
    """A size as people read it, decimal as ECR bills it."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size_bytes >= factor:
            number = size_bytes / factor
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{size_bytes} B"


def money(size_bytes: int) -> str:
    """What so much storage costs in a month."""
    return f"${dollars_a_month(size_bytes):,.2f}"


def as_csv(report: Mapping[str, Any]) -> str:
    """The images of a report, one a line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for image in report["images"]:
        values = (image[name] for name in _COLUMNS)
        writer.writerow(" ".join(value) if isinstance(value, list) else value for value in values)
    return stream.getvalue()


def show_plan(console: Console, report: Mapping[str, Any], *, limit: int) -> None:
    """A report as tables: the repositories, the images that would go first, and what keeps the others."""
    totals = report["totals"]
    table = Table(title="Repositories", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in ("Repository", "Images", "Stored", "Would go", "Size", "A month"):
        table.add_column(name, justify="left" if name == "Repository" else "right", overflow="fold")
    for each in sorted(report["repositories"], key=lambda it: (-it["reclaimable_bytes"], it["repository"])):
        table.add_row(
            each["repository"],
            f"{each['images']:,}",
            size(each["bytes"]),
            f"{each['reclaimable_images']:,}",
            size(each["reclaimable_bytes"]),
            money(each["reclaimable_bytes"]),
        )
    console.print(table)
    if report["images"]:
        console.print(_images(report["images"], limit))
    _say_what_keeps(console, report["kept_by_rule"])
    _say_what_is_not_known(console, report)
    console.print(
        f"[bold]{totals['reclaimable_images']:,} of {totals['images']:,} images would go[/]: at most "
        f"{size(totals['reclaimable_bytes'])} of {size(totals['bytes'])}, {money(totals['reclaimable_bytes'])} a month "
        "(layers that images share are counted with each).",
        highlight=False,
    )


def _images(images: list[Mapping[str, Any]], limit: int) -> Table:
    table = Table(title="Images", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("Image", overflow="fold", ratio=3)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold", ratio=5)
    for image in images[:limit]:
        text, style = _VERDICTS[image["verdict"]]
        name = image["tags"][0] if image["tags"] else image["digest"][:19]
        more = f" (+{len(image['tags']) - 1})" if len(image["tags"]) > 1 else ""
        mark = "" if image["certain"] else "?"
        table.add_row(
            f"{image['repository']}{':' if image['tags'] else '@'}{name}{more}",
            Text(f"{text}{mark}", style=style),
            size(image["bytes"]),
            Text(image["reason"]),
        )
    if len(images) > limit:
        table.caption = f"{len(images) - limit:,} more: --limit, or --output csv"
        table.caption_justify = "left"
    return table


def _say_what_keeps(console: Console, kept: Iterable[Mapping[str, Any]]) -> None:
    parts = [f"{each['rule']} {each['images']:,} ({size(each['bytes'])})" for each in kept]
    if parts:
        console.print(f"What keeps the others: {', '.join(parts)}.", highlight=False)


def _say_what_is_not_known(console: Console, report: Mapping[str, Any]) -> None:
    if not report["asked_what_runs"]:
        console.print(
            "What runs in the accounts was not asked: only the functions can. What would go but runs somewhere stays.",
            highlight=False,
        )
    for problem in report["problems"]:
        place = "/".join(filter(None, (problem["account"], problem["region"])))
        console.print(
            Text(f"Not trusted: {place + ': ' if place else ''}{problem['reason']} ({problem['repair']})", "red")
        )
    if report["problems"]:
        console.print("While this is so, nothing is removed.", style="red")
