"""What the log says of an image, word for word: people search for it, and act on it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ecr_cleanup import decision as decision_module
from ecr_cleanup.decision import Decision, Question, Verdict, decide
from ecr_cleanup.image import ImageStatus
from ecr_cleanup.inventory import (
    Inventory,
    Registration,
    Source,
    TrustProblem,
    blindness_problems,
    build_inventory,
    has_collapsed,
    lag_problems,
)
from unit.test_decision import IMAGE, KEPT, NOW, OTHER_DIGEST, PLACE, POLICY, PROBLEM, UNUSED, USER, imaged

B = OTHER_DIGEST
TD = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
DAY = "1 day, 0:00:00"
NOT_OPTED_IN = "the repository is not opted in with the tag ecr-cleanup = enabled"
WATCHED = "no use of it is known, and it is watched since"
SIGNATURE = f"sha256-{'b' * 64}.sig"
UNTRUSTED = (
    "the inventory cannot be trusted: 222222222222/eu-central-1: the aggregator's last update was FAILED "
    "(check the authorisation)"
)
PINNED = (
    f"tags of the repository can move, so that it may run under a tag of {TD} (ledger: x:v1); ask the accounts "
    "what runs (live usage), make the repository's tags IMMUTABLE, or declare that they never move "
    "(protections.tags_never_move, or the repository's tag ecr-cleanup:tags-move = never)"
)

EXPECTED = {
    "gone": ("gone", "the image is not in the registry any more"),
    "repository gone": ("gone", "the image is not in the registry any more"),
    "no opt-in tag": ("not_opted_in", f"{NOT_OPTED_IN}: it has no such tag"),
    "opt-in tag with another value": ("not_opted_in", f"{NOT_OPTED_IN}: its value is disabled"),
    "opt-in tag in other letters": ("not_opted_in", f"{NOT_OPTED_IN}: it has no such tag"),
    "opt-in value in other letters": ("not_opted_in", f"{NOT_OPTED_IN}: its value is Enabled"),
    "used": ("in_use", f"used by {TD} (ledger: x:v1)"),
    "not trusted": (
        "inventory_not_trusted",
        UNTRUSTED,
    ),
    "last used a second less than the grace period ago": (
        "within_grace_period",
        f"last used at 2030-01-30T12:00:01Z, less than the grace period of {DAY} ago",
    ),
    "pushed a second less than the grace period ago, whatever an event says": (
        "within_grace_period",
        f"pushed at 2030-01-30T12:00:01Z, less than the grace period of {DAY} ago",
    ),
    "last used in the future": (
        "within_grace_period",
        f"last used at 2030-01-31T13:00:00Z, less than the grace period of {DAY} ago",
    ),
    "no use is known": (
        "within_grace_period",
        f"{WATCHED} 2030-01-31T12:00:00Z, less than the grace period of {DAY}",
    ),
    "refers to another image": ("not_an_image", f"it refers to {B}, and goes with it"),
    "has nothing but a signature's tag": (
        "not_an_image",
        f"its tag {SIGNATURE} is one of signatures, which go with what they are for",
    ),
    "is a chart": (
        "not_an_image",
        "it is an artifact of the type application/vnd.cncf.helm.config.v1+json, not an image",
    ),
    "has the manifest of an artifact": ("not_an_image", "its manifest is one of an artifact (None), not an image"),
    "may run under a tag that has moved": (
        "may_be_pinned",
        PINNED,
    ),
    "has no tag": (
        "untagged",
        "it is untagged: it can be part of an index, or run under a tag that it had, and nobody asked what runs",
    ),
    "one of its tags is protected": ("protected_tag", "its tag release-7 is protected by the pattern release-*"),
    "is the newest": ("newest", "it is among the newest 1 of its repository: 0 are newer"),
    "never used and not watched for long": (
        "within_grace_period",
        f"{WATCHED} 2030-01-30T12:00:01Z, less than the grace period of {DAY}",
    ),
    "never used and young": (
        "too_young",
        "no use of it is known, and it was pushed at 2030-01-17T12:00:01Z, less than 14 days, 0:00:00 ago",
    ),
    "never used and pulled within 90 days": (
        "too_young",
        "no use of it is known, but it was pulled at 2029-11-02T12:00:01Z, less than 90 days, 0:00:00 ago",
    ),
    "pulled within grace period and a day": (
        "pulled_recently",
        "pulled at 2030-01-29T12:00:01Z, less than 2 days, 0:00:00 ago",
    ),
    "archived by somebody else": ("archived", "somebody else put it into the archive"),
    "being restored": ("archived", "it is being restored from the archive"),
    "archived for less than the archive period": (
        "archived",
        "archived at 2029-11-02T12:00:01Z, less than 90 days, 0:00:00 ago",
    ),
    "in an index": ("held_by_an_index", f"the index {B} of the repository contains it"),
    "cap reached": (
        "cap_reached",
        "the cap on removals of the last 24 hours is reached (protections.removals_per_day)",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_every_reason_is_said_in_these_words(name: str) -> None:
    decision = decide(KEPT[name], POLICY)
    assert not isinstance(decision, Question)
    assert (decision.rule, decision.reason) == EXPECTED[name]


def test_what_is_being_restored_is_asked_about_again() -> None:
    decision = decide(KEPT["being restored"], POLICY)
    assert not isinstance(decision, Question)
    assert (decision.verdict, decision.until) == (Verdict.POSTPONE, NOW + timedelta(minutes=15))


@pytest.mark.parametrize("status", [ImageStatus.ARCHIVED, ImageStatus.ACTIVATING])
def test_a_use_of_what_cannot_be_pulled_is_said(status: ImageStatus) -> None:
    decision = decide(imaged(status=status)._replace(users=(USER,)), POLICY)
    assert not isinstance(decision, Question)
    assert decision.reason == f"used although it is archived and cannot be pulled by {TD} (ledger: x:v1)"


def test_three_are_named_without_more() -> None:
    users = tuple(USER._replace(arn=f"arn:{number}") for number in range(3))
    for evidence in (UNUSED._replace(users=users), UNUSED._replace(problems=(PROBLEM,) * 3)):
        decision = decide(evidence, POLICY)
        assert not isinstance(decision, Question)
        assert "more" not in decision.reason


@pytest.mark.parametrize("tag", [f"{SIGNATURE}-old", f"sha256-{'b' * 64}-x"])
def test_a_tag_that_only_begins_like_a_signatures_is_one_of_an_image(tag: str) -> None:
    decision = decide(imaged(tags=frozenset({tag})), POLICY)
    assert not isinstance(decision, Question)
    assert decision.verdict is Verdict.REMOVE


def test_an_image_that_has_a_signatures_tag_among_others_is_an_image() -> None:
    decision = decide(imaged(tags=frozenset({SIGNATURE, "v1"})), POLICY)
    assert not isinstance(decision, Question)
    assert decision.verdict is Verdict.REMOVE


def test_of_several_signatures_tags_the_first_is_named() -> None:
    tags = frozenset({SIGNATURE, f"sha256-{'c' * 64}.sig"})
    decision = decide(imaged(tags=tags), POLICY)
    assert not isinstance(decision, Question)
    assert SIGNATURE in decision.reason


def test_what_an_index_is_its_manifest_says_and_not_its_artifact_type() -> None:
    media_type = "application/vnd.oci.image.index.v1+json"
    decision = decide(imaged(media_type=media_type, artifact_type="application/x"), POLICY)
    assert not isinstance(decision, Question)
    assert decision.verdict is Verdict.REMOVE


def test_where_none_of_the_newest_is_kept_nobody_asks_which_those_are() -> None:
    policy = POLICY._replace(protections=POLICY.protections._replace(newest=0))
    decision = decide(UNUSED._replace(newer_images=None), policy)
    assert not isinstance(decision, Question)
    assert decision.verdict is Verdict.REMOVE


# The inventory


def test_a_usage_says_who_and_through_what() -> None:
    assert str(USER) == f"{TD} (ledger: x:v1)"
    assert str(USER._replace(source=Source.AGGREGATOR)) == f"{TD} (aggregator: x:v1)"
    assert str(USER._replace(arn="arn:s", task_definition=TD)) == f"arn:s through {TD} (ledger: x:v1)"


def test_a_problem_says_where_what_and_how_to_repair_it() -> None:
    assert str(TrustProblem(PLACE, "a", "b")) == "222222222222/eu-central-1: a (b)"
    assert str(TrustProblem(None, "a", "b")) == "a (b)"


def test_an_inventory_of_nothing_has_no_size() -> None:
    for inventory in (Inventory(NOW, ()), build_inventory([], read_at=NOW)):
        assert (inventory.size, len(inventory.expected)) == (0, 0)
        assert inventory.users_of(IMAGE) == []


def test_what_is_logged_of_an_inventory_is_not_all_that_is_in_it() -> None:
    assert (
        repr(build_inventory([], read_at=NOW))
        == f"Inventory(read_at={NOW!r}, problems=(), size=0, expected=frozenset())"
    )


def registration(name: str, *, references: frozenset[str] = frozenset({"x:v1"})) -> Registration:
    at = NOW - timedelta(hours=1)
    return Registration(f"{TD[:-1]}{name}", PLACE, references, frozenset(), at, at)


def test_the_first_of_those_that_are_overdue_is_named() -> None:
    (problem,) = lag_problems([registration("8"), registration("7")], max_lag=timedelta(hours=1))
    assert problem.reason == (
        f"2 task definition(s) registered more than 1:00:00 ago are not in the aggregator, such as {TD}"
    )


def test_a_registration_of_unknown_images_counts_up_to_the_longest_lag() -> None:
    blind = registration("7", references=frozenset())
    (problem,) = blindness_problems([blind], max_lag=timedelta(hours=1), now=NOW)
    assert "was registered at 2030-01-31T11:00:00Z, and its event was too large to carry its images" in problem.reason
    assert blindness_problems([blind], max_lag=timedelta(hours=1), now=NOW + timedelta(seconds=1)) == []


@pytest.mark.parametrize(("read", "expected", "collapsed"), [(1, 3, False), (0, 2, False), (0, 3, True), (2, 5, True)])
def test_a_count_collapses_when_three_and_more_than_half_are_missing(
    read: int,
    expected: int,
    collapsed: bool,
) -> None:
    assert has_collapsed(read, expected) is collapsed


def test_verdicts_are_called_as_saved_queries_and_alarms_know_them() -> None:
    assert [verdict.value for verdict in Verdict] == ["remove", "keep", "postpone", "gone"]


def test_what_is_asked_is_a_question() -> None:
    assert all(question.value.endswith("?") for question in Question)


def test_reasons_are_put_into_words_only_for_those_who_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep decides about millions of images, and mostly only counts the rules that spoke."""
    written = []

    def text(time: datetime) -> str:
        written.append(time)
        return "then"

    monkeypatch.setattr(decision_module, "_text", text)
    decisions = [decide(evidence, POLICY) for evidence in (KEPT["no use is known"], UNUSED)]
    assert written == []
    assert all(isinstance(decision, Decision) and "then" in decision.reason for decision in decisions)
    assert len(written) == len(decisions)
