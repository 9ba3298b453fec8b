"""Live usage in doubt: answers that leave something out, and what changes while it is read."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING

import boto3
import botocore.session
import pytest
from botocore.parsers import ResponseParserError

from ecr_cleanup.decision import Verdict
from fake_accounts import CallError, FakeAccount
from fakes import HOST, PROD
from integration.bench import (
    ARN,
    SERVICE,
    Bench,
    make_bench,  # noqa: F401 - the fixture "bench"
    register,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from ecr_cleanup.image import ImageId

APP = f"{HOST}/team/app"
LATEST = f"{APP}:latest"
OTHER = "sha256:" + "e" * 64


@pytest.fixture
def live(bench: Bench) -> Bench:
    bench.ask_accounts()
    return bench


def untagged(bench: Bench, content: str = "untagged") -> ImageId:
    image_id = bench.push(content=content, days_ago=200)
    bench.used(image_id)
    return image_id


# Services: revisions and deployments of which ECS says nothing, or says it in other words


def rollout(bench: Bench, *, state: str | None = "IN_PROGRESS") -> dict[str, Any]:
    """A service that goes, with the same task definition, from a revision with the image to one with another."""
    account = bench.accounts[PROD]
    bench.aggregator.show(ARN, LATEST)
    service = account.deploy("app", ARN, (LATEST, OTHER), state=state)
    service["currentServiceDeployment"] = "arn:deployment"
    account.deployments["arn:deployment"] = {
        "serviceDeploymentArn": "arn:deployment",
        "serviceArn": service["serviceArn"],
        "status": "IN_PROGRESS",
        "sourceServiceRevisions": [account.revision("app", ARN, (LATEST, bench.image_id.digest), count=0)],
        "targetServiceRevision": service["currentServiceRevisions"][0],
    }
    return service


def without_the_revision_it_goes_back_to(bench: Bench) -> None:
    rollout(bench)
    account = bench.accounts[PROD]
    del account.revisions[account.deployments["arn:deployment"]["sourceServiceRevisions"][0]["arn"]]


def without_the_deployment(bench: Bench) -> None:
    rollout(bench)
    bench.accounts[PROD].deployments.clear()


def without_a_state_and_the_deployment(bench: Bench) -> None:
    service = rollout(bench, state=None)
    service["deployments"].append({"status": "ACTIVE", "taskDefinition": ARN})
    bench.accounts[PROD].deployments.clear()


@pytest.mark.parametrize(
    "arrange",
    [without_the_revision_it_goes_back_to, without_the_deployment, without_a_state_and_the_deployment],
    ids=lambda arrange: arrange.__name__,
)
@pytest.mark.parametrize("said", [True, False], ids=["MISSING", "left out"])
def test_what_a_deployment_goes_back_to_must_be_known(
    live: Bench, arrange: Callable[[Bench], None], said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, what is MISSING was taken for gone."""
    live.push("latest", content="new")
    arrange(live)
    if not said:
        account = type(live.accounts[PROD])
        for name in ("describe_service_revisions", "describe_service_deployments"):
            real = getattr(account, name)
            monkeypatch.setattr(account, name, lambda *args, real=real: real(*args) | {"failures": []})
    answer = live.answer()
    assert answer.decision.verdict is not Verdict.REMOVE, answer.decision
    assert live.left(live.image_id)


def test_a_current_revision_that_is_missing_leaves_its_task_definition_unresolved(live: Bench) -> None:
    """Once, another revision of the same task definition spoke for it."""
    account = live.accounts[PROD]
    live.push("latest", content="new")
    live.aggregator.show(ARN, LATEST)
    service = account.deploy("app", ARN, (LATEST, OTHER))
    gone = account.revision("app", ARN, (LATEST, live.image_id.digest))
    del account.revisions[gone["arn"]]
    service["currentServiceRevisions"].append(gone)
    assert live.answer().decision.rule == "may_be_pinned"
    assert live.left(live.image_id)


def test_each_deployment_needs_a_revision_of_its_own(live: Bench) -> None:
    """Once, one revision spoke for all deployments of its task definition."""
    account = live.accounts[PROD]
    live.push("latest", content="new")
    live.aggregator.show(ARN, LATEST)
    service = account.deploy("app", ARN, (LATEST, OTHER), state=None)
    service["deployments"].append({"status": "ACTIVE", "taskDefinition": ARN})
    assert live.answer().decision.rule == "may_be_pinned"
    assert live.left(live.image_id)


