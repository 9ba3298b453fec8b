from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import jsonschema
import pytest

from ecr_cleanup import sweep_report
from ecr_cleanup.aws import clients
from ecr_cleanup.aws import ecr as ecr_adapter
from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.aws.report_bucket import ReportBucket
from ecr_cleanup.aws.sweep_ledger import SweepLedger
from ecr_cleanup.check import Check
from ecr_cleanup.errors import SweepError
from ecr_cleanup.handlers import adapters, sweep
from ecr_cleanup.handlers.sweep import sweep_to_go_on_with
from fakes import DEV, HOST, PROD, REGION, FakeAggregator, FakeClock, Pushed
from function_environment import SWEEP_ENVIRONMENT
from integration.bench import aws_error, raises
from integration.test_handlers import Function, log, metrics_of  # noqa: F401 - the fixture "log"
from invocations import Context, batch

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules

SCHEMA = Path(__file__).resolve().parents[2] / "docs/report.schema.json"
START = json.dumps({"version": 1, "sweep": "start"})
PAGE = '<script type="application/json" id="report">"REPORT"</script>'


@pytest.fixture
def function(
    ecr: Pushed,
    ledger: Ledger,
    schedules: CheckSchedules,
    clock: FakeClock,
    aggregator: FakeAggregator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    log: io.StringIO,  # noqa: F811
) -> Iterator[Function]:
    monkeypatch.setattr(adapters, "Aggregator", lambda *_: aggregator)
    monkeypatch.setattr(sweep, "_now", clock)
    s3 = boto3.client("s3")
    where: Any = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration=where)
    s3.put_object(Bucket="reports", Key="cleanup/page.html", Body=PAGE.encode())
    for name, value in (
        SWEEP_ENVIRONMENT | {"NEWEST_IMAGES": "0", "REGISTRY_REGIONS": REGION, "TAGS_NEVER_MOVE": "true"}
    ).items():
        monkeypatch.setenv(name, value)
    yield Function(sweep.handler, capsys, log)
    for cached in (sweep._settings, sweep._adapters, sweep._sweeps):
        cached.cache_clear()


