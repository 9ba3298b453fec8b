"""The sweep: which images get a check, which must not, and that no interruption loses or doubles anything."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ecr_cleanup.aws import ecr as ecr_adapter
from ecr_cleanup.aws.sweep_ledger import SweepLedger, SweepPlace
from ecr_cleanup.check import Check
from ecr_cleanup.decision import Verdict
from ecr_cleanup.errors import LeasedToSameMessageError, LedgerConflictError
from ecr_cleanup.evidence import Finder
from ecr_cleanup.inventory import SourceStatus
from ecr_cleanup.report import Totals, total
from ecr_cleanup.survey import Judged, Survey
from ecr_cleanup.sweeping import Newest, SweepOutcome, SweepRun
from fakes import DEV, HOST, PROD
from integration.bench import (
    ARN,
    DAY,
    Bench,
    aws_error,
    make_bench,  # noqa: F401 - the fixture "bench"
    raises,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ecr_cleanup.aws.ledger import TaskDefinitionRecord
    from ecr_cleanup.image import ImageId, Repository

HOUR = timedelta(hours=1)
LONG = timedelta(minutes=15)


class Rows:
    """Stands for the report: the images of parts that were saved, and of the one that was not."""

    def __init__(self) -> None:
        self.parts: dict[int, list[Judged]] = {}
        self.unsaved: list[Judged] = []

    def add(self, judged: Judged) -> None:
        self.unsaved.append(judged)

    def save_part(self, number: int) -> bool:
        if not self.unsaved:
            return False
        self.parts[number] = self.unsaved
        self.unsaved = []
        return True

    def all(self) -> list[Judged]:
        return [judged for number in sorted(self.parts) for judged in self.parts[number]]

    def images(self) -> list[ImageId]:
        return [judged.image.id for judged in self.all()]


class Sweeper:
    """Sweeps the registry of a bench; the image that the bench has is not in the way: it was just used."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.used(bench.image_id, hours_ago=1)
        self.sweeps = SweepLedger(boto3.client("dynamodb"), bench.settings.ledger_table_name)
        self.rows = Rows()
        self.time_left: Callable[[], timedelta] = lambda: LONG

    def start(self, sweep: str | None = None, *, asked_by: str = "") -> tuple[SweepRun, SweepOutcome | None]:
        bench = self.bench
        live_usage = bench.live_usage()
        finder = Finder(
            bench.settings,
            registry=bench.ecr.registry,
            ledger=bench.ledger,
            inventory_taker=bench.inventory_taker(),
            live_usage=live_usage,
            clock=bench.clock,
            time_left=lambda: bench.time_left,
        )
        run = SweepRun(
            bench.settings,
            registry=bench.ecr.registry,
            repositories=self.repositories(),
            survey=Survey(bench.settings, finder, clock=bench.clock, asks_accounts=live_usage is not None),
            ledger=bench.ledger,
            sweeps=self.sweeps,
            schedules=bench.schedules,
            report=self.rows,  # type: ignore[arg-type]
            clock=bench.clock,
            time_left=self.time_left,
        )
        return run, run.run(sweep, asked_by=asked_by)

    def sweep(self) -> dict[Repository, Totals]:
        """One sweep in one run, closed as the function does."""
        run, outcome = self.start()
        assert outcome
        assert outcome.repositories is not None
        run.finish({})
        return dict(outcome.repositories)

    def repositories(self) -> dict[Repository, dict[str, str]]:
        registry = self.bench.ecr.registry
        described = self.bench.ecr.client.describe_repositories()["repositories"]
        named = [
            type(self.bench.repository)("111111111111", "eu-central-1", each["repositoryName"]) for each in described
        ]
        tags = {repository: dict(registry.repository_tags(repository) or {}) for repository in named}
        return {repository: some for repository, some in tags.items() if some.get("ecr-cleanup") == "enabled"}

    def due(self, image_id: ImageId) -> datetime | None:
        return self.bench.schedules._due(Check(image_id, "").schedule_name)

    def pending(self) -> set[str]:
        pages = boto3.client("scheduler").get_paginator("list_schedules").paginate(GroupName="ecr-cleanup")
        return {each["Name"] for page in pages for each in page["Schedules"]}


