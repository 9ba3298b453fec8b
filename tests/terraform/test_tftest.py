"""Terraform's own tests of the modules' inputs (*.tftest.hcl), which need no account: the provider is a mock."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from terraform_tools import TREE, Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = (".", "modules/shared_account", "modules/workload_account")


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_terraforms_own_tests_pass(directory: str, tmp_path: Path) -> None:
    tree = copy_of_tree(tmp_path / "tree")
    tests = TREE / directory / "tests/inputs.tftest.hcl"
    shutil.copytree(TREE / "tests/mocks", tree / "tests/mocks")
    (tree / directory / "tests").mkdir(exist_ok=True)
    shutil.copy2(tests, tree / directory / "tests")
    terraform = Terraform(tree / directory, terraform_environment(tree, {"AWS_REGION": "eu-central-1"}))
    terraform.init()
    runs = len(re.findall(r"^run ", tests.read_text(), re.MULTILINE))

    assert f"Success! {runs} passed, 0 failed." in terraform.run("test", "-no-color")


def test_every_module_has_them() -> None:
    there = {str(path.parent.relative_to(TREE)) for path in TREE.glob("modules/*/main.tf")}
    assert there | {"."} == {*DIRECTORIES}
