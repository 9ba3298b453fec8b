from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.images import push_build, push_image
from local_aws_tests.stack import PRODUCTION, REGION, SHARED

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

HOST = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = f"{HOST}/web:v1"
MINUTE = timedelta(minutes=1)
STARTED = timedelta(minutes=2)
BAKING = {"bakeTimeInMinutes": 30}


class Workload:
    """The cluster `main` of the production account, with what the tests do to it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.ecs: Any = aws.session(PRODUCTION).client("ecs")
        self.ecr: Any = aws.session(SHARED).client("ecr")
        self.ecs.create_cluster(clusterName="main")
        self.ecr.create_repository(repositoryName="web")

    def register(self, image: str = IMAGE, **container: Any) -> str:
        definition = {"name": "web", "image": image, "memory": 64, **container}
        answer = self.ecs.register_task_definition(family="web", containerDefinitions=[definition])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def serve(self, count: int = 1, definition: str | None = None, **options: Any) -> str:
        created = self.ecs.create_service(
            cluster="main",
            serviceName="web",
            taskDefinition=definition or self.register(),
            desiredCount=count,
            **options,
        )
        return str(created["service"]["serviceArn"])

    def update(self, **changes: Any) -> dict[str, Any]:
        changed: dict[str, Any] = self.ecs.update_service(cluster="main", service="web", **changes)["service"]
        return changed

    def service(self) -> dict[str, Any]:
        described: dict[str, Any] = self.ecs.describe_services(cluster="main", services=["web"])["services"][0]
        return described

    def revisions(self) -> list[dict[str, Any]]:
        arns = [each["arn"] for each in self.service()["currentServiceRevisions"]]
        found: list[dict[str, Any]] = self.ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
        return found

    def digests(self) -> list[str | None]:
        """Of the current revisions, the digest of their container."""
        return [
            image.get("imageDigest") for revision in self.revisions() for image in revision.get("containerImages", [])
        ]

    def deployment(self) -> dict[str, Any]:
        arn = self.service()["currentServiceDeployment"]
        answer = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        found: dict[str, Any] = answer["serviceDeployments"][0]
        return found

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster="main", desiredStatus=status)["taskArns"]
        found: list[dict[str, Any]] = self.ecs.describe_tasks(cluster="main", tasks=arns)["tasks"] if arns else []
        return found

    def delete(self, digest: str) -> None:
        self.ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": digest}])


@pytest.fixture
def workload(aws: LocalAws) -> Workload:
    return Workload(aws)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_tasks_wait_and_then_run(aws: LocalAws, workload: Workload) -> None:
    digest = push_image(workload.ecr, "web", ["v1"])
    workload.serve(2)
    pending = workload.tasks()
    assert [task["lastStatus"] for task in pending] == ["PENDING"] * 2
    assert [container.get("imageDigest") for task in pending for container in task["containers"]] == [None, None]
    assert workload.digests() == []
    assert (workload.service()["pendingCount"], workload.deployment()["status"]) == (2, "IN_PROGRESS")
    aws.advance(STARTED)
    running = workload.tasks()
    assert [task["lastStatus"] for task in running] == ["RUNNING"] * 2
    assert [container["imageDigest"] for task in running for container in task["containers"]] == [digest] * 2
    assert {container["image"] for task in running for container in task["containers"]} == {IMAGE, f"{IMAGE}@{digest}"}
    assert workload.digests() == [digest]
    assert (workload.service()["runningCount"], workload.deployment()["status"]) == (2, "SUCCESSFUL")
    assert aws.failed_pulls == []


def test_first_task_resolves_and_all_later_ones_pull_its_digest(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    resolved = push_image(workload.ecr, "web", ["v1"])
    aws.advance(STARTED)
    assert workload.digests() == [resolved]
    push_image(workload.ecr, "web", ["v1"])
    [old] = aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    [task] = workload.tasks()
    assert task["taskArn"] != old
    assert task["containers"][0]["imageDigest"] == resolved
    assert task["containers"][0]["image"] == f"{IMAGE}@{resolved}"


def test_replacement_fails_once_the_image_is_gone(aws: LocalAws, workload: Workload) -> None:
    digest = push_image(workload.ecr, "web", ["v1"])
    service = workload.serve()
    aws.advance(STARTED)
    push_image(workload.ecr, "web", ["v1"])
    workload.delete(digest)
    aws.replace_tasks(PRODUCTION, service="web")
    aws.advance(timedelta(seconds=61))
    failed = aws.failed_pulls[0]
    assert (failed.account, failed.region, failed.service_arn) == (PRODUCTION, REGION, service)
    assert failed.image == f"{IMAGE}@{digest}"
    stopped = {task["taskArn"]: task for task in workload.tasks("STOPPED")}[failed.task_arn]
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith("CannotPullContainerError")
    aws.advance(timedelta(hours=12))
    # It is tried again and again, ever more slowly.
    assert 40 < len(aws.failed_pulls) < 80
    assert workload.digests() == [digest]


def test_archived_image_cannot_be_pulled(aws: LocalAws, workload: Workload) -> None:
    digest = push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    image = {"imageDigest": digest}
    workload.ecr.update_image_storage_class(repositoryName="web", imageId=image, targetStorageClass="ARCHIVE")
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert "ARCHIVED" in aws.failed_pulls[0].reason


def test_nothing_is_resolved_at_zero_and_scaling_up_resolves(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve(0)
    aws.advance(STARTED)
    assert workload.service().get("currentServiceRevisions", []) == []
    assert workload.deployment()["status"] == "SUCCESSFUL"
    aws.behaviour.shows_revision_at_zero = True
    assert workload.digests() == []
    digest = push_image(workload.ecr, "web", ["v1"])
    workload.update(desiredCount=1)
    aws.advance(STARTED)
    assert workload.digests() == [digest]
    workload.update(desiredCount=0)
    assert workload.digests() == [digest]
    assert workload.tasks() == []
    push_image(workload.ecr, "web", ["v1"])
    workload.update(desiredCount=1)
    aws.advance(STARTED)
    assert workload.tasks()[0]["containers"][0]["imageDigest"] == digest


def test_container_without_version_consistency_is_never_resolved(aws: LocalAws, workload: Workload) -> None:
    first = push_image(workload.ecr, "web", ["v1"])
    workload.serve(1, workload.register(versionConsistency="disabled"))
    aws.advance(STARTED)
    assert workload.digests() == []
    assert workload.tasks()[0]["containers"][0]["imageDigest"] == first
    aws.behaviour.shows_unresolved_images = True
    assert workload.digests() == [None]
    second = push_image(workload.ecr, "web", ["v1"])
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    container = workload.tasks()[0]["containers"][0]
    assert (container["image"], container["imageDigest"]) == (IMAGE, second)


def test_definition_by_digest_keeps_it(aws: LocalAws, workload: Workload) -> None:
    digest = push_image(workload.ecr, "web", ["v1"])
    push_image(workload.ecr, "web", ["v1"])
    reference = f"{HOST}/web@{digest}"
    workload.serve(1, workload.register(reference))
    aws.advance(STARTED)
    assert workload.digests() == [digest]
    assert workload.tasks()[0]["containers"][0]["image"] == reference


@pytest.mark.parametrize("shows_platform", [True, False])
def test_digest_of_an_index(aws: LocalAws, workload: Workload, shows_platform: bool) -> None:
    aws.behaviour.shows_digest_of_platform = shows_platform
    index = push_build(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    [shown] = workload.digests()
    assert (shown != index) == shows_platform
    assert workload.tasks()[0]["containers"][0]["imageDigest"] == shown
    workload.delete(index)
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert aws.failed_pulls[0].image == f"{IMAGE}@{index}"


def test_image_of_another_registry_is_always_there(aws: LocalAws, workload: Workload) -> None:
    workload.serve(1, workload.register("public.ecr.aws/nginx/nginx:1"))
    aws.advance(STARTED)
    assert len(workload.digests()) == 1
    assert aws.failed_pulls == []


def test_deployment_replaces_tasks_and_names_its_source(aws: LocalAws, workload: Workload) -> None:
    old = push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    [source] = workload.service()["currentServiceRevisions"]
    new = push_image(workload.ecr, "web", ["v2"])
    workload.update(taskDefinition=workload.register(f"{HOST}/web:v2"))
    deployment = workload.deployment()
    assert deployment["status"] == "IN_PROGRESS"
    assert [each["arn"] for each in deployment["sourceServiceRevisions"]] == [source["arn"]]
    assert {each["arn"] for each in workload.service()["currentServiceRevisions"]} == {
        source["arn"],
        deployment["targetServiceRevision"]["arn"],
    }
    assert [task["containers"][0].get("imageDigest") for task in workload.tasks()].count(old) == 1
    aws.advance(STARTED)
    assert workload.digests() == [new]
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks()] == [new]
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks("STOPPED")] == [old]
    described = workload.ecs.describe_service_revisions(serviceRevisionArns=[source["arn"]])["serviceRevisions"]
    assert described[0]["containerImages"][0]["imageDigest"] == old


@pytest.mark.parametrize("strategy", ["ROLLING", "BLUE_GREEN"])
def test_deployment_that_bakes_can_go_back(aws: LocalAws, workload: Workload, strategy: str) -> None:
    old = push_image(workload.ecr, "web", ["v1"])
    first = workload.register()
    workload.serve(1, first, deploymentConfiguration=BAKING | {"strategy": strategy})
    aws.advance(timedelta(hours=1))
    push_image(workload.ecr, "web", ["v2"])
    workload.update(taskDefinition=workload.register(f"{HOST}/web:v2"))
    aws.advance(STARTED)
    deployment = workload.deployment()
    assert (deployment["status"], deployment["lifecycleStage"]) == ("IN_PROGRESS", "BAKE_TIME")
    assert len(workload.tasks()) == (1 if strategy == "ROLLING" else 2)
    aws.roll_back_deployment(PRODUCTION, "web")
    deployment = workload.deployment()
    assert deployment["status"] == "ROLLBACK_IN_PROGRESS" if strategy == "ROLLING" else "ROLLBACK_SUCCESSFUL"
    assert deployment["rollback"]["serviceRevisionArn"] == deployment["sourceServiceRevisions"][0]["arn"]
    aws.advance(STARTED)
    assert workload.deployment()["status"] == "ROLLBACK_SUCCESSFUL"
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks()] == [old]
    assert workload.service()["taskDefinition"] == first
    with pytest.raises(ValueError, match="no deployment"):
        aws.roll_back_deployment(PRODUCTION, "web")


def test_bake_time_ends(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve(1, deploymentConfiguration=BAKING)
    aws.advance(timedelta(minutes=29))
    assert workload.deployment()["status"] == "IN_PROGRESS"
    aws.advance(timedelta(minutes=3))
    assert workload.deployment()["status"] == "SUCCESSFUL"
    aws.behaviour.shows_finished_deployment = False
    assert "currentServiceDeployment" not in workload.service()


def test_rollback_fails_to_pull_what_is_gone(aws: LocalAws, workload: Workload) -> None:
    old = push_image(workload.ecr, "web", ["v1"])
    workload.serve(1, deploymentConfiguration=BAKING)
    aws.advance(timedelta(hours=1))
    push_image(workload.ecr, "web", ["v2"])
    workload.update(taskDefinition=workload.register(f"{HOST}/web:v2"))
    aws.advance(STARTED)
    workload.delete(old)
    arn = workload.deployment()["serviceDeploymentArn"]
    workload.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    aws.advance(STARTED)
    assert aws.failed_pulls[0].image == f"{IMAGE}@{old}"


def test_circuit_breaker_rolls_back(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    first = workload.register()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    workload.serve(1, first, deploymentConfiguration=breaker)
    aws.advance(STARTED)
    workload.update(taskDefinition=workload.register(f"{HOST}/web:missing"))
    aws.advance(timedelta(minutes=10))
    assert len(aws.failed_pulls) == 3
    assert workload.deployment()["status"] == "ROLLBACK_SUCCESSFUL"
    assert workload.service()["taskDefinition"] == first


def test_source_goes_on_while_a_deployment_cannot_start(aws: LocalAws, workload: Workload) -> None:
    old = push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    workload.update(taskDefinition=workload.register(f"{HOST}/web:missing"))
    aws.advance(timedelta(hours=1))
    aws.replace_tasks(PRODUCTION)
    aws.advance(timedelta(minutes=30))
    digests = [task["containers"][0].get("imageDigest") for task in workload.tasks()]
    assert digests.count(old) == 1
    assert workload.deployment()["status"] == "IN_PROGRESS"


@pytest.mark.parametrize("anew", [True, False])
def test_forced_deployment(aws: LocalAws, workload: Workload, anew: bool) -> None:
    aws.behaviour.forced_deployment_resolves_anew = anew
    old = push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    before = workload.service()["currentServiceDeployment"]
    new = push_image(workload.ecr, "web", ["v1"])
    workload.update(forceNewDeployment=True)
    aws.advance(STARTED)
    assert workload.service()["currentServiceDeployment"] != before
    assert workload.digests() == [new if anew else old]


def test_cluster_counts_its_tasks_and_services(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve(2)
    aws.advance(STARTED)
    workload.ecs.run_task(cluster="main", taskDefinition="web")
    [cluster] = workload.ecs.describe_clusters(clusters=["main"])["clusters"]
    counted = (cluster["activeServicesCount"], cluster["runningTasksCount"], cluster["pendingTasksCount"])
    assert counted == (1, 2, 1)


def test_scaling_is_no_deployment(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve(1)
    aws.advance(STARTED)
    before = workload.service()["currentServiceDeployment"]
    workload.update(desiredCount=3)
    aws.advance(STARTED)
    assert len(workload.tasks()) == 3
    workload.update(desiredCount=2)
    assert len(workload.tasks()) == 2
    assert workload.service()["currentServiceDeployment"] == before


def test_second_deployment_takes_the_place_of_the_first(aws: LocalAws, workload: Workload) -> None:
    for tag in ("v1", "v2", "v3"):
        push_image(workload.ecr, "web", [tag])
    workload.serve()
    aws.advance(STARTED)
    [settled] = workload.service()["currentServiceRevisions"]
    workload.update(taskDefinition=workload.register(f"{HOST}/web:v2"))
    second = workload.deployment()
    workload.update(taskDefinition=workload.register(f"{HOST}/web:v3"))
    third = workload.deployment()
    assert {each["arn"] for each in third["sourceServiceRevisions"]} == {
        settled["arn"],
        second["targetServiceRevision"]["arn"],
    }
    arns = [second["serviceDeploymentArn"], third["serviceDeploymentArn"]]
    described = workload.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]
    assert [each["status"] for each in described] == ["STOPPED", "IN_PROGRESS"]
    aws.advance(STARTED)
    assert [each["arn"] for each in workload.service()["currentServiceRevisions"]] == [
        third["targetServiceRevision"]["arn"]
    ]


def test_stopped_tasks_are_shown_for_an_hour(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    [task] = workload.tasks()
    workload.ecs.stop_task(cluster="main", task=task["taskArn"], reason="a test")
    assert [each["stoppedReason"] for each in workload.tasks("STOPPED")] == ["a test"]
    assert len(workload.tasks()) == 1
    aws.advance(timedelta(minutes=59))
    assert len(workload.tasks("STOPPED")) == 1
    aws.advance(STARTED)
    assert workload.tasks("STOPPED") == []
    answer = workload.ecs.describe_tasks(cluster="main", tasks=[task["taskArn"]])
    assert answer["failures"] == [{"arn": task["taskArn"], "reason": "MISSING"}]


def test_deleted_service_runs_nothing_and_is_not_listed(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve(2)
    aws.advance(STARTED)
    with pytest.raises(ClientError) as busy:
        workload.ecs.delete_cluster(cluster="main")
    assert code(busy) == "ClusterContainsServicesException"
    workload.ecs.delete_service(cluster="main", service="web", force=True)
    aws.advance(timedelta(hours=2))
    assert workload.tasks() == []
    assert workload.ecs.list_services(cluster="main")["serviceArns"] == []
    workload.serve(1)
    aws.advance(STARTED)
    assert len(workload.tasks()) == 1


def test_service_is_not_created_twice_nor_in_a_deleted_cluster(workload: Workload) -> None:
    workload.serve(2)
    with pytest.raises(ClientError, match="not idempotent"):
        workload.serve(1)
    assert len(workload.tasks()) == 2
    workload.ecs.delete_service(cluster="main", service="web", force=True)
    workload.ecs.delete_cluster(cluster="main")
    assert workload.ecs.list_clusters()["clusterArns"] == []
    for call in (workload.serve, workload.tasks):
        with pytest.raises(ClientError) as inactive:
            call()
        assert code(inactive) == "ClusterNotFoundException"


def test_service_goes_on_from_a_deleted_task_definition(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    definition = workload.register()
    workload.serve(1, definition)
    aws.advance(STARTED)
    workload.ecs.deregister_task_definition(taskDefinition=definition)
    workload.ecs.delete_task_definitions(taskDefinitions=[definition])
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert [task["lastStatus"] for task in workload.tasks()] == ["RUNNING"]


def test_standalone_task_resolves_at_start_and_is_not_replaced(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    definition = workload.register()
    [task] = workload.ecs.run_task(cluster="main", taskDefinition=definition, startedBy="me")["tasks"]
    digest = push_image(workload.ecr, "web", ["v1"])
    aws.advance(STARTED)
    [shown] = workload.tasks()
    assert (shown["containers"][0]["imageDigest"], shown["startedBy"]) == (digest, "me")
    assert aws.replace_tasks(PRODUCTION) == []
    workload.ecs.stop_task(cluster="main", task=task["taskArn"].rpartition("/")[2])
    aws.advance(STARTED)
    assert workload.tasks() == []
    workload.delete(digest)
    workload.ecs.run_task(cluster="main", taskDefinition=definition)
    aws.advance(STARTED)
    assert aws.failed_pulls[0].service_arn is None


@pytest.mark.parametrize("options", [{"count": 11}, {"cluster": "other"}, {"taskDefinition": "other:1"}])
def test_what_run_task_refuses(workload: Workload, options: dict[str, Any]) -> None:
    request = {"cluster": "main", "taskDefinition": workload.register()} | options
    with pytest.raises(ClientError):
        workload.ecs.run_task(**request)
    assert workload.tasks() == []


def test_pull_is_recorded_where_that_is_chosen(aws: LocalAws, workload: Workload) -> None:
    push_image(workload.ecr, "web", ["v1"])
    workload.serve()
    aws.advance(STARTED)
    assert "lastRecordedPullTime" not in workload.ecr.describe_images(repositoryName="web")["imageDetails"][0]
    aws.behaviour.records_pulls_of_tasks = True
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert workload.ecr.describe_images(repositoryName="web")["imageDetails"][0]["lastRecordedPullTime"]


def all_pages(call: Any, member: str, **params: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while True:
        answer = call(**params, **token)
        pages.append(answer[member])
        if "nextToken" not in answer:
            return pages
        token = {"nextToken": answer["nextToken"]}


def test_lists_have_pages(workload: Workload) -> None:
    definition = workload.register()
    for number in range(12):
        workload.ecs.create_cluster(clusterName=f"cluster-{number}")
        name = f"service-{number}"
        workload.ecs.create_service(cluster="main", serviceName=name, taskDefinition=definition, desiredCount=9)
    assert [len(each) for each in all_pages(workload.ecs.list_tasks, "taskArns", cluster="main")] == [100, 8]
    assert [len(each) for each in all_pages(workload.ecs.list_services, "serviceArns", cluster="main")] == [10, 2]
    services = all_pages(workload.ecs.list_services, "serviceArns", cluster="main", maxResults=100)
    assert [len(each) for each in services] == [12]
    assert [len(each) for each in all_pages(workload.ecs.list_clusters, "clusterArns", maxResults=9)] == [9, 4]
    for _ in range(3):
        workload.register()
    pages = all_pages(workload.ecs.list_task_definitions, "taskDefinitionArns", status="ACTIVE", maxResults=3)
    assert [len(each) for each in pages] == [3, 1]
    of_one = workload.ecs.list_tasks(cluster="main", serviceName="service-3")["taskArns"]
    assert len(of_one) == 9


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("list_tasks", {"cluster": "main", "maxResults": 101}),
        ("list_tasks", {"cluster": "main", "nextToken": "none"}),
        ("list_services", {"cluster": "main", "maxResults": 101}),
        ("describe_services", {"cluster": "main", "services": [f"s{number}" for number in range(11)]}),
        ("describe_services", {"cluster": "main", "services": []}),
        ("describe_tasks", {"cluster": "main", "tasks": [f"t{number}" for number in range(101)]}),
        ("describe_service_revisions", {"serviceRevisionArns": [f"r{number}" for number in range(21)]}),
        ("describe_service_deployments", {"serviceDeploymentArns": [f"d{number}" for number in range(21)]}),
        ("start_task", {"cluster": "main", "taskDefinition": "web", "containerInstances": ["i"]}),
    ],
)
def test_limits_of_one_call(workload: Workload, operation: str, params: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(workload.ecs, operation)(**params)
    assert code(refused) == "InvalidParameterException"


def test_what_is_of_another_account_is_refused_and_what_is_unknown_missing(
    workload: Workload, shared: boto3.Session
) -> None:
    workload.serve()
    [revision] = workload.service()["currentServiceRevisions"]
    deployment = workload.service()["currentServiceDeployment"]
    other: Any = shared.client("ecs")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.describe_service_revisions(serviceRevisionArns=[revision["arn"]])
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.describe_service_deployments(serviceDeploymentArns=[deployment])
    answer = workload.ecs.describe_service_revisions(serviceRevisionArns=[revision["arn"] + "1", revision["arn"]])
    assert [each["serviceRevisionArn"] for each in answer["serviceRevisions"]] == [revision["arn"]]
    assert answer["failures"] == [{"arn": revision["arn"] + "1", "reason": "MISSING"}]
    answer = workload.ecs.describe_service_deployments(serviceDeploymentArns=[deployment + "1"])
    assert (answer["serviceDeployments"], answer["failures"]) == ([], [{"arn": deployment + "1", "reason": "MISSING"}])
    for operation in ("list_tasks", "list_services"):
        with pytest.raises(ClientError) as unknown:
            getattr(workload.ecs, operation)(cluster="other")
        assert code(unknown) == "ClusterNotFoundException"


def test_external_service_shows_its_task_sets_and_no_revisions(workload: Workload) -> None:
    controller = {"type": "EXTERNAL"}
    workload.ecs.create_service(cluster="main", serviceName="web", desiredCount=2, deploymentController=controller)
    definition = workload.register()
    scale = {"value": 100, "unit": "PERCENT"}
    workload.ecs.create_task_set(cluster="main", service="web", taskDefinition=definition, scale=scale)
    shown = workload.service()
    assert [each["taskDefinition"] for each in shown["taskSets"]] == [definition]
    assert "currentServiceRevisions" not in shown
    assert "currentServiceDeployment" not in shown


@pytest.mark.parametrize("once", [True, False])
def test_task_sets_run_their_share(aws: LocalAws, workload: Workload, once: bool) -> None:
    aws.behaviour.task_sets_resolve_once = once
    old = push_image(workload.ecr, "web", ["v1"])
    controller = {"type": "EXTERNAL"}
    workload.ecs.create_service(cluster="main", serviceName="web", desiredCount=3, deploymentController=controller)
    place = {"cluster": "main", "service": "web"}
    scale = {"value": 50, "unit": "PERCENT"}
    created = workload.ecs.create_task_set(**place, taskDefinition=workload.register(), scale=scale)["taskSet"]
    aws.advance(STARTED)
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks()] == [old] * 2
    assert {task["group"] for task in workload.tasks()} == {"service:web"}
    [shown] = workload.service()["taskSets"]
    assert (shown["runningCount"], shown["computedDesiredCount"]) == (2, 2)
    new = push_image(workload.ecr, "web", ["v1"])
    assert len(aws.replace_tasks(PRODUCTION, service="web")) == 2
    aws.advance(STARTED)
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks()] == [old if once else new] * 2
    workload.update(desiredCount=6)
    aws.advance(STARTED)
    assert len(workload.tasks()) == 3
    workload.ecs.update_task_set(**place, taskSet=created["taskSetArn"], scale=scale | {"value": 0})
    assert workload.tasks() == []
    workload.ecs.update_task_set(**place, taskSet=created["taskSetArn"], scale=scale)
    assert len(workload.tasks()) == 3
    workload.ecs.delete_task_set(**place, taskSet=created["taskSetArn"], force=True)
    assert workload.tasks() == []


def test_service_of_code_deploy_runs_tasks_without_revisions(aws: LocalAws, workload: Workload) -> None:
    digest = push_image(workload.ecr, "web", ["v1"])
    workload.serve(2, deploymentController={"type": "CODE_DEPLOY"})
    aws.advance(STARTED)
    assert [task["containers"][0]["imageDigest"] for task in workload.tasks()] == [digest] * 2
    shown = workload.service()
    assert shown["runningCount"] == 2
    assert "currentServiceRevisions" not in shown
    workload.delete(digest)
    aws.replace_tasks(PRODUCTION)
    aws.advance(STARTED)
    assert aws.failed_pulls[0].image == f"{IMAGE}@{digest}"
    workload.ecs.delete_service(cluster="main", service="web", force=True)
    assert workload.tasks() == []