@pytest.fixture
def sweeper(bench: Bench) -> Sweeper:
    return Sweeper(bench)


# What must not get a check


def used(bench: Bench) -> ImageId:
    bench.aggregator.show(ARN, f"{HOST}/team/app:old")
    return bench.push("old", content="another")


def never_used_and_young(bench: Bench) -> ImageId:
    return bench.push("old", days_ago=13.9, content="another")


def never_used_and_pulled_within_90_days(bench: Bench) -> ImageId:
    image_id = bench.push("old", days_ago=200, content="another")
    bench.clock.advance(days=-89)
    bench.pull(image_id)
    bench.clock.advance(days=89)
    return image_id


def protected(bench: Bench) -> ImageId:
    bench.configure(PROTECTED_TAG_PATTERNS="release-*")
    return bench.push("old", "release-1", content="another")


def the_newest(bench: Bench) -> ImageId:
    bench.configure(NEWEST_IMAGES="2")
    bench.push("newer", days_ago=16, content="newer")
    return bench.push("old", days_ago=20, content="another")


def untagged_without_live_usage(bench: Bench) -> ImageId:
    return bench.push(days_ago=100, content="another")


def untagged_and_young(bench: Bench) -> ImageId:
    bench.ask_accounts()
    return bench.push(days_ago=29.9, content="another")


def untagged_and_just_pulled(bench: Bench) -> ImageId:
    bench.ask_accounts()
    image_id = bench.push(days_ago=400, content="another")
    bench.clock.advance(days=-29)
    bench.pull(image_id)
    bench.clock.advance(days=29)
    return image_id


def found_in_an_index_lately(bench: Bench) -> ImageId:
    bench.ask_accounts()
    image_id = bench.push(days_ago=100, content="another")
    bench.ledger.record_part(image_id, at=bench.clock.now - timedelta(days=6))
    return image_id


def running_by_digest(bench: Bench) -> ImageId:
    bench.ask_accounts()
    image_id = bench.push(days_ago=100, content="another")
    bench.accounts[PROD].run((f"{HOST}/team/app:latest", image_id.digest))
    return image_id


def in_a_place_that_cannot_be_trusted(bench: Bench) -> ImageId:
    bench.aggregator.sources[DEV] = SourceStatus.FAILED
    return bench.push("old", content="another")


def of_accounts_that_cannot_be_asked(bench: Bench) -> ImageId:
    bench.ask_accounts()
    bench.accounts.roles.pop(f"arn:aws:iam::{DEV.account}:role/ecr-cleanup-reader-{DEV.region}")
    return bench.push("old", content="another")


def a_signature(bench: Bench) -> ImageId:
    return bench.push_referrer(bench.image_id, days_ago=100)


@pytest.mark.parametrize(
    ("arrange", "rule"),
    [
        (used, "in_use"),
        (never_used_and_young, "too_young"),
        (never_used_and_pulled_within_90_days, "too_young"),
        (protected, "protected_tag"),
        (the_newest, "newest"),
        (untagged_without_live_usage, "untagged"),
        (untagged_and_young, "untagged"),
        (untagged_and_just_pulled, "too_young"),
        (found_in_an_index_lately, "held_by_an_index"),
        (running_by_digest, "in_use"),
        (in_a_place_that_cannot_be_trusted, "inventory_not_trusted"),
        (of_accounts_that_cannot_be_asked, "inventory_not_trusted"),
        (a_signature, "not_an_image"),
    ],
)
def test_makes_no_check_of_an_image_that_is_kept(
    sweeper: Sweeper, arrange: Callable[[Bench], ImageId], rule: str
) -> None:
    image_id = arrange(sweeper.bench)
    sweeper.sweep()
    (judged,) = [each for part in sweeper.rows.parts.values() for each in part if each.image.id == image_id]
    assert judged.decision.rule == rule
    assert sweeper.due(image_id) is None
    assert sweeper.bench.record(image_id).watched_since is None


