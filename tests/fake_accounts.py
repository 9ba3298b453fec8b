"""Workload accounts that answer what live usage asks, by real clients whose calls end here.

Requests are validated and answers are shaped as botocore's models say; pages and batches have the sizes that AWS
documents. Nothing runs by itself: a test says what is there.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto.core.models import botocore_stubber

from ecr_cleanup.settings import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient
    from botocore.model import OperationModel

    from ecr_cleanup.aws.clients import Credentials

ROLE = "ecr-cleanup-reader"
EXTERNAL_ID = "arn:aws:events:eu-central-1:111111111111:event-bus/ecr-cleanup"
# What each operation takes at the most: pages and batches.
_PAGES = {"ListFunctions": 50}
_BATCHES = {
    "DescribeServices": ("services", 10),
    "DescribeTasks": ("tasks", 100),
    "DescribeServiceRevisions": ("serviceRevisionArns", 20),
    "DescribeServiceDeployments": ("serviceDeploymentArns", 20),
    "DescribeDaemonRevisions": ("daemonRevisionArns", 20),
    "DescribeDaemonDeployments": ("daemonDeploymentArns", 20),
}


class CallError(Exception):
    """What a call is answered with."""

    def __init__(self, code: str, message: str = "no") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class FakeAccount:
    """One place. `services`, `tasks` and so on are as ECS describes them, by cluster."""

    place: Place
    recording: bool = True
    recorder: dict[str, Any] | None = field(
        default_factory=lambda: {"name": "default", "recordingGroup": {"allSupported": True}}
    )
    recorder_status: dict[str, Any] = field(default_factory=dict)
    task_definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    tasks: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    stopped: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    revisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    daemons: dict[str, dict[str, Any]] = field(default_factory=dict)
    daemon_revisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    daemon_deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    daemon_task_definitions: dict[str, list[str]] = field(default_factory=dict)
    buses: list[str] = field(default_factory=lambda: ["default"])
    rules: list[tuple[str, str, str]] = field(default_factory=list)
    """Bus, name, and the ARN of the task definition."""
    schedules: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Group, name, and target."""
    functions: list[dict[str, Any]] = field(default_factory=list)
    """Function versions as Lambda lists them, with what GetFunction calls `Code`."""
    job_definitions: list[dict[str, Any]] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)

    def arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self.place.region}:{self.place.account}:{name}"

    def add_cluster(self, name: str = "main") -> str:
        arn = self.arn("ecs", f"cluster/{name}")
        if arn not in self.clusters:
            self.clusters.append(arn)
        return arn

    def register(self, name: str, *images: str, active: bool = True, **container: Any) -> str:
        """A task definition of the account, which the aggregator need not show."""
        arn = self.arn("ecs", f"task-definition/{name}")
        self.task_definitions[arn] = {
            "taskDefinitionArn": arn,
            "status": "ACTIVE" if active else "INACTIVE",
            "containerDefinitions": [
                {"name": f"c{number}", "image": image, **container} for number, image in enumerate(images)
            ],
        }
        return arn

    def deploy(
        self,
        name: str,
        task_definition: str,
        *resolved: tuple[str, str | None],
        cluster: str = "main",
        count: int = 1,
        state: str | None = "COMPLETED",
    ) -> dict[str, Any]:
        """A service with one revision, whose containers have these images and digests. None: it has no revision."""
        arn = self.arn("ecs", f"service/{cluster}/{name}")
        service: dict[str, Any] = {
            "serviceArn": arn,
            "status": "ACTIVE",
            "desiredCount": count,
            "taskDefinition": task_definition,
            "deployments": [{"status": "PRIMARY", "taskDefinition": task_definition, "rolloutState": state}],
            "taskSets": [],
        }
        if resolved:
            service["currentServiceRevisions"] = [self.revision(name, task_definition, *resolved, count=count)]
        self.services[self.add_cluster(cluster)].append(service)
        return service

    def revision(
        self, service: str, task_definition: str, *resolved: tuple[str, str | None], count: int = 1
    ) -> dict[str, Any]:
        """A service revision, and what a service says of it."""
        arn = self.arn("ecs", f"service-revision/main/{service}/{len(self.revisions)}")
        self.revisions[arn] = {
            "serviceRevisionArn": arn,
            "taskDefinition": task_definition,
            "containerImages": _containers(resolved, "containerName"),
        }
        return {"arn": arn, "requestedTaskCount": count, "runningTaskCount": count, "pendingTaskCount": 0}

    def run(
        self,
        *containers: tuple[str, str | None],
        status: str = "RUNNING",
        cluster: str = "main",
        task_definition: str | None = None,
    ) -> dict[str, Any]:
        """A task, whose containers have these images and digests."""
        number = sum(map(len, (*self.tasks.values(), *self.stopped.values())))
        task = {
            "taskArn": self.arn("ecs", f"task/{cluster}/{number:032}"),
            "lastStatus": status,
            "taskDefinitionArn": task_definition or self.arn("ecs", "task-definition/once:1"),
            "containers": _containers(containers, "name"),
        }
        tasks = self.stopped if status == "STOPPED" else self.tasks
        tasks[self.add_cluster(cluster)].append(task)
        return task

    def create_function(self, name: str, image: str | None, resolved: str | None, *, version: str = "$LATEST") -> None:
        """A version of a Lambda function; one that is no image if there is none."""
        code = {name: uri for name, uri in {"ImageUri": image, "ResolvedImageUri": resolved}.items() if uri}
        self.functions.append(
            {
                "FunctionName": name,
                "FunctionArn": self.arn("lambda", f"function:{name}:{version}"),
                "Version": version,
                "PackageType": "Image" if image or resolved else "Zip",
                "CodeSha256": (resolved or "").partition("@sha256:")[2] or "0" * 64,
                "RevisionId": f"{len(self.functions)}-{image}-{resolved}",
                "Code": code,
            }
        )

    # What is asked. Each takes the parameters of a call.

    def describe_configuration_recorders(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"ConfigurationRecorders": [self.recorder] if self.recorder else []}

    def describe_configuration_recorder_status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        status = {"name": "default", "recording": self.recording, "lastStatus": "Success", **self.recorder_status}
        return {"ConfigurationRecordersStatus": [status] if self.recorder else []}

    def list_task_definitions(self, params: Mapping[str, Any]) -> Pages:
        wanted = params.get("status", "ACTIVE")
        return Pages("taskDefinitionArns", [arn for arn, of in self.task_definitions.items() if of["status"] == wanted])

    def describe_task_definition(self, params: Mapping[str, Any]) -> dict[str, Any]:
        assert params["taskDefinition"]
        if params["taskDefinition"] not in self.task_definitions:
            raise CallError("ClientException", "Unable to describe task definition.")
        return {"taskDefinition": self.task_definitions[params["taskDefinition"]]}

    def list_clusters(self, _: Mapping[str, Any]) -> Pages:
        return Pages("clusterArns", self.clusters)

    def list_services(self, params: Mapping[str, Any]) -> Pages:
        return Pages("serviceArns", [each["serviceArn"] for each in self.services[params["cluster"]]])

    def describe_services(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = {each["serviceArn"]: each for each in self.services[params["cluster"]]}
        return _found("services", found, params["services"])

    def list_tasks(self, params: Mapping[str, Any]) -> Pages:
        tasks = {"RUNNING": self.tasks, "STOPPED": self.stopped}[params.get("desiredStatus", "RUNNING")]
        return Pages("taskArns", [each["taskArn"] for each in tasks[params["cluster"]]])

    def describe_tasks(self, params: Mapping[str, Any]) -> dict[str, Any]:
        all_tasks = [*self.tasks[params["cluster"]], *self.stopped[params["cluster"]]]
        return _found("tasks", {each["taskArn"]: each for each in all_tasks}, params["tasks"])

    def describe_service_revisions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _found("serviceRevisions", self.revisions, params["serviceRevisionArns"])

    def describe_service_deployments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = {arn: {"serviceDeploymentArn": arn, **each} for arn, each in self.deployments.items()}
        return _found("serviceDeployments", found, params["serviceDeploymentArns"])

    def list_daemons(self, params: Mapping[str, Any]) -> Pages:
        of_cluster = [each for each in self.daemons.values() if each["clusterArn"] == params["clusterArn"]]
        return Pages("daemonSummariesList", [{"daemonArn": each["daemonArn"]} for each in of_cluster])

    def describe_daemon(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"daemon": self.daemons[params["daemonArn"]]}

    def describe_daemon_revisions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _found("daemonRevisions", self.daemon_revisions, params["daemonRevisionArns"])

    def describe_daemon_deployments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _found("daemonDeployments", self.daemon_deployments, params["daemonDeploymentArns"])

    def list_daemon_task_definitions(self, params: Mapping[str, Any]) -> Pages:
        assert params.get("status", "ACTIVE") == "ACTIVE"
        return Pages("daemonTaskDefinitions", [{"arn": arn} for arn in self.daemon_task_definitions])

    def describe_daemon_task_definition(self, params: Mapping[str, Any]) -> dict[str, Any]:
        images = self.daemon_task_definitions[params["daemonTaskDefinition"]]
        return {"daemonTaskDefinition": {"containerDefinitions": [{"image": image} for image in images]}}

    def list_event_buses(self, _: Mapping[str, Any]) -> Pages:
        return Pages("EventBuses", [{"Name": name} for name in self.buses], "NextToken")

    def list_rule_names_by_target(self, params: Mapping[str, Any]) -> Pages:
        names = [name for bus, name, _ in self.rules if bus == params["EventBusName"]]
        return Pages("RuleNames", names, "NextToken")

    def list_targets_by_rule(self, params: Mapping[str, Any]) -> Pages:
        targets = [
            {"Id": "ecs", "Arn": self.clusters[0], "EcsParameters": {"TaskDefinitionArn": definition}}
            for bus, name, definition in self.rules
            if (bus, name) == (params["EventBusName"], params["Rule"])
        ]
        return Pages("Targets", [*targets, {"Id": "other", "Arn": self.arn("sqs", "queue")}], "NextToken")

    def list_schedule_groups(self, _: Mapping[str, Any]) -> Pages:
        groups = {"default": None} | {group: None for group, _, _ in self.schedules}
        return Pages("ScheduleGroups", [{"Name": name} for name in groups], "NextToken")

    def list_schedules(self, params: Mapping[str, Any]) -> Pages:
        found = [
            {"Name": name, "GroupName": group, "Target": {"Arn": target["Arn"]}}
            for group, name, target in self.schedules
            if group == params["GroupName"]
        ]
        return Pages("Schedules", found, "NextToken")

    def get_schedule(self, params: Mapping[str, Any]) -> dict[str, Any]:
        for group, name, target in self.schedules:
            if (group, name) == (params["GroupName"], params["Name"]):
                return {"Arn": self.arn("scheduler", f"schedule/{group}/{name}"), "Target": target}
        raise CallError("ResourceNotFoundException")

    def list_functions(self, params: Mapping[str, Any]) -> Pages:
        of_all = params.get("FunctionVersion") == "ALL"
        found = [{**each, "Code": None} for each in self.functions if of_all or each["Version"] == "$LATEST"]
        return Pages("Functions", found, "NextMarker", "Marker")

    def get_function(self, params: Mapping[str, Any]) -> dict[str, Any]:
        (found,) = (
            each
            for each in self.functions
            if (each["FunctionName"], each["Version"]) == (params["FunctionName"], params["Qualifier"])
        )
        return {"Code": found["Code"]}

    def describe_job_definitions(self, params: Mapping[str, Any]) -> Pages:
        wanted = params.get("status")
        found = [each for each in self.job_definitions if wanted in (None, each.get("status", "ACTIVE"))]
        return Pages("jobDefinitions", found)


@dataclass(frozen=True)
class Pages:
    """All of a list, of which a call gets one page."""

    name: str
    entries: Sequence[Any]
    token: str = "nextToken"
    parameter: str | None = None

    def page(self, params: Mapping[str, Any], operation: str) -> dict[str, Any]:
        wanted = {"maxResults", "MaxResults", "Limit", "MaxItems"} & params.keys()
        size = min(int(params[wanted.pop()]) if wanted else 10, _PAGES.get(operation, 100))
        begin = int(params.get(self.parameter or self.token, 0))
        answer: dict[str, Any] = {self.name: list(self.entries[begin : begin + size])}
        if begin + size < len(self.entries):
            answer[self.token] = str(begin + size)
        return answer


class FakeAccounts:
    """All places, the roles to get into them, and clients for them.

    `calls` counts them by place and operation. `errors` are what calls end with, by place and operation. Each call
    takes `latency` seconds.
    """

    def __init__(self, *places: Place) -> None:
        self.accounts = {place: FakeAccount(place) for place in places}
        self.roles = {f"arn:aws:iam::{place.account}:role/{ROLE}-{place.region}": place for place in places}
        self.errors: dict[tuple[Place, str], str] = {}
        self.before: dict[tuple[Place, str], Callable[[], object]] = {}
        self.calls: Counter[tuple[Place, str]] = Counter()
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.latency = 0.0
        self._lock = threading.Lock()
        # boto3's default session is no good in several threads at a time.
        self._making = threading.Lock()

    def __getitem__(self, place: Place) -> FakeAccount:
        return self.accounts[place]

    def sts_client(self) -> Any:
        return self._client("sts", Place("111111111111", "eu-central-1"))

    def place_client(self, service: str, credentials: Credentials, region: str) -> BaseClient:
        account = credentials.access_key_id.removeprefix("ASIA")
        client: BaseClient = self._client(service, Place(account, region))
        return client

    def operations(self, place: Place) -> Counter[str]:
        """How often each operation was called in a place."""
        return Counter({operation: count for (where, operation), count in self.calls.items() if where == place})

    def _client(self, service: str, place: Place) -> Any:
        with self._making:
            client = boto3.client(
                service,  # type: ignore[call-overload]
                region_name=place.region,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
            )

        asked: dict[str, Mapping[str, Any]] = {}

        def keep(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> None:
            context["asked"] = dict(params)

        def name(model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
            number = str(len(asked))
            asked[number] = context["asked"]
            params["headers"] |= {"X-Operation": model.name, "X-Asked": number}

        def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
            operation, number = (_text(request.headers[name]) for name in ("X-Operation", "X-Asked"))
            status, found = self._answer(operation, asked[number], place)
            return AWSResponse(request.url, status, {}, Raw(json.dumps(found).encode()))  # type: ignore[arg-type]

        def answer_at_once(model: OperationModel, context: dict[str, Any], **_: object) -> tuple[object, object]:
            status, found = self._answer(model.name, context["asked"], place)
            metadata = {"HTTPStatusCode": status, "RetryAttempts": 0}
            return SimpleNamespace(status_code=status, headers={}), {**found, "ResponseMetadata": metadata}

        client.meta.events.register("before-parameter-build", keep)
        if service == "sts":
            # It speaks XML.
            client.meta.events.register("before-call", answer_at_once)
        else:
            client.meta.events.register("before-call", name)
            # Where moto is, it would answer.
            client.meta.events.unregister("before-send", botocore_stubber)
            # After all else that watches requests go, as the network is.
            client.meta.events.register_last("before-send", answer)
        return client

    def _answer(self, operation: str, params: Mapping[str, Any], place: Place) -> tuple[int, dict[str, Any]]:
        """The status and the answer, or the error."""
        if operation == "AssumeRole":
            place = self.roles.get(params["RoleArn"], place)
        with self._lock:
            self.calls[place, operation] += 1
            self.times[place.account].append(time.monotonic())
        time.sleep(self.latency)
        if action := self.before.get((place, operation)):
            action()
        try:
            return 200, self._found(operation, params, place)
        except CallError as error:
            problem = {"Code": error.code, "Message": str(error)}
            return 400, {"Error": problem} if operation == "AssumeRole" else {"__type": error.code, **problem}

    def _found(self, operation: str, params: Mapping[str, Any], place: Place) -> dict[str, Any]:
        if code := self.errors.get((place, operation)):
            raise CallError(code)
        if operation == "AssumeRole":
            return self._assume(params)
        if operation in _BATCHES:
            name, most = _BATCHES[operation]
            assert 1 <= len(params[name]) <= most
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        found: dict[str, Any] | Pages = getattr(self.accounts[place], method)(params)
        return found.page(params, operation) if isinstance(found, Pages) else found

    def _assume(self, params: Mapping[str, Any]) -> dict[str, Any]:
        place = self.roles.get(params["RoleArn"])
        if place is None or params["ExternalId"] != EXTERNAL_ID:
            raise CallError(
                "AccessDenied", f"not authorized to perform: sts:AssumeRole on resource: {params['RoleArn']}"
            )
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{place.account}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
            },
            "AssumedRoleUser": {
                "Arn": f"arn:aws:sts::{place.account}:assumed-role/{ROLE}-{place.region}/{params['RoleSessionName']}"
            },
        }


class Raw:
    """A body of an answer."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> list[bytes]:
        return [self._body]


def _containers(containers: Sequence[tuple[str, str | None]], name: str) -> list[dict[str, Any]]:
    return [
        {name: f"c{number}", "image": image, **({"imageDigest": digest} if digest else {})}
        for number, (image, digest) in enumerate(containers)
    ]


def _found(name: str, known: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    return {
        name: [known[arn] for arn in wanted if arn in known],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known],
    }


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header
