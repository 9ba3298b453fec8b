"""The plans of the examples keep the rules in features/, and every rule notices when it is broken.

For each scenario there is a control: the plan is changed in the one point that the scenario is about, and it must fail
and say why. Without that, a scenario that looks at nothing would pass for ever.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compliance.conftest import EXAMPLES, OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compliance.conftest import Json

HERE = Path(__file__).resolve().parent
FEATURES = HERE / "features"

# Which features are for which plans.
_LISTED = ("every_configuration", "accounts", "without_key", "live_usage", "readers_of_accounts")
_WORKLOAD = ("readers", "recorder")
FEATURES_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("local", "multi_account", "single_account"), (*_LISTED, *_WORKLOAD, "delete")),
    "archive": (*_LISTED, "delete"),
    **dict.fromkeys(
        ("existing_aggregator", "private_layer", "ready_package", "registry_regions", "report_only"),
        (*_LISTED, "report"),
    ),
    "organization": (
        "every_configuration",
        "organization",
        "without_key",
        "report",
        "live_usage",
        "readers_of_organization",
    ),
    "organization_with_key": (
        "every_configuration",
        "organization",
        "key",
        "topic",
        "tags",
        "boundary",
        "delete",
        "live_usage",
        "readers_of_organization",
        *_WORKLOAD,
    ),
    "report": ("every_configuration", "organization", "without_key", "report", "without_readers", "recorder"),
}

SHARED = "module.ecr_cleanup.module.shared_account"
WORKLOAD = "module.ecr_cleanup.module.workload_account[0]"


@dataclass(frozen=True)
class Scenario:
    """A scenario of a feature file, as its text, with the folder of that file."""

    title: str
    text: str
    features: str

    def __str__(self) -> str:
        return self.title


def scenarios() -> Iterator[Scenario]:
    for file in sorted(FEATURES.glob("*/*.feature")):
        for text in file.read_text().split("\n\n")[1:]:
            title = re.search("Scenario: (.*)", text)
            assert title, f"{file.name}: {text}"
            yield Scenario(title[1], text, file.parent.name)


SCENARIOS = list(scenarios())


class Plan:
    """A plan as JSON, to be broken in one point."""

    def __init__(self, plan: Json) -> None:
        self.json = copy.deepcopy(plan)

    def set(self, address: str, **values: object) -> None:
        """Set attributes of a resource; None takes an attribute away."""
        for resource in self._of(address):
            for name, value in values.items():
                resource[name] = value
                if value is None:
                    del resource[name]

    def statements(self, address: str, change: Callable[[list[Json]], object], attribute: str = "policy") -> None:
        """Change the statements of a policy."""
        for resource in self._of(address):
            document = json.loads(resource[attribute])
            change(document["Statement"])
            resource[attribute] = json.dumps(document)

    def statement(self, address: str, sid: str, change: Callable[[Json], object], attribute: str = "policy") -> None:
        """Change one statement of a policy."""

        def change_it(statements: list[Json]) -> None:
            (statement,) = [statement for statement in statements if statement["Sid"] == sid]
            change(statement)

        self.statements(address, change_it, attribute)

    def _of(self, address: str) -> Iterator[Json]:
        """The resource's attributes, in each place where a plan has them."""
        found = [change["change"]["after"] for change in self.json["resource_changes"] if change["address"] == address]
        modules = [self.json["planned_values"]["root_module"]]
        while modules:
            module = modules.pop()
            found += [each["values"] for each in module.get("resources", []) if each["address"] == address]
            modules += module.get("child_modules", [])
        assert len(found) == 2, f"{address} is not in the plan"
        return iter(found)


@dataclass(frozen=True)
class Control:
    """How to break a plan so that one scenario must fail, and a part of what it must say then."""

    break_it: Callable[[Plan], object]
    says: str
    plan: str = "single_account"


