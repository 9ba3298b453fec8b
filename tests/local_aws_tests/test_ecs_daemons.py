from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.images import push_image
from local_aws_tests.stack import PRODUCTION, REGION, SHARED

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

HOST = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com"
CLUSTER = f"arn:aws:ecs:{REGION}:{PRODUCTION}:cluster/main"
PROVIDER = f"arn:aws:ecs:{REGION}:{PRODUCTION}:capacity-provider/managed"
STARTED = timedelta(minutes=2)


@pytest.fixture
def ecr(shared: boto3.Session) -> Any:
    client = shared.client("ecr")
    client.create_repository(repositoryName="agent")
    return client


@pytest.fixture
def ecs(production: boto3.Session) -> Any:
    client = production.client("ecs")
    client.create_cluster(clusterName="main")
    return client


def register(ecs: Any, tag: str = "v1", family: str = "agent") -> str:
    containers = [{"name": "agent", "image": f"{HOST}/agent:{tag}", "memory": 64}]
    answer = ecs.register_daemon_task_definition(family=family, containerDefinitions=containers)
    arn: str = answer["daemonTaskDefinitionArn"]
    return arn


def create(ecs: Any, definition: str, name: str = "agent", **options: Any) -> str:
    created = ecs.create_daemon(
        daemonName=name,
        clusterArn=CLUSTER,
        daemonTaskDefinitionArn=definition,
        capacityProviderArns=[PROVIDER],
        **options,
    )
    arn: str = created["daemonArn"]
    return arn


def digests(ecs: Any, daemon: str) -> list[str]:
    arns = [each["arn"] for each in ecs.describe_daemon(daemonArn=daemon)["daemon"]["currentRevisions"]]
    revisions = ecs.describe_daemon_revisions(daemonRevisionArns=arns)["daemonRevisions"]
    return [image["imageDigest"] for revision in revisions for image in revision.get("containerImages", [])]


def deployment(ecs: Any, daemon: str) -> dict[str, Any]:
    arn = ecs.describe_daemon(daemonArn=daemon)["daemon"]["deploymentArn"]
    answer = ecs.describe_daemon_deployments(daemonDeploymentArns=[arn])
    found: dict[str, Any] = answer["daemonDeployments"][0]
    return found


def test_daemon_runs_a_task_by_the_digest_of_its_revision(aws: LocalAws, ecs: Any, ecr: Any) -> None:
    digest = push_image(ecr, "agent", ["v1"])
    daemon = create(ecs, register(ecs))
    assert deployment(ecs, daemon)["status"] == "IN_PROGRESS"
    assert digests(ecs, daemon) == []
    aws.advance(STARTED)
    assert deployment(ecs, daemon)["status"] == "SUCCESSFUL"
    assert digests(ecs, daemon) == [digest]
    push_image(ecr, "agent", ["v1"])
    [old] = ecs.list_tasks(cluster="main")["taskArns"]
    assert aws.replace_tasks(PRODUCTION, service=daemon) == [old]
    aws.advance(STARTED)
    arns = ecs.list_tasks(cluster="main")["taskArns"]
    [task] = ecs.describe_tasks(cluster="main", tasks=arns)["tasks"]
    assert task["containers"][0]["imageDigest"] == digest
    assert (task["group"], task["lastStatus"]) == ("daemon:agent", "RUNNING")
    ecr.batch_delete_image(repositoryName="agent", imageIds=[{"imageDigest": digest}])
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert aws.failed_pulls[0].service_arn == daemon


def test_update_is_a_deployment_that_can_go_back(aws: LocalAws, ecs: Any, ecr: Any) -> None:
    old = push_image(ecr, "agent", ["v1"])
    baking: dict[str, Any] = {"deploymentConfiguration": {"bakeTimeInMinutes": 30}}
    daemon = create(ecs, register(ecs), **baking)
    aws.advance(timedelta(hours=1))
    [before] = ecs.describe_daemon(daemonArn=daemon)["daemon"]["currentRevisions"]
    new = push_image(ecr, "agent", ["v2"])
    ecs.update_daemon(
        daemonArn=daemon, daemonTaskDefinitionArn=register(ecs, "v2"), capacityProviderArns=[PROVIDER], **baking
    )
    aws.advance(STARTED)
    assert digests(ecs, daemon) == [new]
    current = deployment(ecs, daemon)
    assert current["status"] == "IN_PROGRESS"
    assert [each["arn"] for each in current["sourceDaemonRevisions"]] == [before["arn"]]
    aws.roll_back_deployment(PRODUCTION, daemon)
    aws.advance(STARTED)
    current = deployment(ecs, daemon)
    assert current["status"] == "ROLLBACK_SUCCESSFUL"
    assert current["rollback"]["rollbackTargetDaemonRevisionArn"] == before["arn"]
    assert digests(ecs, daemon) == [old]


