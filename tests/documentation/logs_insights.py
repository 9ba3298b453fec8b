"""Evaluates queries of CloudWatch Logs Insights over JSON lines, as far as the documentation needs it.

Knows `fields`, `filter`, `sort` and `limit`, of `@message` whether it has a text in it, and refuses the rest:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

Row = dict[str, Any]

_NAME = r"@?[A-Za-z_]\w*(?:\.\w+)*"
_NAMES = re.compile(rf"{_NAME}(?:\s*,\s*{_NAME})*")
_PRESENT = re.compile(rf"ispresent\((?P<name>{_NAME})\)")
_EQUAL = re.compile(rf'(?P<name>{_NAME})\s*=\s*(?:"(?P<text>[^"]*)"|(?P<number>\d+))')
_GREATER = re.compile(rf"(?P<name>{_NAME})\s*>\s*(?P<number>\d+)")
_LIKE = re.compile(r'@message\s+like\s+"(?P<text>[^"]+)"')
_SORT = re.compile(rf"(?P<name>{_NAME})\s+(?P<order>asc|desc)")
# So many fields of a line are found: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Parse.html
_FIELDS = 200


class QueryError(Exception):
    """A query holds what this evaluator does not know."""


def evaluate(query: str, lines: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows that a query finds, with those of its fields that each line has; `@timestamp` is a line's number.

    Raises:
        QueryError: the query is not one of those that are understood.
    """
    rows = [{"@timestamp": n, "@message": json.dumps(line), **discovered(line)} for n, line in enumerate(lines)]
    shown: list[str] = []
    for command in query.split("|"):
        name, _, rest = command.strip().partition(" ")
        match name:
            case "fields":
                shown += fields(rest)
            case "filter":
                rows = [row for row in rows if _holds(rest.strip(), row)]
            case "sort":
                match = _matched(_SORT, rest)
                rows.sort(key=lambda row, key=match["name"]: row[key], reverse=match["order"] == "desc")  # type: ignore[misc]
            case "limit" if rest.isdigit():
                rows = rows[: int(rest)]
            case _:
                raise QueryError(f"the command {name!r} is not known here")
    return [{name: row[name] for name in shown if name in row} for row in rows]


def fields(names: str) -> list[str]:
    """The names in a list of them.

    Raises:
        QueryError: it is not one.
    """
    return [name.strip() for name in _matched(_NAMES, names)[0].split(",")]


def discovered(line: Mapping[str, Any]) -> Row:
    """The fields found in a line: flat, elements of lists by their numbers, 1 for true and nothing for null."""
    return dict(islice(_flat(line, ""), _FIELDS))


def _flat(value: object, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{number}")
    elif value is not None:
        # https://github.com/aws-powertools/powertools-lambda-dotnet/issues/667
        yield path, int(value) if isinstance(value, bool) else value


def _holds(condition: str, row: Row) -> bool:
    if present := _PRESENT.fullmatch(condition):
        return present["name"] in row
    if like := _LIKE.fullmatch(condition):
        return like["text"] in row["@message"]
    if greater := _GREATER.fullmatch(condition):
        return bool(row.get(greater["name"], 0) > int(greater["number"]))
    match = _matched(_EQUAL, condition)
    wanted = match["text"] if match["number"] is None else int(match["number"])
    return bool(row.get(match["name"]) == wanted)


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(text.strip())
    if match is None:
        raise QueryError(f"{text.strip()!r} is not understood here")
    return match
