from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape

from ecr_cleanup.aws import clients
from safety.model import Model, Reference, Runner
from safety.parts import TASK_SET
from safety.teams import Teams
from safety.workloads import Role, Shown
from safety.world import LIVE_USAGE, PLACES, REGION, Run, World

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = PLACES[0]
ROLE = f"arn:aws:iam::{PLACE.account}:role/ecr-cleanup-reader-{REGION}"
HOUR = timedelta(hours=1)


@pytest.fixture
def teams() -> Iterator[Teams]:
    with World() as world:
        world.set_environment(**LIVE_USAGE)
        teams = Teams(world, Model(world))
        teams.repository("team/app")
        world.run = Run("run_checks")
        yield teams


def session() -> clients.Credentials:
    assumed = clients.sts_client().assume_role(
        RoleArn=ROLE, RoleSessionName="test", ExternalId=LIVE_USAGE["READER_EXTERNAL_ID"], DurationSeconds=900
    )
    found = assumed["Credentials"]
    return clients.Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def client(service: str) -> Any:
    return clients.place_client(service, session(), REGION)


def running(teams: Teams, *, tag: str = "v1", desired: int = 1, takes: timedelta = timedelta()) -> Runner:
    teams.push(teams.model.repositories["team/app"], tag)
    definition = teams.register(PLACE, Reference("team/app", tag, None))
    return teams.deploy(definition, desired=desired, takes=takes)


def revision(arn: str) -> dict[str, Any]:
    described = client("ecs").describe_service_revisions(serviceRevisionArns=[arn])
    found: dict[str, Any] = described["serviceRevisions"][0]
    return found


def service(runner: Runner) -> dict[str, Any]:
    found: dict[str, Any] = client("ecs").describe_services(cluster="default", services=[runner.arn])["services"][0]
    return found


