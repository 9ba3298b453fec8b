"""What the readers of live usage find, without the checks around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import Source, build_inventory
from ecr_cleanup.live_usage import LiveUsage
from ecr_cleanup.settings import CheckSettings
from fake_accounts import EXTERNAL_ID, ROLE, FakeAccounts
from fakes import DEV, HOST, PROD, REGION, SHARED, FakeAggregator
from function_environment import ENVIRONMENT
from integration import test_live_usage as living
from integration.bench import ARN
from integration.test_live_usage import APP, LATEST, OTHER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ecr_cleanup.inventory import Inventory

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
ENVIRONMENT_WITH_READER = ENVIRONMENT | {"READER_ROLE_NAME": ROLE, "READER_EXTERNAL_ID": EXTERNAL_ID}
REPOSITORY = Repository(SHARED, REGION, "team/app")


@dataclass
class Accounts:
    """As much of the workbench as is needed to say what runs. It remembers nothing."""

    image_id: ImageId = field(default_factory=lambda: ImageId(REPOSITORY, "sha256:" + "a" * 64))
    accounts: FakeAccounts = field(default_factory=lambda: FakeAccounts(PROD, DEV))
    aggregator: FakeAggregator = field(default_factory=FakeAggregator)
    remembered: dict[str, frozenset[str]] = field(default_factory=dict)

    def read(self) -> Inventory:
        settings = CheckSettings.from_environment(ENVIRONMENT_WITH_READER)
        assert settings.reader_role
        live = LiveUsage(settings, settings.reader_role, self.accounts.sts_client(), self.accounts.place_client, self)
        known = build_inventory([], read_at=NOW, expected=frozenset({PROD, DEV}), active=self.aggregator.active)
        return live.read(known, now=NOW, time_left=lambda: timedelta(minutes=15))

    def remembered_images(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        return {name: self.remembered[name] for name in names if name in self.remembered}

    def remember_images(self, name: str, images: Collection[str]) -> None:
        self.remembered[name] = frozenset(images)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    monkeypatch.setattr("ecr_cleanup.live_usage.CALLS_PER_SECOND", 1e6)
    return Accounts()


@pytest.mark.parametrize("arrange", living.KEEPS, ids=lambda arrange: arrange.__name__)
def test_finds_what_runs(bench: Accounts, arrange: Callable[[Any], str]) -> None:
    kind = arrange(bench)
    inventory = bench.read()
    assert not inventory.problems
    users = inventory.users_of(Image(bench.image_id, frozenset({"v1"}), 1, NOW))
    assert {usage.kind for usage in users} == {kind.strip()}
    assert all(usage.source is Source.LIVE and usage.place in (PROD, DEV) for usage in users)
    assert {usage.arn.split(":")[4] for usage in users} == {usage.place.account for usage in users}


@pytest.mark.parametrize("arrange", living.PINS, ids=lambda arrange: arrange.__name__)
def test_finds_what_may_be_pinned(bench: Accounts, arrange: Callable[[Any], None]) -> None:
    bench.aggregator.show(ARN, LATEST)
    arrange(bench)
    inventory = bench.read()
    assert not inventory.problems
    pins = inventory.users_under_unknown_digest(REPOSITORY)
    assert {usage.reference for usage in pins} == {LATEST}
    assert {usage.task_definition for usage in pins} <= {ARN, None}


def test_finds_nothing_where_nothing_runs(bench: Accounts) -> None:
    inventory = bench.read()
    assert (inventory.size, inventory.problems) == (0, ())
    assert inventory.expected == {PROD, DEV}


def test_finds_nothing_of_other_registries(bench: Accounts) -> None:
    account = bench.accounts[PROD]
    account.deploy("web", account.register("web:1", "nginx"), ("nginx", None))
    account.run(("nginx", None), status="PENDING")
    account.create_function("other", "999999999999.dkr.ecr.eu-central-1.amazonaws.com/app:v1", None)
    account.job_definitions.append({"jobDefinitionArn": "arn:job", "containerProperties": {"image": "nginx"}})
    account.daemon_task_definitions["arn:daemon-task-definition"] = ["nginx"]
    account.rules.append(("default", "job", account.register("job:1", "nginx", active=False)))
    inventory = bench.read()
    assert (inventory.size, inventory.problems) == (0, ())


def test_each_usage_says_what_it_is(bench: Accounts) -> None:
    living.everything(bench)  # type: ignore[arg-type]
    account = bench.accounts[PROD]
    account.schedules.append(
        ("nightly", "other", {"Arn": account.clusters[0], "EcsParameters": {"TaskDefinitionArn": "job:1"}})
    )
    account.task_definitions["job:1"] = account.task_definitions[account.arn("ecs", "task-definition/job:1")]
    account.job_definitions.append({"jobDefinitionArn": "arn:job", "containerProperties": {"image": f"{APP}:v1"}})
    old = {"jobDefinitionArn": "arn:old", "status": "INACTIVE", "containerProperties": {"image": f"{APP}:v1"}}
    account.job_definitions.append(old)
    inventory = bench.read()
    assert not inventory.problems
    other, resolved = f"{HOST}/other:v1", f"{HOST}/other:v1@{OTHER}"
    image = Image(ImageId(Repository(SHARED, REGION, "other"), OTHER), frozenset({"v1"}), 1, NOW)
    assert {(usage.kind, usage.arn, usage.reference) for usage in inventory.users_of(image)} == {
        ("task definition", account.arn("ecs", "task-definition/app:2"), other),
        ("service", account.arn("ecs", "service/main/app"), other),
        ("service", account.arn("ecs", "service/main/app"), resolved),
        ("task", account.arn("ecs", f"task/main/{0:032}"), resolved),
        ("EventBridge rule", account.arn("events", "rule/job"), other),
        ("schedule", account.arn("scheduler", "schedule/nightly/other"), other),
        ("Lambda function", account.arn("lambda", "function:resize:$LATEST"), f"{HOST}/other@{OTHER}"),
        ("daemon task definition", "arn:daemon-task-definition", other),
    }
    by_latest = inventory.users_of(Image(ImageId(REPOSITORY, OTHER), frozenset({"latest"}), 1, NOW))
    assert {(usage.kind, usage.reference) for usage in by_latest} == {
        ("daemon", LATEST),
        ("daemon", f"{LATEST}@{OTHER}"),
    }
    by_v1 = inventory.users_of(Image(bench.image_id, frozenset({"v1"}), 1, NOW))
    assert [(usage.kind, usage.arn) for usage in by_v1] == [("Batch job definition", "arn:job")]
    assert inventory.users_under_unknown_digest(image.id.repository) == ()


@pytest.mark.parametrize("operation", ["AssumeRole", *living.EVERYTHING_IS_THERE])
def test_says_which_call_failed(bench: Accounts, operation: str) -> None:
    living.everything(bench)  # type: ignore[arg-type]
    bench.accounts.errors[PROD, operation] = "AccessDeniedException"
    problems = bench.read().problems
    assert problems
    assert {problem.place for problem in problems} == {PROD}
    assert all(f":{operation}: " in problem.reason for problem in problems)
    assert all("AccessDeniedException" in problem.reason for problem in problems)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recording": False}, "the Config recorder default is stopped"),
        ({"recorder": None}, "the account has no Config recorder there"),
        (
            {"recorder_status": {"lastStatus": "Failure", "lastErrorCode": "Denied", "lastErrorMessage": "no role"}},
            "the Config recorder default fails: Denied no role",
        ),
        ({"recorder": {"name": "default"}}, "does not record"),
        (
            {
                "recorder": {
                    "name": "mine",
                    "arn": "arn:mine",
                    "recordingGroup": {
                        "exclusionByResourceTypes": {"resourceTypes": ["AWS::ECS::TaskSet"]},
                        "recordingStrategy": {"useOnly": "EXCLUSION_BY_RESOURCE_TYPES"},
                        "allSupported": True,
                    },
                },
                "recorder_status": {"name": "mine"},
            },
            "the Config recorder arn:mine does not record AWS::ECS::TaskSet",
        ),
        (
            {
                "recorder": {
                    "name": "default",
                    "recordingGroup": {"allSupported": True},
                    "recordingMode": {
                        "recordingFrequency": "CONTINUOUS",
                        "recordingModeOverrides": [
                            {"resourceTypes": ["AWS::ECS::Service"], "recordingFrequency": "DAILY"}
                        ],
                    },
                }
            },
            "records AWS::ECS::Service only once a day",
        ),
        (
            {
                "recorder": {
                    "name": "default",
                    "recordingGroup": {"allSupported": True},
                    "recordingMode": {"recordingFrequency": "DAILY"},
                }
            },
            "only once a day",
        ),
    ],
)
def test_a_recorder_that_may_miss_something(bench: Accounts, changes: dict[str, Any], reason: str) -> None:
    for name, value in changes.items():
        setattr(bench.accounts[DEV], name, value)
    (problem,) = bench.read().problems
    assert problem.place == DEV
    assert reason in problem.reason
    assert problem.repair


def test_a_recorder_that_records_the_types_that_are_counted_on(bench: Accounts) -> None:
    types = ENVIRONMENT["RESOURCE_TYPES"].split(",")
    bench.accounts[DEV].recorder = {
        "name": "default",
        "recordingGroup": {"allSupported": False, "resourceTypes": types},
        "recordingMode": {
            "recordingFrequency": "DAILY",
            "recordingModeOverrides": [{"resourceTypes": types, "recordingFrequency": "CONTINUOUS"}],
        },
    }
    assert not bench.read().problems


@pytest.mark.parametrize("code", ["UnsupportedFeatureException", "UnknownOperationException"])
def test_a_region_without_daemons(bench: Accounts, code: str) -> None:
    living.a_daemon(bench)  # type: ignore[arg-type]
    bench.accounts.errors[PROD, "ListDaemons"] = code
    inventory = bench.read()
    assert (inventory.size, inventory.problems) == (0, ())


def test_task_definitions_that_the_aggregator_shows_are_not_described(bench: Accounts) -> None:
    account = bench.accounts[PROD]
    arn = account.register("app:1", f"{APP}:v1")
    bench.aggregator.show(arn, f"{APP}:v1")
    account.deploy("app", arn)
    account.rules.append(("default", "job", arn))
    inventory = bench.read()
    assert not bench.accounts.operations(PROD)["DescribeTaskDefinition"]
    users = inventory.users_of(Image(bench.image_id, frozenset({"v1"}), 1, NOW))
    assert [usage.kind for usage in users] == ["service"]


@pytest.mark.parametrize(("number", "problems"), [(200, 0), (201, 1)])
def test_only_so_many_task_definitions_can_be_new(bench: Accounts, number: int, problems: int) -> None:
    for each in range(number):
        bench.accounts[PROD].register(f"app:{each}", f"{APP}:v1")
    inventory = bench.read()
    assert len(inventory.problems) == problems
    assert inventory.size == (0 if problems else number)


def test_a_task_that_ends_before_it_has_pulled_uses_nothing(bench: Accounts) -> None:
    for status in ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED"):
        bench.accounts[PROD].run((LATEST, None), status=status)
    assert bench.read().size == 0


def test_what_ends_well_goes_back_to_nothing(bench: Accounts) -> None:
    for arrange, deployments in (
        (living.the_source_of_a_deployment_in_progress, bench.accounts[PROD].deployments),
        (living.what_a_daemon_goes_back_to, bench.accounts[PROD].daemon_deployments),
    ):
        arrange(bench)  # type: ignore[arg-type]
        deployments["arn:deployment"]["status"] = "SUCCESSFUL"
    assert bench.read().users_by_digest(bench.image_id) == []


def test_the_versions_of_functions_are_asked_for_once(bench: Accounts) -> None:
    account = bench.accounts[PROD]
    account.create_function("resize", LATEST, f"{APP}@{OTHER}")
    account.create_function("resize", LATEST, f"{APP}@{bench.image_id.digest}", version="1")
    account.create_function("unresolved", LATEST, None)
    for _ in range(2):
        assert {usage.arn for usage in bench.read().users_by_digest(bench.image_id)} == {
            account.arn("lambda", "function:resize:1")
        }
    # What a tag means can change.
    assert bench.accounts.operations(PROD)["GetFunction"] == 3 + 1
    assert sorted(map(sorted, bench.remembered.values())) == [[f"{APP}@{bench.image_id.digest}"], [f"{APP}@{OTHER}"]]


def test_the_images_of_new_code_are_asked_for_again(bench: Accounts) -> None:
    account = bench.accounts[PROD]
    account.create_function("resize", LATEST, f"{APP}@{OTHER}")
    assert not bench.read().users_by_digest(bench.image_id)
    account.functions.clear()
    account.create_function("resize", LATEST, f"{APP}@{bench.image_id.digest}")
    assert bench.read().users_by_digest(bench.image_id)
