from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecr_cleanup.consumers import CONSUMER_TYPES, Consumer
from ecr_cleanup.image import Image, ImageId, Repository
from ecr_cleanup.inventory import (
    Findings,
    Inventory,
    Recorder,
    Registration,
    Source,
    SourceStatus,
    TaskDefinition,
    TrustProblem,
    Usage,
    blindness_problems,
    build_inventory,
    collapse_problem,
    has_collapsed,
    incompleteness_problems,
    lag_problems,
    nameless_problems,
    overdue,
    recorder_problems,
    source_problems,
    unknown_type_problems,
    unresolved_problems,
    usages_of_consumer,
    usages_of_registration,
    usages_of_task_definition,
    usages_through_task_definition,
)
from ecr_cleanup.settings import ECS_TYPES, Place

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
PLACE = Place("222222222222", "eu-central-1")
OTHER = Place("333333333333", "eu-central-1")
REPOSITORY = Repository("111111111111", "eu-central-1", "team/app")
HOST = "111111111111.dkr.ecr.eu-central-1.amazonaws.com"
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
ARN = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
LAG = timedelta(hours=1)
SERVICE_ARN = "arn:aws:ecs:eu-central-1:222222222222:service/web/app"
TASK_DEFINITION, SERVICE = "AWS::ECS::TaskDefinition", "AWS::ECS::Service"
ALL_TYPES = frozenset(CONSUMER_TYPES)


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
        (f"{HOST}/Team/App:v1", ("anything",)),
        (f" {HOST.upper()}:443/team/app:v1 ", ("v1",)),
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


@pytest.mark.parametrize("region", [PLACE.region, ""])
@pytest.mark.parametrize(
    ("organization", "own", "is_problem"),
    [
        (SourceStatus.SUCCEEDED, None, False),
        (SourceStatus.SUCCEEDED, SourceStatus.SUCCEEDED, False),
        (SourceStatus.SUCCEEDED, SourceStatus.FAILED, True),
        (SourceStatus.FAILED, SourceStatus.SUCCEEDED, True),
        (SourceStatus.OUTDATED, None, True),
    ],
)
def test_of_an_organization_and_its_account_the_worse_state_counts(
    region: str, organization: SourceStatus, own: SourceStatus | None, is_problem: bool
) -> None:
    sources = {Place("o-abc", region): organization} | ({PLACE: own} if own else {})
    assert [problem.place for problem in source_problems([PLACE], sources)] == [PLACE] * is_problem


def test_an_organization_in_another_region_says_nothing_of_this_one() -> None:
    (problem,) = source_problems([PLACE], {Place("o-abc", "us-east-1"): SourceStatus.SUCCEEDED})
    assert "is not a source" in str(problem)


# By tag


@pytest.mark.parametrize(
    ("reference", "counts"),
    [
        (f"{HOST}/team/app@{DIGEST}", False),
        (f"{HOST}/team/app:v1@{DIGEST}", False),
        (f"{HOST}/team/api:v1", False),
        ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1", False),
        ("nginx:1", False),
        (f"{HOST}/other:.v1", False),
        (f"{HOST}/team/app:v1", True),
        (f"{HOST}/team/app", True),
        ("111111111111.dkr-ecr-fips.eu-central-1.on.aws/team/app:v1", True),
        (f"{HOST}/team/app:.v1", True),
        (f"{HOST}/team/app:v1@sha256:short", True),
    ],
)
def test_usages_by_tag_are_those_that_name_the_repository_without_a_digest(reference: str, counts: bool) -> None:
    assert [usage.reference for usage in inventory_of(reference).users_by_tag(REPOSITORY)] == [reference] * counts


def live(reference: str, **more: Any) -> Usage:
    return Usage("task", "arn:task", PLACE, reference, Source.LIVE, **more)


