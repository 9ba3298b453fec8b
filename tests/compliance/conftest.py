"""Plans to hold against the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plain_aws import plain_aws
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]

CONFIGURATIONS = Path(__file__).resolve().parent / "configurations"
EXAMPLES = ("single_account", "multi_account", "local")
OTHERS = ("organization_with_key", "report")
"""What no example shows; beside this file."""


@pytest.fixture(scope="package")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Json]:
    """The plans of all configurations, made for accounts that have nothing yet."""
    tree = copy_of_tree(tmp_path_factory.mktemp("compliance") / "tree")
    directories = {name: tree / "examples" / name for name in EXAMPLES}
    for name in OTHERS:
        directories[name] = tree / "configurations" / name
        directories[name].mkdir(parents=True)
        (directories[name] / "main.tf").write_text((CONFIGURATIONS / name / "main.tf").read_text())
    inputs = {
        "TF_VAR_recorder": "true",
        "TF_VAR_shared_account_id": "111111111111",
        "TF_VAR_production_account_id": "222222222222",
        "TF_VAR_development_account_id": "333333333333",
    }
    made = {}
    with plain_aws() as aws:
        environment = terraform_environment(tree, {**aws, **inputs})
        for name, directory in directories.items():
            terraform = Terraform(directory, environment)
            terraform.init()
            terraform.plan(out=directory / "out.tfplan")
            made[name] = terraform.show_json(directory / "out.tfplan")
    return made
