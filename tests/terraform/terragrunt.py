"""What Terragrunt would run of a stack: it reads the units' HCL, and prepares a copy of the module for each.

Knows as much of Terragrunt as examples/terragrunt uses, and refuses the rest:
https://terragrunt.gruntwork.io/docs/reference/hcl/
"""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hcl2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Json = dict[str, Any]


class TerragruntError(Exception):
    """The stack is wrong, or has what this reader does not know."""


@dataclass(frozen=True)
class Unit:
    """One `terragrunt.hcl`, with all that it includes. `dependencies` are the directories of other units by name."""

    directory: Path
    source: str
    files: Mapping[str, str]
    dependencies: Mapping[str, Path]
    mock_outputs: Mapping[str, Json]
    _inputs: Callable[[Mapping[str, Json]], Json]

    def inputs(self, outputs: Mapping[str, Json]) -> Json:
        """The module's inputs, given the outputs of its dependencies by their names."""
        return self._inputs(outputs)

    def prepare(self, cache: Path) -> Path:
        """Copy what the source names before its two slashes, and return the module's directory in the copy."""
        tree, _, module = self.source.partition("//")
        if not module:
            raise TerragruntError(f"{self.source} has no two slashes, so that only the module itself would be copied")
        copied = shutil.copytree((self.directory / tree).resolve(), cache, ignore=_LEFT_BEHIND) / module
        for name, content in self.files.items():
            (copied / name).write_text(content)
        return copied


# Terragrunt leaves out what is hidden.
_LEFT_BEHIND = shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info", "tests", "docs")


def read_unit(directory: Path) -> Unit:
    """Read a unit.

    Raises:
        TerragruntError: it is wrong, or not understood.
    """
    own = _read(directory / "terragrunt.hcl", {"include", "terraform", "dependency", "inputs"})
    files: dict[str, str] = {}
    for each in _labelled(own, "include").values():
        file = _Scope(directory).value(each["path"])
        root = _read(file, {"locals", "generate", "remote_state"})
        scope = _Scope(directory)
        scope.local = {name: scope.value(value) for name, value in _only(root, "locals").items()}
        for generated in _labelled(root, "generate").values():
            files[scope.value(generated["path"])] = scope.value(generated["contents"])
        for state in root.get("remote_state", []):
            backend, settings = scope.value(state["backend"]), scope.value(state["config"])
            text = "\n".join(f"    {name} = {json.dumps(value)}" for name, value in settings.items())
            files[scope.value(state["generate"]["path"])] = (
                f'terraform {{\n  backend "{backend}" {{\n{text}\n  }}\n}}\n'
            )
    scope = _Scope(directory)
    dependencies = _labelled(own, "dependency")
    return Unit(
        directory,
        scope.value(_only(own, "terraform")["source"]),
        files,
        {name: (directory / scope.value(each["config_path"])).resolve() for name, each in dependencies.items()},
        {name: scope.value(each["mock_outputs"]) for name, each in dependencies.items()},
        lambda outputs: _Scope(directory, outputs).value(own["inputs"]),
    )


def in_order(units: list[Unit]) -> list[Unit]:
    """Each unit after those that it depends on.

    Raises:
        TerragruntError: a unit depends on what is none, or on itself.
    """
    ordered: list[Unit] = []
    waiting = list(units)
    while waiting:
        done = {unit.directory for unit in ordered}
        ready = [unit for unit in waiting if done.issuperset(unit.dependencies.values())]
        if not ready:
            raise TerragruntError(f"{waiting[0].directory} depends on what is no unit, or on itself")
        ordered += ready
        waiting = [unit for unit in waiting if unit not in ready]
    return ordered


class _Scope:
    """What expressions of a unit mean."""

    def __init__(self, directory: Path, outputs: Mapping[str, Json] | None = None) -> None:
        self._directory = directory
        self._outputs = outputs or {}
        self.local: Json = {}

    def value(self, parsed: Any) -> Any:
        """What the reader of HCL gave, evaluated."""
        if isinstance(parsed, dict):
            return {_plain(name): self.value(each) for name, each in parsed.items() if not name.startswith("__")}
        if isinstance(parsed, list):
            return [self.value(each) for each in parsed]
        if not isinstance(parsed, str):
            return parsed
        if parsed.startswith('"'):
            text = _plain(parsed)
            if heredoc := re.fullmatch(r"<<-(\w+)\n(.*\n)\s*\1", text, re.DOTALL):
                text = textwrap.dedent(heredoc[2])
            return re.sub(r"\$\{([^{}]*)\}", lambda match: str(self._expression(match[1])), text)
        if expression := re.fullmatch(r"\$\{(.*)\}", parsed, re.DOTALL):
            return self._expression(expression[1])
        raise TerragruntError(f"{self._directory}: {parsed} is not understood")

    def _expression(self, text: str) -> Any:
        if match := re.fullmatch(r'find_in_parent_folders\("([^"]+)"\)', text):
            return self._in_parents(match[1])
        if match := re.fullmatch(r"read_terragrunt_config\((.+)\)\.locals", text):
            return _Scope(self._directory).value(_only(_read(self._expression(match[1]), {"locals"}), "locals"))
        if match := re.fullmatch(r"local((?:\.\w+)+)", text):
            return self._look_up(self.local, match[1], text)
        if match := re.fullmatch(r"dependency\.(\w+)\.outputs((?:\.\w+)+)", text):
            return self._look_up(self._outputs.get(match[1], {}), match[2], text)
        raise TerragruntError(f"{self._directory}: {text} is not understood")

    def _look_up(self, found: Any, names: str, text: str) -> Any:
        for name in names[1:].split("."):
            if name not in found:
                raise TerragruntError(f"{self._directory}: there is no {text}")
            found = found[name]
        return found

    def _in_parents(self, name: str) -> Path:
        for parent in self._directory.parents:
            if (parent / name).is_file():
                return parent / name
        raise TerragruntError(f"{name} is in no folder above {self._directory}")


def _backend(state: Json) -> str:
    settings = "\n".join(f"    {name} = {json.dumps(value)}" for name, value in state["config"].items())
    return f'terraform {{\n  backend "{state["backend"]}" {{\n{settings}\n  }}\n}}\n'


def _read(file: Path, known: set[str]) -> Json:
    with file.open() as opened:
        document: Json = hcl2.load(opened)
    document.pop("__comments__", None)
    if unknown := document.keys() - known:
        raise TerragruntError(f"{file}: {', '.join(sorted(unknown))} is not understood")
    return document


def _labelled(document: Json, kind: str) -> Json:
    return {_plain(label): body for block in document.get(kind, []) for label, body in block.items()}


def _only(document: Json, kind: str) -> Json:
    (block,) = document[kind]
    return {name: value for name, value in block.items() if not name.startswith("__")}


def _plain(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text
