from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.check import Check
from ecr_cleanup.errors import ImageReferenceError, ImagesUnknownError
from ecr_cleanup.events import Change, TaskDefinitionEvent
from ecr_cleanup.scheduling import CheckScheduler
from fakes import HOST, PROD, FakeAggregator, FakeClock, Pushed

if TYPE_CHECKING:
    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.image import ImageId
    from ecr_cleanup.settings import CheckSettings

FAMILY = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app"
ARN = f"{FAMILY}:7"
AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
REFERENCE = f"{HOST}/team/app:v1"


@pytest.fixture
def scheduler(
    settings: CheckSettings,
    ecr: Pushed,
    ledger: Ledger,
    aggregator: FakeAggregator,
    schedules: CheckSchedules,
    clock: FakeClock,
) -> CheckScheduler:
    return CheckScheduler(
        settings,
        registry=ecr.registry,
        ledger=ledger,
        aggregator=aggregator,  # type: ignore[arg-type]
        schedules=schedules,
        clock=clock,
    )


def event(change: Change, *images: str, at: datetime = AT, arn: str | None = ARN, **more: Any) -> TaskDefinitionEvent:
    details: dict[str, Any] = {"event_id": "event-1", "images": images or None} | more
    return TaskDefinitionEvent(place=PROD, change=change, arn=arn, family_arn=FAMILY, occurred_at=at, **details)


def pending() -> dict[str, str]:
    client = boto3.client("scheduler")
    names = [each["Name"] for each in client.list_schedules(GroupName="ecr-cleanup")["Schedules"]]
    return {name: client.get_schedule(GroupName="ecr-cleanup", Name=name)["ScheduleExpression"] for name in names}


