"""Reads what the documentation needs of Terraform's files: variables, outputs and module blocks.

Knows as much of Terraform's language as `terraform fmt` leaves in such files, and refuses the rest.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_TOKEN = re.compile(
    r"""
    (?P<comment> (?: \# | // ) [^\n]* )
    | (?P<heredoc> <<-? (?P<marker> \w+ ) \n .*? \n \s* (?P=marker) \b )
    | (?P<string> " (?: [^"\\] | \\. )* " )
    | (?P<name> [A-Za-z_] [\w-]* )
    | (?P<open> [{\[(] )
    | (?P<close> [}\])] )
    | (?P<newline> \n )
    | (?P<space> [ \t]+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


class TerraformFileError(Exception):
    """A file holds what this reader does not know."""


@dataclass(frozen=True)
class Block:
    """A block such as `variable "name" { ... }`; the values of its attributes are Terraform's own text."""

    kind: str
    labels: tuple[str, ...]
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Variable:
    """An input, or one attribute of an input that is an object. `default` is None where a value must be given."""

    name: str
    type: str
    default: str | None
    description: str = ""

    @cached_property
    def fields(self) -> tuple[Variable, ...]:
        """The attributes of an object."""
        match = re.fullmatch(r"object\(\{(.*)\}\)", self.type, re.DOTALL)
        return tuple(_field(name, text) for name, text in _parse(match[1])[0].items()) if match else ()


def blocks(text: str) -> list[Block]:
    """The top-level blocks of a file.

    Raises:
        TerraformFileError: it holds something else, or brackets that do not match.
    """
    return _parse(text)[1]


def attributes(text: str) -> Mapping[str, str]:
    """The attributes of an object such as `{ name = "value" }`, with their values as they are written."""
    return _parse(text.strip().removeprefix("{").removesuffix("}"))[0]


def variables(directory: Path) -> list[Variable]:
    """The inputs of a module, in their order."""
    return [
        Variable(
            block.labels[0],
            block.attributes["type"],
            block.attributes.get("default"),
            _string(block.attributes["description"]),
        )
        for block in blocks((directory / "variables.tf").read_text())
        if block.kind == "variable"
    ]


def outputs(directory: Path) -> dict[str, str]:
    """The outputs of a module and their descriptions, in their order."""
    return {
        block.labels[0]: _string(block.attributes["description"])
        for block in blocks((directory / "outputs.tf").read_text())
        if block.kind == "output"
    }


def _field(name: str, text: str) -> Variable:
    match = re.fullmatch(r"optional\((.*)\)", text, re.DOTALL)
    if match is None:
        return Variable(name, text, None)
    depth, parts = 0, [""]
    for token in _TOKEN.finditer(match[1]):
        depth += {"open": 1, "close": -1}.get(token.lastgroup or "", 0)
        if token[0] == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token[0]
    return Variable(name, parts[0].strip(), parts[1].strip() if len(parts) > 1 else "null")


def _string(text: str) -> str:
    """The text that a string or a heredoc stands for."""
    if text.startswith('"'):
        return str(json.loads(text))
    return textwrap.dedent("\n".join(text.split("\n")[1:-1]))


def _parse(text: str) -> tuple[dict[str, str], list[Block]]:
    tokens = _TOKEN.finditer(text)
    found = _body(tokens)
    if next(tokens, None):
        raise TerraformFileError("a bracket is closed that was not opened")
    return found


def _body(tokens: Iterator[re.Match[str]], *, inner: bool = False) -> tuple[dict[str, str], list[Block]]:
    """What stands between braces, or in the whole text."""
    found: dict[str, str] = {}
    nested: list[Block] = []
    for token in tokens:
        if token.lastgroup in ("comment", "newline", "space") or token[0] == ",":
            continue
        if token[0] == "}" and inner:
            return found, nested
        if token.lastgroup != "name":
            raise TerraformFileError(f"{token[0]!r} where a name should begin an attribute or a block")
        labels, following = _labels(tokens)
        if following == "=":
            found[token[0]], at_end = _expression(tokens)
            if at_end and inner:
                return found, nested
        else:
            nested.append(Block(token[0], labels, _body(tokens, inner=True)[0]))
    if inner:
        raise TerraformFileError("a bracket is opened and never closed")
    return found, nested


def _labels(tokens: Iterator[re.Match[str]]) -> tuple[tuple[str, ...], str]:
    """What stands between a name and the `=` or `{` after it."""
    labels: list[str] = []
    for token in tokens:
        if token[0] in ("=", "{"):
            return tuple(labels), token[0]
        if token.lastgroup == "string":
            labels.append(_string(token[0]))
        elif token.lastgroup != "space":
            raise TerraformFileError(f"{token[0]!r} where = or {{ should be")
    raise TerraformFileError("a name at the end that is neither an attribute's nor a block's")


def _expression(tokens: Iterator[re.Match[str]]) -> tuple[str, bool]:
    """The text of a value, and whether it ended with the braces around it."""
    depth, text = 0, ""
    for token in tokens:
        depth += {"open": 1, "close": -1}.get(token.lastgroup or "", 0)
        if depth < 0:
            return text.strip(), True
        if depth == 0 and (token.lastgroup in ("newline", "comment") or token[0] == ","):
            return text.strip(), False
        text += token[0]
    if depth:
        raise TerraformFileError("a bracket is opened and never closed")
    return text.strip(), True
