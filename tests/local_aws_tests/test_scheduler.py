from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import SHARED, bodies, function, policy, queue, role, statement, trust

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

GROUP = f"arn:aws:scheduler:eu-central-1:{SHARED}:schedule-group/checks"
ROLE = f"arn:aws:iam::{SHARED}:role/schedules"


@pytest.fixture(autouse=True)
def surroundings(shared: boto3.Session) -> None:
    shared.client("scheduler").create_schedule_group(Name="checks")
    target, dead = queue(shared, "target"), queue(shared, "dead")
    trusted = trust("scheduler.amazonaws.com", aws_SourceAccount=SHARED, aws_SourceArn=GROUP)
    role(shared, "schedules", trusted, statement("sqs:SendMessage", [target, dead], "Send"))


def at(moment: datetime) -> str:
    return moment.strftime("at(%Y-%m-%dT%H:%M:%S)")


def fields(expression: str, **changes: Any) -> dict[str, Any]:
    arn = f"arn:aws:sqs:eu-central-1:{SHARED}:"
    target = {"Arn": f"{arn}target", "RoleArn": ROLE, "Input": "hello", "DeadLetterConfig": {"Arn": f"{arn}dead"}}
    target |= changes.pop("Target", {})
    return {
        "Name": "check",
        "GroupName": "checks",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": target,
        **changes,
    }


def names(session: boto3.Session) -> list[str]:
    return [schedule["Name"] for schedule in session.client("scheduler").list_schedules()["Schedules"]]


def create(aws: LocalAws, session: boto3.Session, due: timedelta = timedelta(hours=1), **changes: Any) -> None:
    session.client("scheduler").create_schedule(**fields(at(aws.clock.now() + due), **changes))


def test_fires_at_its_time_never_early_and_is_removed(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared)
    aws.advance(timedelta(minutes=59, seconds=58))
    assert bodies(shared, "target") == []
    assert names(shared) == ["check"]
    aws.advance(timedelta(seconds=62))
    assert bodies(shared, "target") == ["hello"]
    assert names(shared) == []
    [sent] = [call for call in aws.calls if call.operation == "SendMessage"]
    assert sent.principal_arn == f"arn:aws:sts::{SHARED}:assumed-role/schedules/scheduler"
    assert sent.grants[0].statements == ("Send",)


def test_completed_schedule_stays_without_the_action(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared, ActionAfterCompletion="NONE")
    aws.advance(timedelta(days=2))
    assert bodies(shared, "target") == ["hello"]
    assert names(shared) == ["check"]
    with pytest.raises(ClientError, match="ConflictException"):
        create(aws, shared)


def test_update_replaces_everything(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared, Description="old", State="DISABLED")
    changed = fields(at(aws.clock.now() + timedelta(hours=3)))
    del changed["ActionAfterCompletion"]
    del changed["Target"]["DeadLetterConfig"]
    shared.client("scheduler").update_schedule(**changed)
    schedule: dict[str, Any] = dict(shared.client("scheduler").get_schedule(GroupName="checks", Name="check"))
    assert schedule["ActionAfterCompletion"] == "NONE"
    assert schedule["State"] == "ENABLED"
    assert "DeadLetterConfig" not in schedule["Target"]
    assert schedule.get("Description") is None
    aws.advance(timedelta(hours=2))
    assert bodies(shared, "target") == []
    aws.advance(timedelta(hours=1, minutes=1))
    assert bodies(shared, "target") == ["hello"]


def test_disabled_and_deleted_schedules_do_not_fire(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared, State="DISABLED")
    create(aws, shared, Name="deleted")
    shared.client("scheduler").delete_schedule(GroupName="checks", Name="deleted")
    aws.advance(timedelta(hours=2))
    assert bodies(shared, "target") == []


@pytest.mark.parametrize("at_once", [True, False])
def test_rate_fires_again_and_again(aws: LocalAws, shared: boto3.Session, *, at_once: bool) -> None:
    aws.behaviour.rates_begin_at_once = at_once
    shared.client("scheduler").create_schedule(**fields("rate(1 day)"))
    aws.advance(timedelta(minutes=2))
    assert bodies(shared, "target") == (["hello"] if at_once else [])
    aws.advance(timedelta(days=3))
    assert bodies(shared, "target") == ["hello"] * (4 if at_once else 3)


