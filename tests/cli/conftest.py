"""An installation in moto, and the command line on it, with every call on record."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from typer.testing import CliRunner

from ecr_cleanup.aws.sweep_ledger import SweepLedger
from ecr_cleanup.cli import clock as cli_clock
from ecr_cleanup.cli import installation as installation_module
from ecr_cleanup.cli.app import app
from ecr_cleanup.cli.session import AwsSession
from fake_accounts import EXTERNAL_ID, ROLE
from fakes import REGION, SHARED
from function_environment import ENVIRONMENT
from integration.bench import Bench, make_bench
from integration.conftest import aggregator, aws, clock, ecr, ledger, schedules, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.model import OperationModel
    from typer.testing import Result

    from fakes import FakeClock, Pushed

__all__ = ["aggregator", "aws", "clock", "ecr", "ledger", "make_bench", "schedules", "settings"]

CLI_ENVIRONMENT = ENVIRONMENT | {
    "REGISTRY_REGIONS": REGION,
    "READER_ROLE_NAME": ROLE,
    "READER_EXTERNAL_ID": EXTERNAL_ID,
    "NEWEST_IMAGES": "0",
}

Answer = tuple[int, dict[str, Any]]


@dataclass
class CommandLine:
    """Runs commands. `calls` has each call that was made, and `answers` what AWS is to answer in place of moto."""

    calls: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[dict[str, Any]], Answer | None]] = field(default_factory=dict)

    def __call__(self, *arguments: str, input: str | None = None, **environment: str) -> Result:  # noqa: A002
        return CliRunner().invoke(
            app, arguments, input=input, env={"COLUMNS": "80", "NO_COLOR": "1"} | environment, prog_name="ecr-cleanup"
        )

    def prints(self, *arguments: str) -> str:
        """What a command that goes well prints."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return result.stdout

    def fails(self, exit_code: int, *arguments: str, **environment: str) -> str:
        """The one line that a command ends with, which has no traceback."""
        result = self(*arguments, **environment)
        assert result.exit_code == exit_code, result.output + repr(result.exception)
        assert isinstance(result.exception, SystemExit)
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("ecr-cleanup: ")]
        assert "Traceback" not in result.output
        return line

    def answer(self, call: str, answer: Mapping[str, Any]) -> None:
        """Let AWS answer a call with this."""
        self.answers[call] = lambda _: (200, dict(answer))

    def refuse(self, call: str, code: str, message: str = "no", *, after: int = 0) -> None:
        """Let AWS refuse a call, after it answered so many."""
        left = after

        def refuse(_: dict[str, Any]) -> Answer | None:
            nonlocal left
            if left:
                left -= 1
                return None
            return 400, {"Error": {"Code": code, "Message": message}}

        self.answers[call] = refuse

    def begin(self, model: OperationModel, params: dict[str, Any], **_: object) -> tuple[Any, dict[str, Any]] | None:
        call = f"{model.service_model.service_name}:{model.name}"
        self.calls.append(call)
        answer = self.answers[call](params) if call in self.answers else None
        return (SimpleNamespace(status_code=answer[0]), answer[1]) if answer else None


@dataclass
class Clients:
    """The clients of all command lines, made once: most of a command's time goes into making them."""

    watched_by: CommandLine | None = None
    known: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def get(self, session: AwsSession, make: Callable[..., Any], service: str, region: str | None = None) -> Any:
        key = (service, region or session.region, frozenset(session._allowed))
        if key not in self.known:
            self.known[key] = make(session, service, region)
            self.known[key].meta.events.register("before-call", self._begin)
        return self.known[key]

    def _begin(self, **call: Any) -> Any:
        return self.watched_by.begin(**call) if self.watched_by else None


CLIENTS = Clients()


