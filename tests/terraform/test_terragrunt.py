"""The Terragrunt example, run as Terragrunt would run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local_aws import LocalAws
from plain_aws import plain_aws
from terraform.terragrunt import TerragruntError, Unit, in_order, read_unit
from terraform_tools import TREE, Terraform, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STACK = TREE / "examples/terragrunt"
SHARED, PRODUCTION, DEVELOPMENT = "111111111111", "222222222222", "333333333333"


@pytest.fixture(scope="module")
def units() -> list[Unit]:
    return in_order([read_unit(file.parent) for file in sorted(STACK.rglob("terragrunt.hcl"))])


def named(units: list[Unit], name: str) -> Unit:
    (unit,) = (unit for unit in units if str(unit.directory.relative_to(STACK)) == name)
    return unit


def terraform_of(unit: Unit, cache: Path, aws: Mapping[str, str], inputs: object) -> Terraform:
    module = unit.prepare(cache)
    (module / "terragrunt.auto.tfvars.json").write_text(json.dumps(inputs))
    terraform = Terraform(module, terraform_environment(cache, aws))
    terraform.init()
    return terraform


def test_the_shared_account_comes_first(units: list[Unit]) -> None:
    names = [str(unit.directory.relative_to(STACK)) for unit in units]
    assert names[0] == "shared/eu-central-1/ecr-cleanup"
    assert sorted(names[1:]) == [
        f"{account}/{region}/ecr-cleanup"
        for account in ("development", "production")
        for region in ("eu-central-1", "eu-west-1")
    ]


def test_each_unit_is_in_its_account_and_region(units: list[Unit]) -> None:
    for unit in units:
        account, region, _ = unit.directory.relative_to(STACK).parts
        number = {"shared": SHARED, "production": PRODUCTION, "development": DEVELOPMENT}[account]
        assert f'region = "{region}"' in unit.files["provider.tf"]
        assert f"arn:aws:iam::{number}:role/" in unit.files["provider.tf"]


def test_workload_accounts_send_to_the_bus_of_the_shared_one(units: list[Unit]) -> None:
    unit = named(units, "production/eu-west-1/ecr-cleanup")
    assert unit.inputs({"shared": {"event_bus_arn": "this"}})["event_bus_arn"] == "this"
    with pytest.raises(TerragruntError, match=r"there is no dependency\.shared\.outputs\.event_bus_arn"):
        unit.inputs({"shared": {}})


def test_a_source_without_two_slashes_is_refused(units: list[Unit], tmp_path: Path) -> None:
    unit = units[0]
    single = Unit(unit.directory, unit.source.replace("//", "/"), {}, {}, {}, unit.inputs)
    with pytest.raises(TerragruntError, match="two slashes"):
        single.prepare(tmp_path / "cache")


@pytest.mark.parametrize("name", ["shared/eu-central-1/ecr-cleanup", "production/eu-west-1/ecr-cleanup"])
def test_can_be_planned_before_anything_is_there(units: list[Unit], name: str, tmp_path: Path) -> None:
    unit = named(units, name)
    with plain_aws() as aws:
        terraform = terraform_of(unit, tmp_path / "cache", aws, unit.inputs(unit.mock_outputs))
        assert terraform.plan()


@pytest.mark.slow
def test_is_applied_in_the_order_of_dependencies_and_then_has_nothing_to_do(units: list[Unit], tmp_path: Path) -> None:
    outputs: dict[Path, dict[str, object]] = {}
    with LocalAws(region="eu-central-1") as aws:
        for account in (SHARED, PRODUCTION, DEVELOPMENT):
            aws.create_account(account)
        environment = aws.terraform_environment(SHARED)
        for number, unit in enumerate(units):
            known = {name: outputs[directory] for name, directory in unit.dependencies.items()}
            terraform = terraform_of(unit, tmp_path / str(number), environment, unit.inputs(known))
            terraform.apply()
            shown = json.loads(terraform.run("output", "-json"))
            outputs[unit.directory] = {name: output["value"] for name, output in shown.items()}
            assert not terraform.plan()
        buses = {
            target["Arn"]
            for account in (PRODUCTION, DEVELOPMENT)
            for region in ("eu-central-1", "eu-west-1")
            for events in [aws.session(account, region).client("events")]
            for rule in events.list_rules()["Rules"]
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        }
    assert buses == {outputs[units[0].directory]["event_bus_arn"]}


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    (tmp_path / "terragrunt.hcl").write_text('inputs = { it = get_env("IT") }\nterraform {\n  source = ".//it"\n}\n')
    with pytest.raises(TerragruntError, match="get_env"):
        read_unit(tmp_path).inputs({})
    (tmp_path / "terragrunt.hcl").write_text("skip = true\n")
    with pytest.raises(TerragruntError, match="skip"):
        read_unit(tmp_path)
