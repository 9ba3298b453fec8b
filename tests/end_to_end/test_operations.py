"""The installation under operation: every alarm rings when it should and is silent otherwise, and people are told."""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from documentation.checks import code_blocks, section
from documentation.generate import TREE
from documentation.logs_insights import evaluate, fields
from ecr_cleanup.check import Check
from ecr_cleanup.handlers.digest import ASKS_FOR_ONE
from ecr_cleanup.image import ImageId, Repository
from end_to_end.installation import (
    DEVELOPMENT,
    DIGEST,
    GRACE,
    HOST,
    PREFIX,
    PRODUCTION,
    REGION,
    RUN_CHECKS,
    SCHEDULE_CHECKS,
    SHARED,
    SWEEP,
    TO_ANSWER,
    TOPIC,
    Installation,
)
from end_to_end.test_nothing_is_superfluous import another_policy, clean_up, mapping_disabled, policy_of
from local_aws.alarms import Metric
from local_aws.topics import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_aws.alarms import Alarms


DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
OPERATIONS = (TREE / "docs/operations.md").read_text()
QUEUES = {"events": SCHEDULE_CHECKS, "checks": RUN_CHECKS, "sweeps": SWEEP, "digests": DIGEST}
START = json.dumps({"version": 1, "sweep": "start"})
GARBAGE = "no message of ours"


@pytest.fixture(scope="module")
def operated(applied: Installation) -> Iterator[Installation]:
    """The installation, in which everything that other tests did is over."""
    clean_up(applied)
    applied.sweep()
    applied.aws.advance(DAY)
    applied.aws.alarms.collect()
    applied.aws.alarms.data.clear()
    yield applied
    clean_up(applied)


def send(installation: Installation, queue: str, body: str) -> None:
    url = installation.queue_url(queue)
    installation.client("sqs").send_message(QueueUrl=url, MessageBody=body)


