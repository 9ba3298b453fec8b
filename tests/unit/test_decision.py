from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecr_cleanup.decision import (
    RULES,
    Decision,
    Evidence,
    Question,
    Verdict,
    capped,
    matches,
    postponed_for_trouble,
)
from ecr_cleanup.decision import decide as decide_or_ask
from ecr_cleanup.image import Image, ImageId, ImageStatus, Repository
from ecr_cleanup.inventory import Source, TrustProblem, Usage
from ecr_cleanup.manifest import Manifest, ManifestKind
from ecr_cleanup.policy import Policy
from ecr_cleanup.settings import Action, OptInTag, Place, Protections

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
IMAGE_ID = ImageId(Repository("111111111111", "eu-central-1", "team/app"), "sha256:" + "a" * 64)
IMAGE = Image(IMAGE_ID, frozenset({"v1"}), 1000, NOW - timedelta(days=30))
PLACE = Place("222222222222", "eu-central-1")
USER = Usage(
    "task definition", "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7", PLACE, "x:v1", Source.LEDGER
)
PROBLEM = TrustProblem(PLACE, "the aggregator's last update was FAILED", "check the authorisation")
POLICY = Policy(
    opt_in_tag=OptInTag("ecr-cleanup", "enabled"),
    grace_period=timedelta(hours=24),
    action=Action.DELETE,
    protections=Protections(tag_patterns=("release-*",)),
    archive_period=timedelta(days=90),
)
OTHER_DIGEST = "sha256:" + "b" * 64
SECOND = timedelta(seconds=1)

UNUSED = Evidence(
    image_id=IMAGE_ID,
    image=IMAGE,
    repository_tags={"ecr-cleanup": "enabled"},
    attempt=0,
    now=NOW,
    last_used_at=NOW - timedelta(hours=24),
    users=(),
    pins=(),
    newer_images=1,
    manifest=Manifest(ManifestKind.IMAGE),
    removals_left=1,
)
NEVER_USED = UNUSED._replace(last_used_at=None, watched_since=NOW - timedelta(hours=24))


def imaged(**changes: object) -> Evidence:
    return UNUSED._replace(image=IMAGE._replace(**changes))  # type: ignore[arg-type]


def decide(evidence: Evidence, policy: Policy) -> Decision:
    decision = decide_or_ask(evidence, policy)
    assert isinstance(decision, Decision)
    return decision


# What must not be removed, and the rule that says so. Each differs from the removable image in one point.
KEPT = {
    "gone": UNUSED._replace(image=None),
    "repository gone": UNUSED._replace(repository_tags=None),
    "no opt-in tag": UNUSED._replace(repository_tags={}),
    "opt-in tag with another value": UNUSED._replace(repository_tags={"ecr-cleanup": "disabled"}),
    "opt-in tag in other letters": UNUSED._replace(repository_tags={"ECR-Cleanup": "enabled"}),
    "opt-in value in other letters": UNUSED._replace(repository_tags={"ecr-cleanup": "Enabled"}),
    "used": UNUSED._replace(users=(USER,)),
    "not trusted": UNUSED._replace(problems=(PROBLEM,)),
    "last used a second less than the grace period ago": UNUSED._replace(
        last_used_at=NOW - timedelta(hours=24) + timedelta(seconds=1)
    ),
    "pushed a second less than the grace period ago, whatever an event says": UNUSED._replace(
        image=IMAGE._replace(pushed_at=NOW - timedelta(hours=24) + timedelta(seconds=1))
    ),
    "last used in the future": UNUSED._replace(last_used_at=NOW + timedelta(hours=1)),
    "no use is known": UNUSED._replace(last_used_at=None),
    "refers to another image": imaged(subject=OTHER_DIGEST),
    "has nothing but a signature's tag": imaged(tags=frozenset({f"sha256-{'b' * 64}.sig"})),
    "is a chart": imaged(artifact_type="application/vnd.cncf.helm.config.v1+json"),
    "has the manifest of an artifact": UNUSED._replace(manifest=Manifest(ManifestKind.ARTIFACT)),
    "may run under a tag that has moved": UNUSED._replace(pins=(USER,)),
    "has no tag": imaged(tags=frozenset()),
    "one of its tags is protected": imaged(tags=frozenset({"v1", "release-7"})),
    "is the newest": UNUSED._replace(newer_images=0),
    "never used and not watched for long": NEVER_USED._replace(watched_since=NOW - timedelta(hours=24) + SECOND),
    "never used and young": NEVER_USED._replace(image=IMAGE._replace(pushed_at=NOW - timedelta(days=14) + SECOND)),
    "never used and pulled within 90 days": NEVER_USED._replace(last_pulled_at=NOW - timedelta(days=90) + SECOND),
    "pulled within grace period and a day": UNUSED._replace(last_pulled_at=NOW - timedelta(hours=48) + SECOND),
    "archived by somebody else": imaged(status=ImageStatus.ARCHIVED),
    "being restored": imaged(status=ImageStatus.ACTIVATING),
    "archived for less than the archive period": imaged(status=ImageStatus.ARCHIVED)._replace(
        archived_at=NOW - timedelta(days=90) + SECOND
    ),
    "in an index": UNUSED._replace(parents=(OTHER_DIGEST,)),
    "cap reached": UNUSED._replace(removals_left=0),
}


