"""The workload accounts as their read APIs show them to the reader role: ECS, Config, EventBridge, Lambda and Batch.

Everything is shown as the model has it, in the shapes of botocore's models; nothing here knows the functions. Pages
are short, so that whoever does not go on reading misses something. Where AWS does not say what is shown, a story has
one of the answers: `Habits`.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Operations.html,
https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html,
https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobDefinitions.html,
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ListRuleNamesByTarget.html and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_GetSchedule.html.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from safety.parts import SERVICE, TASK_SET, Place, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from safety.model import (
        Code,
        Deployment,
        Function,
        Key,
        Model,
        Pointer,
        Reference,
        Rollout,
        Runner,
        Task,
        TaskDefinition,
    )
    from safety.parts import Aggregator, Params
    from safety.world import Blow

    Answer = dict[str, Any]

_PAGE = 3
_SESSION = timedelta(minutes=15)
_ONE_HOUR = timedelta(hours=1)
_EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:ecs:runTask"
FAULTS = (
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalServerError",
    "ThrottlingException",
)
"""The codes of errors after which nobody knows what the call would have shown."""


class Shown(Enum):
    """What becomes of a tag that means an index: what is resolved from it, and what is shown as its digest."""

    INDEX = "the index is pinned and shown"
    CHILD = "the image for the platform is pinned and shown"
    INDEX_AS_CHILD = "the index is pinned, and the image for the platform is shown"


@dataclass
class Habits:
    """How AWS behaves where its documentation does not say how.

    `resolves_early`: a task's tags are resolved when it is made, and not when it pulls. `renders_digests`: what was
    resolved is shown in the image string as well. `shows_finished_deployment`: a service still names its last
    deployment when that is over.
    """

    shown: Shown = Shown.INDEX
    resolves_early: bool = False
    shows_revision_at_zero: bool = True
    shows_source_revisions: bool = True
    shows_finished_deployment: bool = True
    renders_digests: bool = False


class Role(Enum):
    """The state of the reader role of one account and region."""

    PRESENT = "present"
    MISSING = "AccessDenied"
    THROTTLED = "ThrottlingException"
    STRIPPED = "AccessDeniedException"
    """It can be assumed, and is allowed nothing."""


class Workloads:
    """Who may read, and what is read."""

    def __init__(self, places: Iterable[Place], aggregator: Aggregator, habits: Habits) -> None:
        self.model: Model | None = None
        """What there is; none before teams are at work."""
        self.roles = dict.fromkeys(places, Role.PRESENT)
        self.refused: dict[tuple[Place, str], Blow] = {}
        """Single calls that fail, by place and operation."""
        self.role_name = ""
        self.external_id = ""
        self._aggregator = aggregator
        self._habits = habits
        self._sessions: dict[str, tuple[Place, datetime]] = {}
        self._expires_at: dict[Place, datetime] = {}
        self._pages: dict[str, list[Any]] = {}
        self._page_number = 0

    def mend(self, place: Place) -> None:
        """The reader role of the place is as it was made, and no call of it fails."""
        self.roles[place] = Role.PRESENT
        self.refused = {refused: blow for refused, blow in self.refused.items() if refused[0] != place}

    # Sessions

    def assume_role(self, params: Params, now: datetime) -> Answer:
        """Credentials whose access key says whose they are; AWS does not say why it refuses."""
        place = next((each for each in self.roles if params["RoleArn"] == self._role_arn(each)), None)
        if place is None or not self.role_name or params.get("ExternalId") != self.external_id:
            raise RefusedError("AccessDenied", f"not authorized to perform: sts:AssumeRole on {params['RoleArn']}", 403)
        if self.roles[place] in (Role.MISSING, Role.THROTTLED):
            raise RefusedError(self.roles[place].value, "switched on as a fault", 403)
        key = f"ASIA{place.account}{len(self._sessions):08}"
        self._sessions[key] = place, now + timedelta(seconds=params.get("DurationSeconds", 3600))
        credentials = {
            "AccessKeyId": key,
            "SecretAccessKey": "secret",
            "SessionToken": "token",
            "Expiration": self._sessions[key][1],
        }
        name = f"{self.role_name}-{place.region}/{params['RoleSessionName']}"
        user = {"AssumedRoleId": "AROA", "Arn": f"arn:aws:sts::{place.account}:assumed-role/{name}"}
        return {"Credentials": credentials, "AssumedRoleUser": user}

    def place_of(self, role_arn: str) -> Place | None:
        return next((each for each in self.roles if each.account in role_arn and role_arn.endswith(each.region)), None)

    def open(self, access_key_id: str, region: str) -> Place:
        """The place of a session, for which a client is made in a region."""
        place, expires_at = self._sessions[access_key_id]
        here = Place(place.account, region)
        self._expires_at[here] = expires_at
        return here

    def _role_arn(self, place: Place) -> str:
        return f"arn:aws:iam::{place.account}:role/{self.role_name}-{place.region}"

    def answer(self, place: Place, service: str, operation: str, params: Params, now: datetime) -> Answer:
        """What the reader role of the place is answered."""
        if now > self._expires_at[place]:
            raise RefusedError("ExpiredTokenException", "The security token included in the request is expired")
        if self.roles.get(place) is not Role.PRESENT:
            raise RefusedError("AccessDeniedException", f"is not authorized to perform: {service}:{operation}", 403)
        if blow := self.refused.get((place, operation)):
            raise RefusedError(blow.value, "switched on as a fault", 500 if blow.name == "FAIL" else 400)
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        handler: Callable[[Place, Params, datetime], Answer] | None = getattr(self, f"_{service}_{name}", None)
        if handler is None:
            raise RefusedError("AccessDeniedException", f"the reader role has no {service}:{operation}", 403)
        return handler(place, params, now)

    # AWS Config

    def _config_describe_configuration_recorders(self, place: Place, _: Params, __: datetime) -> Answer:
        return {"ConfigurationRecorders": [self._aggregator.recorder(place)]}

    def _config_describe_configuration_recorder_status(self, place: Place, _: Params, __: datetime) -> Answer:
        recording = self._aggregator.recording[place]
        name = self._aggregator.recorder(place)["name"]
        return {"ConfigurationRecordersStatus": [{"name": name, "recording": recording, "lastStatus": "Success"}]}

    # Task definitions

    def _ecs_list_task_definitions(self, place: Place, params: Params, now: datetime) -> Answer:
        active = params.get("status", "ACTIVE") == "ACTIVE"
        arns = [each.arn for each in self._definitions(place) if each.active is active]
        return self._page("taskDefinitionArns", arns, params)

    def _ecs_describe_task_definition(self, place: Place, params: Params, _: datetime) -> Answer:
        wanted = params["taskDefinition"].rpartition("/")[2]
        found = [each for each in self._definitions(place) if each.arn.rpartition("/")[2] == wanted]
        if not found:
            revisions = [
                each for each in self._definitions(place) if each.arn.rpartition("/")[2].startswith(f"{wanted}:")
            ]
            found = [each for each in revisions if each.active][-1:]
        if not found:
            raise RefusedError("ClientException", "Unable to describe task definition.")
        definition = found[0]
        family, revision = definition.arn.rpartition("/")[2].split(":")
        containers = [
            {
                "name": f"c{number}",
                "image": reference.text,
                **({} if definition.is_consistent else {"versionConsistency": "disabled"}),
            }
            for number, reference in enumerate(definition.references)
        ]
        described = {
            "taskDefinitionArn": definition.arn,
            "family": family,
            "revision": int(revision),
            "status": "ACTIVE" if definition.active else "INACTIVE",
            "containerDefinitions": containers,
        }
        return {"taskDefinition": described}

    def _definitions(self, place: Place) -> list[TaskDefinition]:
        return [each for each in self._model.task_definitions if each.place == place]

    # Clusters and services

    def _ecs_list_clusters(self, place: Place, params: Params, _: datetime) -> Answer:
        clusters = sorted(name for where, name in self._model.clusters if where == place)
        return self._page("clusterArns", [cluster_arn(place, name) for name in clusters], params)

    def _ecs_list_services(self, place: Place, params: Params, _: datetime) -> Answer:
        return self._page("serviceArns", [_service_arn(each) for each in self._runners(place, params)], params)

    def _ecs_describe_services(self, place: Place, params: Params, now: datetime) -> Answer:
        wanted = _at_most(10, params["services"])
        runners = {_service_arn(each): each for each in self._runners(place, params)}
        found = [self._service(runners[arn], now) for arn in wanted if arn in runners]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in runners]
        return {"services": found, "failures": failures}

    def _runners(self, place: Place, params: Params) -> list[Runner]:
        if _cluster(params.get("cluster", "default")) != "default":
            return []
        return [each for each in self._model.runners if each.place == place]

    def _service(self, runner: Runner, now: datetime) -> Answer:
        running, pending = self._counts(runner, None)
        service: Answer = {
            "serviceArn": _service_arn(runner),
            "serviceName": _service_arn(runner).rpartition("/")[2],
            "clusterArn": cluster_arn(runner.place, "default"),
            "status": "ACTIVE",
            "desiredCount": runner.desired,
            "runningCount": running,
            "pendingCount": pending,
            "launchType": "FARGATE",
            "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "ECS" if runner.kind == SERVICE else "EXTERNAL"},
            "taskSets": [],
            "deployments": [],
            "events": [],
            "createdAt": now,
        }
        arn = runner.deployment.task_definition.arn
        if runner.kind == TASK_SET:
            service["taskSets"] = [
                {
                    "id": f"ecs-svc/{runner.name}",
                    "taskSetArn": runner.arn,
                    "serviceArn": service["serviceArn"],
                    "clusterArn": service["clusterArn"],
                    "status": "PRIMARY",
                    "taskDefinition": arn,
                    "computedDesiredCount": runner.desired,
                    "runningCount": running,
                    "pendingCount": pending,
                }
            ]
            return service
        leaves = runner.leaves(now)
        in_progress = runner.rollout is not None and runner.rollout.ends_at > now
        service["taskDefinition"] = arn
        service["deployments"] = [
            {
                "id": f"ecs-svc/{deployment.number}",
                "status": "PRIMARY" if deployment is runner.deployment else "ACTIVE",
                "taskDefinition": deployment.task_definition.arn,
                "desiredCount": runner.desired,
                "rolloutState": "IN_PROGRESS" if in_progress and deployment is runner.deployment else "COMPLETED",
            }
            for deployment in (runner.deployment, *leaves)
            if deployment is runner.deployment or self._has_tasks(deployment)
        ]
        if runner.has_revisions:
            service |= self._revisions_of(runner, now)
        return service

    def _revisions_of(self, runner: Runner, now: datetime) -> Answer:
        shown: Answer = {}
        rollout = runner.rollout
        if rollout and (rollout.ends_at > now or self._habits.shows_finished_deployment):
            shown["currentServiceDeployment"] = _deployment_arn(runner, rollout)
        revisions = [runner.deployment, *runner.leaves(now)]
        if runner.desired == 0 and not self._habits.shows_revision_at_zero:
            revisions = []
        summaries = []
        for revision in revisions:
            running, pending = self._counts(runner, revision)
            if revision is runner.deployment or running or pending or self._habits.shows_source_revisions:
                summaries.append(
                    {
                        "arn": _revision_arn(runner, revision),
                        "requestedTaskCount": runner.desired,
                        "runningTaskCount": running,
                        "pendingTaskCount": pending,
                    }
                )
        return {**shown, "currentServiceRevisions": summaries}

    def _counts(self, runner: Runner, deployment: Deployment | None) -> tuple[int, int]:
        tasks = [
            task
            for task in self._model.tasks
            if task.runner is runner and not task.stopped_at and (deployment is None or task.deployment is deployment)
        ]
        return sum(task.pulled is not None for task in tasks), sum(task.pulled is None for task in tasks)

    def _has_tasks(self, deployment: Deployment) -> bool:
        return any(task.deployment is deployment and not task.stopped_at for task in self._model.tasks)

    def _ecs_describe_service_deployments(self, place: Place, params: Params, now: datetime) -> Answer:
        wanted = _at_most(20, params["serviceDeploymentArns"])
        known = {
            _deployment_arn(runner, rollout): (runner, rollout)
            for runner in self._runners(place, {})
            for rollout in runner.rollouts
        }
        found = [self._service_deployment(*known[arn], now) for arn in wanted if arn in known]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known]
        return {"serviceDeployments": found, "failures": failures}

    def _service_deployment(self, runner: Runner, rollout: Rollout, now: datetime) -> Answer:
        status = "SUCCESSFUL" if rollout.ends_at <= now else "IN_PROGRESS"
        if rollout.back_to:
            status = "ROLLBACK_SUCCESSFUL" if rollout.ends_at <= now else "ROLLBACK_IN_PROGRESS"
        described: Answer = {
            "serviceDeploymentArn": _deployment_arn(runner, rollout),
            "serviceArn": _service_arn(runner),
            "clusterArn": cluster_arn(runner.place, "default"),
            "status": status,
            "lifecycleStage": "BAKE_TIME" if rollout.is_baking else "SCALE_UP",
            "createdAt": now,
            "sourceServiceRevisions": [{"arn": _revision_arn(runner, each)} for each in rollout.sources],
            "targetServiceRevision": {"arn": _revision_arn(runner, rollout.target)},
        }
        if rollout.back_to:
            described["rollback"] = {"serviceRevisionArn": _revision_arn(runner, rollout.back_to)}
        return described

    def _ecs_describe_service_revisions(self, place: Place, params: Params, now: datetime) -> Answer:
        wanted = _at_most(20, params["serviceRevisionArns"])
        known: dict[str, tuple[Runner, Deployment]] = {}
        for runner in self._runners(place, {}):
            sources = (source for rollout in runner.rollouts for source in rollout.sources)
            targets = (rollout.target for rollout in runner.rollouts)
            for each in (runner.deployment, *sources, *targets):
                known[_revision_arn(runner, each)] = runner, each
        found = [self._revision(*known[arn], now) for arn in wanted if arn in known]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known]
        return {"serviceRevisions": found, "failures": failures}

    def _revision(self, runner: Runner, deployment: Deployment, now: datetime) -> Answer:
        definition = deployment.task_definition
        digests = deployment.digests if deployment.has_pulled else {}
        return {
            "serviceRevisionArn": _revision_arn(runner, deployment),
            "serviceArn": _service_arn(runner),
            "clusterArn": cluster_arn(runner.place, "default"),
            "taskDefinition": definition.arn,
            "launchType": "FARGATE",
            "createdAt": now,
            "containerImages": [
                {"containerName": f"c{number}", **self._image(reference, digests.get(number))}
                for number, reference in enumerate(definition.references)
            ],
        }

    # Tasks

    def _ecs_list_tasks(self, place: Place, params: Params, now: datetime) -> Answer:
        stopped = params.get("desiredStatus", "RUNNING") == "STOPPED"
        tasks = [task for task in self._tasks(place, params, now) if bool(task.stopped_at) is stopped]
        return self._page("taskArns", [task.arn for task in tasks], params)

    def _ecs_describe_tasks(self, place: Place, params: Params, now: datetime) -> Answer:
        wanted = _at_most(100, params["tasks"])
        tasks = {task.arn: task for task in self._tasks(place, params, now)}
        found = [self._task(tasks[arn]) for arn in wanted if arn in tasks]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in tasks]
        return {"tasks": found, "failures": failures}

    def _tasks(self, place: Place, params: Params, now: datetime) -> list[Task]:
        cluster = _cluster(params.get("cluster", "default"))
        return [
            task
            for task in self._model.tasks
            if task.place == place
            and task.arn.split("/")[1] == cluster
            and (task.stopped_at is None or task.stopped_at + _ONE_HOUR > now)
        ]

    def _task(self, task: Task) -> Answer:
        status = "STOPPED" if task.stopped_at else "PENDING" if task.pulled is None else "RUNNING"
        pulled = task.pulled or {}
        family = task.task_definition.arn.rpartition("/")[2].partition(":")[0]
        described: Answer = {
            "taskArn": task.arn,
            "clusterArn": cluster_arn(task.place, task.arn.split("/")[1]),
            "taskDefinitionArn": task.task_definition.arn,
            "group": f"service:{task.runner.name}" if task.runner else f"family:{family}",
            "desiredStatus": "STOPPED" if task.stopped_at else "RUNNING",
            "lastStatus": status,
            "launchType": "FARGATE",
            "containers": [
                {
                    "containerArn": f"{task.arn.replace(':task/', ':container/')}/{number}",
                    "taskArn": task.arn,
                    "name": f"c{number}",
                    "lastStatus": status,
                    **self._image(reference, pulled.get(number)),
                }
                for number, reference in enumerate(task.task_definition.references)
            ],
        }
        if task.runner and task.deployment:
            described["startedBy"] = f"ecs-svc/{task.deployment.number}"
        return described

    def _image(self, reference: Reference, key: Key | None) -> Answer:
        """How an image is shown, with its digest where that is known."""
        if key is None:
            return {"image": reference.text}
        digest = self._shown_digest(key) if reference.digest is None else key.digest
        text = reference.text
        if self._habits.renders_digests and reference.digest is None:
            text = f"{text}@{digest}"
        return {"image": text, "imageDigest": digest}

    def _shown_digest(self, key: Key) -> str:
        image = self._model.find(key)
        if self._habits.shown is Shown.INDEX or image is None or not image.children:
            return key.digest
        return image.children[0]

    # Daemons: there are none.

    def _ecs_list_daemons(self, _: Place, __: Params, ___: datetime) -> Answer:
        return {"daemonSummariesList": []}

    def _ecs_list_daemon_task_definitions(self, _: Place, __: Params, ___: datetime) -> Answer:
        return {"daemonTaskDefinitions": []}

    # Rules and schedules

    def _pointers(self, place: Place, kind: str) -> list[Pointer]:
        return [each for each in self._model.pointers if each.place == place and each.kind == kind]

    def _events_list_event_buses(self, place: Place, _: Params, __: datetime) -> Answer:
        arn = f"arn:aws:events:{place.region}:{place.account}:event-bus/default"
        return {"EventBuses": [{"Name": "default", "Arn": arn}]}

    def _events_list_rule_names_by_target(self, place: Place, params: Params, _: datetime) -> Answer:
        here = params["TargetArn"] == cluster_arn(place, "default")
        names = [each.name for each in self._pointers(place, "rule") if here]
        return self._page("RuleNames", names, params, by="NextToken")

    def _events_list_targets_by_rule(self, place: Place, params: Params, _: datetime) -> Answer:
        pointer = next((each for each in self._pointers(place, "rule") if each.name == params["Rule"]), None)
        if pointer is None:
            raise RefusedError("ResourceNotFoundException", f"Rule {params['Rule']} does not exist.")
        ecs = {"TaskDefinitionArn": pointer.task_definition.arn, "TaskCount": 1}
        return {"Targets": [{"Id": "1", "Arn": cluster_arn(place, "default"), "EcsParameters": ecs}]}

    def _scheduler_list_schedule_groups(self, place: Place, _: Params, __: datetime) -> Answer:
        arn = f"arn:aws:scheduler:{place.region}:{place.account}:schedule-group/default"
        return {"ScheduleGroups": [{"Name": "default", "Arn": arn, "State": "ACTIVE"}]}

    def _scheduler_list_schedules(self, place: Place, params: Params, _: datetime) -> Answer:
        schedules = [
            {"Name": each.name, "GroupName": "default", "State": "ENABLED", "Target": {"Arn": _target_arn(each)}}
            for kind in ("schedule", "call")
            for each in self._pointers(place, kind)
        ]
        return self._page("Schedules", schedules, params, by="NextToken")

    def _scheduler_get_schedule(self, place: Place, params: Params, _: datetime) -> Answer:
        pointers = (*self._pointers(place, "schedule"), *self._pointers(place, "call"))
        pointer = next((each for each in pointers if each.name == params["Name"]), None)
        if pointer is None:
            raise RefusedError("ResourceNotFoundException", f"Schedule {params['Name']} does not exist.", 404)
        target: Answer = {"Arn": _target_arn(pointer), "RoleArn": f"arn:aws:iam::{place.account}:role/runs-tasks"}
        arn = pointer.task_definition.arn
        if pointer.kind == "schedule":
            target["EcsParameters"] = {"TaskDefinitionArn": arn}
        else:
            target["Input"] = json.dumps({"Cluster": "default", "TaskDefinition": arn.rpartition("/")[2]})
        name = pointer.name
        schedule_arn = f"arn:aws:scheduler:{place.region}:{place.account}:schedule/default/{name}"
        return {"Arn": schedule_arn, "Name": name, "GroupName": "default", "State": "ENABLED", "Target": target}

    # Lambda

    def _lambda_list_functions(self, place: Place, params: Params, _: datetime) -> Answer:
        every = params.get("FunctionVersion") == "ALL"
        listed = [
            _configuration(function, version, code)
            for function in self._functions(place)
            for version, code in function.versions.items()
            if every or version == "$LATEST"
        ]
        listed.append(
            {"FunctionName": "zipped", "FunctionArn": _zipped(place), "Version": "$LATEST", "PackageType": "Zip"}
        )
        return self._page("Functions", listed, params, by="Marker", answered="NextMarker")

    def _lambda_get_function(self, place: Place, params: Params, _: datetime) -> Answer:
        name, qualifier = params["FunctionName"], params.get("Qualifier", "$LATEST")
        for function in self._functions(place):
            if name in (function.arn, function.arn.rpartition(":")[2]) and qualifier in function.versions:
                code = function.versions[qualifier]
                host = code.reference.text.partition("/")[0]
                resolved = f"{host}/{code.key.repository}@{code.key.digest}"
                described = {"RepositoryType": "ECR", "ImageUri": code.reference.text, "ResolvedImageUri": resolved}
                return {"Configuration": _configuration(function, qualifier, code), "Code": described}
        raise RefusedError("ResourceNotFoundException", f"Function not found: {name}:{qualifier}", 404)

    def _functions(self, place: Place) -> list[Function]:
        return [each for each in self._model.functions if each.place == place]

    # Batch

    def _batch_describe_job_definitions(self, place: Place, params: Params, _: datetime) -> Answer:
        jobs = [each for each in self._model.jobs if each.place == place]
        described = [_job_definition(job.arn, job.reference.text) for job in jobs]
        return self._page("jobDefinitions", described, params)

    # Pages

    @property
    def _model(self) -> Model:
        if self.model is None:
            raise ValueError("nobody is at work yet")
        return self.model

    def _page(
        self, name: str, items: Sequence[Any], params: Params, by: str = "nextToken", answered: str | None = None
    ) -> Answer:
        """One page, and the token for the next; what is on later pages is what there was at the first."""
        rest = self._pages.pop(params[by]) if params.get(by) else list(items)
        answer: Answer = {name: rest[:_PAGE]}
        if len(rest) > _PAGE:
            self._page_number += 1
            token = answer[answered or by] = f"page-{self._page_number}"
            self._pages[token] = rest[_PAGE:]
        return answer


def cluster_arn(place: Place, name: str) -> str:
    return f"arn:aws:ecs:{place.region}:{place.account}:cluster/{name}"


def _cluster(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


def _service_arn(runner: Runner) -> str:
    """A task set is one of a service of its own."""
    if runner.kind == SERVICE:
        return runner.arn
    return f"arn:aws:ecs:{runner.place.region}:{runner.place.account}:service/default/of-{runner.name}"


def _deployment_arn(runner: Runner, rollout: Rollout) -> str:
    return f"{runner.arn.replace(':service/', ':service-deployment/')}/{rollout.number}"


def _revision_arn(runner: Runner, deployment: Deployment) -> str:
    return f"{runner.arn.replace(':service/', ':service-revision/')}/{deployment.number}"


def _target_arn(pointer: Pointer) -> str:
    return cluster_arn(pointer.place, "default") if pointer.kind == "schedule" else UNIVERSAL


def _zipped(place: Place) -> str:
    return f"arn:aws:lambda:{place.region}:{place.account}:function:zipped:$LATEST"


def _configuration(function: Function, version: str, code: Code) -> Answer:
    return {
        "FunctionName": function.arn.rpartition(":")[2],
        "FunctionArn": f"{function.arn}:{version}",
        "Version": version,
        "PackageType": "Image",
        "CodeSha256": code.key.digest.partition(":")[2],
        "LastModified": f"{_EPOCH + timedelta(milliseconds=code.moment):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+0000",
        "RevisionId": str(code.moment),
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }


def _job_definition(arn: str, image: str) -> Answer:
    """One of the four forms of job definitions.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDefinition.html
    """
    name, _, revision = arn.rpartition("/")[2].partition(":")
    forms: tuple[Mapping[str, Any], ...] = (
        {"type": "container", "containerProperties": {"image": image}},
        {"type": "container", "ecsProperties": {"taskProperties": [{"containers": [{"image": image}]}]}},
        {
            "type": "multinode",
            "nodeProperties": {
                "numNodes": 2,
                "mainNode": 0,
                "nodeRangeProperties": [{"targetNodes": "0:", "container": {"image": image}}],
            },
        },
        {"type": "container", "eksProperties": {"podProperties": {"initContainers": [{"image": image}]}}},
    )
    number = int("".join(filter(str.isdigit, name)) or 0)
    common = {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": int(revision), "status": "ACTIVE"}
    return {**common, **forms[number % len(forms)]}


def _at_most(limit: int, wanted: list[str]) -> list[str]:
    if not 1 <= len(wanted) <= limit:
        raise RefusedError("InvalidParameterException", f"between 1 and {limit} can be asked for at once")
    return wanted