def live_inventory(*usages: Usage) -> Inventory:
    return build_inventory([Findings(usages)], read_at=NOW)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (live(f"{HOST}/team/app:v1", may_be_pinned=True), True),
        (live(f"{HOST}/team/app", may_be_pinned=True), True),
        (live("111111111111.dkr-ecr.eu-central-1.on.aws/team/app:v1", may_be_pinned=True), True),
        (live(f"{HOST}/team/app:v1"), False),
        (live(f"{HOST}/team/api:v1", may_be_pinned=True), False),
        (live("111111111111.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1", may_be_pinned=True), False),
        (live("registry.example.com/team/app:v1", may_be_pinned=True), False),
        # What names a digest runs that.
        (live(f"{HOST}/team/app:v1@{DIGEST}", may_be_pinned=True), False),
        (live(f"{HOST}/team/app@{DIGEST}", may_be_pinned=True), False),
    ],
)
def test_usages_under_an_unknown_digest_are_those_by_a_tag_that_the_account_could_not_resolve(
    usage: Usage, counts: bool
) -> None:
    assert live_inventory(usage).users_under_unknown_digest(REPOSITORY) == (usage,) * counts


def test_an_unknown_digest_is_used_by_its_tag_as_well() -> None:
    usage = live(f"{HOST}/team/app:v1", may_be_pinned=True)
    inventory = live_inventory(usage)
    assert inventory.users_of(image("v1")) == [usage]
    assert inventory.users_by_tag(REPOSITORY) == (usage,)
    assert inventory.users_by_digest(image("v1").id) == []


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (live(f"{HOST}/team/app@{DIGEST}"), True),
        (live(f"{HOST}/team/app:moved@{DIGEST}"), True),
        (live(f"{HOST}/team/app:moved", image_id=ImageId(REPOSITORY, DIGEST)), True),
        (live(f"registry.example.com/any/name:v1@{DIGEST}"), True),
        (live(f"app@{DIGEST}"), True),
        (live(f"{HOST}/team/app@{OTHER_DIGEST}"), False),
        (live(f"registry.example.com/any/name@{OTHER_DIGEST}"), False),
        # Under one of ECR's own hosts, the digest is of another repository, which has its own copy.
        (live(f"{HOST}/team/api@{DIGEST}"), False),
        (live(f"999999999999.dkr.ecr.eu-central-1.amazonaws.com/team/app@{DIGEST}"), False),
        (live(f"{HOST}/team/app:v1"), False),
    ],
)
def test_users_by_digest_are_those_that_name_the_image_whatever_its_tags(usage: Usage, counts: bool) -> None:
    inventory = live_inventory(usage)
    assert inventory.users_by_digest(ImageId(REPOSITORY, DIGEST)) == [usage] * counts
    assert inventory.users_of(image()) == [usage] * counts


def test_a_digest_under_another_host_is_used_in_each_repository_that_has_it() -> None:
    usage = live(f"registry.example.com/mirror/app:v1@{DIGEST}")
    inventory = live_inventory(usage)
    for name in ("team/app", "team/api"):
        assert inventory.users_of(image("v9", repository=Repository("111111111111", "eu-west-1", name))) == [usage]
    assert inventory.users_by_tag(REPOSITORY) == ()


def test_a_usage_that_means_one_image_is_one_user() -> None:
    usage = live(f"{HOST}/team/app@{DIGEST}", image_id=ImageId(REPOSITORY, DIGEST))
    assert live_inventory(usage).users_by_digest(ImageId(REPOSITORY, DIGEST)) == [usage]


def test_usages_by_tag_come_from_all_sources() -> None:
    reference = f"{HOST}/team/app:v1"
    fresh = Registration(f"{ARN}1", PLACE, frozenset({reference}), frozenset({ImageId(REPOSITORY, DIGEST)}), NOW, NOW)
    usages = [
        *usages_of_task_definition(TaskDefinition(ARN, PLACE, (reference,))),
        *usages_of_registration(fresh),
        *usages_through_task_definition(service(), [reference], [ImageId(REPOSITORY, DIGEST)], Source.LEDGER),
    ]
    inventory = build_inventory([Findings(tuple(usages))], read_at=NOW)
    assert [usage.arn for usage in inventory.users_by_tag(REPOSITORY)] == [ARN, f"{ARN}1", SERVICE_ARN]