def test_a_deployment_in_its_bake_time_may_go_back_although_its_rollout_is_completed(live: Bench) -> None:
    """Once, whether the service deployment was over was read from the state of the rollout.

    A rollout is COMPLETED in the steady state
    (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html), which comes before the bake time.
    """
    rollout(live, state="COMPLETED")
    live.push("latest", content="new")
    answer = live.answer()
    assert answer.decision.rule == "in_use", answer.decision
    assert live.left(live.image_id)


def test_a_deployment_of_long_ago_need_not_be_known(live: Bench) -> None:
    """ECS shows those of the last 90 days."""
    account = live.accounts[PROD]
    live.aggregator.show(ARN, LATEST)
    live.push("latest", content="new")
    for number, state in enumerate(("COMPLETED", None)):
        service = account.deploy(f"app-{number}", ARN, (LATEST, OTHER), state=state)
        service["currentServiceDeployment"] = f"arn:deployment-{number}"
    assert live.answer().done


def test_that_a_revision_had_tasks_is_not_forgotten(live: Bench) -> None:
    """Once, what the service said of the source's counts, 0 by now, replaced what was known of it."""
    account = live.accounts[PROD]
    service = rollout(live)
    live.push("latest", content="new")
    (source,) = account.deployments["arn:deployment"]["sourceServiceRevisions"]
    service["currentServiceRevisions"].append(source)
    del account.revisions[source["arn"]]["containerImages"][0]["imageDigest"]
    assert live.answer().decision.rule == "may_be_pinned"
    assert live.left(live.image_id)


def test_a_revision_that_names_no_images_on_a_task_definition_that_nobody_knows(live: Bench) -> None:
    """Once, a service of which nothing is known looked like one that uses nothing."""
    account = live.accounts[PROD]
    account.deploy("app", account.arn("ecs", "task-definition/app:1"), ("nginx", None))
    account.revisions[next(iter(account.revisions))]["containerImages"] = []
    answer = live.answer()
    assert answer.decision.rule == "inventory_not_trusted", answer.decision
    assert live.left(live.image_id)


# Daemons


def daemon(bench: Bench, cluster: str, digest: str | None) -> str:
    account = bench.accounts[PROD]
    arn = account.arn("ecs", f"daemon/{cluster}/agent")
    revision = f"arn:revision:{cluster}"
    account.daemons[arn] = {
        "daemonArn": arn,
        "clusterArn": account.add_cluster(cluster),
        "currentRevisions": [{"arn": revision}],
    }
    container = {"containerName": "c", "image": LATEST} | ({"imageDigest": digest} if digest else {})
    account.daemon_revisions[revision] = {"daemonRevisionArn": revision, "containerImages": [container]}
    return revision


