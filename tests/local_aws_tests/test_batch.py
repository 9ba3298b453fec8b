from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import PRODUCTION, REGION

if TYPE_CHECKING:
    import boto3

CONTAINER = {"image": "image:1", "resourceRequirements": [{"type": "VCPU", "value": "1"}]}
NODES = {
    "numNodes": 2,
    "mainNode": 0,
    "nodeRangeProperties": [
        {"targetNodes": "0", "container": {"image": "image:1"}},
        {"targetNodes": "1:", "ecsProperties": {"taskProperties": [{"containers": [{"image": "image:2"}]}]}},
    ],
}
ECS = {"taskProperties": [{"containers": [{"image": "image:1", "name": "a"}, {"image": "image:2", "name": "b"}]}]}
EKS = {
    "podProperties": {
        "containers": [{"image": "image:1", "name": "a"}],
        "initContainers": [{"image": "image:2", "name": "b"}],
    }
}


@pytest.fixture
def batch(production: boto3.Session) -> Any:
    return production.client("batch")


def register(batch: Any, name: str = "job", *, kind: str = "container", **properties: Any) -> str:
    given = properties or {"containerProperties": CONTAINER}
    arn: str = batch.register_job_definition(jobDefinitionName=name, type=kind, **given)["jobDefinitionArn"]
    return arn


def arns(batch: Any, **params: Any) -> list[str]:
    return [each["jobDefinitionArn"] for each in batch.describe_job_definitions(**params)["jobDefinitions"]]


@pytest.mark.parametrize(
    ("kind", "member", "properties"),
    [
        ("container", "containerProperties", CONTAINER),
        ("multinode", "nodeProperties", NODES),
        ("container", "ecsProperties", ECS),
        ("container", "eksProperties", EKS),
    ],
)
def test_properties_are_kept_as_given(batch: Any, kind: str, member: str, properties: dict[str, Any]) -> None:
    given: dict[str, Any] = {member: properties}
    arn = register(batch, kind=kind, **given)
    [shown] = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert shown[member] == properties
    assert (shown["jobDefinitionArn"], shown["type"], shown["status"]) == (arn, kind, "ACTIVE")
    assert shown["containerOrchestrationType"] == ("EKS" if member == "eksProperties" else "ECS")


def test_every_revision_is_active_until_it_is_deregistered(batch: Any, shared: boto3.Session) -> None:
    first, second = register(batch), register(batch)
    assert first == f"arn:aws:batch:{REGION}:{PRODUCTION}:job-definition/job:1"
    assert arns(batch, status="ACTIVE") == [first, second]
    batch.deregister_job_definition(jobDefinition=first)
    assert arns(batch, status="ACTIVE") == [second]
    assert arns(batch) == [first, second]
    batch.deregister_job_definition(jobDefinition="job:2")
    assert arns(batch, status="ACTIVE") == []
    assert register(batch).endswith(":3")
    assert arns(batch, jobDefinitions=["job:2", first]) == [first, second]
    assert arns(batch, jobDefinitionName="other") == []
    assert arns(shared.client("batch")) == []


def test_definitions_come_in_pages_of_100(batch: Any) -> None:
    for _ in range(101):
        register(batch)
    first = batch.describe_job_definitions(status="ACTIVE")
    assert len(first["jobDefinitions"]) == 100
    second = batch.describe_job_definitions(status="ACTIVE", nextToken=first["nextToken"])
    assert len(second["jobDefinitions"]) == 1
    assert "nextToken" not in second
    for wrong in ({"maxResults": 101}, {"nextToken": first["nextToken"]}):
        with pytest.raises(ClientError, match="ClientException"):
            batch.describe_job_definitions(**wrong)


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("container", {"nodeProperties": NODES}),
        ("multinode", {"containerProperties": CONTAINER}),
        ("container", {"containerProperties": CONTAINER, "ecsProperties": ECS}),
        ("container", {"parameters": {"a": "b"}}),
    ],
)
def test_what_is_no_definition_is_refused(batch: Any, kind: str, properties: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="exactly one of"):
        register(batch, kind=kind, **properties)
    with pytest.raises(ClientError, match="name"):
        register(batch, name="not/a/name")
    with pytest.raises(ClientError, match="not emulated"):
        batch.submit_job(jobName="job", jobQueue="queue", jobDefinition="job")
