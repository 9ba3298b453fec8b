"""Writes the tables of inputs and outputs into the READMEs: `PYTHONPATH=tests python -m documentation.generate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from documentation.terraform_files import Variable, outputs, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TREE = Path(__file__).resolve().parents[2]
MODULES = (TREE, *sorted(path.parent for path in TREE.glob("modules/*/main.tf")))

_BULLET = re.compile(r"^- (?P<names>`\w+`(?:(?:, | and )`\w+`)*): (?P<text>.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)


class DocumentationError(Exception):
    """A table cannot be made or has no place to go."""


def with_tables(readme: str, directory: Path) -> str:
    """The README of a module with its tables as they should be.

    Raises:
        DocumentationError: a marker is missing, or a description speaks of attributes that an input does not have.
    """
    for name, table in (("INPUTS", inputs_table(variables(directory))), ("OUTPUTS", outputs_table(outputs(directory)))):
        begin, end = f"<!-- BEGIN_{name} -->", f"<!-- END_{name} -->"
        before, found_begin, rest = readme.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end:
            raise DocumentationError(f"the README of {directory} has no {begin} before {end}")
        readme = f"{before}{begin}\n{table}\n{end}{after}"
    return readme


def inputs_table(inputs: Iterable[Variable]) -> str:
    """One row per input, and one per attribute where the input is an object."""
    rows = [row for variable in inputs for row in _rows(variable)]
    return _table(("Name", "Type", "Default", "Description"), rows)


def outputs_table(found: dict[str, str]) -> str:
    """One row per output."""
    return _table(("Name", "Description"), [(_code(name), _sentence(text)) for name, text in found.items()])


def _rows(variable: Variable) -> Iterator[tuple[str, ...]]:
    introduction = _BULLET.sub("", variable.description)
    yield _row(variable.name, variable, introduction)
    described = {
        name: match["text"]
        for match in _BULLET.finditer(variable.description)
        for name in re.findall(r"`(\w+)`", match["names"])
    }
    for path, field in _fields(variable):
        yield _row(f"{variable.name}.{path}", field, described.pop(field.name, ""))
    if described:
        raise DocumentationError(f"the description of {variable.name} speaks of {', '.join(described)}: no such thing")


def _fields(variable: Variable) -> Iterator[tuple[str, Variable]]:
    """The attributes of an object by their paths, those of objects in it included."""
    for field in variable.fields:
        yield field.name, field
        for path, inner in _fields(field):
            yield f"{field.name}.{path}", inner


def _row(name: str, variable: Variable, description: str) -> tuple[str, ...]:
    on_one_line = re.sub(r"\[\s+", "[", re.sub(r",\s*\]", "]", variable.default or ""))
    default = "required" if variable.default is None else _code(on_one_line)
    return _code(name), _code("object" if variable.fields else variable.type), default, _sentence(description)


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _sentence(text: str) -> str:
    """A description as a cell: a bullet's text becomes a sentence, and what looks like HTML stays text."""
    text = re.sub(r",? or$", ".", text.strip())
    texts_and_codes = re.split(r"(`[^`]*`)", text[:1].upper() + text[1:])
    return _cell("".join(t if t.startswith("`") else t.replace("<", "&lt;") for t in texts_and_codes))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write all tables."""
    for directory in MODULES:
        readme = directory / "README.md"
        readme.write_text(with_tables(readme.read_text(), directory))


if __name__ == "__main__":
    main()
