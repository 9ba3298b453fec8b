"""Tags that move: Amazon ECS resolves a tag once per deployment, so that a task may run what the tag meant then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ecr_cleanup.decision import Verdict
from fakes import DEV, HOST, PROD
from integration.bench import (
    ARN,
    REFERENCE,
    SERVICE,
    Bench,
    make_bench,  # noqa: F401 - the fixture "bench"
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecr_cleanup.image import ImageId

NEW = f"{HOST}/team/app:new"
APP_RUNNER = "arn:aws:apprunner:eu-central-1:222222222222:service/app/8fe1e10304f84fd2b0df550fe98a71fa"
REPAIRS = ("live usage", "IMMUTABLE", "protections.tags_never_move", "ecr-cleanup:tags-move = never")


def ago(bench: Bench, **duration: float) -> datetime:
    return bench.clock.now - timedelta(**duration)


def push_new(bench: Bench, *, told_at: datetime | None = None) -> ImageId:
    """Push another image under the tag `new`, and have the ledger hear of it."""
    new = bench.push("new", content="new", days_ago=20)
    bench.ledger.record_push(bench.repository, "new", new.digest, at=told_at or ago(bench, days=20))
    return new


def registered(bench: Bench, at: datetime, *references: str, arn: str = ARN) -> None:
    """The ledger knows when; the aggregator has long been showing it."""
    bench.ledger.record_registration(arn, PROD, at=at, references=references, image_ids=[], now=at)
    bench.ledger.forget_awaiting(arn)


def deployed(bench: Bench, at: datetime | None = None, *references: str) -> None:
    """An ACTIVE task definition, registered then, names these (the tag `new`, unless a test says otherwise)."""
    registered(bench, at or ago(bench, days=10), *(references or (NEW,)))
    bench.aggregator.show(ARN, *(references or (NEW,)))


def prove(bench: Bench) -> None:
    """All that is needed to know that nobody runs the old image under the tag `new`."""
    push_new(bench)
    deployed(bench)


# What must not be removed


def test_the_old_image_is_kept_while_any_usage_names_the_repository_by_tag(bench: Bench) -> None:
    bench.push("latest")
    new = bench.push("latest", content="new")
    bench.aggregator.show(ARN, f"{HOST}/team/app:latest", place=DEV)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "may_be_pinned")
    assert ARN in answer.decision.reason
    assert all(repair in answer.decision.reason for repair in REPAIRS)
    assert bench.left(bench.image_id, new) == {bench.image_id, new}


def pushed_twice(bench: Bench) -> None:
    prove(bench)
    bench.ledger.record_push(bench.repository, "new", bench.image_id.digest, at=ago(bench, days=25))


def pushed_twice_the_second_time_after_the_registration(bench: Bench) -> None:
    new = push_new(bench)
    bench.ledger.record_push(bench.repository, "new", new.digest, at=ago(bench, days=5))
    deployed(bench)


def registered_before_the_push(bench: Bench) -> None:
    push_new(bench)
    deployed(bench, ago(bench, days=20, seconds=1))


def registered_in_the_second_of_the_push(bench: Bench) -> None:
    push_new(bench)
    deployed(bench, ago(bench, days=20))


def means_something_else_now(bench: Bench) -> None:
    prove(bench)
    bench.push("new", content="newest", days_ago=1)


def its_tag_is_gone_now(bench: Bench) -> None:
    push_new(bench)
    bench.push("also", content="new", days_ago=20)
    bench.ecr.client.batch_delete_image(repositoryName="team/app", imageIds=[{"imageTag": "new"}])
    deployed(bench)


def its_image_is_gone_now(bench: Bench) -> None:
    bench.ecr.registry.delete(push_new(bench))
    deployed(bench)


def nobody_told_of_the_push(bench: Bench) -> None:
    bench.push("new", content="new", days_ago=20)
    deployed(bench)


def only_the_push_of_another_repository_is_known(bench: Bench) -> None:
    new = bench.push("new", content="new", days_ago=20)
    bench.ledger.record_push(bench.ecr.repository("other/app"), "new", new.digest, at=ago(bench, days=20))
    deployed(bench)


def its_registration_is_not_known(bench: Bench) -> None:
    push_new(bench)
    bench.aggregator.show(ARN, NEW)


def only_the_end_of_another_revision_is_known(bench: Bench) -> None:
    push_new(bench)
    registered(bench, ago(bench, days=10), NEW, arn=ARN.replace(":7", ":6"))
    bench.aggregator.show(ARN, NEW)


def used_by_an_app_runner_service(bench: Bench) -> None:
    push_new(bench)
    bench.aggregator.show_consumer("AWS::AppRunner::Service", APP_RUNNER, NEW)


def one_of_two_task_definitions_is_not_proven(bench: Bench) -> None:
    prove(bench)
    bench.aggregator.show(ARN.replace(":7", ":8"), NEW)


def one_of_two_tags_is_not_proven(bench: Bench) -> None:
    push_new(bench)
    bench.push("other", content="other")
    deployed(bench, None, NEW, f"{HOST}/team/app:other")


def the_one_after_a_hundred_is_not_proven(bench: Bench) -> None:
    push_new(bench)
    for number in range(101):
        arn = f"{ARN[:-1]}{100 + number}"
        registered(bench, ago(bench, days=10 if number < 100 else 30), NEW, arn=arn)
        bench.aggregator.show(arn, NEW)


def a_service_runs_an_inactive_task_definition_of_before_the_push(bench: Bench) -> None:
    push_new(bench)
    registered(bench, ago(bench, days=21), NEW)
    bench.ledger.record_deregistration(ARN, at=ago(bench, days=5), references=[NEW], image_ids=[])
    bench.aggregator.show(ARN, NEW, active=False)
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN)


def a_task_set_runs_an_inactive_task_definition_that_only_the_ledger_knows(bench: Bench) -> None:
    push_new(bench)
    registered(bench, ago(bench, days=21), NEW)
    task_set = SERVICE.replace("service/main/app", "task-set/main/app/ecs-svc/1234567890123456789")
    bench.aggregator.show_consumer("AWS::ECS::TaskSet", task_set, task_definition=ARN)


def some_tags_can_move(bench: Bench) -> None:
    bench.push("latest", content="new")
    bench.ecr.client.put_image_tag_mutability(
        repositoryName="team/app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "latest"}],
    )
    bench.aggregator.show(ARN, f"{HOST}/team/app:latest")


def the_owner_says_that_tags_move(bench: Bench) -> None:
    bench.configure(TAGS_NEVER_MOVE="true")
    bench.tag_repository(ecr_cleanup__tags_move="sometimes")
    bench.push("new", content="new")
    bench.aggregator.show(ARN, NEW)


UNPROVEN = [
    pushed_twice,
    pushed_twice_the_second_time_after_the_registration,
    registered_before_the_push,
    registered_in_the_second_of_the_push,
    means_something_else_now,
    its_tag_is_gone_now,
    its_image_is_gone_now,
    nobody_told_of_the_push,
    only_the_push_of_another_repository_is_known,
    its_registration_is_not_known,
    only_the_end_of_another_revision_is_known,
    used_by_an_app_runner_service,
    one_of_two_task_definitions_is_not_proven,
    one_of_two_tags_is_not_proven,
    the_one_after_a_hundred_is_not_proven,
    a_service_runs_an_inactive_task_definition_of_before_the_push,
    a_task_set_runs_an_inactive_task_definition_that_only_the_ledger_knows,
    some_tags_can_move,
    the_owner_says_that_tags_move,
]


@pytest.mark.parametrize("arrange", UNPROVEN)
def test_keeps_what_may_run_under_a_tag_that_moved(bench: Bench, arrange: Callable[[Bench], None]) -> None:
    arrange(bench)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "may_be_pinned")
    assert answer.next_check_at is None
    assert bench.left(bench.image_id)


def test_what_cannot_be_read_keeps_whatever_it_may_mean(bench: Bench) -> None:
    bench.aggregator.show(ARN, f"{HOST}/team/app:not a tag")
    bench.configure(TAGS_NEVER_MOVE="true")
    assert bench.answer().decision.rule == "in_use"


def test_a_tag_that_moves_while_the_removal_is_decided_keeps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task definition is registered after the inventory was read, and by a tag that means another image by then."""
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        moment = bench.clock.now
        bench.ledger.record_registration(ARN, PROD, at=moment, references=[REFERENCE], image_ids=[], now=moment)
        bench.ecr.push(bench.repository, "v1", content="new")
        return real()

    bench.push("v0")
    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "may_be_pinned")
    assert bench.left(bench.image_id)


