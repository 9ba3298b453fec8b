from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.decision import Verdict
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.inventory import SourceStatus
from fakes import DEV, HOST, PROD, FakeClock
from integration.bench import (
    ARN,
    DAY,
    REFERENCE,
    Bench,
    aws_error,
    make_bench,  # noqa: F401 - the fixture "bench"
    raises,
    register,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


# What must not be removed


def used_by_an_active_task_definition(bench: Bench) -> None:
    bench.aggregator.show(ARN, REFERENCE)


def used_by_another_tag(bench: Bench) -> None:
    bench.ecr.push(bench.repository, "stable")
    bench.aggregator.show(ARN, f"{HOST}/team/app:stable", place=DEV)


def used_by_digest(bench: Bench) -> None:
    bench.aggregator.show(ARN, f"{HOST}/team/app:old-tag@{bench.image_id.digest}")


def used_as_latest(bench: Bench) -> None:
    bench.ecr.push(bench.repository, "latest")
    bench.aggregator.show(ARN, f"{HOST}/team/app")


def used_by_a_fresh_registration(bench: Bench) -> None:
    register(bench, minutes_ago=1)


def used_by_a_registration_in_an_account_that_nobody_expects(bench: Bench) -> None:
    arn = ARN.replace("222222222222", "999999999999")
    register(bench, arn=arn, minutes_ago=10_000)


def used_by_one_of_many_of_which_most_are_inactive(bench: Bench) -> None:
    for number in range(120):
        arn = f"{ARN[:-1]}{number}"
        bench.aggregator.show(arn, REFERENCE)
        if number != 119:
            bench.ledger.record_deregistration(arn, at=bench.clock.now - DAY, references=[REFERENCE], image_ids=[])


def opted_out(bench: Bench) -> None:
    arn = f"arn:aws:ecr:eu-central-1:111111111111:repository/{bench.repository.name}"
    bench.ecr.client.untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])


def another_registry(bench: Bench) -> None:
    bench.configure(REGISTRY_ID="999999999999")


@pytest.mark.parametrize(
    ("arrange", "rule"),
    [
        (used_by_an_active_task_definition, "in_use"),
        (used_by_another_tag, "in_use"),
        (used_by_digest, "in_use"),
        (used_as_latest, "in_use"),
        (used_by_a_fresh_registration, "in_use"),
        (used_by_a_registration_in_an_account_that_nobody_expects, "in_use"),
        (used_by_one_of_many_of_which_most_are_inactive, "in_use"),
        (opted_out, "not_opted_in"),
        (another_registry, "not_in_charge"),
    ],
)
def test_keeps(bench: Bench, arrange: Callable[[Bench], None], rule: str) -> None:
    arrange(bench)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, rule)
    assert bench.ecr.exists(bench.image_id)
    assert bench.due() is None


def source_failed(bench: Bench) -> None:
    bench.aggregator.sources[DEV] = SourceStatus.FAILED


def source_outdated(bench: Bench) -> None:
    bench.aggregator.sources[DEV] = SourceStatus.OUTDATED


def source_missing(bench: Bench) -> None:
    del bench.aggregator.sources[DEV]


def account_absent(bench: Bench) -> None:
    bench.aggregator.recorded.remove(DEV)


def region_absent(bench: Bench) -> None:
    bench.configure(WORKLOAD_REGIONS="eu-central-1,eu-west-1")


def registration_overdue(bench: Bench) -> None:
    register(bench, minutes_ago=61, reference=f"{HOST}/other/app:v1")


def registration_of_unknown_images(bench: Bench) -> None:
    bench.ledger.record_nameless_registration(
        ARN.rpartition("/")[0] + "/?",
        "event-1",
        DEV,
        at=bench.clock.now - timedelta(minutes=5),
        references=[],
        image_ids=[],
        now=bench.clock.now,
    )


def page_skipped(bench: Bench) -> None:
    bench.aggregator.counted = 1


