"""docs/command_line.md quotes the help of each command as it is; RENEW_GOLDEN=1 writes it anew."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from page.make_report import make_report

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = ("", "plan", "explain", "pending", "check")


def help_of(command: str) -> str:
    """What `ecr-cleanup COMMAND --help` prints."""
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    ran = subprocess.run(
        [sys.executable, "-c", "from ecr_cleanup.cli.main import main; main()", *command.split(), "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    text = "\n".join(line.rstrip() for line in ran.stdout.splitlines()).strip("\n")
    return text.replace(" -c ", " ecr-cleanup ")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_is_quoted_as_it_is(command: str) -> None:
    file = DOCS / "command_line.md"
    call = " ".join(("ecr-cleanup", *command.split(), "--help"))
    quoted = re.compile(rf"```text\n\$ {re.escape(call)}\n(.*?)\n```", re.DOTALL)
    text = file.read_text(encoding="utf-8")
    if os.environ.get("RENEW_GOLDEN"):
        text = quoted.sub(lambda _: f"```text\n$ {call}\n{help_of(command)}\n```", text)
        file.write_text(text, encoding="utf-8")
    (found,) = quoted.findall(text)
    assert found == help_of(command)


def test_reports_are_as_the_schema_says() -> None:
    schema = json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(make_report(20), schema, cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**make_report(1), "version": 2}, schema)
