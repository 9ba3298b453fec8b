"""What there is to operate an installation with, for inputs of many kinds, from one plan of all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from plain_aws import plain_aws
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]

TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# Each installation by its name, which is its prefix, too.
INPUTS = {
    "nothing-given": "",
    "each-day": 'sweep = { schedule = "rate(1 day)" }',
    "each-twelve-hours": 'sweep = { schedule = "rate(12 hours)" }',
    "each-six-days": 'sweep = { schedule = "rate(6 days)" }',
    "each-seven-days": 'sweep = { schedule = "rate(7 days)" }',
    "at-three": 'sweep = { schedule = "cron(0 3 * * ? *)" }',
    "on-sundays": 'sweep = { schedule = "cron(0 3 ? * SUN *)" }',
    "on-sundays-told": 'sweep = { schedule = "cron(0 3 ? * SUN *)" }\nalarms = { days_without_sweep = 7 }',
    "never": "sweep = null",
    "without-alarms": "alarms = null\ndashboard = false",
    "topic-of-ones-own": f'notifications = {{ topic_arn = "{TOPIC}", kms_key_arn = "{KEY}", digest = {{}} }}',
    "topic-made-elsewhere": "notifications = { topic_arn = aws_sns_topic.later.arn, digest = {} }",
    "twenty-four-letters-long": "notifications = { create_topic = true, digest = { when_nothing_was_removed = true } }",
}
LATER = 'resource "aws_sns_topic" "later" {\n  name = "later"\n}\n'
MODULE = """
module "{name}" {{
  source      = "../modules/shared_account"
  name_prefix = "{name}"
  workloads   = {{ account_ids = ["222222222222"] }}
  {inputs}
}}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Json]]:
    """Of each installation, what would be made, by the addresses in it."""
    tree = copy_of_tree(tmp_path_factory.mktemp("operations") / "tree")
    with plain_aws() as aws:
        terraform = Terraform(tree / "all", terraform_environment(tree, aws))
        terraform.directory.mkdir()
        modules = [MODULE.format(name=name, inputs=inputs.replace("\n", "\n  ")) for name, inputs in INPUTS.items()]
        (terraform.directory / "main.tf").write_text(LATER + "".join(modules))
        terraform.init()
        terraform.plan(out=tree / "out.tfplan")
        plan = terraform.show_json(tree / "out.tfplan")
    found: dict[str, dict[str, Json]] = {name: {} for name in INPUTS}
    for change in plan["resource_changes"]:
        _, _, rest = change["address"].partition("module.")
        name, _, address = rest.partition(".")
        if name in found:
            found[name][address] = change["change"]["after"] or {}
    return found


def alarms(resources: Mapping[str, Json]) -> dict[str, Json]:
    """The alarms by their names without the prefix."""
    made = [after for address, after in resources.items() if address.startswith("aws_cloudwatch_metric_alarm.")]
    return {after["alarm_name"].removeprefix(prefix_of(resources)): after for after in made}


def prefix_of(resources: Mapping[str, Json]) -> str:
    return f"{resources['aws_cloudwatch_event_bus.this']['name']}-"


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("nothing-given", 2),
        ("each-day", 2),
        ("each-twelve-hours", 2),
        ("each-six-days", 7),
        ("each-seven-days", None),
        ("at-three", 2),
        ("on-sundays", None),
        ("on-sundays-told", 7),
        ("never", None),
        ("without-alarms", None),
    ],
)
def test_sweeps_are_missed_a_day_after_they_should_have_been_finished(
    planned: Mapping[str, dict[str, Json]], name: str, days: int | None
) -> None:
    alarm = alarms(planned[name]).get("sweep-not-finished")
    assert (alarm and alarm["evaluation_periods"]) == days


def test_an_alarm_is_evaluated_over_a_week_at_most(planned: Mapping[str, dict[str, Json]]) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    checked = [each for name in planned for each in alarms(planned[name]).values()]
    assert len(checked) > 200
    for alarm in checked:
        seconds = alarm["period"] * alarm["evaluation_periods"]
        assert seconds <= (604_800 if alarm["period"] >= 3600 else 86_400), alarm["alarm_name"]


