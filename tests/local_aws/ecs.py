"""Amazon ECS as strict as AWS, and AWS CloudTrail's events of its calls.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html and
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.ecs.exceptions import (
    EcsClientException,
    ECSException,
    InvalidParameterException,
    TaskDefinitionNotFoundException,
    TaskSetNotFoundException,
)
from moto.ecs.models import EC2ContainerServiceBackend, Service, TaskDefinition, TaskSet
from moto.ecs.responses import EC2ContainerServiceResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.responses import ActionResult

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
    """Make moto's ECS as strict as AWS.

    A revision's number is never reused. Nothing new starts from an INACTIVE task definition. A deleted service is not
    updated. Task sets are only of services with an external deployment controller, which change their task definition
    in no other way.
    """
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
    world.patches.wrap(backend, "delete_service", _delete_service)
    world.patches.wrap(backend, "create_task_set", _create_task_set)
    world.patches.wrap(backend, "update_task_set", _of_existing_task_set)
    world.patches.wrap(backend, "delete_task_set", _of_existing_task_set)
    world.patches.wrap(backend, "update_service_primary_task_set", _of_existing_task_set)
    world.patches.wrap(EC2ContainerServiceResponse, "delete_task_set", _delete_task_set_request)


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
        service = _service(backend, service_properties.get("cluster", "default"), service_properties["service"])
        if service.status != "ACTIVE":
            raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
        if _is_external(service) and service_properties.get("task_definition"):
            raise InvalidParameterException(
                "Unable to update task definition on services with an EXTERNAL deployment controller"
            )
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


def _delete_service(original: Callable[..., Service]) -> Callable[..., Service]:
    def delete_service(
        backend: EC2ContainerServiceBackend, cluster_name: str, service_name: str, force: bool
    ) -> Service:
        service = _service(backend, cluster_name, service_name)
        if service.task_sets and not force:
            raise InvalidParameterException("The service cannot be stopped while deployments are active.")
        deleted = original(backend, cluster_name, service_name, force)
        deleted.task_sets.clear()
        return deleted

    return delete_service


def _create_task_set(original: Callable[..., TaskSet]) -> Callable[..., TaskSet]:
    def create_task_set(
        backend: EC2ContainerServiceBackend,
        service: str,
        cluster_str: str,
        task_definition: str,
        *,
        scale: dict[str, Any] | None = None,
        **named: Any,
    ) -> TaskSet:
        found = _service(backend, cluster_str, service)
        if found.status != "ACTIVE":
            raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
        if not _is_external(found):
            raise InvalidParameterException("Task sets are for services with an EXTERNAL deployment controller.")
        _refuse_inactive(backend, task_definition)
        # With the scale moto would run tasks, for which it wants container instances.
        task_set = original(backend, service, cluster_str, task_definition, scale=None, **named)
        if scale:
            task_set.scale = scale
        return task_set

    return create_task_set


def _of_existing_task_set(original: Callable[..., TaskSet]) -> Callable[..., TaskSet]:
    def of_existing_task_set(
        backend: EC2ContainerServiceBackend, cluster: str, service: str, task_set: str, *arguments: Any
    ) -> TaskSet:
        if not backend.describe_task_sets(cluster, service, [task_set]):
            raise TaskSetNotFoundException
        return original(backend, cluster, service, task_set, *arguments)

    return of_existing_task_set


def _delete_task_set_request(original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
    def delete_task_set(request: EC2ContainerServiceResponse) -> ActionResult:
        cluster, service, name = (str(request._get_param(key)) for key in ("cluster", "service", "taskSet"))
        found = request.ecs_backend.describe_task_sets(cluster, service, [name])
        if found and found[0].scale["value"] > 0 and not request._get_param("force"):
            raise InvalidParameterException("The task set cannot be deleted while it is scaled above 0.")
        return original(request)

    return delete_task_set


def _service(backend: EC2ContainerServiceBackend, cluster: str, name: str) -> Service:
    return backend._get_service(cluster, name)


def _is_external(service: Service) -> bool:
    return bool(service.deployment_controller["type"] == "EXTERNAL")


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
