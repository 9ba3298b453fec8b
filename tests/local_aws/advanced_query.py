"""AWS Config's advanced queries: a subset of SQL SELECT over configuration items.

Grammar and limits: https://docs.aws.amazon.com/config/latest/developerguide/querying-AWS-resources.html and
https://docs.aws.amazon.com/config/latest/developerguide/query-components.html. What AWS does not document as
supported is refused, although AWS may take some of it: `<>`, arithmetic, functions, quoted names, comments, and LIKE
or IN on a property that lies in an array.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

Item = Mapping[str, Any]
Predicate = Callable[[Item], bool]
Path = tuple[str, ...]
Literal = str | int | float | bool

MAX_LENGTH = 4096
_MAX_GROUP_PROPERTIES = 3
_MIN_LIKE_PREFIX = 3
# What `SELECT *` gives.
_SCALARS = (
    "accountId",
    "awsRegion",
    "arn",
    "availabilityZone",
    "configurationItemCaptureTime",
    "resourceCreationTime",
    "resourceId",
    "resourceName",
    "resourceType",
    "version",
)
# What sqlglot reads over, or takes for something else.
_REFUSED_WORDS = frozenset({"ALL", "NULLS", ";", "==", "&&", "!"})
_NEVER_AFTER_COMMA = frozenset({")", "WHERE", "GROUP BY", "ORDER BY"})
_INVISIBLE = frozenset({"ResourceDeleted", "ResourceNotRecorded", "ResourceDeletedNotRecorded"})


class InvalidExpression(ValueError):  # noqa: N818 - the name of AWS's error is InvalidExpressionException
    """An expression that AWS Config would refuse, or that nobody has confirmed it takes."""


@dataclass(frozen=True)
class Aggregate:
    """COUNT, SUM, MIN, MAX or AVG; without a property it is COUNT(*)."""

    function: str
    path: Path | None

    def __str__(self) -> str:
        return f"{self.function}({'.'.join(self.path) if self.path else '*'})"


@dataclass(frozen=True)
class Order:
    """One entry of ORDER BY."""

    by: Path | Aggregate
    descending: bool


@dataclass(frozen=True)
class Query:
    """An expression that was understood."""

    selected: tuple[Path | Aggregate, ...]
    where: Predicate
    group_by: tuple[Path, ...]
    order_by: tuple[Order, ...]

    @property
    def fields(self) -> list[str]:
        """The names of QueryInfo.SelectFields."""
        return [_name(column) for column in self.selected]

    @property
    def is_aggregation(self) -> bool:
        """Aggregations have another default page size."""
        return any(isinstance(column, Aggregate) for column in self.selected)

    @property
    def is_paged(self) -> bool:
        """AWS pages everything but what is ordered by an aggregate."""
        return not any(isinstance(order.by, Aggregate) for order in self.order_by)


def run(query: Query, items: Iterable[Item]) -> list[str]:
    """The rows of a query, each a JSON object with the selected properties in their places; see `find`."""
    return [row.to_json() for row in find(query, items)]


def find(query: Query, items: Iterable[Item]) -> list[Row]:
    """The rows of a query, for those who show them page by page.

    A property that an item lacks is absent from its row. Items that are deleted or not recorded are not seen.
    Unless ORDER BY says otherwise, rows are ordered by account, region, type and id. Raises InvalidExpression for
    what only shows on the data: LIKE, IN, GROUP BY and ORDER BY on a property that lies in an array.
    """
    seen = [item for item in items if item.get("configurationItemStatus") not in _INVISIBLE and query.where(item)]
    seen.sort(key=_place)
    rows = _aggregated(query, seen) if query.is_aggregation else _projected(query, seen)
    for order in reversed(query.order_by):
        rows.sort(key=lambda row: _sort_key(row.value(order.by)), reverse=order.descending)
        rows.sort(key=lambda row: row.value(order.by) is None)
    return rows


@dataclass(frozen=True)
class Row:
    """A result: the item it is about, what of that is shown, and the aggregates."""

    item: Item
    shown: Mapping[str, Any]
    aggregates: Mapping[Aggregate, Any]

    def to_json(self) -> str:
        """As the aggregator answers it."""
        content = {str(column): value for column, value in self.aggregates.items() if value is not None}
        if self.shown:
            content |= _project(self.item, self.shown) or {}
        return json.dumps(content, separators=(",", ":"))

    def value(self, by: Path | Aggregate) -> Any:
        """What the row is sorted by."""
        return self.aggregates.get(by) if isinstance(by, Aggregate) else _scalar(self.item, by, "ORDER BY")


def _place(item: Item) -> tuple[str, ...]:
    return tuple(str(item.get(name, "")) for name in ("accountId", "awsRegion", "resourceType", "resourceId", "arn"))


def _sort_key(value: Literal | None) -> tuple[str, Literal]:
    if value is None:
        return ("", "")
    if isinstance(value, str):
        return ("string", value)
    return ("number", value)


# Rows


def _projected(query: Query, items: Sequence[Item]) -> list[Row]:
    wanted = _tree(column for column in query.selected if not isinstance(column, Aggregate))
    return [Row(item, wanted, {}) for item in items]


def _tree(paths: Iterable[Path]) -> dict[str, Any]:
    """Nested dicts of the properties to show; an empty one stands for the whole value."""
    tree: dict[str, Any] = {}
    whole: set[Path] = set()
    for path in sorted(paths, key=len):
        if any(path[:length] in whole for length in range(1, len(path))):
            continue
        whole.add(path)
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
    return tree


def _project(value: Any, wanted: Mapping[str, Any]) -> Any:
    """The wanted part of a JSON value; None where there is nothing of it."""
    if not wanted:
        return value
    if isinstance(value, Mapping):
        found = {name: _project(value[name], inner) for name, inner in wanted.items() if name in value}
        return {name: part for name, part in found.items() if part is not None} or None
    if isinstance(value, list):
        parts = (_project(element, wanted) for element in value)
        return [part for part in parts if part is not None] or None
    return None


def _aggregated(query: Query, items: Sequence[Item]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        key = tuple(_scalar(item, path, "GROUP BY") for path in query.group_by)
        groups.setdefault(key, []).append(item)
    if not query.group_by:
        groups.setdefault((), [])

    shown = _tree(path for path in query.group_by if path in query.selected)
    rows = []
    for members in groups.values():
        first = members[0] if members else {}
        aggregates = {column: _aggregate(column, members) for column in query.selected if isinstance(column, Aggregate)}
        rows.append(Row(first, shown, aggregates))
    return rows


def _aggregate(column: Aggregate, items: Sequence[Item]) -> Any:
    if column.path is None:
        return len(items)
    values = [value for item in items for value in _values(item, column.path) if value is not None]
    if column.function == "COUNT":
        return len(values)
    if column.function in ("SUM", "AVG") and not all(_is_number(value) for value in values):
        raise InvalidExpression(f"{column} needs numbers")
    if not values:
        return None
    if column.function == "SUM":
        return sum(values)
    if column.function == "AVG":
        return sum(values) / len(values)
    return (min if column.function == "MIN" else max)(values, key=_sort_key)


# Properties of an item


def _values(value: Any, path: Path) -> Iterator[Any]:
    """Every value at the path, through every element of every array on the way."""
    if isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _lies_in_array(value: Any, path: Path) -> bool:
    for part in path:
        if isinstance(value, list):
            return True
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return isinstance(value, list)


def _scalar(item: Item, path: Path, where: str) -> Any:
    _refuse_array(item, path, where)
    value = next(_values(item, path), None)
    if isinstance(value, Mapping):
        raise InvalidExpression(f"{where} needs a scalar, and {'.'.join(path)} is an object")
    return value


def _refuse_array(item: Item, path: Path, where: str) -> None:
    if _lies_in_array(item, path):
        raise InvalidExpression(f"{where} on a property in an array: {'.'.join(path)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _comparable(one: object, other: object) -> bool:
    if _is_number(one):
        return _is_number(other)
    return type(one) is type(other)


# Parsing


@lru_cache
def parse(expression: str) -> Query:
    """Understand an expression; raises InvalidExpression for whatever AWS would refuse."""
    if not 1 <= len(expression) <= MAX_LENGTH:
        raise InvalidExpression(f"an expression has 1 to {MAX_LENGTH} characters, not {len(expression)}")
    try:
        return _query(_select(expression))
    except SqlglotError as error:
        raise InvalidExpression(f"not understood: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise InvalidExpression("nested too deeply") from error


def _select(expression: str) -> exp.Select:
    tokens = sqlglot.tokenize(expression)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.text == "," and (following is None or following.text.upper() in _NEVER_AFTER_COMMA):
            raise InvalidExpression("a comma is followed by nothing")
        if token.text.upper() in _REFUSED_WORDS and token.token_type is not TokenType.STRING:
            raise InvalidExpression(f"not supported: {token.text}")
        if token.comments:
            raise InvalidExpression("comments are not supported")
    statements = sqlglot.parse(expression)
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidExpression("an expression is one SELECT")
    return statements[0]


def _query(select: exp.Select) -> Query:
    _only(select, "expressions", "where", "group", "order")
    selected = _selected(select.expressions)
    group = select.args.get("group")
    group_by = _group_by(group) if group else ()
    order = select.args.get("order")
    order_by = _order_by(order, selected, group_by) if order else ()
    where = select.args.get("where")
    predicate = _predicate(where.this) if where else _everything
    aggregation = any(isinstance(column, Aggregate) for column in selected)
    if group_by and not aggregation:
        raise InvalidExpression("GROUP BY needs an aggregate function in SELECT")
    if aggregation:
        for column in selected:
            if not isinstance(column, Aggregate) and column not in group_by:
                raise InvalidExpression(f"{_name(column)} is neither aggregated nor in GROUP BY")
    return Query(selected, predicate, group_by, order_by)


def _everything(_: Item) -> bool:
    return True


def _only(node: exp.Expr, *known: str) -> None:
    """Refuse every part of a node that is not among the known ones."""
    for name, value in node.args.items():
        if value and name not in known:
            raise InvalidExpression(f"not supported: {name.strip('_').upper()} in {_sql(node)}")


def _sql(node: exp.Expr) -> str:
    return node.sql()[:100]


def _selected(columns: Sequence[exp.Expr]) -> tuple[Path | Aggregate, ...]:
    if not columns:
        raise InvalidExpression("SELECT needs a property")
    if isinstance(columns[0], exp.Star) and len(columns) == 1:
        _only(columns[0])
        return tuple((name,) for name in _SCALARS)
    return tuple(_column(column) for column in columns)


_AGGREGATES = {exp.Count: "COUNT", exp.Sum: "SUM", exp.Min: "MIN", exp.Max: "MAX", exp.Avg: "AVG"}


def _column(node: exp.Expr) -> Path | Aggregate:
    function = next((name for kind, name in _AGGREGATES.items() if isinstance(node, kind)), None)
    if function is None:
        return _path(node)
    _only(node, "this", "big_int")
    if function == "COUNT" and isinstance(node.this, exp.Star):
        return Aggregate(function, None)
    return Aggregate(function, _path(node.this))


def _path(node: exp.Expr) -> Path:
    if isinstance(node, exp.Dot):
        return (*_path(node.this), *_path(node.expression))
    if isinstance(node, exp.Identifier):
        if node.args.get("quoted"):
            raise InvalidExpression(f"a quoted property: {_sql(node)}")
        return (node.name,)
    if isinstance(node, exp.Column):
        _only(node, "this", "table", "db", "catalog")
        return tuple(part for identifier in node.parts for part in _path(identifier))
    raise InvalidExpression(f"a property is needed instead of {_sql(node)}")


def _name(column: Path | Aggregate) -> str:
    return str(column) if isinstance(column, Aggregate) else ".".join(column)


def _group_by(group: exp.Group) -> tuple[Path, ...]:
    _only(group, "expressions")
    paths = tuple(_path(node) for node in group.expressions)
    if not 1 <= len(paths) <= _MAX_GROUP_PROPERTIES:
        raise InvalidExpression(f"GROUP BY takes up to {_MAX_GROUP_PROPERTIES} properties")
    return paths


def _order_by(order: exp.Order, selected: Sequence[Path | Aggregate], group_by: Sequence[Path]) -> tuple[Order, ...]:
    _only(order, "expressions")
    entries = []
    for node in order.expressions:
        _only(node, "this", "desc", "nulls_first")
        by = _column(node.this)
        if by not in selected:
            raise InvalidExpression(f"ORDER BY {_name(by)}, which is not selected")
        if isinstance(by, Aggregate) and len(group_by) > 1:
            raise InvalidExpression("ordered by an aggregate, GROUP BY takes a single property")
        entries.append(Order(by, bool(node.args.get("desc"))))
    return tuple(entries)


def _predicate(node: exp.Expr) -> Predicate:
    if isinstance(node, exp.Paren | exp.And | exp.Or | exp.Not):
        _only(node, "this", "expression")
    if isinstance(node, exp.Paren):
        return _predicate(node.this)
    if isinstance(node, exp.And):
        left, right = _predicate(node.left), _predicate(node.right)
        return lambda item: left(item) and right(item)
    if isinstance(node, exp.Or):
        left, right = _predicate(node.left), _predicate(node.right)
        return lambda item: left(item) or right(item)
    if isinstance(node, exp.Not):
        inner = _predicate(node.this)
        return lambda item: not inner(item)
    if isinstance(node, exp.Like):
        return _like(node)
    if isinstance(node, exp.In):
        return _in(node)
    if isinstance(node, exp.Between):
        return _between(node)
    compare = _COMPARISONS.get(type(node))
    if compare is None:
        raise InvalidExpression(f"not supported in WHERE: {_sql(node)}")
    return _comparison(node, compare)


_COMPARISONS: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: lambda value, wanted: bool(value == wanted),
    exp.LT: lambda value, wanted: bool(value < wanted),
    exp.LTE: lambda value, wanted: bool(value <= wanted),
    exp.GT: lambda value, wanted: bool(value > wanted),
    exp.GTE: lambda value, wanted: bool(value >= wanted),
}


def _comparison(node: exp.Expr, compare: Callable[[Any, Any], bool]) -> Predicate:
    _only(node, "this", "expression")
    path, wanted = _path(node.this), _literal(node.expression)

    def holds(item: Item) -> bool:
        return any(_comparable(wanted, value) and compare(value, wanted) for value in _values(item, path))

    return holds


def _between(node: exp.Between) -> Predicate:
    _only(node, "this", "low", "high")
    path = _path(node.this)
    low, high = _literal(node.args["low"]), _literal(node.args["high"])
    if not _comparable(low, high) or isinstance(low, bool):
        raise InvalidExpression(f"BETWEEN needs two numbers or two strings: {_sql(node)}")

    def holds(item: Item) -> bool:
        return any(_comparable(low, value) and low <= value <= high for value in _values(item, path))

    return holds


def _in(node: exp.In) -> Predicate:
    _only(node, "this", "expressions")
    path = _path(node.this)
    wanted = [_literal(entry) for entry in node.expressions]
    if not wanted:
        raise InvalidExpression(f"IN needs a list of values: {_sql(node)}")

    def holds(item: Item) -> bool:
        _refuse_array(item, path, "IN")
        return any(_comparable(each, value) and each == value for value in _values(item, path) for each in wanted)

    return holds


def _like(node: exp.Like) -> Predicate:
    _only(node, "this", "expression", "negate")
    path = _path(node.this)
    negated = bool(node.args.get("negate"))
    pattern = _literal(node.expression)
    if not isinstance(pattern, str):
        raise InvalidExpression(f"LIKE needs a string: {_sql(node)}")
    prefix, wildcard = pattern[:-1], pattern[-1:]
    if wildcard not in ("%", "_") or "%" in prefix or "_" in prefix:
        raise InvalidExpression(f"LIKE takes a wildcard (% or _) at the end, and only there: {pattern!r}")
    if len(prefix) < _MIN_LIKE_PREFIX:
        raise InvalidExpression(f"LIKE needs {_MIN_LIKE_PREFIX} characters before its wildcard: {pattern!r}")

    def holds(item: Item) -> bool:
        _refuse_array(item, path, "LIKE")
        return negated != any(
            isinstance(value, str) and value.startswith(prefix) and (wildcard == "%" or len(value) == len(pattern))
            for value in _values(item, path)
        )

    return holds


def _literal(node: exp.Expr) -> Literal:
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return -_number(node.this)
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else _number(node)
    raise InvalidExpression(f"a value is needed instead of {_sql(node)}")


def _number(node: exp.Literal) -> int | float:
    return int(node.name) if node.name.isdigit() else float(node.name)