def test_a_cluster_without_the_feature_says_nothing_of_the_others(live: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, one refusal made all daemons of the place disappear."""
    daemon(live, "first", live.image_id.digest)
    second = live.accounts[PROD].add_cluster("second")
    real = FakeAccount.list_daemons

    def list_daemons(account: FakeAccount, params: dict[str, Any]) -> Any:
        if params["clusterArn"] == second:
            raise CallError("UnsupportedFeatureException")
        return real(account, params)

    monkeypatch.setattr(FakeAccount, "list_daemons", list_daemons)
    assert live.answer().decision.rule == "in_use"
    assert live.left(live.image_id)


@pytest.mark.parametrize("operation", ["DescribeDaemon", "DescribeDaemonRevisions", "DescribeDaemonDeployments"])
def test_a_daemon_that_is_listed_must_be_described(live: Bench, operation: str) -> None:
    """Once, as above."""
    account = live.accounts[PROD]
    daemon(live, "main", live.image_id.digest)
    (known,) = account.daemons.values()
    known["deploymentArn"] = "arn:deployment"
    account.daemon_deployments["arn:deployment"] = {
        "daemonDeploymentArn": "arn:deployment",
        "status": "IN_PROGRESS",
        "sourceDaemonRevisions": [],
    }
    live.accounts.errors[PROD, operation] = "UnsupportedFeatureException"
    assert live.answer().decision.rule == "inventory_not_trusted"
    assert live.left(live.image_id)


def test_a_daemon_revision_that_is_missing(live: Bench) -> None:
    """Once, what is MISSING was taken for gone."""
    revision = daemon(live, "main", live.image_id.digest)
    del live.accounts[PROD].daemon_revisions[revision]
    assert live.answer().decision.rule == "inventory_not_trusted"
    assert live.left(live.image_id)


def test_a_daemon_without_a_digest_asks_for_no_task_definition_without_a_name(live: Bench) -> None:
    """Once, DescribeTaskDefinition was called with an empty name, which ECS may refuse for good."""
    live.push("latest", content="new")
    daemon(live, "main", None)
    assert live.answer().decision.rule == "may_be_pinned"
    assert not live.accounts.operations(PROD)["DescribeTaskDefinition"]


# Lambda


def test_a_function_that_moved_to_the_same_image_in_another_repository(live: Bench) -> None:
    """Once, of an image, CodeSha256 is its digest, which is the same wherever the image was copied to.

    So what was remembered was the repository of before, and the image that the function runs could go.
    """
    account = live.accounts[PROD]
    digest = live.image_id.digest
    account.create_function("resize", f"{HOST}/dev/app:v1", f"{HOST}/dev/app@{digest}")
    (function,) = account.functions
    before = live.push("v2", content="two")
    live.used(before)
    live.check(before)
    assert live.accounts.operations(PROD)["GetFunction"] == 1

    function["Code"] = {"ImageUri": f"{APP}:v1", "ResolvedImageUri": f"{APP}@{digest}"}
    function["RevisionId"] = "another"
    assert live.answer().decision.rule == "in_use"
    assert live.left(live.image_id)


# Indexes


def test_a_full_grace_period_after_a_part_of_an_index_ran(live: Bench) -> None:
    """Once, the use of an index by the digest of a child ended a day after it was seen, whether or not.

    From then on the child could stop at any time, without a grace period for the index.
    """
    account = live.accounts[PROD]
    child = untagged(live)
    index = live.push_index("v3", children=[child], days_ago=200)
    live.used(index)
    task = account.run((f"{APP}:v3", child.digest))
    (answer,) = live.check(index)
    assert answer.decision.rule == "in_use"
    live.clock.advance(hours=24)
    live.check(index)
    live.clock.advance(hours=23)
    account.tasks[account.clusters[0]].remove(task)
    live.clock.advance(hours=1)
    (answer,) = live.check(index)
    assert answer.decision.rule == "within_grace_period"
    assert live.left(index)
    live.clock.advance(hours=24)
    (answer,) = live.check(index)
    assert answer.done


def test_a_child_of_an_index_in_the_archive_stays(bench: Bench) -> None:
    """Once, a restored index would lack it, if ECR lets it go."""
    bench.ask_accounts(ACTION="archive")
    child = untagged(bench)
    index = bench.push_index("v3", children=[child], days_ago=200)
    bench.used(index)
    # Something uses the child while the index goes to the archive.
    bench.aggregator.show(ARN, f"{APP}@{child.digest}")
    (answer,) = bench.check(index)
    assert answer.done
    assert (bench.status(index), bench.status(child)) == ("ARCHIVED", "ACTIVE")
    bench.aggregator.active.clear()
    bench.ask_accounts(ACTION="delete")
    (answer,) = bench.check(child)
    assert answer.decision.rule == "held_by_an_index"
    assert answer.decision.reason == f"the index {index.digest} of the repository contains it", "ECR was not asked"
    assert bench.left(child)


# Checks that nobody makes again


def test_what_may_be_pinned_is_asked_about_again(live: Bench) -> None:
    """No event tells that a task that was starting has started: a check that were over then would be over for good."""
    live.aggregator.show(ARN, LATEST)
    live.push("latest", content="new")
    live.accounts[PROD].run((LATEST, None), status="PENDING", task_definition=ARN)
    answer = live.answer()
    assert answer.decision.rule == "may_be_pinned"
    assert answer.next_check_at
    live.accounts[PROD].tasks.clear()
    live.clock.now = answer.next_check_at
    answer = live.answer()
    assert answer.decision.rule == "within_grace_period"
    assert answer.next_check_at
    live.clock.now = answer.next_check_at
    assert live.answer().done


def test_a_registration_of_which_the_account_has_said_what_runs_pins_nothing(live: Bench) -> None:
    """Once, right before the removal, everything registered within the hour counted as unknown."""
    new = live.push("latest", content="new")
    register(live, reference=LATEST)
    live.accounts[PROD].register("app:7", LATEST)
    live.accounts[PROD].deploy("app", ARN, (LATEST, new.digest))
    answer = live.answer()
    assert answer.done, answer.decision
    assert live.left(new)


def test_a_registration_since_the_account_was_asked_counts(live: Bench) -> None:
    live.push("latest", content="new")
    live.accounts.before[PROD, "AssumeRole"] = lambda: register(live, reference=LATEST)
    assert live.answer().decision.rule == "may_be_pinned"
    assert live.left(live.image_id)


def test_a_service_that_is_exempt_need_not_be_known(bench: Bench) -> None:
    """Once, the one way to go on that is documented for it did not help."""
    account = bench.accounts[PROD]
    service = account.deploy("app", account.arn("ecs", "task-definition/app:1"))
    assert service["serviceArn"] == SERVICE
    bench.ask_accounts()
    assert bench.answer().decision.rule == "inventory_not_trusted"
    bench.ask_accounts(EXEMPT_ACCOUNTS=SERVICE)
    assert bench.answer().done


def test_an_answer_that_is_not_as_documented_postpones(live: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, it raised, for each check of the batch anew, until all were in the dead-letter queue."""
    monkeypatch.setattr(FakeAccount, "list_clusters", lambda *_: {"message": "half of an answer"})
    answer = live.answer()
    assert answer.decision.rule == "inventory_not_trusted"
    assert "ecs:ListClusters" in answer.decision.reason
    assert "half of an answer" not in answer.decision.reason
    assert answer.next_check_at


def test_what_sts_answers_is_never_quoted(live: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, botocore's error about XML that it cannot read quotes it, and nothing caught it."""

    def half_an_answer(*_: object, **__: object) -> None:
        raise ResponseParserError("<SecretAccessKey>very-secret</Sec")

    sts = live.accounts.sts_client()
    monkeypatch.setattr(sts, "assume_role", half_an_answer)
    monkeypatch.setattr(live.accounts, "sts_client", lambda: sts)
    answer = live.answer()
    assert answer.decision.rule == "inventory_not_trusted"
    assert "sts:AssumeRole" in answer.decision.reason
    assert "very-secret" not in answer.decision.reason


def test_an_untagged_image_in_a_repository_whose_tags_cannot_move_any_more(live: Bench) -> None:
    """Once, that tags cannot move now says nothing of an image that has evidently lost its own.

    Tags may have moved before, or been deleted and given anew. A CodeDeploy deployment says nothing of digests, and
    App Runner cannot be asked. Untagged images were never removed before, so that this is new.
    """
    live.ecr.client.put_image_tag_mutability(repositoryName=live.repository.name, imageTagMutability="IMMUTABLE")
    image_id = untagged(live)
    live.push("latest", content="new")
    live.aggregator.show_consumer("AWS::AppRunner::Service", "arn:aws:apprunner:x", LATEST)
    (answer,) = live.check(image_id)
    assert answer.decision.verdict is Verdict.KEEP
    assert live.left(image_id)


def test_a_schedule_is_asked_for_once_as_long_as_it_is_not_modified(live: Bench) -> None:
    """At 20 calls a second, thousands of them would take all the time there is, at every attempt."""
    account = live.accounts[PROD]
    definition = account.register("job:1", f"{HOST}/other:v1")
    for number in range(30):
        target = {"Arn": account.add_cluster(), "EcsParameters": {"TaskDefinitionArn": definition}}
        account.schedules.append(("default", f"job-{number}", target))
    old = account.register("job:0", f"{APP}:v1", active=False)
    assert live.answer().done
    assert live.accounts.operations(PROD)["GetSchedule"] == 30
    again = live.push("v1", content="again")
    live.used(again)
    account.modify_schedule("job-7", {**account.schedules[7][2], "EcsParameters": {"TaskDefinitionArn": old}})
    (answer,) = live.check(again)
    assert answer.decision.rule == "in_use"
    assert live.accounts.operations(PROD)["GetSchedule"] == 31
    assert live.check(again)[0].decision.rule == "in_use"
    assert live.accounts.operations(PROD)["GetSchedule"] == 31


def test_what_may_have_been_pinned_gets_a_grace_period_when_that_is_over(live: Bench) -> None:
    live.aggregator.show(ARN, LATEST)
    live.push("latest", content="new")
    account = live.accounts[PROD]
    service = account.deploy("app", ARN)
    assert live.answer().decision.rule == "may_be_pinned"
    account.services[account.clusters[0]].remove(service)
    live.clock.advance(hours=24)
    answer = live.answer()
    assert answer.decision.rule == "within_grace_period"
    assert live.left(live.image_id)
    live.clock.advance(hours=24)
    assert live.answer().done


def test_an_sdk_that_does_not_know_daemons(live: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Such a one may not know what services have resolved, either: boto3 1.41.0 can delete, and leaves that out."""
    loader = botocore.session.Session().get_component("data_loader")
    model = deepcopy(loader.load_service_model("ecs", "service-2"))
    model["operations"] = {name: each for name, each in model["operations"].items() if "Daemon" not in name}
    folder = tmp_path / "ecs" / "2014-11-13"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    image_id = untagged(live)
    daemon(live, "first", image_id.digest)
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it has read its models

    (answer,) = live.check(image_id)

    decision = answer.decision
    assert (decision.verdict, decision.rule) == (Verdict.POSTPONE, "inventory_not_trusted")
    assert "boto3 does not know ECS daemons" in decision.reason
    assert "1.42.81 or newer into the layer (lambda.powertools_layer_arn)" in decision.reason
    assert live.left(image_id)