def test_without_sweeps_nothing_is_expected_of_them(planned: Mapping[str, dict[str, Json]]) -> None:
    names = set(alarms(planned["nothing-given"])) - set(alarms(planned["never"]))
    assert names == {
        "sweep-not-finished",
        "repositories-not-swept",
        "no-events",
        "sweeps-waiting",
        "sweeps-dead-letter",
        "sweep-errors",
        "sweep-throttles",
    }
    assert 'aws_cloudwatch_query_definition.this["silent-accounts"]' not in planned["never"]


def test_all_of_it_can_be_left_out(planned: Mapping[str, dict[str, Json]]) -> None:
    left = planned["without-alarms"]
    assert alarms(left) == {}
    assert "aws_cloudwatch_dashboard.this[0]" not in left
    assert [address for address in left if "digest" in address or "topic" in address] == []


@pytest.mark.parametrize("name", INPUTS)
def test_the_dashboard_is_known_at_plan_time_and_shows_no_alarm_that_is_not_made(
    planned: Mapping[str, dict[str, Json]], name: str
) -> None:
    if name == "without-alarms":
        return
    widgets = json.loads(planned[name]["aws_cloudwatch_dashboard.this[0]"]["dashboard_body"])["widgets"]
    (shown,) = (widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm")
    made = [f"{prefix_of(planned[name])}{alarm}" for alarm in alarms(planned[name])]
    assert sorted(arn.rpartition(":")[2] for arn in shown) == sorted(made)
    assert len(shown) <= 100


def test_nobody_is_told_unless_somebody_is_named(planned: Mapping[str, dict[str, Json]]) -> None:
    assert {tuple(each["alarm_actions"] or ()) for each in alarms(planned["nothing-given"]).values()} == {()}
    told = alarms(planned["topic-of-ones-own"]).values()
    assert {tuple(each["alarm_actions"]) for each in told} == {(TOPIC,)}
    assert "aws_sns_topic.this[0]" not in planned["topic-of-ones-own"]


def statements(resources: Mapping[str, Json], role: str) -> dict[str, Json]:
    policy = json.loads(resources[f'aws_iam_role_policy.function["{role}"]']["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


@pytest.mark.parametrize(
    ("name", "topic", "key"),
    [
        ("topic-of-ones-own", TOPIC, KEY),
        (
            "twenty-four-letters-long",
            "arn:aws:sns:eu-central-1:123456789012:twenty-four-letters-long-notifications",
            "arn:aws:kms:eu-central-1:123456789012:key/*",
        ),
    ],
)
def test_the_digest_may_tell_its_topic_and_nobody_else(
    planned: Mapping[str, dict[str, Json]], name: str, topic: str, key: str
) -> None:
    given = statements(planned[name], "digest")
    assert (given["TellOfRemovals"]["Action"], given["TellOfRemovals"]["Resource"]) == ("sns:Publish", topic)
    encrypting = given["EncryptMessagesOfTheTopic"]
    assert encrypting["Resource"] == key
    assert encrypting["Condition"]["StringEquals"] == {"kms:ViaService": "sns.eu-central-1.amazonaws.com"}
    aliases = encrypting["Condition"].get("ForAnyValue:StringEquals")
    assert aliases == ({"kms:ResourceAliases": f"alias/{name}-notifications"} if key.endswith("*") else None)
    assert not [sid for sid in given if "Schedules" in sid or "Remove" in sid]


def test_a_topic_that_is_made_in_the_same_apply_can_be_given(planned: Mapping[str, dict[str, Json]]) -> None:
    assert 'aws_lambda_function.this["digest"]' in planned["topic-made-elsewhere"]


def test_names_stay_within_what_aws_takes(planned: Mapping[str, dict[str, Json]]) -> None:
    longest = planned["twenty-four-letters-long"]
    assert len(prefix_of(longest)) == 25
    limits = {
        "aws_cloudwatch_dashboard.": ("dashboard_name", 255),
        "aws_cloudwatch_metric_alarm.": ("alarm_name", 255),
        "aws_cloudwatch_query_definition.": ("name", 255),
        "aws_iam_role.": ("name", 64),
        "aws_kms_alias.": ("name", 256),
        "aws_lambda_function.": ("function_name", 64),
        "aws_scheduler_schedule.": ("name", 64),
        "aws_sns_topic.": ("name", 256),
        "aws_sqs_queue.": ("name", 80),
    }
    for kind, (attribute, limit) in limits.items():
        names = [after[attribute] for address, after in longest.items() if address.startswith(kind)]
        assert names, kind
        assert max(map(len, names)) <= limit
