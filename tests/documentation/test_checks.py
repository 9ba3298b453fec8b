"""The checks of the documentation find what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from documentation.checks import (
    ModuleUse,
    actions,
    actions_of_roles,
    broken_links,
    code_blocks,
    first_column,
    is_formatted,
    log_fields_of,
    metrics_of,
    module_uses,
    rules_of,
    section,
    unknown_outputs,
    wrong_arguments,
)
from documentation.generate import DocumentationError, with_tables
from documentation.terraform_files import TerraformFileError, attributes, blocks, outputs, variables

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = """
# What is asked for.
variable "name" {
  type        = string
  description = "Its name | of <this>, as `<that>`."
}

variable "size" {
  type = object({
    width  = number
    height = optional(number, 2) # metres
    inner  = optional(object({ colours = optional(list(string), ["red", "{"]) }))
    names = optional(list(string), [
      "one",
      "two",
    ])
  })
  description = <<-EOT
    How large it is.
    - `width` and `height`: in metres,
      not in feet.
  EOT
  default     = null

  validation {
    condition     = can(regex("^[a-z]{1,2}$", var.size))
    error_message = "size must be \\"s\\"."
  }
}
"""
OUTPUTS = """
output "area" {
  description = "In square metres."
  value       = module.floor[*].area
}
"""
README = (
    "# It\n<!-- BEGIN_INPUTS -->\nold\n<!-- END_INPUTS -->\ntext\n<!-- BEGIN_OUTPUTS --><!-- END_OUTPUTS -->\nend\n"
)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "variables.tf").write_text(VARIABLES)
    (tmp_path / "outputs.tf").write_text(OUTPUTS)
    return tmp_path


def test_writes_a_row_per_input_attribute_and_output(module: Path) -> None:
    assert with_tables(README, module) == (
        "# It\n"
        "<!-- BEGIN_INPUTS -->\n"
        "| Name | Type | Default | Description |\n"
        "| --- | --- | --- | --- |\n"
        "| `name` | `string` | required | Its name \\| of &lt;this>, as `<that>`. |\n"
        "| `size` | `object` | `null` | How large it is. |\n"
        "| `size.width` | `number` | required | In metres, not in feet. |\n"
        "| `size.height` | `number` | `2` | In metres, not in feet. |\n"
        "| `size.inner` | `object` | `null` |  |\n"
        '| `size.inner.colours` | `list(string)` | `["red", "{"]` |  |\n'
        '| `size.names` | `list(string)` | `["one", "two"]` |  |\n'
        "<!-- END_INPUTS -->\n"
        "text\n"
        "<!-- BEGIN_OUTPUTS -->\n"
        "| Name | Description |\n"
        "| --- | --- |\n"
        "| `area` | In square metres. |\n"
        "<!-- END_OUTPUTS -->\n"
        "end\n"
    )


def test_writing_again_changes_nothing(module: Path) -> None:
    once = with_tables(README, module)
    assert with_tables(once, module) == once


def test_a_readme_without_markers_is_refused(module: Path) -> None:
    with pytest.raises(DocumentationError, match="BEGIN_OUTPUTS"):
        with_tables(README.replace("<!-- BEGIN_OUTPUTS -->", ""), module)


def test_a_description_of_an_attribute_that_is_not_there_is_refused(module: Path) -> None:
    (module / "variables.tf").write_text(VARIABLES.replace("`height`", "`depth`"))
    with pytest.raises(DocumentationError, match="size speaks of depth"):
        with_tables(README, module)


def test_reads_variables_and_outputs(module: Path) -> None:
    assert [(variable.name, variable.default) for variable in variables(module)] == [("name", None), ("size", "null")]
    assert outputs(module) == {"area": "In square metres."}


@pytest.mark.parametrize(
    "text",
    ['variable "a" {', "}", "a = [1", 'variable "a" {} }', "a", "a ? b", "= 1"],
)
def test_what_is_not_terraform_is_refused(text: str) -> None:
    with pytest.raises(TerraformFileError):
        blocks(text)


def test_reads_an_object_on_one_line_and_on_several() -> None:
    expected = {"a": "[1, 2]", "b": "{ c = 3 }", "d": '"}"'}
    assert attributes('{ a = [1, 2], b = { c = 3 }, d = "}" }') == expected
    assert attributes('{\n  a = [1, 2]\n  b = { c = 3 } # no more\n  d = "}"\n}') == expected


def test_finds_broken_links(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# What's up, `Doc`?\n")
    (tmp_path / "document.md").write_text(
        "# Here\n[a](other.md) [b](other.md#whats-up-doc) [c](#here) [d](https://example.com/nothing)\n"
        "[e](missing.md) [f](other.md#down) [g](#there)\n```text\n# Not here\n[h](in-code.md)\n```\n[i](#not-here)\n"
    )
    assert broken_links(tmp_path / "document.md") == ["missing.md", "other.md#down", "#there", "#not-here"]


def test_finds_code_that_is_not_formatted() -> None:
    good, ugly, wrong = code_blocks(
        "```hcl\na = 1\n```\n```json\n{}\n```\n```hcl\na=1\n```\n```hcl\na = {\n```\n", "hcl"
    )
    assert [is_formatted(good), is_formatted(ugly), is_formatted(wrong)] == [True, False, False]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": '"x"'}, []),
        ({"name": '"x"', "size": "{ width = 1, height = 2 }"}, []),
        ({"name": '"x"', "size": "var.size"}, []),
        ({}, ["name is missing"]),
        ({"name": '"x"', "nome": '"y"'}, ["nome does not exist"]),
        ({"name": '"x"', "size": "{ depth = 1 }"}, ["size.depth does not exist", "size.width is missing"]),
    ],
)
def test_finds_wrong_arguments(module: Path, arguments: dict[str, str], expected: list[str]) -> None:
    assert wrong_arguments(ModuleUse("x", arguments, module, None)) == expected


def test_reads_module_blocks(tmp_path: Path) -> None:
    host = "git::https://github.com/<your organisation>"
    source = f"{host}/terraform-aws-ecr-cleanup.git//modules/one?ref=v1.2.3"
    code = f'module "one" {{\n  source    = "{source}"\n  providers = {{ aws = aws.one }}\n  a         = 1\n}}\n'
    assert module_uses(code, tmp_path) == [ModuleUse("one", {"a": "1"}, tmp_path / "modules/one", "1.2.3")]
    with pytest.raises(ValueError, match="not a source"):
        module_uses(code.replace("cleanup", "cleaner"), tmp_path)


def test_finds_unknown_outputs(module: Path) -> None:
    code = "[module.floor.area, module.floor.volume, module.roof.area]"
    assert unknown_outputs(code, {"floor": module}) == ["floor.volume", "roof.area"]


def test_reads_one_section_and_the_first_column_of_its_tables() -> None:
    markdown = "## One\n| `a`, `b` | `c` |\n| --- | --- |\n| d | `e` |\n### Two\n| `f` | |\n"
    assert first_column(section(markdown, "One")) == {"a", "b"}
    with pytest.raises(ValueError, match="Three"):
        section(markdown, "Three")


def test_reads_actions(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/iam.tf").write_text(
        'actions = [\n  "ecr:DescribeImages",\n  "sqs:*"\n]\nname = "iam:PassedToService"\n'
        'data "aws_iam_policy_document" "role_trust" {\n  statement {\n    actions = ["sts:AssumeRole"]\n  }\n}\n'
        'data "aws_iam_policy_document" "role" {\n  statement {\n    actions = ["sts:GetCallerIdentity"]\n  }\n}\n'
    )
    assert actions_of_roles(tmp_path) == {"ecr:DescribeImages", "sts:GetCallerIdentity"}
    assert actions("`ecr:DescribeImages` on `aws:ResourceTag`") == {"ecr:DescribeImages"}


def test_reads_metrics_rules_and_log_fields_of_code(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        """
NAMES = {1: "OneThing", 2: "TwoThings" if many else "TwoOrNone"}
MORE: dict[int, str] = {1: "ThreeThings"}
count(NAMES[1])
count(NAMES[2] if name == "NoSuchThing" else MORE[1])
count("PlainThing", 3)
metrics.add_metric("SizedThing", UNIT, 4)
other("NotCounted")
Decision(KEEP, "one_rule", "why")
Decision(decision.verdict, rule)
_keep("keeping_rule", "why")
_wait("waiting_rule", "why", until, evidence)
postponed_for_trouble("two_rule", reason)
self._postpone_for_trouble(check, "three_rule", "why")
logger.info("line", extra={"field": 1, "other_field": 2})
"""
    )
    assert metrics_of(tmp_path) == {"OneThing", "TwoThings", "TwoOrNone", "ThreeThings", "PlainThing", "SizedThing"}
    assert rules_of(tmp_path) == {"one_rule", "keeping_rule", "waiting_rule", "two_rule", "three_rule"}
    assert log_fields_of(tmp_path / "code.py") == {"field", "other_field"}
