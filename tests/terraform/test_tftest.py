"""Terraform's own tests of the modules' inputs (*.tftest.hcl), which need no account: the provider is a mock.

They are all at the root, and none beside a module: `terraform init` in a directory with tests reads these too, and
fails where what they share was not copied along.
"""

from __future__ import annotations

import re
import shutil

import pytest

from terraform_tools import TREE, Terraform, copy_of_tree, terraform_environment

FILES = sorted(TREE.glob("tests/*.tftest.hcl"))


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    tree = copy_of_tree(tmp_path_factory.mktemp("tests") / "tree")
    shutil.copytree(TREE / "tests/mocks", tree / "tests/mocks")
    for path in FILES:
        shutil.copy2(path, tree / "tests")
    terraform = Terraform(tree, terraform_environment(tree, {"AWS_REGION": "eu-central-1"}))
    terraform.init()
    return terraform


@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_terraforms_own_tests_pass(terraform: Terraform, file: str) -> None:
    runs = len(re.findall(r"^run ", (TREE / "tests" / file).read_text(), re.MULTILINE))

    assert f"Success! {runs} passed, 0 failed." in terraform.run("test", "-no-color", f"-filter=tests/{file}")


def test_the_root_and_every_module_have_them() -> None:
    modules = {path.parent.name for path in TREE.glob("modules/*/main.tf")}
    assert {path.name.removesuffix(".tftest.hcl") for path in FILES} == {"root", *modules}


def test_no_module_has_them_beside_it() -> None:
    assert list(TREE.glob("modules/*/tests")) == []
