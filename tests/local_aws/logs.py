"""What moto lacks of CloudWatch Logs: saved queries of Logs Insights, and another key for a log group that exists.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html and
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_AssociateKmsKey.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.responses import LogsResponse

if TYPE_CHECKING:
    from local_aws.patches import Patches
    from local_aws.world import World

_MOST_GROUPS = 50


def associate_keys(patches: Patches) -> None:
    """Let log groups have another key, or none."""
    patches.set(LogsResponse, "associate_kms_key", _set_key)
    patches.set(LogsResponse, "disassociate_kms_key", _set_key)


def _set_key(request: LogsResponse) -> str:
    group = request.logs_backend.groups.get(request._get_param("logGroupName"))
    if group is None:
        raise ResourceNotFoundException
    group.kms_key_id = request._get_param("kmsKeyId")
    return "{}"


class QueryDefinitions:
    """The saved queries of all accounts and regions."""

    def __init__(self, world: World) -> None:
        self._known: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._world = world
        world.patches.set(LogsResponse, "put_query_definition", self._method(self._put))
        world.patches.set(LogsResponse, "describe_query_definitions", self._method(self._describe))
        world.patches.set(LogsResponse, "delete_query_definition", self._method(self._delete))

    def _method(self, answer: Any) -> Any:
        def method(request: LogsResponse) -> str:
            return json.dumps(answer(request, self._known.setdefault((request.current_account, request.region), {})))

        return method

    def _put(self, request: LogsResponse, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        name, query = request._get_param("name"), request._get_param("queryString")
        groups = request._get_param("logGroupNames") or []
        if not name or len(name) > 255 or not query or len(query) > 10_000 or len(groups) > _MOST_GROUPS:
            raise InvalidParameterException(msg="1 validation error detected")
        given = request._get_param("queryDefinitionId")
        if given and given not in known:
            raise ResourceNotFoundException
        identifier = given or str(uuid4())
        known[identifier] = {
            "queryDefinitionId": identifier,
            "name": name,
            "queryString": query,
            "logGroupNames": groups,
            "queryLanguage": "CWLI",
            "lastModified": int(self._world.clock.now().timestamp() * 1000),
        }
        return {"queryDefinitionId": identifier}

    def _describe(self, request: LogsResponse, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        prefix = request._get_param("queryDefinitionNamePrefix") or ""
        found = sorted((each for each in known.values() if each["name"].startswith(prefix)), key=lambda it: it["name"])
        return {"queryDefinitions": found}

    def _delete(self, request: LogsResponse, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        if known.pop(request._get_param("queryDefinitionId"), None) is None:
            raise ResourceNotFoundException
        return {"success": True}
