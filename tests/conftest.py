from __future__ import annotations

import os
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from local_aws.cheap_calls import make_calls_cheap
from local_aws.patches import Patches
from plain_aws import plain_aws
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Powertools reads it when it is imported.
os.environ["POWERTOOLS_SERVICE_NAME"] = "ecr-cleanup"

# How fast an example runs says nothing here; a busy machine must not fail a test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(autouse=True, scope="session")
def cheap_calls() -> Iterator[None]:
    patches = Patches()
    make_calls_cheap(patches)
    yield
    patches.undo()


@pytest.fixture(scope="session")
def plan_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, Any]]:
    """Plans an example, or what stands for one elsewhere, for accounts that have nothing yet; each once.

    Gives the plan as JSON. What is planned elsewhere names the root `../..`, as examples do.
    """
    tree = copy_of_tree(tmp_path_factory.mktemp("plans") / "tree")
    inputs = {
        "TF_VAR_recorder": "true",
        "TF_VAR_shared_account_id": "111111111111",
        "TF_VAR_production_account_id": "222222222222",
        "TF_VAR_development_account_id": "333333333333",
    }

    @cache
    def plan(directory: Path) -> dict[str, Any]:
        there = tree / directory.parent.name / directory.name
        if not there.exists():
            shutil.copytree(directory, there)
        with plain_aws() as aws:
            terraform = Terraform(there, terraform_environment(tree, {**aws, **inputs}))
            terraform.init()
            terraform.plan(out=there / "out.tfplan")
            return terraform.show_json(there / "out.tfplan")

    return plan
