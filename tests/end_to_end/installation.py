"""The module as Terraform installs it into local AWS, and what users of its accounts do there."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local_aws.images import push_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_aws import LocalAws
    from local_aws.calls import ApiCall
    from local_aws.functions import Invocation
    from terraform_tools import Terraform

SHARED, PRODUCTION, DEVELOPMENT = "111111111111", "222222222222", "333333333333"
REGION = "eu-central-1"
HOST = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com"
PREFIX = "ecr-cleanup"
SCHEDULE_CHECKS, RUN_CHECKS, SWEEP = f"{PREFIX}-schedule-checks", f"{PREFIX}-run-checks", f"{PREFIX}-sweep"
DIGEST = f"{PREFIX}-digest"
TOPIC = f"arn:aws:sns:{REGION}:{SHARED}:{PREFIX}-notifications"

# The name of a check's schedule; the sweep has schedules of its own in the same group.
CHECK = re.compile(r"[0-9a-f]{64}")

GRACE = timedelta(hours=24)
# From a schedule's time until its check is answered: the scheduler's precision and the batching window, a minute each.
TO_ANSWER = timedelta(minutes=3)
RECORDED = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


@dataclass
class Installation:
    """What was applied, and the accounts around it."""

    aws: LocalAws
    terraform: Terraform
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def client(self, service: str, account: str = SHARED) -> Any:
        """A client of an account's administrator."""
        if (service, account) not in self._clients:
            self._clients[service, account] = self.aws.session(account).client(service)  # type: ignore[call-overload]
        return self._clients[service, account]

    # What teams do

    def repository(self, *, opted_in: bool = True, steered: Mapping[str, str] | None = None, **arguments: Any) -> str:
        """Create a repository of its own for a test; `steered` are its owner's tags without `ecr-cleanup:`."""
        name = f"team-{next(self._numbers)}/app"
        tags = [{"Key": "ecr-cleanup", "Value": "enabled"}] if opted_in else []
        tags += [{"Key": f"ecr-cleanup:{key}", "Value": value} for key, value in (steered or {}).items()]
        self.client("ecr").create_repository(repositoryName=name, tags=tags, **arguments)
        return name

    def push(self, repository: str, *tags: str) -> str:
        """Push a new image and return its digest."""
        return push_image(self.client("ecr"), repository, tags)

    def register(self, account: str, *images: str, family: str | None = None, **container: Any) -> str:
        """Register a task definition, one container an image, and return its ARN."""
        containers = [
            {"name": f"c{number}", "image": image, "memory": 128, **container} for number, image in enumerate(images)
        ]
        answer = self.client("ecs", account).register_task_definition(
            family=family or f"family-{next(self._numbers)}", containerDefinitions=containers
        )
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    def deregister(self, arn: str) -> None:
        """Deregister a task definition in the account that its ARN names."""
        self.client("ecs", arn.split(":")[4]).deregister_task_definition(taskDefinition=arn)

    def deployed(self, account: str, *images: str, **arguments: Any) -> str:
        """Register a task definition long enough ago that everybody knows it."""
        arn = self.register(account, *images, **arguments)
        self.aws.advance(RECORDED)
        return arn

    def replay(self, events: list[Mapping[str, Any]]) -> None:
        """Deliver events of the default bus once more, as EventBridge may."""
        sqs = self.client("sqs")
        for event in events:
            sqs.send_message(QueueUrl=self.queue_url("events"), MessageBody=json.dumps(event))
        self.aws.run_until_idle()

    # What there is

    def exists(self, repository: str, digest: str) -> bool:
        """Whether the registry has the image, be it in its archive."""
        return self.status(repository, digest) is not None

    def status(self, repository: str, digest: str) -> str | None:
        """ACTIVE, ARCHIVED, ACTIVATING, or None where the registry has no such image."""
        pages = (
            self.client("ecr")
            .get_paginator("describe_images")
            .paginate(repositoryName=repository, filter={"imageStatus": "ANY"})
        )
        details = (detail for page in pages for detail in page["imageDetails"])
        return next((detail["imageStatus"] for detail in details if detail["imageDigest"] == digest), None)

    def schedules(self) -> list[str]:
        """The names of all pending checks' schedules."""
        pages = self.client("scheduler").get_paginator("list_schedules").paginate(GroupName=PREFIX)
        names = (schedule["Name"] for page in pages for schedule in page["Schedules"])
        return [name for name in names if CHECK.fullmatch(name)]

    def queue_url(self, name: str) -> str:
        """The URL of one of the module's queues in the shared account."""
        url: str = self.client("sqs").get_queue_url(QueueName=f"{PREFIX}-{name}")["QueueUrl"]
        return url

    def take_messages(self, name: str, account: str = SHARED) -> list[str]:
        """The bodies of all visible messages of a queue of the module, which are then gone from it."""
        sqs = self.client("sqs", account)
        url = sqs.get_queue_url(QueueName=f"{PREFIX}-{name}")["QueueUrl"]
        bodies = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def verdicts(self, digest: str) -> list[dict[str, Any]]:
        """The lines that `run_checks` wrote about an image, oldest first."""
        return [line for run in self.aws.invocations(RUN_CHECKS) for line in run.log if line.get("digest") == digest]

    @contextmanager
    def configured(self, function: str = RUN_CHECKS, **changes: str) -> Iterator[None]:
        """Other settings of a function."""
        client = self.client("lambda")
        before = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        client.update_function_configuration(FunctionName=function, Environment={"Variables": before | changes})
        try:
            yield
        finally:
            client.update_function_configuration(FunctionName=function, Environment={"Variables": before})

    def sweep(self, within: timedelta = TO_ANSWER) -> dict[str, Any]:
        """Let everything be swept, as the schedule does; gives the line about it in the log."""
        message = json.dumps({"version": 1, "sweep": "start"})
        before = len(self.aws.invocations(SWEEP))
        self.client("sqs").send_message(QueueUrl=self.queue_url("sweeps"), MessageBody=message)
        self.aws.advance(within)
        lines = [line for run in self.aws.invocations(SWEEP)[before:] for line in run.log]
        (finished,) = (line for line in lines if line.get("message") == "sweep finished")
        return finished

    @contextmanager
    def watched(self) -> Iterator[Watched]:
        """Record the API calls and function runs of a block."""
        calls, runs = len(self.aws.calls), len(self.aws.invocations())
        watched = Watched()
        yield watched
        watched.calls = self.aws.calls[calls:]
        watched.runs = self.aws.invocations()[runs:]


@dataclass
class Watched:
    """What happened in a block."""

    calls: list[ApiCall] = field(default_factory=list)
    runs: list[Invocation] = field(default_factory=list)

    def count(self, operation: str, function: str | None = None) -> int:
        """How many calls of an operation a function made."""
        return sum(call.operation == operation and call.function == function for call in self.calls)

    @property
    def denied(self) -> list[ApiCall]:
        """The calls that IAM did not allow."""
        return [call for call in self.calls if not call.allowed]
