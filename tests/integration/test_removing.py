"""Removals in several steps: what belongs to an image, what stops half-way, the archive, the cap and the newest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from ecr_cleanup.check import Check
from ecr_cleanup.decision import Verdict
from ecr_cleanup.settings import Action
from fakes import DEV, HOST, PROD
from integration.bench import (
    ARN,
    DAY,
    REFERENCE,
    SERVICE,
    Bench,
    aws_error,
    make_bench,  # noqa: F401 - the fixture "bench"
    raises,
)
from local_aws.ecr import drop_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ecr_cleanup.checking import Answer
    from ecr_cleanup.image import ImageId, Repository


def cosign(image_id: ImageId, kind: str = "sig") -> str:
    """The tag of a signature in cosign's older way."""
    return f"{image_id.digest.replace(':', '-')}.{kind}"


@dataclass
class Build:
    """A multi-architecture build with everything that can belong to it, and other images beside it.

    `kept` is an index in use, which shares `shared` with the build; `shared` is signed.
    """

    index: ImageId
    belongings: tuple[ImageId, ...]
    kept: tuple[ImageId, ...]

    @classmethod
    def push(cls, bench: Bench, repository: Repository | None = None) -> Build:
        repository = repository or bench.repository

        def push(*tags: str, content: str) -> ImageId:
            return bench.push(*tags, repository=repository, content=content)

        amd, arm, shared = (push(content=platform) for platform in ("amd", "arm", "shared"))
        attestations = [push(content=f"attestation of {platform}") for platform in ("amd", "arm")]
        index = bench.push_index("v2", children=[amd, arm, shared, *attestations])
        of_index = bench.push_referrer(index, content="sbom of the index")
        of_child = bench.push_referrer(amd, content="signature of a child")
        of_referrer = bench.push_referrer(of_index, content="signature of the sbom")
        tagged = push(cosign(index), content="cosign of the index")
        tagged_of_child = push(cosign(arm, "att"), content="cosign of a child")
        of_tagged = bench.push_referrer(tagged, content="of the cosign signature")
        kept = bench.push_index("v3", children=[shared])
        of_shared = bench.push_referrer(shared, content="signature of the shared child")
        other = push("v4", content="other")
        of_other = push(cosign(other), content="cosign of the other")
        bench.aggregator.show(ARN, f"{HOST}/{repository.name}@{kept.digest}")
        bench.used(index)
        referrers = (of_index, of_child, of_referrer, tagged, tagged_of_child, of_tagged)
        return cls(index, (amd, arm, *attestations, *referrers), (kept, shared, of_shared, other, of_other))

    @property
    def all(self) -> tuple[ImageId, ...]:
        return (self.index, *self.belongings, *self.kept)


# What must not go with an image


def test_leaves_what_anything_else_holds(bench: Bench) -> None:
    build = Build.push(bench)
    (answer,) = bench.check(build.index)
    assert answer.done is Action.DELETE
    assert bench.left(*build.all) == set(build.kept)
    assert set(bench.announced[0]["parts"]) == {image_id.digest for image_id in build.belongings}


def test_a_child_that_has_a_tag_stays_and_so_does_its_signature(bench: Bench) -> None:
    child, other = bench.push("child", content="child"), bench.push(content="other")
    signature = bench.push(cosign(child), content="cosign")
    index = bench.push_index("v2", children=[child, other])
    bench.used(index)
    bench.check(index)
    assert bench.left(index, child, other, signature) == {child, signature}


def test_a_referrer_that_has_a_tag_of_its_own_stays(bench: Bench) -> None:
    sbom = bench.push_referrer(bench.image_id, "v1-sbom")
    bench.answer()
    assert bench.left(bench.image_id, sbom) == {sbom}


def test_a_child_that_is_used_by_its_digest_stays(bench: Bench) -> None:
    child, other = bench.push(content="child"), bench.push(content="other")
    index = bench.push_index("v2", children=[child, other])
    bench.used(index)
    bench.aggregator.show(ARN, f"{HOST}/team/app@{child.digest}")
    bench.check(index)
    assert bench.left(index, child, other) == {child}


def test_a_child_that_was_used_within_the_grace_period_postpones_it_all(bench: Bench) -> None:
    child, other = bench.push(content="child"), bench.push(content="other")
    index = bench.push_index("v2", children=[child, other])
    bench.used(index)
    bench.used(child, hours_ago=20)
    (answer,) = bench.check(index)
    assert (answer.decision.rule, answer.next_check_at) == ("within_grace_period", bench.clock.now + timedelta(hours=4))
    assert child.digest in answer.decision.reason
    assert bench.left(index, child, other) == {index, child, other}
    bench.clock.advance(hours=4)
    bench.check(index)
    assert not bench.left(index, child, other)


