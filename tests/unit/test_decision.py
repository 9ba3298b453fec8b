from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecr_cleanup.decision import RULES, Evidence, Policy, Verdict, decide, postponed_for_trouble
from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import Source, TrustProblem, Usage
from ecr_cleanup.settings import OptInTag, Place

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
IMAGE_ID = ImageId(Repository("111111111111", "eu-central-1", "team/app"), "sha256:" + "a" * 64)
IMAGE = Image(IMAGE_ID, frozenset({"v1"}), 1000, NOW - timedelta(days=30))
PLACE = Place("222222222222", "eu-central-1")
USER = Usage(
    "task definition", "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7", PLACE, "x:v1", Source.LEDGER
)
PROBLEM = TrustProblem(PLACE, "the aggregator's last update was FAILED", "check the authorisation")
POLICY = Policy(OptInTag("ecr-cleanup", "enabled"), timedelta(hours=24))

UNUSED = Evidence(
    image_id=IMAGE_ID,
    image=IMAGE,
    repository_tags={"ecr-cleanup": "enabled"},
    users=(),
    problems=(),
    last_used_at=NOW - timedelta(hours=24),
    attempt=0,
    now=NOW,
)

# What must not be removed, and the rule that says so. Each differs from the removable image in one point.
KEPT = {
    "gone": replace(UNUSED, image=None),
    "repository gone": replace(UNUSED, repository_tags=None),
    "no opt-in tag": replace(UNUSED, repository_tags={}),
    "opt-in tag with another value": replace(UNUSED, repository_tags={"ecr-cleanup": "disabled"}),
    "opt-in tag in other letters": replace(UNUSED, repository_tags={"ECR-Cleanup": "enabled"}),
    "opt-in value in other letters": replace(UNUSED, repository_tags={"ecr-cleanup": "Enabled"}),
    "used": replace(UNUSED, users=(USER,)),
    "not trusted": replace(UNUSED, problems=(PROBLEM,)),
    "last used a second less than the grace period ago": replace(
        UNUSED, last_used_at=NOW - timedelta(hours=24) + timedelta(seconds=1)
    ),
    "pushed a second less than the grace period ago, whatever an event says": replace(
        UNUSED, image=replace(IMAGE, pushed_at=NOW - timedelta(hours=24) + timedelta(seconds=1))
    ),
    "last used in the future": replace(UNUSED, last_used_at=NOW + timedelta(hours=1)),
    "no use is known": replace(UNUSED, last_used_at=None),
}


@pytest.mark.parametrize("evidence", KEPT.values(), ids=KEPT.keys())
def test_is_not_removed(evidence: Evidence) -> None:
    decision = decide(evidence, POLICY)
    assert decision.verdict is not Verdict.REMOVE
    assert decision.reason


def test_every_rule_is_needed_for_one_of_these() -> None:
    assert {decide(evidence, POLICY).rule for evidence in KEPT.values()} == {rule.__name__ for rule in RULES}


def test_is_removed_exactly_when_the_grace_period_is_over() -> None:
    decision = decide(UNUSED, POLICY)
    assert decision.verdict is Verdict.REMOVE
    assert "none was since 2030-01-30T12:00:00Z" in decision.reason


def test_a_usage_counts_even_where_the_inventory_is_not_trusted() -> None:
    decision = decide(replace(UNUSED, users=(USER,), problems=(PROBLEM,)), POLICY)
    assert (decision.verdict, decision.rule) == (Verdict.KEEP, "in_use")


def test_the_reason_names_the_users_but_not_thousands() -> None:
    users = tuple(replace(USER, arn=f"{USER.arn[:-1]}{number}") for number in range(7, 57))
    decision = decide(replace(UNUSED, users=users), POLICY)
    assert USER.arn in decision.reason
    assert "and 47 more" in decision.reason
    assert len(decision.reason) < 1000


def test_one_user_with_several_references_is_named_once() -> None:
    decision = decide(replace(UNUSED, users=(USER, replace(USER, source=Source.AGGREGATOR))), POLICY)
    assert decision.reason.count(USER.arn) == 1


def test_the_reason_names_account_region_cause_and_repair() -> None:
    decision = decide(replace(UNUSED, problems=(PROBLEM,)), POLICY)
    assert decision.verdict is Verdict.POSTPONE
    for part in ("222222222222/eu-central-1", "FAILED", "check the authorisation"):
        assert part in decision.reason


def test_the_reason_does_not_list_a_thousand_problems() -> None:
    assert "and 997 more" in decide(replace(UNUSED, problems=(PROBLEM,) * 1000), POLICY).reason


def test_within_the_grace_period_the_check_comes_back_at_its_end() -> None:
    decision = decide(replace(UNUSED, last_used_at=NOW - timedelta(hours=1), attempt=5), POLICY)
    assert (decision.verdict, decision.until, decision.attempt) == (Verdict.POSTPONE, NOW + timedelta(hours=23), 0)


def test_without_a_known_use_the_grace_period_starts_now() -> None:
    decision = decide(replace(UNUSED, last_used_at=None), POLICY)
    assert (decision.verdict, decision.until) == (Verdict.POSTPONE, NOW + timedelta(hours=24))


def test_trouble_postpones_at_growing_intervals_up_to_a_day() -> None:
    waits = []
    attempt = 0
    for _ in range(12):
        decision = postponed_for_trouble("x", "y", attempt=attempt, now=NOW)
        assert decision.until is not None
        waits.append(decision.until - NOW)
        attempt = decision.attempt
    assert waits[0] == timedelta(minutes=15)
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(hours=24)


def test_an_absurd_count_of_attempts_does_no_harm() -> None:
    assert postponed_for_trouble("x", "y", attempt=10**30, now=NOW).until == NOW + timedelta(hours=24)
