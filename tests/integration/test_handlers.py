from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.check import Check
from ecr_cleanup.errors import SettingsError
from ecr_cleanup.handlers import adapters, run_checks, schedule_checks
from ecr_cleanup.image import ImageStatus, Repository
from ecr_cleanup.observability import logger
from fake_accounts import EXTERNAL_ID, ROLE, FakeAccounts
from fakes import DEV, DEVELOPMENT, HOST, PROD, PRODUCTION, SHARED, FakeAggregator, FakeClock, Pushed
from function_environment import ENVIRONMENT
from invocations import Context, batch
from unit.test_events import EVENTS, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.image import ImageId

DEREGISTER = EVENTS["cloudtrail_deregister_task_definition"]
TASK_DEFINITION = f"arn:aws:ecs:eu-central-1:{PRODUCTION}:task-definition/app:7"


@dataclass
class Function:
    handler: Callable[[Any, Any], Any]
    capsys: pytest.CaptureFixture[str]
    log: io.StringIO

    def __call__(self, *bodies: str, context: Context | None = None) -> list[str]:
        """The ids of the messages that failed."""
        response = self.handler(batch(*bodies), context or Context())
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    def logs(self) -> list[dict[str, Any]]:
        out = self.log.getvalue() + self.capsys.readouterr().out
        assert SECRET not in out
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def environment(
    ecr: Pushed,
    ledger: Ledger,
    schedules: CheckSchedules,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    boto3.client("events").create_event_bus(Name="ecr-cleanup")
    yield
    for module in (schedule_checks, run_checks):
        module._settings.cache_clear()
        module._adapters.cache_clear()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    # The logger holds on to the standard output of the moment it was made in.
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


@pytest.fixture
def schedule(environment: None, capsys: pytest.CaptureFixture[str], log: io.StringIO) -> Function:
    return Function(schedule_checks.handler, capsys, log)


@pytest.fixture
def run(
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
    capsys: pytest.CaptureFixture[str],
    log: io.StringIO,
) -> Function:
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: FakeAggregator())
    monkeypatch.setattr(run_checks, "_now", clock)
    return Function(run_checks.handler, capsys, log)


def metrics_of(logs: list[dict[str, Any]]) -> dict[str, list[float]]:
    (metrics,) = (line for line in logs if "_aws" in line)
    (definition,) = metrics["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "EcrCleanup"
    assert definition["Dimensions"] == [["service"]]
    return {each["Name"]: metrics[each["Name"]] for each in definition["Metrics"]}


def test_an_event_becomes_one_schedule_and_one_line(schedule: Function, ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    assert schedule(json.dumps(DEREGISTER)) == []
    logs = schedule.logs()
    (line,) = (line for line in logs if line.get("message") == "task definition deregistered")
    assert (line["account"], line["images"]) == (PRODUCTION, [str(image_id)])
    assert list(line["scheduled"]) == [str(image_id)]
    assert metrics_of(logs)["ChecksScheduled"] == [1]
    assert len(boto3.client("scheduler").list_schedules(GroupName="ecr-cleanup")["Schedules"]) == 1


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (f"{{ {SECRET}", "EventError", "the message is not JSON"),
        (json.dumps({"secret": SECRET}), "EventError", '"account" is NoneType'),
        (json.dumps(DEREGISTER | {"detail-type": "Unknown"}), "EventError", "detail-type 'Unknown'"),
        (json.dumps(DEREGISTER | {"account": DEVELOPMENT}), "EventError", "speaks for a task definition of"),
        (
            json.dumps(DEREGISTER).replace("amazonaws.com/team/app:v1", "amazonaws.com/Team/App:v1"),
            "ImageReferenceError",
            "'Team/App' is not a repository name",
        ),
    ],
)
def test_a_bad_event_fails_alone_and_says_why(
    schedule: Function, ecr: Pushed, body: str, error: str, reason: str
) -> None:
    ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    assert schedule(json.dumps(DEREGISTER), body, json.dumps(DEREGISTER)) == ["message-1"]
    logs = schedule.logs()
    (line,) = (line for line in logs if line.get("message") == "record refused")
    assert (line["message_id"], line["error"]) == ("message-1", error)
    assert reason in line["reason"]
    assert metrics_of(logs)["RecordsRefused"] == [1]