def aggregator_throttled(bench: Bench) -> None:
    bench.aggregator.error = aws_error()


def organisation_denied(bench: Bench) -> None:
    bench.configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")
    bench.organization = raises(aws_error("AccessDeniedException"))


def organisation_empty(bench: Bench) -> None:
    bench.configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")


def new_account_in_the_organisation(bench: Bench) -> None:
    bench.configure(WORKLOAD_ACCOUNT_IDS="", WORKLOAD_ORGANIZATION="true")
    bench.organization = lambda: frozenset({"222222222222", "333333333333", "444444444444"})


def all_exempt(bench: Bench) -> None:
    bench.configure(EXEMPT_ACCOUNTS="222222222222,333333333333")


UNTRUSTED = [
    (source_failed, "333333333333/eu-central-1: the aggregator's last update was FAILED"),
    (source_outdated, "333333333333/eu-central-1: the aggregator's last update was OUTDATED"),
    (source_missing, "333333333333/eu-central-1: is not a source"),
    (account_absent, "333333333333/eu-central-1: the aggregator holds nothing of it"),
    (region_absent, "222222222222/eu-west-1"),
    (registration_overdue, "222222222222/eu-central-1: 1 task definition(s) registered more than 1:00:00 ago"),
    (registration_of_unknown_images, "333333333333/eu-central-1: a task definition was registered at"),
    (page_skipped, "counts 1 ACTIVE task definitions, but only 0 were read"),
    (aggregator_throttled, "the aggregator ecr-cleanup could not be read: "),
    (organisation_denied, "the accounts of the organisation are not known"),
    (organisation_empty, "no account is expected"),
    (new_account_in_the_organisation, "444444444444/eu-central-1"),
    (all_exempt, "no account is expected"),
]


@pytest.mark.parametrize(("arrange", "reason"), UNTRUSTED)
def test_an_inventory_that_cannot_be_trusted_postpones(
    bench: Bench, arrange: Callable[[Bench], None], reason: str
) -> None:
    arrange(bench)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "inventory_not_trusted")
    assert reason in answer.decision.reason
    assert bench.ecr.exists(bench.image_id)
    assert bench.due() == answer.next_check_at == bench.clock.now + timedelta(minutes=15)


def test_the_ledger_unread_postpones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.ledger, "awaiting", raises(aws_error()))
    answer = bench.answer()
    assert answer.decision.rule == "inventory_not_trusted"
    assert "the ledger could not be read" in answer.decision.reason


@pytest.mark.parametrize("method", ["images", "repository_tags"])
def test_a_repository_that_cannot_be_read_postpones_its_own_checks_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    other = bench.push("v1", repository=bench.ecr.repository("other/app", ecr_cleanup="enabled"))
    bench.ledger.record_last_use(other, at=bench.clock.now - DAY)
    real = getattr(bench.ecr.registry, method)

    def refuse_one(argument: Any) -> Any:
        if not isinstance(argument, Repository):
            argument = list(argument)
        wanted = argument if isinstance(argument, Repository) else argument[0].repository
        if wanted == bench.repository:
            raise aws_error("AccessDeniedException")
        return real(argument)

    monkeypatch.setattr(bench.ecr.registry, method, refuse_one)
    refused, removed = bench.check(bench.image_id, other)
    assert (refused.decision.verdict, refused.decision.rule) == (Verdict.POSTPONE, "not_readable")
    assert "team/app could not be read" in refused.decision.reason
    assert removed.done


def test_image_records_that_cannot_be_read_postpone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.ledger, "images", raises(aws_error()))
    assert bench.answer().decision.rule == "not_readable"


def test_trouble_that_lasts_postpones_longer(bench: Bench) -> None:
    source_failed(bench)
    (answer,) = bench.check(attempt=4)
    assert answer.next_check_at == bench.clock.now + timedelta(hours=4)
    assert answer.decision.attempt == 5


