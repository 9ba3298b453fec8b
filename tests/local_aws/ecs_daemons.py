"""Daemons of Amazon ECS, which moto lacks: one task on each instance, of which there is one here.

They have revisions and deployments of their own, which do what those of services do, and task definitions of their own:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateDaemon.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from moto.ecs.exceptions import EcsClientException, InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from local_aws.ecs_tasks import EcsError, RunningService, page_of

if TYPE_CHECKING:
    from datetime import datetime

    from local_aws.ecs_tasks import Deployment, Revision, Tasks
    from local_aws.world import World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass
class DaemonTaskDefinition:
    """A daemon task definition; it has what a task needs of moto's TaskDefinition."""

    arn: str
    family: str
    revision: int
    container_definitions: list[dict[str, Any]]
    registered_at: datetime
    cpu: str | None = None
    memory: str | None = None
    status: str = "ACTIVE"
    delete_requested_at: datetime | None = None
    runtime_platform: None = None

    def describe(self) -> dict[str, Any]:
        """As DescribeDaemonTaskDefinition shows it."""
        shown = {
            "daemonTaskDefinitionArn": self.arn,
            "family": self.family,
            "revision": self.revision,
            "containerDefinitions": self.container_definitions,
            "cpu": self.cpu,
            "memory": self.memory,
            "status": self.status,
            "registeredAt": self.registered_at,
            "deleteRequestedAt": self.delete_requested_at,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass
class Daemon:
    """A daemon; it has what RunningService needs of moto's Service."""

    arn: str
    name: str
    cluster_arn: str
    cluster_name: str
    task_definition: str
    capacity_providers: list[str]
    created_at: datetime
    updated_at: datetime
    status: str = "ACTIVE"
    launch_type: str = "MANAGED_INSTANCES"
    scheduling_strategy: str = "DAEMON"
    desired_count: int = 1
    deployments: list[dict[str, Any]] = field(default_factory=list)


class _Backend:
    """What RunningService needs of moto's backend."""

    def __init__(self, daemons: Daemons, account: str, region: str) -> None:
        self._daemons = daemons
        self.account_id = account
        self.region_name = region

    def describe_task_definition(self, name: str) -> Any:
        return self._daemons.definition(name, self.account_id, self.region_name)


class Daemons:
    """The daemons and daemon task definitions of all accounts, by ARN."""

    def __init__(self, world: World, tasks: Tasks) -> None:
        self._world = world
        self._tasks = tasks
        self._definitions: dict[str, DaemonTaskDefinition] = {}
        self._daemons: dict[str, RunningService] = {}
        handlers = {
            "register_daemon_task_definition": self._register,
            "delete_daemon_task_definition": self._delete_definition,
            "describe_daemon_task_definition": self._describe_definition,
            "list_daemon_task_definitions": self._list_definitions,
            "create_daemon": self._create,
            "update_daemon": self._update,
            "delete_daemon": self._delete,
            "describe_daemon": self._describe,
            "list_daemons": self._list,
            "describe_daemon_revisions": self._describe_revisions,
            "describe_daemon_deployments": self._describe_deployments,
        }
        for name, handler in handlers.items():
            world.patches.set(EC2ContainerServiceResponse, name, tasks.handler(handler))

    # Task definitions

    def definition(self, name: str, account: str, region: str) -> DaemonTaskDefinition:
        """A daemon task definition by ARN, family and revision, or family alone: its latest that is ACTIVE."""
        arn = name if name.startswith("arn:") else f"arn:aws:ecs:{region}:{account}:daemon-task-definition/{name}"
        found = self._definitions.get(arn)
        if found is None and ":" not in arn.rpartition("/")[2]:
            revisions = [each for each in self._of(account, region) if each.arn.rpartition(":")[0] == arn]
            found = max(
                (each for each in revisions if each.status == "ACTIVE"), key=lambda each: each.revision, default=None
            )
        if found is None or found.arn.split(":")[3:5] != [region, account] or found.status == "DELETED":
            raise EcsClientException("Unable to describe daemon task definition.")
        return found

    def _of(self, account: str, region: str) -> list[DaemonTaskDefinition]:
        return [each for arn, each in self._definitions.items() if arn.split(":")[3:5] == [region, account]]

    def _register(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        family, containers = str(request._get_param("family")), request._get_param("containerDefinitions") or []
        if not _NAME.fullmatch(family) or not containers or not all(each.get("image") for each in containers):
            raise EcsClientException("A family and containers with images must be given.")
        account, region = request.current_account, request.region
        revision = 1 + max((each.revision for each in self._of(account, region) if each.family == family), default=0)
        arn = f"arn:aws:ecs:{region}:{account}:daemon-task-definition/{family}:{revision}"
        self._definitions[arn] = DaemonTaskDefinition(
            arn,
            family,
            revision,
            containers,
            self._world.clock.now(),
            request._get_param("cpu"),
            request._get_param("memory"),
        )
        return {"daemonTaskDefinitionArn": arn}

    def _delete_definition(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        definition = self._named_definition(request, "daemonTaskDefinition")
        used = any(each.service.task_definition == definition.arn for each in self._active())
        definition.status = "DELETE_IN_PROGRESS" if used else "DELETED"
        definition.delete_requested_at = self._world.clock.now()
        return {"daemonTaskDefinitionArn": definition.arn}

    def _named_definition(self, request: EC2ContainerServiceResponse, member: str) -> DaemonTaskDefinition:
        return self.definition(str(request._get_param(member)), request.current_account, request.region)

    def _describe_definition(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        return {"daemonTaskDefinition": self._named_definition(request, "daemonTaskDefinition").describe()}

    def _list_definitions(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        status = request._get_param("status") or "ACTIVE"
        if status not in ("ACTIVE", "DELETE_IN_PROGRESS", "ALL"):
            raise InvalidParameterException("status must be ACTIVE, DELETE_IN_PROGRESS or ALL")
        if request._get_param("revision"):
            raise InvalidParameterException("The filter by revision is not emulated")
        prefix, family = request._get_param("familyPrefix") or "", request._get_param("family")
        found = {
            each.arn: each
            for each in self._of(request.current_account, request.region)
            if each.status != "DELETED"
            and status in ("ALL", each.status)
            and each.family.startswith(prefix)
            and family in (None, each.family)
        }
        arns, token = page_of(request, found, scope=[status, prefix, family])
        shown = [{"arn": arn, "status": found[arn].status, "registeredAt": found[arn].registered_at} for arn in arns]
        return {"daemonTaskDefinitions": shown, "nextToken": token}

    # Daemons

    def _active(self) -> list[RunningService]:
        return [each for each in self._daemons.values() if each.service.status == "ACTIVE"]

    def _create(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        name, providers = str(request._get_param("daemonName")), request._get_param("capacityProviderArns")
        if not _NAME.fullmatch(name) or not providers:
            raise InvalidParameterException("A name and capacity providers must be given.")
        cluster = request.ecs_backend._get_cluster(str(request._get_param("clusterArn") or "default"))
        definition = self._named_definition(request, "daemonTaskDefinitionArn")
        if definition.status != "ACTIVE":
            raise EcsClientException("The daemon task definition is not ACTIVE.")
        account, region = request.current_account, request.region
        arn = f"arn:aws:ecs:{region}:{account}:daemon/{cluster.name}/{name}"
        if arn in self._daemons and self._daemons[arn].service.status == "ACTIVE":
            raise InvalidParameterException("Creation of daemon was not idempotent.")
        now = self._world.clock.now()
        daemon: Any = Daemon(arn, name, cluster.arn, cluster.name, definition.arn, providers, now, now)
        backend: Any = _Backend(self, account, region)
        configuration = request._get_param("deploymentConfiguration") or {}
        deployment = self._tasks.new_deployment(daemon, backend, [], configuration, "daemon")
        running = self._daemons[arn] = RunningService(daemon, backend, deployment, "daemon")
        self._tasks.begin(running)
        return _summary(running)

    def _update(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        running = self._named(request)
        daemon: Any = running.service
        if daemon.status != "ACTIVE":
            raise EcsError("DaemonNotActiveException", "The daemon is not ACTIVE.")
        definition = self._named_definition(request, "daemonTaskDefinitionArn")
        daemon.task_definition, daemon.updated_at = definition.arn, self._world.clock.now()
        daemon.capacity_providers = request._get_param("capacityProviderArns") or daemon.capacity_providers
        configuration = request._get_param("deploymentConfiguration") or running.deployment.configuration
        self._tasks.deploy(running, configuration)
        self._tasks.reconcile(running)
        return _summary(running)

    def _delete(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        running = self._named(request)
        running.service.status = "DELETE_IN_PROGRESS"
        self._tasks.end(running)
        del self._daemons[running.service.arn]
        return _summary(running)

    def _named(self, request: EC2ContainerServiceResponse) -> RunningService:
        arn = str(request._get_param("daemonArn"))
        if arn not in self._daemons or arn.split(":")[3:5] != [request.region, request.current_account]:
            raise EcsError("DaemonNotFoundException", "Daemon not found.")
        return self._daemons[arn]

    def _describe(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        running = self._named(request)
        daemon = self._tasks.show(running)
        providers = [{"arn": arn} for arn in daemon.capacity_providers]
        revisions = [
            {"arn": each["arn"], "totalRunningCount": each["runningTaskCount"], "capacityProviders": providers}
            for each in daemon.current_service_revisions
        ]
        shown = {
            "daemonArn": daemon.arn,
            "clusterArn": daemon.cluster_arn,
            "status": daemon.status,
            "currentRevisions": revisions,
            "deploymentArn": running.deployment.arn,
            "createdAt": daemon.created_at,
            "updatedAt": daemon.updated_at,
        }
        return {"daemon": shown}

    def _list(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        cluster = request.ecs_backend._get_cluster(str(request._get_param("clusterArn") or "default"))
        providers = set(request._get_param("capacityProviderArns") or ())
        found = {}
        for arn, running in self._daemons.items():
            daemon = cast("Daemon", running.service)
            if daemon.cluster_arn == cluster.arn and (
                not providers or providers.intersection(daemon.capacity_providers)
            ):
                times = {"createdAt": daemon.created_at, "updatedAt": daemon.updated_at}
                found[arn] = {"daemonArn": arn, "status": daemon.status, **times}
        arns, token = page_of(request, found, scope=[cluster.arn, sorted(providers)])
        return {"daemonSummariesList": [found[arn] for arn in arns], "nextToken": token}

    def _describe_revisions(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        known, failures = self._tasks.revisions_of(request, "daemonRevisionArns", "daemon")
        unresolved = self._world.behaviour.shows_unresolved_images
        found = [
            {
                "daemonRevisionArn": revision.arn,
                "clusterArn": running.service.cluster_arn,
                "daemonArn": running.service.arn,
                "daemonTaskDefinitionArn": revision.definition.arn,
                "createdAt": revision.created_at,
                "containerImages": revision.listed_images(unresolved=unresolved),
            }
            for revision, running in known
        ]
        return {"daemonRevisions": found, "failures": failures}

    def _describe_deployments(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        known, failures = self._tasks.deployments_of(request, "daemonDeploymentArns", "daemon")
        return {"daemonDeployments": [self._describe_deployment(*each) for each in known], "failures": failures}

    def _describe_deployment(self, deployment: Deployment, running: RunningService) -> dict[str, Any]:
        def count(revision: Revision) -> dict[str, Any]:
            up, _ = self._tasks.counts(running, revision)
            return {"arn": revision.arn, "totalRunningInstanceCount": up}

        rollback = deployment.rollback and {
            "reason": deployment.rollback["reason"],
            "startedAt": deployment.rollback["startedAt"],
            "rollbackTargetDaemonRevisionArn": deployment.rollback["serviceRevisionArn"],
        }
        shown = {
            "daemonDeploymentArn": deployment.arn,
            "clusterArn": running.service.cluster_arn,
            "status": deployment.status,
            "targetDaemonRevision": count(deployment.target),
            "sourceDaemonRevisions": [count(each) for each in deployment.sources],
            "rollback": rollback,
            "deploymentConfiguration": deployment.configuration,
            "createdAt": deployment.created_at,
            "startedAt": deployment.created_at,
            "finishedAt": deployment.finished_at,
        }
        return {name: value for name, value in shown.items() if value is not None}


def _summary(running: RunningService) -> dict[str, Any]:
    daemon = cast("Daemon", running.service)
    return {
        "daemonArn": daemon.arn,
        "status": daemon.status,
        "createdAt": daemon.created_at,
        "updatedAt": daemon.updated_at,
        "deploymentArn": running.deployment.arn,
    }
