"""How results look: tables in colour that fit the terminal where there is one, and plain text in pipes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHORT_DIGEST = 19
STYLES = {"remove": "magenta", "ok": "green", "warning": "yellow", "failure": "bold red"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _is_terminal(console: Console) -> bool:
    """For Rich, it is one with FORCE_COLOR, too, which asks for colours in a pipe, and for nothing else."""
    return console.file.isatty()


class Printer:
    """Writes to standard output, or another console; what is not the result goes to standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Console(highlight=False)
        self._stderr = _Console(stderr=True, highlight=False)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """One line, however long."""
        self._console.print(Text(text, style=style or ""), soft_wrap=True)

    def raw(self, text: str) -> None:
        """A document as it is."""
        sys.stdout.write(text)
        # While somebody can still handle that nobody reads on.
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """One line that is not part of the result."""
        self._stderr.print(Text(text, style="yellow"), soft_wrap=True)

    def digest(self, digest: str) -> str:
        """All of a digest; on a terminal only as much as tells images apart: `sha256:` and twelve digits."""
        return digest[:_SHORT_DIGEST] if _is_terminal(self._console) else digest

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """A table; the columns in `right` are numbers."""
        if _is_terminal(self._console):
            self._console.print(self._table_for_terminal(columns, rows, right))
            return
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in ([column.upper() for column in columns], *rows):
            cells = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, cell, width in zip(columns, row, widths, strict=True)
            ]
            self.raw("  ".join(cells).rstrip() + "\n")

    def _table_for_terminal(self, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        return table

    @contextmanager
    def progress(self) -> Iterator[Steps]:
        """Show how far something is, on a terminal."""
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._stderr,
            transient=True,
            disable=not _is_terminal(self._stderr),
        ) as bars:
            yield Steps(bars)


class Steps:
    """What is going on, as far as somebody looks at it."""

    def __init__(self, bars: Progress | None = None) -> None:
        self._bars = bars

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        """One thing that takes a while, of so many parts if that is known."""
        if self._bars is None:
            yield Step()
            return
        task = self._bars.add_task(text, total=total)
        try:
            yield Step(self._bars, int(task))
        finally:
            self._bars.remove_task(task)


class Step:
    """A bar."""

    def __init__(self, bars: Progress | None = None, task: int = 0) -> None:
        self._bars = bars
        self._task = task

    def advance(self, text: str | None = None, by: int = 1) -> None:
        """So much more is done."""
        if self._bars is not None:
            more = {} if text is None else {"description": text}
            self._bars.update(self._task, advance=by, **more)  # type: ignore[arg-type]
