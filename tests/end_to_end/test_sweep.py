"""The sweep through Terraform: what no event tells of is found, watched for a grace period, and removed or kept."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from ecr_cleanup.check import Check
from ecr_cleanup.image import ImageId, Repository
from end_to_end.conftest import REPORTS
from end_to_end.installation import (
    GRACE,
    HOST,
    MINUTE,
    PREFIX,
    PRODUCTION,
    RECORDED,
    REGION,
    SHARED,
    SWEEP,
    TO_ANSWER,
    Installation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from end_to_end.installation import Watched


def pending(installation: Installation, repository: str, digest: str) -> bool:
    """Whether a check of the image is scheduled."""
    check = Check(ImageId(Repository(SHARED, REGION, repository), digest), "")
    return check.schedule_name in installation.schedules()


@contextmanager
def unheard(installation: Installation) -> Iterator[None]:
    """Every event of a block is lost."""
    installation.aws.faults.lose_events(1000)
    yield
    installation.aws.run_until_idle()
    installation.aws.faults.clear()
    installation.aws.lost_events.clear()


def test_finds_what_no_event_told_of_and_keeps_what_is_used(installation: Installation) -> None:
    aws = installation.aws

    # From before the installation: nothing of it is in the ledger.
    old = installation.repository(imageTagMutability="IMMUTABLE")
    with unheard(installation):
        from_before = installation.push(old, "v1")
        installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{old}:v1"))

    never = installation.repository(imageTagMutability="IMMUTABLE")
    never_deployed = installation.push(never, "v1")

    lost = installation.repository(imageTagMutability="IMMUTABLE")
    event_lost = installation.push(lost, "v1")
    arn = installation.deployed(PRODUCTION, f"{HOST}/{lost}:v1")
    with unheard(installation):
        installation.deregister(arn)

    moved = installation.repository()
    pinned, left_behind = installation.push(moved, "latest"), installation.push(moved, "other")
    arn = installation.deployed(PRODUCTION, f"{HOST}/{moved}:latest")
    ecs = installation.client("ecs", PRODUCTION)
    ecs.create_cluster(clusterName="sweep")
    ecs.create_service(cluster="sweep", serviceName="pinned", taskDefinition=arn, desiredCount=1)
    aws.advance(RECORDED)
    installation.push(moved, "latest")
    installation.push(moved, "other")

    aws.advance(timedelta(days=16))
    late = installation.repository(imageTagMutability="IMMUTABLE")
    deployed_late = installation.push(late, "v1")
    aws.advance(timedelta(days=15))

    with installation.watched() as watched:
        installation.sweep()
    assert not removals(watched)
    found = {
        (old, from_before),
        (never, never_deployed),
        (lost, event_lost),
        (moved, left_behind),
        (late, deployed_late),
    }
    everything = {*found, (moved, pinned)}
    assert {each for each in everything if pending(installation, *each)} == found

    aws.advance(timedelta(hours=1))
    installation.register(PRODUCTION, f"{HOST}/{late}:v1")
    aws.advance(GRACE - timedelta(hours=1) - TO_ANSWER - MINUTE)
    assert {each for each in everything if installation.exists(*each)} == everything
    aws.advance(TO_ANSWER + 5 * MINUTE)
    assert {each for each in everything if installation.exists(*each)} == {(late, deployed_late), (moved, pinned)}
    assert installation.verdicts(deployed_late)[-1]["rule"] == "in_use"

    ecs.update_service(cluster="sweep", service="pinned", desiredCount=0)
    ecs.delete_service(cluster="sweep", service="pinned", force=True)


def test_a_sweep_leaves_its_report(installation: Installation) -> None:
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    line = installation.sweep()
    assert line["reports"] == [f"s3://{REPORTS}/ecr-cleanup/report.{ending}" for ending in ("json", "html")]
    s3 = installation.client("s3")
    objects = [s3.get_object(Bucket=REPORTS, Key=report.split("/", 3)[3]) for report in line["reports"]]
    document, page = (found["Body"].read().decode() for found in objects)
    assert [found["ContentType"] for found in objects] == ["application/json", "text/html; charset=utf-8"]
    report = json.loads(document)
    assert digest in {image["digest"] for image in report["images"]}
    assert report["totals"]["images"] == len(report["images"]) == line["images"]
    # The page is what Terraform put there, with the charts and the report in it.
    assert digest in page
    assert "Chart.js" in page


def test_the_schedule_begins_a_sweep(installation: Installation) -> None:
    scheduler = installation.client("scheduler")
    schedule = scheduler.get_schedule(GroupName=PREFIX, Name="sweep")
    names = ("GroupName", "Name", "FlexibleTimeWindow", "ScheduleExpressionTimezone", "State", "Target")
    kept = {name: schedule[name] for name in names}
    before = len(installation.aws.invocations(SWEEP))
    scheduler.update_schedule(**kept, ScheduleExpression="rate(1 day)")
    installation.aws.advance(timedelta(days=2, minutes=10))
    scheduler.update_schedule(**kept, ScheduleExpression="rate(9999 days)")
    runs = installation.aws.invocations(SWEEP)[before:]
    assert [run.error for run in runs] == [None, None]
    assert sum(line.get("message") == "sweep finished" for run in runs for line in run.log) == 2


def test_a_sweep_that_is_interrupted_twice_loses_and_repeats_nothing(installation: Installation) -> None:
    repositories = {installation.repository(imageTagMutability="IMMUTABLE") for _ in range(4)}
    images = {(repository, installation.push(repository, "v1")) for repository in repositories}
    installation.aws.advance(timedelta(days=15))
    before = len(installation.aws.invocations(SWEEP))
    faults = installation.aws.faults

    def die() -> None:
        faults.kill_function(SWEEP, at_call=1)

    for number in (2, 6):
        faults.before_call(
            "scheduler",
            "CreateSchedule",
            lambda: faults.kill_function(SWEEP, at_call=1),
            at_call=number,
            function=SWEEP,
        )
    with installation.watched() as watched:
        line = installation.sweep(within=timedelta(hours=6))
    assert {each for each in images if pending(installation, *each)} == images
    runs = installation.aws.invocations(SWEEP)[before:]
    assert [run.error is None for run in runs] == [False, False, True]
    swept = [each["repository"] for run in runs for each in run.log if each.get("message") == "repository swept"]
    assert len(swept) == len(set(swept)) == line["repositories"]
    assert set(swept) >= repositories
    assert line["runs"] == 3
    assert watched.denied == []
    installation.aws.advance(GRACE + 5 * MINUTE)
    assert not {each for each in images if installation.exists(*each)}


def removals(watched: Watched) -> set[str]:
    """The calls of ECR that a sweep must not make."""
    made = {call.operation for call in watched.calls if call.function == SWEEP and call.service == "ecr"}
    return made - {"DescribeImages", "DescribeRepositories"}
