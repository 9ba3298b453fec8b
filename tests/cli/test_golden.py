"""What people see. The files are in golden/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.conftest import configure, sweep_ended
from cli.golden import assert_golden
from cli.world import build
from ecr_cleanup.inventory import SourceStatus
from fakes import DEV, HOST

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from cli.world import World
    from integration.bench import Bench


@pytest.fixture
def world(bench: Bench, cli: CommandLine) -> World:
    return build(bench)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plan.txt", ["plan"]),
        ("plan_all.txt", ["plan", "--all"]),
        ("plan.csv", ["plan", "--output", "csv"]),
        ("plan.json", ["plan", "--output", "json"]),
        ("pending.txt", ["pending"]),
        ("pending.json", ["pending", "--output", "json"]),
        ("explain_used.txt", ["explain", f"{HOST}/team/app:v2"]),
        ("explain_unused.txt", ["explain", "team/app:v0"]),
        ("explain_unused.json", ["explain", "team/app:v0", "--output", "json"]),
        ("explain_index.txt", ["explain", "team/app:v2-multi"]),
        ("explain_gone.txt", ["explain", "team/app:gone"]),
    ],
)
def test_looks_as_it_should(world: World, cli: CommandLine, name: str, arguments: list[str]) -> None:
    assert_golden(name, cli.prints(*arguments))


def test_layers_are_counted_once(world: World, cli: CommandLine) -> None:
    assert_golden("plan_layers.txt", cli.prints("plan", "--layers"))


def test_a_plan_says_why_the_inventory_is_not_trusted(world: World, bench: Bench, cli: CommandLine) -> None:
    bench.aggregator.sources[DEV] = SourceStatus.FAILED
    result = cli("plan")
    assert result.exit_code == 4
    assert_golden("plan_not_trusted.txt", result.stdout + "--- stderr\n" + result.stderr)


def test_a_part_of_a_kept_index(world: World, cli: CommandLine) -> None:
    assert_golden("explain_child.txt", cli.prints("explain", f"team/app@{world.child.digest}"))


def test_all_is_well(world: World, bench: Bench, cli: CommandLine) -> None:
    sweep_ended(bench)
    configure(ACTION="report")
    cli.answer("cloudwatch:GetMetricData", {"MetricDataResults": [{"Id": "m0", "Values": []}]})
    cli.answers["cloudwatch:GetMetricData"] = lambda request: (
        200,
        {"MetricDataResults": [{"Id": "m0", "Values": [] if b"AWS/Lambda" in request["body"] else [3.0, 4.0]}]},
    )
    assert_golden("doctor.txt", cli.prints("doctor"))
