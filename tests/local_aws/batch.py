"""AWS Batch's job definitions, which moto forgets half of: kept as they are given, in pages. Jobs are not run.

https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from moto.batch.responses import BatchResponse
from moto.core.exceptions import JsonRESTError

from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.world import World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KINDS = {
    "container": ("containerProperties", "ecsProperties", "eksProperties"),
    "multinode": ("nodeProperties",),
}
_PAGE = 100


class JobDefinitions:
    """The job definitions of all accounts, by account and region, each by its ARN."""

    def __init__(self, world: World) -> None:
        self._stored: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        handlers: dict[str, Callable[[dict[str, Any], str, str], dict[str, Any]]] = {
            "registerjobdefinition": self._register,
            "deregisterjobdefinition": self._deregister,
            "describejobdefinitions": self._describe,
        }
        for name, handler in handlers.items():
            world.patches.set(BatchResponse, name, _request(handler))
        world.patches.set(BatchResponse, "submitjob", _refuse_job)

    def _register(self, params: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        name, kind = params.get("jobDefinitionName", ""), params.get("type")
        if not _NAME.fullmatch(name):
            raise _invalid(f"Job definition name must match {_NAME.pattern}")
        if kind not in _KINDS:
            raise _invalid("type must be container or multinode")
        given = [each for members in _KINDS.values() for each in members if params.get(each)]
        if len(given) != 1 or given[0] not in _KINDS[kind]:
            raise _invalid(f"A definition of type {kind} has exactly one of {', '.join(_KINDS[kind])}")
        stored = self._stored.setdefault((account, region), {})
        revision = 1 + max(
            (each["revision"] for each in stored.values() if each["jobDefinitionName"] == name), default=0
        )
        arn = f"arn:aws:batch:{region}:{account}:job-definition/{name}:{revision}"
        stored[arn] = {
            **params,
            "jobDefinitionArn": arn,
            "revision": revision,
            "status": "ACTIVE",
            "containerOrchestrationType": "EKS" if given[0] == "eksProperties" else "ECS",
        }
        return {"jobDefinitionArn": arn, "jobDefinitionName": name, "revision": revision}

    def _deregister(self, params: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        name = str(params.get("jobDefinition"))
        arn = name if name.startswith("arn:") else f"arn:aws:batch:{region}:{account}:job-definition/{name}"
        if definition := self._stored.get((account, region), {}).get(arn):
            definition["status"] = "INACTIVE"
        return {}

    def _describe(self, params: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        """Without a status those that are INACTIVE are shown too."""
        name, status, given = (params.get(each) for each in ("jobDefinitionName", "status", "jobDefinitions"))
        wanted = {each for each in given or () if str(each).startswith("arn:")}
        wanted |= {f"arn:aws:batch:{region}:{account}:job-definition/{each}" for each in given or ()}
        found = [
            definition
            for arn, definition in self._stored.get((account, region), {}).items()
            if (arn in wanted if given else name in (None, definition["jobDefinitionName"]))
            and status in (None, definition["status"])
        ]
        try:
            definitions, token = page(
                found,
                lambda each: str(each["jobDefinitionArn"]),
                size=params.get("maxResults"),
                token=params.get("nextToken"),
                default=_PAGE,
                maximum=_PAGE,
                scope=[name, status, given],
            )
        except PageError as error:
            raise _invalid(str(error)) from error
        return {"jobDefinitions": definitions, **({"nextToken": token} if token else {})}


def _request(handler: Callable[[dict[str, Any], str, str], dict[str, Any]]) -> Callable[[BatchResponse], str]:
    def handle(response: BatchResponse) -> str:
        params = json.loads(response.body or "{}")
        return json.dumps(handler(params, response.current_account, response.region))

    return handle


def _refuse_job(_: BatchResponse) -> str:
    raise _invalid("Jobs are not emulated")


def _invalid(message: str) -> JsonRESTError:
    return JsonRESTError("ClientException", message)
