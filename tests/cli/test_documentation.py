"""docs/command_line.md says what is so, and the formats are those of the schemas."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from cli.conftest import sweep_ended
from cli.golden import RENEW
from cli.world import build
from documentation.checks import code_blocks, first_column, section
from documentation.generate import TREE
from ecr_cleanup.cli import failures
from ecr_cleanup.cli.calls import NEEDS_NO_PERMISSION, PULLS, READS, WRITES, permission_for
from ecr_cleanup.inventory import SourceStatus
from fakes import DEV

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from integration.bench import Bench

DOCS = TREE / "docs"
PAGE = DOCS / "command_line.md"
COMMANDS = ["plan", "explain", "pending", "doctor", "check"]


def schema(name: str) -> Draft202012Validator:
    document = json.loads((DOCS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_is_quoted(cli: CommandLine, command: str) -> None:
    printed = cli.prints(*command.split(), "--help").rstrip()
    begin, end = f"<!-- {' '.join(['BEGIN_HELP', *command.split()])} -->\n", "<!-- END_HELP"
    name = " ".join(["ecr-cleanup", *command.split(), "--help"])
    quote = f"```text\n$ {name}\n\n{printed}\n```\n"
    before, found, after = PAGE.read_text().partition(begin)
    assert found
    quoted, _, rest = after.partition(end)
    if RENEW:
        PAGE.write_text(before + begin + quote + end + rest)
        return
    assert quoted == quote, "run: RENEW=1 pytest tests/cli"


def test_every_command_is_described(cli: CommandLine) -> None:
    listed = cli.prints("--help").partition("Commands:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (\w+) ", listed, re.MULTILINE) == COMMANDS


def test_every_exit_code_is_described(cli: CommandLine) -> None:
    codes = {0, *(value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int))}
    assert len(codes) == 8
    rows = re.findall(r"^\| (\d+) \|", section(PAGE.read_text(), "Exit codes"), re.MULTILINE)
    assert {int(row) for row in rows} == codes
    assert all(f"{code} " in cli.prints("--help") for code in codes)


def actions(policy: str) -> set[str]:
    found: set[str] = set()
    for statement in json.loads(policy)["Statement"]:
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def test_the_policies_are_the_calls_that_are_made() -> None:
    reading, checking = code_blocks(section(PAGE.read_text(), "Permissions"), "json")
    assert actions(reading) == {permission_for(call) for call in (READS | PULLS) - NEEDS_NO_PERMISSION}
    assert actions(checking) == WRITES | {"iam:PassRole"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan"],
        ["plan", "--layers"],
        ["plan", "--assume-opted-in"],
        ["explain", "team/app:v2"],
        ["explain", "team/app:v0"],
        ["explain", "team/app:v2-multi"],
        ["explain", "team/app:gone"],
        ["pending"],
        ["doctor"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not trusted"])
def test_documents_are_those_of_the_schemas(
    bench: Bench,
    cli: CommandLine,
    arguments: list[str],
    trusted: bool,
) -> None:
    build(bench)
    sweep_ended(bench)
    bench.push_referrer(bench.image_id)
    if not trusted:
        bench.aggregator.sources[DEV] = SourceStatus.OUTDATED
    name = "report" if arguments[0] == "plan" else arguments[0]
    schema(name).validate(json.loads(cli(*arguments, "--output", "json").stdout))


def test_the_schema_of_reports_notices_what_is_not_described(bench: Bench, cli: CommandLine) -> None:
    report: dict[str, Any] = json.loads(cli.prints("plan", "--output", "json"))
    for changed in ({**report, "more": 1}, {**report, "version": 2}, {**report, "images": [{}]}):
        with pytest.raises(ValidationError):
            schema("report").validate(changed)


def test_the_report_is_described(bench: Bench, cli: CommandLine) -> None:
    report = json.loads(cli.prints("plan", "--layers", "--output", "json"))
    described = first_column((DOCS / "report.md").read_text())
    assert described == set(report) | set(report["images"][0])