@pytest.mark.parametrize("evidence", KEPT.values(), ids=KEPT.keys())
def test_is_not_removed(evidence: Evidence) -> None:
    decision = decide(evidence, POLICY)
    assert decision.verdict is not Verdict.REMOVE
    assert decision.reason


def test_every_rule_is_needed_for_one_of_these() -> None:
    # The one asks only, and the other needs another policy.
    rules = {rule.__name__ for rule in RULES} - {"may_be_running", "repository_settings_invalid"}
    assert {decide(evidence, POLICY).rule for evidence in KEPT.values()} == {"gone", *rules}


def test_an_owner_who_cannot_be_understood_keeps_everything() -> None:
    decision = decide(UNUSED, POLICY._replace(complaints=("ecr-cleanup:grace-hours is 'a day'",)))
    assert (decision.verdict, decision.rule) == (Verdict.KEEP, "repository_settings_invalid")
    assert "'a day'" in decision.reason


@pytest.mark.parametrize(
    ("unknown", "question"),
    [
        (UNUSED._replace(users=None), Question.USERS),
        (UNUSED._replace(pins=None), Question.PINS),
        (UNUSED._replace(newer_images=None), Question.NEWER_IMAGES),
        (UNUSED._replace(manifest=None), Question.MANIFEST),
        (UNUSED._replace(removals_left=None), Question.REMOVALS_LEFT),
    ],
    ids=lambda value: value.name if isinstance(value, Question) else "",
)
def test_what_nobody_looked_up_is_asked_for_rather_than_taken_for_nothing(
    unknown: Evidence, question: Question
) -> None:
    assert decide_or_ask(unknown, POLICY) is question


@pytest.mark.parametrize(
    "name", sorted(KEPT.keys() - {"has the manifest of an artifact", "in an index", "cap reached"})
)
def test_a_manifest_is_read_only_for_what_every_other_rule_would_remove(name: str) -> None:
    evidence = KEPT[name]._replace(manifest=None, removals_left=None)
    assert decide_or_ask(evidence, POLICY) is not Question.MANIFEST


def test_to_report_no_manifest_is_read_and_nothing_is_counted() -> None:
    evidence = UNUSED._replace(manifest=None, removals_left=None)
    assert decide(evidence, POLICY._replace(action=Action.REPORT)).verdict is Verdict.REMOVE


def test_where_tags_never_move_nobody_asks_for_pins() -> None:
    policy = POLICY._replace(protections=POLICY.protections._replace(tags_never_move=True))
    assert decide(UNUSED._replace(pins=None), policy).verdict is Verdict.REMOVE


def test_the_reason_for_a_possible_pin_names_the_three_repairs() -> None:
    reason = decide(UNUSED._replace(pins=(USER,)), POLICY).reason
    for part in (USER.arn, "live usage", "IMMUTABLE", "tags_never_move", "ecr-cleanup:tags-move = never"):
        assert part in reason


def test_a_use_of_whose_end_no_event_tells_is_asked_about_again() -> None:
    service = USER._replace(kind="service", arn="arn:aws:ecs:eu-central-1:222222222222:service/c/s")
    assert decide(UNUSED._replace(users=(service,)), POLICY).until == NOW + timedelta(days=1)
    assert decide(UNUSED._replace(users=(service, USER)), POLICY).until is None


def test_an_image_that_was_never_used_goes_after_all_its_waits() -> None:
    image = IMAGE._replace(pushed_at=NOW - timedelta(days=14))
    evidence = NEVER_USED._replace(image=image, last_pulled_at=NOW - timedelta(days=90))
    decision = decide(evidence, POLICY)
    assert decision.verdict is Verdict.REMOVE
    assert "no use of it was ever known" in decision.reason


