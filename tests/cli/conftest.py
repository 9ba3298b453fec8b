from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ecr_cleanup.cli import main, planning
from ecr_cleanup.handlers import adapters
from fakes import HOST, REGION, FakeAggregator, FakeClock, Pushed
from function_environment import ENVIRONMENT
from integration.conftest import aws, clock, ecr, ledger, schedules, settings  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.image import ImageId


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """An installation with images of every fate, and `ecr-cleanup` in it."""

    def __init__(
        self, ecr: Pushed, ledger: Ledger, schedules: CheckSchedules, clock: FakeClock, aggregator: FakeAggregator
    ) -> None:
        self.ecr, self.ledger, self.schedules, self.clock, self.aggregator = ecr, ledger, schedules, clock, aggregator
        self.repository = ecr.repository("team/app", ecr_cleanup="enabled")
        self.used = self.push("used", content="used", days_ago=40)
        self.unused = self.push("unused", content="unused", days_ago=50)
        self.newest = self.push("new", content="new", days_ago=20)
        self.task_definition = f"arn:aws:ecs:{REGION}:222222222222:task-definition/app:7"
        aggregator.show(self.task_definition, f"{HOST}/team/app:used")
        self.other = self.push("v1", content="other", days_ago=30, repository=ecr.repository("team/other"))
        self.calls: list[str] = []
        self.capsys: pytest.CaptureFixture[str]

    def push(self, *tags: str, days_ago: float, repository: Any = None, content: str) -> ImageId:
        self.clock.advance(days=-days_ago)
        image_id = self.ecr.push(repository or self.repository, *tags, content=content)
        self.clock.advance(days=days_ago)
        return image_id

    def run(self, *arguments: str) -> Ran:
        self.capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["ecr-cleanup", *arguments])
            with pytest.raises(SystemExit) as ended:
                main.main()
        out, err = self.capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)


@pytest.fixture
def aggregator() -> FakeAggregator:
    return FakeAggregator()


@pytest.fixture
def command_line(
    ecr: Pushed,
    ledger: Ledger,
    schedules: CheckSchedules,
    clock: FakeClock,
    aggregator: FakeAggregator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[CommandLine]:
    """The function `ecr-cleanup-run-checks` of moto has the settings of an installation."""
    role = boto3.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("any.py", "")
    boto3.client("lambda").create_function(
        FunctionName="ecr-cleanup-run-checks",
        Runtime="python3.13",
        Handler="any.any",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {k: v for k, v in (ENVIRONMENT | OWN).items() if v}},
    )
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: aggregator)
    monkeypatch.setattr(planning, "_now", clock)
    monkeypatch.setenv("NO_COLOR", "1")
    found = CommandLine(ecr, ledger, schedules, clock, aggregator)
    found.capsys = capsys
    original = boto3.setup_default_session

    def setup(**arguments: Any) -> None:
        original(**arguments)
        session: Any = boto3.DEFAULT_SESSION
        session.events.register("before-call.*.*", lambda model, **_: found.calls.append(_named(model)))

    monkeypatch.setattr(boto3, "setup_default_session", setup)
    yield found
    boto3.DEFAULT_SESSION = None


OWN = {"REGISTRY_REGIONS": REGION, "TAGS_NEVER_MOVE": "true"}


def _named(model: Any) -> str:
    return f"{model.service_model.endpoint_prefix}:{model.name}"
