"""What runs in the accounts right now keeps images, and frees those of which nobody could say so before."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ecr_cleanup.decision import Verdict
from ecr_cleanup.live_usage import LiveUsage, Pace
from fake_accounts import ROLE
from fakes import DEV, HOST, PROD, REGION, SHARED
from integration.bench import (
    ARN,
    DAY,
    REFERENCE,
    SERVICE,
    Bench,
    make_bench,  # noqa: F401 - the fixture "bench"
    register,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecr_cleanup.image import ImageId

APP = f"{HOST}/team/app"
LATEST = f"{APP}:latest"
OTHER = "sha256:" + "e" * 64
# The last look is at an image that nothing else keeps.
ASKED = "in_use"


@pytest.fixture
def live(bench: Bench) -> Bench:
    bench.ask_accounts()
    return bench


def digest(bench: Bench) -> str:
    return bench.image_id.digest


# What keeps an image. In each, the tag of what runs means another image by now, or none.


def a_service_revision(bench: Bench) -> str:
    account = bench.accounts[PROD]
    account.deploy("app", account.register("app:1", LATEST, active=False), (LATEST, digest(bench)))
    return "service "


def a_service_revision_that_ecs_renders_with_its_digest(bench: Bench) -> str:
    account = bench.accounts[PROD]
    image = f"{LATEST}@{digest(bench)}"
    account.deploy("app", account.register("app:1", LATEST, active=False), (image, digest(bench)))
    return "service"


def a_service_at_desired_count_0_whose_digest_was_resolved(bench: Bench) -> str:
    account = bench.accounts[DEV]
    account.deploy("app", account.register("app:1", LATEST), (LATEST, digest(bench)), count=0)
    return "service"


def the_source_of_a_deployment_in_progress(bench: Bench) -> str:
    account = bench.accounts[PROD]
    new, old = account.register("app:2", LATEST), account.register("app:1", LATEST, active=False)
    service = account.deploy("app", new, (LATEST, OTHER), state="IN_PROGRESS")
    service["currentServiceDeployment"] = "arn:deployment"
    account.deployments["arn:deployment"] = {
        "serviceArn": service["serviceArn"],
        "status": "IN_PROGRESS",
        "sourceServiceRevisions": [account.revision("app", old, (LATEST, digest(bench)), count=0)],
        "targetServiceRevision": service["currentServiceRevisions"][0],
    }
    return "service"


def what_a_failed_deployment_rolls_back_to(bench: Bench) -> str:
    account = bench.accounts[PROD]
    new, old = account.register("app:2", LATEST), account.register("app:1", LATEST, active=False)
    service = account.deploy("app", new, (LATEST, OTHER), state="FAILED")
    service["currentServiceDeployment"] = "arn:deployment"
    back = account.revision("app", old, (LATEST, digest(bench)))["arn"]
    account.deployments["arn:deployment"] = {
        "serviceArn": service["serviceArn"],
        "status": "ROLLBACK_REQUESTED",
        "rollback": {"serviceRevisionArn": back},
    }
    return "service"


def the_target_of_a_deployment_that_has_just_begun(bench: Bench) -> str:
    account = bench.accounts[PROD]
    new, old = account.register("app:2", LATEST), account.register("app:1", LATEST, active=False)
    service = account.deploy("app", old, (LATEST, OTHER), state="IN_PROGRESS")
    service["currentServiceDeployment"] = "arn:deployment"
    account.deployments["arn:deployment"] = {
        "serviceArn": service["serviceArn"],
        "status": "IN_PROGRESS",
        "targetServiceRevision": account.revision("app", new, (LATEST, digest(bench))),
    }
    return "service"


def a_running_task(bench: Bench) -> str:
    bench.accounts[PROD].run((LATEST, digest(bench)))
    return "task"


def a_task_that_stopped_within_the_hour(bench: Bench) -> str:
    bench.accounts[PROD].run((LATEST, digest(bench)), status="STOPPED")
    return "task"


def the_last_of_many_tasks_in_the_last_cluster(bench: Bench) -> str:
    account = bench.accounts[DEV]
    for number in range(101):
        account.add_cluster(f"cluster-{number}")
    for _ in range(250):
        account.run((LATEST, OTHER), cluster="cluster-100")
    account.run((f"{HOST}/other:v1", OTHER), (LATEST, digest(bench)), cluster="cluster-100")
    return "task"


def the_last_of_many_services(bench: Bench) -> str:
    account = bench.accounts[DEV]
    for number in range(211):
        account.deploy(f"app-{number}", account.register("app:1", LATEST), (LATEST, OTHER))
    account.deploy("last", account.register("app:1", LATEST), (LATEST, digest(bench)))
    return "service"


def a_task_that_pulls_by_a_name_of_its_own(bench: Bench) -> str:
    bench.accounts[PROD].run(("registry.example.com/app:v7", digest(bench)))
    return "task"


def a_task_definition_that_the_aggregator_does_not_show(bench: Bench) -> str:
    bench.accounts[PROD].register("new:1", REFERENCE)
    return "task definition"


def a_service_without_revisions_on_an_inactive_task_definition(bench: Bench) -> str:
    account = bench.accounts[PROD]
    account.deploy("app", account.register("app:1", REFERENCE, active=False))
    return "service"


def a_task_set(bench: Bench) -> str:
    account = bench.accounts[PROD]
    service = account.deploy("app", account.register("app:2", f"{HOST}/other:v1"))
    old = account.register("app:1", REFERENCE, active=False)
    service["taskSets"] = [{"taskSetArn": account.arn("ecs", "task-set/main/app/1"), "taskDefinition": old}]
    return "task set"


def a_rule(bench: Bench) -> str:
    account = bench.accounts[PROD]
    account.add_cluster()
    account.buses.append("nightly")
    account.rules.append(("nightly", "job", account.register("job:3", REFERENCE, active=False)))
    return "EventBridge rule"


def a_schedule(bench: Bench) -> str:
    account = bench.accounts[PROD]
    definition = account.register("job:3", REFERENCE, active=False)
    target = {"Arn": account.add_cluster(), "EcsParameters": {"TaskDefinitionArn": definition}}
    account.schedules.append(("nightly", "job", target))
    return "schedule"


def a_schedule_by_a_universal_target(bench: Bench) -> str:
    account = bench.accounts[PROD]
    account.add_cluster()
    definition = account.register("job:3", REFERENCE, active=False)
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:ecs:runTask",
        "Input": f'{{"TaskDefinition": "{definition}", "Cluster": "main"}}',
    }
    account.schedules.append(("default", "job", target))
    return "schedule"


def a_function(bench: Bench) -> str:
    bench.accounts[PROD].create_function("resize", REFERENCE, f"{APP}@{digest(bench)}")
    return "Lambda function"


def an_old_version_of_a_function(bench: Bench) -> str:
    account = bench.accounts[PROD]
    for number in range(120):
        account.create_function(f"zip-{number}", None, None)
    account.create_function("resize", LATEST, f"{APP}@{OTHER}")
    account.create_function("resize", LATEST, f"{APP}@{digest(bench)}", version="1")
    return "Lambda function"


@pytest.mark.parametrize(
    "properties",
    [
        {"containerProperties": {"image": REFERENCE}},
        {"nodeProperties": {"nodeRangeProperties": [{"targetNodes": "0:", "container": {"image": REFERENCE}}]}},
        {"ecsProperties": {"taskProperties": [{"containers": [{"name": "a", "image": REFERENCE}]}]}},
        {"eksProperties": {"podProperties": {"initContainers": [{"image": REFERENCE}]}}},
    ],
    ids=lambda properties: next(iter(properties)),
)
def test_keeps_what_jobs_can_be_started_from(live: Bench, properties: dict[str, object]) -> None:
    arn = live.accounts[PROD].arn("batch", "job-definition/render:1")
    live.accounts[PROD].job_definitions.append({"jobDefinitionArn": arn, **properties})
    answer = live.answer()
    assert answer.decision.rule == "in_use"
    assert f"{arn} (live: " in answer.decision.reason


def a_daemon(bench: Bench) -> str:
    account = bench.accounts[PROD]
    cluster = account.add_cluster()
    arn = account.arn("ecs", "daemon/main/agent")
    account.daemons[arn] = {"daemonArn": arn, "clusterArn": cluster, "currentRevisions": [{"arn": "arn:revision"}]}
    account.daemon_revisions["arn:revision"] = {
        "daemonRevisionArn": "arn:revision",
        "containerImages": [{"containerName": "c", "image": LATEST, "imageDigest": digest(bench)}],
    }
    return "daemon"


def what_a_daemon_goes_back_to(bench: Bench) -> str:
    a_daemon(bench)
    account = bench.accounts[PROD]
    (daemon,) = account.daemons.values()
    daemon |= {"currentRevisions": [], "deploymentArn": "arn:deployment"}
    account.daemon_deployments["arn:deployment"] = {
        "daemonDeploymentArn": "arn:deployment",
        "status": "IN_PROGRESS",
        "sourceDaemonRevisions": [{"arn": "arn:revision"}],
    }
    return "daemon"


def the_target_of_a_deployment_of_a_daemon(bench: Bench) -> str:
    what_a_daemon_goes_back_to(bench)
    deployment = bench.accounts[PROD].daemon_deployments["arn:deployment"]
    deployment |= {"sourceDaemonRevisions": [], "targetDaemonRevision": {"arn": "arn:revision"}}
    return "daemon"


def what_a_daemon_rolls_back_to(bench: Bench) -> str:
    what_a_daemon_goes_back_to(bench)
    deployment = bench.accounts[PROD].daemon_deployments["arn:deployment"]
    deployment |= {
        "status": "ROLLBACK_IN_PROGRESS",
        "sourceDaemonRevisions": [],
        "rollback": {"rollbackTargetDaemonRevisionArn": "arn:revision"},
    }
    return "daemon"


def a_daemon_task_definition(bench: Bench) -> str:
    account = bench.accounts[PROD]
    account.add_cluster()
    account.daemon_task_definitions[account.arn("ecs", "daemon-task-definition/agent:1")] = [REFERENCE]
    return "daemon task definition"


KEEPS = [
    a_service_revision,
    a_service_revision_that_ecs_renders_with_its_digest,
    a_service_at_desired_count_0_whose_digest_was_resolved,
    the_source_of_a_deployment_in_progress,
    what_a_failed_deployment_rolls_back_to,
    the_target_of_a_deployment_that_has_just_begun,
    a_running_task,
    a_task_that_stopped_within_the_hour,
    the_last_of_many_tasks_in_the_last_cluster,
    the_last_of_many_services,
    a_task_that_pulls_by_a_name_of_its_own,
    a_task_definition_that_the_aggregator_does_not_show,
    a_service_without_revisions_on_an_inactive_task_definition,
    a_task_set,
    a_rule,
    a_schedule,
    a_schedule_by_a_universal_target,
    a_function,
    an_old_version_of_a_function,
    a_daemon,
    what_a_daemon_goes_back_to,
    the_target_of_a_deployment_of_a_daemon,
    what_a_daemon_rolls_back_to,
    a_daemon_task_definition,
]


@pytest.mark.parametrize("arrange", KEEPS, ids=lambda arrange: arrange.__name__)
def test_keeps_what_runs(live: Bench, arrange: Callable[[Bench], str]) -> None:
    kind = arrange(live)
    answer = live.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "in_use"), answer.decision.reason
    assert "(live: " in answer.decision.reason
    assert {usage.kind for usage in answer.users} == {kind.strip()}
    assert live.left(live.image_id)


@pytest.mark.parametrize("arrange", KEEPS, ids=lambda arrange: arrange.__name__)
def test_what_runs_is_not_seen_without_asking(bench: Bench, arrange: Callable[[Bench], str]) -> None:
    """So that each of the tests above is about what was asked, and nothing else."""
    arrange(bench)
    assert bench.answer().done
    assert not bench.accounts.calls


def test_removes_what_runs_nowhere(live: Bench) -> None:
    account = live.accounts[PROD]
    account.deploy("app", account.register("app:2", LATEST), (LATEST, OTHER))
    account.run((LATEST, OTHER))
    account.create_function("resize", LATEST, f"{APP}@{OTHER}")
    assert live.answer().done
    assert not live.left(live.image_id)


# Places that cannot be read


@pytest.mark.parametrize("operation", ["AssumeRole", "ListClusters", "ListTaskDefinitions", "ListFunctions"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalFailure"])
def test_one_account_that_cannot_be_read_stops_all_removals(live: Bench, operation: str, code: str) -> None:
    live.accounts.errors[DEV, operation] = code
    answer = live.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "inventory_not_trusted")
    assert str(DEV) in answer.decision.reason
    assert f":{operation}" in answer.decision.reason
    assert code in answer.decision.reason
    assert answer.next_check_at
    assert live.left(live.image_id)


EVERYTHING_IS_THERE = [
    "DescribeConfigurationRecorderStatus",
    "DescribeConfigurationRecorders",
    "ListTaskDefinitions",
    "DescribeTaskDefinition",
    "ListClusters",
    "ListServices",
    "DescribeServices",
    "ListTasks",
    "DescribeTasks",
    "DescribeServiceDeployments",
    "DescribeServiceRevisions",
    "ListDaemons",
    "DescribeDaemon",
    "DescribeDaemonDeployments",
    "DescribeDaemonRevisions",
    "ListDaemonTaskDefinitions",
    "DescribeDaemonTaskDefinition",
    "ListEventBuses",
    "ListRuleNamesByTarget",
    "ListTargetsByRule",
    "ListScheduleGroups",
    "ListSchedules",
    "GetSchedule",
    "ListFunctions",
    "GetFunction",
    "DescribeJobDefinitions",
]


def everything(bench: Bench) -> None:
    """One of each kind of consumer, of other images."""
    account = bench.accounts[PROD]
    other = f"{HOST}/other:v1"
    service = account.deploy("app", account.register("app:2", other), (other, OTHER), state="IN_PROGRESS")
    service["currentServiceDeployment"] = "arn:deployment"
    account.deployments["arn:deployment"] = {"serviceArn": service["serviceArn"], "status": "IN_PROGRESS"}
    account.run((other, OTHER))
    account.rules.append(("default", "job", account.register("job:1", other, active=False)))
    account.schedules.append(("nightly", "job", {"Arn": account.clusters[0]}))
    account.create_function("resize", other, f"{HOST}/other@{OTHER}")
    what_a_daemon_goes_back_to(bench)
    account.daemon_revisions["arn:revision"]["containerImages"][0]["imageDigest"] = OTHER
    account.daemon_task_definitions["arn:daemon-task-definition"] = [other]


@pytest.mark.parametrize("operation", EVERYTHING_IS_THERE)
def test_each_call_that_fails_is_a_reason_to_keep(live: Bench, operation: str) -> None:
    account, other = live.accounts[PROD], f"{HOST}/other:v1"
    everything(live)
    assert live.answer().done, "nothing else keeps it"
    assert set(live.accounts.operations(PROD)) == {"AssumeRole", *EVERYTHING_IS_THERE}

    again = live.push("v2", content="two")
    live.used(again)
    # Of functions, what was read is remembered.
    account.create_function("new", other, f"{HOST}/other@{OTHER}", version="2")
    live.accounts.errors[PROD, operation] = "AccessDeniedException"
    (answer,) = live.check(again)
    assert answer.decision.rule == "inventory_not_trusted"
    assert f"ecr-cleanup-reader-{REGION} call " in answer.decision.reason
    assert f":{operation}" in answer.decision.reason
    assert live.left(again)


def test_a_role_that_is_missing_is_said_with_what_makes_it(live: Bench) -> None:
    del live.accounts.roles[f"arn:aws:iam::{DEV.account}:role/{ROLE}-{REGION}"]
    reason = live.answer().decision.reason
    assert f"{DEV}: what runs there could not be read at sts:AssumeRole" in reason
    assert "apply the module workload_account there with live_usage = true" in reason
    assert "exempt the account and region by name" in reason


def test_an_account_that_is_exempt_is_not_asked(bench: Bench) -> None:
    bench.ask_accounts(EXEMPT_ACCOUNTS=DEV.account)
    bench.accounts.errors[DEV, "AssumeRole"] = "AccessDenied"
    assert bench.answer().done
    assert not bench.accounts.operations(DEV)


def test_another_external_id_does_not_get_in(bench: Bench) -> None:
    bench.configure(READER_ROLE_NAME=ROLE, READER_EXTERNAL_ID="arn:another")
    assert bench.answer().decision.rule == "inventory_not_trusted"
    assert bench.left(bench.image_id)


def test_what_was_not_read_in_time_postpones(live: Bench) -> None:
    def the_time_is_up() -> None:
        live.time_left = timedelta(minutes=4)

    live.accounts.before[DEV, "AssumeRole"] = the_time_is_up
    answer = live.answer()
    assert answer.decision.rule == "inventory_not_trusted"
    assert f"{PROD}: what runs there could not be read" in answer.decision.reason or (
        f"{DEV}: what runs there could not be read" in answer.decision.reason
    )
    assert "not enough time" in answer.decision.reason
    assert "lambda.memory_mb" in answer.decision.reason
    assert live.left(live.image_id)


def test_reading_does_not_take_all_the_time_there_is(live: Bench) -> None:
    live.time_left = timedelta(minutes=3)
    assert "not enough time" in live.answer().decision.reason
    assert not live.accounts.calls


def test_a_recorder_that_says_to_itself_that_it_is_stopped(live: Bench) -> None:
    live.accounts[DEV].recording = False
    answer = live.answer()
    assert answer.decision.rule == "inventory_not_trusted"
    assert f"{DEV}: the Config recorder default is stopped" in answer.decision.reason


def test_a_recorder_that_fails(live: Bench) -> None:
    live.accounts[DEV].recorder_status = {"lastStatus": "Failure", "lastErrorMessage": "insufficient permissions"}
    assert "the Config recorder default fails: None insufficient permissions" in live.answer().decision.reason
    assert live.left(live.image_id)


def test_a_recorder_that_was_deleted(live: Bench) -> None:
    live.accounts[DEV].recorder = None
    assert f"{DEV}: the account has no Config recorder there" in live.answer().decision.reason


def test_a_recorder_that_records_daily_or_too_little(live: Bench) -> None:
    live.accounts[DEV].recorder = {
        "name": "default",
        "recordingGroup": {
            "exclusionByResourceTypes": {"resourceTypes": ["AWS::ECS::TaskSet"]},
            "recordingStrategy": {"useOnly": "EXCLUSION_BY_RESOURCE_TYPES"},
        },
        "recordingMode": {
            "recordingFrequency": "CONTINUOUS",
            "recordingModeOverrides": [{"resourceTypes": ["AWS::ECS::Service"], "recordingFrequency": "DAILY"}],
        },
    }
    reason = live.answer().decision.reason
    assert "does not record AWS::ECS::TaskSet" in reason
    assert "records AWS::ECS::Service only once a day" in reason


def test_more_than_a_few_task_definitions_that_the_aggregator_does_not_show(live: Bench) -> None:
    for number in range(201):
        live.accounts[PROD].register(f"app:{number}", f"{HOST}/other:v1")
    answer = live.answer()
    assert "201 ACTIVE task definitions" in answer.decision.reason
    assert not live.accounts.operations(PROD)["DescribeTaskDefinition"]
    assert live.left(live.image_id)


def test_a_function_of_which_lambda_does_not_say_the_image(live: Bench) -> None:
    live.accounts[PROD].create_function("resize", LATEST, None)
    live.accounts[PROD].functions[0]["Code"] = {}
    assert "does not name the image" in live.answer().decision.reason
    assert live.left(live.image_id)


@pytest.mark.parametrize("operation", ["DescribeServiceRevisions", "DescribeServices", "DescribeTasks"])
def test_what_ecs_cannot_describe(live: Bench, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = live.accounts[PROD]
    account.deploy("app", account.register("app:2", LATEST), (LATEST, OTHER))
    account.run((LATEST, OTHER))
    failure = {"failures": [{"arn": "arn:x", "reason": "ACCESS_DENIED"}], "services": [], "tasks": []}
    names = {"DescribeServiceRevisions": "describe_service_revisions", "DescribeServices": "describe_services"}
    monkeypatch.setattr(account, names.get(operation, "describe_tasks"), lambda _: failure)
    assert f"{operation} says nothing of arn:x: ACCESS_DENIED" in live.answer().decision.reason
    assert live.left(live.image_id)


def test_a_service_that_went_away_between_two_calls(live: Bench) -> None:
    account = live.accounts[PROD]
    service = account.deploy("app", account.register("app:2", LATEST), (LATEST, OTHER))
    live.accounts.before[PROD, "DescribeServices"] = lambda: account.services[account.clusters[0]].remove(service)
    assert live.answer().done


def test_a_service_whose_task_definition_nobody_knows(live: Bench) -> None:
    live.accounts[PROD].deploy("app", live.accounts[PROD].arn("ecs", "task-definition/gone:1"))
    assert "which Amazon ECS does not know" in live.answer().decision.reason
    assert live.left(live.image_id)


# Tags that can move


def moved(bench: Bench, running: ImageId | None = None) -> str:
    """The tag `latest` of an ACTIVE task definition means another image by now; gives the task definition."""
    bench.push("latest", content="new")
    bench.aggregator.show(ARN, LATEST)
    return ARN


def test_an_image_in_a_repository_whose_tags_can_move_goes_when_it_runs_nowhere(live: Bench) -> None:
    account = live.accounts[PROD]
    new = live.push("latest", content="new")
    live.aggregator.show(ARN, LATEST)
    account.deploy("app", ARN, (LATEST, new.digest))
    account.run((LATEST, new.digest))
    assert live.answer().done
    assert live.left(new)


def a_pending_task(bench: Bench) -> None:
    bench.accounts[PROD].run((LATEST, None), status="PENDING", task_definition=ARN)


def a_revision_without_a_digest(bench: Bench) -> None:
    bench.accounts[PROD].deploy("app", ARN, (LATEST, None))


def a_revision_whose_only_task_was_stopped_before_it_pulled(bench: Bench) -> None:
    """Its tags may have been resolved when the task was made. It looks the same as one that never had a task."""
    bench.accounts[PROD].deploy("app", ARN, (LATEST, None), count=0)


def a_source_without_a_digest_that_has_no_tasks_any_more(bench: Bench) -> None:
    account = bench.accounts[PROD]
    service = account.deploy("app", account.register("other:1", "nginx"), ("nginx", OTHER), state="IN_PROGRESS")
    source = account.revision("app", ARN, (LATEST, None), count=0)
    service["currentServiceRevisions"].append(source)
    service["currentServiceDeployment"] = "arn:deployment"
    account.deployments["arn:deployment"] = {
        "serviceArn": service["serviceArn"],
        "status": "IN_PROGRESS",
        "sourceServiceRevisions": [source],
    }


def a_service_without_revisions(bench: Bench) -> None:
    bench.accounts[PROD].deploy("app", ARN)


def a_task_set_without_revisions(bench: Bench) -> None:
    service = bench.accounts[PROD].deploy("app", bench.accounts[PROD].register("other:1", "nginx"))
    service["taskSets"] = [{"taskSetArn": "arn:task-set", "taskDefinition": ARN}]


def a_function_without_a_digest(bench: Bench) -> None:
    bench.accounts[PROD].create_function("resize", LATEST, None)


def a_service_of_which_one_deployment_has_no_revision(bench: Bench) -> None:
    account = bench.accounts[PROD]
    service = account.deploy("app", account.register("other:1", "nginx"), ("nginx", None))
    service["deployments"].append({"status": "ACTIVE", "taskDefinition": ARN})


def a_container_that_a_revision_leaves_out(bench: Bench) -> None:
    bench.aggregator.show(ARN, LATEST, "nginx")
    bench.accounts[PROD].deploy("app", ARN, ("nginx", OTHER))


PINS = [
    a_pending_task,
    a_revision_without_a_digest,
    a_revision_whose_only_task_was_stopped_before_it_pulled,
    a_source_without_a_digest_that_has_no_tasks_any_more,
    a_service_without_revisions,
    a_task_set_without_revisions,
    a_function_without_a_digest,
    a_service_of_which_one_deployment_has_no_revision,
    a_container_that_a_revision_leaves_out,
]


@pytest.mark.parametrize("arrange", PINS, ids=lambda arrange: arrange.__name__)
def test_keeps_what_may_be_pinned_where_the_account_does_not_say(live: Bench, arrange: Callable[[Bench], None]) -> None:
    live.aggregator.show(ARN, LATEST)
    live.push("latest", content="new")
    arrange(live)
    answer = live.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "may_be_pinned")
    assert "the accounts do not say which image runs" in answer.decision.reason
    assert live.left(live.image_id)


def test_keeps_what_may_be_pinned_by_what_nobody_can_ask(live: Bench) -> None:
    live.push("latest", content="new")
    live.aggregator.show_consumer("AWS::AppRunner::Service", "arn:aws:apprunner:x", LATEST)
    assert live.answer().decision.rule == "may_be_pinned"


def test_keeps_what_may_be_pinned_in_an_exempt_account(bench: Bench) -> None:
    bench.ask_accounts(EXEMPT_ACCOUNTS=DEV.account)
    bench.push("latest", content="new")
    bench.aggregator.show(ARN, LATEST, place=DEV)
    assert bench.answer().decision.rule == "may_be_pinned"


def test_a_container_that_is_never_resolved_pins_nothing(live: Bench) -> None:
    account = live.accounts[PROD]
    live.push("latest", content="new")
    definition = account.register("app:2", LATEST, versionConsistency="disabled")
    account.deploy("app", definition, (LATEST, None))
    account.revisions[next(iter(account.revisions))]["containerImages"][0]["containerName"] = "c0"
    assert live.answer().done


def test_what_a_proven_tag_may_mean_is_known_although_no_account_says_it(live: Bench) -> None:
    at = live.clock.now - timedelta(days=20)
    new = live.push("latest", content="new")
    live.ledger.record_push(live.repository, "latest", new.digest, at=at)
    arn = live.accounts[PROD].register("app:2", LATEST)
    register(live, arn=arn, minutes_ago=60 * 24 * 10, reference=LATEST)
    live.aggregator.show(arn, LATEST)
    live.accounts[PROD].deploy("app", arn)
    assert live.answer().done
    assert live.left(new)


# Untagged images


def untagged(bench: Bench, *, days_ago: float = 31) -> ImageId:
    image_id = bench.push(content="untagged", days_ago=days_ago)
    bench.used(image_id)
    return image_id


def test_an_untagged_image_goes_after_its_minimum_age(live: Bench) -> None:
    image_id = untagged(live)
    (answer,) = live.check(image_id)
    assert answer.done
    assert not live.left(image_id)


@pytest.mark.parametrize("days", [0.0, 29.9])
def test_an_untagged_image_is_kept_until_its_minimum_age(live: Bench, days: float) -> None:
    image_id = untagged(live, days_ago=max(days, 2))
    (answer,) = live.check(image_id)
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "untagged")
    assert answer.decision.until
    assert live.left(image_id)


def test_the_minimum_age_of_an_untagged_image_begins_anew_with_a_pull(live: Bench) -> None:
    image_id = untagged(live, days_ago=200)
    live.clock.advance(days=-10)
    live.pull(image_id)
    live.clock.advance(days=10)
    (answer,) = live.check(image_id)
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "untagged")
    assert "was pulled at" in answer.decision.reason


def test_an_untagged_image_is_kept_where_nobody_asks_the_accounts(bench: Bench) -> None:
    image_id = untagged(bench)
    (answer,) = bench.check(image_id)
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "untagged")


def test_an_untagged_image_that_is_pinned(live: Bench) -> None:
    image_id = untagged(live)
    live.accounts[DEV].run((LATEST, image_id.digest))
    (answer,) = live.check(image_id)
    assert answer.decision.rule == "in_use"
    assert live.left(image_id)


def test_a_child_of_an_index_is_no_untagged_image_of_its_own(live: Bench) -> None:
    child = untagged(live)
    live.push_index("v3", children=[child])
    (answer,) = live.check(child)
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "held_by_an_index")
    assert live.left(child)


def test_a_referrer_is_no_untagged_image_of_its_own(live: Bench) -> None:
    signature = live.push_referrer(live.image_id, days_ago=31)
    live.used(signature)
    (answer,) = live.check(signature)
    assert answer.decision.rule == "not_an_image"
    assert live.left(signature)


def test_a_report_says_that_it_does_not_know_whether_an_index_holds_the_image(bench: Bench) -> None:
    bench.ask_accounts(ACTION="report")
    (answer,) = bench.check(untagged(bench))
    assert answer.decision.verdict is Verdict.REMOVE
    assert "whether an index contains it is looked at before it is removed" in answer.decision.reason
    assert not answer.done


# Indexes


@pytest.mark.parametrize("action", ["delete", "archive"])
def test_an_index_stays_while_a_child_of_it_runs(bench: Bench, action: str) -> None:
    bench.ask_accounts(ACTION=action)
    children = [bench.push(content=platform, days_ago=31) for platform in ("amd64", "arm64")]
    index = bench.push_index("v3", children=children)
    bench.used(index)
    bench.accounts[PROD].run((f"{APP}:v3", children[1].digest))
    (answer,) = bench.check(index)
    # The tag of the task does not count once its image is known, and that is the child.
    assert answer.decision.rule == "in_use"
    assert f"its part {children[1].digest} is used by" in answer.decision.reason
    assert bench.left(index, *children) == {index, *children}
    assert bench.record(index).held


def test_the_children_of_an_index_stay_while_the_index_runs(live: Bench) -> None:
    child = untagged(live)
    index = live.push_index("v3", children=[child])
    live.accounts[PROD].run((f"{APP}:latest", index.digest))
    (of_child, of_index) = live.check(child, index)
    assert of_child.decision.rule == "held_by_an_index"
    assert of_index.decision.rule in ("in_use", "within_grace_period")
    assert live.left(child, index) == {child, index}


# When and how often


def test_asks_only_for_images_that_nothing_else_keeps(bench: Bench) -> None:
    bench.ask_accounts(NEWEST_IMAGES="1")
    assert bench.answer().decision.rule == "newest"
    bench.ask_accounts()
    bench.tag_repository(ecr_cleanup="disabled")
    assert bench.answer().decision.rule == "not_opted_in"
    assert not bench.accounts.calls


def test_asks_once_for_a_batch(live: Bench) -> None:
    others = [live.push(f"w{number}", content=f"w{number}") for number in range(5)]
    live.used(*others)
    answers = live.check(live.image_id, *others)
    assert all(answer.done for answer in answers)
    assert live.accounts.operations(PROD)["AssumeRole"] == live.accounts.operations(DEV)["AssumeRole"] == 1
    assert live.accounts.operations(PROD)["ListClusters"] == 1


def test_a_place_where_nothing_runs_costs_one_call_per_consumer(live: Bench) -> None:
    assert live.answer().done
    assert dict(live.accounts.operations(DEV)) == {
        "AssumeRole": 1,
        "DescribeConfigurationRecorderStatus": 1,
        "DescribeConfigurationRecorders": 1,
        "ListTaskDefinitions": 1,
        "ListClusters": 1,
        "ListFunctions": 1,
        "DescribeJobDefinitions": 1,
    }


def test_remembers_what_versions_of_functions_run(live: Bench) -> None:
    account = live.accounts[PROD]
    account.create_function("resize", LATEST, f"{APP}@{OTHER}")
    account.create_function("resize", LATEST, f"{APP}@{digest(live)}", version="1")
    assert live.answer().decision.rule == "in_use"
    assert live.answer().decision.rule == "in_use"
    assert live.accounts.operations(PROD)["GetFunction"] == 2
    # With new code, $LATEST is asked for again.
    account.functions[0] |= {
        "CodeSha256": "f" * 64,
        "RevisionId": "new",
        "Code": {"ResolvedImageUri": f"{APP}@sha256:{'f' * 64}"},
    }
    assert live.answer().decision.rule == "in_use"
    assert live.accounts.operations(PROD)["GetFunction"] == 3


def test_does_not_read_its_own_schedules(bench: Bench) -> None:
    own = f"arn:aws:iam::{SHARED}:role/{ROLE}-{REGION}"
    bench.ask_accounts(WORKLOAD_ACCOUNT_IDS=f"{PROD.account},{DEV.account}")
    account = bench.accounts[PROD]
    bench.configure(
        READER_ROLE_NAME=ROLE,
        READER_EXTERNAL_ID=bench.settings.reader_role.external_id if bench.settings.reader_role else "",
        SCHEDULE_ROLE_ARN=f"arn:aws:iam::{PROD.account}:role/ecr-cleanup-scheduler",
    )
    account.add_cluster()
    account.schedules += [("ecr-cleanup", "own", {"Arn": "arn:queue"}), ("default", "other", {"Arn": "arn:queue"})]
    assert own not in bench.accounts.roles
    assert bench.answer().done
    assert bench.accounts.operations(PROD)["ListSchedules"] == 1


# Grace periods of what was seen to run


def test_a_grace_period_begins_when_the_account_says_that_it_runs_no_more(live: Bench) -> None:
    account = live.accounts[PROD]
    task = account.run((LATEST, digest(live)))
    assert live.answer().decision.rule == "in_use"
    assert live.record(live.image_id).held
    live.clock.advance(hours=24)
    assert live.answer().decision.rule == "in_use", "it is asked about daily, also while the aggregator names nobody"
    account.tasks[account.clusters[0]].remove(task)
    live.clock.advance(hours=24)
    answer = live.answer()
    assert answer.decision.rule == "within_grace_period"
    assert answer.decision.until == live.clock.now + DAY
    live.clock.advance(hours=24)
    assert live.answer().done


def test_what_runs_holds_an_image_even_if_it_cannot_be_asked_later(live: Bench) -> None:
    live.accounts[PROD].run((LATEST, digest(live)))
    assert live.answer().decision.rule == "in_use"
    live.accounts.errors[PROD, "AssumeRole"] = "AccessDenied"
    live.clock.advance(hours=24)
    assert live.answer().decision.rule == "inventory_not_trusted"
    assert live.record(live.image_id).held


def test_a_removal_that_was_begun_is_not_finished_while_an_account_cannot_be_read(live: Bench) -> None:
    child = untagged(live)
    index = live.push_index("v3", children=[child])
    live.used(index)
    real = live.ecr.registry.delete_all
    calls: list[object] = []

    def die(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    live.ecr.registry.delete_all = die  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        live.check(index)
    live.ecr.registry.delete_all = real  # type: ignore[method-assign]
    live.accounts.errors[PROD, "ListClusters"] = "AccessDeniedException"
    (answer,) = live.check(index)
    assert answer.decision.rule == "inventory_not_trusted"
    assert live.left(child)
    live.accounts.errors.clear()
    (answer,) = live.check(index)
    assert answer.decision.rule == "gone"
    assert not live.left(child)


def test_a_part_that_runs_stays_when_a_removal_is_finished(live: Bench) -> None:
    child = untagged(live)
    index = live.push_index("v3", children=[child])
    live.used(index)

    def die(*_: object) -> object:
        live.accounts[PROD].run((LATEST, child.digest))
        raise KeyboardInterrupt

    real = CheckRunDelete(live, die)
    with pytest.raises(KeyboardInterrupt):
        live.check(index)
    real.restore()
    (answer,) = live.check(index)
    assert answer.decision.rule == "gone"
    assert live.left(child)


class CheckRunDelete:
    """Lets the first deletion happen, and something else instead of the second."""

    def __init__(self, bench: Bench, instead: Callable[..., object]) -> None:
        self._bench = bench
        self._real = real = bench.ecr.registry.delete_all
        calls: list[object] = []

        def delete(*arguments: object) -> object:
            calls.append(arguments)
            return real(*arguments) if len(calls) == 1 else instead(*arguments)  # type: ignore[arg-type]

        bench.ecr.registry.delete_all = delete  # type: ignore[method-assign, assignment]

    def restore(self) -> None:
        self._bench.ecr.registry.delete_all = self._real  # type: ignore[method-assign]


# Pace and order


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [100.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    pace = Pace(20)
    for _ in range(3):
        pace.wait()
    now[0] += 10
    pace.wait()
    assert slept == pytest.approx([0, 0.05, 0.1, 0])


def test_problems_are_in_the_order_of_places(live: Bench) -> None:
    live.accounts.roles.clear()
    run = live.run()
    role = live.settings.reader_role
    assert role
    reader = LiveUsage(live.settings, role, live.accounts.sts_client(), live.accounts.place_client, live.ledger)
    found = reader.read(run._finder.inventory, now=live.clock.now, time_left=lambda: timedelta(minutes=15))
    assert [problem.place for problem in found.problems] == [PROD, DEV]
    assert SERVICE not in str(found)