def test_an_event_that_aws_fails_at_comes_back(
    schedule: Function, ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    monkeypatch.setenv("LEDGER_TABLE_NAME", "no-such-table")
    assert schedule(json.dumps(DEREGISTER)) == ["message-0"]
    logs = schedule.logs()
    assert [line["message"] for line in logs if line.get("level") == "ERROR"] == ["record failed"]
    assert metrics_of(logs)["RecordsFailed"] == [1]


def test_an_image_that_is_not_opted_in_is_named(schedule: Function, ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    schedule(json.dumps(EVENTS["cloudtrail_register_task_definition"]), json.dumps(DEREGISTER))
    lines = [line["not_opted_in"] for line in schedule.logs() if "not_opted_in" in line]
    assert lines == [[], [str(image_id)]]


def test_a_push_is_one_line_and_on_record(schedule: Function, ledger: Ledger) -> None:
    assert schedule(json.dumps(EVENTS["ecr_push"])) == []
    logs = schedule.logs()
    (line,) = (line for line in logs if line.get("message") == "image pushed")
    (pushed,) = ledger.pushes(Repository(SHARED, "eu-central-1", "team/app"), ["v1"])["v1"]
    assert (line["registry"], line["registry_region"], line["repository"]) == (SHARED, "eu-central-1", "team/app")
    assert (line["digest"], line["tags"], line["occurred_at"]) == (pushed.digest, ["v1"], pushed.at.isoformat())
    assert "EventsIgnored" not in metrics_of(logs)


@pytest.mark.parametrize(
    "event",
    [
        EVENTS["ecr_delete"],
        EVENTS["ecr_failed_push"],
        EVENTS["ecr_push_without_tag"],
        EVENTS["ecr_push"] | {"account": DEVELOPMENT},
        EVENTS["ecr_push"] | {"region": "us-east-1"},
    ],
)
def test_what_is_no_push_to_the_registry_is_ignored(schedule: Function, ledger: Ledger, event: dict[str, Any]) -> None:
    assert schedule(json.dumps(event)) == []
    logs = schedule.logs()
    assert metrics_of(logs)["EventsIgnored"] == [1]
    assert [line for line in logs if line.get("message") == "image pushed"] == []
    repository = Repository(event["account"], event["region"], "team/app")
    assert ledger.pushes(repository, ["v1"]) == {"v1": frozenset()}


def test_the_use_of_an_archived_image_is_said_with_its_repair(
    schedule: Function, ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    real = Registry.find
    monkeypatch.setattr(
        Registry, "find", lambda *args: [each._replace(status=ImageStatus.ARCHIVED) for each in real(*args)]
    )
    assert schedule(json.dumps(EVENTS["cloudtrail_register_task_definition"]), json.dumps(DEREGISTER)) == []
    logs = schedule.logs()
    (line,) = (line for line in logs if line.get("message") == "archived image used")
    assert (line["level"], line["account"], line["digest"]) == ("WARNING", PRODUCTION, image_id.digest)
    assert line["task_definition"].endswith("app:7")
    assert f"--image-id imageDigest={image_id.digest} --target-storage-class STANDARD" in line["repair"]
    assert metrics_of(logs)["ArchivedImagesUsed"] == [1]


def test_a_call_that_failed_is_ignored(schedule: Function) -> None:
    assert schedule(json.dumps(EVENTS["cloudtrail_failed_deregister"])) == []
    assert metrics_of(schedule.logs())["EventsIgnored"] == [1]


@pytest.fixture
def image_id(run: Function, ecr: Pushed, ledger: Ledger, clock: FakeClock) -> ImageId:
    repository = ecr.repository(ecr_cleanup="enabled")
    clock.advance(days=-30)
    image_id = ecr.push(repository, "v1")
    clock.advance(days=1)
    ecr.push(repository, "v2", content="newer")
    clock.advance(days=29)
    ledger.record_last_use(image_id, at=clock.now - timedelta(hours=24), by=TASK_DEFINITION)
    return image_id


def test_a_due_check_becomes_a_removal_with_line_metrics_and_record(
    run: Function, ecr: Pushed, image_id: ImageId
) -> None:
    assert run(Check(image_id, "app:7 was deregistered").to_json()) == []
    assert not ecr.exists(image_id)
    logs = run.logs()
    (line,) = (line for line in logs if "verdict" in line)
    assert (
        line
        | {
            "verdict": "remove",
            "removed": True,
            "rule": "unused",
            "repository": "team/app",
            "digest": image_id.digest,
            "tags": ["v1"],
            "cause": "app:7 was deregistered",
            "action": "delete",
            "pushed_at": "2030-01-01T12:00:00+00:00",
            "last_used_at": "2030-01-30T12:00:00+00:00",
            "used_by": [TASK_DEFINITION],
            "parts": [],
            "inventory_age_seconds": 0,
            "inventory_usages": 0,
            "inventory_places": 2,
        }
        == line
    )
    assert "nobody uses it" in line["reason"]
    assert line["bytes"] > 0
    metrics = metrics_of(logs)
    assert metrics["ImagesRemoved"] == [1]
    assert metrics["BytesRemoved"] == [line["bytes"]]
    assert metrics["InventoryProblems"] == [0]


def test_a_message_that_is_no_check_fails_alone(run: Function, ecr: Pushed, image_id: ImageId) -> None:
    assert run("{}", Check(image_id, "test").to_json()) == ["message-0"]
    assert not ecr.exists(image_id)
    (line,) = (line for line in run.logs() if line.get("message") == "record refused")
    assert line["error"] == "CheckError"


def test_an_inventory_that_is_not_trusted_is_said_per_account(
    run: Function, ecr: Pushed, image_id: ImageId, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregator = FakeAggregator(sources={}, recorded=set())
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: aggregator)
    assert run(Check(image_id, "test").to_json()) == []
    assert ecr.exists(image_id)
    logs = run.logs()
    lines = [line for line in logs if line.get("message") == "inventory not trusted"]
    assert {line["account"] for line in lines} == {PRODUCTION, DEVELOPMENT}
    assert all(line["reason"] and line["repair"] for line in lines)
    metrics = metrics_of(logs)
    assert metrics["InventoryProblems"] == [4]
    assert metrics["ChecksPostponed"] == [1]


@pytest.fixture
def accounts(environment: None, monkeypatch: pytest.MonkeyPatch) -> FakeAccounts:
    """The function may read what runs in them."""
    accounts = FakeAccounts(PROD, DEV)
    monkeypatch.setenv("READER_ROLE_NAME", ROLE)
    monkeypatch.setenv("READER_EXTERNAL_ID", EXTERNAL_ID)
    monkeypatch.setattr(clients, "sts_client", accounts.sts_client)
    monkeypatch.setattr(clients, "place_client", accounts.place_client)
    return accounts


def test_without_a_reader_role_nobody_asks_the_accounts(
    run: Function, ecr: Pushed, image_id: ImageId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nobody was to ask")

    for name in ("sts_client", "place_client"):
        monkeypatch.setattr(clients, name, refuse)
    assert run(Check(image_id, "test").to_json()) == []
    assert not ecr.exists(image_id)
    assert run_checks._adapters()["live_usage"] is None


def test_with_a_reader_role_the_accounts_are_asked(
    accounts: FakeAccounts, run: Function, ecr: Pushed, image_id: ImageId
) -> None:
    assert run(Check(image_id, "test").to_json()) == []
    assert not ecr.exists(image_id)
    live_usage = run_checks._adapters()["live_usage"]
    assert (live_usage.role.name, live_usage.role.external_id) == (ROLE, EXTERNAL_ID)
    assert {place for place, _ in accounts.calls} == {PROD, DEV}
    assert metrics_of(run.logs())["InventoryProblems"] == [0]


def test_what_runs_is_in_the_line_of_the_verdict(
    accounts: FakeAccounts, run: Function, ecr: Pushed, image_id: ImageId
) -> None:
    task = accounts[PROD].run((f"{HOST}/team/app:latest", image_id.digest))
    assert run(Check(image_id, "test").to_json()) == []
    assert ecr.exists(image_id)
    (line,) = (line for line in run.logs() if "verdict" in line)
    assert (line["verdict"], line["rule"], line["user_sources"]) == ("keep", "in_use", ["live"])
    assert line["users"] == [task["taskArn"]]


def test_the_sources_of_a_usage_that_needed_no_asking(
    accounts: FakeAccounts, run: Function, image_id: ImageId, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregator = FakeAggregator()
    aggregator.show(TASK_DEFINITION, f"{HOST}/team/app:v1")
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: aggregator)
    assert run(Check(image_id, "test").to_json()) == []
    (line,) = (line for line in run.logs() if "verdict" in line)
    assert (line["rule"], line["user_sources"]) == ("in_use", ["aggregator"])
    assert not accounts.calls


def test_an_account_that_cannot_be_read_is_said_once_with_its_repair(
    accounts: FakeAccounts, run: Function, ecr: Pushed, image_id: ImageId, ledger: Ledger, clock: FakeClock
) -> None:
    clock.advance(days=-30)
    other = ecr.push(image_id.repository, "v0", content="older")
    clock.advance(days=30)
    ledger.record_last_use(other, at=clock.now - timedelta(hours=24))
    accounts.errors[DEV, "ListFunctions"] = "AccessDeniedException"
    assert run(Check(image_id, "test").to_json(), Check(other, "test").to_json()) == []
    assert ecr.exists(image_id)
    assert ecr.exists(other)
    logs = run.logs()
    (problem,) = (line for line in logs if line.get("message") == "inventory not trusted")
    assert (problem["level"], problem["account"], problem["account_region"]) == (
        "WARNING",
        DEVELOPMENT,
        "eu-central-1",
    )
    assert "lambda:ListFunctions" in problem["reason"]
    assert f"let arn:aws:iam::{DEVELOPMENT}:role/{ROLE}-eu-central-1 call lambda:ListFunctions" in problem["repair"]
    metrics = metrics_of(logs)
    assert (metrics["InventoryProblems"], metrics["ChecksPostponed"]) == ([1], [1, 1])
    for line in (line for line in logs if "verdict" in line):
        assert (line["verdict"], line["rule"], line["user_sources"]) == ("postpone", "inventory_not_trusted", [])


def test_how_often_in_vain_one_image_was_looked_at_is_counted_and_only_where_something_does_not_work(
    run: Function, ecr: Pushed, image_id: ImageId, ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record_last_use(image_id, at=clock.now)
    assert run(Check(image_id, "test", attempt=3).to_json()) == []
    assert "CheckAttempts" not in metrics_of(run.logs())
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: FakeAggregator(sources={}))
    run_checks._adapters.cache_clear()
    clock.advance(hours=25)
    assert run(Check(image_id, "test", attempt=3).to_json()) == []
    assert metrics_of(run.logs()[-1:])["CheckAttempts"] == [4]


def test_the_time_left_is_lambdas_own(run: Function, ecr: Pushed, image_id: ImageId) -> None:
    assert run(Check(image_id, "test").to_json(), context=Context(remaining=timedelta(seconds=5))) == []
    assert ecr.exists(image_id)
    (line,) = (line for line in run.logs() if "verdict" in line)
    assert line["rule"] == "out_of_time"


@pytest.mark.parametrize("function", ["schedule", "run"])
def test_a_setting_that_makes_no_sense_stops_the_function(
    function: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle: Function = request.getfixturevalue(function)
    monkeypatch.setenv("GRACE_PERIOD_HOURS", "forever")
    with pytest.raises(SettingsError, match="GRACE_PERIOD_HOURS is 'forever', but must be a whole number"):
        handle(json.dumps(DEREGISTER))


def test_in_organisation_mode_the_accounts_are_asked_for(
    run: Function, ecr: Pushed, image_id: ImageId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKLOAD_ACCOUNT_IDS", "")
    monkeypatch.setenv("WORKLOAD_ORGANIZATION", "true")
    organizations = boto3.client("organizations", region_name="us-east-1")
    organizations.create_organization(FeatureSet="ALL")
    organizations.create_account(Email="a@example.com", AccountName="a")
    run(Check(image_id, "test").to_json())
    lines = [line for line in run.logs() if line.get("message") == "inventory not trusted"]
    # The management account and the one just made; the fake aggregator knows neither.
    assert len({line["account"] for line in lines}) == 2
    assert ecr.exists(image_id)