def unused(installation: Installation, **repository: Any) -> tuple[str, str]:
    """An image, and its repository, that nobody uses from now on."""
    name = installation.repository(**repository)
    digest = installation.push(name, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{name}:v1"))
    return name, digest


def kept(installation: Installation) -> None:
    """An image that something else uses when its check comes."""
    name = installation.repository()
    installation.push(name, "v1")
    old, _ = (installation.register(PRODUCTION, f"{HOST}/{name}:v1") for _ in range(2))
    installation.deregister(old)
    installation.aws.advance(GRACE + TO_ANSWER)


def pulled(installation: Installation) -> None:
    """An image that somebody pulled, and that goes all the same in the end."""
    name, digest = unused(installation)
    installation.client("ecr").batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
    installation.aws.advance(4 * DAY)
    assert not installation.exists(name, digest)


def check_of(name: str, digest: str) -> str:
    return Check(ImageId(Repository(SHARED, REGION, name), digest), "test").to_json()


# How each alarm is provoked


def garbage(installation: Installation) -> None:
    """Five attempts, of which those at checks and sweeps are an hour and a half apart."""
    for queue in QUEUES:
        send(installation, queue, GARBAGE)
    installation.aws.watch(8 * HOUR)


def schedules_undeliverable(installation: Installation) -> None:
    role = f"{PREFIX}-scheduler"
    document = policy_of(installation, SHARED, role)
    only = f"arn:aws:sqs:{REGION}:{SHARED}:{PREFIX}-schedules-dead-letter"
    statements = [statement | {"Resource": only} for statement in document["Statement"]]
    with another_policy(installation, SHARED, role, document | {"Statement": statements}):
        unused(installation)
        installation.aws.advance(GRACE)
        installation.aws.watch(DAY + HOUR, every=15 * MINUTE)


def functions_switched_off(installation: Installation) -> None:
    bodies = {"events": GARBAGE, "checks": GARBAGE, "sweeps": START, "digests": json.dumps(ASKS_FOR_ONE)}
    off = [mapping_disabled(function)(installation) for function in QUEUES.values()]
    for each in off:
        each.__enter__()
    for queue, body in bodies.items():
        send(installation, queue, body)
    installation.aws.watch(4 * HOUR + 10 * MINUTE)
    for each in off:
        each.__exit__(None, None, None)


def functions_broken(installation: Installation) -> None:
    client = installation.client("lambda")
    for queue, function in QUEUES.items():
        before = client.get_function_configuration(FunctionName=function)["Handler"]
        client.update_function_configuration(FunctionName=function, Handler="nothing.handler")
        send(installation, queue, GARBAGE)
        installation.aws.watch(5 * MINUTE)
        client.update_function_configuration(FunctionName=function, Handler=before)


def functions_throttled(installation: Installation) -> None:
    client = installation.client("lambda")
    for function in QUEUES.values():
        client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    for _ in range(5):
        for queue in QUEUES:
            send(installation, queue, GARBAGE)
        installation.aws.watch(4 * MINUTE, every=4 * MINUTE)
    for function in QUEUES.values():
        client.delete_function_concurrency(FunctionName=function)


def ledger_fails(installation: Installation) -> None:
    installation.aws.faults.server_error("dynamodb", function=SCHEDULE_CHECKS)
    installation.register(PRODUCTION, f"{HOST}/{installation.repository()}:v1")
    installation.aws.watch(30 * MINUTE)


def registry_fails(installation: Installation) -> None:
    unused(installation)
    installation.aws.advance(GRACE - HOUR)
    installation.aws.faults.server_error("ecr", "DescribeImages", function=RUN_CHECKS)
    installation.aws.watch(6 * HOUR)


def account_unknown(installation: Installation) -> None:
    name, digest = unused(installation)
    installation.aws.faults.fail_source(DEVELOPMENT, REGION)
    # A batch that found everything trusted is not so old.
    for _ in range(7):
        send(installation, "checks", check_of(name, digest))
        installation.aws.watch(HOUR)


def many_deleted(installation: Installation) -> None:
    for _ in range(3):
        unused(installation)
    installation.aws.watch(GRACE + HOUR, every=30 * MINUTE)


def many_archived(installation: Installation) -> None:
    for _ in range(3):
        unused(installation, steered={"action": "archive"})
    installation.aws.watch(GRACE + HOUR, every=30 * MINUTE)


def capped(installation: Installation) -> None:
    with installation.configured(REMOVALS_PER_DAY="1"):
        for _ in range(2):
            unused(installation)
        installation.aws.watch(GRACE + HOUR, every=30 * MINUTE)


def archived_image_deployed(installation: Installation) -> None:
    name, digest = unused(installation, steered={"action": "archive"})
    installation.aws.advance(GRACE + TO_ANSWER)
    assert installation.status(name, digest) == "ARCHIVED"
    installation.register(PRODUCTION, f"{HOST}/{name}@{digest}")
    installation.aws.watch(5 * MINUTE)


def repository_unreadable(installation: Installation) -> None:
    installation.repository()
    installation.aws.faults.server_error("ecr", "DescribeImages", function=SWEEP)
    send(installation, "sweeps", START)
    installation.aws.watch(30 * MINUTE)


def account_silent(installation: Installation) -> None:
    """Its rule is off, while others deploy."""
    rule = f"{PREFIX}-task-definitions"
    events = installation.client("events", PRODUCTION)
    events.disable_rule(Name=rule, EventBusName="default")
    for _ in range(4):
        installation.register(DEVELOPMENT, f"{HOST}/{installation.repository()}:v1")
        installation.aws.advance(DAY)
        installation.sweep()
    installation.aws.watch(5 * MINUTE)
    events.enable_rule(Name=rule, EventBusName="default")


def sweeps_stop(installation: Installation) -> None:
    installation.aws.watch(5 * DAY, every=DAY)


PROVOCATIONS: dict[Callable[[Installation], None], tuple[str, ...]] = {
    garbage: ("records-refused", *(f"{queue}-dead-letter" for queue in QUEUES)),
    schedules_undeliverable: ("schedules-dead-letter",),
    functions_switched_off: tuple(f"{queue}-waiting" for queue in QUEUES),
    functions_broken: tuple(f"{function.removeprefix(PREFIX)[1:]}-errors" for function in QUEUES.values()),
    functions_throttled: tuple(f"{function.removeprefix(PREFIX)[1:]}-throttles" for function in QUEUES.values()),
    ledger_fails: ("records-failed",),
    registry_fails: ("checks-postponed",),
    account_unknown: ("inventory-not-trusted",),
    many_deleted: ("images-deleted",),
    many_archived: ("images-archived",),
    capped: ("removals-capped",),
    archived_image_deployed: ("archived-images-used",),
    repository_unreadable: ("repositories-not-swept",),
    account_silent: ("no-events",),
    sweeps_stop: ("sweep-not-finished",),
}


@contextmanager
def ringing(installation: Installation) -> Iterator[list[str]]:
    """The alarms that rang in a block; each of them told the topic."""
    alarms, told = installation.aws.alarms, len(messages(TOPIC))
    alarms.rung.clear()
    found: list[str] = []
    yield found
    assert [each.refused for each in alarms.rung] == [()] * len(alarms.rung)
    subjects = [message.subject or "" for message in messages(TOPIC)[told:]]
    for each in alarms.rung:
        assert f'ALARM: "{each.alarm}" in {REGION}' in subjects
    found += [each.alarm.removeprefix(f"{PREFIX}-") for each in alarms.rung]


def test_every_alarm_is_provoked(operated: Installation) -> None:
    provoked = [f"{PREFIX}-{alarm}" for alarms in PROVOCATIONS.values() for alarm in alarms]
    assert sorted(provoked) == sorted(operated.aws.alarms.states(SHARED, REGION))


def test_no_alarm_rings_while_all_is_well(operated: Installation) -> None:
    """Three days of deployments, removals, sweeps and digests."""
    settle(operated)
    with ringing(operated) as rung:
        for _ in range(3):
            name, digest = unused(operated)
            operated.deployed(DEVELOPMENT, f"{HOST}/{operated.repository()}:v1")
            operated.sweep()
            operated.aws.watch(GRACE + TO_ANSWER, every=30 * MINUTE)
            assert not operated.exists(name, digest)
    assert rung == []
    states = operated.aws.alarms.states(SHARED, REGION)
    assert [name for name, state in states.items() if state == "ALARM"] == []


@pytest.mark.parametrize("provoke", PROVOCATIONS, ids=lambda provoke: provoke.__name__.replace("_", " "))
def test_rings(operated: Installation, provoke: Callable[[Installation], None]) -> None:
    settle(operated)
    with ringing(operated) as rung:
        provoke(operated)
    assert set(PROVOCATIONS[provoke]) <= set(rung)
    clean_up(operated)
    settle(operated)


def settle(installation: Installation) -> None:
    """Deploy, sweep and wait, after which no alarm rings, whatever was before."""
    for account in (PRODUCTION, DEVELOPMENT):
        installation.register(account, f"{HOST}/{installation.repository()}:v1")
    installation.aws.advance(HOUR)
    installation.sweep()
    installation.aws.watch(7 * HOUR, every=HOUR)
    states = installation.aws.alarms.states(SHARED, REGION)
    assert [name for name, state in states.items() if state == "ALARM"] == []


# What people look at


def test_every_alarm_is_explained(operated: Installation) -> None:
    explained = section(OPERATIONS, "Alarms")
    rows = [line.split("|")[1] for line in explained.splitlines() if line.startswith("| `")]
    named = [name.strip("` ") for row in rows for name in row.split(",")]
    assert sorted(f"{PREFIX}-{name}" for name in named) == sorted(operated.aws.alarms.states(SHARED, REGION))


def dashboard(installation: Installation) -> list[dict[str, Any]]:
    """The widgets of the dashboard."""
    client = installation.client("cloudwatch")
    body = json.loads(client.get_dashboard(DashboardName=PREFIX)["DashboardBody"])
    widgets: list[dict[str, Any]] = body["widgets"]
    return widgets


def without_data(widgets: list[dict[str, Any]], alarms: Alarms) -> list[list[str]]:
    """The metrics of widgets of which nothing is known."""
    metrics = [metric for widget in widgets for metric in widget["properties"].get("metrics", ())]
    known = {(each.namespace, each.name, each.dimensions) for each, values in alarms.data.items() if values}
    return [
        metric
        for metric in metrics
        if Metric.of(metric[0], metric[1], dict(zip(metric[2::2], metric[3::2], strict=True))) not in known
    ]


def test_every_metric_of_the_dashboard_has_data(operated: Installation) -> None:
    """After all of the above, with an image that is kept, one that is gone and one that is only reported."""
    kept(operated)
    send(operated, "checks", check_of(*unused(operated)[:1], "sha256:" + 64 * "0"))
    with operated.configured(ACTION="report"):
        unused(operated)
        operated.aws.watch(GRACE + TO_ANSWER, every=6 * HOUR)
    widgets = dashboard(operated)
    assert len([widget for widget in widgets if widget["type"] == "metric"]) > 10
    assert without_data(widgets, operated.aws.alarms) == []
    broken = [{"properties": {"metrics": [["EcrCleanup", "ImagesRemoved", "service", "another"]]}}]
    assert without_data(broken, operated.aws.alarms) == [["EcrCleanup", "ImagesRemoved", "service", "another"]]


def test_every_log_of_the_dashboard_has_lines(operated: Installation) -> None:
    logs = [widget["properties"]["query"] for widget in dashboard(operated) if widget["type"] == "log"]
    assert len(logs) == 2
    for text in logs:
        (source, query) = text.split(" | ", 1)
        group = source.removeprefix("SOURCE '").removesuffix("'")
        assert evaluate(query, lines(operated, [group]))


def test_the_dashboard_shows_all_alarms_and_no_widget_covers_another(operated: Installation) -> None:
    widgets = dashboard(operated)
    (shown,) = (widget for widget in widgets if widget["type"] == "alarm")
    arns = [f"arn:aws:cloudwatch:{REGION}:{SHARED}:alarm:{it}" for it in operated.aws.alarms.states(SHARED, REGION)]
    assert sorted(shown["properties"]["alarms"]) == sorted(arns)
    places = [
        {(x, y) for x in range(it["x"], it["x"] + it["width"]) for y in range(it["y"], it["y"] + it["height"])}
        for it in widgets
    ]
    assert sum(map(len, places)) == len(set().union(*places))
    # A dashboard is 24 wide: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    assert max(x for x, _ in set().union(*places)) < 24


def lines(installation: Installation, groups: list[str]) -> list[dict[str, Any]]:
    """All lines of these log groups."""
    functions = {group.rpartition("/")[2] for group in groups}
    return [line for run in installation.aws.invocations() if run.function in functions for line in run.log]


def queries(installation: Installation) -> dict[str, dict[str, Any]]:
    """The saved queries by name."""
    found = installation.client("logs").describe_query_definitions(queryDefinitionNamePrefix=f"{PREFIX}/")
    return {each["name"].removeprefix(f"{PREFIX}/"): each for each in found["queryDefinitions"]}


def test_every_saved_query_is_explained(operated: Installation) -> None:
    rows = section(OPERATIONS, "Saved queries").splitlines()
    named = [row.split("|")[1].strip("` ") for row in rows if row.startswith("| `")]
    assert sorted(named) == sorted(queries(operated))


# What not every line of a kind has: nobody used the image, it was not archived, an account was heard of and so on.
SOMETIMES = {
    "tags.0",
    "used_by.0",
    "pulled_at",
    "last_used_at",
    "restore",
    "account",
    "account_region",
    "next_check_at",
}
SOMETIMES |= {"last_event_at", "expected_since", "exception_name", "error", "reason", "message_id", "delivery"}
# Nothing was ever heard of an account, which is not so here.
NOT_HERE = {"expected_since"}
MADE: dict[str, Callable[[Installation], None]] = {"kept": kept, "removals": pulled}


@pytest.mark.parametrize(
    "name", ["removals", "kept", "postponed", "untrusted-inventory", "silent-accounts", "failures"]
)
def test_a_saved_query_finds_what_it_says_in_the_logs(operated: Installation, name: str) -> None:
    if name in MADE:
        MADE[name](operated)
    query = queries(operated)[name]
    rows = evaluate(query["queryString"], lines(operated, query["logGroupNames"]))
    wanted = set(fields(query["queryString"].partition("\n|")[0].removeprefix("fields ")))
    assert rows
    assert {field for row in rows for field in row} == wanted - NOT_HERE
    for row in rows:
        assert wanted - SOMETIMES <= row.keys()


def test_the_saved_query_of_one_image_finds_its_whole_life_and_no_other_image(operated: Installation) -> None:
    name, digest = unused(operated)
    other, _ = unused(operated)
    operated.aws.advance(GRACE + TO_ANSWER)
    query = queries(operated)["one-image"]
    text = query["queryString"].replace("sha256:put the image's digest here", digest)
    assert text != query["queryString"]
    rows = evaluate(text, lines(operated, query["logGroupNames"]))
    assert [row["message"] for row in rows] == [
        "image pushed",
        "task definition registered",
        "task definition deregistered",
        "verdict remove",
    ]
    assert {row["repository"] for row in rows if "repository" in row} == {name} != {other}


# Who is told of removals


def digests(installation: Installation) -> list[str]:
    return [message.text for message in messages(TOPIC) if message.subject and "ALARM" not in message.subject]


def test_each_removal_is_in_one_digest_and_a_day_without_any_has_none(operated: Installation) -> None:
    (name, deleted), (careful, archived) = unused(operated), unused(operated, steered={"action": "archive"})
    operated.aws.advance(GRACE + TO_ANSWER)
    assert not operated.exists(name, deleted)
    assert operated.status(careful, archived) == "ARCHIVED"
    # Whatever else went before is told of, too.
    operated.aws.advance(2 * DAY)
    told = digests(operated)
    for repository, digest, done in ((name, deleted, "deleted"), (careful, archived, "archived")):
        (text,) = (text for text in told if digest in text)
        (line,) = (line for line in text.splitlines() if digest in line)
        assert line.startswith(f"{done} {REGION}/{repository} (v1) {digest}, ")
        assert "nobody uses it" in line
    operated.aws.advance(5 * DAY)
    told = digests(operated)
    # Not of the same one, where the hour ended between their checks.
    assert [sum(digest in text for text in told) for digest in (deleted, archived)] == [1, 1]
    said = [line for run in operated.aws.invocations(DIGEST) for line in run.log if "images" in line]
    assert {line["message"]: bool(line["images"]) for line in said} == {"digest sent": True, "nothing to tell": False}
    assert len([line for line in said if line["images"]]) == len(told)


# What people do


def executed(installation: Installation, command: str) -> None:
    """Run a command of the AWS CLI, as far as it is one of an API with simple parameters."""
    program, service, operation, *options = shlex.split(command)
    assert program == "aws"
    arguments = {
        "".join(part.title() for part in option.removeprefix("--").split("-")): value
        for option, value in zip(options[::2], options[1::2], strict=True)
    }
    getattr(installation.client(service), operation.replace("-", "_"))(**arguments)


def test_one_command_stops_all_removals_and_one_takes_it_back(operated: Installation) -> None:
    stop, go_on = code_blocks(section(OPERATIONS, "Stopping all removals"), "sh")
    (name, deleted), (careful, archived) = unused(operated), unused(operated, steered={"action": "archive"})
    executed(operated, stop)
    try:
        operated.aws.advance(3 * GRACE)
        assert operated.status(name, deleted) == operated.status(careful, archived) == "ACTIVE"
        for digest in (deleted, archived):
            reasons = [line["reason"] for line in operated.verdicts(digest) if line["rule"] == "failed"]
            assert reasons
            assert all("AccessDenied" in reason and "explicit deny" in reason for reason in reasons)
    finally:
        executed(operated, go_on)
    operated.aws.advance(2 * GRACE)
    assert not operated.exists(name, deleted)
    assert operated.status(careful, archived) == "ARCHIVED"


def test_nothing_but_alarms_of_this_installation_and_its_digest_tells_the_topic(operated: Installation) -> None:
    identity = operated.aws._world.identity
    ours = f"arn:aws:cloudwatch:{REGION}:{SHARED}:alarm:{PREFIX}-no-events"
    others = [
        ours.replace(SHARED, PRODUCTION),
        ours.replace(f":{PREFIX}-", ":another-"),
        f"arn:aws:s3:::{PREFIX}-no-events",
    ]
    cloudwatch = "cloudwatch.amazonaws.com"
    assert identity.decide_for_service(cloudwatch, "sns:Publish", TOPIC, ours).allowed
    for other in others:
        assert not identity.decide_for_service(cloudwatch, "sns:Publish", TOPIC, other).allowed
    assert not identity.decide_for_service("events.amazonaws.com", "sns:Publish", TOPIC, ours).allowed
    key = operated.client("kms").describe_key(KeyId=f"alias/{PREFIX}-notifications")["KeyMetadata"]["Arn"]
    assert identity.decide_for_service(cloudwatch, "kms:GenerateDataKey", key, ours).allowed
    for other in others:
        assert not identity.decide_for_service(cloudwatch, "kms:GenerateDataKey", key, other).allowed
