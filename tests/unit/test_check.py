from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleanup.check import Check
from ecr_cleanup.errors import CheckError
from ecr_cleanup.image import ImageId, Repository

IMAGE_ID = ImageId(Repository("123456789012", "eu-central-1", "team/app"), "sha256:" + "a" * 64)
GOOD = {"version": 1, "image": str(IMAGE_ID), "cause": "test", "attempt": 0}


def test_a_check_round_trips() -> None:
    check = Check(IMAGE_ID, "because", 3)
    assert Check.from_json(check.to_json()) == check


def test_the_schedule_name_is_one_that_the_scheduler_takes() -> None:
    assert re.fullmatch(r"[0-9a-zA-Z-_.]{1,64}", Check(IMAGE_ID, "because").schedule_name)


def test_the_schedule_name_depends_on_the_image_alone() -> None:
    name = Check(IMAGE_ID, "because", 3).schedule_name
    assert name == Check(IMAGE_ID, "another reason").schedule_name
    for other in (
        ImageId(Repository("123456789013", "eu-central-1", "team/app"), IMAGE_ID.digest),
        ImageId(Repository("123456789012", "eu-west-1", "team/app"), IMAGE_ID.digest),
        ImageId(Repository("123456789012", "eu-central-1", "team/api"), IMAGE_ID.digest),
        ImageId(IMAGE_ID.repository, "sha256:" + "b" * 64),
    ):
        assert Check(other, "because").schedule_name != name


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'no "version": 1'),
        ("null", 'no "version": 1'),
        (json.dumps({**GOOD, "version": 2}), 'no "version": 1'),
        (json.dumps({**GOOD, "image": 1}), 'lacks "image"'),
        (json.dumps({**GOOD, "image": "team/app:v1"}), '"image" is wrong'),
        (json.dumps({**GOOD, "cause": None}), 'lacks "image" or "cause"'),
        (json.dumps({**GOOD, "attempt": -1}), "not a count"),
        (json.dumps({**GOOD, "attempt": True}), "not a count"),
        (json.dumps({**GOOD, "attempt": 1.5}), "not a count"),
    ],
)
def test_a_message_that_is_no_check_is_refused(message: str, complaint: str) -> None:
    with pytest.raises(CheckError, match=re.escape(complaint)):
        Check.from_json(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, json_values)))
def test_any_message_is_a_check_or_refused(message: dict[str, object]) -> None:
    try:
        check = Check.from_json(json.dumps(message))
    except CheckError:
        return
    assert json.loads(check.to_json()) == message