@pytest.mark.parametrize(
    ("evidence", "until"),
    [
        (NEVER_USED._replace(watched_since=NOW), NOW + timedelta(hours=24)),
        (NEVER_USED._replace(image=IMAGE._replace(pushed_at=NOW - timedelta(days=4))), NOW + timedelta(days=10)),
        (NEVER_USED._replace(last_pulled_at=NOW), NOW + timedelta(days=90)),
        (UNUSED._replace(last_pulled_at=NOW), NOW + timedelta(hours=48)),
        (
            imaged(status=ImageStatus.ARCHIVED)._replace(archived_at=NOW - timedelta(days=30)),
            NOW + timedelta(days=60),
        ),
        (UNUSED._replace(removals_left=0), NOW + timedelta(hours=1)),
    ],
)
def test_what_must_wait_comes_back_when_its_wait_is_over(evidence: Evidence, until: datetime) -> None:
    decision = decide(evidence, POLICY)
    assert (decision.verdict, decision.until) == (Verdict.POSTPONE, until)


def test_what_was_archived_goes_when_its_time_in_the_archive_is_over() -> None:
    evidence = imaged(status=ImageStatus.ARCHIVED)._replace(archived_at=NOW - timedelta(days=90))
    assert decide(evidence, POLICY).verdict is Verdict.REMOVE


def test_newest_0_protects_none() -> None:
    policy = POLICY._replace(protections=POLICY.protections._replace(newest=0))
    assert decide(UNUSED._replace(newer_images=0), policy).verdict is Verdict.REMOVE


@pytest.mark.parametrize(
    ("tag", "pattern", "matched"),
    [
        ("release-7", "release-*", True),
        ("release-", "release-*", True),
        ("prerelease-7", "release-*", False),
        ("v1.2-prod", "v*-prod", True),
        ("v1x2", "v1.2", False),
        ("Release-7", "release-*", False),
        ("anything", "*", True),
    ],
)
def test_patterns_are_those_of_ecr(tag: str, pattern: str, matched: bool) -> None:
    assert matches(tag, pattern) is matched


def test_the_cap_asks_again_at_the_next_full_hour() -> None:
    assert capped(NOW + timedelta(minutes=59)).until == NOW + timedelta(hours=1)


def test_is_removed_exactly_when_the_grace_period_is_over() -> None:
    decision = decide(UNUSED, POLICY)
    assert decision.verdict is Verdict.REMOVE
    assert "its last known use was at 2030-01-30T12:00:00Z" in decision.reason


def test_a_usage_counts_even_where_the_inventory_is_not_trusted() -> None:
    decision = decide(UNUSED._replace(users=(USER,), problems=(PROBLEM,)), POLICY)
    assert (decision.verdict, decision.rule) == (Verdict.KEEP, "in_use")


def test_the_reason_names_the_users_but_not_thousands() -> None:
    users = tuple(USER._replace(arn=f"{USER.arn[:-1]}{number}") for number in range(7, 57))
    decision = decide(UNUSED._replace(users=users), POLICY)
    assert USER.arn in decision.reason
    assert "and 47 more" in decision.reason
    assert len(decision.reason) < 1000


def test_one_user_with_several_references_is_named_once() -> None:
    decision = decide(UNUSED._replace(users=(USER, USER._replace(source=Source.AGGREGATOR))), POLICY)
    assert decision.reason.count(USER.arn) == 1


def test_the_reason_names_account_region_cause_and_repair() -> None:
    decision = decide(UNUSED._replace(problems=(PROBLEM,)), POLICY)
    assert decision.verdict is Verdict.POSTPONE
    for part in ("222222222222/eu-central-1", "FAILED", "check the authorisation"):
        assert part in decision.reason


def test_the_reason_does_not_list_a_thousand_problems() -> None:
    assert "and 997 more" in decide(UNUSED._replace(problems=(PROBLEM,) * 1000), POLICY).reason


def test_within_the_grace_period_the_check_comes_back_at_its_end() -> None:
    decision = decide(UNUSED._replace(last_used_at=NOW - timedelta(hours=1), attempt=5), POLICY)
    assert (decision.verdict, decision.until, decision.attempt) == (Verdict.POSTPONE, NOW + timedelta(hours=23), 0)


def test_without_a_known_use_the_grace_period_starts_now() -> None:
    decision = decide(UNUSED._replace(last_used_at=None), POLICY)
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