# What other resources hold


def service(arn: str = SERVICE_ARN, task_definition: str | None = ARN, place: Place = PLACE) -> Consumer:
    return Consumer(CONSUMER_TYPES[SERVICE], arn, place, task_definition=task_definition)


def test_a_service_holds_what_its_task_definition_names_and_named_then() -> None:
    image_id = ImageId(REPOSITORY, DIGEST)
    usages = usages_through_task_definition(service(), [f"{HOST}/team/app:v1"], [image_id], Source.LEDGER)
    inventory = build_inventory([Findings(tuple(usages))], read_at=NOW)
    for held in (image("v1", digest=OTHER_DIGEST), image()):
        (user,) = inventory.users_of(held)
        assert (user.kind, user.arn, user.task_definition) == ("service", SERVICE_ARN, ARN)
        assert f"{SERVICE_ARN} through {ARN} (ledger: " in str(user)
    assert inventory.users_of(image("v2", digest=OTHER_DIGEST)) == []


def test_a_resource_holds_each_image_that_it_names() -> None:
    model = Consumer(CONSUMER_TYPES["AWS::SageMaker::Model"], "arn", PLACE, (f"{HOST}/team/app:v1", "other", "third"))
    assert [(usage.kind, usage.reference) for usage in usages_of_consumer(model)] == [
        ("SageMaker model", f"{HOST}/team/app:v1"),
        ("SageMaker model", "other"),
        ("SageMaker model", "third"),
    ]


def test_a_known_image_counts_even_if_its_reference_cannot_be_read_or_means_another() -> None:
    image_id = ImageId(REPOSITORY, DIGEST)
    for reference in (f"{HOST}/other:.v1", "nginx:1", f"{HOST}/team/app:v2", f"{HOST}/team/app@{OTHER_DIGEST}"):
        usage = Usage("service", SERVICE_ARN, PLACE, reference, Source.LEDGER, image_id)
        inventory = build_inventory([Findings((usage,))], read_at=NOW)
        assert inventory.users_of(image()) == [usage], reference
    assert inventory.users_of(image(digest=OTHER_DIGEST)) == [usage]


def test_an_inventory_knows_its_size() -> None:
    usages = usages_of_task_definition(TaskDefinition(ARN, PLACE, ("nginx", f"{HOST}/team/app:v1")))
    inventory = build_inventory(
        [Findings(tuple(usages)), Findings(tuple(usages))],
        read_at=NOW,
        expected=frozenset(Place(f"{n:012}", "eu-central-1") for n in range(7)),
    )
    assert (inventory.size, len(inventory.expected)) == (4, 7)


# Recorders


def recorder(place: Place = PLACE, *, recording: bool = True, **settings: Any) -> Recorder:
    settings = settings or {"all_supported": True}
    arn = f"arn:aws:config:{place.region}:{place.account}:configuration-recorder/default"
    return Recorder(arn, place, recording, **settings)


