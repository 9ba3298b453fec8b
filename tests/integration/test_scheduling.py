from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ecr_cleanup.aws.ledger import Push
from ecr_cleanup.check import Check
from ecr_cleanup.errors import ImageReferenceError, ImagesUnknownError
from ecr_cleanup.events import Change, PushEvent, TaskDefinitionEvent
from ecr_cleanup.image import ImageId, ImageStatus, Repository
from ecr_cleanup.scheduling import CheckScheduler
from fakes import DEVELOPMENT, HOST, PROD, REGION, SHARED, FakeAggregator, FakeClock, Pushed

if TYPE_CHECKING:
    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.settings import CheckSettings

FAMILY = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app"
ARN = f"{FAMILY}:7"
AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
EXAMPLES = itertools.count()
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
    assert ledger.images([image_id])[image_id].used_by == {ARN}
    (registration,) = ledger.awaiting(now=AT)
    assert registration.references == {REFERENCE}
    assert registration.image_ids == {image_id}


def push(
    repository: Repository, image_id: ImageId, tag: str = "v1", at: datetime = AT, event_id: str = "event-1"
) -> PushEvent:
    return PushEvent(event_id, repository, image_id.digest, tag, at)


@pytest.mark.parametrize(
    "repository", [Repository(DEVELOPMENT, REGION, "team/app"), Repository(SHARED, "us-east-1", "team/app")]
)
def test_a_push_to_another_registry_or_region_leaves_no_trace(
    scheduler: CheckScheduler, ecr: Pushed, settings: CheckSettings, ledger: Ledger, repository: Repository
) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    assert not scheduler.take_push(push(repository, image_id))
    assert boto3.client("dynamodb").scan(TableName=settings.ledger_table_name)["Items"] == []


def test_a_push_is_on_record_whether_the_repository_is_opted_in_or_not(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    repository = ecr.repository()
    image_id = ecr.push(repository, "v1")
    assert scheduler.take_push(push(repository, image_id))
    assert ledger.pushes(repository, ["v1"]) == {"v1": frozenset({Push(AT, image_id.digest)})}
    assert ledger.images([image_id])[image_id].last_used_at is None
    assert pending() == {}


@given(
    pushes=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=5, unique=True),
    data=st.data(),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_pushes_that_come_twice_and_in_any_order_are_the_same_pushes(
    scheduler: CheckScheduler, ledger: Ledger, pushes: list[tuple[str, int]], data: st.DataObject
) -> None:
    # Each example has a repository of its own, since what is recorded stays.
    repository = Repository(SHARED, REGION, f"team/app-{next(EXAMPLES)}")
    events = [
        push(repository, ImageId(repository, f"sha256:{content * 64}"), at=AT + hours * timedelta(hours=1))
        for content, hours in pushes
    ]
    for event in data.draw(st.permutations(events + events)):
        scheduler.take_push(event)
    assert ledger.pushes(repository, ["v1"])["v1"] == {Push(event.occurred_at, event.digest) for event in events}


@pytest.mark.parametrize("status", [ImageStatus.ACTIVE, ImageStatus.ACTIVATING])
def test_an_image_that_can_be_pulled_soon_is_not_reported_as_archived(
    scheduler: CheckScheduler, ecr: Pushed, monkeypatch: pytest.MonkeyPatch, status: ImageStatus
) -> None:
    ecr.push(ecr.repository(), "v1")
    all_are(status, ecr, monkeypatch)
    assert scheduler.take(event(Change.REGISTERED, REFERENCE)).archived == ()


def test_an_archived_image_is_reported_when_it_is_registered_and_not_when_it_is_deregistered(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    all_are(ImageStatus.ARCHIVED, ecr, monkeypatch)
    registered = scheduler.take(event(Change.REGISTERED, REFERENCE))
    assert (registered.images, registered.archived) == ({image_id: None}, (image_id,))
    assert ledger.images([image_id])[image_id].last_used_at == AT
    deregistered = scheduler.take(event(Change.DEREGISTERED, REFERENCE, at=AT + DAY))
    assert (deregistered.images, deregistered.archived) == ({image_id: AT + 2 * DAY}, ())


def all_are(status: ImageStatus, ecr: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ecr.registry.find
    monkeypatch.setattr(ecr.registry, "find", lambda some: [image._replace(status=status) for image in real(some)])


def test_an_image_of_a_repository_that_is_not_opted_in_is_not_scheduled(
    scheduler: CheckScheduler, ecr: Pushed, ledger: Ledger
) -> None:
    image_id = ecr.push(ecr.repository(), "v1")
    assert scheduler.take(event(Change.DEREGISTERED, REFERENCE)).images == {image_id: None}
    assert pending() == {}
    assert ledger.images([image_id])[image_id].last_used_at == AT
    assert ledger.images([image_id])[image_id].used_by == {ARN}


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
    for _ in range(2):
        assert scheduler.take(event(Change.UNCLEAR)).change is Change.REGISTERED
    assert ledger.task_definition(ARN).registered_at == AT
    assert ledger.task_definition(ARN).deregistered_at is None
    assert pending() == {}


def test_an_unclear_change_of_what_is_registered_already_waits_for_the_aggregator(
    scheduler: CheckScheduler, ecr: Pushed, aggregator: FakeAggregator, ledger: Ledger
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    scheduler.take(event(Change.REGISTERED, REFERENCE))
    aggregator.show(ARN, REFERENCE)
    later = AT + DAY
    with pytest.raises(ImagesUnknownError, match="still shows it as it was registered"):
        scheduler.take(event(Change.UNCLEAR, at=later))
    assert ledger.images([image_id])[image_id].last_used_at == AT
    del aggregator.active[ARN]
    aggregator.show(ARN, REFERENCE, active=False)
    assert scheduler.take(event(Change.UNCLEAR, at=later)).images == {image_id: later + DAY}


def test_an_unclear_change_of_what_is_known_to_be_deregistered_is_no_registration(
    scheduler: CheckScheduler, ecr: Pushed, aggregator: FakeAggregator, ledger: Ledger
) -> None:
    image_id = ecr.push(ecr.repository(ecr_cleanup="enabled"), "v1")
    aggregator.show(ARN, REFERENCE)
    scheduler.take(event(Change.DEREGISTERED, REFERENCE))
    outcome = scheduler.take(event(Change.UNCLEAR, at=AT + timedelta(minutes=1)))
    assert (outcome.change, set(outcome.images)) == (Change.DEREGISTERED, {image_id})
    assert ledger.awaiting(now=AT) == []
    assert ledger.task_definition(ARN).registered_at is None


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
    real = ecr.registry.find

    def refuse_one(references: Any) -> Any:
        if any(reference.repository == denied.repository for reference in references):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeImages")
        return real(references)

    both = (f"{HOST}/denied/app:v1", REFERENCE)
    with monkeypatch.context() as patch:
        patch.setattr(ecr.registry, "find", refuse_one)
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
    assert scheduler.take(event(Change.DEREGISTERED)._replace(images=())).images == {}


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