def test_a_child_that_was_pulled_recently_postpones_it_all(bench: Bench) -> None:
    child, other = bench.push(content="child"), bench.push(content="other")
    index = bench.push_index("v2", children=[child, other])
    bench.used(index)
    bench.clock.advance(hours=-20)
    bench.pull(child)
    bench.clock.advance(hours=20)
    (answer,) = bench.check(index)
    assert (answer.decision.rule, answer.next_check_at) == ("pulled_recently", bench.clock.now + timedelta(hours=28))
    assert bench.left(index, child, other) == {index, child, other}
    bench.clock.advance(hours=28)
    bench.check(index)
    assert not bench.left(index, child, other)


def test_what_two_indexes_share_goes_with_the_last_of_them(bench: Bench) -> None:
    shared, own = bench.push(content="shared"), bench.push(content="own")
    signature = bench.push_referrer(shared)
    first = bench.push_index("v2", children=[shared, own])
    second = bench.push_index("v3", children=[shared])
    bench.used(first, second)
    assert bench.check(first)[0].done
    assert bench.left(first, second, shared, own, signature) == {second, shared, signature}
    assert bench.check(second)[0].done
    assert not bench.left(second, shared, signature)


def test_what_two_indexes_of_one_batch_share_goes_too(bench: Bench) -> None:
    shared = bench.push(content="shared")
    signature = bench.push_referrer(shared)
    first, second = (bench.push_index(tag, children=[shared, bench.push(content=tag)]) for tag in ("v2", "v3"))
    bench.used(first, second)
    assert all(answer.done for answer in bench.check(first, second))
    assert not bench.left(first, second, shared, signature)


def test_an_index_within_an_index_goes_with_it_unless_it_has_a_tag(bench: Bench) -> None:
    child, direct = bench.push(content="child"), bench.push(content="direct")
    inner, tagged = bench.push_index(children=[child, direct]), bench.push_index("inner", children=[child])
    outer = bench.push_index("v2", children=[inner, direct])
    of_both = bench.push_index("v3", children=[tagged, inner])
    signature = bench.push_referrer(inner)
    bench.used(outer, of_both)
    everything = (outer, of_both, inner, tagged, child, direct, signature)
    assert bench.check(outer)[0].done
    assert bench.left(*everything) == set(everything) - {outer}
    assert bench.check(of_both)[0].done
    assert bench.left(*everything) == {tagged, child}


def test_an_index_of_which_a_child_is_missing_goes(bench: Bench) -> None:
    children = [bench.push(content=platform) for platform in ("amd", "arm")]
    index = bench.push_index("v2", children=children)
    bench.used(index)
    drop_image("111111111111", "eu-central-1", "team/app", children[0].digest)
    assert bench.check(index)[0].done
    assert not bench.left(index, *children)


def test_parts_by_the_hundred_go(bench: Bench) -> None:
    referrers = [bench.push_referrer(bench.image_id, content=str(number)) for number in range(110)]
    assert bench.answer().done
    assert not bench.left(bench.image_id, *referrers)


def test_a_signature_that_came_after_the_repository_was_listed_goes_with_its_image(bench: Bench) -> None:
    other = bench.push("v2", content="two")
    bench.used(other)
    run = bench.run()
    checks = [Check(image_id, "test", 0) for image_id in (other, bench.image_id)]
    run.prepare(checks)
    run.answer(checks[0])
    signature = bench.push_referrer(bench.image_id, days_ago=0)
    assert run.answer(checks[1]).done
    assert not bench.left(bench.image_id, signature)


# What stops half-way


class Killed(BaseException):
    """The function is no more."""


def killed(bench: Bench, monkeypatch: pytest.MonkeyPatch, image_id: ImageId, step: int) -> str | None:
    """Check an image and die after so many calls of AWS; returns the last of them, or None if there are not so many.

    Who is killed before a call is made was killed after the one before it.
    """
    steps = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal steps
            answer = real(*arguments)
            steps += 1
            if steps == step:
                raise Killed(name or arguments[1])
            return answer

        return call

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", counted("", BaseClient._make_api_call))  # type: ignore[attr-defined]
        patch.setattr(bench.bus, "announce_removal", counted("announce_removal", bench.bus.announce_removal))
        try:
            bench.check(image_id)
        except Killed as death:
            return str(death)
    return None