INCLUSION, EXCLUSION = "INCLUSION_BY_RESOURCE_TYPES", "EXCLUSION_BY_RESOURCE_TYPES"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"recording": False, "all_supported": True}, "is stopped"),
        ({"all_supported": True, "frequency": "DAILY"}, "only once a day"),
        ({"all_supported": True, "frequency": "SOMETIMES"}, "only once a day"),
        (
            {"all_supported": True, "overrides": ((frozenset({SERVICE, "AWS::S3::Bucket"}), "DAILY"),)},
            "records AWS::ECS::Service only once a day",
        ),
        (
            {"all_supported": True, "frequency": "DAILY", "overrides": ((ALL_TYPES - {SERVICE}, "CONTINUOUS"),)},
            "records AWS::ECS::Service only once a day",
        ),
        (
            {
                "all_supported": True,
                "overrides": ((frozenset({SERVICE}), "CONTINUOUS"), (frozenset({SERVICE}), "DAILY")),
            },
            "records AWS::ECS::Service only once a day",
        ),
        ({"included": ALL_TYPES - {SERVICE}}, "does not record AWS::ECS::Service"),
        ({"strategy": INCLUSION, "included": ALL_TYPES - {SERVICE}}, "does not record AWS::ECS::Service"),
        ({"strategy": EXCLUSION, "excluded": frozenset({SERVICE})}, "does not record AWS::ECS::Service"),
        ({"strategy": EXCLUSION, "excluded": frozenset({SERVICE}), "included": ALL_TYPES}, "does not record"),
        ({"strategy": "SOMETHING_NEW"}, "does not record AWS::AppRunner::Service, AWS::CodeBuild::Project, AWS::ECS"),
    ],
)
def test_a_recorder_that_may_miss_something_is_a_problem(settings: dict[str, Any], reason: str) -> None:
    (problem,) = recorder_problems([PLACE], [recorder(**settings)], ALL_TYPES)
    assert problem.place == PLACE
    assert reason in problem.reason
    assert "configuration-recorder/default" in problem.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"all_supported": True},
        {"strategy": "ALL_SUPPORTED_RESOURCE_TYPES", "all_supported": True, "frequency": "CONTINUOUS"},
        {"included": ALL_TYPES},
        {"strategy": INCLUSION, "included": ALL_TYPES | {"AWS::S3::Bucket"}},
        {"strategy": EXCLUSION, "excluded": frozenset({"AWS::S3::Bucket"})},
        {"all_supported": True, "frequency": "DAILY", "overrides": ((ALL_TYPES, "CONTINUOUS"),)},
        {"all_supported": True, "overrides": ((frozenset({"AWS::S3::Bucket"}), "DAILY"),)},
    ],
)
def test_a_recorder_that_records_everything_counted_on_at_once_is_none(settings: dict[str, Any]) -> None:
    assert recorder_problems([PLACE], [recorder(**settings)], ALL_TYPES) == []


def test_an_account_without_a_recorder_is_a_problem_once() -> None:
    (problem,) = recorder_problems([PLACE, OTHER], [recorder()], ALL_TYPES)
    assert problem.place == OTHER
    assert "the aggregator holds nothing of its Config recorder" in problem.reason
    assert all(each in problem.repair for each in ALL_TYPES)


def test_a_recorder_elsewhere_or_of_nobody_does_not_help() -> None:
    assert len(recorder_problems([PLACE], [recorder(OTHER)], ALL_TYPES)) == 1
    assert recorder_problems([], [recorder(recording=False)], ALL_TYPES) == []


def test_one_good_recorder_suffices_and_the_best_bad_one_is_named() -> None:
    stopped, daily = recorder(recording=False, included=frozenset()), recorder(all_supported=True, frequency="DAILY")
    assert recorder_problems([PLACE], [stopped, recorder(), daily], ALL_TYPES) == []
    assert [problem.reason[-15:] for problem in recorder_problems([PLACE], [stopped, daily], ALL_TYPES)] == [
        "only once a day"
    ]


def test_two_recorders_that_complement_each_other_do_not_suffice() -> None:
    # Nothing says that both will stay.
    halves = recorder(included=frozenset(ECS_TYPES)), recorder(included=ALL_TYPES - set(ECS_TYPES))
    assert len(recorder_problems([PLACE], halves, ALL_TYPES)) == 1


def test_only_what_is_not_of_ecs_can_be_done_without() -> None:
    (problem,) = recorder_problems([PLACE], [recorder(included=frozenset({TASK_DEFINITION}))], ALL_TYPES)
    instead = problem.repair.partition(", or take ")[2]
    assert instead == (
        "AWS::AppRunner::Service, AWS::CodeBuild::Project, AWS::SageMaker::Model out of workloads.resource_types"
    )
    (problem,) = recorder_problems([PLACE], [recorder(included=ALL_TYPES - {SERVICE})], ALL_TYPES)
    assert problem.repair == "add AWS::ECS::Service to what it records"


