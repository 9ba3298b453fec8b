"""The same installation with other inputs: each is applied, used, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from end_to_end.installation import GRACE, HOST, PRODUCTION, TO_ANSWER, Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ELSEWHERE = "eu-west-1"


def test_a_second_plan_finds_nothing_to_do(installation: Installation) -> None:
    assert not installation.terraform.plan()


@pytest.fixture
def config_events(installation: Installation) -> Iterator[None]:
    installation.terraform.apply("-var=event_source=config")
    assert not installation.terraform.plan("-var=event_source=config")
    yield
    installation.terraform.apply()


@pytest.mark.usefixtures("config_events")
def test_an_account_without_a_trail_is_served_by_configs_own_events(installation: Installation) -> None:
    aws = installation.aws
    aws.trail_accounts = set()
    try:
        repository = installation.repository()
        digest = installation.push(repository, "v1")
        installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
        aws.advance(aws.behaviour.recording_lag + GRACE + TO_ANSWER)
        assert not installation.exists(repository, digest)
        (line,) = installation.verdicts(digest)
        assert line["removed"]
    finally:
        aws.trail_accounts = None


WORKLOAD_ELSEWHERE = """
provider "aws" {{
  region                      = "{region}"
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_credentials_validation = true

  assume_role {{
    role_arn = "arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
  }}
}}

module "workload_account" {{
  source        = "../../modules/workload_account"
  event_bus_arn = "{bus}"
}}
"""


@pytest.fixture
def region_elsewhere(installation: Installation) -> Iterator[None]:
    """The workload part in a region that is not the bus's own."""
    directory: Path = installation.terraform.directory.parent / "elsewhere"
    directory.mkdir()
    bus = installation.client("events").describe_event_bus(Name="ecr-cleanup")["Arn"]
    (directory / "main.tf").write_text(WORKLOAD_ELSEWHERE.format(region=ELSEWHERE, account=PRODUCTION, bus=bus))
    terraform = installation.terraform.in_directory(directory)
    terraform.init()
    terraform.apply()
    assert not terraform.plan()
    yield
    terraform.destroy()


@pytest.mark.usefixtures("region_elsewhere")
def test_events_of_another_region_reach_the_bus(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    ecs = aws.session(PRODUCTION, ELSEWHERE).client("ecs")
    container: Any = {"name": "c", "image": f"{HOST}/{repository}:v1", "memory": 128}
    answer = ecs.register_task_definition(family="elsewhere", containerDefinitions=[container])
    ecs.deregister_task_definition(taskDefinition=answer["taskDefinition"]["taskDefinitionArn"])
    aws.advance(GRACE + TO_ANSWER)
    assert not installation.exists(repository, digest)
    assert f":{ELSEWHERE}:{PRODUCTION}:task-definition/elsewhere" in installation.verdicts(digest)[0]["cause"]
