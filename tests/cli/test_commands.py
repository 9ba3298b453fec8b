from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import jsonschema
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from ecr_cleanup.check import Check
from ecr_cleanup.cli.main import one_line
from ecr_cleanup.inventory import SourceStatus
from ecr_cleanup.manifest import Manifest, ManifestKind
from fakes import DEV, HOST, REGION

if TYPE_CHECKING:
    from cli.conftest import CommandLine

SCHEMA = Path(__file__).resolve().parents[2] / "docs/report.schema.json"
GOLDEN = Path(__file__).with_name("golden")
# What only reads; BatchGetImage is not among them, as it counts as a pull.
READS = re.compile(r"[a-z.-]+:(BatchGetItem|Query|Describe\w+|Get\w+|List\w+)")


def golden(name: str, text: str) -> str:
    """What a command printed before; with RENEW_GOLDEN=1, what it prints now becomes that."""
    file = GOLDEN / name
    if os.environ.get("RENEW_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    return file.read_text(encoding="utf-8")


# Nothing is changed


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("plan", "team/app", "--output", "json"),
        ("plan", "--assume-opted-in"),
        ("explain", "team/app:unused"),
        ("pending",),
    ],
    ids=" ".join,
)
def test_reads_and_nothing_else(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    now = command_line.clock.now
    # What a check would write down: a registration that the aggregator shows by now.
    command_line.ledger.record_registration(
        command_line.task_definition,
        DEV,
        at=now - timedelta(hours=3),
        references=[f"{HOST}/team/app:used"],
        image_ids=[],
        now=now - timedelta(hours=3),
    )
    dynamodb = boto3.client("dynamodb")
    before = dynamodb.scan(TableName="ecr-cleanup-ledger")["Items"]
    command_line.calls.clear()
    assert command_line.run(*arguments).code == 0
    assert command_line.calls
    assert [call for call in command_line.calls if not READS.fullmatch(call)] == []
    assert dynamodb.scan(TableName="ecr-cleanup-ledger")["Items"] == before


# plan


def test_plan_says_what_would_go_and_why_the_rest_stays(command_line: CommandLine) -> None:
    ran = command_line.run("plan")
    assert ran.code == 0
    assert ran.out == golden("plan.txt", ran.out)
    assert ran.err == ""


def test_plan_as_json_is_a_report(command_line: CommandLine) -> None:
    report = command_line.run("plan", "--output", "json").json
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert (report["version"], report["installation"], report["trusted"]) == (1, "ecr-cleanup", True)
    verdicts = {image["digest"]: (image["verdict"], image["rule"]) for image in report["images"]}
    assert verdicts == {
        command_line.unused.digest: ("remove", "unused"),
        command_line.used.digest: ("keep", "in_use"),
        command_line.newest.digest: ("keep", "newest"),
    }
    (user,) = (image["users"] for image in report["images"] if image["users"])
    assert user == [command_line.task_definition]


def test_plan_as_csv_has_a_line_for_each_image(command_line: CommandLine) -> None:
    rows = list(csv.DictReader(io.StringIO(command_line.run("plan", "--output", "csv").out)))
    assert {row["digest"]: row["verdict"] for row in rows}[command_line.unused.digest] == "remove"
    assert len(rows) == 3


def test_plan_writes_the_page(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "plan.html"
    assert command_line.run("plan", "--html", str(file)).code == 0
    assert command_line.unused.digest in file.read_text(encoding="utf-8")
    assert command_line.run("plan", "--output", "html").out == file.read_text(encoding="utf-8") + "\n"


def test_plan_of_a_repository_that_did_not_opt_in(command_line: CommandLine) -> None:
    report = command_line.run("plan", "team/other", "--output", "json").json
    assert [image["rule"] for image in report["images"]] == ["not_opted_in"]
    report = command_line.run("plan", "team/other", "--assume-opted-in", "--output", "json").json
    assert [image["rule"] for image in report["images"]] == ["newest"]
    assert report["assumed_opted_in"]
    report = command_line.run("plan", "--assume-opted-in", "--output", "json").json
    assert {each["repository"] for each in report["repositories"]} == {"team/app", "team/other"}


def test_plan_says_where_the_inventory_cannot_be_trusted(command_line: CommandLine) -> None:
    command_line.aggregator.sources[DEV] = SourceStatus.FAILED
    ran = command_line.run("plan")
    assert ran.code == 4
    assert "Not trusted: 333333333333/eu-central-1: the aggregator's last update was FAILED" in ran.out
    assert "0 of 3 images would go" in ran.out


def test_parts_of_an_index_stay_with_it_where_the_ledger_knows_it(command_line: CommandLine) -> None:
    configuration: dict[str, Any] = {"READER_ROLE_NAME": "ecr-cleanup-reader", "READER_EXTERNAL_ID": "any"}
    client = boto3.client("lambda")
    before = client.get_function_configuration(FunctionName="ecr-cleanup-run-checks")["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName="ecr-cleanup-run-checks", Environment={"Variables": before | configuration}
    )
    child = command_line.push(content="child", days_ago=60)
    index = command_line.ecr.push_index(command_line.repository, "multi", children=[child])
    report = command_line.run("plan", "--output", "json").json
    (found,) = (image for image in report["images"] if image["digest"] == child.digest)
    assert (found["verdict"], found["certain"]) == ("remove", False)
    assert "unless an index contains it" in found["reason"]
    assert not report["asked_what_runs"]
    manifest = Manifest(ManifestKind.INDEX, (child.digest,))
    command_line.ledger.record_manifest(index, manifest, read_at=command_line.clock.now)
    report = command_line.run("plan", "--output", "json").json
    (found,) = (image for image in report["images"] if image["digest"] == child.digest)
    assert (found["verdict"], found["rule"]) == ("keep", "held_by_an_index")


# explain, pending, check


def test_explain_tells_everything(command_line: CommandLine) -> None:
    command_line.schedules.put(
        Check(command_line.used, "the sweep found it"),
        command_line.clock.now + timedelta(hours=24),
        now=command_line.clock.now,
    )
    for image in ("team/app:used", f"{HOST}/team/app:used", f"team/app@{command_line.used.digest}"):
        ran = command_line.run("explain", image)
        assert ran.code == 0
        assert ran.out == golden("explain.txt", ran.out)
    document = command_line.run("explain", "team/app:used", "--output", "json").json
    assert document["next_check_at"] == "2030-02-01T12:00:00Z"
    assert [user["arn"] for user in document["users"]] == [command_line.task_definition]
    says = {rule["rule"]: rule["says"] for rule in document["rules"]}
    assert says["not_opted_in"] is None
    assert says["in_use"].startswith("used by")
    assert says["newest"] == ""


def test_explain_an_image_that_is_gone(command_line: CommandLine) -> None:
    digest = f"sha256:{'0' * 64}"
    ran = command_line.run("explain", f"team/app@{digest}")
    assert ran.code == 0
    assert "is not in the registry (any more)" in ran.out


def test_pending_lists_checks_and_nothing_else(command_line: CommandLine) -> None:
    now = command_line.clock.now
    assert command_line.run("pending").out == "No check is pending.\n"
    command_line.schedules.put(Check(command_line.unused, "app:6 was deregistered"), now + timedelta(hours=24), now=now)
    command_line.schedules.continue_sweep("2030", 1, "arn:aws:sqs:eu-central-1:111111111111:any", now=now)
    ran = command_line.run("pending")
    assert ran.out == golden("pending.txt", ran.out)
    assert command_line.run("pending", "--output", "json").json == [
        {"due_at": "2030-02-01T12:00:00Z", "image": str(command_line.unused), "cause": "app:6 was deregistered"}
    ]


def test_check_schedules_one(command_line: CommandLine) -> None:
    ran = command_line.run("check", "team/app:unused", "--yes")
    assert ran.code == 0
    due = command_line.schedules.due(Check(command_line.unused, ""))
    assert due
    assert f"is checked at {due:%Y-%m-%dT%H:%M:%SZ}" in ran.out


def test_check_now_sends_a_message(command_line: CommandLine) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="ecr-cleanup-checks")["QueueUrl"]
    assert command_line.run("check", "team/app:unused", "--now", "--yes").code == 0
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert Check.from_json(message["Body"]).image_id == command_line.unused
    assert command_line.schedules.due(Check(command_line.unused, "")) is None


# Errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "team/app:no-such-tag"), "there is no image team/app:no-such-tag; give repository:tag or"),
        (("explain", "team/app@sha256:12"), "'sha256:12' is not a digest; it is sha256: and 64 hexadecimal digits"),
        (("explain", f"{HOST}/Team/App:v1"), "'Team/App' is not a repository name"),
        (("explain", "999999999999.dkr.ecr.eu-central-1.amazonaws.com/a/b:v1"), "is not in the registry 111111111111"),
        (("check", f"team/app@sha256:{'0' * 64}"), "any more"),
        (("plan", "team/none"), "there is no repository team/none in eu-central-1"),
        (
            ("plan", "--name-prefix", "other"),
            "there is no function other-run-checks in eu-central-1: give the name prefix",
        ),
        (("plan", "--html", "/no/such/folder/plan.html"), "/no/such/folder/plan.html cannot be written: No such file"),
        (("plan", "--profile", "nobody"), "could not be found: give another with --profile"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(command_line: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    ran = command_line.run(*arguments)
    assert ran.code == 3
    assert said in ran.err
    assert ran.err.startswith("ecr-cleanup: ")
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def refused(code: str, message: str = "why") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "SelectAggregateResourceConfig")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "no AWS credentials: set AWS_PROFILE, or give --profile"),
        (NoRegionError(), "no AWS region: set AWS_REGION, or give --region"),
        (ProfileNotFound(profile="x"), "The config profile (x) could not be found: give another with --profile"),
        (refused("ExpiredTokenException"), "the AWS credentials have expired: sign in again"),
        (refused("UnrecognizedClientException"), "the AWS credentials are not valid: sign in again, or give another"),
        (refused("AccessDeniedException", "not you"), "not allowed to call SelectAggregateResourceConfig: not you"),
        (refused("ThrottlingException"), "AWS throttled SelectAggregateResourceConfig until the last attempt"),
        (refused("InternalError"), "SelectAggregateResourceConfig failed: InternalError: why"),
    ],
)
def test_errors_of_aws_are_said_with_what_to_do(error: Exception, said: str) -> None:
    assert one_line(error).startswith(said)


def test_wrong_usage_ends_with_two(command_line: CommandLine) -> None:
    for arguments in (("plan", "--output", "xml"), ("plan", "--limit", "-1"), ("explain",), ("nothing",)):
        assert command_line.run(*arguments).code == 2


def test_the_region_is_that_of_the_environment(command_line: CommandLine) -> None:
    assert REGION in command_line.run("plan", "--name-prefix", "x").err
    assert json.loads(command_line.run("plan", "--region", REGION, "--output", "json").out)["version"] == 1