def deaths(bench: Bench, monkeypatch: pytest.MonkeyPatch, action: str = "delete") -> Iterable[tuple[str, Build]]:
    """Builds, each in a repository of its own, whose removal died after one call more than that of the one before."""
    step = 0
    while True:
        step += 1
        bench.announced.clear()
        bench.aggregator.active.clear()
        bench.configure(ACTION=action)
        build = Build.push(bench, bench.ecr.repository(f"build/{step}", ecr_cleanup="enabled"))
        call = killed(bench, monkeypatch, build.index, step)
        if call is None:
            return
        bench.clock.advance(minutes=5)
        yield f"died after call {step}, {call}", build


def settle(bench: Bench, image_id: ImageId) -> Answer:
    """The message comes back, and what is postponed is asked again, until nothing is left to ask for a week."""
    for _ in range(10):
        (answer,) = bench.check(image_id)
        if answer.next_check_at is None or answer.next_check_at - bench.clock.now > timedelta(days=7):
            return answer
        bench.clock.now = max(bench.clock.now, answer.next_check_at)
    raise AssertionError(f"{answer} has no end")


def test_wherever_a_removal_dies_nothing_else_goes_and_in_the_end_everything_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for where, build in deaths(bench, monkeypatch):
        seen.add(where.rpartition(" ")[2])
        assert bench.left(*build.kept) == set(build.kept), where
        settle(bench, build.index)
        assert bench.left(*build.all) == set(build.kept), where
        assert build.index.digest in {told["digest"] for told in bench.announced}, where
        assert not bench.record(build.index).removal_is_unfinished, where
        told = len(bench.announced)
        settle(bench, build.index)
        assert len(bench.announced) == told, where
    assert seen >= {"BatchDeleteImage", "BatchGetImage", "UpdateItem", "announce_removal"}


def test_wherever_archiving_dies_nothing_else_goes_and_in_the_end_everything_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, build in deaths(bench, monkeypatch, "archive"):
        settle(bench, build.index)
        assert {bench.status(image_id) for image_id in (build.index, *build.belongings[:4])} == {"ARCHIVED"}, where
        assert {bench.status(image_id) for image_id in build.kept} == {"ACTIVE"}, where
        archived_at = bench.record(build.index).archived_at
        assert archived_at is not None, where
        assert {told["action"] for told in bench.announced} == {"archive"}, where
        bench.clock.now = archived_at + timedelta(days=90)
        settle(bench, build.index)
        assert bench.left(*build.all) == set(build.kept), where


