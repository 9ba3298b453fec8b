"""What each small example shows is in its plan, which is known whole when it is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from plain_aws import ACCOUNT
from terraform_tools import TREE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Json = dict[str, Any]
    Resources = Callable[[str], dict[str, Json]]

# These are planned, or applied, by other tests.
ELSEWHERE = {"local", "multi_account", "single_account"}


def resources_of(plan: Json) -> Resources:
    """Finds a plan's resources of a type by the last part of their address."""

    def resources(kind: str) -> dict[str, Json]:
        of_kind = [each for each in plan["resource_changes"] if each["type"] == kind and each["mode"] == "managed"]
        return {each["address"].split(f"{kind}.")[1]: each["change"]["after"] for each in of_kind}

    return resources


def variables(resources: Resources, function: str = "run_checks") -> dict[str, str]:
    made = resources("aws_lambda_function")[f'this["{function}"]']["environment"][0]["variables"]
    return dict(made)


def actions(resources: Resources) -> set[str]:
    policies = [json.loads(each["policy"]) for each in resources("aws_iam_role_policy").values()]
    return {str(action) for it in policies for each in it["Statement"] for action in _list(each["Action"])}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def existing_aggregator(resources: Resources) -> None:
    assert resources("aws_config_configuration_aggregator") == {}
    assert variables(resources)["AGGREGATOR_NAME"] == "aws-controltower-ConfigAggregatorForOrganizations"


def organization(resources: Resources) -> None:
    (aggregator,) = resources("aws_config_configuration_aggregator").values()
    assert aggregator["organization_aggregation_source"]
    (bus,) = resources("aws_cloudwatch_event_bus_policy").values()
    assert "o-a1b2c3d4e5" in bus["policy"]


def registry_regions(resources: Resources) -> None:
    regions = {"eu-central-1", "eu-west-1", "us-east-1"}
    assert set(variables(resources)["REGISTRY_REGIONS"].split(",")) == regions


def archive(resources: Resources) -> None:
    assert variables(resources)["ACTION"] == "archive"
    assert variables(resources)["ARCHIVE_DAYS"] == "90"
    assert "ecr:UpdateImageStorageClass" in actions(resources)


def report_only(resources: Resources) -> None:
    assert variables(resources)["ACTION"] == "report"
    assert not {"ecr:BatchDeleteImage", "ecr:UpdateImageStorageClass"} & actions(resources)
    (page,) = resources("aws_s3_object").values()
    assert page["key"] == "ecr-cleanup/page.html"
    assert variables(resources, "sweep")["REPORT_PREFIX"] == "ecr-cleanup/"


def private_layer(resources: Resources) -> None:
    functions = resources("aws_lambda_function").values()
    assert [it["layers"] for it in functions] == [[f"arn:aws:lambda:eu-central-1:{'1' * 12}:layer:powertools:1"]] * len(
        functions
    )


def ready_package(resources: Resources) -> None:
    functions = resources("aws_lambda_function").values()
    assert {(it["s3_bucket"], it["s3_key"]) for it in functions} == {("acme-artifacts", "ecr-cleanup/0.1.0.zip")}
    # Nothing is built.
    assert resources("terraform_data") == {}


SHOWN = (existing_aggregator, organization, registry_regions, archive, report_only, private_layer, ready_package)


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.__name__)
def test_plan_shows_what_the_example_is_for(
    plan_of: Callable[[Path], Json], shown: Callable[[Resources], None]
) -> None:
    resources = resources_of(plan_of(TREE / "examples" / shown.__name__))

    assert ACCOUNT in variables(resources)["REGISTRY_ID"]
    shown(resources)


def test_every_example_is_planned() -> None:
    there = {path.name for path in TREE.glob("examples/*") if (path / "main.tf").exists()}
    assert {shown.__name__ for shown in SHOWN} | ELSEWHERE == there