def misfits(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """Where an answer is not of the shape that botocore's model says."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            if name in shape.members:
                yield from misfits(shape.members[name], member, f"{where}.{name}")
            else:
                yield f"{where} has no {name}"
    elif isinstance(shape, ListShape):
        for member in value:
            yield from misfits(shape.member, member, where)
    else:
        expected = {"string": str, "integer": int, "boolean": bool, "timestamp": object}[shape.type_name]
        if not isinstance(value, expected):
            yield f"{where} is {value!r}"
        if (allowed := getattr(shape, "enum", None)) and value not in allowed:
            yield f"{where} is {value!r}, and not one of {allowed}"


def test_every_answer_has_the_shape_of_botocores_model(teams: Teams) -> None:
    runner = running(teams)
    definition = runner.deployment.task_definition
    teams.update(runner, definition, bakes=HOUR)
    teams.roll_back(runner)
    teams.deploy(definition, TASK_SET)
    task = teams.run_task(definition)
    reference = definition.references[0]
    function = teams.set_code(PLACE, reference)
    for _ in range(4):
        teams.define_job(PLACE, reference)
    for kind in ("rule", "schedule", "call"):
        teams.point(kind, definition)
    rollout = service(runner)["currentServiceDeployment"]
    cluster = f"arn:aws:ecs:{REGION}:{PLACE.account}:cluster/default"
    schedules = client("scheduler").list_schedules(GroupName="default")["Schedules"]
    calls: dict[tuple[str, str], list[dict[str, Any]]] = {
        ("config", "DescribeConfigurationRecorders"): [{}],
        ("config", "DescribeConfigurationRecorderStatus"): [{}],
        ("ecs", "ListTaskDefinitions"): [{"status": "ACTIVE", "maxResults": 100}],
        ("ecs", "DescribeTaskDefinition"): [{"taskDefinition": definition.arn}, {"taskDefinition": "app"}],
        ("ecs", "ListClusters"): [{"maxResults": 100}],
        ("ecs", "ListServices"): [{"cluster": cluster, "maxResults": 100}],
        ("ecs", "DescribeServices"): [
            {"cluster": cluster, "services": client("ecs").list_services(cluster=cluster)["serviceArns"]}
        ],
        ("ecs", "DescribeServiceDeployments"): [{"serviceDeploymentArns": [rollout]}],
        ("ecs", "DescribeServiceRevisions"): [
            {"serviceRevisionArns": [each["arn"] for each in service(runner)["currentServiceRevisions"]]}
        ],
        ("ecs", "ListTasks"): [{"cluster": "jobs"}, {"cluster": "default", "desiredStatus": "STOPPED"}],
        ("ecs", "DescribeTasks"): [{"cluster": "jobs", "tasks": [task.arn, "arn:aws:ecs:::task/jobs/none"]}],
        ("ecs", "ListDaemons"): [{"clusterArn": cluster}],
        ("ecs", "ListDaemonTaskDefinitions"): [{"status": "ACTIVE"}],
        ("events", "ListEventBuses"): [{"Limit": 100}],
        ("events", "ListRuleNamesByTarget"): [{"TargetArn": cluster, "EventBusName": "default"}],
        ("events", "ListTargetsByRule"): [{"Rule": teams.model.pointers[0].name, "EventBusName": "default"}],
        ("scheduler", "ListScheduleGroups"): [{}],
        ("scheduler", "ListSchedules"): [{"GroupName": "default"}],
        ("scheduler", "GetSchedule"): [{"Name": each["Name"], "GroupName": "default"} for each in schedules],
        ("lambda", "ListFunctions"): [{"FunctionVersion": "ALL", "MaxItems": 50}],
        ("lambda", "GetFunction"): [{"FunctionName": function.arn, "Qualifier": "$LATEST"}],
        ("batch", "DescribeJobDefinitions"): [{"status": "ACTIVE", "maxResults": 100}],
    }
    found: list[str] = []
    for (name, operation), parameters in calls.items():
        asked = client(name)
        method = next(each for each, wanted in asked.meta.method_to_api_mapping.items() if wanted == operation)
        shape = asked.meta.service_model.operation_model(operation).output_shape
        for each in parameters:
            answer = getattr(asked, method)(**each)
            del answer["ResponseMetadata"]
            # Of daemons there are none; of all else there is something.
            assert any(answer.values()) is ("Daemon" not in operation)
            found += misfits(shape, answer, operation)
    assert found == []


def test_pages_are_short_and_complete(teams: Teams) -> None:
    runner = running(teams)
    for _ in range(4):
        teams.define_job(PLACE, runner.deployment.task_definition.references[0])
    pages = client("batch").get_paginator("describe_job_definitions").paginate(status="ACTIVE")
    assert [len(page["jobDefinitions"]) for page in pages] == [3, 1]


def test_a_revision_shows_no_digest_before_its_first_task_has_pulled(teams: Teams) -> None:
    runner = running(teams, takes=HOUR)
    arn = service(runner)["currentServiceRevisions"][0]["arn"]
    assert "imageDigest" not in revision(arn)["containerImages"][0]
    teams.world.run = None
    newer = teams.push(teams.model.repositories["team/app"], "v1")
    teams.world.advance(HOUR)
    teams.push(teams.model.repositories["team/app"], "v1")
    teams.world.run = Run("run_checks")
    assert revision(arn)["containerImages"][0]["imageDigest"] == newer.key.digest
    teams.replace_task(runner)
    task = client("ecs").list_tasks(cluster="default")["taskArns"]
    described = client("ecs").describe_tasks(cluster="default", tasks=task)["tasks"][0]
    assert described["containers"][0]["imageDigest"] == newer.key.digest


def test_a_task_without_version_consistency_pulls_what_the_tag_means_then(teams: Teams) -> None:
    repository = teams.model.repositories["team/app"]
    teams.push(repository, "v1")
    runner = teams.deploy(teams.register(PLACE, Reference("team/app", "v1", None), is_consistent=False))
    newer = teams.push(repository, "v1")
    teams.replace_task(runner)
    arn = service(runner)["currentServiceRevisions"][0]["arn"]
    assert "imageDigest" not in revision(arn)["containerImages"][0]
    tasks = client("ecs").list_tasks(cluster="default", desiredStatus="RUNNING")["taskArns"]
    described = client("ecs").describe_tasks(cluster="default", tasks=tasks)["tasks"]
    assert [each["containers"][0]["imageDigest"] for each in described] == [newer.key.digest]


def test_a_deployment_in_progress_names_what_it_can_go_back_to(teams: Teams) -> None:
    runner = running(teams)
    first = service(runner)["currentServiceRevisions"][0]["arn"]
    teams.update(runner, teams.register(PLACE, Reference("team/app", "v1", None)), bakes=HOUR)
    arn = service(runner)["currentServiceDeployment"]
    described = client("ecs").describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert (described["status"], [each["arn"] for each in described["sourceServiceRevisions"]]) == (
        "IN_PROGRESS",
        [first],
    )
    teams.roll_back(runner)
    described = client("ecs").describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert described["status"] == "ROLLBACK_IN_PROGRESS"
    assert described["rollback"]["serviceRevisionArn"] == first
    assert service(runner)["currentServiceRevisions"][0]["arn"] == first


def test_an_index_can_be_pinned_and_its_child_be_shown(teams: Teams) -> None:
    teams.world.habits.shown = Shown.INDEX_AS_CHILD
    index = teams.push_index(teams.model.repositories["team/app"], "v1")
    runner = teams.deploy(teams.register(PLACE, Reference("team/app", "v1", None)))
    assert runner.deployment.pinned == {index.key}
    arn = service(runner)["currentServiceRevisions"][0]["arn"]
    assert revision(arn)["containerImages"][0]["imageDigest"] == index.children[0]


def test_a_stopped_task_is_shown_for_an_hour(teams: Teams) -> None:
    running(teams)
    task = teams.run_task(teams.model.task_definitions[0])
    teams.end_task(task)
    for minutes, expected in ((59, [task.arn]), (2, [])):
        teams.world.run = None
        teams.world.advance(timedelta(minutes=minutes))
        teams.world.run = Run("run_checks")
        assert client("ecs").list_tasks(cluster="jobs", desiredStatus="STOPPED")["taskArns"] == expected


def test_a_reader_role_that_is_missing_throttled_or_stripped_reads_nothing(teams: Teams) -> None:
    assert client("ecs").list_clusters()["clusterArns"] == []
    teams.world.workloads.roles[PLACE] = Role.STRIPPED
    with pytest.raises(ClientError, match="AccessDeniedException"):
        client("ecs").list_clusters()
    for role in (Role.MISSING, Role.THROTTLED):
        teams.world.workloads.roles[PLACE] = role
        with pytest.raises(ClientError, match=role.value):
            session()


def test_a_session_ends_and_is_for_its_region_alone(teams: Teams) -> None:
    credentials = session()
    place_client: Any = clients.place_client
    with pytest.raises(ClientError, match="AccessDeniedException"):
        place_client("ecs", credentials, "eu-west-1").list_clusters()
    reader = place_client("ecs", credentials, REGION)
    teams.world.run = None
    teams.world.advance(timedelta(minutes=16))
    teams.world.run = Run("run_checks")
    with pytest.raises(ClientError, match="ExpiredToken"):
        reader.list_clusters()


def test_who_does_not_know_the_external_id_is_refused(teams: Teams) -> None:
    sts: Any = clients.sts_client()
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="test", ExternalId="another", DurationSeconds=900)