@pytest.fixture
def with_report(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORT_BUCKET", "reports")
    monkeypatch.setenv("REPORT_PREFIX", "cleanup/")


def push_old(ecr: Pushed, clock: FakeClock, repository: Any, *tags: str, **image: Any) -> Any:
    clock.advance(days=-100)
    image_id = ecr.push(repository, *tags, **image)
    clock.advance(days=100)
    return image_id


def scheduled() -> dict[str, str]:
    client = boto3.client("scheduler")
    names = [each["Name"] for each in client.list_schedules(GroupName="ecr-cleanup")["Schedules"]]
    return {name: client.get_schedule(GroupName="ecr-cleanup", Name=name)["Target"]["Input"] for name in names}


def start(function: Function, clock: FakeClock) -> list[str]:
    """Ask for a sweep now, and tell which messages failed."""
    response = function.handler(batch(START, sent_at=clock.now), Context())
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def stored(key: str) -> str:
    return boto3.client("s3").get_object(Bucket="reports", Key=key)["Body"].read().decode()


# Bad input


@pytest.mark.parametrize(
    "body",
    [
        "",
        "sweep",
        "[]",
        "{}",
        '{"version": 2, "sweep": "start"}',
        '{"version": 1}',
        '{"version": 1, "sweep": 7}',
        "[" * 9999,
    ],
)
def test_a_message_that_asks_for_no_sweep_fails_and_says_what_would_be_right(function: Function, body: str) -> None:
    assert function(body) == ["message-0"]
    (line,) = (line for line in function.logs() if line.get("message") == "record refused")
    assert line["reason"] == 'the message does not ask for a sweep, as {"version": 1, "sweep": "start"} does'
    assert scheduled() == {}


def test_a_message_names_the_sweep_to_go_on_with() -> None:
    assert sweep_to_go_on_with(START) is None
    assert sweep_to_go_on_with('{"version": 1, "sweep": "2030-01-31"}') == "2030-01-31"
    with pytest.raises(SweepError):
        sweep_to_go_on_with('{"version": 1, "sweep": ""}')


# What it does


def test_only_opted_in_repositories_are_looked_at(function: Function, ecr: Pushed, clock: FakeClock) -> None:
    used = push_old(ecr, clock, ecr.repository("team/app", ecr_cleanup="enabled"), "v1")
    push_old(ecr, clock, ecr.repository("team/other"), "v1")
    push_old(ecr, clock, ecr.repository("team/off", ecr_cleanup="disabled"), "v1")
    assert function(START) == []
    assert list(scheduled()) == [Check(used, "").schedule_name]
    (line,) = (line for line in function.logs() if line.get("message") == "sweep finished")
    assert (line["repositories"], line["images"], line["checks"]) == (1, 1, 1)


def test_says_what_it_found(function: Function, ecr: Pushed, clock: FakeClock, aggregator: FakeAggregator) -> None:
    repository = ecr.repository("team/app", ecr_cleanup="enabled")
    push_old(ecr, clock, repository, "v1", content="one")
    push_old(ecr, clock, repository, "v2", content="two")
    aggregator.show(f"arn:aws:ecs:{REGION}:{PROD.account}:task-definition/app:2", f"{HOST}/team/app:v2")
    assert function(START) == []
    lines = function.logs()
    (line,) = (line for line in lines if line.get("message") == "repository swept")
    assert (line["repository"], line["images"], line["reclaimable_images"]) == ("team/app", 2, 1)
    assert [each["rule"] for each in line["kept_by_rule"]] == ["in_use"]
    metrics = {
        (*sorted(each["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]), name): each[name]
        for each in lines
        if "_aws" in each
        for name in each
    }
    assert metrics["service", "ImagesReclaimable"] == [1]
    assert metrics["rule", "service", "rule"] == "in_use"
    assert metrics["registry_region", "repository", "service", "BytesReclaimable"] == [line["reclaimable_bytes"]]
    assert metrics["service", "ChecksScheduled"] == [1]


def test_repositories_have_no_metrics_where_nobody_wants_them(
    function: Function, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPOSITORY_METRICS", "false")
    push_old(ecr, clock, ecr.repository("team/app", ecr_cleanup="enabled"), "v1")
    function(START)
    assert not [line for line in function.logs() if "_aws" in line and "repository" in line]


@pytest.mark.usefixtures("with_report")
def test_publishes_its_report(function: Function, ecr: Pushed, clock: FakeClock) -> None:
    repository = ecr.repository("team/app", ecr_cleanup="enabled")
    push_old(ecr, clock, repository, "v1", content="one")
    image_id = push_old(ecr, clock, repository, "v2", content="two")
    assert function(START) == []
    report = json.loads(stored("cleanup/report.json"))
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert report["totals"]["reclaimable_images"] == 2
    assert image_id.digest in {image["digest"] for image in report["images"]}
    page = stored("cleanup/report.html")
    assert json.loads(page.removeprefix(PAGE[: PAGE.index('"REPORT"')]).removesuffix("</script>")) == report
    (line,) = (line for line in function.logs() if line.get("message") == "sweep finished")
    assert line["reports"] == ["s3://reports/cleanup/report.json", "s3://reports/cleanup/report.html"]


@pytest.mark.usefixtures("with_report")
def test_the_page_has_those_with_the_largest_gain_and_no_more_than_a_browser_can_hold(
    function: Function, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = ecr.repository("team/app", ecr_cleanup="enabled")
    images = [push_old(ecr, clock, repository, f"v{n}", content="x" * n) for n in range(9)]
    monkeypatch.setattr(sweep_report, "BYTES_ON_THE_PAGE", 2_000)
    assert function(START) == []
    report = json.loads(stored("cleanup/report.json"))
    page = stored("cleanup/report.html")
    shown = json.loads(page.removeprefix(PAGE[: PAGE.index('"REPORT"')]).removesuffix("</script>"))
    assert sum(len(json.dumps(image)) for image in shown["images"]) <= 2_000
    assert 2 <= len(shown["images"]) < len(images)
    assert shown["images_left_out"] == len(images) - len(shown["images"])
    rows = sorted(report["images"], key=lambda row: row["bytes"], reverse=True)
    assert [row["bytes"] for row in shown["images"]] == [row["bytes"] for row in rows[: len(shown["images"])]]


@pytest.mark.usefixtures("with_report")
def test_a_repository_that_opted_out_while_it_was_read_is_not_in_the_report(
    function: Function, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ecr_adapter, "_IMAGES_PER_PAGE", 1)
    first, second = (ecr.repository(name, ecr_cleanup="enabled") for name in ("team/a", "team/b"))
    for repository in (first, second):
        for tag in ("v1", "v2"):
            push_old(ecr, clock, repository, tag, content=tag)
    assert function(START, context=Context(remaining=timedelta(seconds=30))) == []
    arn = boto3.client("ecr").describe_repositories(repositoryNames=["team/a"])["repositories"][0]["repositoryArn"]
    boto3.client("ecr").untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])
    clock.advance(minutes=30)
    assert function(START) == []
    report = json.loads(stored("cleanup/report.json"))
    assert {each["repository"] for each in report["repositories"]} == {"team/b"}
    assert {row["repository"] for row in report["images"]} == {"team/b"}


@pytest.mark.usefixtures("with_report")
def test_what_could_not_be_read_is_in_the_report(
    function: Function, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_old(ecr, clock, ecr.repository("team/app", ecr_cleanup="enabled"), "v1")
    monkeypatch.setattr(Registry, "pages", raises(aws_error("AccessDeniedException")))
    assert function(START) == []
    report = json.loads(stored("cleanup/report.json"))
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (failure,) = report["failures"]
    assert "team/app" in failure
    assert "AccessDeniedException" in failure


def test_a_message_that_came_twice_stays_in_the_queue_while_the_first_is_worked_at(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it taken away, nobody would go on if the function that is at it died."""
    again: list[Any] = []
    real = SweepLedger.claim

    def claim(ledger: SweepLedger, *arguments: Any, **more: Any) -> Any:
        place = real(ledger, *arguments, **more)
        if not again:
            again.append(None)
            again[:] = [function(START)]
        return place

    monkeypatch.setattr(SweepLedger, "claim", claim)
    assert function(START) == []
    assert again == [["message-0"]]


@pytest.mark.usefixtures("with_report")
def test_a_report_that_cannot_be_published_is_said_and_holds_up_nothing(
    function: Function, ecr: Pushed, clock: FakeClock
) -> None:
    boto3.client("s3").delete_object(Bucket="reports", Key="cleanup/page.html")
    push_old(ecr, clock, ecr.repository("team/app", ecr_cleanup="enabled"), "v1")
    assert function(START) == []
    messages = [line.get("message") for line in function.logs()]
    assert "report not published" in messages
    assert "sweep finished" in messages
    assert len(scheduled()) == 1


def test_goes_on_by_a_schedule_where_its_time_is_up(function: Function, ecr: Pushed, clock: FakeClock) -> None:
    for name in ("team/a", "team/b", "team/c"):
        push_old(ecr, clock, ecr.repository(name, ecr_cleanup="enabled"), "v1")
    short = Context(remaining=timedelta(seconds=30))
    message = START
    seen: set[str] = set()
    for runs in (1, 2, 3):
        assert function(message, context=short) == []
        continued = {name: text for name, text in scheduled().items() if name.startswith("sweep-continued-")}
        new = continued.keys() - seen
        assert len(new) == (1 if runs < 3 else 0)
        if new:
            (name,) = new
            seen.add(name)
            message = continued[name]
            assert len(name) <= 64
    lines = function.logs()
    assert [line["runs"] for line in lines if line.get("message") == "sweep goes on later"] == [1, 2]
    (line,) = (line for line in lines if line.get("message") == "sweep finished")
    assert (line["repositories"], line["images"], line["runs"]) == (3, 3, 3)
    # A message that comes twice finds nothing to do.
    clock.advance(seconds=1)
    assert function(message) == []
    assert "sweep already finished" in [line.get("message") for line in function.logs()]


def test_says_why_the_inventory_cannot_be_trusted(
    function: Function, ecr: Pushed, clock: FakeClock, aggregator: FakeAggregator
) -> None:
    del aggregator.sources[DEV]
    push_old(ecr, clock, ecr.repository("team/app", ecr_cleanup="enabled"), "v1")
    assert function(START) == []
    assert scheduled() == {}
    (line,) = (line for line in function.logs() if line.get("message") == "inventory not trusted")
    assert (line["account"], line["reason"]) == (DEV.account, "is not a source of the aggregator")


@pytest.mark.parametrize("page", [b"<html>no place for a report</html>", b"\xff\xfe"])
def test_a_page_that_makes_no_sense_does_not_keep_the_next_sweep_from_beginning(
    function: Function, with_report: None, ecr: Pushed, clock: FakeClock, page: bytes
) -> None:
    boto3.client("s3").put_object(Bucket="reports", Key="cleanup/page.html", Body=page)
    repository = ecr.repository(ecr_cleanup="enabled")
    for number in range(3):
        push_old(ecr, clock, repository, f"v{number}", content=str(number))
        assert start(function, clock) == []
        assert len(scheduled()) == number + 1
        clock.advance(hours=24)
    assert any(line.get("message") == "report not published" for line in function.logs())


def test_a_report_of_which_a_part_is_lost_is_not_published(
    function: Function, with_report: None, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReportBucket, "put_part", raises(aws_error("AccessDenied")))
    push_old(ecr, clock, ecr.repository(ecr_cleanup="enabled"), "old")
    assert function(START) == []
    assert len(scheduled()) == 1
    keys = {each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket="reports")["Contents"]}
    assert keys == {"cleanup/page.html"}
    (line,) = (line for line in function.logs() if line.get("message") == "report not published")
    assert line["reason"].startswith("a part of it is lost: ")


def test_a_region_that_cannot_be_listed_does_not_hold_up_the_others(
    function: Function, ecr: Pushed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_REGIONS", f"{REGION},eu-west-1")
    sound = clients.tagging_client

    def client(region: str) -> Any:
        if region == "eu-west-1":
            return SimpleNamespace(get_paginator=raises(aws_error("AccessDenied")))
        return sound(region)

    monkeypatch.setattr(clients, "tagging_client", client)
    push_old(ecr, clock, ecr.repository(ecr_cleanup="enabled"), "old")
    assert function(START) == []
    assert len(scheduled()) == 1
    monkeypatch.setattr(clients, "tagging_client", lambda _: client("eu-west-1"))
    clock.advance(hours=24)
    assert start(function, clock) == ["message-0"], "where no region can be read, the message comes back"


# Who is heard of


def days_of_silence(function: Function) -> list[float]:
    return [line["DaysSinceLastEvent"][0] for line in function.logs() if "DaysSinceLastEvent" in line]


def test_says_how_long_the_account_is_silent_that_is_silent_for_longest(
    function: Function, clock: FakeClock, aggregator: FakeAggregator, ledger: Ledger
) -> None:
    for place in (PROD, DEV):
        aggregator.show(f"arn:aws:ecs:{REGION}:{place.account}:task-definition/app:1", f"{HOST}/team/app:v1")
    ledger.hear_of(PROD, at=clock.now - timedelta(days=5, hours=1))
    ledger.hear_of(DEV, at=clock.now - timedelta(days=2))
    assert function(START) == []
    logs = function.logs()
    found = [line for line in logs if line.get("message") == "account heard of"]
    assert [(line["account"], line["days"]) for line in found] == [(PROD.account, 5), (DEV.account, 2)]
    assert [line["DaysSinceLastEvent"] for line in logs if "DaysSinceLastEvent" in line] == [[5]]


def test_an_account_of_which_nothing_was_ever_heard_is_missed_from_the_first_sweep_on(
    function: Function, clock: FakeClock, aggregator: FakeAggregator
) -> None:
    aggregator.show(f"arn:aws:ecs:{REGION}:{PROD.account}:task-definition/app:1", f"{HOST}/team/app:v1")
    for _ in range(3):
        assert start(function, clock) == []
        clock.advance(days=1)
    assert days_of_silence(function) == [0, 1, 2]


def test_of_accounts_without_task_definitions_and_quiet_ones_no_event_is_missed(
    function: Function, clock: FakeClock, aggregator: FakeAggregator, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIET_ACCOUNTS", DEV.account)
    aggregator.show(f"arn:aws:ecs:{REGION}:{DEV.account}:task-definition/app:1", f"{HOST}/team/app:v1")
    for place in (PROD, DEV):
        ledger.hear_of(place, at=clock.now - timedelta(days=100))
    assert function(START) == []
    assert days_of_silence(function) == [0]


def test_a_sweep_says_that_the_inventory_can_be_trusted_even_if_no_image_needs_it(function: Function) -> None:
    assert function(START) == []
    assert [line["InventoryProblems"] for line in function.logs() if "InventoryProblems" in line] == [[0]]


def test_a_silence_that_cannot_be_found_out_fails_no_sweep(
    function: Function, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "silences", raises(aws_error("InternalServerError")))
    assert start(function, clock) == []
    lines = {line.get("message") for line in function.logs()}
    assert {"sweep finished", "silence not known"} <= lines
