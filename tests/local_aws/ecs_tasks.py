"""What runs in Amazon ECS: services with their revisions and deployments, and tasks that pull their images.

A service with the deployment controller ECS runs its desired count of tasks. The first task of a service revision
resolves the tags to digests, and all later ones pull those:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html#deployment-container-image-stability
A deployment can go back to the revision that it came from while it is in progress or bakes:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html.
There is always room for a task. Task sets, and services with the controller CODE_DEPLOY, run tasks and show no
revisions.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.ecs.exceptions import (
    ClusterNotFoundException,
    EcsClientException,
    InvalidParameterException,
    TaskDefinitionNotFoundException,
)
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from local_aws import ecr
from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from moto.ecs.models import EC2ContainerServiceBackend, Service, TaskDefinition, TaskSet

    from local_aws.clock import Item
    from local_aws.world import World

T = TypeVar("T")

_REGISTRY = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn|amazonaws\.eu)/(?P<path>.+)"
)
_SHOWN_AFTER_STOP = timedelta(hours=1)
_MAX_BACK_OFF = timedelta(minutes=15)
_PAGE = 100
_SERVICES_PAGE = 10
_MAX_SERVICES, _MAX_TASKS, _MAX_ARNS, _MAX_COUNT = 10, 100, 20, 10
_WITHOUT_REVISIONS = ("code-deploy", "task-set")
_RUNNING, _STOPPED = "RUNNING", "STOPPED"
_DEFAULT_CONFIGURATION = {"maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING"}
# What starts a deployment beside another task definition:
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
_DEPLOYED = (
    "capacityProviderStrategy",
    "enableECSManagedTags",
    "loadBalancers",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "propagateTags",
    "serviceConnectConfiguration",
    "serviceRegistries",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
)


@dataclass(frozen=True)
class FailedPull:
    """A task that could not start because an image could not be pulled.

    `service_arn` is None for a task of nobody's. `image` is what was asked for: a reference, by digest once the service
    revision has one.
    """

    time: datetime
    account: str
    region: str
    service_arn: str | None
    task_arn: str
    image: str
    reason: str


@dataclass
class ContainerImage:
    """The image of one container of a revision: what every task pulls, and what ECS shows of it."""

    container: str
    reference: str
    is_resolved_once: bool
    digest: str | None = None
    shown_digest: str | None = None

    @property
    def pulled(self) -> str:
        """What a task pulls now, as ECS itself writes it."""
        return f"{self.reference}@{self.digest}" if self.digest and "@" not in self.reference else self.reference

    def describe(self) -> dict[str, Any]:
        """As a revision lists it."""
        shown = {"containerName": self.container, "image": self.reference, "imageDigest": self.shown_digest}
        return {name: value for name, value in shown.items() if value is not None}


@dataclass
class Revision:
    """A service revision (or one of a daemon): a task definition with the digests that were resolved for it."""

    arn: str
    definition: TaskDefinition
    images: list[ContainerImage]
    created_at: datetime

    def listed_images(self, *, unresolved: bool) -> list[dict[str, Any]]:
        """The images as ECS lists them, with or without those that have no digest yet."""
        return [image.describe() for image in self.images if unresolved or image.shown_digest]


@dataclass
class Deployment:
    """A service deployment: from the revisions that ran to a new one."""

    arn: str
    target: Revision
    sources: list[Revision]
    configuration: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    status: str = "IN_PROGRESS"
    stage: str = "SCALE_UP"
    finished_at: datetime | None = None
    rollback: dict[str, Any] | None = None
    failed_tasks: int = 0
    bake: Item | None = None

    @property
    def is_in_progress(self) -> bool:
        """Whether it can still go either way."""
        return self.status in ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS")

    @property
    def keeps_sources(self) -> bool:
        """Whether the old tasks run on during the bake time, as they do with all strategies but ROLLING."""
        return bool(self.configuration.get("strategy", "ROLLING") != "ROLLING")

    @property
    def bake_time(self) -> timedelta:
        """How long the new tasks alone must do before it succeeds."""
        return timedelta(minutes=self.configuration.get("bakeTimeInMinutes", 0))


@dataclass(eq=False)
class Task:
    """A task, from its creation until an hour after it stopped."""

    arn: str
    cluster_arn: str
    definition: TaskDefinition
    images: list[ContainerImage]
    revision: Revision | None
    service: RunningService | None
    group: str
    started_by: str
    launch_type: str
    created_at: datetime
    containers: list[dict[str, Any]] = field(default_factory=list)
    last_status: str = "PENDING"
    desired_status: str = _RUNNING
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """As DescribeTasks shows it."""
        shown: dict[str, Any] = {
            "taskArn": self.arn,
            "clusterArn": self.cluster_arn,
            "taskDefinitionArn": self.definition.arn,
            "group": self.group,
            "startedBy": self.started_by or None,
            "launchType": self.launch_type,
            "lastStatus": self.last_status,
            "desiredStatus": self.desired_status,
            "containers": self.containers,
            "createdAt": self.created_at,
            "startedAt": self.started_at,
            "stoppedAt": self.stopped_at,
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "cpu": self.definition.cpu,
            "memory": self.definition.memory,
            "overrides": {"containerOverrides": []},
            "attachments": [],
            "version": 1,
            "tags": self.tags,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(eq=False)
class RunningService:
    """A service, daemon or task set (by `kind`) that runs tasks. `current` is the revision that it last settled on.

    `service` is moto's, or has its attributes, as `backend` has; the answers about it are put there.
    """

    service: Service
    backend: EC2ContainerServiceBackend
    deployment: Deployment
    kind: str = "service"
    current: Revision | None = None
    failures: int = 0
    retry: Item | None = None
    live: list[Task] = field(default_factory=list)

    @property
    def desired_count(self) -> int:
        """How many tasks are to run; of a daemon service one, for the one instance that there always is."""
        if self.service.status != "ACTIVE":
            return 0
        return 1 if str(self.service.scheduling_strategy) == "DAEMON" else int(self.service.desired_count)


class _TaskSetService:
    """A task set; it has what RunningService needs of moto's Service."""

    scheduling_strategy = "REPLICA"

    def __init__(self, service: Service, task_set: TaskSet) -> None:
        self.service = service
        self._task_set: Any = task_set
        self.arn = task_set.task_set_arn
        self.name = service.name
        self.cluster_arn = service.cluster_arn
        self.cluster_name = service.cluster_name
        self.task_definition = task_set.task_definition
        self.launch_type = task_set.launch_type

    @property
    def status(self) -> str:
        """ACTIVE as long as the service has it."""
        has = any(each is self._task_set for each in self.service.task_sets)
        return "ACTIVE" if has and self.service.status == "ACTIVE" else "INACTIVE"

    @property
    def desired_count(self) -> int:
        """Its share of the service's desired count, rounded up."""
        return math.ceil(self.service.desired_count * float(self._task_set.scale["value"]) / 100)

    @property
    def running_count(self) -> int:
        """How many of its tasks run; shown by the task set itself."""
        return int(self._task_set.running_count)

    @running_count.setter
    def running_count(self, count: int) -> None:
        self._task_set.running_count = count
        self._task_set.computed_desired_count = self.desired_count

    @property
    def pending_count(self) -> int:
        """How many do not run yet."""
        return int(self._task_set.pending_count)

    @pending_count.setter
    def pending_count(self, count: int) -> None:
        self._task_set.pending_count = count


