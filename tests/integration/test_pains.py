"""What happened to users of other tools, and must not happen here. Each test names the public issue."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ecr_cleanup.decision import Verdict
from fakes import DEV, HOST
from integration.bench import (
    ARN,
    DAY,
    REFERENCE,
    SERVICE,
    Bench,
    make_bench,  # noqa: F401 - the fixture "bench"
)
from local_aws.ecr import drop_image

if TYPE_CHECKING:
    from ecr_cleanup.image import ImageId

APP = f"{HOST}/team/app"


def rules(bench: Bench, *image_ids: ImageId) -> list[str]:
    """The rules that speak of unused images once their grace period is over."""
    bench.used(*image_ids)
    return [answer.decision.rule for answer in bench.check(*image_ids)]


# Deleted while in use


def test_images_get_deleted_although_they_are_still_being_referenced_by_digest(bench: Bench) -> None:
    """awslabs/ecr-cleanup-lambda#44."""
    untagged = bench.push(content="untagged")
    bench.aggregator.show(ARN, f"{APP}@{bench.image_id.digest}", f"{APP}:of-old@{untagged.digest}")
    assert rules(bench, bench.image_id, untagged) == ["in_use", "in_use"]
    assert bench.left(bench.image_id, untagged) == {bench.image_id, untagged}


def test_an_image_goes_because_one_of_its_tags_is_not_used(bench: Bench) -> None:
    """awslabs/ecr-cleanup-lambda#34."""
    assert bench.push("production") == bench.image_id
    bench.aggregator.show(ARN, f"{APP}:production")
    assert rules(bench, bench.image_id) == ["in_use"]
    assert bench.left(bench.image_id)


def test_an_image_goes_because_one_of_its_tags_is_not_protected(bench: Bench) -> None:
    """awslabs/ecr-cleanup-lambda#34."""
    assert bench.push("release-1") == bench.image_id
    bench.configure(PROTECTED_TAG_PATTERNS="release-*")
    assert rules(bench, bench.image_id) == ["protected_tag"]
    assert bench.left(bench.image_id)


def test_a_service_on_an_old_revision_can_neither_scale_nor_be_rolled_back(bench: Bench) -> None:
    """aws/containers-roadmap#1078, sst/sst#6377."""
    bench.aggregator.show(ARN, REFERENCE, active=False)
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN)
    answer = bench.answer()
    assert answer.decision.rule == "in_use"
    assert f"{SERVICE} through {ARN}" in answer.decision.reason
    assert bench.left(bench.image_id)


@pytest.mark.parametrize("deployed", ["service", "task definition"])
def test_the_tag_moved_and_tasks_on_the_untagged_image_cannot_restart(bench: Bench, deployed: str) -> None:
    """aws/containers-roadmap#2687 (with a central registry), aws/amazon-ecs-agent#4226, METR/hawk#916."""
    bench.aggregator.show(ARN, f"{APP}:latest", place=DEV, active=deployed == "task definition")
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN, place=DEV)
    running = bench.push("latest", content="running")
    bench.push("latest", content="newer", days_ago=20)
    bench.used(running)
    (answer,) = bench.check(running)
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "may_be_pinned")
    assert bench.left(running)


def test_a_burst_of_pull_requests_pushes_production_out_of_the_newest(bench: Bench) -> None:
    """chanzuckerberg/single-cell-data-portal#5885."""
    bench.configure(NEWEST_IMAGES="5", TAGS_NEVER_MOVE="true")
    rollback = bench.push("v0", content="rollback", days_ago=40)
    bench.used(rollback, hours_ago=23)
    bench.aggregator.show(ARN, REFERENCE)
    for number in range(40):
        bench.push(f"pr-{number}", content=f"pr-{number}", days_ago=1)
    answers = bench.check(bench.image_id, rollback)
    assert [answer.decision.rule for answer in answers] == ["in_use", "within_grace_period"]
    assert bench.left(bench.image_id, rollback) == {bench.image_id, rollback}


def test_there_is_no_older_digest_to_roll_back_to(bench: Bench) -> None:
    """PostHog/posthog#83040: age says nothing about what was deployed yesterday."""
    bench.configure(TAGS_NEVER_MOVE="true")
    old = bench.push("v0", content="old", days_ago=700)
    bench.push("v2", content="deployed", days_ago=0)
    bench.aggregator.show(ARN, f"{APP}:v2")
    bench.used(old, hours_ago=23)
    (answer,) = bench.check(old)
    assert (answer.decision.rule, answer.next_check_at) == ("within_grace_period", bench.clock.now + timedelta(hours=1))
    assert bench.left(old)