def test_what_is_pushed_again_after_a_removal_died_is_not_deleted_by_its_resumption(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = 0
    for where, build in deaths(bench, monkeypatch):
        if bench.left(build.index):
            continue
        interrupted += 1
        repository = build.index.repository
        for content in ("amd", "arm", "shared", "attestation of amd", "attestation of arm"):
            try_to_push(bench, repository, content)
        children = (*build.belongings[:2], build.kept[1], *build.belongings[2:4])
        assert bench.push_index("v2", children=children, days_ago=0) == build.index
        present = bench.left(*build.all)
        (answer,) = bench.check(build.index)
        assert answer.decision.rule == "within_grace_period", where
        assert bench.left(*build.all) == present, where
        assert {build.index, *children} <= present, where
        settle(bench, build.index)
        # Nobody knows any more what referred to a referrer that was gone already.
        orphans = {build.belongings[6], build.belongings[9]}
        assert bench.left(*build.all) - orphans == set(build.kept), where
    assert interrupted


def try_to_push(bench: Bench, repository: Repository, content: str) -> None:
    try:
        bench.push(repository=repository, content=content, days_ago=0)
    except bench.ecr.client.exceptions.ImageAlreadyExistsException:
        return


def half_removed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build whose index is gone, and nothing else yet."""
    build = Build.push(bench)
    real = bench.ecr.client.batch_delete_image

    def once(**arguments: Any) -> Any:
        real(**arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(bench.ecr.client, "batch_delete_image", once)
        with pytest.raises(Killed):
            bench.check(build.index)
    assert bench.left(*build.all) == set(build.all) - {build.index}
    assert bench.announced == []
    return build


def test_while_the_inventory_is_not_trusted_no_removal_is_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = half_removed(bench, monkeypatch)
    status = bench.aggregator.sources.pop(DEV)
    (answer,) = bench.check(build.index)
    assert (answer.decision.rule, answer.next_check_at) == (
        "inventory_not_trusted",
        bench.clock.now + timedelta(minutes=15),
    )
    assert bench.left(*build.all) == set(build.all) - {build.index}
    bench.aggregator.sources[DEV] = status
    assert bench.check(build.index)[0].done
    assert bench.left(*build.all) == set(build.kept)


def register_child(bench: Bench, child: ImageId) -> None:
    moment = bench.clock.now
    reference = f"{HOST}/{child.repository.name}@{child.digest}"
    bench.ledger.record_registration(
        ARN.replace("app", "late"), PROD, at=moment, references=[reference], image_ids=[child], now=moment
    )


def test_a_child_that_is_registered_before_a_removal_is_finished_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = half_removed(bench, monkeypatch)
    child = build.belongings[0]
    register_child(bench, child)
    bench.check(build.index)
    # With the signature of what stays.
    assert bench.left(*build.all) == {*build.kept, child, build.belongings[5]}


def test_a_child_that_is_registered_after_the_inventory_was_read_stays_when_a_removal_is_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = half_removed(bench, monkeypatch)
    child = build.belongings[0]
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        register_child(bench, child)
        return real()

    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    bench.check(build.index)
    assert child in bench.left(child)


def test_a_child_that_is_registered_while_the_removal_is_decided_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Build.push(bench)
    child = build.belongings[0]
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        register_child(bench, child)
        return real()

    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    bench.check(build.index)
    assert child in bench.left(child)


@pytest.mark.parametrize("change", ["opted out", "report only"])
def test_what_nobody_wants_removed_any_more_stays_when_a_removal_is_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    build = half_removed(bench, monkeypatch)
    if change == "opted out":
        bench.tag_repository(ecr_cleanup="disabled")
    else:
        bench.configure(ACTION="report")
    # As the role's policy has it.
    monkeypatch.setattr(bench.ecr.client, "batch_delete_image", raises(aws_error("AccessDeniedException")))
    (answer,) = bench.check(build.index)
    assert answer.next_check_at is None
    assert bench.left(*build.all) == set(build.all) - {build.index}
    assert [told["digest"] for told in bench.announced] == [build.index.digest]
    assert not bench.record(build.index).removal_is_unfinished


def half_archived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build whose index is in the archive, and nothing else yet."""
    bench.configure(ACTION="archive")
    build = Build.push(bench)
    real = bench.ecr.registry.archive

    def once(image_id: ImageId) -> None:
        real(image_id)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(bench.ecr.registry, "archive", once)
        with pytest.raises(Killed):
            bench.check(build.index)
    assert {each for each in build.all if bench.status(each) == "ARCHIVED"} == {build.index}
    assert bench.announced == []
    return build


def test_what_is_used_again_after_archiving_died_is_told_and_its_parts_are_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = half_archived(bench, monkeypatch)
    bench.aggregator.show(ARN.replace("app", "other"), f"{HOST}/team/app@{build.index.digest}")
    (answer,) = bench.check(build.index)
    assert answer.decision.rule == "in_use"
    assert "archived and cannot be pulled" in answer.decision.reason
    assert {each for each in build.all if bench.status(each) == "ARCHIVED"} == {build.index}
    (told,) = bench.announced
    assert build.index.digest in told["restore"]
    assert not bench.record(build.index).removal_is_unfinished
    assert bench.record(build.index).archived_at == bench.clock.now


def test_what_is_not_to_be_archived_any_more_is_told_and_its_parts_are_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = half_archived(bench, monkeypatch)
    bench.tag_repository(ecr_cleanup="disabled")
    # As the role's policy has it.
    for method in ("update_image_storage_class", "batch_get_image"):
        monkeypatch.setattr(bench.ecr.client, method, raises(aws_error("AccessDeniedException")))
    assert bench.check(build.index)[0].decision.verdict is Verdict.GONE
    assert {each for each in build.all if bench.status(each) == "ARCHIVED"} == {build.index}
    assert len(bench.announced) == 1


def test_what_somebody_deleted_after_archiving_died_is_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    build = half_archived(bench, monkeypatch)
    bench.ecr.registry.delete(build.index)
    (answer,) = bench.check(build.index)
    assert (answer.decision.verdict, answer.next_check_at) == (Verdict.GONE, None)
    assert not bench.record(build.index).removal_is_unfinished
    assert bench.left(*build.all) == set(build.all) - {build.index}
    assert bench.announced == []


# The archive


@pytest.fixture
def archiving(bench: Bench) -> Bench:
    bench.configure(ACTION="archive")
    return bench


def test_archives_an_index_with_the_children_that_nothing_else_holds(archiving: Bench) -> None:
    build = Build.push(archiving)
    tagged, used = archiving.push("child", content="child"), archiving.push(content="used")
    index = archiving.push_index("v5", children=[tagged, used, *build.belongings[:1]])
    archiving.used(index)
    archiving.aggregator.show(ARN.replace("app", "other"), f"{HOST}/team/app@{used.digest}")
    (answer,) = archiving.check(build.index)
    assert answer.done is Action.ARCHIVE
    assert answer.next_check_at == archiving.clock.now + timedelta(days=90)
    # The first child is one of v5, too.
    archived = {build.index, *build.belongings[1:4]}
    assert {each for each in build.all if archiving.status(each) == "ARCHIVED"} == archived
    (told,) = archiving.announced
    assert (told["action"], set(told["parts"])) == ("archive", {each.digest for each in archived - {build.index}})
    assert all(each.digest in told["restore"] for each in archived)
    assert not any(each.digest in told["restore"] for each in {*build.all} - archived)
    assert "--target-storage-class STANDARD" in told["restore"]

    # What indexes hold was found out by reading them, which is a pull as far as anybody can say.
    assert settle(archiving, index).done is Action.ARCHIVE
    assert archiving.status(build.belongings[0]) == "ARCHIVED"
    assert [archiving.status(each) for each in (tagged, used)] == ["ACTIVE", "ACTIVE"]


@pytest.mark.parametrize("tag", [(), ("child",)])
def test_archives_what_two_indexes_of_one_batch_share(archiving: Bench, tag: tuple[str, ...]) -> None:
    shared = archiving.push(*tag, content="shared")
    owns = [archiving.push(content=name) for name in ("own 1", "own 2")]
    first, second = (archiving.push_index(f"v{n}", children=[own, shared]) for n, own in enumerate(owns, 2))
    # Their manifests are known, so that reading them is no pull.
    archiving.run()._finder.parents(archiving.repository)
    archiving.clock.advance(hours=48)
    archiving.used(first, second, *([shared] if tag else ()))
    assert [answer.done for answer in archiving.check(first, second, shared)][:2] == [Action.ARCHIVE] * 2
    assert {archiving.status(each) for each in (first, second, shared, *owns)} == {"ARCHIVED"}


def test_the_same_image_twice_in_a_batch_is_archived_once(archiving: Bench) -> None:
    answers = archiving.check(archiving.image_id, archiving.image_id)
    assert [answer.done for answer in answers] == [Action.ARCHIVE, None]
    assert len(archiving.announced) == 1
    assert archiving.record(archiving.image_id).archived_at == archiving.clock.now
    assert archiving.due() == archiving.clock.now + timedelta(days=90)


def test_deletes_what_was_archived_after_a_while_with_all_its_parts(archiving: Bench) -> None:
    build = Build.push(archiving)
    archiving.check(build.index)
    archiving.clock.advance(days=89)
    (answer,) = archiving.check(build.index)
    assert (answer.decision.rule, answer.next_check_at) == ("archived", archiving.clock.now + timedelta(days=1))
    archiving.clock.advance(days=1)
    (answer,) = archiving.check(build.index)
    assert answer.done is Action.DELETE
    assert archiving.left(*build.all) == set(build.kept)
    assert [told["action"] for told in archiving.announced] == ["archive", "delete"]


def test_what_is_used_although_it_is_archived_is_kept_and_said(archiving: Bench) -> None:
    archiving.answer()
    archiving.aggregator.show(ARN, REFERENCE)
    archiving.clock.advance(days=90)
    answer = archiving.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "in_use")
    assert "archived and cannot be pulled" in answer.decision.reason
    assert archiving.left(archiving.image_id)


