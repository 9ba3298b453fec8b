"""What surrounds the code: workflows, SECURITY.md, forms."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from documentation.generate import TREE

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted(TREE.glob(".github/workflows/*.yml"))
MAKE = shutil.which("make") or "make"
MAKEFILE = (TREE / "Makefile").read_text()

each_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)


def read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return document


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_for_tests_and_releases() -> None:
    assert [file.stem for file in WORKFLOWS] == ["release", "test"]


@each_workflow
def test_actions_are_pinned_by_their_hash(file: Path) -> None:
    used = [step["uses"] for step in steps(read(file)) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each)] == []


@each_workflow
def test_workflows_may_do_no_more_than_they_need(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == ({} if file.stem == "release" else {"contents": "read"})
    assert "pull_request_target" not in str(workflow)
    assert "secrets." not in file.read_text()
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    # What an event brings must not become part of a command.
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []


@each_workflow
def test_workflows_make_targets_that_there_are(file: Path) -> None:
    made = {target for step in steps(read(file)) for target in re.findall(r"make ([\w-]+)", step.get("run", ""))}
    assert made
    assert made <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def test_the_oldest_terraform_that_is_allowed_is_tested() -> None:
    (floor,) = re.findall(r'required_version = ">= ([\d.]+)"', (TREE / "versions.tf").read_text())
    tested = [row["terraform"] for row in read(WORKFLOWS[1])["jobs"]["everything"]["strategy"]["matrix"]["include"]]
    assert any(version.startswith(f"{floor}.") for version in tested)


def test_forms_are_forms() -> None:
    forms = [read(file) for file in TREE.glob(".github/ISSUE_TEMPLATE/*.yml") if file.stem != "config"]
    assert forms
    for form in forms:
        assert {"name", "description", "body"} <= form.keys()
        names = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(names) == len(set(names)) > 0


def test_every_threat_names_a_test_that_there_is() -> None:
    rows = re.findall(r"^\| (?!---|Who ).*\| `(tests/[\w/.]+)` \|$", (TREE / "SECURITY.md").read_text(), re.MULTILINE)
    assert len(rows) >= 10
    assert [row for row in rows if not (TREE / row).is_file()] == []


def test_the_package_that_is_released_is_the_one_that_terraform_builds(tmp_path: Path) -> None:
    made = subprocess.run(
        [MAKE, "package", f"PYTHON={sys.executable}"], cwd=TREE, capture_output=True, text=True, check=True
    )
    again = tmp_path / "again.zip"
    subprocess.run([sys.executable, "lambda_src/build.py", again], cwd=TREE, capture_output=True, check=True)
    assert made.stdout.split()[-2:] == [hashlib.sha256(again.read_bytes()).hexdigest(), "ecr-cleanup.zip"]
    assert (TREE / "build/SHA256SUMS").read_text().split()[0] == made.stdout.split()[-2]
