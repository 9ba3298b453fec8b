"""Everything about one image."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cli.conftest import configure
from cli.world import FORMER, SERVICE, build
from ecr_cleanup.check import Check
from ecr_cleanup.decision import RULES
from fakes import HOST, REGION
from integration.bench import ARN, register

if TYPE_CHECKING:
    from cli.conftest import CommandLine
    from integration.bench import Bench


def explain(cli: CommandLine, image: str, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cli.prints("explain", image, "--output", "json", *arguments))
    return document


@pytest.mark.parametrize(
    "spelling",
    [
        "team/app:v1",
        "team/app@{digest}",
        "team/app:other@{digest}",
        HOST + "/team/app:v1",
        HOST + "/team/app@{digest}",
        "111111111111.dkr-ecr.eu-central-1.on.aws/team/app:v1",
        "111111111111/eu-central-1/team/app@{digest}",
    ],
)
def test_takes_any_spelling(bench: Bench, cli: CommandLine, spelling: str) -> None:
    digest = bench.image_id.digest
    assert explain(cli, spelling.format(digest=digest))["digest"] == digest


def test_says_of_a_lost_deregistration_what_the_check_says(bench: Bench, cli: CommandLine) -> None:
    register(bench, minutes_ago=120)
    bench.aggregator.show(ARN, f"{HOST}/team/app:v1", active=False)
    document = explain(cli, "team/app:v1")
    assert document["ledger"]["used_by"] == [ARN]
    assert [usage["counts"] for usage in document["usages"]] == [False]
    planned = json.loads(cli.prints("plan", "--json"))["images"]
    # The first check learns of it, and the next one judges by it.
    bench.answer()
    decision = bench.answer().decision
    assert document["rule"] == planned[0]["rule"] == decision.rule == "within_grace_period"
    assert document["reason"] == decision.reason


def test_no_tag_means_latest(bench: Bench, cli: CommandLine) -> None:
    latest = bench.push("latest", content="latest")
    assert explain(cli, "team/app")["digest"] == latest.digest


def test_prefers_the_region_of_the_caller_and_names_the_others(bench: Bench, cli: CommandLine) -> None:
    configure(REGISTRY_REGIONS=f"eu-west-1,{REGION}")
    bench.ecr.client.batch_get_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}])
    west = boto3.client("ecr", region_name="eu-west-1")
    west.create_repository(repositoryName="team/app")
    manifest = bench.ecr.client.batch_get_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}])["images"][0]
    west.put_image(repositoryName="team/app", imageManifest=manifest["imageManifest"], imageTag="v1")
    document = explain(cli, "team/app:v1")
    assert document["region"] == REGION
    assert document["also_in"] == [str(bench.image_id).replace(REGION, "eu-west-1")]


def test_names_every_user_and_who_does_not_count(bench: Bench, cli: CommandLine) -> None:
    build(bench)
    usages = {usage["arn"]: usage for usage in explain(cli, "team/app:v2")["usages"]}
    assert usages[SERVICE]["account"] == "222222222222"
    assert usages[SERVICE]["counts"] is True
    assert usages[FORMER]["counts"] is False
    assert usages[FORMER]["deregistered_at"] == "2030-01-28T12:00:00Z"


def test_a_usage_says_its_source(bench: Bench, cli: CommandLine) -> None:
    register(bench)
    assert {usage["source"] for usage in explain(cli, "team/app:v1")["usages"]} == {"ledger"}


def test_walks_all_rules_in_their_order(bench: Bench, cli: CommandLine) -> None:
    rules = explain(cli, "team/app:v1")["rules"]
    assert [rule["rule"] for rule in rules] == [rule.__name__ for rule in RULES]
    assert all(rule["means"] for rule in rules)


def test_rules_after_the_one_that_decides_are_not_asked(bench: Bench, cli: CommandLine) -> None:
    bench.tag_repository(ecr_cleanup__protect="v@")
    answers = {rule["rule"]: rule["answer"] for rule in explain(cli, "team/app:v1")["rules"]}
    assert answers["inventory_not_trusted"] == "passed"
    assert answers["protected_tag"] == "decided"
    assert answers["newest"] == "not asked"


def test_without_live_usage_pins_are_looked_at(bench: Bench, cli: CommandLine) -> None:
    configure(READER_ROLE_NAME="", READER_EXTERNAL_ID="")
    answers = {rule["rule"]: rule["answer"] for rule in explain(cli, "team/app:v1")["rules"]}
    assert answers["may_be_running"] == answers["may_be_pinned"] == "passed"


def test_says_which_indexes_hold_an_image(bench: Bench, cli: CommandLine) -> None:
    world = build(bench)
    assert explain(cli, f"team/app@{world.child.digest}")["indexes"] == [world.index.digest]
    assert explain(cli, "team/app:v2-multi")["children"] == [world.child.digest]


def test_says_that_nobody_knows_what_an_index_holds(bench: Bench, cli: CommandLine) -> None:
    child = bench.push(content="child", days_ago=90)
    bench.push_index("multi", children=[child])
    document = explain(cli, f"team/app@{child.digest}")
    assert (document["indexes"], document["indexes_of_unknown_content"]) == ([], 1)
    assert explain(cli, "team/app:multi")["children"] is None
    assert "unknown, as nobody has read its manifest yet" in cli.prints("explain", "team/app:multi")
    text = cli.prints("explain", f"team/app@{child.digest}")
    assert "nobody has read yet what 1 index of the repository hold" in text


def test_names_referrers_of_both_kinds(bench: Bench, cli: CommandLine) -> None:
    signature = bench.push_referrer(bench.image_id)
    by_tag = bench.push(f"sha256-{bench.image_id.digest[7:]}.sig", content="cosign")
    assert explain(cli, "team/app:v1")["referrers"] == sorted([signature.digest, by_tag.digest])


def test_says_that_referrers_may_not_be_read(bench: Bench, cli: CommandLine) -> None:
    cli.refuse("ecr:ListImageReferrers", "AccessDeniedException")
    document = explain(cli, "team/app:v1")
    assert document["referrers_unknown"] == "ecr:BatchGetImage is missing, so that there may be more"
    assert "(ecr:BatchGetImage is missing" in cli.prints("explain", "team/app:v1")


def test_names_the_pending_check(bench: Bench, cli: CommandLine) -> None:
    due = bench.clock.now + timedelta(hours=2)
    bench.schedules.put(Check(bench.image_id, "somebody asked"), due, now=bench.clock.now)
    expected = {"due_at": "2030-01-31T14:00:00Z", "cause": "somebody asked", "attempt": 0}
    assert explain(cli, "team/app:v1")["pending_check"] == expected


def test_an_image_that_is_gone_is_known_by_its_digest_and_its_tag(bench: Bench, cli: CommandLine) -> None:
    world = build(bench)
    for image in ("team/app:gone", f"team/app@{world.removed.digest}"):
        document = explain(cli, image)
        assert (document["verdict"], document["in_registry"]) == ("gone", False)
        assert document["removal"]["removed_at"] == "2030-01-30T12:00:00Z"
        assert document["removal"]["reason"] == "nobody uses it"


def test_a_removal_that_is_not_finished_is_named(bench: Bench, cli: CommandLine) -> None:
    record = bench.record(bench.image_id)
    removal = '{"action": "archive", "belongings": {}, "facts": {"reason": "unused", "restore": "aws ecr ..."}}'
    bench.ledger.begin_removal(bench.image_id, record=record, at=bench.clock.now, removal=removal)
    text = cli.prints("explain", "team/app:v1")
    assert "archive begun at 2030-01-31T12:00:00Z, not finished yet: unused" in text
    assert "to restore it: aws ecr ..." in text


def test_says_that_the_inventory_is_not_trusted(bench: Bench, cli: CommandLine) -> None:
    bench.aggregator.sources.clear()
    assert len(explain(cli, "team/app:v1")["problems"]) == 2
    assert "Not trusted: 222222222222/eu-central-1" in cli.prints("explain", "team/app:v1")


def test_without_an_installation_there_is_no_ledger_and_no_check(bench: Bench, cli: CommandLine) -> None:
    document = explain(cli, "team/app:v1", "--aggregator", "ours", "--account-id", "222222222222")
    assert document["pending_check"] is None
    assert not [call for call in cli.calls if call.startswith(("dynamodb:", "scheduler:"))]