def test_leaves_a_pending_check_as_it_is(sweeper: Sweeper) -> None:
    sooner, later = sweeper.bench.push("sooner", content="a"), sweeper.bench.push("later", content="b")
    now = sweeper.bench.clock.now
    for image_id, due in ((sooner, now + HOUR), (later, now + 100 * DAY)):
        sweeper.bench.schedules.put(Check(image_id, "somebody else"), due, now=now)
    sweeper.sweep()
    assert (sweeper.due(sooner), sweeper.due(later)) == (now + HOUR, now + 100 * DAY)


def test_removes_nothing_and_reads_no_manifest(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.ask_accounts()
    image_ids = [bench.push("old", content="a"), bench.push(content="b", days_ago=50)]
    index = bench.push_index("multi", children=[bench.push(content="c", days_ago=50)])
    calls: list[str] = []
    bench.ecr.client.meta.events.register("before-call.ecr.*", lambda model, **_: calls.append(model.name))
    sweeper.sweep()
    assert set(calls) <= {"DescribeImages", "DescribeRepositories", "ListTagsForResource"}
    assert bench.left(*image_ids, index) == {*image_ids, index}


def test_only_the_newest_revisions_count_where_that_is_asked_for(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    image_ids = [bench.push(f"v{number}", content=str(number)) for number in range(10, 13)]
    for number in range(10, 13):
        bench.aggregator.show(f"{ARN[:-2]}:{number}", f"{HOST}/team/app:v{number}")
    service = "arn:aws:ecs:eu-central-1:222222222222:service/main/app"
    bench.aggregator.show_consumer("AWS::ECS::Service", service, task_definition=f"{ARN[:-2]}:11")
    bench.ask_accounts(NEWEST_REVISIONS="1")
    sweeper.sweep()
    # The oldest is neither the newest, nor what a service runs.
    assert [sweeper.due(image_id) is not None for image_id in image_ids] == [True, False, False]


@pytest.mark.parametrize("starter", ["rule", "schedule", "schedule of the SDK"])
def test_what_a_rule_or_schedule_starts_counts_although_newer_revisions_are_active(
    sweeper: Sweeper, starter: str
) -> None:
    bench, account = sweeper.bench, sweeper.bench.accounts[PROD]
    image_ids = [bench.push(f"v{number}", content=str(number)) for number in range(10, 13)]
    for number in range(10, 13):
        bench.aggregator.show(f"{ARN[:-2]}:{number}", f"{HOST}/team/app:v{number}")
        account.register(f"app:{number}", f"{HOST}/team/app:v{number}")
    started, cluster = f"{ARN[:-2]}:10", account.add_cluster()
    if starter == "rule":
        account.rules.append(("default", "nightly", started))
    elif starter == "schedule":
        target: dict[str, Any] = {"Arn": cluster, "EcsParameters": {"TaskDefinitionArn": started}}
        account.schedules.append(("default", "nightly", target))
    else:
        parameters = json.dumps({"TaskDefinition": started})
        account.schedules.append(
            ("default", "nightly", {"Arn": "arn:aws:scheduler:::aws-sdk:ecs:runTask", "Input": parameters})
        )
    bench.ask_accounts(NEWEST_REVISIONS="1", TAGS_NEVER_MOVE="true")
    sweeper.sweep()
    assert [sweeper.due(image_id) is not None for image_id in image_ids] == [False, True, False]
    bench.ledger.record_watch(image_ids[0], at=bench.clock.now)
    bench.clock.advance(hours=24)
    (answer,) = bench.check(image_ids[0])
    assert answer.decision.rule == "in_use"
    assert bench.left(image_ids[0])


def test_a_watch_ends_with_the_last_check_so_that_the_next_one_begins_a_whole_grace_period(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.ask_accounts()
    image_id = bench.push("old", days_ago=100, content="another")
    sweeper.sweep()
    bench.tag_repository(ecr_cleanup="off")
    bench.clock.advance(days=1)
    (kept,) = bench.check(image_id)
    assert (kept.decision.rule, kept.next_check_at) == ("not_opted_in", None)
    assert bench.record(image_id).watched_since is None
    bench.tag_repository(ecr_cleanup="enabled")
    # Something uses it for a while of which no event tells.
    bench.clock.advance(days=5)
    (asked,) = bench.check(image_id)
    assert asked.decision.rule == "within_grace_period"
    assert bench.left(image_id)


def test_the_same_image_pushed_again_has_a_grace_period_of_its_own(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.configure(MINIMUM_AGE_DAYS="0", NEVER_USED_PULLED_WITHIN_DAYS="0", PULLED_WITHIN_HOURS="0")
    image_id = bench.push("old", days_ago=10, content="another")
    sweeper.sweep()
    bench.ecr.client.batch_delete_image(repositoryName="team/app", imageIds=[{"imageDigest": image_id.digest}])
    bench.clock.advance(hours=23, minutes=59)
    assert bench.push("new", days_ago=0, content="another") == image_id
    bench.clock.advance(minutes=1)
    (answer,) = bench.check(image_id)
    assert answer.decision.rule == "within_grace_period"
    assert bench.left(image_id)


def test_a_report_that_cannot_be_kept_does_not_hold_up_the_sweep(
    sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = sweeper.bench
    monkeypatch.setattr("ecr_cleanup.sweeping._SAVED_EVERY", timedelta(0))
    monkeypatch.setattr(sweeper.rows, "save_part", raises(aws_error("AccessDenied")))
    image_ids = [
        bench.push("old", repository=bench.ecr.repository(name, ecr_cleanup="enabled"), days_ago=100, content=name)
        for name in ("team/a", "team/b", "team/c")
    ]
    bench.configure(NEWEST_IMAGES="0")
    _, outcome = sweeper.start()
    assert outcome
    assert outcome.repositories is not None
    assert all(sweeper.due(image_id) for image_id in image_ids)
    assert outcome.place.report_lost
    assert "AccessDenied" in outcome.place.report_lost
    # Whatever run goes on with it must know.
    assert SweepPlace.from_json(outcome.place.to_json()) == outcome.place


def test_the_ledger_has_room_for_the_failures_of_many_repositories(sweeper: Sweeper) -> None:
    run, _ = sweeper.start()
    for number in range(2_000):
        run._fail(f"repository-{number}: {'x' * 1_000}")
    assert len(run._place.failures) == 100
    assert max(map(len, run._place.failures)) == 300
    run._save()


# What must get one


def test_makes_a_check_of_what_was_never_used(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    image_id = bench.push("old", days_ago=15, content="another")
    totals = sweeper.sweep()[bench.repository]
    assert sweeper.due(image_id) == bench.clock.now + DAY
    assert (totals.all.images, totals.reclaimable.images, totals.kept["within_grace_period"].images) == (2, 1, 1)


def test_what_is_deployed_an_hour_after_the_sweep_is_kept(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    image_id = bench.push("old", days_ago=15, content="another")
    sweeper.sweep()
    bench.clock.advance(hours=1)
    bench.aggregator.show(ARN, f"{HOST}/team/app:old")
    bench.clock.advance(hours=23)
    (answer,) = bench.check(image_id)
    assert answer.decision.rule == "in_use"
    assert bench.left(image_id)


def test_what_nobody_uses_for_a_grace_period_after_the_sweep_is_removed(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    image_id = bench.push("old", days_ago=15, content="another")
    sweeper.sweep()
    bench.clock.advance(hours=23, minutes=59)
    (early,) = bench.check(image_id)
    assert early.decision.rule == "within_grace_period"
    bench.clock.advance(minutes=1)
    (answer,) = bench.check(image_id)
    assert answer.decision.verdict is Verdict.REMOVE
    assert not bench.left(image_id)


def test_an_image_whose_event_was_lost_gets_a_check_and_a_grace_period(sweeper: Sweeper) -> None:
    image_id = sweeper.bench.push("old", days_ago=100, content="another")
    sweeper.bench.used(image_id, hours_ago=30 * 24)
    sweeper.sweep()
    assert sweeper.due(image_id) == sweeper.bench.clock.now + DAY


def test_asks_the_ledger_about_one_user_of_each_image_unless_that_one_is_gone(
    sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = sweeper.bench
    arns = [f"{ARN.rpartition(':')[0]}:{number}" for number in range(1001, 1301)]
    images = [bench.push(tag, content=tag) for tag in ("first", "second", "third")]
    for number, arn in enumerate(arns):
        bench.aggregator.show(arn, f"{HOST}/team/app:{('first', 'second', 'third')[number % 3]}")
    for tag, gone in (("second", arns[1:2]), ("third", arns[2::3])):
        for arn in gone:
            bench.ledger.record_deregistration(
                arn, at=bench.clock.now - 30 * DAY, references=[f"{HOST}/team/app:{tag}"], image_ids=[]
            )
    asked: list[set[str]] = []
    real = bench.ledger.task_definitions

    def task_definitions(wanted: Iterable[str]) -> Mapping[str, TaskDefinitionRecord]:
        asked.append(set(wanted))
        return real(asked[-1])

    monkeypatch.setattr(bench.ledger, "task_definitions", task_definitions)
    sweeper.sweep()
    users = {judged.image.id: {usage.arn for usage in judged.users} for judged in sweeper.rows.all()}
    # After these comes whoever may run what nobody uses under a tag that has moved.
    assert asked[:2] == [{*arns[:3]}, {*arns[4::3], *arns[5::3]}]
    assert [users[image] for image in images] == [{*arns[::3]}, {*arns[4::3]}, set()]
    rules = {judged.image.id: judged.decision.rule for judged in sweeper.rows.all()}
    assert [rules[image] for image in images] == ["in_use", "in_use", "may_be_pinned"]


def test_an_image_that_was_just_used_gets_a_check_too(sweeper: Sweeper) -> None:
    """Its event may be lost; where it is not, the check is pending."""
    image_id = sweeper.bench.push("old", content="another")
    sweeper.bench.used(image_id, hours_ago=1)
    totals = sweeper.sweep()[sweeper.bench.repository]
    assert sweeper.due(image_id) == sweeper.bench.clock.now + DAY
    assert totals.reclaimable.images == 0


def test_the_grace_period_is_that_of_the_repository(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.tag_repository(ecr_cleanup__grace_hours="72")
    image_id = bench.push("old", days_ago=30, content="another")
    sweeper.sweep()
    assert sweeper.due(image_id) == bench.clock.now + 3 * DAY


def test_untagged_images_that_nothing_holds_get_a_check_where_the_accounts_are_asked(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.ask_accounts()
    image_id = bench.push(days_ago=100, content="another")
    sweeper.sweep()
    assert sweeper.due(image_id) == bench.clock.now + DAY


def test_a_part_of_an_index_is_asked_about_once_a_week(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    bench.ask_accounts()
    child = bench.push(content="child", days_ago=100)
    index = bench.push_index("multi", children=[child])
    bench.used(index, hours_ago=1)
    sweeper.sweep()
    bench.clock.advance(hours=24)
    (answer,) = bench.check(child)
    assert answer.decision.rule == "held_by_an_index"
    boto3.client("scheduler").delete_schedule(GroupName="ecr-cleanup", Name=Check(child, "").schedule_name)
    for days, due in ((6, False), (1, True)):
        bench.clock.advance(days=days)
        sweeper.sweep()
        assert (sweeper.due(child) is not None) is due


# Interruptions


@pytest.fixture
def many(sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch) -> list[ImageId]:
    """Three repositories with pages of three images."""
    monkeypatch.setattr(ecr_adapter, "_IMAGES_PER_PAGE", 3)
    bench = sweeper.bench
    others = [bench.ecr.repository(name, ecr_cleanup="enabled") for name in ("team/b", "team/c")]
    images = [
        bench.push(f"v{number}", repository=repository, content=f"{repository}{number}", days_ago=100 + number)
        for repository in (bench.repository, *others)
        for number in range(8)
    ]
    return [bench.image_id, *images]


def assert_complete(sweeper: Sweeper, outcome: SweepOutcome, image_ids: list[ImageId]) -> None:
    """Every image was looked at once, and has a check."""
    assert sorted(sweeper.rows.images()) == sorted(image_ids)
    assert outcome.repositories is not None
    counted = total(outcome.repositories.values())
    assert counted.all.images == len(image_ids)
    assert sweeper.pending() == {Check(image_id, "").schedule_name for image_id in image_ids}
    assert outcome.place.checks == len(image_ids)
    # One was just used.
    assert counted.reclaimable.images == len(image_ids) - 1


def times(*pages: int) -> Callable[[], timedelta]:
    """Time that is up after so many pages."""
    left = list(pages)

    def time_left() -> timedelta:
        left[0] -= 1
        return LONG if left[0] >= -1 else HOUR * 0

    return time_left


def test_goes_on_where_the_time_was_up_twice(sweeper: Sweeper, many: list[ImageId]) -> None:
    outcomes: list[SweepOutcome] = []
    for pages in (2, 3, 100):
        sweeper.time_left = times(pages)
        run, outcome = sweeper.start(outcomes[0].place.sweep if outcomes else None)
        assert outcome
        outcomes.append(outcome)
        if outcome.repositories is None:
            run.leave()
    assert [outcome.repositories is None for outcome in outcomes] == [True, True, False]
    assert outcomes[-1].place.runs == 3
    assert_complete(sweeper, outcomes[-1], many)


def test_each_run_gets_somewhere_however_short_it_is(sweeper: Sweeper, many: list[ImageId]) -> None:
    sweeper.time_left = lambda: timedelta(seconds=1)
    runs = 0
    outcome = None
    while outcome is None or outcome.repositories is None:
        runs += 1
        run, outcome = sweeper.start()
        assert outcome
        run.leave()
    assert runs == 9
    assert_complete(sweeper, outcome, many)


class Died(BaseException):
    """The function did."""


def test_goes_on_where_functions_died_twice(
    sweeper: Sweeper, many: list[ImageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = sweeper.bench.schedules.put_if_none
    for die_at in (4, 20):
        # Checks are made by several threads.
        calls = itertools.count(1)

        def dying(check: Check, due: datetime, calls: Iterator[int] = calls, last: int = die_at) -> bool:
            if next(calls) == last:
                raise Died
            return put(check, due)

        monkeypatch.setattr(sweeper.bench.schedules, "put_if_none", dying)
        with pytest.raises(Died):
            sweeper.start()
        sweeper.rows.unsaved = []
        with pytest.raises(LedgerConflictError):
            sweeper.start()
        sweeper.bench.clock.advance(minutes=15)
    monkeypatch.setattr(sweeper.bench.schedules, "put_if_none", put)
    _, outcome = sweeper.start()
    assert outcome
    assert sorted(sweeper.rows.images()) == sorted(many)
    assert sweeper.pending() == {Check(each, "").schedule_name for each in many}
    assert outcome.repositories is not None
    assert total(outcome.repositories.values()).all.images == len(many)


def test_begins_a_repository_anew_whose_listing_cannot_be_gone_on_with(
    sweeper: Sweeper, many: list[ImageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper.time_left = times(1)
    run, first = sweeper.start()
    run.leave()
    assert first
    assert first.place.token
    sweeper.time_left = lambda: LONG
    client, describe = sweeper.bench.ecr.client, sweeper.bench.ecr.client.describe_images

    forgotten = {first.place.token}

    def forgetful(**request: Any) -> Any:
        if (token := request.get("nextToken")) in forgotten:
            forgotten.remove(token)
            raise client.exceptions.InvalidParameterException(
                {"Error": {"Code": "InvalidParameterException", "Message": "Invalid token"}}, "DescribeImages"
            )
        return describe(**request)

    monkeypatch.setattr(client, "describe_images", forgetful)
    _, outcome = sweeper.start()
    assert outcome
    assert outcome.place.begun_anew == {str(sweeper.bench.repository): 1}
    assert outcome.repositories is not None
    assert total(outcome.repositories.values()).all.images == len(many)
    # What was in the parts before does not count.
    anew = [each.image.id for number, part in sweeper.rows.parts.items() if number >= 1 for each in part]
    assert sorted(anew) == sorted(many)


def test_a_repository_that_cannot_be_read_does_not_hold_up_the_others(
    sweeper: Sweeper, many: list[ImageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, describe = sweeper.bench.ecr.client, sweeper.bench.ecr.client.describe_images

    def refusing(**request: Any) -> Any:
        if request["repositoryName"] == "team/b":
            raise aws_error("AccessDeniedException")
        return describe(**request)

    monkeypatch.setattr(client, "describe_images", refusing)
    _, outcome = sweeper.start()
    assert outcome
    (failure,) = outcome.place.failures
    assert "team/b" in failure
    assert "AccessDeniedException" in failure
    assert {each.repository.name for each in sweeper.rows.images()} == {"team/app", "team/c"}


def test_two_functions_do_not_sweep_at_a_time(sweeper: Sweeper) -> None:
    run, _ = sweeper.start()
    with pytest.raises(LedgerConflictError, match="a sweep is being made"):
        sweeper.start()
    run.leave()
    sweeper.start()


def test_knows_the_message_of_the_function_that_is_at_it(sweeper: Sweeper) -> None:
    run, _ = sweeper.start(asked_by="one")
    with pytest.raises(LeasedToSameMessageError):
        sweeper.start(asked_by="one")
    for other in ("another", ""):
        with pytest.raises(LedgerConflictError) as raised:
            sweeper.start(asked_by=other)
        assert type(raised.value) is LedgerConflictError
    run.leave()
    sweeper.start(asked_by="one")


def test_a_sweep_that_is_finished_is_not_gone_on_with(sweeper: Sweeper) -> None:
    run, outcome = sweeper.start()
    assert outcome
    run.finish({"any": "thing"})
    sweeper.bench.clock.advance(seconds=1)
    _, again = sweeper.start(outcome.place.sweep)
    assert again is None
    # A message that was sent before is no reason for another sweep, one that was sent since is.
    now = sweeper.bench.clock.now
    for seconds_ago, begins in ((2, False), (0, True)):
        asked_at = now - timedelta(seconds=seconds_ago)
        place = sweeper.sweeps.claim(None, asked_at=asked_at, now=now, until=now + LONG)
        assert (place is not None) is begins
    assert sweeper.sweeps.last_summary() == {"any": "thing"}


def test_whoever_lost_the_sweep_to_another_cannot_finish_it(sweeper: Sweeper) -> None:
    run, _ = sweeper.start()
    sweeper.bench.clock.advance(minutes=15)
    sweeper.start()
    with pytest.raises(LedgerConflictError, match="took over"):
        run.finish({})


# The newest


def in_pages(images: list[Any], size: int) -> Iterator[list[Any]]:
    return (images[start : start + size] for start in range(0, len(images), size))


def test_what_may_be_among_the_newest_counts_as_such_until_its_check(
    sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing in two parts, of which only the second tells which images are the newest."""
    monkeypatch.setattr(ecr_adapter, "_IMAGES_PER_PAGE", 2)
    bench = sweeper.bench
    bench.configure(NEWEST_IMAGES="2")
    for days in (50, 40, 30, 25):
        bench.push(f"v{days}", content=f"v{days}", days_ago=days)
    sweeper.time_left = times(1)
    run, outcome = sweeper.start()
    assert outcome
    assert outcome.repositories is None
    run.leave()
    read = sorted(sweeper.rows.all(), key=lambda judged: judged.image.pushed_at, reverse=True)
    assert [judged.decision.rule == "newest" for judged in read] == [True, True, False, False]
    assert outcome.place.totals.kept["newest"].images == 2
    assert outcome.place.totals.reclaimable.images == 2
    assert all(sweeper.due(judged.image.id) for judged in read)


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_holds_back_the_newest_and_no_others(sweeper: Sweeper, size: int, count: int) -> None:
    bench = sweeper.bench
    for number, day in enumerate((50, 10, 90, 20, 70, 30, 30)):
        bench.push(f"v{number}", content=f"{number}", days_ago=day)
    images = bench.ecr.registry.listing(bench.repository)
    newest = Newest(count)
    ready = [image for page in in_pages(images, size) for image in newest.take(page)]
    held_back = newest.held_back()
    assert (
        sorted(image.pushed_at for image in held_back)
        == sorted(image.pushed_at for image in images)[len(images) - count :]
    )
    assert {image.id for image in (*ready, *held_back)} == {image.id for image in images}
    assert len(ready) + len(held_back) == len(images)
    assert newest.held_back() == []


def test_the_newest_of_pages_before_are_still_newer(sweeper: Sweeper) -> None:
    bench = sweeper.bench
    old = bench.push("old", days_ago=50, content="another")
    (image,) = bench.ecr.registry.images([old]).values()
    newest = Newest(1, [bench.clock.now])
    assert newest.take([image]) == [image]
    assert newest.held_back() == []