def test_a_registration_schedules_nothing(scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    outcome = scheduler.take(event(Change.REGISTERED, REFERENCE, "nginx:1"))
    assert outcome.images == {image_id: None}
    assert pending() == {}
    assert ledger.images([image_id])[image_id].last_used_at == AT
    (registration,) = ledger.awaiting(now=AT)
    assert registration.references == {REFERENCE}
    assert registration.image_ids == {image_id}


def test_an_image_of_a_repository_that_is_not_opted_in_is_not_scheduled(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    assert scheduler.take(event(Change.DEREGISTERED, REFERENCE)).images == {image_id: None}
    assert pending() == {}
    assert ledger.images([image_id])[image_id].last_used_at == AT


@pytest.mark.parametrize(
    "reference",
    [
        "nginx:1",
        "999999999999.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1",
        "111111111111.dkr.ecr.us-east-1.amazonaws.com/team/app:v1",
        f"{HOST}.evil.example/team/app:v1",
        "999999999999.dkr.ecr.eu-central-1.amazonaws.com/Team/app:v1",
    ],
)
def test_what_it_is_not_in_charge_of_leaves_no_trace(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger, reference: str
) -> None:
    ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    for change in (Change.REGISTERED, Change.DEREGISTERED):
        assert scheduler.take(event(change, reference)).images == {}
    assert pending() == {}
    assert ledger.awaiting(now=AT) == []


def test_one_schedule_per_image_however_it_is_spelled(scheduler: CheckScheduler, ecr: Pushed) -> None:
    repository = ecr.repository(ecr_cleanup="enabled")
    image_id = ecr.push(repository, "v1", "stable", "latest")
    spellings = (
        REFERENCE,
        f"{HOST}/team/app:stable",
        f"{HOST}/team/app",
        f"{HOST}/team/app@{image_id.digest}",
        f"{HOST}/team/app:other@{image_id.digest}",
        "111111111111.dkr-ecr.eu-central-1.on.aws/team/app:v1",
    )
    for number, reference in enumerate(spellings):
        scheduler.take(event(Change.DEREGISTERED, reference, arn=f"{FAMILY}:{number}"))
    outcome = scheduler.take(event(Change.DEREGISTERED, *spellings))
    assert outcome.images == {image_id: AT + DAY}
    assert list(pending().values()) == ["at(2030-02-01T12:00:00)"]


def test_every_container_counts(scheduler: CheckScheduler, ecr: Pushed) -> None:
    repository = ecr.repository(ecr_cleanup="enabled")
    ids = {ecr.push(repository, f"v{n}", content=str(n)) for n in range(3)}
    outcome = scheduler.take(event(Change.DEREGISTERED, *(f"{HOST}/team/app:v{n}" for n in range(3))))
    assert set(outcome.images) == ids
    assert len(pending()) == 3


def test_a_later_deregistration_moves_the_check(scheduler: CheckScheduler, ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1", "v2")
    scheduler.take(event(Change.DEREGISTERED, REFERENCE))
    later = AT + timedelta(hours=23)
    outcome = scheduler.take(event(Change.DEREGISTERED, f"{HOST}/team/app:v2", at=later, arn=f"{FAMILY}:8"))
    assert outcome.images == {image_id: later + DAY}
    assert list(pending().values()) == ["at(2030-02-02T11:00:00)"]


def test_a_duplicate_after_the_tag_moved_does_not_touch_the_new_image(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    repository = ecr.repository(ecr_cleanup="enabled")
    old = ecr.push(repository, "v1", content="old")
    scheduler.take(event(Change.DEREGISTERED, REFERENCE))
    new = ecr.push(repository, "v1", content="new")
    assert set(scheduler.take(event(Change.DEREGISTERED, REFERENCE)).images) == {old}
    assert ledger.images([new])[new].last_used_at is None
    assert len(pending()) == 1


def test_both_the_image_registered_and_the_one_its_tag_means_now_were_used(
    scheduler: CheckScheduler, ecr: Pushed
) -> None:
    repository = ecr.repository(ecr_cleanup="enabled")
    old = ecr.push(repository, "v1", content="old")
    scheduler.take(event(Change.REGISTERED, REFERENCE))
    new = ecr.push(repository, "v1", content="new")
    outcome = scheduler.take(event(Change.DEREGISTERED, REFERENCE, at=AT + DAY))
    assert outcome.images == {old: AT + 2 * DAY, new: AT + 2 * DAY}


@pytest.mark.parametrize("change", [Change.DEREGISTERED, Change.UNCLEAR])
def test_images_that_the_event_lacks_come_from_elsewhere(
    scheduler: CheckScheduler, ecr: Pushed, aggregator: FakeAggregator, change: Change
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    aggregator.show(ARN, REFERENCE, active=False)
    outcome = scheduler.take(event(change))
    assert (outcome.change, outcome.images) == (Change.DEREGISTERED, {image_id: AT + DAY})


def test_images_that_the_event_lacks_come_from_the_ledger_first(scheduler: CheckScheduler, ecr: Pushed) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    scheduler.take(event(Change.REGISTERED, REFERENCE))
    assert scheduler.take(event(Change.DEREGISTERED, at=AT)).images == {image_id: AT + DAY}


def test_an_unclear_change_of_an_active_task_definition_deregisters_nothing(
    scheduler: CheckScheduler, ecr: Pushed, aggregator: FakeAggregator, ledger: Ledger
) -> None:
    ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    aggregator.show(ARN, REFERENCE)
    assert scheduler.take(event(Change.UNCLEAR)).change is Change.REGISTERED
    assert ledger.task_definition(ARN).deregistered_at is None
    assert pending() == {}


@pytest.mark.parametrize("change", [Change.DEREGISTERED, Change.UNCLEAR])
def test_images_that_nobody_knows_yet_are_asked_for_again(
    scheduler: CheckScheduler, ecr: Pushed, aggregator: FakeAggregator, ledger: Ledger, change: Change
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    with pytest.raises(ImagesUnknownError, match="app:7"):
        scheduler.take(event(change))
    assert (ledger.task_definition(ARN).deregistered_at == AT) is (change is Change.DEREGISTERED)
    aggregator.show(ARN, REFERENCE, active=False)
    assert scheduler.take(event(change)).images == {image_id: AT + DAY}


def test_a_registration_of_unknown_revision_counts_as_used(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    scheduler.take(event(Change.REGISTERED, REFERENCE, arn=None))
    (registration,) = ledger.awaiting(now=AT)
    assert registration.image_ids == {image_id}


def test_a_registration_of_unknown_images_is_known_all_the_same(scheduler: CheckScheduler, ledger: Ledger) -> None:
    assert scheduler.take(event(Change.REGISTERED, arn=None)).images == {}
    (registration,) = ledger.awaiting(now=AT)
    assert (registration.place, registration.references) == (PROD, frozenset())


@pytest.mark.parametrize("change", [Change.REGISTERED, Change.DEREGISTERED])
def test_a_repository_that_cannot_be_read_does_not_hold_up_the_others(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    healthy = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    denied = ecr.push(ecr.repository("denied/app", ecr_cleanup="enabled"), "v1")
    real = ecr.registry.resolve

    def refuse_one(references: Any) -> Any:
        if any(reference.repository == denied.repository for reference in references):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeImages")
        return real(references)

    both = (f"{HOST}/denied/app:v1", REFERENCE)
    with monkeypatch.context() as patch:
        patch.setattr(ecr.registry, "resolve", refuse_one)
        with pytest.raises(ClientError):
            scheduler.take(event(change, *both))
    assert ledger.task_definition(ARN).references == set(both)
    assert ledger.task_definition(ARN).image_ids == {healthy}
    assert len(pending()) == (1 if change is Change.DEREGISTERED else 0)
    # The event comes back, and this time all goes well.
    outcome = scheduler.take(event(change, *both))
    assert set(outcome.images) == {healthy, denied}
    assert len(pending()) == (2 if change is Change.DEREGISTERED else 0)


def test_an_opt_in_that_cannot_be_read_does_not_hold_up_the_others(
    scheduler: CheckScheduler, ecr: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    denied = ecr.push(ecr.repository("denied/app", ecr_cleanup="enabled"), "v1")
    real = ecr.registry.repository_tags

    def refuse_one(repository: Any) -> Any:
        if repository == denied.repository:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "ListTagsForResource")
        return real(repository)

    monkeypatch.setattr(ecr.registry, "repository_tags", refuse_one)
    with pytest.raises(ClientError):
        scheduler.take(event(Change.DEREGISTERED, f"{HOST}/denied/app:v1", REFERENCE))
    assert list(pending()) == [Check(healthy, "test").schedule_name]


def test_a_digest_that_never_existed_makes_no_schedule(scheduler: CheckScheduler, ecr: Pushed) -> None:
    ecr.repository(ecr_cleanup="enabled")
    outcome = scheduler.take(event(Change.DEREGISTERED, f"{HOST}/team/app@sha256:{'f' * 64}"))
    assert (outcome.images, pending()) == ({}, {})


def test_a_deleted_task_definition_of_others_is_nothing_to_us(scheduler: CheckScheduler) -> None:
    assert scheduler.take(replace(event(Change.DEREGISTERED), images=())).images == {}


@pytest.mark.parametrize("change", [Change.REGISTERED, Change.DEREGISTERED])
def test_a_malformed_reference_to_the_registry_does_not_hold_up_the_others(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger, change: Change
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    with pytest.raises(ImageReferenceError, match="Team/app"):
        scheduler.take(event(change, f"{HOST}/Team/app:v1", REFERENCE))
    assert ledger.task_definition(ARN).image_ids == {image_id}
    assert len(pending()) == (1 if change is Change.DEREGISTERED else 0)


def test_a_tag_that_is_gone_schedules_nothing_and_fails_nothing(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    ecr.repository(ecr_cleanup="enabled")
    images: dict[ImageId, Any] = dict(scheduler.take(event(Change.DEREGISTERED, REFERENCE)).images)
    assert images == {}
    assert ledger.task_definition(ARN).deregistered_at == AT