class Tasks:
    """The tasks of all accounts, and the services that start them.

    `on_change` is told the account, region and ARN of a service that changed without a call of UpdateService.
    """

    def __init__(self, world: World, on_change: Callable[[str, str, str], None] = lambda *_: None) -> None:
        self._world = world
        self._on_change = on_change
        self._services: dict[str, RunningService] = {}
        self._revisions: dict[str, tuple[Revision, RunningService]] = {}
        self._deployments: dict[str, tuple[Deployment, RunningService]] = {}
        self._tasks: dict[str, Task] = {}
        self.failed_pulls: list[FailedPull] = []
        response = EC2ContainerServiceResponse
        patches = world.patches
        patches.wrap(response, "create_service", self._create_service)
        patches.wrap(response, "update_service", self._update_service)
        patches.wrap(response, "delete_service", self._delete_service)
        patches.wrap(response, "create_task_set", self._create_task_set)
        patches.wrap(response, "update_task_set", self._change_task_set)
        patches.wrap(response, "delete_task_set", self._change_task_set)
        patches.wrap(response, "delete_cluster", self._delete_cluster)
        patches.wrap(response, "describe_services", self._describe_services)
        patches.wrap(response, "describe_clusters", self._describe_clusters)
        patches.set(response, "describe_service_revisions", self.handler(self._describe_revisions))
        patches.set(response, "describe_service_deployments", self.handler(self._describe_deployments))
        patches.set(response, "stop_service_deployment", self.handler(self._stop_deployment))
        patches.set(response, "run_task", self.handler(self._run_task))
        patches.set(response, "start_task", self.handler(_start_task))
        patches.set(response, "stop_task", self.handler(self._stop_task))
        patches.set(response, "list_tasks", self.handler(self._list_tasks))
        patches.set(response, "describe_tasks", self.handler(self._describe_tasks))
        patches.set(response, "list_services", self.handler(_list_services))
        patches.set(response, "list_clusters", self.handler(_list_clusters))
        patches.set(response, "list_task_definitions", self.handler(_list_task_definitions))

    # For tests

    def replace(self, account: str, region: str, *, service: str | None = None, task: str | None = None) -> list[str]:
        """Let tasks of services end, as when their hosts fail, so that others are started; gives the ARNs.

        All of the account and region, or those of one service (by name or ARN), or one task (by ARN).
        """
        ended = []
        with self._world.lock:
            for each in list(self._tasks.values()):
                if each.service is None or each.desired_status != _RUNNING or not _is_of(each.arn, account, region):
                    continue
                if service not in (None, each.service.service.name, each.service.service.arn):
                    continue
                if task in (None, each.arn):
                    self._stop(each, "TerminationNotice", "Host EC2 (instance) terminated.")
                    ended.append(each.arn)
            for owner in {self._tasks[arn].service for arn in ended}:
                if owner:
                    self.reconcile(owner)
        return ended

    # For targets of rules and schedules

    def run_for_target(self, cluster_arn: str, definition_name: str, count: int, started_by: str) -> str | None:
        """Run tasks for a rule or a schedule; why that is not possible, or None."""
        _, _, _, region, account, _ = cluster_arn.split(":", 5)
        backend = ecs_backends[account][region]
        with self._world.lock:
            try:
                cluster = backend._get_cluster(cluster_arn)
                definition = backend.describe_task_definition(definition_name)
            except (ClusterNotFoundException, TaskDefinitionNotFoundException) as error:
                return str(error)
            if cluster.status != "ACTIVE" or definition.status != "ACTIVE":
                return "The cluster or the task definition is inactive."
            for _ in range(count):
                self._start(
                    definition,
                    cluster.arn,
                    images=images_of(definition.container_definitions),
                    revision=None,
                    service=None,
                    group=f"family:{definition.family}",
                    started_by=started_by,
                    launch_type="EC2",
                )
        return None

    def roll_back(self, account: str, region: str, service: str, reason: str = "Rolled back.") -> None:
        """Let a service's deployment in progress go back to where it came from."""
        with self._world.lock:
            for each in self._services.values():
                if each.kind in _WITHOUT_REVISIONS:
                    continue
                named = service in (each.service.name, each.service.arn)
                if named and _is_of(each.service.arn, account, region) and each.deployment.is_in_progress:
                    self._roll_back(each, reason)
                    return
        raise ValueError(f"{service} has no deployment in progress")

    # Services

    def _create_service(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def create_service(request: EC2ContainerServiceResponse) -> ActionResult:
            name = f"{_active_cluster(request).name}:{request._get_param('serviceName')}"
            existing = request.ecs_backend.services.get(name)
            if existing is not None and existing.status == "ACTIVE":
                raise InvalidParameterException("Creation of service was not idempotent.")
            result = original(request)
            service: Service = cast("dict[str, Any]", result.result)["service"]
            service.created_at = self._world.clock.now()  # type: ignore[attr-defined]
            kind = {"ECS": "service", "CODE_DEPLOY": "code-deploy"}.get(service.deployment_controller["type"])
            if kind is None or not service.task_definition:
                return result
            configuration = _DEFAULT_CONFIGURATION | (request._get_param("deploymentConfiguration") or {})
            service.deployment_configuration = configuration  # type: ignore[attr-defined]
            backend = request.ecs_backend
            deployment = self.new_deployment(service, backend, [], configuration, kind)
            self.begin(RunningService(service, backend, deployment, kind))
            return result

        return create_service

    def _create_task_set(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def create_task_set(request: EC2ContainerServiceResponse) -> ActionResult:
            result = original(request)
            task_set: TaskSet = cast("dict[str, Any]", result.result)["taskSet"]
            backend = request.ecs_backend
            name = task_set.service_arn.rpartition("/")[2]
            owner: Any = _TaskSetService(backend._get_service(task_set.cluster_arn, name), task_set)
            deployment = self.new_deployment(owner, backend, [], {}, "task-set")
            self.begin(RunningService(owner, backend, deployment, "task-set"))
            return result

        return create_task_set

    def _change_task_set(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def change_task_set(request: EC2ContainerServiceResponse) -> ActionResult:
            result = original(request)
            task_set: TaskSet = cast("dict[str, Any]", result.result)["taskSet"]
            if running := self._services.get(task_set.task_set_arn):
                self.reconcile(running)
            return result

        return change_task_set

    def _reconcile_task_sets(self, service: Service) -> None:
        for running in self._services.values():
            if running.kind == "task-set" and cast("_TaskSetService", running.service).service is service:
                self.reconcile(running)

    def begin(self, running: RunningService) -> None:
        """Let a service or daemon run its tasks from now on."""
        self._services[running.service.arn] = running
        self._index(running, running.deployment)
        self.reconcile(running)

    def end(self, running: RunningService) -> None:
        """Stop the tasks of a service or daemon that is not ACTIVE any more."""
        self._cancel(running)
        self.reconcile(running)

    def _update_service(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def update_service(request: EC2ContainerServiceResponse) -> ActionResult:
            name = str(request._get_param("service"))
            before = request.ecs_backend._get_service(request._get_param("cluster", "default"), name.rpartition("/")[2])
            old_definition = before.task_definition
            result = original(request)
            service: Service = cast("dict[str, Any]", result.result)["service"]
            running = self._services.get(service.arn)
            if running is None or running.service is not service:
                self._reconcile_task_sets(service)
                return result
            changed = service.task_definition != old_definition or any(
                request._get_param(each) is not None for each in _DEPLOYED
            )
            if changed or request._get_param("forceNewDeployment"):
                self.deploy(running, getattr(service, "deployment_configuration", {}))
            self.reconcile(running)
            return result

        return update_service

    def _delete_service(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def delete_service(request: EC2ContainerServiceResponse) -> ActionResult:
            result = original(request)
            service: Service = cast("dict[str, Any]", result.result)["service"]
            running = self._services.get(service.arn)
            if running is not None and running.service is service:
                self.end(running)
            self._reconcile_task_sets(service)
            return result

        return delete_service

    def _delete_cluster(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def delete_cluster(request: EC2ContainerServiceResponse) -> ActionResult:
            cluster = _cluster(request)
            services = request.ecs_backend.services.values()
            if any(each.cluster_arn == cluster.arn and each.status == "ACTIVE" for each in services):
                raise EcsError(
                    "ClusterContainsServicesException", "The Cluster cannot be deleted while it has services"
                )
            if any(each.cluster_arn == cluster.arn for each in self._live()):
                raise EcsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
            return original(request)

        return delete_cluster

    def deploy(self, running: RunningService, configuration: dict[str, Any]) -> None:
        """Start a deployment, in place of the one in progress if there is one."""
        old = running.deployment
        self._cancel(running)
        with_tasks = {each.revision.arn for each in self._live(running) if each.revision}
        settled = running.current
        candidates = [settled, *old.sources, old.target]
        sources = {each.arn: each for each in candidates if each and (each is settled or each.arn in with_tasks)}
        if old.is_in_progress:
            old.status, old.finished_at = "STOPPED", self._world.clock.now()
        deployment = self.new_deployment(
            running.service, running.backend, list(sources.values()), configuration, running.kind
        )
        previous = settled or old.target
        is_same = previous.definition.arn == deployment.target.definition.arn
        if is_same and not self._world.behaviour.forced_deployment_resolves_anew:
            digests = {image.container: image for image in previous.images}
            for image in deployment.target.images:
                image.digest = digests[image.container].digest
                image.shown_digest = digests[image.container].shown_digest
        running.deployment = deployment
        running.failures = 0
        self._index(running, deployment)

    def new_deployment(
        self,
        service: Service,
        backend: EC2ContainerServiceBackend,
        sources: list[Revision],
        configuration: dict[str, Any],
        kind: str = "service",
    ) -> Deployment:
        """A deployment of what the service is now, not yet begun."""
        now = self._world.clock.now()
        definition = backend.describe_task_definition(str(service.task_definition))
        images = images_of(definition.container_definitions)
        if kind in _WITHOUT_REVISIONS and not self._world.behaviour.task_sets_resolve_once:
            for image in images:
                image.is_resolved_once = False
        prefix = service.arn.rpartition(":")[0]
        path = f"{service.cluster_name}/{service.name}"
        target = Revision(
            f"{prefix}:{kind}-revision/{path}/{secrets.randbelow(10**19):019d}",
            definition,
            images,
            now,
        )
        arn = f"{prefix}:{kind}-deployment/{path}/{secrets.token_urlsafe(15)}"
        return Deployment(arn, target, sources, configuration, now, now)

    def _index(self, running: RunningService, deployment: Deployment) -> None:
        self._deployments[deployment.arn] = deployment, running
        self._revisions[deployment.target.arn] = deployment.target, running

    def _cancel(self, running: RunningService) -> None:
        for item in (running.retry, running.deployment.bake):
            if item:
                item.cancel()
        running.retry = None

    def reconcile(self, running: RunningService) -> None:
        """Start and stop tasks until there are as many as wanted, and let the deployment go on."""
        self._purge()
        self._advance(running)
        wanted, kept = self._wanted(running)
        live: dict[str, list[Task]] = {}
        for task in self._live(running):
            live.setdefault(cast("Revision", task.revision).arn, []).append(task)
        for arn, tasks in live.items():
            surplus = len(tasks) - wanted.get(arn, 0)
            if surplus > 0 and (arn not in kept or arn in wanted):
                # Those that do not run yet go first, then the oldest.
                tasks.sort(key=lambda each: each.started_at is not None)
                for task in tasks[:surplus]:
                    self._stop(
                        task, "ServiceSchedulerInitiated", f"Scaling activity initiated by {running.deployment.arn}"
                    )
        if running.retry is None:
            for arn, count in wanted.items():
                for _ in range(count - len(live.get(arn, ()))):
                    self._start_of_service(running, self._revisions[arn][0])
        self._show(running)

    def _wanted(self, running: RunningService) -> tuple[dict[str, int], set[str]]:
        """How many tasks of which revision are to run, and of which others none are stopped yet."""
        count = running.desired_count
        if count == 0:
            return {}, set()
        deployment = running.deployment
        sources = {each.arn for each in deployment.sources}
        settled = {running.current.arn: count} if running.current else {}
        if deployment.status == "IN_PROGRESS":
            if deployment.stage == "BAKE_TIME" and not deployment.keeps_sources:
                return {deployment.target.arn: count}, set()
            # The old tasks that end meanwhile are replaced too.
            return {**settled, deployment.target.arn: count}, sources
        if deployment.status == "ROLLBACK_IN_PROGRESS":
            return settled, {deployment.target.arn, *sources}
        return settled, set()

    def _advance(self, running: RunningService) -> None:
        """Let the deployment go to its next stage if all of its tasks run."""
        deployment = running.deployment
        if not deployment.is_in_progress or running.service.status != "ACTIVE":
            return
        goal = deployment.target if deployment.status == "IN_PROGRESS" else cast("Revision", running.current)
        up = sum(task.revision is goal and task.last_status == _RUNNING for task in self._live(running))
        if up < running.desired_count or deployment.stage == "BAKE_TIME":
            return
        deployment.updated_at = self._world.clock.now()
        if deployment.status == "IN_PROGRESS" and deployment.bake_time and running.desired_count:
            deployment.stage = "BAKE_TIME"

            def end() -> None:
                with self._world.lock:
                    self._finish(running, "SUCCESSFUL", deployment.target)
                    self.reconcile(running)

            deployment.bake = self._world.agenda.after(deployment.bake_time, end)
            return
        status = "SUCCESSFUL" if deployment.status == "IN_PROGRESS" else "ROLLBACK_SUCCESSFUL"
        self._finish(running, status, goal)

    def _finish(self, running: RunningService, status: str, revision: Revision) -> None:
        deployment = running.deployment
        deployment.status, deployment.stage = status, "CLEAN_UP"
        deployment.finished_at = deployment.updated_at = self._world.clock.now()
        running.current = revision

    def _roll_back(self, running: RunningService, reason: str) -> None:
        deployment = running.deployment
        source = running.current
        if source is None:
            raise InvalidParameterException("The service deployment has no source revision to roll back to.")
        self._cancel(running)
        now = self._world.clock.now()
        deployment.status, deployment.stage, deployment.updated_at = "ROLLBACK_IN_PROGRESS", "SCALE_UP", now
        deployment.rollback = {"reason": reason, "startedAt": now, "serviceRevisionArn": source.arn}
        running.service.task_definition = source.definition.arn
        running.failures = 0
        self.reconcile(running)
        service = running.service
        if running.kind == "service":
            self._on_change(running.backend.account_id, running.backend.region_name, service.arn)

    def _show(self, running: RunningService) -> None:
        """Put what goes on into moto's service, and its cluster, from which answers are made."""
        service: Any = running.service
        live = self._live(running)
        behaviour = self._world.behaviour
        deployment = running.deployment
        service.running_count = sum(task.last_status == _RUNNING for task in live)
        service.pending_count = len(live) - service.running_count
        if running.kind in _WITHOUT_REVISIONS:
            return
        shown = deployment.is_in_progress or behaviour.shows_finished_deployment
        service.current_service_deployment = deployment.arn if shown else None
        wanted, _ = self._wanted(running)
        if not wanted and behaviour.shows_revision_at_zero and service.status == "ACTIVE":
            wanted = {(running.current or deployment.target).arn: 0}
        arns = dict.fromkeys([*wanted, *(cast("Revision", task.revision).arn for task in live)])
        service.current_service_revisions = [{"arn": arn, **_counts(arn, wanted, live)} for arn in arns]
        service.deployments = self._classic_deployments(running, live)

    def _classic_deployments(self, running: RunningService, live: list[Task]) -> list[dict[str, Any]]:
        deployment = running.deployment
        primary = deployment.target if deployment.rollback is None else cast("Revision", running.current)
        done = not deployment.is_in_progress
        shown = []
        for revision in {each.arn: each for each in (primary, *deployment.sources, deployment.target)}.values():
            counts = _counts(revision.arn, {}, live)
            if revision is not primary and not counts["runningTaskCount"] + counts["pendingTaskCount"]:
                continue
            shown.append(
                {
                    "id": f"ecs-svc/{revision.arn.rpartition('/')[2]}",
                    "status": "PRIMARY" if revision is primary else "ACTIVE",
                    "taskDefinition": revision.definition.arn,
                    "desiredCount": running.desired_count,
                    "runningCount": counts["runningTaskCount"],
                    "pendingCount": counts["pendingTaskCount"],
                    "failedTasks": deployment.failed_tasks,
                    "createdAt": revision.created_at,
                    "updatedAt": deployment.updated_at,
                    "launchType": running.service.launch_type,
                    "rolloutState": "COMPLETED" if done or revision is not primary else "IN_PROGRESS",
                }
            )
        return shown

    # Tasks

    def _live(self, running: RunningService | None = None) -> list[Task]:
        """The tasks that are to run, of a service or of all."""
        if running is not None:
            return list(running.live)
        return [task for task in self._tasks.values() if task.desired_status == _RUNNING]

    def _purge(self) -> None:
        oldest = self._world.clock.now() - _SHOWN_AFTER_STOP
        for arn in [arn for arn, task in self._tasks.items() if task.stopped_at and task.stopped_at <= oldest]:
            del self._tasks[arn]

    def _start_of_service(self, running: RunningService, revision: Revision) -> None:
        # It may have been deregistered and deleted in the meantime.
        self._start(
            revision.definition,
            running.service.cluster_arn,
            images=revision.images,
            revision=revision,
            service=running,
            group=f"{'daemon' if running.kind == 'daemon' else 'service'}:{running.service.name}",
            started_by=f"ecs-svc/{revision.arn.rpartition('/')[2]}",
            launch_type=running.service.launch_type or "EC2",
        )

    def _start(self, definition: TaskDefinition, cluster_arn: str, **fields: Any) -> Task:
        prefix, _, cluster = cluster_arn.partition(":cluster/")
        arn = f"{prefix}:task/{cluster}/{uuid4().hex}"
        task = Task(arn, cluster_arn, definition, created_at=self._world.clock.now(), **fields)
        task.containers = [
            {
                "containerArn": f"{prefix}:container/{cluster}/{arn.rpartition('/')[2]}/{uuid4()}",
                "taskArn": arn,
                "name": image.container,
                "image": image.pulled,
                "lastStatus": "PENDING",
                "networkInterfaces": [],
            }
            for image in task.images
        ]
        self._tasks[arn] = task
        if task.service:
            task.service.live.append(task)
        self._world.agenda.after(self._world.behaviour.task_start_delay, lambda: self._run(task))
        return task

    def _run(self, task: Task) -> None:
        """Pull the images of a task, upon which it runs, or fails."""
        with self._world.lock:
            if task.desired_status != _RUNNING:
                return
            running = task.service
            architecture = _architecture(task.definition)
            for image, container in zip(task.images, task.containers, strict=True):
                asked = image.pulled
                try:
                    digest, shown = self._pull(asked, architecture)
                except ecr.CannotPullError as error:
                    self._fail(task, asked, str(error))
                    break
                if image.is_resolved_once:
                    image.digest = image.digest or digest
                    image.shown_digest = image.shown_digest or shown
                container |= {"image": asked, "imageDigest": shown, "lastStatus": _RUNNING, "runtimeId": uuid4().hex}
            else:
                task.last_status, task.started_at = _RUNNING, self._world.clock.now()
                if running:
                    running.failures = 0
            if running:
                self.reconcile(running)

    def _pull(self, reference: str, architecture: str) -> tuple[str, str]:
        """The digest that was pulled, and the one that ECS shows."""
        registry = _REGISTRY.fullmatch(reference)
        _, _, given_digest = reference.partition("@")
        if registry is None:
            # An image of a registry that is not emulated: always there, and always the same.
            digest = given_digest or "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
            return digest, digest
        name = registry["path"].partition("@")[0]
        repository, _, tag = name.partition(":")
        behaviour = self._world.behaviour
        pulled = ecr.pull_image(
            registry["account"],
            registry["region"],
            repository,
            given_digest or tag or "latest",
            architecture=architecture,
            record_interval=behaviour.pull_record_interval if behaviour.records_pulls_of_tasks else None,
        )
        return pulled.digest, pulled.platform_digest if behaviour.shows_digest_of_platform else pulled.digest

    def _fail(self, task: Task, image: str, reason: str) -> None:
        self._stop(task, "TaskFailedToStart", f"CannotPullContainerError: failed to resolve ref {image}: {reason}")
        running = task.service
        arn = running.service.arn if running else None
        _, _, _, region, account, _ = task.arn.split(":", 5)
        self.failed_pulls.append(FailedPull(self._world.clock.now(), account, region, arn, task.arn, image, reason))
        if running is None:
            return
        deployment = running.deployment
        if running.retry is None:
            running.failures += 1
            delay = min(timedelta(seconds=5) * 2 ** min(running.failures, 10), _MAX_BACK_OFF)
            running.retry = self._world.agenda.after(delay, lambda: self._retry(running))
        if task.revision is deployment.target and deployment.status == "IN_PROGRESS":
            deployment.failed_tasks += 1
            breaker = deployment.configuration.get("deploymentCircuitBreaker") or {}
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
            threshold = min(max(3, running.desired_count // 2), 200)
            is_on = running.current is not None and breaker.get("enable") and breaker.get("rollback")
            if is_on and deployment.failed_tasks >= threshold:
                self._roll_back(running, "Service deployment rolled back because the circuit breaker was triggered.")

    def _retry(self, running: RunningService) -> None:
        with self._world.lock:
            running.retry = None
            self.reconcile(running)

    def _stop(self, task: Task, code: str, reason: str) -> None:
        if task.service:
            task.service.live.remove(task)
        task.last_status = task.desired_status = _STOPPED
        task.stopped_at = self._world.clock.now()
        task.stop_code, task.stopped_reason = code, reason
        for container in task.containers:
            container["lastStatus"] = _STOPPED

    # Requests

    def handler(
        self, handler: Callable[[EC2ContainerServiceResponse], dict[str, Any]]
    ) -> Callable[[EC2ContainerServiceResponse], ActionResult]:
        """A method of moto's response class from one that gives the members of the answer."""

        def handle(request: EC2ContainerServiceResponse) -> ActionResult:
            self._purge()
            try:
                answer = handler(request)
            except PageError as error:
                raise InvalidParameterException(str(error)) from error
            return ActionResult({name: value for name, value in answer.items() if value is not None})

        return handle

    def _describe_services(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def describe_services(request: EC2ContainerServiceResponse) -> ActionResult:
            _active_cluster(request)
            names = {name.rpartition("/")[2] for name in _limited(request, "services", _MAX_SERVICES)}
            for running in self._services.values():
                if running.backend is request.ecs_backend and running.service.name in names:
                    self._show(running)
            return original(request)

        return describe_services

    def _describe_clusters(self, original: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
        def describe_clusters(request: EC2ContainerServiceResponse) -> ActionResult:
            for cluster in request.ecs_backend.clusters.values():
                states = [task.last_status for task in self._live() if task.cluster_arn == cluster.arn]
                cluster.running_tasks_count = states.count(_RUNNING)
                cluster.pending_tasks_count = len(states) - cluster.running_tasks_count
                cluster.active_services_count = sum(
                    each.status == "ACTIVE" and each.cluster_arn == cluster.arn
                    for each in request.ecs_backend.services.values()
                )
            return original(request)

        return describe_clusters

    def _describe_revisions(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        unresolved = self._world.behaviour.shows_unresolved_images
        known, failures = self.revisions_of(request, "serviceRevisionArns", "service")
        found = []
        for revision, running in known:
            found.append(
                {
                    "serviceRevisionArn": revision.arn,
                    "serviceArn": running.service.arn,
                    "clusterArn": running.service.cluster_arn,
                    "taskDefinition": revision.definition.arn,
                    "launchType": running.service.launch_type,
                    "containerImages": revision.listed_images(unresolved=unresolved),
                    "guardDutyEnabled": False,
                    "createdAt": revision.created_at,
                }
            )
        return {"serviceRevisions": found, "failures": failures}

    def _describe_deployments(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        known, failures = self.deployments_of(request, "serviceDeploymentArns", "service")
        return {"serviceDeployments": [self._describe_deployment(*each) for each in known], "failures": failures}

    def revisions_of(
        self, request: EC2ContainerServiceResponse, member: str, kind: str
    ) -> tuple[list[tuple[Revision, RunningService]], list[dict[str, str]]]:
        """The revisions that a request asks about, and its failures."""
        return _known(request, member, {arn: each for arn, each in self._revisions.items() if each[1].kind == kind})

    def deployments_of(
        self, request: EC2ContainerServiceResponse, member: str, kind: str
    ) -> tuple[list[tuple[Deployment, RunningService]], list[dict[str, str]]]:
        """The deployments that a request asks about, and its failures."""
        return _known(request, member, {arn: each for arn, each in self._deployments.items() if each[1].kind == kind})

    def counts(self, running: RunningService, revision: Revision) -> tuple[int, int]:
        """How many tasks of a revision run, and how many are to run and do not yet."""
        counted = _counts(revision.arn, {}, self._live(running))
        return counted["runningTaskCount"], counted["pendingTaskCount"]

    def show(self, running: RunningService) -> Any:
        """The service of a RunningService, with what goes on now."""
        self._show(running)
        return running.service

    def _describe_deployment(self, deployment: Deployment, running: RunningService) -> dict[str, Any]:
        live = self._live(running)
        wanted, _ = self._wanted(running)
        shown = {
            "serviceDeploymentArn": deployment.arn,
            "serviceArn": running.service.arn,
            "clusterArn": running.service.cluster_arn,
            "createdAt": deployment.created_at,
            "startedAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "finishedAt": deployment.finished_at,
            "sourceServiceRevisions": [
                {"arn": each.arn, **_counts(each.arn, wanted, live)} for each in deployment.sources
            ],
            "targetServiceRevision": {
                "arn": deployment.target.arn,
                **_counts(deployment.target.arn, wanted, live),
            },
            "status": deployment.status,
            "lifecycleStage": deployment.stage if deployment.is_in_progress else None,
            "deploymentConfiguration": deployment.configuration,
            "rollback": deployment.rollback,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _stop_deployment(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        arn = str(request._get_param("serviceDeploymentArn"))
        known = self._deployments.get(arn)
        if known is None or not _is_of_request(arn, request):
            raise EcsError("ServiceDeploymentNotFoundException", "Service deployment not found.")
        deployment, running = known
        if request._get_param("stopType") not in (None, "ROLLBACK"):
            raise InvalidParameterException("Only the stop type ROLLBACK is emulated.")
        if deployment.status != "IN_PROGRESS":
            raise EcsError("ConflictException", "The service deployment is not in progress.")
        self._roll_back(running, "Service deployment was stopped by StopServiceDeployment.")
        return {"serviceDeploymentArn": arn}

    def _run_task(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        cluster = _active_cluster(request)
        definition = request.ecs_backend.describe_task_definition(str(request._get_param("taskDefinition")))
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        count = int(request._get_param("count") or 1)
        if not 1 <= count <= _MAX_COUNT:
            raise InvalidParameterException(f"count must be between 1 and {_MAX_COUNT}")
        if definition.network_mode == "awsvpc" and not request._get_param("networkConfiguration"):
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        tasks = [
            self._start(
                definition,
                cluster.arn,
                # Nothing pulls again for such a task, so that each resolves for itself.
                images=images_of(definition.container_definitions),
                revision=None,
                service=None,
                group=request._get_param("group") or f"family:{definition.family}",
                started_by=request._get_param("startedBy") or "",
                launch_type=request._get_param("launchType") or "EC2",
                tags=request._get_param("tags") or [],
            )
            for _ in range(count)
        ]
        return {"tasks": [task.describe() for task in tasks], "failures": []}

    def _stop_task(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        cluster = _active_cluster(request)
        name = str(request._get_param("task"))
        task = self._named(name, cluster.arn)
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        if task.desired_status == _RUNNING:
            self._stop(task, "UserInitiated", str(request._get_param("reason") or "Task stopped by user"))
            if task.service:
                self.reconcile(task.service)
        return {"task": task.describe()}

    def _named(self, name: str, cluster_arn: str) -> Task | None:
        """A task of a cluster by its ARN or id."""
        arn = name if name.startswith("arn:") else f"{cluster_arn.replace(':cluster/', ':task/')}/{name}"
        task = self._tasks.get(arn)
        return task if task and task.cluster_arn == cluster_arn else None

    def _list_tasks(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        cluster = _active_cluster(request)
        status = request._get_param("desiredStatus") or _RUNNING
        if status not in (_RUNNING, "PENDING", _STOPPED):
            raise InvalidParameterException("desiredStatus must be RUNNING, PENDING or STOPPED")
        service_name = request._get_param("serviceName")
        if service_name:
            request.ecs_backend._get_service(cluster.name, service_name.rpartition("/")[2])
            service_name = service_name.rpartition("/")[2]
        wanted = {
            "family": request._get_param("family"),
            "startedBy": request._get_param("startedBy"),
            "launchType": request._get_param("launchType"),
            "serviceName": service_name,
        }

        def is_wanted(task: Task) -> bool:
            has = {
                "family": task.definition.family,
                "startedBy": task.started_by,
                "launchType": task.launch_type,
                "serviceName": task.group.partition("service:")[2] if task.service else None,
            }
            return all(value in (None, has[name]) for name, value in wanted.items())

        found = [
            task.arn
            for task in self._tasks.values()
            if task.cluster_arn == cluster.arn and task.desired_status == status and is_wanted(task)
        ]
        if request._get_param("containerInstance"):
            found = []
        arns, token = page_of(request, found, scope=[cluster.arn, status, wanted])
        return {"taskArns": arns, "nextToken": token}

    def _describe_tasks(self, request: EC2ContainerServiceResponse) -> dict[str, Any]:
        cluster = _active_cluster(request)
        found, failures = [], []
        for name in _limited(request, "tasks", _MAX_TASKS):
            task = self._named(name, cluster.arn)
            if task:
                found.append(task.describe())
            else:
                arn = name if name.startswith("arn:") else f"{cluster.arn.replace(':cluster/', ':task/')}/{name}"
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"tasks": found, "failures": failures}


class EcsError(ecr.EcrError):
    """An error that moto has no class for, by code and message."""


def images_of(containers: Iterable[dict[str, Any]]) -> list[ContainerImage]:
    """The images of a task definition's containers, none of them resolved."""
    return [
        ContainerImage(
            str(each.get("name", "")), str(each["image"]), each.get("versionConsistency", "enabled") != "disabled"
        )
        for each in containers
    ]


def page_of(
    request: EC2ContainerServiceResponse, arns: Iterable[str], *, scope: object = "", default: int = _PAGE
) -> tuple[list[str], str | None]:
    """One page of ARNs, as all of ECS's lists page them; raises PageError."""
    return page(
        arns,
        lambda arn: arn,
        size=request._get_param("maxResults"),
        token=request._get_param("nextToken"),
        default=default,
        maximum=_PAGE,
        scope=scope,
    )


def _known(
    request: EC2ContainerServiceResponse, member: str, entries: Mapping[str, T]
) -> tuple[list[T], list[dict[str, str]]]:
    found, failures = [], []
    for arn in _limited(request, member, _MAX_ARNS):
        if arn in entries and _is_of_request(arn, request):
            found.append(entries[arn])
        else:
            failures.append({"arn": arn, "reason": "MISSING"})
    return found, failures


def _start_task(_: EC2ContainerServiceResponse) -> dict[str, Any]:
    raise InvalidParameterException("StartTask is not emulated")


def _list_services(request: EC2ContainerServiceResponse) -> dict[str, Any]:
    """Those that are ACTIVE; a page has 10 unless asked otherwise."""
    cluster = _active_cluster(request)
    filters = {name: request._get_param(name) for name in ("launchType", "schedulingStrategy")}
    found = [
        service.arn
        for service in request.ecs_backend.services.values()
        if service.cluster_arn == cluster.arn
        and service.status == "ACTIVE"
        and filters["launchType"] in (None, service.launch_type)
        and filters["schedulingStrategy"] in (None, service.scheduling_strategy)
    ]
    arns, token = page_of(request, found, scope=[cluster.arn, filters], default=_SERVICES_PAGE)
    return {"serviceArns": arns, "nextToken": token}


def _list_clusters(request: EC2ContainerServiceResponse) -> dict[str, Any]:
    active = [cluster.arn for cluster in request.ecs_backend.clusters.values() if cluster.status == "ACTIVE"]
    arns, token = page_of(request, active)
    return {"clusterArns": arns, "nextToken": token}


def _list_task_definitions(request: EC2ContainerServiceResponse) -> dict[str, Any]:
    family, status = request._get_param("familyPrefix"), request._get_param("status") or "ACTIVE"
    if status not in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
        raise InvalidParameterException("status must be ACTIVE, INACTIVE or DELETE_IN_PROGRESS")
    found = request.ecs_backend.list_task_definitions(family, status)
    arns, token = page_of(request, found, scope=[family, status])
    return {"taskDefinitionArns": arns, "nextToken": token}


def _cluster(request: EC2ContainerServiceResponse) -> Any:
    return request.ecs_backend._get_cluster(str(request._get_param("cluster") or "default"))


def _active_cluster(request: EC2ContainerServiceResponse) -> Any:
    cluster = _cluster(request)
    if cluster.status != "ACTIVE":
        raise ClusterNotFoundException
    return cluster


def _limited(request: EC2ContainerServiceResponse, member: str, most: int) -> list[str]:
    """The names that a request asks about, of which there is at least one and at most `most`."""
    names = [str(name) for name in request._get_param(member) or []]
    if not 1 <= len(names) <= most:
        raise InvalidParameterException(f"{member} must have between 1 and {most} entries.")
    return list(dict.fromkeys(names))


def _counts(arn: str, wanted: dict[str, int], live: list[Task]) -> dict[str, int]:
    states = [task.last_status for task in live if task.revision and task.revision.arn == arn]
    up = states.count(_RUNNING)
    return {
        "requestedTaskCount": wanted.get(arn, 0),
        "runningTaskCount": up,
        "pendingTaskCount": len(states) - up,
    }


def _architecture(definition: TaskDefinition) -> str:
    chosen = (definition.runtime_platform or {}).get("cpuArchitecture", "X86_64")
    return {"ARM64": "arm64"}.get(chosen, "amd64")


def _is_of(arn: str, account: str, region: str) -> bool:
    return arn.split(":")[3:5] == [region, account]


def _is_of_request(arn: str, request: EC2ContainerServiceResponse) -> bool:
    return _is_of(arn, request.current_account, request.region)
