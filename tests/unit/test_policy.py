from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleanup.policy import Policy
from ecr_cleanup.settings import Action, CheckSettings
from function_environment import ENVIRONMENT


def policy(environment: dict[str, str] | None = None, **tags: str) -> Policy:
    named = {f"ecr-cleanup:{name.replace('_', '-')}": value for name, value in tags.items()}
    return Policy.of(CheckSettings.from_environment({**ENVIRONMENT, **(environment or {})}), named)


@pytest.mark.parametrize(
    ("tags", "complaint"),
    [
        ({"grace_hours": "a day"}, "grace-hours is 'a day', but must be a whole number from 1 to 8760"),
        ({"grace_hours": "0"}, "from 1 to 8760"),
        ({"grace_hours": "99999999999999999999"}, "from 1 to 8760"),
        ({"keep_newest": "-1"}, "keep-newest is '-1', but must be a whole number from 0 to 10000"),
        ({"keep_newest": "1_0"}, "from 0 to 10000"),
        ({"protect": ""}, "protect is ''"),
        ({"protect": "v1,v2"}, "separated by spaces"),
        ({"action": "purge"}, "action is 'purge', but must be report, archive or delete"),
        ({"tags_move": "no"}, "tags-move is 'no', but must be never or sometimes"),
        ({"grace_hour": "24"}, "ecr-cleanup:grace-hour is none that is understood"),
    ],
)
def test_a_tag_that_makes_no_sense_is_a_complaint(tags: dict[str, str], complaint: str) -> None:
    assert complaint in " ".join(policy({}, **tags).complaints)


def test_every_tag_that_makes_no_sense_is_named() -> None:
    assert len(policy(grace_hours="x", keep_newest="y", protect="stable").complaints) == 2


def test_an_owner_cannot_make_the_action_less_careful() -> None:
    assert policy({"ACTION": "report"}, action="delete").action is Action.REPORT
    assert policy({"ACTION": "archive"}, action="delete").action is Action.ARCHIVE


def test_an_owner_can_make_the_action_more_careful() -> None:
    assert policy({"ACTION": "delete"}, action="archive").action is Action.ARCHIVE
    assert policy({"ACTION": "delete"}, action="report").action is Action.REPORT


def test_an_owner_can_change_grace_period_and_newest() -> None:
    changed = policy(grace_hours="240", keep_newest="5")
    assert (changed.grace_period, changed.protections.newest) == (timedelta(days=10), 5)


def test_the_wait_after_a_pull_follows_the_grace_period_unless_it_is_set() -> None:
    assert policy(grace_hours="240").pulled_within == timedelta(days=11)
    assert policy({"PULLED_WITHIN_HOURS": "0"}, grace_hours="240").pulled_within == timedelta()


def test_an_owner_protects_more_tags_and_none_less() -> None:
    changed = policy({"PROTECTED_TAG_PATTERNS": "prod-*"}, protect="stable release-@")
    assert changed.protections.tag_patterns == ("prod-*", "stable", "release-*")


def test_an_owner_declares_that_tags_never_move_or_that_they_do() -> None:
    assert policy(tags_move="never").protections.tags_never_move
    assert not policy({"TAGS_NEVER_MOVE": "true"}, tags_move="sometimes").protections.tags_never_move


def test_the_opt_in_tag_is_none_of_these_whatever_it_is_called() -> None:
    settings = CheckSettings.from_environment(ENVIRONMENT | {"OPT_IN_TAG_KEY": "ecr-cleanup:on"})
    assert not Policy.of(settings, {"ecr-cleanup:on": "yes", "team": "a"}).complaints


@given(st.sampled_from(["grace-hours", "keep-newest", "protect", "action", "tags-move"]), st.text(max_size=300))
def test_any_value_is_understood_or_complained_about(name: str, value: str) -> None:
    settings = CheckSettings.from_environment(ENVIRONMENT)
    changed = Policy.of(settings, {f"ecr-cleanup:{name}": value})
    assert changed.complaints or changed.grace_period >= timedelta(hours=1)
