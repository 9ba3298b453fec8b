"""The documentation says what is so."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from documentation.checks import (
    actions,
    actions_of_roles,
    broken_links,
    code_blocks,
    first_column,
    is_formatted,
    log_fields_of,
    metrics_of,
    module_uses,
    rules_of,
    section,
    unknown_outputs,
    wrong_arguments,
)
from documentation.generate import MODULES, TREE, with_tables

if TYPE_CHECKING:
    from pathlib import Path

README = (TREE / "README.md").read_text()
COMPLIANCE = (TREE / "docs/compliance.md").read_text()
PACKAGE = TREE / "lambda_src/ecr_cleanup"
DOCUMENTS = sorted(
    [*TREE.glob("*.md"), *TREE.glob("docs/*.md"), *TREE.glob("modules/*/*.md"), *TREE.glob("examples/*/*.md")]
)

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TREE)))


@pytest.mark.parametrize("directory", MODULES, ids=lambda path: path.name)
def test_the_tables_are_those_of_the_modules(directory: Path) -> None:
    readme = (directory / "README.md").read_text()
    assert readme == with_tables(readme, directory), "run: make documentation"


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken_links(document) == []


@each_document
def test_terraform_code_is_formatted(document: Path) -> None:
    assert [code for code in code_blocks(document.read_text(), "hcl") if not is_formatted(code)] == []


@each_document
def test_modules_are_used_as_they_are(document: Path) -> None:
    version = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["version"]
    code = "\n".join(code_blocks(document.read_text(), "hcl"))
    uses = module_uses(code, TREE)
    assert {use.name: wrong_arguments(use) for use in uses if wrong_arguments(use)} == {}
    assert {use.version for use in uses} <= {version}
    assert unknown_outputs(code, {"shared_account": MODULES[1], **{use.name: use.directory for use in uses}}) == []


def test_every_module_is_shown_in_use() -> None:
    code = "\n".join(code_blocks(README, "hcl"))
    assert {use.directory.resolve() for use in module_uses(code, TREE)} == set(MODULES)


def test_every_metric_is_explained() -> None:
    assert first_column(section(README, "Metrics")) == metrics_of(PACKAGE)


def test_every_rule_is_explained() -> None:
    assert first_column(section(README, "How an image is decided")) - {"rule"} == rules_of(PACKAGE)


@pytest.mark.parametrize("module", ["observability.py", "handlers/records.py"])
def test_every_log_field_is_explained(module: str) -> None:
    logs = section(README, "Logs")
    assert [field for field in sorted(log_fields_of(PACKAGE / module)) if f"`{field}`" not in logs] == []


def test_every_permission_is_explained() -> None:
    assert actions(section(README, "Permissions")) == actions_of_roles(TREE / "modules")


def test_every_scenario_is_among_the_controls() -> None:
    features = TREE / "tests/compliance/features"
    scenarios = {
        (line.partition("Scenario: ")[2], str(file.relative_to(features).with_suffix("")))
        for file in features.glob("*/*.feature")
        for line in file.read_text().splitlines()
        if "Scenario: " in line
    }
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in COMPLIANCE.partition("## Controls")[2].splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| Scenario"))
    ]
    assert sorted((title, feature.strip("`")) for title, feature, _ in rows) == sorted(scenarios)


def test_every_folder_of_features_says_what_it_is_for() -> None:
    folders = {path.name for path in (TREE / "tests/compliance/features").iterdir()}
    assert first_column(COMPLIANCE.partition("## Controls")[0]) == folders
