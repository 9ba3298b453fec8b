"""Which repositories opted in, as the index of resource tags of each region has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.image import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

    from ecr_cleanup.settings import Settings

_PER_PAGE = 100


def opted_in_repositories(
    client_for: Callable[[str], ResourceGroupsTaggingAPIClient], settings: Settings, failures: list[str] | None = None
) -> dict[Repository, dict[str, str]]:
    """All opted-in repositories of the registry in its regions, with their resource tags, sorted.

    The index can be late; whoever removes anything asks ECR itself.
    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html

    Raises botocore's errors. With an empty list of `failures`, a region that cannot be read is put there, and the error
    is raised only where none can be.
    """
    found: dict[Repository, dict[str, str]] = {}
    for region in settings.registry_regions:
        try:
            found |= _of_region(client_for(region), region, settings)
        except AWS_ERRORS as error:
            if failures is None:
                raise
            failures.append(f"{region}: its repositories cannot be listed: {error}")
            if len(failures) == len(settings.registry_regions):
                raise
    return dict(sorted(found.items()))


def _of_region(
    client: ResourceGroupsTaggingAPIClient, region: str, settings: Settings
) -> dict[Repository, dict[str, str]]:
    tag = settings.opt_in_tag
    pages = client.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["ecr:repository"],
        TagFilters=[{"Key": tag.key, "Values": [tag.value]}],
        PaginationConfig={"PageSize": _PER_PAGE},
    )
    found = {}
    for page in pages:
        for resource in page["ResourceTagMappingList"]:
            _, _, _, _, registry_id, rest = resource["ResourceARN"].split(":", 5)
            repository = Repository(registry_id, region, rest.removeprefix("repository/"))
            if settings.in_charge_of(repository):
                found[repository] = {each["Key"]: each["Value"] for each in resource["Tags"]}
    return found
