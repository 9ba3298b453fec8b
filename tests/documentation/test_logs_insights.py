from __future__ import annotations

from typing import Any

import pytest

from documentation.logs_insights import QueryError, discovered, evaluate

LINES: list[dict[str, Any]] = [
    {"name": "a", "removed": True, "tags": ["v1", "latest"], "size": 3},
    {"name": "b", "removed": False, "tags": [], "size": 1, "pulled_at": None},
    {"name": "c", "other": {"deep": [{"er": 1}]}},
]


def test_finds_what_the_filter_says_and_nothing_else() -> None:
    assert evaluate("fields name | filter removed = 1", LINES) == [{"name": "a"}]
    assert evaluate("fields name | filter removed = 0", LINES) == [{"name": "b"}]
    assert evaluate('fields name | filter name = "c"', LINES) == [{"name": "c"}]
    assert evaluate("fields name | filter ispresent(removed) | filter removed = 2", LINES) == []


def test_finds_what_is_greater_and_no_more_than_the_limit() -> None:
    assert evaluate("fields name | filter size > 1", LINES) == [{"name": "a"}]
    assert evaluate("fields name | sort @timestamp desc | limit 2", LINES) == [{"name": "c"}, {"name": "b"}]


def test_finds_a_text_anywhere_in_the_line() -> None:
    assert evaluate('fields name | filter @message like "latest"', LINES) == [{"name": "a"}]
    assert evaluate('fields name | filter @message like "nowhere"', LINES) == []


def test_true_is_not_the_text_true() -> None:
    assert evaluate('fields name | filter removed = "true"', LINES) == []


def test_what_is_null_is_not_there() -> None:
    assert evaluate("fields name | filter ispresent(pulled_at)", LINES) == []


def test_lists_are_numbered_and_fields_that_a_line_lacks_left_out() -> None:
    rows = evaluate("fields @timestamp, tags.1, other.deep.0.er | sort @timestamp desc", LINES)
    assert rows == [{"@timestamp": 2, "other.deep.0.er": 1}, {"@timestamp": 1}, {"@timestamp": 0, "tags.1": "latest"}]


def test_of_a_long_line_only_the_first_fields_are_found() -> None:
    assert list(discovered({"parts": ["x"] * 300, "last": 1}))[-1] == "parts.199"


@pytest.mark.parametrize(
    "query",
    [
        "stats count(*)",
        "fields name | filter removed = true",
        "fields name | filter name like /a/",
        "fields name | filter removed = 1 and size = 3",
        "fields name as other",
        "fields name | sort name",
        "fields name | limit all",
        "fields",
    ],
)
def test_what_is_not_understood_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        evaluate(query, LINES)