def restore(bench: Bench, *image_ids: ImageId) -> None:
    for image_id in image_ids:
        bench.ecr.client.update_image_storage_class(
            repositoryName=image_id.repository.name,
            imageId={"imageDigest": image_id.digest},
            targetStorageClass="STANDARD",
        )


def test_what_somebody_restored_has_a_grace_period_again(archiving: Bench) -> None:
    archiving.answer()
    archiving.clock.advance(days=90)
    restore(archiving, archiving.image_id)
    answer = archiving.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("archived", archiving.clock.now + timedelta(minutes=15))
    archiving.clock.advance(minutes=20)
    answer = archiving.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("within_grace_period", archiving.clock.now + DAY)
    assert archiving.status(archiving.image_id) == "ACTIVE"
    archiving.clock.advance(hours=24)
    assert archiving.answer().done is Action.ARCHIVE
    # And a full time in the archive.
    archiving.clock.advance(days=89)
    assert archiving.answer().decision.rule == "archived"
    archiving.clock.advance(days=1)
    assert archiving.answer().done is Action.DELETE


def test_what_another_function_archives_meanwhile_is_not_taken_for_restored(
    archiving: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archiving.ecr.registry.images

    def as_it_was(image_ids: Any) -> Any:
        monkeypatch.setattr(archiving.ecr.registry, "images", real)
        images = real(image_ids)
        archiving.answer()
        return images

    monkeypatch.setattr(archiving.ecr.registry, "images", as_it_was)
    archiving.answer()
    assert archiving.ledger.images([archiving.image_id])[archiving.image_id].archived_at == archiving.clock.now
    archiving.clock.advance(days=90)
    assert archiving.answer().done is Action.DELETE


def test_what_somebody_else_archived_is_never_deleted(bench: Bench) -> None:
    bench.ecr.registry.archive(bench.image_id)
    bench.clock.advance(days=1000)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "archived")
    assert bench.left(bench.image_id)


