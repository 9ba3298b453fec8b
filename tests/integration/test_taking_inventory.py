"""Usages and trust, taken from an aggregator that says what a test wants it to and from the real ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import Inventory, Source, TaskDefinition
from ecr_cleanup.settings import CheckSettings, Place
from ecr_cleanup.taking_inventory import InventoryTaker
from fakes import DEV, HOST, PROD, REGION, SHARED, FakeAggregator, FakeClock, Pushed
from function_environment import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecr_cleanup.aws.ledger import Ledger, PlaceRecord
    from ecr_cleanup.inventory import Usage

ARN = f"arn:aws:ecs:{REGION}:{PROD.account}:task-definition/app:7"
SERVICE_ARN = f"arn:aws:ecs:{REGION}:{PROD.account}:service/web/app"
SERVICE, TASK_SET = "AWS::ECS::Service", "AWS::ECS::TaskSet"
REFERENCE = f"{HOST}/team/app:v1"
REPOSITORY = Repository(SHARED, REGION, "team/app")
IMAGE = ImageId(REPOSITORY, "sha256:" + "a" * 64)
DAY = timedelta(days=1)


@dataclass
class Bench:
    """A taker of inventories and what it reads."""

    settings: CheckSettings
    aggregator: FakeAggregator
    ledger: Ledger
    registry: Pushed
    clock: FakeClock

    def configure(self, **changes: str) -> None:
        self.settings = CheckSettings.from_environment(ENVIRONMENT | changes)

    def take(self) -> Inventory:
        self.aggregator.reads = 0
        taker = InventoryTaker(
            self.settings,
            self.aggregator,  # type: ignore[arg-type]
            self.ledger,
            self.registry.registry,
            frozenset,
        )
        return taker.take(self.clock.now)

    def users(self, *tags: str, image_id: ImageId = IMAGE) -> list[Usage]:
        return self.take().users_of(Image(image_id, frozenset(tags), 1, self.clock.now))

    def reasons(self) -> list[str]:
        return list(map(str, self.take().problems))

    def show_many(self, number: int, place: Place = PROD, image: str = f"{HOST}/team/app:v1") -> None:
        for arn in [arn for arn, definition in self.aggregator.active.items() if definition.place == place]:
            del self.aggregator.active[arn]
        for revision in range(number):
            self.aggregator.show(
                f"arn:aws:ecs:{place.region}:{place.account}:task-definition/many:{revision}", image, place=place
            )

    def deregister(self, number: int, place: Place = PROD) -> None:
        for revision in range(number):
            arn = f"arn:aws:ecs:{place.region}:{place.account}:task-definition/many:{revision}"
            self.ledger.record_deregistration(arn, at=self.clock.now, references=[REFERENCE], image_ids=[])


@pytest.fixture
def bench(settings: CheckSettings, aggregator: FakeAggregator, ledger: Ledger, ecr: Pushed, clock: FakeClock) -> Bench:
    return Bench(settings, aggregator, ledger, ecr, clock)


def aws_error(code: str = "ThrottlingException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Something")


def raises(error: Exception) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


# Usages


def test_a_service_uses_the_images_of_an_inactive_task_definition_that_the_aggregator_shows(bench: Bench) -> None:
    bench.aggregator.show(ARN, "nginx", REFERENCE, active=False)
    assert bench.users("v1") == []
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    (user,) = bench.users("v1")
    assert (user.kind, user.arn, user.task_definition, user.source) == (
        "service",
        SERVICE_ARN,
        ARN,
        Source.AGGREGATOR,
    )
    assert bench.reasons() == []


def test_a_task_set_uses_the_images_of_a_task_definition_that_only_the_ledger_knows(bench: Bench) -> None:
    bench.ledger.record_deregistration(ARN, at=bench.clock.now - DAY, references=[REFERENCE], image_ids=[IMAGE])
    assert bench.users("v1") == []
    bench.aggregator.show_consumer(TASK_SET, "arn:task-set", task_definition=ARN)
    # By its tag, and by what the tag meant when it was registered.
    for users in (bench.users("v1", image_id=IMAGE._replace(digest="sha256:" + "b" * 64)), bench.users()):
        (user,) = users
        assert (user.kind, user.arn, user.task_definition, user.source) == (
            "task set",
            "arn:task-set",
            ARN,
            Source.LEDGER,
        )
    assert [usage.arn for usage in bench.take().users_by_tag(REPOSITORY)] == ["arn:task-set"]
    assert bench.reasons() == []


def test_no_usage_is_lost_where_ledger_and_aggregator_know_the_task_definition(bench: Bench) -> None:
    bench.ledger.record_deregistration(ARN, at=bench.clock.now - DAY, references=[REFERENCE], image_ids=[IMAGE])
    bench.aggregator.show(ARN, REFERENCE, f"{HOST}/other/app:v2", active=False)
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    other = ImageId(Repository(SHARED, REGION, "other/app"), IMAGE.digest)
    assert {user.source for user in bench.users("v1")} == {Source.LEDGER, Source.AGGREGATOR}
    assert [user.arn for user in bench.users("v2", image_id=other)] == [SERVICE_ARN]


def test_a_service_uses_what_it_points_to_even_if_that_looks_active(bench: Bench) -> None:
    # What the ledger knows to be deregistered does not count any more, and the aggregator may show it for ever.
    bench.aggregator.show(ARN, REFERENCE)
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    bench.aggregator.show_consumer(SERVICE, f"{SERVICE_ARN}2", task_definition=ARN)
    assert [user.arn for user in bench.users("v1")] == [ARN, SERVICE_ARN, f"{SERVICE_ARN}2"]
    assert bench.aggregator.looked_up == []


@pytest.mark.parametrize(
    ("resource_type", "kind"),
    [
        ("AWS::AppRunner::Service", "App Runner service"),
        ("AWS::SageMaker::Model", "SageMaker model"),
        ("AWS::CodeBuild::Project", "CodeBuild project"),
    ],
)
def test_other_resources_use_the_images_that_they_name(bench: Bench, resource_type: str, kind: str) -> None:
    bench.aggregator.show_consumer(resource_type, "arn:it", "nginx", REFERENCE, place=DEV)
    (user,) = bench.users("v1")
    assert (user.kind, user.arn, user.place) == (kind, "arn:it", DEV)
    bench.configure(RESOURCE_TYPES="AWS::ECS::Service,AWS::ECS::TaskDefinition,AWS::ECS::TaskSet")
    assert bench.users("v1") == []
    assert bench.reasons() == []


def test_usages_of_accounts_that_nobody_expects_count(bench: Bench) -> None:
    bench.aggregator.show_consumer("AWS::CodeBuild::Project", "arn:it", REFERENCE, place=Place("999999999999", REGION))
    assert len(bench.users("v1")) == 1


def test_an_inventory_knows_how_many_usages_and_places_it_has(bench: Bench) -> None:
    bench.aggregator.show(ARN, "nginx", REFERENCE)
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    inventory = bench.take()
    assert (inventory.size, len(inventory.expected)) == (4, 2)


# What nobody knows


@pytest.mark.parametrize("deregistered", [True, False])
def test_a_service_on_a_task_definition_that_nobody_knows_is_a_problem_that_names_it(
    bench: Bench, deregistered: bool
) -> None:
    if deregistered:
        # Its event carried no images.
        bench.ledger.record_deregistration(ARN, at=bench.clock.now, references=[], image_ids=[], complete=False)
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    (problem,) = bench.take().problems
    assert problem.place == PROD
    assert SERVICE_ARN in problem.reason
    assert ARN in problem.reason


@pytest.mark.parametrize("exempt", [SERVICE_ARN, ARN, PROD.account, str(PROD)])
def test_a_service_that_nobody_can_resolve_can_be_exempted(bench: Bench, exempt: str) -> None:
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    bench.configure(EXEMPT_ACCOUNTS=f"{exempt},{ARN}0")
    assert bench.reasons() == []


def test_an_exemption_is_of_one_service_only(bench: Bench) -> None:
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    bench.aggregator.show_consumer(SERVICE, f"{SERVICE_ARN}2", task_definition=ARN)
    bench.configure(EXEMPT_ACCOUNTS=SERVICE_ARN)
    (reason,) = bench.reasons()
    assert f"service {SERVICE_ARN}2 (" in reason


def test_a_service_of_an_account_that_nobody_expects_need_not_be_resolved(bench: Bench) -> None:
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN, place=Place("999999999999", REGION))
    assert bench.reasons() == []


def test_a_build_project_without_an_image_is_a_problem_unless_it_is_exempt(bench: Bench) -> None:
    arn = f"arn:aws:codebuild:{REGION}:{PROD.account}:project/it"
    bench.aggregator.show_consumer("AWS::CodeBuild::Project", arn)
    (reason,) = bench.reasons()
    assert f"CodeBuild project {arn}" in reason
    bench.configure(EXEMPT_ACCOUNTS=arn)
    assert bench.reasons() == []


def test_a_registration_that_is_overdue_can_be_exempted_by_its_arn(bench: Bench) -> None:
    then = bench.clock.now - timedelta(hours=2)
    for arn in (ARN, f"{ARN}0"):
        bench.ledger.record_registration(arn, PROD, at=then, references=[REFERENCE], image_ids=[], now=then)
    bench.configure(EXEMPT_ACCOUNTS=ARN)
    (reason,) = bench.reasons()
    assert f"1 task definition(s) registered more than 1:00:00 ago are not in the aggregator, such as {ARN}0" in reason
    # It counts as used all the same.
    assert ARN in [user.arn for user in bench.users("v1")]


def test_a_registration_of_unknown_images_in_an_exempt_account_is_no_problem(bench: Bench) -> None:
    family = ARN.rpartition("/")[0] + "/?"
    now = bench.clock.now
    bench.ledger.record_nameless_registration(family, "1", PROD, at=now, references=[], image_ids=[], now=now)
    assert len(bench.reasons()) == 1
    bench.configure(EXEMPT_ACCOUNTS=str(PROD))
    assert bench.reasons() == []


def test_a_type_that_is_not_in_the_table_is_a_problem_and_is_not_asked_for(bench: Bench) -> None:
    bench.configure(RESOURCE_TYPES=ENVIRONMENT["RESOURCE_TYPES"] + ",AWS::Batch::JobDefinition")
    (reason,) = bench.reasons()
    assert "AWS::Batch::JobDefinition" in reason
    assert places(bench) == {}


@pytest.mark.parametrize("resource_type", [SERVICE, TASK_SET, "AWS::CodeBuild::Project", "AWS::SageMaker::Model"])
def test_fewer_of_any_type_read_than_counted_is_a_problem(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, resource_type: str
) -> None:
    bench.aggregator.show(ARN, "nginx")
    bench.aggregator.show_consumer(resource_type, "arn:it", "nginx", task_definition=ARN, place=DEV)
    monkeypatch.setattr(bench.aggregator, "consumers", lambda _: [])
    (reason,) = bench.reasons()
    assert reason.startswith(f"{DEV}: the aggregator counts 1 ")
    bench.configure(EXEMPT_ACCOUNTS=str(DEV))
    assert bench.reasons() == []


def test_a_task_definition_that_slipped_to_a_page_already_read_is_missed_only_by_the_count_before(
    bench: Bench,
) -> None:
    bench.aggregator.show(ARN, "nginx")
    bench.aggregator.counted_before, bench.aggregator.counted = 2, 1
    (reason,) = bench.reasons()
    assert "counts 2 ACTIVE task definitions, but only 1 were read" in reason


def test_the_same_resource_on_two_pages_makes_up_for_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.aggregator.show(ARN, "nginx")
    monkeypatch.setattr(
        bench.aggregator, "active_task_definitions", lambda: 2 * [TaskDefinition(ARN, PROD, ("nginx",))]
    )
    bench.aggregator.counted_before = bench.aggregator.counted = 2
    assert len(bench.reasons()) == 1


@pytest.mark.parametrize(
    "method",
    ["source_statuses", "recorders", "counts", "active_task_definitions", "consumers", "task_definitions"],
)
@pytest.mark.parametrize("error", [aws_error(), AggregatorError("odd")])
def test_whatever_of_the_aggregator_cannot_be_read_makes_everything_untrusted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    monkeypatch.setattr(bench.aggregator, method, raises(error))
    (problem,) = bench.take().problems
    assert problem.place is None
    assert problem.reason == f"the aggregator ecr-cleanup could not be read: {error}"
    assert places(bench) == {}


@pytest.mark.parametrize("method", ["awaiting", "places", "task_definitions", "record_count"])
def test_whatever_of_the_ledger_cannot_be_used_makes_everything_untrusted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    bench.aggregator.show(ARN, "nginx", active=False)
    bench.aggregator.show_consumer(SERVICE, SERVICE_ARN, task_definition=ARN)
    monkeypatch.setattr(bench.ledger, method, raises(aws_error()))
    (problem,) = bench.take().problems
    assert problem.place is None
    assert "ThrottlingException" in problem.reason


# Counts that collapse


def places(bench: Bench) -> dict[Place, PlaceRecord]:
    return bench.ledger.places()


def counted(bench: Bench, place: Place = PROD) -> tuple[int | None, datetime | None]:
    record = places(bench)[place]
    return record.active, record.counted_at


def test_a_collapsed_count_is_a_problem_until_it_lapses_after_a_week(bench: Bench) -> None:
    bench.show_many(10)
    assert bench.reasons() == []
    start = bench.clock.now
    assert counted(bench) == (10, start)
    bench.show_many(4)
    for hours in (0, 1, 100, 7 * 24 - 1):
        bench.clock.now = start + timedelta(hours=hours)
        (problem,) = bench.take().problems
        assert problem.place == PROD
        assert "shows 4 ACTIVE task definitions where" in problem.reason
        assert "10 are expected" in problem.reason
        assert "2030-02-07T12:00:00Z" in problem.repair
    assert counted(bench) == (10, start)
    bench.clock.now = start + 7 * DAY
    assert bench.reasons() == []
    assert counted(bench) == (4, start + 7 * DAY)


def test_the_command_of_the_repair_ends_it_at_once(bench: Bench) -> None:
    bench.show_many(10)
    bench.take()
    bench.show_many(0)
    (problem,) = bench.take().problems
    assert (
        "aws dynamodb delete-item --table-name ecr-cleanup-ledger --key "
        f'\'{{"pk": {{"S": "PLACE"}}, "sk": {{"S": "{PROD}"}}}}\''
    ) in problem.repair
    key: Any = {"pk": {"S": "PLACE"}, "sk": {"S": str(PROD)}}
    bench.ledger._table._client.delete_item(TableName=bench.settings.ledger_table_name, Key=key)
    assert bench.reasons() == []
    assert counted(bench)[0] == 0


def test_task_definitions_without_an_image_of_the_registry_can_come_and_go(bench: Bench) -> None:
    bench.show_many(10, image="nginx")
    bench.take()
    bench.show_many(0)
    assert bench.reasons() == []


def test_a_deliberate_clean_up_that_events_told_of_is_no_collapse(bench: Bench) -> None:
    bench.show_many(10)
    bench.take()
    # The events come first, the aggregator follows.
    bench.deregister(9)
    assert bench.reasons() == []
    bench.clock.advance(minutes=10)
    bench.show_many(1)
    assert bench.reasons() == []
    bench.clock.advance(hours=25)
    assert bench.reasons() == []
    assert counted(bench) == (1, bench.clock.now)
    # What was deregistered before does not excuse what is missing later.
    bench.clock.advance(minutes=10)
    bench.show_many(8)
    bench.take()
    bench.show_many(0)
    assert len(bench.reasons()) == 1


def test_a_clean_up_in_one_account_excuses_no_collapse_in_another(bench: Bench) -> None:
    bench.show_many(10, PROD)
    bench.show_many(10, DEV)
    bench.take()
    bench.deregister(10, PROD)
    bench.show_many(0, PROD)
    bench.show_many(0, DEV)
    (problem,) = bench.take().problems
    assert problem.place == DEV


@pytest.mark.parametrize(("before", "after"), [(2, 0), (4, 2), (10, 5), (0, 0), (5, 50)])
def test_what_may_well_happen_is_no_collapse(bench: Bench, before: int, after: int) -> None:
    bench.show_many(before)
    assert bench.reasons() == []
    bench.clock.advance(minutes=1)
    bench.show_many(after)
    assert bench.reasons() == []
    assert counted(bench)[0] == after


def test_no_count_is_remembered_of_a_place_that_is_in_trouble(bench: Bench) -> None:
    bench.show_many(10)
    bench.aggregator.recorded.remove(PROD)
    assert len(bench.reasons()) == 1
    assert set(places(bench)) == {DEV}
    bench.aggregator.recorded = {PROD, DEV}
    bench.take()
    assert set(places(bench)) == {PROD, DEV}


def test_no_count_is_remembered_of_what_nobody_expects(bench: Bench) -> None:
    bench.show_many(10, Place("999999999999", REGION))
    bench.configure(EXEMPT_ACCOUNTS=str(DEV))
    bench.take()
    assert set(places(bench)) == {PROD}


def test_a_count_is_written_once_a_day_or_when_it_changes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.show_many(10)
    bench.take()
    start = bench.clock.now
    bench.clock.advance(hours=23)
    bench.take()
    assert counted(bench) == (10, start)
    bench.show_many(11)
    bench.take()
    assert counted(bench) == (11, bench.clock.now)
    assert counted(bench, DEV) == (0, start)
    bench.clock.advance(hours=25)
    bench.take()
    assert counted(bench) == (11, bench.clock.now)
    assert counted(bench, DEV) == (0, bench.clock.now)


def test_an_account_without_ecs_is_trusted_if_its_recorder_is_good(bench: Bench) -> None:
    assert bench.aggregator.active == {}
    assert bench.reasons() == []