SCHEDULE_CHECKS = f'{SHARED}.aws_iam_role_policy.function["schedule_checks"]'
RUN_CHECKS = f'{SHARED}.aws_iam_role_policy.function["run_checks"]'
SWEEP = f'{SHARED}.aws_iam_role_policy.function["sweep"]'
SWEEP_SCHEDULE = f"{SHARED}.aws_scheduler_schedule.sweep[0]"
EVENTS = f'{SHARED}.aws_sqs_queue.this["events"]'
EVENTS_DEAD_LETTER = f'{SHARED}.aws_sqs_queue.dead_letter["events"]'
SCHEDULER = f"{SHARED}.aws_iam_role_policy.scheduler"
LEDGER = f"{SHARED}.aws_dynamodb_table.ledger"
LOGS = f'{SHARED}.aws_cloudwatch_log_group.function["run_checks"]'
BUS_POLICY = f"{SHARED}.aws_cloudwatch_event_bus_policy.this"
READER = f"{WORKLOAD}.aws_iam_role.reader[0]"
READER_POLICY = f"{WORKLOAD}.aws_iam_role_policy.reader[0]"
RECORDER = f'{WORKLOAD}.aws_config_configuration_recorder.this["this"]'


def with_any_rule(statement: Json) -> None:
    statement["Condition"]["ArnEquals"]["aws:SourceArn"].append("arn:aws:events:eu-central-1:111111111111:rule/*")


def trusting(plan: Plan, operator: str, key: str, value: str) -> None:
    """Let the reader role be assumed with another value of a condition key."""
    plan.statement(
        READER,
        "FunctionsOfTheSharedAccount",
        lambda it: it["Condition"].update({operator: {key: value}}),
        "assume_role_policy",
    )


def with_any_source(plan: Plan) -> None:
    pattern = json.dumps({"$or": [{"source": ["aws.ecs"]}, {"source": ["aws.config", "anybody"]}]})
    plan.set(f"{SHARED}.aws_cloudwatch_event_rule.task_definitions", event_pattern=pattern)