def test_types_that_nobody_counts_on_need_not_be_recorded() -> None:
    assert recorder_problems([PLACE], [recorder(included=frozenset(ECS_TYPES))], frozenset(ECS_TYPES)) == []


def test_a_type_that_is_not_in_the_table_is_a_problem() -> None:
    (problem,) = unknown_type_problems({"AWS::Batch::JobDefinition", *ALL_TYPES})
    assert "AWS::Batch::JobDefinition" in problem.reason
    assert unknown_type_problems(ALL_TYPES) == []


# Resources of which something is missing


def test_services_of_unknown_task_definitions_are_a_problem_per_place_that_names_one() -> None:
    other = service(f"{SERVICE_ARN}0", place=OTHER)
    first, second = unresolved_problems([service(f"{SERVICE_ARN}1"), service(), other])
    assert (first.place, second.place) == (PLACE, OTHER)
    assert first.reason == (
        f"service {SERVICE_ARN} ({ARN}), like 1 more, points to a task definition that neither aggregator nor ledger "
        "knows"
    )
    assert second.reason.startswith(f"service {SERVICE_ARN}0 ({ARN}) points to")
    assert "exempt" in first.repair
    assert unresolved_problems([]) == []


def test_a_resource_that_must_run_something_and_does_not_say_what_is_a_problem() -> None:
    project = Consumer(CONSUMER_TYPES["AWS::CodeBuild::Project"], "arn:project", PLACE)
    (problem,) = nameless_problems([project, service(), service(task_definition=None)])
    assert problem.place == PLACE
    assert problem.reason == "the aggregator does not show what CodeBuild project arn:project runs"


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


def test_fewer_read_than_counted_before_or_after_is_a_problem_of_that_place_and_type() -> None:
    key = (PLACE, TASK_DEFINITION)
    for counts in (({key: 7}, {key: 6}), ({key: 6}, {key: 7})):
        (problem,) = incompleteness_problems({key: 6, (OTHER, TASK_DEFINITION): 9, (PLACE, SERVICE): 9}, *counts)
        assert problem.place == PLACE
        assert "counts 7 ACTIVE task definitions, but only 6 were read" in problem.reason
    (problem,) = incompleteness_problems({key: 6}, {key: 6, (PLACE, SERVICE): 1}, {key: 6})
    assert "counts 1 services, but only 0 were read" in problem.reason


def test_more_read_than_counted_is_none() -> None:
    key = (PLACE, TASK_DEFINITION)
    assert incompleteness_problems({key: 7, (OTHER, SERVICE): 1}, {key: 6}, {key: 7}) == []


@pytest.mark.parametrize(
    ("read", "expected", "collapsed"),
    [
        (0, 3, True),
        (1, 4, True),
        (49, 100, True),
        (0, 2, False),
        (2, 4, False),
        (50, 100, False),
        (3, 6, False),
        (2, 5, True),
        (100, 100, False),
        (5, 0, False),
        (0, -7, False),
    ],
)
def test_a_collapse_is_three_or_more_missing_and_more_than_half(read: int, expected: int, collapsed: bool) -> None:
    assert has_collapsed(read, expected) is collapsed


def test_a_collapse_says_when_it_lapses_and_what_ends_it_at_once() -> None:
    problem = collapse_problem(
        PLACE, read=1, expected=9, counted_at=NOW, lapses_at=NOW + timedelta(days=7), command="aws something"
    )
    assert problem.place == PLACE
    assert "shows 1 ACTIVE task definitions where, after 2030-01-31T12:00:00Z" in problem.reason
    assert "9 are expected" in problem.reason
    assert "aws something" in problem.repair
    assert "2030-02-07T12:00:00Z" in problem.repair


def test_one_problem_per_place_with_an_example() -> None:
    late = [registration(90), registration(90, f"{ARN}1"), registration(90, place=OTHER)]
    problems = lag_problems(late, max_lag=LAG)
    assert [problem.place for problem in problems] == [PLACE, OTHER]
    assert "2 task definition(s)" in problems[0].reason
    assert ARN in problems[0].reason