def test_updated_rate_fires_after_its_interval(aws: LocalAws, shared: boto3.Session) -> None:
    scheduler = shared.client("scheduler")
    scheduler.create_schedule(**fields("rate(9999 days)"))
    aws.advance(timedelta(minutes=2))
    assert bodies(shared, "target") == ["hello"]
    scheduler.update_schedule(**fields("rate(1 hour)"))
    aws.advance(timedelta(minutes=59))
    assert bodies(shared, "target") == ["hello"]
    aws.advance(timedelta(minutes=3))
    assert bodies(shared, "target") == ["hello"] * 2


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 3 * * ? *)",
        "cron(0/15 8-17 ? * MON-FRI 2026-2030)",
        "cron(0,30 */2 L JAN,JUN ? *)",
        "cron(0 3 15W * ? *)",
        "cron(0 3 ? * 6#3 *)",
        "cron(0 3 ? * SUN#1 *)",
        "cron(0 3 ? * 6L *)",
    ],
)
def test_cron_is_taken(shared: boto3.Session, expression: str) -> None:
    shared.client("scheduler").create_schedule(**fields(expression))
    assert names(shared) == ["check"]


@pytest.mark.parametrize("expression", ["cron(30 7 * * ? *)", "cron(30 7 ? * * *)"])
def test_cron_of_one_time_of_the_day_fires_every_day(aws: LocalAws, shared: boto3.Session, expression: str) -> None:
    shared.client("scheduler").create_schedule(**fields(expression))
    now = aws.clock.now()
    due = now.replace(hour=7, minute=30, second=0, microsecond=0)
    due += timedelta(days=due <= now)
    aws.advance(due - now - timedelta(seconds=1))
    assert bodies(shared, "target") == []
    aws.advance(timedelta(days=3))
    assert bodies(shared, "target") == ["hello"] * 3
    assert names(shared) == ["check"]


@pytest.mark.parametrize("survives", [True, False])
def test_update_between_firing_and_removal(aws: LocalAws, shared: boto3.Session, *, survives: bool) -> None:
    aws.behaviour.schedule_removal_delay = timedelta(minutes=5)
    aws.behaviour.updates_survive_removal = survives
    create(aws, shared)
    aws.advance(timedelta(minutes=62))
    assert names(shared) == ["check"]
    with pytest.raises(ClientError, match="ConflictException"):
        create(aws, shared)
    shared.client("scheduler").update_schedule(**fields(at(aws.clock.now() + timedelta(hours=1))))
    aws.advance(timedelta(minutes=10))
    assert names(shared) == (["check"] if survives else [])
    aws.advance(timedelta(hours=1))
    assert len(bodies(shared, "target")) == (2 if survives else 1)


def test_past_time_is_refused(aws: LocalAws, shared: boto3.Session) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        create(aws, shared, timedelta(hours=-1))


def test_past_time_can_fire_at_once(aws: LocalAws, shared: boto3.Session) -> None:
    aws.behaviour.refuses_past_schedules = False
    create(aws, shared, timedelta(hours=-1))
    aws.run_until_idle()
    assert bodies(shared, "target") == ["hello"]


