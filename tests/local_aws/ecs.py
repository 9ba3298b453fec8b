"""Amazon ECS as strict as AWS, and AWS CloudTrail's events of its calls.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html and
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.ecs.exceptions import EcsClientException, TaskDefinitionNotFoundException
from moto.ecs.models import EC2ContainerServiceBackend, Service, TaskDefinition

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.eventbridge import EventBridge
    from local_aws.identity import Principal
    from local_aws.server import Exchange
    from local_aws.world import World

_MAX_ELEMENT = 100 * 1024
_READS = ("Describe", "List", "Get")


class CloudTrail:
    """Puts every changing call of ECS on the default bus of its account, where the account has a trail.

    `trail_accounts` is None where every account has one.
    """

    def __init__(self, world: World, events: EventBridge) -> None:
        self._world = world
        self._events = events
        self.trail_accounts: set[str] | None = None
        make_ecs_strict(world)

    def observe(self, exchange: Exchange) -> None:
        """Emit the event of a call that moto has answered."""
        api = exchange.api
        if api.service != "ecs" or api.operation.startswith(_READS):
            return
        if self.trail_accounts is not None and exchange.account not in self.trail_accounts:
            return
        self._events.emit(
            exchange.account, api.region, "aws.ecs", "AWS API Call via CloudTrail", self._record(exchange)
        )

    def _record(self, exchange: Exchange) -> dict[str, Any]:
        api = exchange.api
        answer = exchange.answer
        record = {
            "eventVersion": "1.11",
            "userIdentity": _user_identity(exchange.principal),
            "eventTime": self._world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": "ecs.amazonaws.com",
            "eventName": api.operation,
            "awsRegion": api.region,
            "sourceIPAddress": "127.0.0.1",
            "userAgent": "local-aws",
            "requestParameters": _within_limit(dict(api.params)),
            "responseElements": None if exchange.error_code else _within_limit(answer),
            "requestID": str(uuid4()),
            "eventID": str(uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": exchange.account,
            "eventCategory": "Management",
        }
        if exchange.error_code:
            record["errorCode"] = exchange.error_code
            record["errorMessage"] = str(answer.get("message") or answer.get("Message") or "")
        return record


def make_ecs_strict(world: World) -> None:
    """Never reuse a revision's number, and let nothing new start from an INACTIVE task definition."""
    highest: dict[tuple[str, str, str], int] = {}

    def last_revision(backend: EC2ContainerServiceBackend, family: str) -> int | None:
        key = (backend.account_id, backend.region_name, family)
        stored = max(backend.task_definitions.get(family, {}), default=0)
        highest[key] = max(stored, highest.get(key, 0))
        return highest[key] or None

    def register(original: Callable[..., TaskDefinition]) -> Callable[..., TaskDefinition]:
        def register_task_definition(
            backend: EC2ContainerServiceBackend, family: str, *arguments: Any, **named: Any
        ) -> TaskDefinition:
            definition = original(backend, family, *arguments, **named)
            last_revision(backend, family)
            return definition

        return register_task_definition

    backend = EC2ContainerServiceBackend
    world.patches.set(backend, "_get_last_task_definition_revision_id", last_revision)
    world.patches.wrap(backend, "register_task_definition", register)
    world.patches.wrap(backend, "describe_task_definition", _describe)
    world.patches.wrap(backend, "create_service", _create_service)
    world.patches.wrap(backend, "update_service", _update_service)
    world.patches.wrap(backend, "run_task", _run_task)


def _describe(original: Callable[..., TaskDefinition]) -> Callable[..., TaskDefinition]:
    def describe_task_definition(backend: EC2ContainerServiceBackend, task_definition_str: str) -> TaskDefinition:
        name = task_definition_str.rpartition("/")[2]
        if ":" in name:
            return original(backend, task_definition_str)
        revisions = backend.task_definitions.get(name, {}).values()
        active = [definition for definition in revisions if definition.status == "ACTIVE"]
        if not active:
            raise TaskDefinitionNotFoundException
        return max(active, key=lambda definition: definition.revision)

    return describe_task_definition


def _create_service(original: Callable[..., Service]) -> Callable[..., Service]:
    def create_service(
        backend: EC2ContainerServiceBackend,
        cluster_str: str,
        service_name: str,
        desired_count: int,
        task_definition_str: str | None = None,
        *arguments: Any,
        **named: Any,
    ) -> Service:
        _refuse_inactive(backend, task_definition_str)
        return original(backend, cluster_str, service_name, desired_count, task_definition_str, *arguments, **named)

    return create_service


def _update_service(original: Callable[..., Service]) -> Callable[..., Service]:
    def update_service(backend: EC2ContainerServiceBackend, service_properties: dict[str, Any]) -> Service:
        if name := service_properties.get("task_definition"):
            _refuse_inactive(backend, name)
            service_properties["task_definition"] = backend.describe_task_definition(name).arn
        return original(backend, service_properties)

    return update_service


def _run_task(original: Callable[..., Any]) -> Callable[..., Any]:
    def run_task(
        backend: EC2ContainerServiceBackend,
        cluster_str: str,
        task_definition_str: str,
        *arguments: Any,
        **named: Any,
    ) -> Any:
        _refuse_inactive(backend, task_definition_str)
        return original(backend, cluster_str, task_definition_str, *arguments, **named)

    return run_task


def _refuse_inactive(backend: EC2ContainerServiceBackend, name: str | None) -> None:
    if name and backend.describe_task_definition(name).status != "ACTIVE":
        raise EcsClientException("TaskDefinition is inactive")


def _user_identity(principal: Principal) -> dict[str, Any]:
    identity = {
        "type": "AssumedRole" if principal.role_arn else "IAMUser",
        "principalId": principal.access_key,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": principal.access_key,
    }
    if principal.role_arn:
        issuer = {"type": "Role", "arn": principal.role_arn, "accountId": principal.account}
        return {**identity, "sessionContext": {"sessionIssuer": issuer}}
    return identity


def _within_limit(element: dict[str, Any]) -> dict[str, Any] | None:
    """CloudTrail leaves out what exceeds 100 KB."""
    size = len(json.dumps(element, separators=(",", ":")).encode())
    return element if size <= _MAX_ELEMENT else None
