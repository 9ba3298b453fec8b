"""Every module and example is formatted and valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from terraform_tools import TREE, Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATIONS = [
    ".",
    *(str(path.relative_to(TREE)) for path in sorted(TREE.glob("modules/*"))),
    *(str(path.parent.relative_to(TREE)) for path in sorted(TREE.glob("examples/*/main.tf"))),
]


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    tree = copy_of_tree(tmp_path_factory.mktemp("configurations") / "tree")
    return Terraform(tree, terraform_environment(tree, {}))


def test_is_formatted(terraform: Terraform) -> None:
    assert terraform.run("fmt", "-check", "-recursive") == ""


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_is_valid(terraform: Terraform, configuration: str) -> None:
    there = terraform.in_directory(terraform.directory / configuration)
    there.init()

    there.validate()


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_asks_for_a_lowest_version_of_everything_and_no_highest(terraform: Terraform, configuration: str) -> None:
    versions = (terraform.directory / configuration / "versions.tf").read_text()

    assert 'required_version = ">= 1.9"' in versions
    assert 'version = ">= 5.100"' in versions
    assert "<" not in versions
    assert "~>" not in versions


@pytest.mark.parametrize("example", sorted(path.name for path in TREE.glob("examples/*")))
def test_example_is_explained(example: str) -> None:
    directory: Path = TREE / "examples" / example

    assert (directory / "README.md").read_text().startswith("# ")