def test_no_check_is_begun_without_the_time_to_end_it(bench: Bench) -> None:
    bench.time_left = timedelta(seconds=29)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "out_of_time")
    assert bench.ecr.exists(bench.image_id)


def test_within_the_grace_period_the_check_comes_back_at_its_end(bench: Bench) -> None:
    bench.ledger.record_last_use(bench.image_id, at=bench.clock.now - timedelta(hours=23, minutes=59))
    answer = bench.answer()
    assert answer.decision.rule == "within_grace_period"
    # Nothing is scheduled closer than the scheduler's precision allows.
    assert bench.due() == bench.clock.now + timedelta(minutes=2)


def test_an_image_of_which_no_use_is_known_is_watched_for_a_grace_period(bench: Bench) -> None:
    image_id = bench.push("v2", content="two")
    (first,) = bench.check(image_id)
    assert (first.decision.verdict, first.next_check_at) == (Verdict.POSTPONE, bench.clock.now + DAY)
    bench.clock.advance(hours=24)
    (second,) = bench.check(image_id)
    assert second.done


# Right before the removal


def test_a_registration_since_the_inventory_was_read_keeps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        register(bench, minutes_ago=0)
        return real()

    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "in_use")
    assert bench.ecr.exists(bench.image_id)


def test_a_registration_seen_by_another_run_meanwhile_keeps(bench: Bench) -> None:
    register(bench, minutes_ago=30)
    bench.aggregator.show(ARN, REFERENCE)
    assert bench.run()._finder.inventory.problems == ()
    # This run's reading of the aggregator is older.
    bench.aggregator.active.clear()
    assert bench.answer().decision.rule == "in_use"


def test_a_tag_that_came_to_the_image_since_keeps_it_if_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.configure(TAGS_NEVER_MOVE="true")
    bench.aggregator.show(ARN, f"{HOST}/team/app:stable")
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        bench.ecr.push(bench.repository, "stable")
        return real()

    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    assert bench.answer().decision.rule == "in_use"
    assert bench.ecr.exists(bench.image_id)


def test_a_use_that_ended_meanwhile_starts_the_grace_period_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.ledger.begin_removal

    def meanwhile(image_id: ImageId, **arguments: Any) -> None:
        bench.ledger.record_last_use(image_id, at=bench.clock.now)
        real(image_id, **arguments)

    monkeypatch.setattr(bench.ledger, "begin_removal", meanwhile)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "used_again")
    assert bench.ecr.exists(bench.image_id)
    assert bench.due() is not None


def test_a_removal_whose_answer_was_lost_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.ledger.begin_removal

    def then_the_first_attempt_takes_effect(image_id: ImageId, **arguments: Any) -> None:
        real(image_id, **arguments)
        bench.ecr.registry.delete(image_id)

    monkeypatch.setattr(bench.ledger, "begin_removal", then_the_first_attempt_takes_effect)
    assert bench.answer().done
    assert [detail["digest"] for detail in bench.announced] == [bench.image_id.digest]


def test_a_removal_that_was_refused_is_not_told_when_somebody_else_removes_the_image(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bench.ecr.client, "batch_delete_image", raises(aws_error("AccessDeniedException")))
        bench.answer()
    opted_out(bench)
    assert bench.answer().decision.rule == "not_opted_in"
    bench.ecr.registry.delete(bench.image_id)
    assert bench.answer().decision.verdict is Verdict.GONE
    assert bench.announced == []


def test_a_use_seen_by_a_check_starts_the_grace_period(bench: Bench) -> None:
    bench.aggregator.show(ARN, REFERENCE)
    assert bench.answer().decision.rule == "in_use"
    # The aggregator knows of the deregistration, and its event does not come.
    bench.aggregator.active.clear()
    bench.clock.advance(hours=23)
    assert bench.answer().decision.rule == "within_grace_period"
    bench.clock.advance(hours=1)
    assert bench.answer().done


