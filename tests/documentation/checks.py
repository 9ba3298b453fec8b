"""What the documentation promises, and what the code says: each function finds the differences of one kind."""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from documentation.terraform_files import Variable, attributes, blocks, outputs, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_SOURCE = re.compile(
    r"git::https://github\.com/<your organisation>/terraform-aws-ecr-cleanup\.git"
    r"(?://(?P<path>[\w/]+))?\?ref=v(?P<version>[\d.]+)"
)
_META_ARGUMENTS = {"source", "providers", "count", "for_each", "depends_on"}
_ACTION = re.compile(r"\b(?!aws:)[a-z0-9]+:[A-Z]\w+")  # what begins with aws: is a condition's key
_ACTIONS = re.compile(r"\bactions\s*=\s*\[[^\]]*\]")
_TRUST = re.compile(r'^data "aws_iam_policy_document" "\w*trust" \{\n.*?^\}$', re.MULTILINE | re.DOTALL)
_METRIC = re.compile(r"(?:[A-Z][a-z]+){2,}")


def broken_links(markdown: Path) -> list[str]:
    """The links of a file to files of this tree, or headings in them, that are not there."""
    broken = []
    for match in _LINK.finditer(_FENCE.sub("", markdown.read_text())):
        path, _, heading = match["target"].partition("#")
        if "://" in path:
            continue
        target = markdown.parent / path if path else markdown
        if not target.exists() or (heading and heading not in _anchors(target)):
            broken.append(match["target"])
    return broken


def _anchors(markdown: Path) -> set[str]:
    """The names that GitHub gives to the headings of a file."""
    headings = _HEADING.findall(_FENCE.sub("", markdown.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_blocks(markdown: str, language: str) -> list[str]:
    """The code of one language in a text."""
    return [match["text"] for match in _FENCE.finditer(markdown) if match["language"] == language]


def is_formatted(code: str) -> bool:
    """Whether `terraform fmt` understands the code and would leave it as it is."""
    formatted = subprocess.run(["terraform", "fmt", "-"], input=code, capture_output=True, text=True, check=False)  # noqa: S607
    return formatted.returncode == 0 and formatted.stdout == code


@dataclass(frozen=True)
class ModuleUse:
    """A `module` block in a text, the directory of the module, and the version where the source names one."""

    name: str
    arguments: dict[str, str]
    directory: Path
    version: str | None


def module_uses(code: str, tree: Path) -> list[ModuleUse]:
    """The module blocks of a piece of Terraform code.

    Raises:
        ValueError: a source is not this module, as its users write it.
    """
    uses = []
    for block in blocks(code):
        if block.kind == "module":
            source = _SOURCE.fullmatch(block.attributes["source"].strip('"'))
            if source is None:
                raise ValueError(f"{block.attributes['source']} is not a source of this module")
            arguments = {name: value for name, value in block.attributes.items() if name not in _META_ARGUMENTS}
            uses.append(ModuleUse(block.labels[0], arguments, tree / (source["path"] or "."), source["version"]))
    return uses


def wrong_arguments(use: ModuleUse) -> list[str]:
    """The arguments of a module block that do not exist, and those that are missing."""
    known = {variable.name: variable for variable in variables(use.directory)}
    return list(_differences(known, use.arguments))


def _differences(known: dict[str, Variable], given: Iterable[str] | dict[str, str]) -> Iterator[str]:
    values = given if isinstance(given, dict) else dict.fromkeys(given, "")
    yield from (f"{name} does not exist" for name in values if name not in known)
    yield from (f"{name} is missing" for name, v in known.items() if v.default is None and name not in values)
    for name, value in values.items():
        if name in known and known[name].fields and value.startswith("{"):
            fields = {field.name: field for field in known[name].fields}
            yield from (f"{name}.{difference}" for difference in _differences(fields, dict(attributes(value))))


def unknown_outputs(code: str, directories: dict[str, Path]) -> list[str]:
    """The references such as `module.name.output` to outputs that the module of that name does not have."""
    return [
        f"{module}.{output}"
        for module, output in re.findall(r"\bmodule\.(\w+)\.(\w+)", code)
        if module not in directories or output not in outputs(directories[module])
    ]


def section(markdown: str, heading: str) -> str:
    """The text between a heading and the next one.

    Raises:
        ValueError: there is no such heading.
    """
    match = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"there is no heading {heading!r}")
    return match[2]


def first_column(markdown: str) -> set[str]:
    """What stands as code in the first cells of all tables of a text."""
    return {
        name for cell in re.findall(r"^\|([^|]*)\|", markdown, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }


def actions(text: str) -> set[str]:
    """The IAM actions that a text names."""
    return set(_ACTION.findall(text))


def actions_of_roles(modules: Path) -> set[str]:
    """The actions that the roles of all modules may take, apart from trusts."""
    texts = [_TRUST.sub("", path.read_text()) for path in modules.glob("*/*.tf")]
    return {action for text in texts for given in _ACTIONS.findall(text) for action in actions(given)}


def metrics_of(package: Path) -> set[str]:
    """The metrics that a package counts."""
    return {
        constant
        for tree in _trees(package)
        for call in _calls(tree, "count", "add_metric")
        for constant in _named(tree, call.args[0])
        if _METRIC.fullmatch(constant)
    }


def rules_of(package: Path) -> set[str]:
    """The names of rules that decisions of a package bear."""
    places = {"Decision": 1, "_keep": 0, "_wait": 0, "postponed_for_trouble": 0, "_postpone_for_trouble": 1}
    return {
        rule
        for tree in _trees(package)
        for call in _calls(tree, *places)
        if len(call.args) > places[_name(call.func)]
        for rule in _named(None, call.args[places[_name(call.func)]])
    }


def log_fields_of(module: Path) -> set[str]:
    """The fields that the log lines of a module bear beyond the logger's own."""
    return {
        key.value
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
        for key in keyword.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def _trees(package: Path) -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))]


def _calls(tree: ast.Module, *names: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) in names]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _named(tree: ast.Module | None, argument: ast.expr) -> set[str]:
    """The strings that an argument can be: itself, or those in what the name that it begins with was assigned."""
    if isinstance(argument, ast.IfExp):
        return _named(tree, argument.body) | _named(tree, argument.orelse)
    values: list[ast.expr | None] = [argument]
    if isinstance(argument, ast.Subscript) and isinstance(argument.value, ast.Name) and tree:
        values = [
            node.value
            for node in ast.walk(tree)
            if (isinstance(node, ast.Assign) and _name(node.targets[0]) == argument.value.id)
            or (isinstance(node, ast.AnnAssign) and _name(node.target) == argument.value.id)
        ]
    return {
        node.value
        for value in values
        if value
        for node in ast.walk(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
