"""Rules and schedules that run tasks of ECS, and the lists by which they are found."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import PRODUCTION, REGION, role, statement, trust

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

CLUSTER = f"arn:aws:ecs:{REGION}:{PRODUCTION}:cluster/main"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:ecs:runTask"


@pytest.fixture
def definition(production: boto3.Session) -> str:
    ecs: Any = production.client("ecs")
    ecs.create_cluster(clusterName="main")
    container = {"name": "web", "image": "public.ecr.aws/web:1", "memory": 64}
    answer = ecs.register_task_definition(family="web", containerDefinitions=[container])
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


@pytest.fixture
def events(production: boto3.Session) -> Any:
    return production.client("events")


@pytest.fixture
def scheduler(production: boto3.Session) -> Any:
    return production.client("scheduler")


def runner(session: boto3.Session, service: str, allowed: str = "ecs:RunTask") -> str:
    return role(session, service, trust(f"{service}.amazonaws.com"), statement(allowed))


def running(session: boto3.Session) -> list[str]:
    arns: list[str] = session.client("ecs").list_tasks(cluster="main")["taskArns"]
    return arns


def ecs_target(definition: str, role_arn: str, number: int = 1) -> dict[str, Any]:
    parameters = {"TaskDefinitionArn": definition, "TaskCount": 1}
    return {"Id": f"task-{number:03}", "Arn": CLUSTER, "RoleArn": role_arn, "EcsParameters": parameters}


def test_rules_are_found_by_their_cluster(events: Any, production: boto3.Session, definition: str) -> None:
    role_arn = runner(production, "events")
    bus = events.create_event_bus(Name="own")["EventBusArn"]
    buses = events.list_event_buses(Limit=100)["EventBuses"]
    assert [(each["Name"], each["Arn"]) for each in buses] == [
        ("default", f"arn:aws:events:{REGION}:{PRODUCTION}:event-bus/default"),
        ("own", bus),
    ]
    target = ecs_target(definition, role_arn)
    for name, place in (("nightly", {}), ("hourly", {"EventBusName": "own"})):
        events.put_rule(Name=name, EventPattern=json.dumps({"source": ["mine"]}), **place)
        events.put_targets(Rule=name, Targets=[target], **place)
        assert events.list_rule_names_by_target(TargetArn=CLUSTER, **place)["RuleNames"] == [name]
        assert events.list_targets_by_rule(Rule=name, **place)["Targets"] == [target]
    assert events.list_rule_names_by_target(TargetArn=CLUSTER, EventBusName=bus)["RuleNames"] == ["hourly"]
    assert events.list_rule_names_by_target(TargetArn=CLUSTER + "x")["RuleNames"] == []
    for call, params in (
        (events.list_rule_names_by_target, {"TargetArn": CLUSTER, "EventBusName": "other"}),
        (events.list_targets_by_rule, {"Rule": "hourly"}),
    ):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(**params)


def test_lists_of_eventbridge_have_pages(events: Any, production: boto3.Session, definition: str) -> None:
    role_arn = runner(production, "events")
    pattern = json.dumps({"source": ["mine"]})
    for number in range(3):
        events.create_event_bus(Name=f"bus-{number}")
        events.put_rule(Name=f"rule-{number}", EventPattern=pattern)
        events.put_targets(Rule=f"rule-{number}", Targets=[ecs_target(definition, role_arn, each) for each in range(3)])
    for call, member, params in (
        (events.list_event_buses, "EventBuses", {}),
        (events.list_rule_names_by_target, "RuleNames", {"TargetArn": CLUSTER}),
        (events.list_targets_by_rule, "Targets", {"Rule": "rule-1"}),
    ):
        found = []
        token: dict[str, str] = {}
        while True:
            answer = call(Limit=2, **params, **token)
            assert 1 <= len(answer[member]) <= 2
            found += answer[member]
            if "NextToken" not in answer:
                break
            token = {"NextToken": answer["NextToken"]}
        assert len(found) == (4 if member == "EventBuses" else 3)
        with pytest.raises(ClientError, match="ValidationException"):
            call(NextToken="none", **params)


def test_rule_runs_a_task_under_its_role(
    aws: LocalAws, events: Any, production: boto3.Session, definition: str
) -> None:
    events.put_rule(Name="nightly", EventPattern=json.dumps({"source": ["mine"]}))
    events.put_targets(Rule="nightly", Targets=[ecs_target(definition, runner(production, "events"))])
    event = {"Source": "mine", "DetailType": "any", "Detail": "{}"}
    events.put_events(Entries=[event])
    aws.run_until_idle()
    assert len(running(production)) == 1
    production.client("iam").delete_role_policy(RoleName="events", PolicyName="inline")
    events.put_events(Entries=[event])
    aws.run_until_idle()
    assert len(running(production)) == 1
    assert "ecs:RunTask" in aws.lost_events[0].reason


def test_target_that_is_a_cluster_needs_its_parameters(events: Any, production: boto3.Session, definition: str) -> None:
    events.put_rule(Name="nightly", EventPattern=json.dumps({"source": ["mine"]}))
    complete = ecs_target(definition, runner(production, "events"))
    for missing in ("EcsParameters", "RoleArn"):
        target = {name: value for name, value in complete.items() if name != missing}
        with pytest.raises(ClientError, match="ValidationException"):
            events.put_targets(Rule="nightly", Targets=[target])


def schedule(name: str, target: dict[str, Any], group: str = "default") -> dict[str, Any]:
    return {
        "Name": name,
        "GroupName": group,
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
    }


@pytest.mark.parametrize("universal", [True, False])
def test_schedule_runs_a_task_and_shows_it(
    aws: LocalAws, scheduler: Any, production: boto3.Session, definition: str, universal: bool
) -> None:
    role_arn = runner(production, "scheduler")
    target: dict[str, Any] = {"Arn": CLUSTER, "RoleArn": role_arn, "EcsParameters": {"TaskDefinitionArn": definition}}
    if universal:
        request = json.dumps({"Cluster": "main", "TaskDefinition": "web"})
        target = {"Arn": UNIVERSAL, "RoleArn": role_arn, "Input": request}
    scheduler.create_schedule(**schedule("hourly", target))
    [listed] = scheduler.list_schedules(GroupName="default")["Schedules"]
    assert listed["Target"] == {"Arn": target["Arn"]}
    got = scheduler.get_schedule(Name="hourly", GroupName="default")["Target"]
    assert {name: got[name] for name in target} == target
    aws.advance(timedelta(minutes=2))
    assert len(running(production)) == 1
    production.client("ecs").deregister_task_definition(taskDefinition=definition)
    aws.advance(timedelta(hours=1))
    assert len(running(production)) == 1
    assert aws.lost_events[-1].source_arn == listed["Arn"]


@pytest.mark.parametrize(
    "target",
    [
        {"Arn": CLUSTER},
        {"Arn": UNIVERSAL, "Input": "not json"},
        {"Arn": UNIVERSAL, "Input": "{}"},
        {"Arn": "arn:aws:lambda:eu-central-1:222222222222:function:f"},
    ],
)
@pytest.mark.usefixtures("definition")
def test_target_of_a_schedule_must_be_complete(
    scheduler: Any, production: boto3.Session, target: dict[str, Any]
) -> None:
    role_arn = runner(production, "scheduler")
    with pytest.raises(ClientError, match="ValidationException"):
        scheduler.create_schedule(**schedule("hourly", target | {"RoleArn": role_arn}))


def test_schedules_are_listed_by_group_and_in_pages(scheduler: Any, production: boto3.Session, definition: str) -> None:
    role_arn = runner(production, "scheduler")
    target = {"Arn": CLUSTER, "RoleArn": role_arn, "EcsParameters": {"TaskDefinitionArn": definition}}
    scheduler.create_schedule_group(Name="mine")
    for number in range(101):
        scheduler.create_schedule(**schedule(f"s-{number}", target, "mine"))
    scheduler.create_schedule(**schedule("other", target))
    groups = scheduler.list_schedule_groups(MaxResults=1)
    more = scheduler.list_schedule_groups(MaxResults=1, NextToken=groups["NextToken"])
    assert [each["Name"] for page in (groups, more) for each in page["ScheduleGroups"]] == ["default", "mine"]
    assert "NextToken" not in more
    first = scheduler.list_schedules(GroupName="mine", MaxResults=100)
    second = scheduler.list_schedules(GroupName="mine", NextToken=first["NextToken"])
    assert [len(page["Schedules"]) for page in (first, second)] == [100, 1]
    assert [each["Name"] for each in scheduler.list_schedules(GroupName="default")["Schedules"]] == ["other"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.list_schedules(GroupName="missing")
    with pytest.raises(ClientError, match="ValidationException"):
        scheduler.list_schedules(GroupName="default", NextToken=first["NextToken"])
