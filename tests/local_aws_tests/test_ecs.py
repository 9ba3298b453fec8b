from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import PRODUCTION, bodies, events_may_send, queue

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

RULE = f"arn:aws:events:eu-central-1:{PRODUCTION}:rule/all"


@pytest.fixture
def ecs(production: boto3.Session) -> Any:
    events = production.client("events")
    events.put_rule(Name="all", EventPattern=json.dumps({"source": ["aws.ecs"]}))
    target = queue(production, "trail", events_may_send(RULE))
    events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": target}])
    return production.client("ecs")


def register(ecs: Any, image: str = "image:1", **environment: str) -> str:
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    definition = {"name": "web", "image": image, "memory": 64, "environment": variables}
    answer = ecs.register_task_definition(family="web", containerDefinitions=[definition])
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def details(aws: LocalAws, session: boto3.Session) -> list[dict[str, Any]]:
    aws.run_until_idle()
    return [json.loads(body)["detail"] for body in bodies(session, "trail")]


def test_deregistration_is_an_event_each_time(aws: LocalAws, production: boto3.Session, ecs: Any) -> None:
    arn = register(ecs)
    ecs.deregister_task_definition(taskDefinition=arn)
    ecs.deregister_task_definition(taskDefinition=arn)
    seen = details(aws, production)
    assert [detail["eventName"] for detail in seen[1:]] == ["DeregisterTaskDefinition"] * 2
    assert seen[1]["responseElements"]["taskDefinition"]["status"] == "INACTIVE"
    assert seen[1]["requestParameters"] == {"taskDefinition": arn}


def test_failed_call_carries_its_error(aws: LocalAws, production: boto3.Session, ecs: Any) -> None:
    with pytest.raises(ClientError):
        ecs.deregister_task_definition(taskDefinition="web:7")
    [detail] = details(aws, production)
    assert detail["errorCode"] == "ClientException"
    assert detail["responseElements"] is None


def test_large_answers_are_left_out_and_small_requests_kept(aws: LocalAws, production: boto3.Session, ecs: Any) -> None:
    arn = register(ecs, LARGE="x" * 110_000)
    ecs.deregister_task_definition(taskDefinition=arn)
    registered, deregistered = details(aws, production)
    assert registered["responseElements"] is None
    assert registered["requestParameters"] is None
    assert deregistered["responseElements"] is None
    assert deregistered["requestParameters"] == {"taskDefinition": arn}


def test_accounts_without_a_trail_emit_nothing(aws: LocalAws, production: boto3.Session, ecs: Any) -> None:
    aws.trail_accounts = set()
    register(ecs)
    assert details(aws, production) == []


def test_reading_is_no_event(aws: LocalAws, production: boto3.Session, ecs: Any) -> None:
    ecs.list_task_definitions()
    assert details(aws, production) == []


def test_revisions_are_never_reused(ecs: Any) -> None:
    first, second = register(ecs), register(ecs)
    ecs.deregister_task_definition(taskDefinition=second)
    ecs.delete_task_definitions(taskDefinitions=[second])
    assert register(ecs).endswith("web:3")
    assert first.endswith("web:1")


def test_family_alone_means_its_latest_active_revision(ecs: Any) -> None:
    register(ecs)
    second = register(ecs)
    ecs.deregister_task_definition(taskDefinition=second)
    assert ecs.describe_task_definition(taskDefinition="web")["taskDefinition"]["revision"] == 1


def test_nothing_new_starts_from_an_inactive_task_definition(ecs: Any) -> None:
    ecs.create_cluster(clusterName="main")
    first, second = register(ecs), register(ecs)
    ecs.deregister_task_definition(taskDefinition=first)
    with pytest.raises(ClientError, match="inactive"):
        ecs.create_service(cluster="main", serviceName="web", taskDefinition=first, desiredCount=1)
    created = ecs.create_service(cluster="main", serviceName="web", taskDefinition=second, desiredCount=1)
    assert created["service"]["taskDefinition"] == second
    with pytest.raises(ClientError, match="inactive"):
        ecs.update_service(cluster="main", service="web", taskDefinition=first)
    with pytest.raises(ClientError, match="inactive"):
        ecs.run_task(cluster="main", taskDefinition=first)