def test_what_somebody_restored_and_archived_again_is_theirs(archiving: Bench) -> None:
    archiving.answer()
    restore(archiving, archiving.image_id)
    archiving.clock.advance(hours=1)
    assert archiving.answer().decision.rule == "within_grace_period"
    archiving.ecr.registry.archive(archiving.image_id)
    archiving.clock.advance(days=1000)
    assert (archiving.answer().decision.verdict, archiving.answer().decision.rule) == (Verdict.KEEP, "archived")


def test_a_child_of_a_living_index_is_not_archived(archiving: Bench) -> None:
    index = archiving.push_index("index", children=[archiving.image_id])
    answer = archiving.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "held_by_an_index")
    assert index.digest in answer.decision.reason
    assert archiving.status(archiving.image_id) == "ACTIVE"


@pytest.mark.parametrize(
    ("installed", "owner", "done"),
    [
        ("delete", "report", None),
        ("delete", "archive", Action.ARCHIVE),
        ("archive", "delete", Action.ARCHIVE),
        ("archive", "report", None),
        ("report", "delete", None),
        ("delete", "delete", Action.DELETE),
    ],
)
def test_the_owner_can_have_less_done_and_not_more(
    bench: Bench, installed: str, owner: str, done: Action | None
) -> None:
    bench.configure(ACTION=installed)
    bench.tag_repository(ecr_cleanup__action=owner)
    answer = bench.answer()
    assert (answer.decision.verdict, answer.done) == (Verdict.REMOVE, done)
    assert {bench.status(each) for each in bench.left(bench.image_id)} == {
        None: {"ACTIVE"},
        Action.ARCHIVE: {"ARCHIVED"},
        Action.DELETE: set(),
    }[done]


def test_an_owner_whose_wish_is_not_understood_loses_nothing(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup__action="deleet")
    answer = bench.answer()
    assert (answer.decision.verdict, answer.decision.rule) == (Verdict.KEEP, "repository_settings_invalid")
    assert "deleet" in answer.decision.reason
    assert bench.left(bench.image_id)


def test_who_reports_reads_no_manifest_and_counts_nothing(bench: Bench) -> None:
    bench.configure(ACTION="report", REMOVALS_PER_DAY="1")
    build = Build.push(bench)
    answers = bench.check(build.index, bench.image_id)
    assert [answer.decision.verdict for answer in answers] == [Verdict.REMOVE] * 2
    assert {image.last_pulled_at for image in bench.ecr.registry.images(build.all).values()} == {None}
    assert bench.ledger.removals(now=bench.clock.now) == {}
    assert bench.left(*build.all) == set(build.all)


# The cap


def unused(bench: Bench, count: int) -> list[ImageId]:
    image_ids = [bench.push(f"n{number}", content=str(number)) for number in range(count)]
    bench.used(*image_ids)
    return image_ids


def test_no_more_are_removed_than_the_cap_allows_until_the_hours_have_passed(bench: Bench) -> None:
    bench.configure(REMOVALS_PER_DAY="3")
    image_ids = unused(bench, 6)
    bench.clock.advance(minutes=10)
    assert [answer.done for answer in bench.check(*image_ids[:2])] == [Action.DELETE] * 2
    bench.clock.advance(hours=1)
    answers = bench.check(*image_ids[2:])
    assert [answer.decision.rule for answer in answers] == ["unused", "cap_reached", "cap_reached", "cap_reached"]
    assert {answer.next_check_at for answer in answers[1:]} == {bench.clock.now + timedelta(minutes=50)}
    assert bench.left(*image_ids) == set(image_ids[3:])
    # 24 hours after the first two, in whatever minute of their hour they went.
    bench.clock.advance(hours=23, minutes=40)
    assert {answer.decision.rule for answer in bench.check(*image_ids[3:])} == {"cap_reached"}
    bench.clock.advance(minutes=10)
    rules = [answer.decision.rule for answer in bench.check(*image_ids[3:])]
    assert rules == ["unused", "unused", "cap_reached"]
    bench.clock.advance(hours=1)
    assert bench.check(image_ids[5])[0].done


