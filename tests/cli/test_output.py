"""Terminals, pipes and colours."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

import ecr_cleanup.cli
from ecr_cleanup.cli import output
from ecr_cleanup.cli.app import app
from ecr_cleanup.cli.output import Printer, Steps
from ecr_cleanup.texts import dollars, size

if TYPE_CHECKING:
    from rich.console import Console

    from cli.conftest import CommandLine
    from integration.bench import Bench


class Terminal(io.StringIO):
    """Keeps what is written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Printer, io.StringIO, io.StringIO]:
    """A printer on a terminal of 60 columns."""
    out, err = Terminal(), Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def console(*, stderr: bool = False, highlight: bool = True) -> Console:
        return make_console(file=err if stderr else out, width=60, highlight=highlight)

    make_console = output._Console
    monkeypatch.setattr(output, "_Console", console)
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


def test_no_color_is_respected(
    terminal: tuple[Printer, io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = terminal
    Printer().table(["Status"], [["failure"]])
    assert "\x1b[1;31m" in out.getvalue()
    out.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    Printer().table(["Status"], [["failure"]])
    assert "failure" in out.getvalue()
    assert "31m" not in out.getvalue()


def test_colours_that_are_forced_in_a_pipe_fold_and_shorten_nothing(
    bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = cli.prints("explain", "team/app:v1")
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit):
        app(["explain", "team/app:v1"], prog_name="ecr-cleanup")
    assert "\x1b[" in out.getvalue()
    assert re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()) == plain
    assert err.getvalue() == ""


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--json"], ["explain", "team/app:v1"]])
def test_nobody_reads_on(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """As with `| head`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as ended:
            app(arguments, prog_name="ecr-cleanup")
    assert ended.value.code == 141


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "/home/me/.aws/config"), "Permission denied: /home/me/.aws/config"),
    ],
)
def test_what_the_system_refuses(
    bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, error: OSError, line: str
) -> None:
    def write(*_: object) -> None:
        raise error

    monkeypatch.setattr(Printer, "raw", write)
    assert cli.fails(1, "plan") == f"ecr-cleanup: the system refused: {line}"


def test_stopped_by_a_person(bench: Bench, cli: CommandLine) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    cli.answers["ecr:DescribeImages"] = stop
    assert cli.fails(130, "plan") == "ecr-cleanup: stopped"


@pytest.mark.parametrize("command", [["plan"], ["explain", "team/app:v1"], ["pending"], ["doctor"]])
def test_json_is_an_option_of_its_own(bench: Bench, cli: CommandLine, command: list[str]) -> None:
    assert (
        json.loads(cli(*command, "--json").stdout).keys() == json.loads(cli(*command, "--output", "json").stdout).keys()
    )


def test_there_is_no_repository_yet(bench: Bench, cli: CommandLine) -> None:
    cli.answer("resourcegroupstaggingapi:GetResources", {"ResourceTagMappingList": [], "PaginationToken": ""})
    assert "No repository has opted in: tag one, or give names" in cli.prints("plan")
    assert json.loads(cli.prints("plan", "--json"))["images"] == []


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


def test_stopped_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "ecr_cleanup.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "ecr_cleanup.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        ecr_cleanup.cli.main()
    assert ended.value.code == 130


def test_an_output_that_is_closed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "argv", ["ecr-cleanup", "--help"])
    with pytest.raises(SystemExit) as ended:
        ecr_cleanup.cli.main()
    assert ended.value.code == 0
    sys.stdout.close()
    sys.stderr.close()
