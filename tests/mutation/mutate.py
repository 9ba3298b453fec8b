"""Small changes to a module's source, each of which some test should notice.

What is left alone: docstrings, annotations, decorators, imports for types only, and text for people (any string with
a space in it).
"""

from __future__ import annotations

import ast
import copy
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "all": "any", "any": "all"}
_METHODS = {"fullmatch": "match", "partition": "rpartition", "rpartition": "partition"}
_FIELDS_LEFT_ALONE = {"annotation", "returns", "decorator_list", "type_params"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `field` of `node`, or its element `index`, becomes `value`, or goes where that is None."""

    what: str
    line: int
    node: ast.AST
    field: str
    index: int | None
    value: Any

    def apply(self) -> Callable[[], None]:
        """Change the tree; what is returned changes it back."""
        old = getattr(self.node, self.field)
        new = self.value
        if self.index is not None:
            new = [*old[: self.index], *([] if self.value is None else [self.value]), *old[self.index + 1 :]]
        setattr(self.node, self.field, new)
        return lambda: setattr(self.node, self.field, old)


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    """All changes to a module, in the order of its source."""
    yield from _within(tree, tree)


def diff(tree: ast.Module, mutant: Mutant) -> list[str]:
    """The lines that go and come, as the syntax tree writes them."""
    before = ast.unparse(tree).splitlines()
    undo = mutant.apply()
    after = ast.unparse(tree).splitlines()
    undo()
    lines = difflib.unified_diff(before, after, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _within(node: ast.AST, module: ast.Module) -> Iterator[Mutant]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    for field, value in ast.iter_fields(node):
        if field in _FIELDS_LEFT_ALONE:
            continue
        if isinstance(value, ast.AST):
            yield from _of(value, node, field, None)
            yield from _within(value, module)
        elif isinstance(value, list):
            is_constant = node is module or (isinstance(node, ast.Tuple) and node in _constants(module))
            for index, each in enumerate(value):
                if not isinstance(each, ast.AST) or _is_docstring(each):
                    continue
                yield from _of(each, node, field, index)
                if field == "elts" and is_constant:
                    yield Mutant("element goes", each.lineno, node, field, index, None)  # type: ignore[attr-defined]
                yield from _within(each, module)


def _constants(module: ast.Module) -> list[ast.AST]:
    """The values of constants of the module."""
    return [each.value for each in module.body if isinstance(each, ast.Assign | ast.AnnAssign) and each.value]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _of(node: ast.AST, parent: ast.AST, field: str, index: int | None) -> Iterator[Mutant]:  # noqa: C901
    """The changes that put something else in the place of a node."""
    line = getattr(node, "lineno", 0)

    def put(what: str, value: ast.AST | None) -> Mutant:
        return Mutant(what, line, parent, field, index, value and ast.copy_location(value, node))

    is_condition = (field == "test" and isinstance(parent, ast.If | ast.IfExp)) or field == "ifs"
    if is_condition:
        yield put("condition holds", ast.Constant(value=True))
        yield put("condition fails", ast.Constant(value=False))
    if isinstance(node, ast.While):
        yield Mutant("loop is left out", line, node, "test", None, ast.copy_location(ast.Constant(value=False), node))
    if isinstance(node, ast.Return) and not _is_none(node.value):
        yield put("returns None", ast.Return(value=ast.copy_location(ast.Constant(value=None), node)))
    if isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Continue | ast.Break):
        yield put("statement goes", ast.Pass())
    if isinstance(node, ast.expr):
        yield from _expressions(node, put)
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                yield Mutant("comparison", line, node, "ops", place, other())
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        yield Mutant("operator", line, node, "op", None, _OPERATORS[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        other_operator = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield Mutant("and or", line, node, "op", None, other_operator)
        for place in range(len(node.values)):
            left = [each for number, each in enumerate(node.values) if number != place]
            rest = left[0] if len(left) == 1 else ast.BoolOp(op=node.op, values=left)
            yield put("operand goes", copy.deepcopy(rest))


def _expressions(node: ast.expr, put: Callable[[str, ast.AST], Mutant]) -> Iterator[Mutant]:
    match node:
        case ast.Constant(value=bool(value)):
            yield put("constant", ast.Constant(value=not value))
        case ast.Constant(value=int(value)):
            yield put("constant", ast.Constant(value=value + 1))
        case ast.Constant(value=str(value)) if value and " " not in value:
            yield put("constant", ast.Constant(value="XX"))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield put("not goes", operand)
        case ast.Call(func=ast.Name(id=name) as called) if name in _NAMES:
            yield put("function", ast.Call(_renamed(called, id=_NAMES[name]), node.args, node.keywords))
        case ast.Call(func=ast.Attribute(value=value, attr="strip" | "lower"), args=[]):
            yield put("call goes", value)
        case ast.Attribute(attr=name) if name in _METHODS:
            yield put("method", _renamed(node, attr=_METHODS[name]))


def _renamed(node: ast.expr, **changes: str) -> ast.expr:
    other = copy.copy(node)
    for field, value in changes.items():
        setattr(other, field, value)
    return other


def _is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)