CONTROLS = {
    "Roles have the boundary": Control(
        lambda plan: plan.set(READER, permissions_boundary=None),
        f"{READER} (aws_iam_role) does not have permissions_boundary property",
        plan="organization_with_key",
    ),
    "What can have tags has them": Control(
        lambda plan: plan.set(LEDGER, tags=None),
        f"tags property in {LEDGER} is considered to be Null",
        plan="organization_with_key",
    ),
    "Readers read and do nothing else": Control(
        lambda plan: plan.statement(READER_POLICY, "ReadEcs", lambda it: it["Action"].append("ecs:StopTask")),
        "It is set to ecs:StopTask",
    ),
    "Readers read what can use images, and not what is stored": Control(
        lambda plan: plan.statement(
            READER_POLICY, "ReadFunctions", lambda it: it["Action"].append("secretsmanager:GetSecretValue")
        ),
        "It is set to secretsmanager:GetSecretValue",
    ),
    "Readers have the statements that were looked at, and no others": Control(
        lambda plan: plan.statement(READER_POLICY, "ReadRules", lambda it: it.update(Sid="ReadMore")),
        "It is set to ReadMore",
    ),
    "Readers read in one region": Control(
        lambda plan: plan.statement(READER_POLICY, "ReadSchedules", lambda it: it.pop("Condition")),
        "does not have Condition property",
    ),
    "Readers trust one account": Control(
        lambda plan: plan.statement(
            READER, "FunctionsOfTheSharedAccount", lambda it: it.update(Principal={"AWS": "*"}), "assume_role_policy"
        ),
        "It is set to *",
    ),
    "Readers trust only the functions that judge images": Control(
        lambda plan: trusting(plan, "ArnEquals", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/*"),
        "It is set to arn:aws:iam::123456789012:role/*",
    ),
    "Readers want to hear the name of the bus": Control(
        lambda plan: trusting(plan, "StringEquals", "sts:ExternalId", "anything"),
        "It is set to anything",
    ),
    "No role but readers is assumed": Control(
        lambda plan: plan.statement(
            RUN_CHECKS, "AssumeReaders", lambda it: it.update(Resource=[it["Resource"], "arn:aws:iam::*:role/*"])
        ),
        "It is set to arn:aws:iam::*:role/*",
    ),
    "The statement that assumes roles does nothing else": Control(
        lambda plan: plan.statement(
            RUN_CHECKS, "AssumeReaders", lambda it: it.update(Action=["sts:AssumeRole", "sts:TagSession"])
        ),
        "It is set to sts:TagSession",
    ),
    "Only the functions that judge images assume roles": Control(
        lambda plan: plan.statement(SCHEDULE_CHECKS, "WriteLedger", lambda it: it.update(Sid="AssumeReaders")),
        "It is set to AssumeReaders",
    ),
    "Readers of other accounts are not assumed": Control(
        lambda plan: plan.statement(RUN_CHECKS, "AssumeReaders", lambda it: it.pop("Condition")),
        "does not have Condition property",
    ),
    "Readers of other organizations are not assumed": Control(
        lambda plan: plan.statement(RUN_CHECKS, "AssumeReaders", lambda it: it.pop("Condition")),
        "does not have Condition property",
        plan="organization_with_key",
    ),
    "No role is assumed": Control(
        lambda plan: plan.statement(RUN_CHECKS, "ReadImages", lambda it: it["Action"].append("sts:AssumeRole")),
        "It is set to sts:AssumeRole",
        plan="report",
    ),
    "No role trusts an account": Control(
        lambda plan: plan.statement(
            f"{WORKLOAD}.aws_iam_role.forward",
            "RuleOfThisModule",
            lambda it: it.update(Principal={"AWS": "arn:aws:iam::111111111111:root"}),
            "assume_role_policy",
        ),
        f"{WORKLOAD}.aws_iam_role.forward (aws_iam_role) does not have Service property",
        plan="report",
    ),
    "No permission covers a whole service": Control(
        lambda plan: plan.statement(RUN_CHECKS, "ReadImages", lambda it: it.update(Action=["ecr:*"])),
        "It is set to ecr:*",
    ),
    "No permission is on everything, except where AWS has nothing to name": Control(
        lambda plan: plan.statement(SCHEDULER, "EncryptChecks", lambda it: it.update(Resource="*")),
        "'Resource': '*', 'Sid': 'EncryptChecks'} resource matches with",
        plan="organization_with_key",
    ),
    "The statements on everything hold nothing but what they are named for": Control(
        lambda plan: plan.statement(RUN_CHECKS, "WriteTraces", lambda it: it["Action"].append("ecr:BatchDeleteImage")),
        "It is set to ecr:BatchDeleteImage",
    ),
    "Images are removed and read only in repositories that opted in": Control(
        lambda plan: plan.statement(RUN_CHECKS, "RemoveImagesOfOptedInRepositories", lambda it: it.pop("Condition")),
        "does not have Condition property",
    ),
    "No other statement removes or reads images": Control(
        lambda plan: plan.statement(
            RUN_CHECKS, "ReadImages", lambda it: it["Action"].append("ecr:UpdateImageStorageClass")
        ),
        "It is set to ecr:UpdateImageStorageClass",
        plan="organization_with_key",
    ),
    "The sweep moves no check that is pending": Control(
        lambda plan: plan.statement(SWEEP, "MakeChecks", lambda it: it.update(Action="scheduler:UpdateSchedule")),
        "It is set to scheduler:UpdateSchedule",
    ),
    "EventBridge Scheduler sends messages to named queues": Control(
        lambda plan: plan.statement(SCHEDULER, "SendChecksAndSweeps", lambda it: it.update(Resource="*")),
        "It is set to *",
    ),
    "Schedules have dead letters": Control(
        lambda plan: plan.set(SWEEP_SCHEDULE, target=[{"arn": "any", "dead_letter_config": [{"arn": "nobody's"}]}]),
        "It is set to nobody's",
    ),
    "Schedules give up after a day": Control(
        lambda plan: plan.set(
            SWEEP_SCHEDULE, target=[{"arn": "any", "retry_policy": [{"maximum_event_age_in_seconds": 86401}]}]
        ),
        "It is set to 86401",
    ),
    "Only run-checks may remove images": Control(
        lambda plan: plan.statement(
            SCHEDULE_CHECKS, "ReadImages", lambda it: it["Action"].append("ecr:BatchDeleteImage")
        ),
        "It is set to ecr:BatchDeleteImage",
    ),
    "Nothing removes images or reads them": Control(
        lambda plan: plan.statement(RUN_CHECKS, "ReadImages", lambda it: it["Action"].append("ecr:BatchGetImage")),
        "It is set to ecr:BatchGetImage",
        plan="report",
    ),
    "Roles are passed to EventBridge Scheduler only": Control(
        lambda plan: plan.statement(RUN_CHECKS, "GiveSchedulesTheirRole", lambda it: it.pop("Condition")),
        "does not have Condition property",
    ),
    "No other statement passes roles": Control(
        lambda plan: plan.statement(
            RUN_CHECKS, "ScheduleChecks", lambda it: it.update(Action=[*it["Action"], "iam:PassRole"])
        ),
        "It is set to iam:PassRole",
    ),
    "No other statement assumes roles": Control(
        lambda plan: plan.statement(SCHEDULE_CHECKS, "WriteLedger", lambda it: it["Action"].append("sts:AssumeRole")),
        "It is set to sts:AssumeRole",
    ),
    "Roles trust services, not accounts, except those of readers": Control(
        lambda plan: plan.statement(
            f"{WORKLOAD}.aws_iam_role.forward",
            "RuleOfThisModule",
            lambda it: it.update(Principal={"AWS": "*"}),
            "assume_role_policy",
        ),
        f"{WORKLOAD}.aws_iam_role.forward (aws_iam_role) does not have Service property",
    ),
    "Services take a role only on behalf of this account": Control(
        lambda plan: plan.statement(
            f"{SHARED}.aws_iam_role.aggregator[0]",
            "ConfigOfThisAccount",
            lambda it: it.pop("Condition"),
            "assume_role_policy",
        ),
        f"{SHARED}.aws_iam_role.aggregator[0] (aws_iam_role) does not have Condition property",
        plan="organization_with_key",
    ),
    "The event bus is not open to everybody": Control(
        lambda plan: plan.statement(
            BUS_POLICY, "WorkloadAccountsPutEvents", lambda it: it.update(Principal={"AWS": "*"})
        ),
        "It is set to *",
    ),
    "The event bus takes events and nothing else": Control(
        lambda plan: plan.statement(
            BUS_POLICY, "WorkloadAccountsPutEvents", lambda it: it.update(Action=["events:PutEvents", "events:PutRule"])
        ),
        "It is set to events:PutRule",
    ),
    "Queues let in nobody but named rules": Control(
        lambda plan: plan.statement(EVENTS, "RulesSendMessages", with_any_rule),
        "It is set to arn:aws:events:eu-central-1:111111111111:rule/*",
    ),
    "Queues let in nobody but EventBridge": Control(
        lambda plan: plan.statement(EVENTS, "RulesSendMessages", lambda it: it.update(Principal={"Service": "*"})),
        "It is set to *",
    ),
    "Queues take messages and nothing else": Control(
        lambda plan: plan.statement(
            EVENTS_DEAD_LETTER, "RulesSendMessages", lambda it: it.update(Action=["sqs:SendMessage", "sqs:*"])
        ),
        "It is set to sqs:*",
    ),
    "Rules take events of AWS services and nobody else": Control(with_any_source, "It is set to anybody"),
    "The cap on removals has an alarm": Control(
        lambda plan: plan.set(
            f'{SHARED}.aws_cloudwatch_metric_alarm.own_metric["removals-capped"]', metric_name="ImagesRemoved"
        ),
        "It is set to ImagesRemoved",
    ),
    "No alarm rings where nothing happens, but that of sweeps that stop": Control(
        lambda plan: plan.set(
            f'{SHARED}.aws_cloudwatch_metric_alarm.own_metric["removals-capped"]', treat_missing_data="breaching"
        ),
        "It is set to breaching",
    ),
    "Alarms tell the topic": Control(
        lambda plan: plan.set(
            f'{SHARED}.aws_cloudwatch_metric_alarm.own_metric["removals-capped"]', alarm_actions=None
        ),
        "does not have alarm_actions property",
        plan="organization_with_key",
    ),
    "Queues refuse requests without TLS": Control(
        lambda plan: plan.statements(EVENTS, lambda them: them.pop(0)),
        f"{EVENTS} (aws_sqs_queue) does not have aws:SecureTransport property",
    ),
    "Queues are encrypted": Control(
        lambda plan: plan.set(EVENTS_DEAD_LETTER, sqs_managed_sse_enabled=False), "It is set to False"
    ),
    "Queues give up on a message after five times": Control(
        lambda plan: plan.set(EVENTS, redrive_policy='{"deadLetterTargetArn": "any", "maxReceiveCount": 1000}'),
        "It is set to 1000",
    ),
    "Queues have dead letters": Control(
        lambda plan: plan.set(EVENTS, redrive_policy=None),
        f"{EVENTS} (aws_sqs_queue) does not have redrive_policy property",
    ),
    "Dead letters are kept as long as SQS can": Control(
        lambda plan: plan.set(EVENTS_DEAD_LETTER, message_retention_seconds=345600), "It is set to 345600"
    ),
    "Rule targets have dead letters": Control(
        lambda plan: plan.set(f"{WORKLOAD}.aws_cloudwatch_event_target.event_bus", dead_letter_config=[]),
        f"{WORKLOAD}.aws_cloudwatch_event_target.event_bus (aws_cloudwatch_event_target) does not have",
    ),
    "One bad message does not hold up its batch": Control(
        lambda plan: plan.set(
            f'{SHARED}.aws_lambda_event_source_mapping.this["run_checks"]', function_response_types=["Whatever"]
        ),
        "It is set to Whatever",
    ),
    "The ledger is encrypted": Control(
        lambda plan: plan.set(LEDGER, server_side_encryption=[{"enabled": False}]), "It is set to False"
    ),
    "The ledger can be restored": Control(
        lambda plan: plan.set(LEDGER, point_in_time_recovery=[{"enabled": False}]), "It is set to False"
    ),
    "Logs are kept for a while, not forever": Control(
        lambda plan: plan.set(LOGS, retention_in_days=0), "0 is not more than 0"
    ),
    "Changes are recorded as they happen": Control(
        lambda plan: plan.set(RECORDER, recording_mode=[{"recording_frequency": "DAILY"}]), "It is set to DAILY"
    ),
    "The bucket is private": Control(
        lambda plan: plan.set(
            f'{WORKLOAD}.aws_s3_bucket_public_access_block.recorder["this"]', restrict_public_buckets=False
        ),
        "It is set to False",
    ),
    "The bucket refuses requests without TLS": Control(
        lambda plan: plan.statement(
            f'{WORKLOAD}.aws_s3_bucket_policy.recorder["this"]', "DenyWithoutTls", lambda it: it.pop("Condition")
        ),
        "does not have aws:SecureTransport property",
    ),
    "The bucket is encrypted": Control(
        lambda plan: plan.set(
            f'{WORKLOAD}.aws_s3_bucket_server_side_encryption_configuration.recorder["this"]', rule=[]
        ),
        "does not have sse_algorithm property",
    ),
    "Queues use the key": Control(
        lambda plan: plan.set(EVENTS, kms_master_key_id=None),
        f"{EVENTS} (aws_sqs_queue) does not have kms_master_key_id property",
        plan="organization_with_key",
    ),
    "Dead letters do not use the key": Control(
        lambda plan: plan.set(EVENTS_DEAD_LETTER, sqs_managed_sse_enabled=False),
        "It is set to False",
        plan="organization_with_key",
    ),
    "The ledger uses the key": Control(
        lambda plan: plan.set(LEDGER, server_side_encryption=[{"enabled": True, "kms_key_arn": "alias/aws/dynamodb"}]),
        "It is set to alias/aws/dynamodb",
        plan="organization_with_key",
    ),
    "Logs use the key": Control(
        lambda plan: plan.set(LOGS, kms_key_id=None),
        f"{LOGS} (aws_cloudwatch_log_group) does not have kms_key_id property",
        plan="organization_with_key",
    ),
    "The environment of the functions uses the key": Control(
        lambda plan: plan.set(f'{SHARED}.aws_lambda_function.this["run_checks"]', kms_key_arn=""),
        "kms_key_arn property in",
        plan="organization_with_key",
    ),
    "Roles may use this key and no other": Control(
        lambda plan: plan.statement(SCHEDULER, "EncryptChecks", lambda it: it.update(Resource="arn:aws:kms:*:*:key/*")),
        "It is set to arn:aws:kms:*:*:key/*",
        plan="organization_with_key",
    ),
    "The event bus is not open to everybody in the world": Control(
        lambda plan: plan.statement(BUS_POLICY, "WorkloadAccountsPutEvents", lambda it: it.pop("Condition")),
        "does not have Condition property",
        plan="organization_with_key",
    ),
}


@dataclass(frozen=True)
class Outcome:
    """How a run of terraform-compliance ended, and what it printed."""

    passed: bool
    output: str


@pytest.fixture(scope="module")
def outcomes(plans: Mapping[str, Json], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """All runs, made at once: of all features over each plan by its name, of one over a broken plan by its title."""
    directory = tmp_path_factory.mktemp("runs")
    jobs: dict[str, dict[str, str]] = {}
    for name, plan in plans.items():
        file = directory / f"{name}.json"
        file.write_text(json.dumps(plan))
        features = directory / name
        for folder in FEATURES_OF[name]:
            shutil.copytree(FEATURES / folder, features / folder)
        jobs[name] = {"features": str(features), "plan": str(file)}
    for number, scenario in enumerate(SCENARIOS):
        if control := CONTROLS.get(scenario.title):
            broken = Plan(plans[control.plan])
            control.break_it(broken)
            features = directory / f"features_{number}"
            features.mkdir()
            (features / "one.feature").write_text(f"Feature: One scenario\n\n{scenario.text}\n")
            file = directory / f"broken_{number}.json"
            file.write_text(json.dumps(broken.json))
            jobs[scenario.title] = {"features": str(features), "plan": str(file)}
    ended = subprocess.run(
        [sys.executable, HERE / "run_features.py"],
        input=json.dumps(list(jobs.values())),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {
        name: Outcome(result["exit_code"] == 0, re.sub(r"\x1b\[[0-9;]*m", "", result["output"]))
        for name, result in zip(jobs, json.loads(ended.stdout), strict=True)
    }


@pytest.mark.parametrize("name", FEATURES_OF)
def test_plan_keeps_the_rules(name: str, outcomes: Mapping[str, Outcome]) -> None:
    expected = sum(scenario.features in FEATURES_OF[name] for scenario in SCENARIOS)

    assert outcomes[name].passed, outcomes[name].output
    assert f"{expected} scenarios ({expected} passed)" in outcomes[name].output


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario_fails_when_its_rule_is_broken(scenario: Scenario, outcomes: Mapping[str, Outcome]) -> None:
    assert not outcomes[scenario.title].passed
    assert CONTROLS[scenario.title].says in outcomes[scenario.title].output


@pytest.mark.parametrize(
    "action", ["BatchDeleteImage", "UpdateImageStorageClass", "BatchGetImage", "RegisterPullTimeUpdateExclusion"]
)
@pytest.mark.parametrize("name", FEATURES_OF)
def test_nothing_names_the_removal_of_images_but_one_role_where_it_was_asked_for(
    name: str, action: str, plans: Mapping[str, Json]
) -> None:
    # Who pulls may read manifests, too.
    changes = [it for it in plans[name]["resource_changes"] if it["type"] != "aws_ecr_repository_policy"]

    found = [change["address"] for change in changes if f"ecr:{action}" in json.dumps(change["change"])]

    assert [re.sub(r"^(module\.\w+(\[0\])?\.)+", "", address) for address in found] == (
        [] if "report" in FEATURES_OF[name] else ['aws_iam_role_policy.function["run_checks"]']
    )


def planned(plan: Json, suffix: str) -> list[Json]:
    """What the plan makes of the resources whose address ends like this."""
    return [change["change"]["after"] for change in plan["resource_changes"] if change["address"].endswith(suffix)]


@pytest.mark.parametrize("name", [name for name, features in FEATURES_OF.items() if "readers" in features])
def test_the_functions_and_the_reader_roles_fit_together(name: str, plans: Mapping[str, Json]) -> None:
    functions = [planned(plans[name], f'aws_lambda_function.this["{it}"]')[0] for it in ("run_checks", "sweep")]
    roles = [planned(plans[name], f'aws_iam_role.function["{it}"]')[0]["name"] for it in ("run_checks", "sweep")]
    variables, same = (function["environment"][0]["variables"] for function in functions)
    for variable in ("READER_ROLE_NAME", "READER_EXTERNAL_ID"):
        assert variables[variable] == same[variable]
    readers = planned(plans[name], "aws_iam_role.reader[0]")

    assert readers
    for reader in readers:
        (statement,) = json.loads(reader["assume_role_policy"])["Statement"]
        account = statement["Principal"]["AWS"].split(":")[4]
        assert account == variables["REGISTRY_ID"]
        assert statement["Condition"] == {
            "ArnEquals": {"aws:PrincipalArn": [f"arn:aws:iam::{account}:role/{role}" for role in roles]},
            "StringEquals": {"sts:ExternalId": variables["READER_EXTERNAL_ID"]},
        }
        assert reader["name"] == f"{variables['READER_ROLE_NAME']}-eu-central-1"


def test_functions_know_no_reader_roles_without_live_usage(plans: Mapping[str, Json]) -> None:
    (function,) = planned(plans["report"], 'aws_lambda_function.this["run_checks"]')
    variables = function["environment"][0]["variables"]

    assert not {"READER_ROLE_NAME", "READER_EXTERNAL_ID"} & variables.keys()
    assert planned(plans["report"], "aws_iam_role.reader[0]") == []


def test_every_example_is_held_against_the_rules() -> None:
    assert sorted(FEATURES_OF) == sorted(directory.name for directory in (*EXAMPLES, *OTHERS))
    # By what they are for, no plan leaves out what concerns it.
    for features in FEATURES_OF.values():
        for one, other in (("accounts", "organization"), ("key", "without_key"), ("delete", "report")):
            assert (one in features) != (other in features)
        assert ("live_usage" in features) != ("without_readers" in features)


def test_every_scenario_must_find_something_and_has_a_control_of_its_own() -> None:
    assert all("@noskip" in scenario.text for scenario in SCENARIOS)
    assert sorted(CONTROLS) == sorted(scenario.title for scenario in SCENARIOS)
    assert all(scenario.features in FEATURES_OF[CONTROLS[scenario.title].plan] for scenario in SCENARIOS)


def test_says_how_many_ran(outcomes: Mapping[str, Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    kept = {name: re.search(r"(\d+) scenarios \((\d+) passed\)", outcomes[name].output) for name in FEATURES_OF}
    passed = {name: int(found[2]) for name, found in kept.items() if found}
    failed = [scenario for scenario in SCENARIOS if not outcomes[scenario.title].passed]
    with capsys.disabled():
        print(f"\n{len(SCENARIOS)} scenarios, {sum(passed.values())} runs of them over {len(passed)} plans passed;")
        print(f"{len(failed)} controls: so many scenarios failed over a plan that breaks their one point")

    assert passed.keys() == FEATURES_OF.keys()
    assert len(failed) == len(SCENARIOS)
