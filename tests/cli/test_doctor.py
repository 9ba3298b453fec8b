"""Is the installation sound?"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli.conftest import CLI_ENVIRONMENT, configure, sweep_ended
from ecr_cleanup.inventory import Recorder, SourceStatus
from fakes import DEV, PROD
from integration.bench import register

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.conftest import CommandLine
    from integration.bench import Bench


@pytest.fixture(autouse=True)
def _sound(bench: Bench, cli: CommandLine) -> None:
    """As long as nothing else is done, all is well."""
    sweep_ended(bench)
    cli.answers["cloudwatch:GetMetricData"] = metrics()
    boto3.client("ecr").register_pull_time_update_exclusion(principalArn=CLI_ENVIRONMENT["FUNCTION_ROLE_ARN"])


def metrics(errors: float = 0, events: float = 7) -> Any:
    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        value = errors if b"AWS/Lambda" in request["body"] else events
        return 200, {"MetricDataResults": [{"Id": "m0", "Values": [value]}]}

    return answer


def findings(cli: CommandLine, status: str) -> list[str]:
    """The findings of this status, with their repairs."""
    result = cli("doctor", "--output", "json")
    document = json.loads(result.stdout)
    failed = any(finding["status"] == "failure" for finding in document["findings"])
    assert result.exit_code == int(failed)
    assert document["sound"] is not failed
    return [
        f"{finding['subject']}: {finding['text']}; {finding['repair']}"
        for finding in document["findings"]
        if finding["status"] == status
    ]


def failure(cli: CommandLine) -> str:
    """The only failure."""
    (found,) = findings(cli, "failure")
    return found


def warning(cli: CommandLine) -> str:
    """The only warning, and no failure."""
    assert findings(cli, "failure") == []
    (found,) = findings(cli, "warning")
    return found


def test_all_is_well(cli: CommandLine) -> None:
    assert findings(cli, "failure") == findings(cli, "warning") == []
    assert cli.prints("doctor").endswith("All is well.\n")


def test_a_function_that_is_missing(cli: CommandLine) -> None:
    boto3.client("lambda").delete_function(FunctionName="ecr-cleanup-schedule-checks")
    assert "there is no function ecr-cleanup-schedule-checks; apply the module" in failure(cli)


def test_without_a_sweep_only_events_lead_to_checks(cli: CommandLine) -> None:
    boto3.client("lambda").delete_function(FunctionName="ecr-cleanup-sweep")
    assert "never deployed are not looked for" in warning(cli)


def test_a_function_whose_update_failed(cli: CommandLine) -> None:
    broken = {"Environment": {"Variables": CLI_ENVIRONMENT}, "State": "Active", "LastUpdateStatus": "Failed"}
    cli.answer("lambda:GetFunctionConfiguration", broken | {"LastUpdateStatusReason": "the key is disabled"})
    found = findings(cli, "failure")
    assert len(found) == 3
    assert "ecr-cleanup-run-checks is Active, its last update Failed: the key is disabled" in found[1]


@pytest.mark.parametrize(("mappings", "text"), [([], "is missing"), ([{"State": "Disabled"}], "is Disabled")])
def test_a_function_that_takes_no_messages(cli: CommandLine, mappings: list[dict[str, str]], text: str) -> None:
    cli.answer("lambda:ListEventSourceMappings", {"EventSourceMappings": mappings})
    assert f"the mapping from its queue to ecr-cleanup-run-checks {text}" in findings(cli, "failure")[1]


def test_a_function_that_fails(cli: CommandLine) -> None:
    cli.answers["cloudwatch:GetMetricData"] = metrics(errors=3)
    assert "ecr-cleanup-schedule-checks failed 3 times in the last day; read its log" in failure(cli)


def test_each_problem_of_the_inventory_is_a_failure_with_its_repair(bench: Bench, cli: CommandLine) -> None:
    bench.aggregator.sources[DEV] = SourceStatus.FAILED
    bench.aggregator.own_recorders = [Recorder("arn:recorder", PROD, recording=False, all_supported=True)]
    source, recorder = findings(cli, "failure")
    assert "333333333333/eu-central-1: the aggregator's last update was FAILED; check the aggregation" in source
    assert "222222222222/eu-central-1: the Config recorder arn:recorder is stopped; start it" in recorder


def test_no_sweep_yet(bench: Bench, cli: CommandLine) -> None:
    boto3.client("dynamodb").delete_item(
        TableName="ecr-cleanup-ledger", Key={"pk": {"S": "SWEEP"}, "sk": {"S": "STATE"}}
    )
    assert "no sweep has ended yet" in warning(cli)


def test_a_sweep_long_ago(bench: Bench, cli: CommandLine) -> None:
    bench.clock.advance(days=5)
    assert "the last sweep ended at 2030-01-31T12:00:00Z, 5 days ago" in warning(cli)


def test_a_repository_that_the_sweep_could_not_read(bench: Bench, cli: CommandLine) -> None:
    sweep_ended(bench, failures=["team/app: no"])
    assert "it could not read team/app: no" in failure(cli)


def test_an_account_that_does_not_say_what_runs(bench: Bench, cli: CommandLine) -> None:
    problem = {
        "account": "222222222222",
        "region": "eu-central-1",
        "reason": "what runs there could not be read at sts:AssumeRole: AccessDenied",
        "repair": "apply the module workload_account there",
    }
    sweep_ended(bench, problems=[problem])
    found = failure(cli)
    assert "at 2030-01-31T12:00:00Z, 222222222222/eu-central-1: what runs there could not be read" in found
    assert found.endswith("apply the module workload_account there")


def test_live_usage_that_is_off(cli: CommandLine) -> None:
    configure(READER_ROLE_NAME="", READER_EXTERNAL_ID="")
    assert "set workloads.live_usage = true" in warning(cli)


def test_a_sweep_that_is_switched_off(cli: CommandLine) -> None:
    client = boto3.client("scheduler")
    sweep: dict[str, Any] = {"GroupName": "ecr-cleanup", "Name": "sweep"}
    schedule = client.get_schedule(**sweep)
    client.update_schedule(
        **sweep,
        ScheduleExpression=schedule["ScheduleExpression"],
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=schedule["Target"],
        State="DISABLED",
    )
    assert "its schedule sweep is off" in failure(cli)
    client.delete_schedule(**sweep)
    assert "there is no schedule of the sweep in the group ecr-cleanup" in warning(cli)


def test_a_rule_that_is_off(cli: CommandLine) -> None:
    boto3.client("events").disable_rule(Name="ecr-cleanup-task-definitions", EventBusName="ecr-cleanup")
    assert "ecr-cleanup-task-definitions is DISABLED: nothing is heard of task definitions" in failure(cli)


def test_a_rule_that_is_missing(cli: CommandLine) -> None:
    boto3.client("events").delete_rule(Name="ecr-cleanup-image-pushes")
    assert "ecr-cleanup-image-pushes is missing: nothing is heard of pushes" in failure(cli)


def test_no_events(cli: CommandLine) -> None:
    cli.answers["cloudwatch:GetMetricData"] = metrics(events=0)
    assert "no event came in the last 7 days; see whether a trail" in warning(cli)


@pytest.mark.parametrize(("minutes_ago", "status"), [(5, "ok"), (8 * 24 * 60, "warning")])
def test_events_by_the_ledger_where_metrics_cannot_be_read(
    bench: Bench, cli: CommandLine, minutes_ago: float, status: str
) -> None:
    cli.refuse("cloudwatch:GetMetricData", "AccessDeniedException")
    register(bench, minutes_ago=minutes_ago)
    found = findings(cli, status)
    assert any(line.startswith("events: ") for line in found)
    assert any("cloudwatch:GetMetricData" in line for line in findings(cli, "warning"))


@pytest.mark.parametrize(("number", "text"), [(1, "1 message that"), (2, "2 messages that")])
def test_a_dead_letter(cli: CommandLine, number: int, text: str) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="ecr-cleanup-checks-dead-letter")["QueueUrl"]
    for _ in range(number):
        sqs.send_message(QueueUrl=url, MessageBody="a check")
    assert f"ecr-cleanup-checks-dead-letter holds {text} nobody could handle" in failure(cli)


def test_no_dead_letter_queues(cli: CommandLine) -> None:
    cli.answer("sqs:ListQueues", {})
    assert "there are no dead-letter queues" in failure(cli)


def test_own_pulls_that_count(cli: CommandLine) -> None:
    cli.answer("ecr:ListPullTimeUpdateExclusions", {"pullTimeUpdateExclusions": ["arn:aws:iam::111111111111:role/x"]})
    assert "aws ecr register-pull-time-update-exclusion --region eu-central-1" in warning(cli)


def test_exclusions_on_several_pages(cli: CommandLine) -> None:
    pages: Iterator[dict[str, Any]] = iter(
        [
            {"pullTimeUpdateExclusions": [], "nextToken": "more"},
            {"pullTimeUpdateExclusions": [CLI_ENVIRONMENT["FUNCTION_ROLE_ARN"]]},
        ]
    )
    cli.answers["ecr:ListPullTimeUpdateExclusions"] = lambda _: (200, next(pages))
    assert cli.prints("doctor").endswith("All is well.\n")


def test_a_lifecycle_policy(bench: Bench, cli: CommandLine) -> None:
    rule = {
        "rulePriority": 1,
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 1,
        },
        "action": {"type": "expire"},
    }
    bench.ecr.client.put_lifecycle_policy(repositoryName="team/app", lifecyclePolicyText=json.dumps({"rules": [rule]}))
    assert "does not ask who uses them: eu-central-1/team/app; delete the policy" in warning(cli)


@pytest.mark.parametrize(
    ("prefix", "covers"), [("team", True), ("ROOT", True), ("team/app", False), ("tea", False), ("other", False)]
)
def test_a_pull_through_cache(cli: CommandLine, prefix: str, covers: bool) -> None:
    cli.answer("ecr:DescribePullThroughCacheRules", {"pullThroughCacheRules": [{"ecrRepositoryPrefix": prefix}]})
    found = findings(cli, "warning")
    assert any("fetched again" in line for line in found) is covers


def test_no_repository_has_opted_in(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup="disabled")
    assert "none has opted in" in warning(cli)


def test_many_repositories_are_counted(bench: Bench, cli: CommandLine) -> None:
    for number in range(6):
        bench.ecr.repository(f"team/app-{number}", ecr_cleanup="enabled")
    cli.answer("ecr:DescribePullThroughCacheRules", {"pullThroughCacheRules": [{"ecrRepositoryPrefix": "team"}]})
    assert "team/app-3 and 2 more" in warning(cli)


CALLS = [
    "cloudwatch:GetMetricData",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
    "ecr:DescribePullThroughCacheRules",
    "ecr:GetLifecyclePolicy",
    "ecr:ListPullTimeUpdateExclusions",
    "events:DescribeRule",
    "lambda:ListEventSourceMappings",
    "resourcegroupstaggingapi:GetResources",
    "scheduler:ListSchedules",
    "sqs:GetQueueAttributes",
    "sqs:ListQueues",
]


def test_these_are_all_calls_of_the_doctor(cli: CommandLine) -> None:
    """Those of the aggregator aside."""
    cli.prints("doctor")
    assert set(cli.calls) == {*CALLS, "lambda:GetFunctionConfiguration"}


@pytest.mark.parametrize("call", CALLS)
def test_a_permission_that_is_missing_is_a_warning_and_the_others_go_on(cli: CommandLine, call: str) -> None:
    message = "User: arn:aws:iam::111111111111:user/me is not authorized to perform: any:Thing on resource: all"
    cli.refuse(call, "AccessDeniedException", message)
    assert any("any:Thing" in line or "may not read metrics" in line for line in findings(cli, "warning"))
    assert len(findings(cli, "ok")) >= 5


def test_a_permission_is_named_where_aws_does_not(cli: CommandLine) -> None:
    cli.refuse("resourcegroupstaggingapi:GetResources", "AccessDeniedException")
    assert "not looked at, as you may not call tag:GetResources" in findings(cli, "warning")[0]


def test_what_is_throttled_is_a_warning(cli: CommandLine) -> None:
    cli.refuse("events:DescribeRule", "ThrottlingException")
    assert "rules: not looked at: AWS throttles events:DescribeRule" in warning(cli)


def test_what_fails_otherwise_is_a_warning(cli: CommandLine) -> None:
    cli.refuse("events:DescribeRule", "InternalException", "oh")
    assert "rules: not looked at: AWS refused DescribeRule: InternalException: oh" in warning(cli)


def test_nothing_is_due_for_two_days(bench: Bench, cli: CommandLine) -> None:
    bench.clock.now += timedelta(days=1)
    assert findings(cli, "warning") == []
