from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import (
    Findings,
    Inventory,
    Registration,
    Source,
    SourceStatus,
    TaskDefinition,
    TrustProblem,
    absence_problems,
    blindness_problems,
    build_inventory,
    incompleteness_problems,
    lag_problems,
    overdue,
    source_problems,
    usages_of_registration,
    usages_of_task_definition,
)
from ecr_cleanup.settings import Place

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
PLACE = Place("222222222222", "eu-central-1")
OTHER = Place("333333333333", "eu-central-1")
REPOSITORY = Repository("111111111111", "eu-central-1", "team/app")
HOST = "111111111111.dkr.ecr.eu-central-1.amazonaws.com"
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
ARN = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
LAG = timedelta(hours=1)


def image(*tags: str, digest: str = DIGEST, repository: Repository = REPOSITORY) -> Image:
    return Image(ImageId(repository, digest), frozenset(tags), 1, NOW)


def inventory_of(*images: str) -> Inventory:
    usages = usages_of_task_definition(TaskDefinition(ARN, PLACE, images))
    return build_inventory([Findings(tuple(usages))], read_at=NOW)


@pytest.mark.parametrize(
    ("reference", "tags"),
    [
        (f"{HOST}/team/app:v1", ("v1",)),
        (f"{HOST}/team/app:v1", ("v2", "v1", "v3")),
        (f"{HOST}/team/app", ("latest",)),
        (f"{HOST}/team/app@{DIGEST}", ()),
        (f"{HOST}/team/app@{DIGEST}", ("v1",)),
        (f"{HOST}/team/app:moved@{DIGEST}", ("v1",)),
        ("111111111111.dkr.ecr-fips.eu-central-1.amazonaws.com/team/app:v1", ("v1",)),
        ("111111111111.dkr-ecr.eu-central-1.on.aws/team/app:v1", ("v1",)),
        (f"{HOST}/team/app:.v1", ("anything",)),
        (f"{HOST}/team/app@sha256:short", ()),
    ],
)
def test_is_used(reference: str, tags: tuple[str, ...]) -> None:
    users = inventory_of(reference, "nginx:1").users_of(image(*tags))
    assert [user.arn for user in users] == [ARN]


@pytest.mark.parametrize(
    ("reference", "tags"),
    [
        (f"{HOST}/team/app:v1", ()),
        (f"{HOST}/team/app:v1", ("v10", "V1", "latest")),
        (f"{HOST}/team/app", ("v1",)),
        (f"{HOST}/team/app@{OTHER_DIGEST}", ("v1",)),
        # The digest says what is pulled; the tag beside it says nothing.
        (f"{HOST}/team/app:v1@{OTHER_DIGEST}", ("v1",)),
        (f"{HOST}/team/api:v1", ("v1",)),
        ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1", ("v1",)),
        ("999999999999.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1", ("v1",)),
        (f"{HOST}.evil.example/team/app:v1", ("v1",)),
        (f"{HOST}/other:.v1", ("v1",)),
    ],
)
def test_is_not_used(reference: str, tags: tuple[str, ...]) -> None:
    assert inventory_of(reference).users_of(image(*tags)) == []


def test_a_registration_uses_what_its_tag_meant_and_what_it_means_now() -> None:
    registration = Registration(
        ARN, PLACE, frozenset({f"{HOST}/team/app:v1"}), frozenset({ImageId(REPOSITORY, DIGEST)}), NOW, NOW
    )
    inventory = build_inventory([Findings(tuple(usages_of_registration(registration)))], read_at=NOW)
    assert [user.source for user in inventory.users_of(image())] == [Source.LEDGER]
    assert [user.arn for user in inventory.users_of(image("v1", digest=OTHER_DIGEST))] == [ARN]
    assert inventory.users_of(image("v2", digest=OTHER_DIGEST)) == []


def test_the_union_of_sources_keeps_all_users_and_all_problems() -> None:
    one, two = (
        Findings(tuple(usages_of_task_definition(TaskDefinition(arn, PLACE, (f"{HOST}/team/app:v1",)))), (problem,))
        for arn, problem in ((ARN, TrustProblem(PLACE, "a", "b")), (f"{ARN}0", TrustProblem(OTHER, "c", "d")))
    )
    inventory = build_inventory([one, two], read_at=NOW)
    assert len(inventory.users_of(image("v1"))) == 2
    assert [problem.place for problem in inventory.problems] == [PLACE, OTHER]


@pytest.mark.parametrize("status", [SourceStatus.FAILED, SourceStatus.OUTDATED, None])
def test_a_source_that_did_not_succeed_is_a_problem(status: SourceStatus | None) -> None:
    sources = {PLACE: SourceStatus.SUCCEEDED} | ({OTHER: status} if status else {})
    problems = source_problems([PLACE, OTHER], sources)
    assert [problem.place for problem in problems] == [OTHER]
    assert str(OTHER) in str(problems[0])


def test_sources_that_nobody_expects_do_not_matter() -> None:
    assert source_problems([PLACE], {PLACE: SourceStatus.SUCCEEDED, OTHER: SourceStatus.FAILED}) == []


def test_an_account_of_which_nothing_is_recorded_is_a_problem() -> None:
    assert [problem.place for problem in absence_problems([PLACE, OTHER], frozenset({PLACE}))] == [OTHER]


def registration(minutes_ago: float, arn: str = ARN, place: Place = PLACE) -> Registration:
    return Registration(arn, place, frozenset(), frozenset(), NOW - timedelta(minutes=minutes_ago), NOW)


def test_a_registration_may_be_missing_from_the_aggregator_for_the_bounded_lag_only() -> None:
    assert overdue([registration(60)], frozenset(), max_lag=LAG, now=NOW) == []
    late = registration(60.1)
    assert overdue([late], frozenset(), max_lag=LAG, now=NOW) == [late]
    assert overdue([late], frozenset({ARN}), max_lag=LAG, now=NOW) == []


def test_a_registration_without_a_revision_cannot_be_expected() -> None:
    nameless = registration(600, arn="arn:aws:ecs:eu-central-1:222222222222:task-definition/app:?event")
    assert overdue([nameless], frozenset(), max_lag=LAG, now=NOW) == []


def test_a_registration_of_unknown_images_is_a_problem_until_the_aggregator_must_show_it() -> None:
    blind = registration(59, arn="arn:aws:ecs:eu-central-1:222222222222:task-definition/?:?event")
    assert [problem.place for problem in blindness_problems([blind], max_lag=LAG, now=NOW)] == [PLACE]
    assert blindness_problems([blind], max_lag=LAG, now=NOW + timedelta(minutes=2)) == []
    seeing = Registration(ARN, PLACE, frozenset({f"{HOST}/team/app:v1"}), frozenset(), NOW, NOW)
    assert blindness_problems([seeing], max_lag=LAG, now=NOW) == []


def test_fewer_read_than_counted_is_a_problem() -> None:
    assert incompleteness_problems(7, 7) == incompleteness_problems(8, 7) == []
    (problem,) = incompleteness_problems(6, 7)
    assert "counts 7 ACTIVE task definitions, but only 6 were read" in str(problem)


def test_one_problem_per_place_with_an_example() -> None:
    late = [registration(90), registration(90, f"{ARN}1"), registration(90, place=OTHER)]
    problems = lag_problems(late, max_lag=LAG)
    assert [problem.place for problem in problems] == [PLACE, OTHER]
    assert "2 task definition(s)" in problems[0].reason
    assert ARN in problems[0].reason