def test_a_late_event_about_a_tag_that_moved_gives_the_new_image_its_grace_period(bench: Bench) -> None:
    bench.clock.now = datetime.now(UTC) + timedelta(hours=1)
    fresh = bench.ecr.push(bench.repository, "v1", content="fresh")
    bench.ledger.record_last_use(fresh, at=bench.clock.now - 3 * DAY)
    (answer,) = bench.check(fresh)
    assert answer.decision.rule == "within_grace_period"
    assert "pushed at" in answer.decision.reason


def test_an_image_that_an_index_holds_is_kept(bench: Bench) -> None:
    bench.ecr.push_index(bench.repository, "index", children=[bench.image_id])
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "held_by_an_index")
    assert not bench.ledger.images([bench.image_id])[bench.image_id].removal_is_unfinished
    assert bench.announced == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "ServerException"])
def test_a_deletion_that_is_refused_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(bench.ecr.client, "batch_delete_image", raises(aws_error(code)))
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.POSTPONE, "failed")
    assert code in answer.decision.reason
    assert bench.due() == bench.clock.now + timedelta(minutes=15)


def test_where_even_the_postponement_fails_the_message_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_failed(bench)
    monkeypatch.setattr(bench.schedules, "put", raises(aws_error()))
    with pytest.raises(ClientError):
        bench.answer()


# What is removed


def test_removes_what_nobody_uses_and_nothing_else(bench: Bench) -> None:
    other = bench.push("v2", content="two")
    bench.aggregator.show(ARN, f"{HOST}/team/app@{other.digest}")
    answer = bench.answer()
    assert answer.done
    assert not bench.ecr.exists(bench.image_id)
    assert bench.ecr.exists(other)
    assert bench.due() is None


def test_a_removal_is_on_record_and_announced(bench: Bench) -> None:
    bench.answer()
    (detail,) = bench.announced
    assert (detail["repository"], detail["digest"], detail["tags"]) == ("team/app", bench.image_id.digest, ["v1"])
    assert detail["sizeBytes"] > 0
    assert "nobody uses it" in detail["reason"]
    record = bench.ledger.images([bench.image_id])[bench.image_id]
    assert record.removed_at == bench.clock.now
    assert record.removal is not None
    assert json.loads(record.removal)["facts"].items() <= detail.items()


def test_a_registration_that_the_ledger_knows_to_be_over_does_not_count(bench: Bench) -> None:
    # Config shows a deregistered revision as ACTIVE, perhaps for ever.
    bench.aggregator.show(ARN, REFERENCE)
    bench.ledger.record_deregistration(ARN, at=bench.clock.now - DAY, references=[REFERENCE], image_ids=[])
    assert bench.answer().done


@pytest.mark.parametrize("crash", ["bus.announce_removal", "ledger.finish_removal"])
def test_a_removal_that_was_cut_short_is_finished_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    with monkeypatch.context() as patch:
        adapter, method = crash.split(".")
        patch.setattr(getattr(bench, adapter), method, raises(MemoryError("killed")))
        with pytest.raises(MemoryError):
            bench.answer()
    assert not bench.ecr.exists(bench.image_id)
    answer = bench.answer()
    assert answer.decision.verdict is Verdict.GONE
    assert bench.announced[-1]["digest"] == bench.image_id.digest
    assert not bench.ledger.images([bench.image_id])[bench.image_id].removal_is_unfinished
    bench.announced.clear()
    bench.answer()
    assert bench.announced == []


def test_reports_only_where_that_is_the_action(bench: Bench) -> None:
    bench.configure(ACTION="report")
    answer = bench.answer()
    assert (answer.decision.verdict, answer.done) == (Verdict.REMOVE, None)
    assert bench.ecr.exists(bench.image_id)
    assert bench.due() == answer.next_check_at == bench.clock.now + DAY
    assert bench.ledger.images([bench.image_id])[bench.image_id].removal_started_at is None


