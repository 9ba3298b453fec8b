"""Terminals, pipes and colours."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

import ecr_cleanup.cli
from ecr_cleanup.cli import output
from ecr_cleanup.cli.output import Printer, Steps, dollars, size

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from integration.bench import Bench


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Printer, io.StringIO, io.StringIO]:
    """A printer on a terminal of 60 columns."""
    out, err = io.StringIO(), io.StringIO()

    def console(*, stderr: bool = False, highlight: bool = True) -> Console:
        file = err if stderr else out
        return Console(file=file, force_terminal=True, width=60, highlight=highlight, color_system="standard")

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(output, "Console", console)
    return Printer(), out, err


def test_sizes_are_counted_as_prices_are() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_500_000, 2_000_000_000, 3 * 10**18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 MB",
        "2.0 GB",
        "3000.0 PB",
    ]
    assert dollars(1234.5) == "$1,234.50"


def test_a_table_fits_the_terminal_and_has_colours(terminal: tuple[Printer, io.StringIO, io.StringIO]) -> None:
    printer, out, _ = terminal
    printer.table(["Status", "Number", "Text"], [["failure", "1", "word " * 30]], right=["Number"])
    lines = out.getvalue().splitlines()
    assert len(lines) > 4
    assert "\x1b[" in out.getvalue()


def test_a_terminal_gets_short_digests(terminal: tuple[Printer, io.StringIO, io.StringIO]) -> None:
    assert terminal[0].digest(f"sha256:{'a' * 64}") == f"sha256:{'a' * 12}"


def test_progress_is_shown_on_the_error_stream_of_a_terminal(
    terminal: tuple[Printer, io.StringIO, io.StringIO],
) -> None:
    printer, out, err = terminal
    with printer.progress() as steps, steps.step("Repositories", 2) as step:
        step.advance()
    assert out.getvalue() == ""
    assert "Repositories" in err.getvalue()


def test_nothing_is_shown_where_nobody_looks() -> None:
    with Steps().step("any", 1) as step:
        step.advance()


def test_a_pipe_gets_neither_colours_nor_progress_nor_cut_lines(bench: Bench, cli: CommandLine) -> None:
    result = cli("plan", COLUMNS="40")
    assert "\x1b" not in result.output
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) > 120
    assert not any(line.endswith(" ") for line in result.stdout.splitlines())


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    out: Any = io.StringIO()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(output, "Console", lambda **_: Console(file=out, force_terminal=True, width=60))
    Printer().table(["Status"], [["failure"]])
    assert "\x1b[31m" not in out.getvalue()
    assert "\x1b[1;31m" not in out.getvalue()


def test_typer_offers_completion(cli: CommandLine) -> None:
    assert "--install-completion" in cli.prints("--help")


@pytest.mark.parametrize(("missing", "is_said"), [("typer", True), ("something", False)])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, is_said: bool) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "ecr_cleanup.cli.app":
                raise ModuleNotFoundError(name=missing)

    monkeypatch.delitem(sys.modules, "ecr_cleanup.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(SystemExit if is_said else ModuleNotFoundError) as raised:
        ecr_cleanup.cli.main()
    if is_said:
        assert "pip install 'ecr-cleanup[cli]'" in str(raised.value)
