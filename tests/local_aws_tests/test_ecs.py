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


@pytest.fixture
def external(ecs: Any) -> str:
    """A service with an external deployment controller; its ARN."""
    ecs.create_cluster(clusterName="main")
    controller = {"type": "EXTERNAL"}
    created = ecs.create_service(cluster="main", serviceName="web", desiredCount=2, deploymentController=controller)
    arn: str = created["service"]["serviceArn"]
    return arn


def task_set(ecs: Any, task_definition: str, service: str = "web") -> str:
    scale = {"value": 100, "unit": "PERCENT"}
    created = ecs.create_task_set(cluster="main", service=service, taskDefinition=task_definition, scale=scale)
    arn: str = created["taskSet"]["taskSetArn"]
    return arn


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_task_sets_run_two_revisions_side_by_side(ecs: Any, external: str) -> None:
    old, new = register(ecs), register(ecs)
    blue, green = task_set(ecs, old), task_set(ecs, new)
    place = {"cluster": "main", "service": "web"}
    shown = {each["taskSetArn"]: each for each in ecs.describe_task_sets(**place)["taskSets"]}
    assert {arn: each["taskDefinition"] for arn, each in shown.items()} == {blue: old, green: new}
    assert {each["scale"]["value"] for each in shown.values()} == {100}
    assert {each["serviceArn"] for each in shown.values()} == {external}
    ecs.update_service_primary_task_set(**place, primaryTaskSet=green)
    assert ecs.describe_services(cluster="main", services=["web"])["services"][0]["taskDefinition"] == new
    ecs.update_task_set(**place, taskSet=blue, scale={"value": 0, "unit": "PERCENT"})
    ecs.delete_task_set(**place, taskSet=blue)
    assert [each["taskSetArn"] for each in ecs.describe_task_sets(**place)["taskSets"]] == [green]


@pytest.mark.usefixtures("external")
def test_task_set_that_is_scaled_up_is_deleted_only_by_force(ecs: Any) -> None:
    arn = task_set(ecs, register(ecs))
    with pytest.raises(ClientError, match="scaled above 0"):
        ecs.delete_task_set(cluster="main", service="web", taskSet=arn)
    ecs.delete_task_set(cluster="main", service="web", taskSet=arn, force=True)
    assert ecs.describe_task_sets(cluster="main", service="web")["taskSets"] == []


@pytest.mark.usefixtures("external")
def test_task_set_does_not_start_from_an_inactive_task_definition(ecs: Any) -> None:
    arn = register(ecs)
    ecs.deregister_task_definition(taskDefinition=arn)
    with pytest.raises(ClientError, match="inactive"):
        task_set(ecs, arn)


def test_only_external_services_have_task_sets(ecs: Any) -> None:
    arn = register(ecs)
    ecs.create_cluster(clusterName="main")
    ecs.create_service(cluster="main", serviceName="web", taskDefinition=arn, desiredCount=1)
    with pytest.raises(ClientError, match="EXTERNAL"):
        task_set(ecs, arn)


@pytest.mark.usefixtures("external")
def test_external_service_changes_its_task_definition_by_task_sets_only(ecs: Any) -> None:
    with pytest.raises(ClientError, match="EXTERNAL"):
        ecs.update_service(cluster="main", service="web", taskDefinition=register(ecs))
    assert ecs.update_service(cluster="main", service="web", desiredCount=3)["service"]["desiredCount"] == 3


@pytest.mark.usefixtures("external")
def test_what_is_unknown_has_no_task_sets(ecs: Any) -> None:
    arn = register(ecs)
    with pytest.raises(ClientError) as unknown_service:
        task_set(ecs, arn, service="other")
    assert code(unknown_service) == "ServiceNotFoundException"
    for call in (ecs.delete_task_set, ecs.update_service_primary_task_set):
        name = "primaryTaskSet" if call == ecs.update_service_primary_task_set else "taskSet"
        with pytest.raises(ClientError, match="task set does not exist"):
            call(cluster="main", service="web", **{name: "ecs-svc/1"})


@pytest.mark.usefixtures("external")
def test_service_with_task_sets_is_deleted_only_by_force(ecs: Any) -> None:
    task_set(ecs, register(ecs))
    ecs.update_service(cluster="main", service="web", desiredCount=0)
    with pytest.raises(ClientError, match="deployments are active"):
        ecs.delete_service(cluster="main", service="web")
    ecs.delete_service(cluster="main", service="web", force=True)
    with pytest.raises(ClientError) as deleted:
        task_set(ecs, register(ecs))
    assert code(deleted) == "ServiceNotActiveException"


def test_deleted_service_is_not_updated_and_can_be_created_anew(ecs: Any) -> None:
    arn = register(ecs)
    ecs.create_cluster(clusterName="main")
    service = {"cluster": "main", "serviceName": "web", "taskDefinition": arn, "desiredCount": 1}
    ecs.create_service(**service)
    ecs.delete_service(cluster="main", service="web", force=True)
    with pytest.raises(ClientError) as deleted:
        ecs.update_service(cluster="main", service="web", desiredCount=2)
    assert code(deleted) == "ServiceNotActiveException"
    assert ecs.create_service(**service)["service"]["status"] == "ACTIVE"


def test_service_goes_on_with_an_inactive_task_definition(ecs: Any) -> None:
    arn = register(ecs)
    ecs.create_cluster(clusterName="main")
    ecs.create_service(cluster="main", serviceName="web", taskDefinition=arn, desiredCount=1)
    ecs.deregister_task_definition(taskDefinition=arn)
    updated = ecs.update_service(cluster="main", service="web", desiredCount=4)["service"]
    assert (updated["taskDefinition"], updated["desiredCount"]) == (arn, 4)


def test_only_inactive_task_definitions_are_deleted(ecs: Any) -> None:
    arn = register(ecs)
    assert ecs.delete_task_definitions(taskDefinitions=[arn])["failures"]
    ecs.deregister_task_definition(taskDefinition=arn)
    [deleted] = ecs.delete_task_definitions(taskDefinitions=[arn])["taskDefinitions"]
    assert deleted["status"] == "DELETE_IN_PROGRESS"