@pytest.fixture(scope="package", autouse=True)
def models_are_read_once() -> Iterator[None]:
    """Each session of the SDK reads its models anew, and each test makes one. Other packages change them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", cache(JSONFileLoader.load_file))
        # All are the same to the cache.
        patch.setattr(JSONFileLoader, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(JSONFileLoader, "__hash__", lambda _: 0)
        yield


@pytest.fixture
def cli(
    bench: Bench, clock: FakeClock, ecr: Pushed, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> CommandLine:
    """The command line, on an installation with the functions' settings and the bench's aggregator."""
    command_line = CommandLine()
    make_client = AwsSession.client
    CLIENTS.watched_by = command_line
    monkeypatch.setattr(AwsSession, "client", lambda session, *names: CLIENTS.get(session, make_client, *names))
    monkeypatch.setattr(cli_clock, "now", clock)
    if "real_aggregator" not in request.keywords:
        monkeypatch.setattr(installation_module, "_Aggregator", lambda *_: bench.aggregator)
    # What moto has not.
    command_line.answers["resourcegroupstaggingapi:GetResources"] = lambda _: (200, _opted_in(ecr.client))
    command_line.answer("ecr:DescribePullThroughCacheRules", {"pullThroughCacheRules": []})
    # With real ones, moto would run the functions.
    command_line.answer("lambda:ListEventSourceMappings", {"EventSourceMappings": [{"State": "Enabled"}]})
    install(CLI_ENVIRONMENT)
    return command_line


def _opted_in(client: Any) -> dict[str, Any]:
    found = []
    for repository in client.describe_repositories()["repositories"]:
        tags = client.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
        if {"Key": "ecr-cleanup", "Value": "enabled"} in tags:
            found.append({"ResourceARN": repository["repositoryArn"], "Tags": tags})
    return {"ResourceTagMappingList": found, "PaginationToken": ""}


def install(environment: Mapping[str, str]) -> None:
    """What Terraform makes, as far as the command line looks at it."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        ],
    }
    role = boto3.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as file:
        file.writestr("any.py", "")
    functions, sqs, events = boto3.client("lambda"), boto3.client("sqs"), boto3.client("events")
    for name in ("events-dead-letter", "checks-dead-letter", "schedules-dead-letter"):
        sqs.create_queue(QueueName=f"ecr-cleanup-{name}")
    for part, queue in (("schedule-checks", "events"), ("run-checks", "checks"), ("sweep", "sweeps")):
        sqs.create_queue(QueueName=f"ecr-cleanup-{queue}")
        functions.create_function(
            FunctionName=f"ecr-cleanup-{part}",
            Runtime="python3.13",
            Role=role["Arn"],
            Handler="any.handler",
            Code={"ZipFile": package.getvalue()},
            Environment={"Variables": dict(environment)},
        )
    events.create_event_bus(Name="ecr-cleanup")
    pattern = json.dumps({"source": ["any"]})
    events.put_rule(Name="ecr-cleanup-task-definitions", EventBusName="ecr-cleanup", EventPattern=pattern)
    events.put_rule(Name="ecr-cleanup-image-pushes", EventPattern=pattern)
    boto3.client("scheduler").create_schedule(
        GroupName="ecr-cleanup",
        Name="sweep",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": f"arn:aws:sqs:{REGION}:{SHARED}:ecr-cleanup-sweeps",
            "RoleArn": ENVIRONMENT["SCHEDULE_ROLE_ARN"],
            "Input": '{"version": 1, "sweep": "start"}',
        },
    )


def configure(**changes: str) -> None:
    """Give run_checks other settings."""
    boto3.client("lambda").update_function_configuration(
        FunctionName="ecr-cleanup-run-checks", Environment={"Variables": CLI_ENVIRONMENT | changes}
    )


def sweep_ended(bench: Bench, **changes: Any) -> None:
    """Put a sweep on record that just ended."""
    sweeps = SweepLedger(boto3.client("dynamodb"), bench.settings.ledger_table_name)
    until = bench.clock.now
    sweeps.claim(None, asked_at=until + timedelta(seconds=1), now=bench.clock.now, until=until)
    summary = {
        "generated_at": f"{bench.clock.now:%Y-%m-%dT%H:%M:%SZ}",
        "asked_what_runs": True,
        "problems": [],
        "failures": [],
        "repositories": 1,
        "checks": 0,
    }
    sweeps.finish(summary | changes, at=until, until=until)