def test_daemons_are_listed_by_cluster_until_deleted(aws: LocalAws, ecs: Any, ecr: Any) -> None:
    push_image(ecr, "agent", ["v1"])
    definition = register(ecs)
    daemons = [create(ecs, definition, f"agent-{number}") for number in range(3)]
    first = ecs.list_daemons(clusterArn=CLUSTER, maxResults=2)
    second = ecs.list_daemons(clusterArn=CLUSTER, maxResults=2, nextToken=first["nextToken"])
    listed = [each["daemonArn"] for page in (first, second) for each in page["daemonSummariesList"]]
    assert listed == daemons
    assert "nextToken" not in second
    aws.advance(STARTED)
    ecs.delete_daemon(daemonArn=daemons[0])
    assert len(ecs.list_daemons(clusterArn=CLUSTER)["daemonSummariesList"]) == 2
    assert len(ecs.list_tasks(cluster="main")["taskArns"]) == 2
    with pytest.raises(ClientError, match="DaemonNotFoundException"):
        ecs.describe_daemon(daemonArn=daemons[0])
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_daemons(clusterArn=CLUSTER + "x")
    with pytest.raises(ClientError, match="idempotent"):
        create(ecs, definition, "agent-1")


def test_daemon_task_definitions(ecs: Any) -> None:
    first, second, other = register(ecs), register(ecs, "v2"), register(ecs, family="other")
    assert first == f"arn:aws:ecs:{REGION}:{PRODUCTION}:daemon-task-definition/agent:1"
    create(ecs, first)
    for name, expected in (("agent", second), ("agent:1", first), (other, other)):
        shown = ecs.describe_daemon_task_definition(daemonTaskDefinition=name)["daemonTaskDefinition"]
        assert (shown["daemonTaskDefinitionArn"], shown["status"]) == (expected, "ACTIVE")
        assert shown["containerDefinitions"][0]["image"].startswith(f"{HOST}/agent:v")

    def listed(**params: Any) -> list[str]:
        return [each["arn"] for each in ecs.list_daemon_task_definitions(**params)["daemonTaskDefinitions"]]

    assert listed(status="ACTIVE") == [first, second, other]
    assert listed(maxResults=1) == [first]
    ecs.delete_daemon_task_definition(daemonTaskDefinition=first)
    ecs.delete_daemon_task_definition(daemonTaskDefinition=second)
    assert listed() == [other]
    assert listed(status="DELETE_IN_PROGRESS") == [first]
    assert ecs.describe_daemon_task_definition(daemonTaskDefinition=first)["daemonTaskDefinition"]["status"] == (
        "DELETE_IN_PROGRESS"
    )
    with pytest.raises(ClientError, match="ClientException"):
        ecs.describe_daemon_task_definition(daemonTaskDefinition=second)
    with pytest.raises(ClientError, match="ClientException"):
        create(ecs, first, "another")


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("list_daemons", {"clusterArn": CLUSTER, "maxResults": 101}),
        ("list_daemon_task_definitions", {"nextToken": "none"}),
        ("describe_daemon_revisions", {"daemonRevisionArns": [f"r{number}" for number in range(21)]}),
        ("describe_daemon_deployments", {"daemonDeploymentArns": []}),
    ],
)
def test_limits_of_one_call(ecs: Any, operation: str, params: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        getattr(ecs, operation)(**params)


def test_revisions_of_services_are_not_those_of_daemons(ecs: Any) -> None:
    daemon = ecs.describe_daemon(daemonArn=create(ecs, register(ecs)))["daemon"]
    [revision] = daemon["currentRevisions"]
    services = ecs.describe_service_revisions(serviceRevisionArns=[revision["arn"]])
    assert services["failures"] == [{"arn": revision["arn"], "reason": "MISSING"}]
    deployments = ecs.describe_service_deployments(serviceDeploymentArns=[daemon["deploymentArn"]])
    assert deployments["serviceDeployments"] == []
