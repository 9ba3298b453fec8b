"""What would go, and what would stay."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import boto3

from cli.conftest import CLI_ENVIRONMENT, configure
from cli.world import build
from ecr_cleanup.cli.plan import COLUMNS
from fakes import HOST, REGION, SHARED
from integration.bench import register

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from cli.conftest import CommandLine
    from fakes import FakeClock
    from integration.bench import Bench


def plan(cli: CommandLine, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cli.prints("plan", "--output", "json", *arguments))
    return document


def rules(document: dict[str, Any]) -> dict[str, str]:
    """By digest."""
    return {image["digest"]: image["rule"] for image in document["images"]}


def test_says_which_images_would_go(bench: Bench, cli: CommandLine) -> None:
    world = build(bench)
    assert rules(plan(cli)) == {
        bench.image_id.digest: "unused",
        world.used.digest: "in_use",
        world.unused.digest: "unused",
        world.young.digest: "newest",
        world.chart.digest: "not_an_image",
        world.index.digest: "in_use",
        world.child.digest: "held_by_an_index",
        world.untagged.digest: "unused",
    }


def test_counts_the_newest_exactly(bench: Bench, cli: CommandLine) -> None:
    configure(NEWEST_IMAGES="2")
    newer = bench.push("v2", content="v2", days_ago=20)
    newest = bench.push("v3", content="v3", days_ago=19)
    bench.used(newer, newest)
    assert rules(plan(cli)) == {bench.image_id.digest: "unused", newer.digest: "newest", newest.digest: "newest"}


def test_lists_each_repository_once(bench: Bench, cli: CommandLine) -> None:
    configure(NEWEST_IMAGES="1", TAGS_NEVER_MOVE="false")
    bench.push("v2", content="v2")
    bench.push(content="untagged", days_ago=90)
    plan(cli)
    assert cli.calls.count("ecr:DescribeImages") == 1


def test_looks_only_at_repositories_that_opted_in(bench: Bench, cli: CommandLine) -> None:
    bench.push("v1", repository=bench.ecr.repository("team/other"), content="other")
    assert [each["repository"] for each in plan(cli)["repositories"]] == ["team/app"]


def test_says_of_a_named_repository_that_it_did_not_opt_in(bench: Bench, cli: CommandLine) -> None:
    image_id = bench.push("v1", repository=bench.ecr.repository("team/other"), content="other")
    assert rules(plan(cli, "team/other")) == {image_id.digest: "not_opted_in"}


def test_assumes_that_a_repository_opted_in(bench: Bench, cli: CommandLine) -> None:
    image_id = bench.push("v1", repository=bench.ecr.repository("team/other"), content="other")
    document = plan(cli, "team/other", "--assume-opted-in")
    assert rules(document) == {image_id.digest: "unused"}
    assert document["assumed_opted_in"] is True
    assert "As if all" in cli.prints("plan", "team/other", "--assume-opted-in")


def test_assumes_that_all_repositories_opted_in(bench: Bench, cli: CommandLine) -> None:
    bench.push("v1", repository=bench.ecr.repository("team/other"), content="other")
    names = [each["repository"] for each in plan(cli, "--assume-opted-in")["repositories"]]
    assert names == ["team/app", "team/other"]


def test_goes_by_what_the_owner_of_a_repository_set(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup__protect="v@")
    assert rules(plan(cli, "--assume-opted-in")) == {bench.image_id.digest: "protected_tag"}


def test_takes_a_full_reference_for_a_repository(bench: Bench, cli: CommandLine) -> None:
    assert rules(plan(cli, f"{HOST}/team/app")) == rules(plan(cli))


def test_says_that_nothing_has_opted_in(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup="disabled")
    assert "No repository has opted in" in cli.prints("plan")


def test_says_that_nothing_would_go(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup__protect="v@")
    assert "Nothing would go." in cli.prints("plan")


def test_an_untagged_image_may_be_part_of_an_index_of_unknown_content(bench: Bench, cli: CommandLine) -> None:
    child = bench.push(content="child", days_ago=90)
    bench.push_index("multi", children=[child])
    (row,) = [image for image in plan(cli)["images"] if image["digest"] == child.digest]
    assert (row["verdict"], row["certain"]) == ("remove", False)
    assert "unless an index contains it: manifests were not read" in row["reason"]


def test_layers_tell_what_an_index_holds(bench: Bench, cli: CommandLine) -> None:
    child = bench.push(content="child", days_ago=90)
    index = bench.push_index("multi", children=[child], days_ago=90)
    bench.aggregator.show("arn:aws:ecs:eu-central-1:222222222222:task-definition/app:9", f"{HOST}/team/app:multi")
    document = plan(cli, "--layers")
    assert rules(document)[child.digest] == "held_by_an_index"
    assert rules(document)[index.digest] == "in_use"


def test_layers_warn_that_they_count_as_pulls(bench: Bench, cli: CommandLine) -> None:
    assert "takes for a pull of every image" in cli("plan", "--layers").stderr
    assert "ecr:BatchGetImage" in cli.calls


def test_says_that_indexes_are_larger_than_ecr_says(bench: Bench, cli: CommandLine) -> None:
    child = bench.push(content="child", days_ago=90)
    index = bench.push_index("multi", children=[child], days_ago=90)
    bench.used(index)
    assert "1 is an index, of which ECR gives the size of the largest part" in cli.prints("plan")


def test_csv_has_a_line_per_image(bench: Bench, cli: CommandLine) -> None:
    build(bench)
    rows = list(csv.DictReader(io.StringIO(cli.prints("plan", "--output", "csv"))))
    assert tuple(rows[0]) == COLUMNS == tuple(plan(cli)["images"][0])
    (row,) = [row for row in rows if row["tags"] == "v0"]
    assert (row["verdict"], row["certain"]) == ("remove", "false")


def test_csv_of_nothing_has_its_heading(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup="disabled")
    assert cli.prints("plan", "--output", "csv") == ",".join(COLUMNS) + "\n"


def test_html_is_a_page(bench: Bench, cli: CommandLine, tmp_path: Path) -> None:
    build(bench)
    page = tmp_path / "report.html"
    result = cli("plan", "--html", str(page))
    assert str(page) in result.stderr
    assert "team/app" in page.read_text()
    assert cli.prints("plan", "--output", "html") == page.read_text()


def test_the_page_gets_the_report(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleanup.cli.plan.render", json.dumps)
    assert json.loads(cli.prints("plan", "--output", "html")) == plan(cli)


def test_a_page_that_cannot_be_written_is_said(bench: Bench, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleanup.cli.plan.as_html", lambda _: "page")
    assert "cannot be written" in cli.fails(2, "plan", "--html", "/nowhere/report.html")


def test_a_use_of_which_only_an_event_told_counts(bench: Bench, cli: CommandLine) -> None:
    register(bench)
    assert rules(plan(cli)) == {bench.image_id.digest: "in_use"}


def test_looks_into_all_regions_of_the_registry(bench: Bench, cli: CommandLine, clock: FakeClock) -> None:
    configure(REGISTRY_REGIONS=f"{REGION},eu-west-1")
    west = boto3.client("ecr", region_name="eu-west-1")
    west.create_repository(repositoryName="team/app", tags=[{"Key": "ecr-cleanup", "Value": "enabled"}])
    regions = [each["region"] for each in plan(cli, "team/app")["repositories"]]
    assert regions == ["eu-central-1", "eu-west-1"]


def test_without_an_installation(bench: Bench, cli: CommandLine) -> None:
    boto3.client("lambda").delete_function(FunctionName="ecr-cleanup-run-checks")
    bench.push("v2", content="v2")
    bench.ecr.repository("team/other")
    document = plan(cli, "--aggregator", "ours", "--account-id", "222222222222", "--assume-opted-in")
    assert (document["installation"], document["registry"], document["action"]) == ("none", SHARED, "report")
    assert rules(document)[bench.image_id.digest] == "newest"
    assert not [call for call in cli.calls if call.startswith(("dynamodb:", "lambda:"))]


def test_settings_from_a_file(bench: Bench, cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    lines = [f"{key}={value}" for key, value in (CLI_ENVIRONMENT | {"PROTECTED_TAG_PATTERNS": "v*"}).items()]
    file.write_text("# from Terraform\n\n" + "\n".join(lines))
    assert rules(plan(cli, "--settings", str(file))) == {bench.image_id.digest: "protected_tag"}
    assert "lambda:GetFunctionConfiguration" not in cli.calls


def test_the_prefix_can_come_from_the_environment(bench: Bench, cli: CommandLine) -> None:
    line = cli.fails(3, "plan", ECR_CLEANUP_NAME_PREFIX="other")
    assert "there is no function other-run-checks" in line