@pytest.mark.parametrize(
    "changes",
    [
        {"Name": "x" * 64 + "!"},
        {"Name": "a b"},
        {"ScheduleExpression": "at(2030-02-30T00:00:00)"},
        {"ScheduleExpression": "at(2030-01-01 00:00:00)"},
        {"ScheduleExpression": "at(2030-01-01T00:00:00Z)"},
        {"ScheduleExpression": "rate(0 days)"},
        {"ScheduleExpression": "rate(1.5 days)"},
        {"ScheduleExpression": "cron(0 3 * * *)"},
        {"ScheduleExpression": "cron(0 3 * * * *)"},
        {"ScheduleExpression": "cron(0 3 ? * ? *)"},
        {"ScheduleExpression": "cron(0 3 1 * MON *)"},
        {"ScheduleExpression": "cron(60 3 * * ? *)"},
        {"ScheduleExpression": "cron(0 24 * * ? *)"},
        {"ScheduleExpression": "cron(0 3 32 * ? *)"},
        {"ScheduleExpression": "cron(0 3 * 13 ? *)"},
        {"ScheduleExpression": "cron(0 3 ? * 8 *)"},
        {"ScheduleExpression": "cron(0 3 ? * 6#6 *)"},
        {"ScheduleExpression": "cron(0 3 * * ? 1969)"},
        {"ScheduleExpression": "cron(0/0 3 * * ? *)"},
        {"ScheduleExpression": "cron(L 3 * * ? *)"},
        {"ScheduleExpression": "cron(0, 3 * * ? *)"},
        {"ScheduleExpression": "cron(0  3 * * ? *)"},
        {"ScheduleExpression": "rate(1 day)", "StartDate": datetime(2100, 1, 1, tzinfo=UTC)},
        {"ScheduleExpressionTimezone": "Mars/Olympus"},
        {"Target": {"RoleArn": f"arn:aws:iam::{SHARED}:role/missing"}},
        {"Target": {"Input": "x" * 262_145}},
    ],
)
def test_nonsense_is_refused(shared: boto3.Session, changes: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        shared.client("scheduler").create_schedule(**fields("at(2100-01-01T00:00:00)", **changes))


def test_missing_things_are_not_found(shared: boto3.Session) -> None:
    scheduler = shared.client("scheduler")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.update_schedule(**fields("at(2100-01-01T00:00:00)"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.create_schedule(**fields("at(2100-01-01T00:00:00)", GroupName="unknown"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.delete_schedule(GroupName="checks", Name="unknown")


def test_trust_of_the_role_is_for_this_group_only(shared: boto3.Session) -> None:
    with pytest.raises(ClientError, match="assume the role"):
        shared.client("scheduler").create_schedule(**fields("at(2100-01-01T00:00:00)", GroupName="default"))


def test_refused_delivery_goes_to_the_dead_letter_queue(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared)
    dead = f"arn:aws:sqs:eu-central-1:{SHARED}:dead"
    document = policy(statement("sqs:SendMessage", dead))
    shared.client("iam").put_role_policy(RoleName="schedules", PolicyName="inline", PolicyDocument=document)
    aws.advance(timedelta(hours=2))
    assert bodies(shared, "target") == []
    assert bodies(shared, "dead") == ["hello"]


def test_delivery_is_lost_where_the_role_may_do_nothing(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared)
    shared.client("iam").delete_role_policy(RoleName="schedules", PolicyName="inline")
    aws.advance(timedelta(hours=2))
    [lost] = aws.lost_events
    assert lost.body == "hello"


def test_throttled_delivery_is_retried(aws: LocalAws, shared: boto3.Session) -> None:
    create(aws, shared)
    aws.faults.throttle("sqs", "SendMessage", times=3)
    aws.advance(timedelta(hours=1, minutes=2))
    assert bodies(shared, "target") == []
    aws.advance(timedelta(minutes=3))
    assert bodies(shared, "target") == ["hello"]


def test_group_has_tags(shared: boto3.Session) -> None:
    scheduler = shared.client("scheduler")
    scheduler.tag_resource(ResourceArn=GROUP, Tags=[{"Key": "team", "Value": "one"}])
    assert scheduler.list_tags_for_resource(ResourceArn=GROUP)["Tags"] == [{"Key": "team", "Value": "one"}]


def test_creator_needs_pass_role(aws: LocalAws, shared: boto3.Session) -> None:
    source = """
        import boto3
        def handler(event, context):
            boto3.client("scheduler").create_schedule(**event)
    """
    function(shared, source, statement("scheduler:CreateSchedule", f"{GROUP}/*".replace("-group", "")))
    payload = json.dumps(fields("at(2100-01-01T00:00:00)"))
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=payload)
    assert "iam:PassRole on resource: " + ROLE in answer["Payload"].read().decode()
    assert names(shared) == []
