"""When the package of the functions is built, and that it is there whenever Terraform uploads it."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING

import boto3
import pytest

from plain_aws import plain_aws
from terraform_tools import Terraform, TerraformError, changes, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "module.this.terraform_data.package[0]"
FUNCTIONS = {
    'module.this.aws_lambda_function.this["run_checks"]',
    'module.this.aws_lambda_function.this["sweep"]',
    'module.this.aws_lambda_function.this["schedule_checks"]',
}

# The functions and what they need. Nothing else matters here, and queues take the provider most of a minute.
ONLY_FUNCTIONS = "-target=module.this.aws_lambda_function.this"

CONFIGURATION = """
variable "architecture" { default = "arm64" }
variable "log_level" { default = "INFO" }
variable "lambda_package" { default = null }
variable "layer" {}

module "this" {
  source = "../modules/shared_account"

  workloads           = { account_ids = ["111111111111"] }
  lambda              = { architecture = var.architecture, log_level = var.log_level, powertools_layer_arn = var.layer }
  lambda_package      = var.lambda_package == null ? null : { filename = var.lambda_package }
  deletion_protection = false
}
"""


class Checkout:
    """A copy of the tree with a configuration that uses the module, and the state of an earlier one."""

    def __init__(self, directory: Path, terraform: Terraform, state_of: Checkout | None = None) -> None:
        self.tree = copy_of_tree(directory)
        self.zip = self.tree / "lambda_src/dist/ecr_cleanup.zip"
        self.terraform = terraform.in_directory(self.tree / "live")
        self.terraform.directory.mkdir()
        (self.terraform.directory / "main.tf").write_text(CONFIGURATION)
        if state_of:
            shutil.copy2(state_of.terraform.directory / "terraform.tfstate", self.terraform.directory)
        self.terraform.init()

    def plan(self, *arguments: str) -> Path:
        """A saved plan."""
        out = self.terraform.directory / "out.tfplan"
        self.terraform.plan(ONLY_FUNCTIONS, *arguments, out=out)
        return out

    def planned(self, *arguments: str) -> dict[str, list[str]]:
        """The changes that a plan finds."""
        return changes(self.terraform.show_json(self.plan(*arguments)))

    def apply(self, *arguments: str) -> str:
        """Apply, sparing the time to ask for what nobody else changed."""
        return self.terraform.apply(ONLY_FUNCTIONS, "-refresh=false", *arguments)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    directory = tmp_path_factory.mktemp("terraform")
    with plain_aws() as aws:
        layer = boto3.client(
            "lambda",
            region_name=aws["AWS_REGION"],
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        ).publish_layer_version(LayerName="powertools", Content={"ZipFile": b"any"})
        yield Terraform(directory, terraform_environment(directory, {**aws, "TF_VAR_layer": layer["LayerVersionArn"]}))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory, terraform: Terraform) -> Checkout:
    """Where the module was applied."""
    checkout = Checkout(tmp_path_factory.mktemp("applied") / "tree", terraform)
    checkout.apply()
    return checkout


@pytest.fixture
def fresh(tmp_path: Path, terraform: Terraform, applied: Checkout) -> Iterator[Checkout]:
    """Another checkout in another directory, without a zip; its state is the next one's when the test is over."""
    checkout = Checkout(tmp_path / "elsewhere", terraform, state_of=applied)
    assert not checkout.zip.exists()
    yield checkout
    shutil.copy2(checkout.terraform.directory / "terraform.tfstate", applied.terraform.directory)


# The tests build on each other: each takes over the state that the one before it left.


def test_builds_package_during_apply_and_then_has_nothing_to_do(applied: Checkout) -> None:
    assert applied.zip.exists()
    assert applied.planned() == {}


def test_has_nothing_to_do_in_another_checkout_with_other_times_and_other_files_beside_the_sources(
    fresh: Checkout,
) -> None:
    package = fresh.tree / "lambda_src/ecr_cleanup"
    os.utime(package / "settings.py", (0, 0))
    for name in ("cli/main.py", "__pycache__/settings.cpython-313.pyc"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("# not part of the package\n")

    assert fresh.planned() == {}


def test_applies_change_of_environment_without_a_zip(fresh: Checkout) -> None:
    fresh.apply("-var=log_level=DEBUG")

    assert not fresh.zip.exists(), "code that stays the same is not uploaded again"


def test_applies_replacement_of_a_function_without_a_zip(fresh: Checkout) -> None:
    fresh.apply('-replace=module.this.aws_lambda_function.this["run_checks"]')

    assert fresh.planned() == {}


@pytest.mark.slow
def test_changes_package_and_functions_and_nothing_else_by_a_plan_made_in_another_checkout(
    fresh: Checkout, terraform: Terraform, tmp_path: Path
) -> None:
    planner = Checkout(tmp_path / "planner", terraform, state_of=fresh)
    for checkout in (planner, fresh):
        source = checkout.tree / "lambda_src/ecr_cleanup/settings.py"
        source.write_text(source.read_text() + "# changed\n")
    plan = planner.plan()

    fresh.terraform.apply(str(plan))

    assert changes(planner.terraform.show_json(plan)) == {
        PACKAGE: ["delete", "create"],
        **{function: ["update"] for function in FUNCTIONS},
    }
    assert fresh.planned() == {}
    assert not planner.zip.exists()


def test_applies_change_of_architecture_without_a_zip(fresh: Checkout) -> None:
    fresh.apply("-var=architecture=x86_64")

    assert fresh.zip.exists()


def test_takes_a_ready_package_where_there_is_no_python(fresh: Checkout, tmp_path: Path) -> None:
    ready = tmp_path / "ready.zip"
    with zipfile.ZipFile(ready, "w") as package:
        package.writestr("ecr_cleanup/__init__.py", "")

    without_python(fresh.terraform, tmp_path).apply(ONLY_FUNCTIONS, f"-var=lambda_package={ready}")

    assert not fresh.zip.exists()
    assert fresh.planned(f"-var=lambda_package={ready}") == {}


def test_says_what_to_do_where_there_is_no_python(fresh: Checkout, tmp_path: Path) -> None:
    with pytest.raises(TerraformError, match=r"needs Python 3.8 or newer.*\n.*lambda_package"):
        without_python(fresh.terraform, tmp_path).apply(ONLY_FUNCTIONS)


def test_destroys_where_there_is_no_python(fresh: Checkout, tmp_path: Path) -> None:
    without_python(fresh.terraform, tmp_path).destroy()

    assert json.loads((fresh.terraform.directory / "terraform.tfstate").read_text())["resources"] == []


def without_python(terraform: Terraform, tmp_path: Path) -> Terraform:
    """The same, on a machine whose only commands are Terraform and a shell."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("terraform", "sh", "dirname"):
        (commands / name).symlink_to(shutil.which(name) or name)
    return Terraform(terraform.directory, {**terraform.environment, "PATH": str(commands)})