def test_afterwards_nobody_can_say_which_images_went_and_why(bench: Bench) -> None:
    """island-is/island.is#10926."""
    bench.ledger.record_last_use(bench.image_id, at=bench.clock.now - DAY, by=ARN)
    child = bench.push(content="child")
    index = bench.push_index("v2", children=[child])
    bench.used(index)
    bench.check(bench.image_id, index)
    told_of_image, told_of_index = bench.announced
    assert told_of_image["digest"] == bench.image_id.digest
    assert told_of_image["usedBy"] == [ARN]
    assert "nobody uses it, and its last known use was at" in told_of_image["reason"]
    assert (told_of_index["digest"], told_of_index["parts"]) == (index.digest, [child.digest])
    for told, image_id in ((told_of_image, bench.image_id), (told_of_index, index)):
        record = bench.record(image_id)
        assert record.removed_at == bench.clock.now
        assert json.loads(record.removal or "")["facts"].items() <= told.items()


# Indexes and artifacts


@pytest.mark.parametrize("action", ["delete", "archive"])
def test_all_children_of_kept_indexes_are_marked_for_deletion(bench: Bench, action: str) -> None:
    """fujiwara/ecrm#123."""
    bench.configure(ACTION=action)
    children = [bench.push(content=platform) for platform in ("amd", "arm")]
    index = bench.push_index("v2", children=children)
    bench.aggregator.show(ARN, f"{APP}@{index.digest}")
    assert set(rules(bench, *children)) <= {"untagged", "held_by_an_index"}
    assert [bench.status(image_id) for image_id in (index, *children)] == ["ACTIVE"] * 3


def test_shared_children_are_deleted_with_one_of_their_indexes(bench: Bench) -> None:
    """dataaxiom/ghcr-cleanup-action#91."""
    shared, own = bench.push(content="shared"), bench.push(content="own")
    index = bench.push_index("v2", children=[shared, own])
    kept = bench.push_index("v3", children=[shared])
    signature = bench.push_referrer(shared)
    bench.aggregator.show(ARN, f"{APP}@{kept.digest}")
    assert rules(bench, index) == ["unused"]
    assert bench.left(index, own, kept, shared, signature) == {kept, shared, signature}


def test_referrers_are_taken_for_untagged_images(bench: Bench) -> None:
    """dataaxiom/ghcr-cleanup-action#71, Azure/acr-cli#133."""
    bench.aggregator.show(ARN, f"{APP}@{bench.image_id.digest}")
    referrer = bench.push_referrer(bench.image_id)
    signature = bench.push(bench.image_id.digest.replace(":", "-") + ".sig", content="cosign")
    of_a_referrer = bench.push_referrer(referrer, content="of a referrer")
    referrers = (referrer, signature, of_a_referrer)
    assert rules(bench, *referrers) == ["not_an_image"] * 3
    assert bench.left(*referrers) == set(referrers)


@pytest.mark.parametrize("action", ["delete", "archive"])
def test_one_dangling_parent_stops_the_run(bench: Bench, action: str) -> None:
    """GoogleCloudPlatform/gcr-cleaner#118."""
    bench.configure(ACTION=action)
    missing, there = bench.push(content="missing"), bench.push(content="there")
    dangling = bench.push_index("v2", children=[missing, there])
    drop_image("111111111111", "eu-central-1", "team/app", missing.digest)
    assert rules(bench, dangling, bench.image_id) == ["unused", "unused"]
    left = bench.left(dangling, there, bench.image_id)
    assert len(left) == (0 if action == "delete" else 3)
    assert {bench.status(image_id) for image_id in left} <= {"ARCHIVED"}


def test_signatures_count_as_images_when_the_newest_are_kept(bench: Bench) -> None:
    """aws/containers-roadmap#2613."""
    bench.configure(NEWEST_IMAGES="2")
    second = bench.push("v2", content="two", days_ago=20)
    for number, signed in enumerate((bench.image_id, second)):
        bench.push_referrer(signed, content=f"oci {number}", days_ago=1)
        bench.push(signed.digest.replace(":", "-") + ".sig", content=f"cosign {number}", days_ago=1)
    bench.push("chart", content="chart", config_type="application/vnd.cncf.helm.config.v1+json", days_ago=1)
    assert rules(bench, bench.image_id, second) == ["newest", "newest"]
    assert bench.left(bench.image_id, second) == {bench.image_id, second}
