"""Takes away each rule, each reason for distrust and each second look, one at a time: an image goes that must not.

Each scenario is one image that must stay. The scenarios are run as the code is, and once more for each part of the code
without which they must end otherwise: had that made no difference, the part would be needless, or the tests blind.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

from ecr_cleanup import checking, decision, inventory, live_usage, taking_inventory
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.checking import CheckRun
from ecr_cleanup.evidence import Finder
from ecr_cleanup.image import ImageId
from ecr_cleanup.inventory import Recorder, SourceStatus
from ecr_cleanup.live_usage import LiveUsage
from ecr_cleanup.manifest import Manifest, ManifestKind
from ecr_cleanup.readers import (
    batch_jobs,
    config_recorder,
    ecs_daemons,
    ecs_schedules,
    ecs_services,
    ecs_task_definitions,
    lambda_functions,
)
from ecr_cleanup.readers.session import PlaceSession
from ecr_cleanup.settings import Action
from ecr_cleanup.taking_inventory import InventoryTaker
from fake_accounts import EXTERNAL_ID, ROLE
from fakes import DEV, HOST, PROD, REGION
from integration import test_live_usage as living
from integration.bench import (
    ARN,
    DAY,
    SERVICE,
    Bench,
    aws_error,
    make_bench,  # noqa: F401 - the fixture "bench"
    raises,
    register,
)
from integration.conftest import (  # noqa: F401 - fixtures
    aggregator,
    aws,
    clock,
    ecr,
    ledger,
    schedules,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecr_cleanup.decision import Rule

    Scenario = Callable[["World"], ImageId | None]

APP = f"{HOST}/team/app"
LATE = ARN.replace("app:7", "late:1")


@dataclass
class World:
    """The workbench, and what happens on it between the first look at the image and the second."""

    bench: Bench
    patch: pytest.MonkeyPatch

    def meanwhile(self, happens: Callable[[], object], minutes: float = 5) -> None:
        """The inventory is read after the first look."""
        real = self.bench.aggregator.active_task_definitions

        def read() -> Any:
            found = real()
            happens()
            # What is pulled in the same minute may be our own reading of the manifest.
            self.bench.clock.advance(minutes=minutes)
            return found

        self.patch.setattr(self.bench.aggregator, "active_task_definitions", read)

    def register(self, *references: str, image_ids: tuple[ImageId, ...] = ()) -> None:
        """The ledger hears of a task definition that the aggregator does not show yet."""
        now = self.bench.clock.now
        self.bench.ledger.record_registration(LATE, PROD, at=now, references=references, image_ids=image_ids, now=now)

    def outcome(self, asked: ImageId, watched: ImageId) -> tuple[str, str]:
        """The rule that speaks of the one image, and what becomes of the other (or the same)."""
        (answer,) = self.bench.check(asked)
        image = self.bench.ecr.registry.images([watched]).get(watched)
        return answer.decision.rule, image.status.value if image else "gone"


# Each of these arranges something, and returns the image that must stay if it is not the one of the workbench.


def an_opted_out_repository(world: World) -> None:
    world.bench.tag_repository(ecr_cleanup="disabled")


def an_owner_who_is_not_understood(world: World) -> None:
    world.bench.tag_repository(ecr_cleanup__grace_hours="a week")


def a_chart(world: World) -> ImageId:
    return unused(world, world.bench.push("chart", config_type="application/vnd.cncf.helm.config.v1+json"))


def a_user(world: World) -> None:
    world.bench.aggregator.show(ARN, f"{APP}@{world.bench.image_id.digest}")


def a_source_that_failed(world: World) -> None:
    world.bench.aggregator.sources[DEV] = SourceStatus.FAILED


def a_tag_that_moved(world: World) -> None:
    world.bench.push("latest", content="new")
    world.bench.aggregator.show(ARN, f"{APP}:latest")


def an_image_that_only_a_task_still_runs(world: World) -> None:
    world.bench.ask_accounts()
    world.bench.accounts[DEV].run((f"{APP}:latest", world.bench.image_id.digest))


def an_untagged_image(world: World) -> ImageId:
    return unused(world, world.bench.push(content="untagged"))


def a_protected_tag(world: World) -> None:
    world.bench.configure(PROTECTED_TAG_PATTERNS="v*")


def the_newest_image(world: World) -> None:
    world.bench.configure(NEWEST_IMAGES="1")


def a_use_that_ended_an_hour_ago(world: World) -> None:
    world.bench.used(world.bench.image_id, hours_ago=1)


def a_young_image_that_nobody_used_yet(world: World) -> ImageId:
    image_id = world.bench.push("v2", content="young", days_ago=3)
    world.bench.ledger.record_watch(image_id, at=world.bench.clock.now - 2 * DAY)
    return image_id


def an_image_that_nobody_used_and_somebody_pulled(world: World) -> ImageId:
    image_id = world.bench.push("v2", content="base", days_ago=100)
    world.bench.ledger.record_watch(image_id, at=world.bench.clock.now - 2 * DAY)
    pulled(world, image_id, days_ago=20)
    return image_id


def an_image_that_somebody_pulled(world: World) -> None:
    pulled(world, world.bench.image_id, days_ago=1.5)


def an_image_in_the_archive_of_somebody_else(world: World) -> None:
    world.bench.ledger.record_manifest(world.bench.image_id, Manifest(ManifestKind.IMAGE), read_at=None)
    world.bench.ecr.registry.archive(world.bench.image_id)


def a_child_of_an_index_that_would_be_archived(world: World) -> None:
    world.bench.configure(ACTION="archive")
    world.bench.push_index("index", children=[world.bench.image_id])


def a_cap_that_is_reached(world: World) -> None:
    world.bench.configure(REMOVALS_PER_DAY="1")
    assert world.bench.ledger.count_removal(now=world.bench.clock.now, limit=1)
    # Nothing more is to be read for what has to wait anyway.
    world.patch.setattr(world.bench.ecr.registry, "referrers", raises(aws_error()))


def unused(world: World, image_id: ImageId) -> ImageId:
    world.bench.used(image_id)
    return image_id


def pulled(world: World, image_id: ImageId, *, days_ago: float) -> None:
    world.bench.clock.advance(days=-days_ago)
    world.bench.pull(image_id)
    world.bench.clock.advance(days=days_ago)


RULES: dict[Rule, Scenario] = {
    decision.not_opted_in: an_opted_out_repository,
    decision.repository_settings_invalid: an_owner_who_is_not_understood,
    decision.not_an_image: a_chart,
    decision.in_use: a_user,
    decision.inventory_not_trusted: a_source_that_failed,
    decision.protected_tag: a_protected_tag,
    decision.newest: the_newest_image,
    decision.within_grace_period: a_use_that_ended_an_hour_ago,
    decision.too_young: a_young_image_that_nobody_used_yet,
    decision.pulled_recently: an_image_that_somebody_pulled,
    decision.archived: an_image_in_the_archive_of_somebody_else,
    decision.may_be_running: an_image_that_only_a_task_still_runs,
    decision.may_be_pinned: a_tag_that_moved,
    decision.untagged: an_untagged_image,
    decision.held_by_an_index: a_child_of_an_index_that_would_be_archived,
    decision.cap_reached: a_cap_that_is_reached,
}


# What makes an inventory untrusted


def a_source_that_is_missing(world: World) -> None:
    del world.bench.aggregator.sources[DEV]


def an_account_without_a_recorder(world: World) -> None:
    world.bench.aggregator.recorded.remove(DEV)


def recorder(world: World, *, recording: bool = True, **more: Any) -> None:
    world.bench.aggregator.own_recorders = [Recorder("arn:recorder", DEV, recording, **more)]


def a_recorder_that_is_stopped(world: World) -> None:
    recorder(world, recording=False, all_supported=True)


def a_recorder_that_misses_a_type(world: World) -> None:
    recorder(world, included=world.bench.settings.resource_types - {"AWS::ECS::Service"})


def a_recorder_that_excludes_a_type(world: World) -> None:
    excluded = frozenset({"AWS::ECS::Service"})
    recorder(world, strategy="EXCLUSION_BY_RESOURCE_TYPES", all_supported=True, excluded=excluded)


def a_recorder_that_records_daily(world: World) -> None:
    recorder(world, all_supported=True, frequency="DAILY")


def a_recorder_that_records_one_type_daily(world: World) -> None:
    recorder(world, all_supported=True, overrides=((frozenset({"AWS::ECS::Service"}), "DAILY"),))


def a_type_that_nobody_can_read(world: World) -> None:
    world.bench.configure(RESOURCE_TYPES=world.bench.environment["RESOURCE_TYPES"] + ",AWS::Batch::JobDefinition")


def a_build_project_without_an_image(world: World) -> None:
    world.bench.aggregator.show_consumer("AWS::CodeBuild::Project", "arn:project")


def a_service_on_a_task_definition_that_nobody_knows(world: World) -> None:
    world.bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN)


def a_registration_whose_images_are_not_known(world: World) -> None:
    register_blindly(world, minutes_ago=5)


def a_registration_that_is_overdue(world: World) -> None:
    register(world.bench, minutes_ago=90, reference=f"{HOST}/other/app@sha256:{64 * 'a'}")


def fewer_read_than_counted_afterwards(world: World) -> None:
    world.bench.aggregator.counted = 1


def fewer_read_than_counted_before(world: World) -> None:
    world.bench.aggregator.counted_before = 1


def a_count_that_collapsed(world: World) -> None:
    bench = world.bench
    bench.ledger.record_count(PROD, active=10, deregistered=0, at=bench.clock.now - timedelta(hours=2))


def a_ledger_without_its_registrations(world: World) -> None:
    world.patch.setattr(world.bench.ledger, "awaiting", once(raises(aws_error()), world.bench.ledger.awaiting))


def a_ledger_without_its_counts(world: World) -> None:
    world.patch.setattr(world.bench.ledger, "places", raises(aws_error()))


def a_ledger_that_takes_no_count(world: World) -> None:
    world.patch.setattr(world.bench.ledger, "record_count", raises(aws_error()))


def an_aggregator_that_cannot_be_read(world: World) -> None:
    world.bench.aggregator.error = aws_error()


def an_organisation_that_nobody_may_list(world: World) -> None:
    world.bench.configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")
    world.bench.organization = raises(aws_error("AccessDeniedException"))


def an_organisation_without_accounts(world: World) -> None:
    world.bench.configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")


def once(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter([first])

    def call(*args: Any, **kwargs: Any) -> Any:
        return next(calls, then)(*args, **kwargs)

    return call


def register_blindly(world: World, *, minutes_ago: float = 0) -> None:
    now = world.bench.clock.now
    at = now - timedelta(minutes=minutes_ago)
    world.bench.ledger.record_nameless_registration(
        ARN.rpartition("/")[0] + "/?", "event", DEV, at=at, references=[], image_ids=[], now=now
    )


PROBLEMS: dict[str, Scenario] = {
    "source_problems": a_source_that_is_missing,
    "recorder_problems": an_account_without_a_recorder,
    "unknown_type_problems": a_type_that_nobody_can_read,
    "nameless_problems": a_build_project_without_an_image,
    "unresolved_problems": a_service_on_a_task_definition_that_nobody_knows,
    "blindness_problems": a_registration_whose_images_are_not_known,
    "lag_problems": a_registration_that_is_overdue,
    "incompleteness_problems": fewer_read_than_counted_afterwards,
}


# Right before the removal


def a_tag_in_use_that_comes_to_the_image(world: World) -> None:
    world.bench.configure(TAGS_NEVER_MOVE="true")
    world.bench.aggregator.show(ARN, f"{APP}:stable")
    world.meanwhile(lambda: world.bench.ecr.push(world.bench.repository, "stable"))


def a_tag_that_comes_to_the_image(world: World) -> None:
    world.meanwhile(lambda: world.bench.ecr.push(world.bench.repository, "stable"))


def a_repository_that_is_opted_out_meanwhile(world: World) -> None:
    world.meanwhile(lambda: world.bench.tag_repository(ecr_cleanup="disabled"))


def a_repository_that_gets_a_tag(world: World) -> None:
    world.meanwhile(lambda: world.bench.tag_repository(team="web"))


def a_pull_meanwhile(world: World) -> None:
    world.meanwhile(lambda: world.bench.pull(world.bench.image_id))


def a_pull_meanwhile_where_pulls_do_not_matter(world: World) -> None:
    world.bench.configure(PULLED_WITHIN_HOURS="0")
    a_pull_meanwhile(world)


def a_registration_meanwhile(world: World) -> None:
    world.meanwhile(lambda: world.register(f"{APP}@{world.bench.image_id.digest}"))


def a_registration_of_another_tag_meanwhile(world: World) -> None:
    world.bench.push("v2", content="two")
    world.meanwhile(lambda: world.register(f"{APP}:v2"))


def a_registration_meanwhile_of_nobody_knows_what(world: World) -> None:
    world.meanwhile(lambda: register_blindly(world))


def a_use_that_ended_while_the_removal_was_decided(world: World) -> None:
    real = world.bench.ledger.awaiting

    def meanwhile(**arguments: Any) -> Any:
        world.bench.ledger.record_last_use(world.bench.image_id, at=world.bench.clock.now)
        return real(**arguments)

    world.patch.setattr(world.bench.ledger, "awaiting", meanwhile)


def a_watch_that_began_while_the_removal_was_decided(world: World) -> None:
    bench = world.bench
    world.meanwhile(lambda: bench.ledger.record_watch(bench.image_id, at=bench.clock.now))


def a_use_without_an_end_that_began_while_the_removal_was_decided(world: World) -> None:
    bench = world.bench
    world.meanwhile(lambda: bench.ledger.record_holding(bench.image_id, at=bench.clock.now - DAY))


def a_cap_that_others_reach_meanwhile(world: World) -> None:
    bench = world.bench
    bench.configure(REMOVALS_PER_DAY="1")
    real = bench.ecr.registry.referrers

    def meanwhile(image_id: ImageId) -> Any:
        assert bench.ledger.count_removal(now=bench.clock.now, limit=1)
        return real(image_id)

    world.patch.setattr(bench.ecr.registry, "referrers", meanwhile)


def a_function_without_time(world: World) -> None:
    world.bench.time_left = timedelta(seconds=60)


def a_repository_of_another_region(world: World) -> None:
    world.bench.configure(REGISTRY_REGIONS="eu-west-1")


def a_repository_that_cannot_be_read(world: World) -> None:
    world.patch.setattr(world.bench.ledger, "images", once(raises(aws_error()), world.bench.ledger.images))


# What goes with an image: the image of the workbench stays, and the check is one of an index that holds it


def index_of(world: World, *, tagged: bool = False) -> tuple[ImageId, ImageId]:
    """An unused index, and its child; this has no tag unless it is said to."""
    child = world.bench.push(*(["child"] if tagged else []), content="child")
    return unused(world, world.bench.push_index("index", children=[child])), child


def a_child_with_a_tag(world: World) -> tuple[ImageId, ImageId]:
    return index_of(world, tagged=True)


def a_child_in_use(world: World) -> tuple[ImageId, ImageId]:
    index, child = index_of(world)
    world.bench.aggregator.show(ARN, f"{APP}@{child.digest}")
    return index, child


def a_child_that_is_registered_meanwhile(world: World) -> tuple[ImageId, ImageId]:
    index, child = index_of(world)
    world.meanwhile(lambda: world.register(f"{APP}@{child.digest}"))
    return index, child


def a_child_that_was_used_an_hour_ago(world: World) -> tuple[ImageId, ImageId]:
    index, child = index_of(world)
    world.bench.used(child, hours_ago=1)
    return index, child


def a_child_with_a_tag_of_an_index_that_is_archived(world: World) -> tuple[ImageId, ImageId]:
    world.bench.configure(ACTION="archive")
    return a_child_with_a_tag(world)


def a_child_in_use_of_an_index_that_is_archived(world: World) -> tuple[ImageId, ImageId]:
    world.bench.configure(ACTION="archive")
    return a_child_in_use(world)


def a_child_of_another_index_than_the_one_that_is_archived(world: World) -> tuple[ImageId, ImageId]:
    world.bench.configure(ACTION="archive")
    index, child = index_of(world)
    other = world.bench.push("other", content="other")
    world.bench.push_index("living", children=[child, other])
    return index, child


def a_referrer_of_an_index_that_is_archived(world: World) -> tuple[ImageId, ImageId]:
    world.bench.configure(ACTION="archive")
    index, _ = index_of(world)
    return index, world.bench.push_referrer(index)


def a_removal_that_was_begun(world: World) -> tuple[ImageId, ImageId]:
    """The index is gone, and the function died."""
    index, child = index_of(world)
    with world.patch.context() as patch:
        patch.setattr(CheckRun, "_delete_parts", raises(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            world.bench.check(index)
    assert world.bench.left(index, child) == {child}
    return index, child


def a_removal_that_was_begun_and_is_not_trusted_now(world: World) -> tuple[ImageId, ImageId]:
    begun = a_removal_that_was_begun(world)
    a_source_that_failed(world)
    return begun


def a_removal_that_was_begun_and_is_not_wanted_now(world: World) -> tuple[ImageId, ImageId]:
    begun = a_removal_that_was_begun(world)
    world.bench.tag_repository(ecr_cleanup="disabled")
    return begun


def a_removal_that_was_begun_of_what_is_only_reported_now(world: World) -> tuple[ImageId, ImageId]:
    begun = a_removal_that_was_begun(world)
    world.bench.configure(ACTION="report")
    return begun


def a_child_that_is_registered_while_a_removal_is_finished(world: World) -> tuple[ImageId, ImageId]:
    index, child = a_removal_that_was_begun(world)
    world.meanwhile(lambda: world.register(f"{APP}@{child.digest}"))
    return index, child


def an_image_that_was_pushed_again_after_its_removal_was_begun(world: World) -> tuple[ImageId, ImageId]:
    index, child = a_removal_that_was_begun(world)
    assert world.bench.push_index("index", children=[child], days_ago=0) == index
    return index, index


# Proof that a tag never meant another image


def tag(world: World, *pushed_days_ago: float, registered_days_ago: float) -> None:
    """A task definition names a tag, and the ledger heard when it was pushed and the task definition registered."""
    bench = world.bench
    new = bench.push("new", content="new", days_ago=20)
    for days in pushed_days_ago:
        bench.ledger.record_push(bench.repository, "new", new.digest, at=bench.clock.now - days * DAY)
    at = bench.clock.now - registered_days_ago * DAY
    bench.ledger.record_registration(ARN, PROD, at=at, references=[f"{APP}:new"], image_ids=[], now=at)
    bench.ledger.forget_awaiting(ARN)
    bench.aggregator.show(ARN, f"{APP}:new")


def a_tag_that_was_pushed_after_the_registration(world: World) -> None:
    tag(world, 20, registered_days_ago=25)


def a_tag_that_was_pushed_twice(world: World) -> None:
    tag(world, 20, 25, registered_days_ago=10)


def a_tag_that_means_another_image_by_now(world: World) -> None:
    tag(world, 20, registered_days_ago=10)
    world.bench.push("new", content="newest", days_ago=5)


def a_use_that_ended_without_anybody_being_told(world: World) -> None:
    world.bench.ledger.record_holding(world.bench.image_id, at=world.bench.clock.now - 3 * DAY)


# What runs, of which the accounts tell


def live(arrange: Callable[[Bench], object]) -> Scenario:
    """Something runs the image, and nothing but the account says so."""

    def scenario(world: World) -> None:
        world.bench.ask_accounts()
        arrange(world.bench)

    scenario.__name__ = arrange.__name__
    return scenario


def pinning(arrange: Callable[[Bench], object]) -> Scenario:
    """Something runs `latest`, which has moved, and the account does not say under which digest."""

    def scenario(world: World) -> None:
        world.bench.ask_accounts()
        a_tag_that_moved(world)
        arrange(world.bench)

    scenario.__name__ = arrange.__name__
    return scenario


def a_service_without_deployments(bench: Bench) -> None:
    living.a_service_without_revisions(bench)
    for services in bench.accounts[PROD].services.values():
        services[0]["deployments"] = []


def a_source_that_the_service_names_and_nobody_describes(bench: Bench) -> None:
    living.a_source_without_a_digest_that_has_no_tasks_any_more(bench)
    del bench.accounts[PROD].revisions[list(bench.accounts[PROD].revisions)[-1]]


def a_job_definition(bench: Bench) -> None:
    account = bench.accounts[PROD]
    arn = account.arn("batch", "job-definition/render:1")
    account.job_definitions.append({"jobDefinitionArn": arn, "containerProperties": {"image": f"{APP}:v1"}})


def a_function_whose_code_is_new(bench: Bench) -> None:
    account = bench.accounts[PROD]
    account.create_function("resize", living.LATEST, f"{APP}@{living.OTHER}")
    other = bench.push("other", content="other")
    bench.used(other)
    assert [answer.done for answer in bench.check(other)] == [Action.DELETE]
    account.functions.clear()
    account.create_function("resize", living.LATEST, f"{APP}@{bench.image_id.digest}")


def a_function_whose_image_lambda_does_not_say(bench: Bench) -> None:
    living.a_function_without_a_digest(bench)
    bench.accounts[PROD].functions[0]["Code"] = {}


def more_task_definitions_than_can_be_new(bench: Bench) -> None:
    for number in range(201):
        bench.accounts[PROD].register(f"app:{number}", f"{APP}:v1")


def a_service_on_what_ecs_does_not_know(bench: Bench) -> None:
    bench.accounts[PROD].deploy("app", bench.accounts[PROD].arn("ecs", "task-definition/gone:1"))


def a_recorder_that_was_stopped_just_now(bench: Bench) -> None:
    bench.accounts[DEV].recording = False


def a_recorder_that_fails(bench: Bench) -> None:
    bench.accounts[DEV].recorder_status = {"lastStatus": "Failure"}


def an_account_without_the_role(bench: Bench) -> None:
    living.a_running_task(bench)
    del bench.accounts.roles[f"arn:aws:iam::{PROD.account}:role/{ROLE}-{REGION}"]


def an_account_whose_session_is_one_of_another(bench: Bench) -> None:
    living.a_running_task(bench)
    bench.accounts.roles[f"arn:aws:iam::{PROD.account}:role/{ROLE}-{REGION}"] = DEV


def a_call_that_is_refused(bench: Bench) -> None:
    living.a_running_task(bench)
    bench.accounts.errors[PROD, "DescribeTasks"] = "AccessDeniedException"


def a_task_that_ecs_does_not_describe(world: World) -> None:
    world.bench.ask_accounts()
    living.a_running_task(world.bench)
    (task,) = (each for tasks in world.bench.accounts[PROD].tasks.values() for each in tasks)
    refused = {"tasks": [], "failures": [{"arn": task["taskArn"], "reason": "ACCESS_DENIED"}]}
    world.patch.setattr(world.bench.accounts[PROD], "describe_tasks", lambda _: refused)


def a_time_that_is_up_before_accounts_are_asked(bench: Bench) -> None:
    bench.time_left = timedelta(minutes=4)


def a_time_that_is_up_while_an_account_is_asked(world: World) -> None:
    # One place only, so that nobody else finds that the time is up.
    world.bench.ask_accounts(EXEMPT_ACCOUNTS=DEV.account)

    def time_passes() -> None:
        world.bench.time_left = timedelta(minutes=4)

    world.bench.accounts.before[PROD, "AssumeRole"] = time_passes


def a_use_that_only_the_account_sees_going_on(bench: Bench) -> None:
    living.a_running_task(bench)
    assert bench.answer().decision.rule == "in_use"
    bench.clock.advance(hours=24)


def a_tag_that_runs_and_comes_to_the_image(world: World) -> None:
    world.bench.ask_accounts(TAGS_NEVER_MOVE="true")
    account = world.bench.accounts[PROD]
    account.deploy("app", account.register("app:1", f"{APP}:stable", active=False))
    world.meanwhile(lambda: world.bench.ecr.push(world.bench.repository, "stable"))


def a_tag_in_an_exempt_account(world: World) -> None:
    world.bench.ask_accounts(EXEMPT_ACCOUNTS=DEV.account)
    world.bench.push("latest", content="new")
    world.bench.aggregator.show(ARN, f"{APP}:latest", place=DEV)


def a_tag_of_what_nobody_can_ask(world: World) -> None:
    world.bench.ask_accounts()
    world.bench.push("latest", content="new")
    world.bench.aggregator.show_consumer("AWS::AppRunner::Service", "arn:aws:apprunner:x", f"{APP}:latest")


def an_untagged_image_that_is_young(world: World) -> ImageId:
    world.bench.ask_accounts()
    return unused(world, world.bench.push(content="untagged", days_ago=10))


def an_untagged_image_that_was_pulled_lately(world: World) -> ImageId:
    image_id = an_untagged_image_that_is_young(world)
    # It was pushed long before that.
    world.bench.configure(READER_ROLE_NAME=ROLE, READER_EXTERNAL_ID=EXTERNAL_ID, UNTAGGED_MINIMUM_AGE_DAYS="8")
    pulled(world, image_id, days_ago=5)
    return image_id


def an_index_of_which_a_child_runs(world: World) -> tuple[ImageId, ImageId]:
    world.bench.ask_accounts()
    index, child = index_of(world)
    world.bench.accounts[PROD].run((living.LATEST, child.digest))
    return index, index


def a_child_that_runs_when_a_removal_is_finished(world: World) -> tuple[ImageId, ImageId]:
    world.bench.ask_accounts()
    index, child = a_removal_that_was_begun(world)
    world.bench.accounts[PROD].run((living.LATEST, child.digest))
    return index, child


def a_removal_that_was_begun_and_an_account_that_cannot_be_asked_now(world: World) -> tuple[ImageId, ImageId]:
    begun = a_child_that_runs_when_a_removal_is_finished(world)
    world.bench.accounts.errors[PROD, "ListClusters"] = "AccessDeniedException"
    return begun


def an_untagged_child_of_an_index(world: World) -> ImageId:
    world.bench.ask_accounts()
    _, child = index_of(world)
    return unused(world, child)


@dataclass(frozen=True)
class Mutant:
    """One part of the code, and how to take it away: other source text in a function."""

    function: Callable[..., Any]
    old: str
    new: str
    scenario: Callable[[World], Any]
    rule: str = ""
    """Where another part keeps the image even so: the rule that speaks no more."""

    def __str__(self) -> str:
        return f"{self.function.__qualname__}-{self.scenario.__name__}"


CONDITIONS = [
    # What the sources say
    Mutant(inventory.source_problems, "status is not SourceStatus.SUCCEEDED", "False", a_source_that_failed),
    Mutant(
        inventory.source_problems,
        "if status is None:",
        "if status is None:\n            continue\n        if status is None:",
        a_source_that_is_missing,
    ),
    Mutant(inventory._complaints, "if not recorder.recording:", "if False:", a_recorder_that_is_stopped),
    Mutant(inventory._complaints, "if missing:", "if False:", a_recorder_that_misses_a_type),
    Mutant(inventory._complaints, "if daily:", "if False:", a_recorder_that_records_daily),
    Mutant(Recorder.covers, "self.strategy ==", "not", a_recorder_that_excludes_a_type),
    Mutant(Recorder.is_continuous_for, "own or ", "", a_recorder_that_records_one_type_daily),
    Mutant(inventory.has_collapsed, "expected - read >= _MISSED_AT_LEAST", "False", a_count_that_collapsed),
    Mutant(InventoryTaker._read_resources, "(read, before, after)", "(read, after)", fewer_read_than_counted_before),
    Mutant(
        InventoryTaker._read_resources, "(read, before, after)", "(read, before)", fewer_read_than_counted_afterwards
    ),
    Mutant(
        InventoryTaker._read_ledger,
        'return [], _ledger_trouble("read", error)',
        "return [], Findings()",
        a_ledger_without_its_registrations,
    ),
    Mutant(
        InventoryTaker._read_places,
        'return {}, _ledger_trouble("read", error)',
        "return {}, Findings()",
        a_ledger_without_its_counts,
    ),
    Mutant(
        InventoryTaker._compare_with,
        '(*problems, *_ledger_trouble("written", error).problems)',
        "tuple(problems)",
        a_ledger_that_takes_no_count,
    ),
    Mutant(
        InventoryTaker._read_aggregator,
        "return None, Findings(problems=(problem,))",
        "return None, Findings()",
        an_aggregator_that_cannot_be_read,
    ),
    Mutant(
        InventoryTaker._expected_places,
        "return frozenset(), Findings(problems=(problem,))",
        "return frozenset(), Findings()",
        an_organisation_that_nobody_may_list,
    ),
    Mutant(
        InventoryTaker._expected_places,
        "return expected, Findings(problems=(problem,))",
        "return expected, Findings()",
        an_organisation_without_accounts,
    ),
    # Before anything is decided
    Mutant(CheckRun._answer, "if not self._settings.in_charge_of(", "if not bool(", a_repository_of_another_region),
    Mutant(CheckRun._answer, "self._time_left() < _TIME_FOR_ONE_CHECK", "False", a_function_without_time),
    # The rules, once more and in part
    Mutant(
        decision.too_young,
        "if waits or pulled_at is None:",
        "if True:",
        an_image_that_nobody_used_and_somebody_pulled,
    ),
    # The second look
    Mutant(
        Finder.second_look,
        "self._registry.images([image_id]).get(image_id)",
        "evidence.image",
        a_tag_in_use_that_comes_to_the_image,
    ),
    Mutant(
        Finder.second_look,
        "self._registry.repository_tags(image_id.repository)",
        "evidence.repository_tags",
        a_repository_that_is_opted_out_meanwhile,
    ),
    Mutant(
        Finder.second_look,
        "last_pulled_at=_pull_of_others(image, self._records[image_id])",
        "last_pulled_at=evidence.last_pulled_at",
        a_pull_meanwhile,
    ),
    Mutant(
        Finder.second_look,
        "*self._active_users(since.users_of(image))",
        "*()",
        a_registration_meanwhile,
    ),
    Mutant(
        Finder.second_look,
        "*self._unproven(list(later))",
        "*()",
        a_registration_of_another_tag_meanwhile,
    ),
    Mutant(Finder.second_look, "*since.problems", "*()", a_registration_meanwhile_of_nobody_knows_what),
    Mutant(
        CheckRun._remove,
        "evidence, decision = self._decide(evidence, policy)",
        "evidence = self._decide(evidence, policy)[0]",
        a_registration_meanwhile,
    ),
    Mutant(
        checking._changes,
        "before.image.tags != after.image.tags",
        "False",
        a_tag_that_comes_to_the_image,
    ),
    Mutant(
        checking._changes,
        "before.repository_tags != after.repository_tags",
        "False",
        a_repository_that_gets_a_tag,
    ),
    Mutant(
        checking._changes,
        "before.last_pulled_at != after.last_pulled_at",
        "False",
        a_pull_meanwhile_where_pulls_do_not_matter,
    ),
    Mutant(
        Ledger.begin_removal,
        '" AND ".join(unchanged)',
        '" AND ".join(f"({each} OR attribute_exists(last_used_at))" for each in unchanged)',
        a_use_that_ended_while_the_removal_was_decided,
    ),
    Mutant(
        Ledger.begin_removal,
        '" AND ".join(unchanged)',
        '" AND ".join(each for each in unchanged if "watched_since" not in each)',
        a_watch_that_began_while_the_removal_was_decided,
    ),
    Mutant(
        Ledger.begin_removal,
        "if not record.held:",
        "if False:",
        a_use_without_an_end_that_began_while_the_removal_was_decided,
    ),
    Mutant(
        CheckRun._remove,
        "if not self._finder.count_removal(evidence.now):",
        "if False:",
        a_cap_that_others_reach_meanwhile,
    ),
    # What goes with an image
    Mutant(CheckRun._going_along, "not goes_along(image, gone)", "False", a_child_with_a_tag),
    Mutant(CheckRun._going_along, "self._finder.is_used(image)", "False", a_child_in_use),
    Mutant(Finder.is_used, "if self._since else []", "if False else []", a_child_that_is_registered_meanwhile),
    Mutant(CheckRun._remove, "if waits :=", "if False and", a_child_that_was_used_an_hour_ago),
    Mutant(CheckRun._archive, "not image.tags", "True", a_child_with_a_tag_of_an_index_that_is_archived),
    Mutant(
        CheckRun._archive,
        "not self._finder.is_used(image)",
        "True",
        a_child_in_use_of_an_index_that_is_archived,
    ),
    Mutant(
        CheckRun._archive,
        "set(parents.get(image.id.digest, ())) <= archived",
        "True",
        a_child_of_another_index_than_the_one_that_is_archived,
    ),
    Mutant(CheckRun._archive, "image.subject is None", "True", a_referrer_of_an_index_that_is_archived),
    # A removal that was begun before
    Mutant(
        CheckRun._finish,
        "removal.parts and (problems := self._finder.problems_now())",
        "False",
        a_removal_that_was_begun_and_is_not_trusted_now,
    ),
    Mutant(
        CheckRun._finish,
        "if not self._is_wanted(evidence)",
        "if False",
        a_removal_that_was_begun_and_is_not_wanted_now,
    ),
    Mutant(
        CheckRun._is_wanted,
        "policy.action is not Action.REPORT",
        "True",
        a_removal_that_was_begun_of_what_is_only_reported_now,
    ),
    Mutant(
        Finder.problems_now,
        "self._since = self._inventory_taker.read_registrations(self._clock())",
        "self._since = self.inventory",
        a_child_that_is_registered_while_a_removal_is_finished,
    ),
    Mutant(
        CheckRun._finish,
        "else image is None",
        "else True",
        an_image_that_was_pushed_again_after_its_removal_was_begun,
    ),
    # Proof that a tag never moved, and ends of uses that no event tells
    Mutant(Finder._proven, "push.at < registered_at", "True", a_tag_that_was_pushed_after_the_registration),
    Mutant(Finder._proven, "if len(some) == 1", "if some", a_tag_that_was_pushed_twice),
    Mutant(Finder._proven, "now.get(key) == push.digest", "True", a_tag_that_means_another_image_by_now),
    Mutant(Finder._with_users, "record.held or restored", "restored", a_use_that_ended_without_anybody_being_told),
    # What runs in the accounts: what readers say
    Mutant(ecs_services.images_in_use, 'if digest and "@" not in image:', "if False:", live(living.a_service_revision)),
    Mutant(
        ecs_services.images_in_use,
        "kind, arn, session.place, image, Source.LIVE",
        'kind, arn, session.place, "nginx", Source.LIVE',
        live(living.a_service_revision_that_ecs_renders_with_its_digest),
    ),
    Mutant(
        ecs_services._revisions,
        'for summary in service.get("currentServiceRevisions", ()):',
        "for summary in ():",
        live(living.a_service_revision),
        rule="in_use",
    ),
    Mutant(
        ecs_services._of_deployments,
        'for source in deployment.get("sourceServiceRevisions", ()):',
        "for source in ():",
        live(living.the_source_of_a_deployment_in_progress),
    ),
    Mutant(
        ecs_services._of_deployments,
        'deployment.get("rollback", {}).get("serviceRevisionArn")',
        "None",
        live(living.what_a_failed_deployment_rolls_back_to),
    ),
    Mutant(
        ecs_services._of_deployments,
        'deployment.get("targetServiceRevision")',
        "None",
        live(living.the_target_of_a_deployment_that_has_just_begun),
    ),
    *(
        Mutant(ecs_services._revisions, 'if "currentServiceDeployment" in service', "if False", live(scenario))
        for scenario in (
            living.the_source_of_a_deployment_in_progress,
            living.what_a_failed_deployment_rolls_back_to,
            living.the_target_of_a_deployment_that_has_just_begun,
        )
    ),
    Mutant(
        ecs_services._revisions,
        "revisions[arn] | known if",
        "revisions[arn] if",
        pinning(a_source_that_the_service_names_and_nobody_describes),
    ),
    Mutant(ecs_services._tasks, '("RUNNING", "STOPPED")', '("STOPPED",)', live(living.a_running_task)),
    Mutant(
        ecs_services._tasks, '("RUNNING", "STOPPED")', '("RUNNING",)', live(living.a_task_that_stopped_within_the_hour)
    ),
    Mutant(
        ecs_services._usages_of_task,
        'if digest and "@" not in image else image',
        "if False else image",
        live(living.a_running_task),
    ),
    Mutant(
        ecs_services._usages_of_task,
        'may_be_pinned=not digest and "@" not in image',
        "may_be_pinned=False",
        pinning(living.a_pending_task),
    ),
    Mutant(
        PlaceSession.is_of_interest,
        ' or "@" in image',
        "",
        live(living.a_task_that_pulls_by_a_name_of_its_own),
    ),
    Mutant(
        ecs_services._without_revision,
        'for each in service.get("taskSets", ())',
        "for each in ()",
        live(living.a_task_set),
    ),
    Mutant(
        ecs_services._without_revision,
        'for each in service.get("deployments", ())',
        "for each in ()",
        pinning(living.a_service_of_which_one_deployment_has_no_revision),
    ),
    Mutant(
        ecs_services._without_revision,
        'wanted |= Counter([service.get("taskDefinition", "")])',
        "",
        pinning(a_service_without_deployments),
    ),
    Mutant(
        ecs_services.read_services_and_tasks,
        "for image in images or ()]",
        "for image in ()]",
        live(living.a_service_without_revisions_on_an_inactive_task_definition),
    ),
    Mutant(
        ecs_services.read_services_and_tasks,
        "if images is None:",
        "if False:",
        live(a_service_on_what_ecs_does_not_know),
    ),
    *(
        Mutant(ecs_services._unresolved, 'pinned = "@" not in image', "pinned = False", pinning(scenario))
        for scenario in (
            living.a_service_without_revisions,
            living.a_task_set_without_revisions,
            living.a_container_that_a_revision_leaves_out,
        )
    ),
    Mutant(
        ecs_services._usages_of_revision,
        'if image.partition("@")[0] not in named:',
        "if False:",
        pinning(living.a_container_that_a_revision_leaves_out),
    ),
    Mutant(
        ecs_services.images_in_use,
        'unknown = not digest and "@" not in image',
        "unknown = False",
        pinning(living.a_revision_without_a_digest),
    ),
    Mutant(
        ecs_task_definitions.read_new_task_definitions,
        "for arn in missing",
        "for arn in ()",
        live(living.a_task_definition_that_the_aggregator_does_not_show),
    ),
    Mutant(
        ecs_task_definitions.read_new_task_definitions,
        "problems.append(problem)",
        "del problem",
        live(more_task_definitions_than_can_be_new),
    ),
    Mutant(
        ecs_schedules.read_scheduled_tasks,
        "{*_rules(session), *_schedules(session)}",
        "{*_schedules(session)}",
        live(living.a_rule),
    ),
    Mutant(
        ecs_schedules.read_scheduled_tasks,
        "{*_rules(session), *_schedules(session)}",
        "{*_rules(session)}",
        live(living.a_schedule),
    ),
    Mutant(ecs_schedules._rules, "for bus in _event_buses(session):", 'for bus in ["default"]:', live(living.a_rule)),
    Mutant(ecs_schedules._schedules, "for group in groups:", 'for group in ["default"]:', live(living.a_schedule)),
    Mutant(
        ecs_schedules._started_by,
        "own or _task_definition_in(",
        "own or bool and str(",
        live(living.a_schedule_by_a_universal_target),
    ),
    Mutant(
        lambda_functions.read_functions,
        'FunctionVersion="ALL", ',
        "",
        live(living.an_old_version_of_a_function),
    ),
    Mutant(
        lambda_functions.read_functions,
        "#{version.get('RevisionId', '')}",
        "",
        live(a_function_whose_code_is_new),
    ),
    Mutant(
        lambda_functions.read_functions,
        'may_be_pinned="@" not in image',
        "may_be_pinned=False",
        pinning(living.a_function_without_a_digest),
    ),
    Mutant(
        lambda_functions._images,
        'code.get("ResolvedImageUri") or ',
        "",
        live(living.an_old_version_of_a_function),
        rule="in_use",
    ),
    Mutant(
        lambda_functions._images,
        "if not image:",
        'if not image:\n        return frozenset(["nginx"])\n    if not image:',
        live(a_function_whose_image_lambda_does_not_say),
    ),
    Mutant(batch_jobs.read_job_definitions, "sorted(set(_images(definition)))", "()", live(a_job_definition)),
    Mutant(
        ecs_daemons.read_daemons,
        "[*_of_daemons(session), *_of_task_definitions(session)]",
        "[*_of_task_definitions(session)]",
        live(living.a_daemon),
    ),
    Mutant(
        ecs_daemons.read_daemons,
        "[*_of_daemons(session), *_of_task_definitions(session)]",
        "[*_of_daemons(session)]",
        live(living.a_daemon_task_definition),
    ),
    Mutant(
        ecs_daemons._of_deployments,
        'deployment.get("sourceDaemonRevisions", ())',
        "()",
        live(living.what_a_daemon_goes_back_to),
    ),
    Mutant(
        ecs_daemons._of_deployments,
        'if "targetDaemonRevision" in deployment:',
        "if False:",
        live(living.the_target_of_a_deployment_of_a_daemon),
    ),
    Mutant(
        ecs_daemons._of_deployments,
        'deployment.get("rollback", {}).get("rollbackTargetDaemonRevisionArn")',
        "None",
        live(living.what_a_daemon_rolls_back_to),
    ),
    # What runs in the accounts: that they were asked
    Mutant(
        config_recorder.read_recorder,
        "[session.place],",
        "[],",
        live(a_recorder_that_was_stopped_just_now),
    ),
    Mutant(
        config_recorder.read_recorder,
        'if status.get("lastStatus") == "Failure"',
        "if False",
        live(a_recorder_that_fails),
    ),
    Mutant(
        LiveUsage._read_place,
        "return [_trouble(place, calls.last, role_arn, error)]",
        "return []",
        live(an_account_without_the_role),
    ),
    Mutant(
        LiveUsage._read_place,
        "findings.append(_trouble(place, calls.last, role_arn, error))",
        "pass",
        live(a_call_that_is_refused),
    ),
    Mutant(
        LiveUsage._assume,
        'if f"::{account}:assumed-role/{name}/" not in assumed:',
        "if False:",
        live(an_account_whose_session_is_one_of_another),
    ),
    Mutant(
        PlaceSession.refuse_failures,
        'if failure.get("reason") != "MISSING":',
        "if False:",
        a_task_that_ecs_does_not_describe,
    ),
    Mutant(
        live_usage._Deadline.check,
        "if self._time_left() <= self._ends_with:",
        "if False:",
        live(a_time_that_is_up_before_accounts_are_asked),
    ),
    Mutant(live_usage._Calls.send, "self.deadline.check()", "pass", a_time_that_is_up_while_an_account_is_asked),
    Mutant(
        Finder._with_running,
        "(*evidence.problems, *self.running.problems)",
        "evidence.problems",
        live(a_call_that_is_refused),
    ),
    # What runs in the accounts: what follows from it
    Mutant(
        Finder._with_users,
        "record.held and self._live_usage",
        "False",
        live(a_use_that_only_the_account_sees_going_on),
        rule="in_use",
    ),
    Mutant(
        Finder.second_look,
        "self._users(image, asked=evidence.asked)",
        "self._users(image, asked=False)",
        a_tag_that_runs_and_comes_to_the_image,
        rule="in_use",
    ),
    Mutant(Finder._may_be_pinned, " or usage.place not in asked", "", a_tag_in_an_exempt_account),
    Mutant(Finder._may_be_pinned, "usage.kind not in ANSWERED_LIVE or ", "", a_tag_of_what_nobody_can_ask),
    Mutant(
        Finder._may_be_pinned,
        "*self.running.users_under_unknown_digest(repository)",
        "*()",
        pinning(living.a_revision_without_a_digest),
    ),
    Mutant(decision.untagged, "since + age,", "since,", an_untagged_image_that_is_young),
    Mutant(
        decision.untagged,
        '*([(at, "pulled")] if (at := evidence.last_pulled_at) else [])',
        "*()",
        an_untagged_image_that_was_pulled_lately,
    ),
    Mutant(
        CheckRun._remove,
        "if running := self._finder.running_parts(check.image_id.repository, parts_of(belongings)):",
        "if running := {}:",
        an_index_of_which_a_child_runs,
    ),
    Mutant(
        Finder.is_used,
        "self._users(image, asked=True)",
        "self._users(image, asked=False)",
        a_child_that_runs_when_a_removal_is_finished,
    ),
    Mutant(
        Finder.problems_now,
        "self.inventory.problems or self.running.problems",
        "self.inventory.problems",
        a_removal_that_was_begun_and_an_account_that_cannot_be_asked_now,
    ),
]


def change(monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    """Give the function other code, wherever it was imported to already."""
    function: Any = mutant.function
    path = Path(inspect.getsourcefile(function) or "")
    lines, first = inspect.getsourcelines(function)
    source = "".join(lines)
    assert source.count(mutant.old) == 1, f"{mutant.old!r} is not, or not only once, in {function.__qualname__}"
    everything = path.read_text("utf-8").splitlines(keepends=True)
    everything[first - 1 : first - 1 + len(lines)] = [source.replace(mutant.old, mutant.new)]
    module = compile("".join(everything), str(path), "exec")
    monkeypatch.setattr(function, "__code__", code_of(module, function.__qualname__.split(".")))


def code_of(code: CodeType, names: list[str]) -> CodeType:
    """The code of a function by its qualified name."""
    (within,) = (each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == names[0])
    return code_of(within, names[1:]) if names[1:] else within


def play(bench: Bench, monkeypatch: pytest.MonkeyPatch, scenario: Callable[[World], Any]) -> tuple[str, str]:
    """Play it, and return the rule that spoke and what became of the image that must stay."""
    world = World(bench, monkeypatch)
    match scenario(world):
        case ImageId() as image_id:
            return world.outcome(image_id, image_id)
        case (asked, watched):
            return world.outcome(asked, watched)
        case _:
            return world.outcome(bench.image_id, bench.image_id)


# What is kept twice: the rule that speaks no more, while another part keeps the image for another reason.
KEPT_TWICE = {decision.held_by_an_index, decision.cap_reached}
SCENARIOS = {
    each.__name__: each for each in [*RULES.values(), *PROBLEMS.values(), *(mutant.scenario for mutant in CONDITIONS)]
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_the_image_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch, scenario: Callable[[World], Any]) -> None:
    rule, status = play(bench, monkeypatch, scenario)
    assert status == ("ARCHIVED" if scenario is an_image_in_the_archive_of_somebody_else else "ACTIVE"), rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_without_the_rule_it_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch, rule: Rule) -> None:
    monkeypatch.setattr(decision, "RULES", tuple(each for each in decision.RULES if each is not rule))
    spoke, status = play(bench, monkeypatch, RULES[rule])
    assert spoke != rule.__name__
    assert (status == "ACTIVE") == (rule in KEPT_TWICE), spoke


@pytest.mark.parametrize("problems", PROBLEMS)
def test_without_the_problem_it_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch, problems: str) -> None:
    monkeypatch.setattr(taking_inventory, problems, lambda *_, **__: [])
    _, status = play(bench, monkeypatch, PROBLEMS[problems])
    assert status == "gone"


@pytest.mark.parametrize("mutant", CONDITIONS, ids=str)
def test_without_the_condition_it_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    change(monkeypatch, mutant)
    spoke, status = play(bench, monkeypatch, mutant.scenario)
    if mutant.rule:
        assert (status, spoke != mutant.rule) == ("ACTIVE", True), spoke
    else:
        assert status in ("gone", "ARCHIVED"), spoke


def test_without_its_parents_an_untagged_image_would_count_as_a_removal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry refuses to delete what an index holds, which is noticed only after the removal was counted."""
    world = World(bench, monkeypatch)
    child = an_untagged_child_of_an_index(world)
    mutant = Mutant(Finder._with_manifest, "archives or not image.tags", "archives", an_untagged_child_of_an_index)
    for counted in (0, 1):
        assert world.outcome(child, child) == ("held_by_an_index", "ACTIVE")
        assert sum(bench.ledger.removals(now=bench.clock.now).values()) == counted
        if not counted:
            change(monkeypatch, mutant)


def test_no_rule_and_no_problem_is_left_out() -> None:
    assert tuple(RULES) == decision.RULES
    assert set(PROBLEMS) == {name for name in vars(taking_inventory) if name.endswith("_problems")}
