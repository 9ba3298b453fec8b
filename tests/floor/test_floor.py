"""The lowest versions of what the functions run on: those that pyproject.toml names, and with them the tests pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from terraform_tools import TREE

if TYPE_CHECKING:
    from pathlib import Path

FLOOR = TREE / "constraints-floor.txt"
NAME = re.compile(r"([A-Za-z0-9_-]+)(?:\[[^]]*\])?\s*>=\s*([0-9.]+)")
# Of the test tools, what tests/unit and tests/integration need.
TOOLS = (
    "hypothesis",
    "jsonschema",
    "moto",
    "pytest",
    "pytest-timeout",
    "python-hcl2",
    "rich",
    "sqlglot",
    "time-machine",
)


def pins(text: str) -> dict[str, str]:
    """The packages of a constraints file, by their normalized names, and their versions."""
    lines = (line.strip().split("==") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lines}


def test_the_floor_is_what_the_project_asks_for() -> None:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    asked = {match[1]: match[2] for match in map(NAME.match, project["dependencies"]) if match}

    assert len(asked) == len(project["dependencies"])
    floor = pins(FLOOR.read_text())
    assert {name: floor[name] for name in asked} == {
        name: version if version.count(".") == 2 else f"{version}.0" for name, version in asked.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_code_works_with_the_floor(tmp_path: Path) -> None:
    floor = pins(FLOOR.read_text())
    others = {
        name: version for name, version in pins((TREE / "constraints.txt").read_text()).items() if name not in floor
    }
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in {**others, **floor}.items()))
    python = tmp_path / "venv/bin/python"
    subprocess.check_call([sys.executable, "-m", "venv", str(tmp_path / "venv")])
    quiet = ["--quiet", "--disable-pip-version-check", "--constraint", str(constraints)]
    subprocess.check_call([python, "-m", "pip", "install", *quiet, f"{TREE}[cli]", "moto[server]", *TOOLS])
    installed = subprocess.check_output([python, "-c", "import boto3; print(boto3.__version__)"], text=True)
    assert installed.strip() == floor["boto3"]

    ran = subprocess.run(
        [python, "-m", "pytest", "tests/unit", "tests/integration", "-p", "no:cacheprovider", "-q"],
        cwd=TREE,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))},
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout[-4000:]
    (passed,) = re.findall(r"(\d+) passed", ran.stdout)
    assert int(passed) > 1000
