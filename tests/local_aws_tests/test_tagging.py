from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    import boto3


@pytest.fixture
def tagging(shared: boto3.Session) -> Any:
    return shared.client("resourcegroupstaggingapi")


def create(shared: boto3.Session, name: str, region: str | None = None, **tags: str) -> None:
    client = shared.client("ecr", region_name=region or shared.region_name)
    client.create_repository(repositoryName=name, tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def names(tagging: Any, *filters: dict[str, Any], size: int = 100) -> list[str]:
    pages = tagging.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["ecr:repository"], TagFilters=list(filters), PaginationConfig={"PageSize": size}
    )
    found = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    return [arn.partition(":repository/")[2] for arn in found]


def test_shows_tagged_repositories_of_the_region(shared: boto3.Session, tagging: Any) -> None:
    create(shared, "team/a", cleanup="on", team="x")
    create(shared, "team/b", cleanup="off")
    create(shared, "team/c")
    create(shared, "team/d", "eu-west-1", cleanup="on")
    assert names(tagging) == ["team/a", "team/b"]
    assert names(tagging, {"Key": "cleanup", "Values": ["on"]}) == ["team/a"]
    assert names(tagging, {"Key": "cleanup"}) == ["team/a", "team/b"]
    assert names(tagging, {"Key": "cleanup", "Values": ["on", "off"]}, {"Key": "team"}) == ["team/a"]
    (found,) = tagging.get_resources(
        ResourceTypeFilters=["ecr:repository"], TagFilters=[{"Key": "team", "Values": ["x"]}]
    )["ResourceTagMappingList"]
    assert {each["Key"]: each["Value"] for each in found["Tags"]} == {"cleanup": "on", "team": "x"}


def test_gives_pages(shared: boto3.Session, tagging: Any) -> None:
    for number in range(7):
        create(shared, f"team/{number}", cleanup="on")
    answer = tagging.get_resources(ResourceTypeFilters=["ecr:repository"], ResourcesPerPage=3)
    assert len(answer["ResourceTagMappingList"]) == 3
    assert answer["PaginationToken"]
    assert names(tagging, size=3) == [f"team/{number}" for number in range(7)]


@pytest.mark.parametrize("wrong", [{"ResourcesPerPage": 0}, {"ResourcesPerPage": 101}, {"PaginationToken": "nonsense"}])
def test_refuses_what_aws_refuses(tagging: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError):
        tagging.get_resources(ResourceTypeFilters=["ecr:repository"], **wrong)
