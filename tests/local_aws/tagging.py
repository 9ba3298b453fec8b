"""The Resource Groups Tagging API as far as it shows repositories of ECR, which moto leaves out.

https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html. Other resources are those
that moto shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ecr.models import ecr_backends
from moto.resourcegroupstaggingapi.exceptions import ResourceGroupsTaggingAPIError
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from local_aws.patches import Patches

_REPOSITORIES = ("ecr", "ecr:repository")
_PER_PAGE = 50


def show_repositories(patches: Patches) -> None:
    """Let GetResources show repositories where it is asked for these alone."""
    patches.wrap(ResourceGroupsTaggingAPIResponse, "get_resources", _with_repositories)


def _with_repositories(original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
    def get_resources(request: ResourceGroupsTaggingAPIResponse) -> ActionResult:
        types = request._get_param("ResourceTypeFilters", [])
        if not types or any(each not in _REPOSITORIES for each in types):
            return original(request)
        filters = {each["Key"]: each.get("Values", []) for each in request._get_param("TagFilters", [])}
        found = {arn: tags for arn, tags in _repositories(request) if _matches(tags, filters)}
        try:
            arns, token = page(
                found,
                str,
                size=request._get_param("ResourcesPerPage"),
                token=request._get_param("PaginationToken"),
                default=_PER_PAGE,
                maximum=100,
                scope=filters,
            )
        except PageError as error:
            raise ResourceGroupsTaggingAPIError("InvalidParameterException", str(error)) from error
        return ActionResult(
            {
                "ResourceTagMappingList": [
                    {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in found[arn].items()]}
                    for arn in arns
                ],
                # After the last page, AWS gives an empty token rather than none.
                "PaginationToken": token or "",
            }
        )

    return get_resources


def _repositories(request: ResourceGroupsTaggingAPIResponse) -> Iterator[tuple[str, Mapping[str, str]]]:
    backend: Any = ecr_backends[request.current_account][request.region]
    for repository in backend.repositories.values():
        tags = backend.tagger.get_tag_dict_for_resource(repository.arn)
        if tags:
            yield repository.arn, tags


def _matches(tags: Mapping[str, str], filters: Mapping[str, list[str]]) -> bool:
    """All keys must be there, with one of the values where any are given."""
    return all(key in tags and (not values or tags[key] in values) for key, values in filters.items())