def test_two_runs_at_once_do_not_exceed_the_cap(bench: Bench) -> None:
    bench.configure(REMOVALS_PER_DAY="3")
    image_ids = unused(bench, 8)
    runs = bench.run(), bench.run()
    checks = [Check(image_id, "test", 0) for image_id in image_ids]
    for run in runs:
        run.prepare(checks)
    rules = [runs[number % 2].answer(check).decision.rule for number, check in enumerate(checks)]
    assert rules == ["unused"] * 3 + ["cap_reached"] * 5
    assert bench.left(*image_ids) == set(image_ids[3:])
    # One goes on into the next hour, the other begins in it.
    bench.clock.advance(hours=1)
    assert runs[0].answer(checks[3]).decision.rule == "cap_reached"
    assert bench.check(image_ids[4])[0].decision.rule == "cap_reached"


def test_a_run_that_goes_on_into_the_next_hour_counts_what_others_removed_before(bench: Bench) -> None:
    bench.configure(REMOVALS_PER_DAY="2")
    image_ids = unused(bench, 3)
    run = bench.run()
    checks = [Check(image_id, "test", 0) for image_id in image_ids]
    run.prepare(checks)
    assert run.answer(checks[0]).done
    assert bench.check(image_ids[1])[0].done
    bench.clock.advance(hours=1)
    assert run.answer(checks[2]).decision.rule == "cap_reached"
    assert bench.left(*image_ids) == {image_ids[2]}


def test_what_is_archived_counts_as_removed(archiving: Bench) -> None:
    archiving.configure(ACTION="archive", REMOVALS_PER_DAY="1")
    (other,) = unused(archiving, 1)
    assert [answer.decision.rule for answer in archiving.check(archiving.image_id, other)] == ["unused", "cap_reached"]
    assert archiving.status(other) == "ACTIVE"


def test_what_others_of_a_full_day_have_removed_counts(bench: Bench) -> None:
    bench.configure(REMOVALS_PER_DAY="2")
    for hours in (24, 3):
        assert bench.ledger.count_removal(now=bench.clock.now - timedelta(hours=hours), limit=1)
    assert bench.answer().decision.rule == "cap_reached"


# The newest


def test_parts_and_what_is_no_image_or_cannot_be_pulled_is_not_among_the_newest(bench: Bench) -> None:
    bench.configure(NEWEST_IMAGES="2")
    older = bench.push("v0", content="older", days_ago=40)
    bench.used(older)
    # A build of which the children have tags of their own, as some pipelines do it.
    children = [bench.push(f"v2-{name}", content=name, days_ago=20) for name in ("amd", "arm")]
    attestation = bench.push(content="attestation", days_ago=20)
    index = bench.push_index("v2", children=[*children, attestation], days_ago=19.9)
    bench.push_referrer(index, "sbom", content="sbom", days_ago=19)
    bench.push(cosign(index), content="cosign", days_ago=19)
    archived = bench.push("v3", content="archived", days_ago=18)
    bench.ecr.registry.archive(archived)
    bench.push(content="untagged", days_ago=17)
    # There are v2 and v1, and only then v0.
    assert [answer.decision.rule for answer in bench.check(older, bench.image_id)] == ["unused", "newest"]
    assert bench.left(bench.image_id, index) == {bench.image_id, index}


def test_images_of_the_same_moment_are_all_among_the_newest(bench: Bench) -> None:
    bench.configure(NEWEST_IMAGES="1")
    same = [bench.push(f"v{number}", content=str(number)) for number in (2, 3)]
    bench.used(*same)
    assert [answer.decision.rule for answer in bench.check(bench.image_id, *same)] == ["newest"] * 3


def test_the_owner_keeps_more_of_the_newest(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup__keep_newest="1")
    assert bench.answer().decision.rule == "newest"


# Pulls


def test_a_pull_by_others_keeps(bench: Bench) -> None:
    bench.pull(bench.image_id)
    bench.clock.advance(hours=47)
    answer = bench.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("pulled_recently", bench.clock.now + timedelta(hours=1))
    bench.clock.advance(hours=1)
    assert bench.answer().done


def test_reading_a_manifest_ourselves_is_no_pull(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bench.ledger, "begin_removal", raises(aws_error()))
        assert bench.answer().decision.rule == "failed"
    assert bench.ecr.registry.images([bench.image_id])[bench.image_id].last_pulled_at == bench.clock.now
    bench.clock.advance(minutes=15)
    assert bench.answer().done