def test_an_exempt_account_need_not_be_trusted(bench: Bench) -> None:
    source_failed(bench)
    bench.configure(EXEMPT_ACCOUNTS="333333333333/eu-central-1")
    assert bench.answer().done


def test_gone_and_not_opted_in_cost_no_inventory(bench: Bench) -> None:
    missing = ImageId(bench.repository, "sha256:" + "f" * 64)
    foreign = bench.ecr.push(bench.ecr.repository("other/app"), "v1")
    verdicts = [answer.decision.verdict for answer in bench.check(missing, foreign)]
    assert verdicts == [Verdict.GONE, Verdict.KEEP]
    assert bench.aggregator.reads == 0


def test_a_batch_reads_one_inventory(bench: Bench) -> None:
    ids = [bench.ecr.push(bench.repository, f"v{n}", content=str(n)) for n in range(10)]
    bench.check(*ids, bench.image_id)
    assert bench.aggregator.reads == 1


def test_the_same_image_twice_in_a_batch_is_removed_once(bench: Bench) -> None:
    first, second = bench.check(bench.image_id, bench.image_id)
    assert first.done
    assert (second.decision.verdict, second.done) == (Verdict.GONE, None)
    assert len(bench.announced) == 1


# What the inventory learns on the way


def test_what_the_aggregator_shows_is_forgotten_by_the_ledger_after_a_while(bench: Bench) -> None:
    register(bench, minutes_ago=59)
    bench.aggregator.show(ARN, REFERENCE)
    bench.answer()
    assert len(bench.ledger.awaiting(now=bench.clock.now)) == 1
    bench.clock.advance(minutes=2)
    bench.answer()
    assert bench.ledger.awaiting(now=bench.clock.now) == []


def test_what_was_handled_late_is_forgotten_late(bench: Bench) -> None:
    register(bench, minutes_ago=119, handled_at=bench.clock.now - timedelta(minutes=59))
    bench.aggregator.show(ARN, REFERENCE)
    bench.answer()
    assert len(bench.ledger.awaiting(now=bench.clock.now)) == 1


def test_a_stopped_recorder_costs_a_bounded_number_of_queries(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        register(bench, arn=f"{ARN}{number}", minutes_ago=90)
    asked: list[str] = []

    def shows_none(arns: Iterable[str]) -> dict[str, Any]:
        asked.extend(arns)
        return {}

    monkeypatch.setattr(bench.aggregator, "task_definitions", shows_none)
    bench.ecr.push(bench.repository, "v2", content="v2")
    assert len(bench.run()._finder.inventory.problems) == 1
    assert len(asked) == 100


@pytest.mark.parametrize("resolved", [True, False])
def test_a_lost_deregistration_is_learnt_from_the_aggregator(bench: Bench, resolved: bool) -> None:
    bench.ledger.record_registration(
        ARN,
        PROD,
        at=bench.clock.now - timedelta(hours=2),
        references=[REFERENCE],
        image_ids=[bench.image_id] if resolved else [],
        now=bench.clock.now - timedelta(hours=2),
    )
    bench.aggregator.show(ARN, REFERENCE, active=False)
    # Nobody knows when it ended, so the grace period runs from now on.
    assert bench.answer().decision.rule == "used_again"
    assert bench.due() is not None
    assert bench.ledger.task_definition(ARN).deregistered_at == bench.clock.now
    assert bench.answer().decision.rule == "within_grace_period"
    bench.clock.advance(hours=24)
    assert bench.answer().done


def test_an_overdue_registration_that_appears_at_the_second_look_is_no_problem(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(bench, minutes_ago=90, reference=f"{HOST}/other/app:v1")
    bench.aggregator.show(ARN, f"{HOST}/other/app:v1")
    monkeypatch.setattr(bench.aggregator, "active_task_definitions", list)
    bench.aggregator.counted = bench.aggregator.counted_before = 0
    assert bench.answer().done


def test_clock_is_utc(clock: FakeClock) -> None:
    assert clock.now.tzinfo is UTC