# What is removed


def test_a_tag_that_was_pushed_once_before_the_registration_pins_nothing(bench: Bench) -> None:
    prove(bench)
    assert bench.answer().done
    assert not bench.left(bench.image_id)


def deregistered(bench: Bench) -> None:
    bench.push("new", content="new")
    bench.aggregator.show(ARN, NEW)
    bench.ledger.record_deregistration(ARN, at=ago(bench, days=2), references=[NEW], image_ids=[])


def used_by_digest_only(bench: Bench) -> None:
    new = bench.push("new", content="new")
    bench.aggregator.show(ARN, f"{NEW}@{new.digest}")


def of_another_repository(bench: Bench) -> None:
    bench.push("new", content="new", repository=bench.ecr.repository("team/application"))
    bench.aggregator.show(ARN, f"{HOST}/team/application:new")


def immutable(bench: Bench) -> None:
    bench.ecr.client.put_image_tag_mutability(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    bench.aggregator.show(ARN, NEW)


def declared_for_all(bench: Bench) -> None:
    bench.configure(TAGS_NEVER_MOVE="true")
    bench.aggregator.show(ARN, NEW)


def declared_by_the_owner(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup__tags_move="never")
    bench.aggregator.show(ARN, NEW)


def a_service_runs_an_inactive_task_definition_of_after_the_push(bench: Bench) -> None:
    push_new(bench)
    registered(bench, ago(bench, days=10), NEW)
    bench.ledger.record_deregistration(ARN, at=ago(bench, days=5), references=[NEW], image_ids=[])
    bench.aggregator.show(ARN, NEW, active=False)
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN)


def by_its_new_tag_from_many_task_definitions(bench: Bench) -> None:
    push_new(bench)
    for number in range(101):
        arn = f"{ARN[:-1]}{100 + number}"
        registered(bench, ago(bench, days=10), NEW, arn=arn)
        bench.aggregator.show(arn, NEW)


@pytest.mark.parametrize(
    "arrange",
    [
        deregistered,
        used_by_digest_only,
        of_another_repository,
        immutable,
        declared_for_all,
        declared_by_the_owner,
        a_service_runs_an_inactive_task_definition_of_after_the_push,
        by_its_new_tag_from_many_task_definitions,
    ],
)
def test_removes_what_nobody_can_run(bench: Bench, arrange: Callable[[Bench], None]) -> None:
    arrange(bench)
    assert bench.answer().done
    assert not bench.left(bench.image_id)