def test_a_pull_by_others_after_we_read_the_manifest_keeps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bench.ledger, "begin_removal", raises(aws_error()))
        bench.answer()
    bench.clock.advance(hours=24)
    bench.pull(bench.image_id)
    bench.clock.advance(hours=1)
    assert bench.answer().decision.rule == "pulled_recently"
    assert bench.left(bench.image_id)


# Right before the removal


def changed_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[Bench], None]) -> Answer:
    """Check the image, and have something happen between the first look at it and the second."""
    real = bench.aggregator.active_task_definitions

    def meanwhile() -> Any:
        change(bench)
        # The image itself is not read in the same minute.
        bench.clock.advance(minutes=5)
        return real()

    monkeypatch.setattr(bench.aggregator, "active_task_definitions", meanwhile)
    return bench.answer()


def is_tagged_again(bench: Bench) -> None:
    bench.ecr.push(bench.repository, "again")


def loses_its_tag(bench: Bench) -> None:
    bench.ecr.push(bench.repository, "v1", content="new")


def is_pulled(bench: Bench) -> None:
    bench.pull(bench.image_id)


def is_archived_by_somebody(bench: Bench) -> None:
    bench.ecr.registry.archive(bench.image_id)


def repository_gets_a_tag(bench: Bench) -> None:
    bench.tag_repository(team="web")


def repository_gets_a_longer_grace_period(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup__grace_hours="100")


def repository_gets_a_protection(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup__protect="v@")


def repository_is_opted_out(bench: Bench) -> None:
    bench.tag_repository(ecr_cleanup="disabled")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (is_tagged_again, "changed"),
        (loses_its_tag, "untagged"),
        (is_pulled, "pulled_recently"),
        (is_archived_by_somebody, "failed"),
        (repository_gets_a_tag, "changed"),
        (repository_gets_a_longer_grace_period, "within_grace_period"),
        (repository_gets_a_protection, "protected_tag"),
        (repository_is_opted_out, "not_opted_in"),
    ],
)
def test_what_changes_between_the_looks_postpones_or_keeps(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[Bench], None], rule: str
) -> None:
    answer = changed_meanwhile(bench, monkeypatch, change)
    assert answer.decision.rule == rule
    assert bench.left(bench.image_id)
    if rule == "changed":
        assert answer.next_check_at == bench.clock.now + timedelta(minutes=15)


def test_an_sdk_that_is_too_old_postpones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleanup.checking.missing_operations", lambda _: {"ListImageReferrers": "1.42.0"})
    answer = bench.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("sdk_too_old", bench.clock.now + timedelta(minutes=15))
    assert "ListImageReferrers (boto3 1.42.0)" in answer.decision.reason
    assert bench.left(bench.image_id)
    assert bench.ledger.removals(now=bench.clock.now) == {}


# Uses of whose end no event tells


@pytest.mark.parametrize(
    ("resource_type", "arn", "through"),
    [
        ("AWS::ECS::Service", SERVICE, ARN),
        ("AWS::ECS::TaskSet", SERVICE.replace("service/", "task-set/"), ARN),
        ("AWS::AppRunner::Service", "arn:aws:apprunner:eu-central-1:222222222222:service/app/1", None),
        ("AWS::CodeBuild::Project", "arn:aws:codebuild:eu-central-1:222222222222:project/app", None),
    ],
)
def test_the_grace_period_of_a_use_that_no_event_ends_starts_when_its_end_is_found(
    bench: Bench, resource_type: str, arn: str, through: str | None
) -> None:
    bench.aggregator.show(ARN, REFERENCE, active=False)
    bench.aggregator.show_consumer(resource_type, arn, *(() if through else (REFERENCE,)), task_definition=through)
    answer = bench.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("in_use", bench.clock.now + DAY)
    assert bench.record(bench.image_id).held
    bench.clock.advance(days=30)
    bench.aggregator.holding.clear()
    answer = bench.answer()
    assert (answer.decision.rule, answer.next_check_at) == ("within_grace_period", bench.clock.now + DAY)
    assert not bench.record(bench.image_id).held
    bench.clock.advance(hours=24)
    assert bench.answer().done


def test_a_use_that_no_event_ends_is_not_over_while_the_inventory_is_not_trusted(bench: Bench) -> None:
    bench.aggregator.show(ARN, REFERENCE, active=False)
    bench.aggregator.show_consumer("AWS::ECS::Service", SERVICE, task_definition=ARN)
    bench.answer()
    bench.aggregator.holding.clear()
    status = bench.aggregator.sources.pop(PROD)
    bench.clock.advance(days=2)
    assert bench.answer().decision.rule == "inventory_not_trusted"
    bench.aggregator.sources[PROD] = status
    assert bench.answer().decision.rule == "within_grace_period"
    assert bench.left(bench.image_id)
