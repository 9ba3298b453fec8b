"""ECR as the whole local AWS offers it: with the permissions of other accounts and of roles, and with events."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.images import PullError, StoredBefore, pull, push_image, push_index, put_many
from local_aws_tests.stack import REGION, SHARED, bodies, events_may_send, function, policy, queue, statement

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

REPOSITORY = f"arn:aws:ecr:eu-central-1:{SHARED}:repository/team/web"


@pytest.fixture
def digest(shared: boto3.Session) -> str:
    ecr = shared.client("ecr")
    ecr.create_repository(repositoryName="team/web", tags=[{"Key": "ecr-cleanup", "Value": "enabled"}])
    return push_image(ecr, "team/web", ["1"])


def test_other_accounts_need_the_repositorys_policy(
    shared: boto3.Session, production: boto3.Session, digest: str
) -> None:
    ecr: Any = production.client("ecr")
    request = {"registryId": SHARED, "repositoryName": "team/web", "imageIds": [{"imageTag": "1"}]}
    with pytest.raises(ClientError, match="no resource-based policy allows the ecr:BatchGetImage action"):
        ecr.batch_get_image(**request)
    entry = statement("ecr:BatchGetImage")
    del entry["Resource"]
    entry["Principal"] = {"AWS": production.client("sts").get_caller_identity()["Account"]}
    shared.client("ecr").set_repository_policy(repositoryName="team/web", policyText=policy(entry))
    assert ecr.batch_get_image(**request)["images"][0]["imageId"]["imageDigest"] == digest
    assert pull(ecr, "team/web", "1", registry=SHARED) == digest
    with pytest.raises(PullError, match="ImageNotFound"):
        pull(ecr, "team/web", "2", registry=SHARED)


@pytest.mark.parametrize(("value", "is_allowed"), [("enabled", True), ("disabled", False)])
def test_condition_on_a_tag_of_the_repository_counts(
    shared: boto3.Session, digest: str, value: str, is_allowed: bool
) -> None:
    source = """
        import boto3
        def handler(event, context):
            ids = [{"imageDigest": event}]
            return boto3.client("ecr").batch_delete_image(repositoryName="team/web", imageIds=ids)["failures"]
    """
    allowed = statement("ecr:BatchDeleteImage", REPOSITORY)
    allowed["Condition"] = {"StringEquals": {"aws:ResourceTag/ecr-cleanup": value}}
    function(shared, source, allowed)
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=f'"{digest}"')
    assert ("FunctionError" not in answer) == is_allowed
    left = shared.client("ecr").list_images(repositoryName="team/web")["imageIds"]
    assert bool(left) != is_allowed


READER = f"arn:aws:iam::{SHARED}:role/worker"
READ = """
    import boto3
    def handler(event, context):
        ids = [{"imageDigest": event}]
        return len(boto3.client("ecr").batch_get_image(repositoryName="team/web", imageIds=ids)["images"])
"""


def pulled_at(session: boto3.Session) -> Any:
    [image] = session.client("ecr").describe_images(repositoryName="team/web")["imageDetails"]
    return image.get("lastRecordedPullTime")


def test_pulls_of_an_excluded_role_are_not_recorded(shared: boto3.Session, digest: str) -> None:
    ecr: Any = shared.client("ecr")
    function(shared, READ, statement("ecr:BatchGetImage", REPOSITORY))
    ecr.register_pull_time_update_exclusion(principalArn=READER)
    invoke = shared.client("lambda").invoke
    assert invoke(FunctionName="worker", Payload=f'"{digest}"')["Payload"].read() == b"1"
    assert pulled_at(shared) is None
    ecr.deregister_pull_time_update_exclusion(principalArn=READER)
    invoke(FunctionName="worker", Payload=f'"{digest}"')
    assert pulled_at(shared) is not None


def test_exclusion_is_of_one_region_and_of_one_role(aws: LocalAws, shared: boto3.Session, digest: str) -> None:
    aws.session(SHARED, "eu-west-1").client("ecr").register_pull_time_update_exclusion(principalArn=READER)
    shared.client("ecr").register_pull_time_update_exclusion(principalArn=f"{READER}-of-others")
    function(shared, READ, statement("ecr:BatchGetImage", REPOSITORY))
    shared.client("lambda").invoke(FunctionName="worker", Payload=f'"{digest}"')
    assert pulled_at(shared) is not None


def test_region_without_exclusions(aws: LocalAws, shared: boto3.Session) -> None:
    aws.behaviour.offers_pull_time_exclusions = False
    with pytest.raises(ClientError, match="UnknownOperationException"):
        shared.client("ecr").register_pull_time_update_exclusion(principalArn=READER)


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("batch_get_image(repositoryName='team/web', imageIds=[{'imageDigest': event}])", "ecr:BatchGetImage"),
        ("list_image_referrers(repositoryName='team/web', subjectId={'imageDigest': event})", "ecr:BatchGetImage"),
        ("describe_repositories(repositoryNames=['team/web'])", "ecr:DescribeRepositories"),
        (
            "update_image_storage_class(repositoryName='team/web', imageId={'imageDigest': event}, **ARCHIVE)",
            "ecr:UpdateImageStorageClass",
        ),
    ],
)
@pytest.mark.parametrize(("value", "is_allowed"), [("enabled", True), ("disabled", False)])
def test_each_action_heeds_the_tag_of_the_repository(
    shared: boto3.Session, digest: str, call: str, action: str, value: str, is_allowed: bool
) -> None:
    allowed = statement(action, REPOSITORY)
    allowed["Condition"] = {"StringEquals": {"aws:ResourceTag/ecr-cleanup": value}}
    source = f"""
        import boto3
        ARCHIVE = {{"targetStorageClass": "ARCHIVE"}}
        def handler(event, context):
            boto3.client("ecr").{call}
    """
    function(shared, source, allowed)
    answer: Any = shared.client("lambda").invoke(FunctionName="worker", Payload=f'"{digest}"')
    assert ("FunctionError" not in answer) == is_allowed
    assert (b"AccessDenied" in answer["Payload"].read()) != is_allowed


@pytest.mark.parametrize(("resource", "is_allowed"), [("*", True), (REPOSITORY, False)])
def test_exclusions_are_no_matter_of_a_repository(shared: boto3.Session, resource: str, is_allowed: bool) -> None:
    source = """
        import boto3
        def handler(event, context):
            boto3.client("ecr").register_pull_time_update_exclusion(principalArn=event)
    """
    function(shared, source, statement("ecr:RegisterPullTimeUpdateExclusion", resource))
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=f'"{READER}"')
    assert ("FunctionError" not in answer) == is_allowed


# Events


@pytest.fixture
def events(aws: LocalAws, shared: boto3.Session, digest: str) -> None:
    """A rule that sends what ECR says to a queue, from after the first push on."""
    aws.run_until_idle()
    client = shared.client("events")
    client.put_rule(Name="ecr", EventPattern=json.dumps({"source": ["aws.ecr"]}))
    may_send = events_may_send(f"arn:aws:events:eu-central-1:{SHARED}:rule/ecr")
    target = queue(shared, "ecr", may_send, VisibilityTimeout="43200")
    client.put_targets(Rule="ecr", Targets=[{"Id": "queue", "Arn": target}])


def heard(aws: LocalAws, session: boto3.Session) -> list[dict[str, Any]]:
    aws.run_until_idle()
    return [json.loads(body) for body in bodies(session, "ecr")]


def told(aws: LocalAws, session: boto3.Session) -> list[tuple[Any, ...]]:
    details = [event["detail"] for event in heard(aws, session)]
    return [(detail["action-type"], detail["image-digest"], detail.get("image-tag")) for detail in details]


@pytest.mark.usefixtures("events")
def test_push_is_an_event(aws: LocalAws, shared: boto3.Session) -> None:
    digest = push_image(shared.client("ecr"), "team/web", ["2"])
    [event] = heard(aws, shared)
    assert (event["source"], event["detail-type"]) == ("aws.ecr", "ECR Image Action")
    assert (event["account"], event["region"], event["resources"]) == (SHARED, "eu-central-1", [])
    assert event["detail"] == {
        "result": "SUCCESS",
        "repository-name": "team/web",
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": "2",
    }


@pytest.mark.usefixtures("events")
def test_push_that_fails_is_no_event(aws: LocalAws, shared: boto3.Session) -> None:
    ecr = shared.client("ecr")
    digest = push_image(ecr, "team/web", ["2"], content="same")
    for tags, content in (["2"], "same"), (["-"], "other"):
        with pytest.raises(ClientError):
            push_image(ecr, "team/web", tags, content=content)
    assert told(aws, shared) == [("PUSH", digest, "2")]


@pytest.mark.parametrize(("is_empty", "shown"), [(False, None), (True, "")])
@pytest.mark.usefixtures("events")
def test_push_without_a_tag_is_an_event(
    aws: LocalAws, shared: boto3.Session, is_empty: bool, shown: str | None
) -> None:
    aws.behaviour.untagged_push_has_empty_tag = is_empty
    ecr = shared.client("ecr")
    child = push_image(ecr, "team/web")
    index = push_index(ecr, "team/web", ["2"], children=[child])
    assert sorted(told(aws, shared), key=str) == sorted([("PUSH", child, shown), ("PUSH", index, "2")], key=str)


@pytest.mark.parametrize("emits", [True, False])
@pytest.mark.usefixtures("events")
def test_tag_that_moves_or_comes_to_an_image_is_an_event(aws: LocalAws, shared: boto3.Session, emits: bool) -> None:
    aws.behaviour.retagging_emits_event = emits
    ecr = shared.client("ecr")
    first = push_image(ecr, "team/web", ["2"], content="first")
    assert told(aws, shared) == [("PUSH", first, "2")]
    second = push_image(ecr, "team/web", ["2"], content="second")
    assert told(aws, shared) == [("PUSH", second, "2")]
    push_image(ecr, "team/web", ["2"], content="first")
    push_image(ecr, "team/web", ["3"], content="first")
    assert set(told(aws, shared)) == ({("PUSH", first, "2"), ("PUSH", first, "3")} if emits else set())


@pytest.mark.usefixtures("events")
def test_restoring_by_a_push_is_an_event(aws: LocalAws, shared: boto3.Session) -> None:
    aws.behaviour.retagging_emits_event = False
    ecr = shared.client("ecr")
    digest = push_image(ecr, "team/web", ["2"], content="same")
    ecr.update_image_storage_class(
        repositoryName="team/web", imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE"
    )
    told(aws, shared)
    push_image(ecr, "team/web", ["2"], content="same")
    assert told(aws, shared) == [("PUSH", digest, "2")]


@pytest.mark.usefixtures("events")
def test_deletion_is_an_event_per_tag(aws: LocalAws, shared: boto3.Session) -> None:
    ecr = shared.client("ecr")
    digest = push_image(ecr, "team/web", ["2", "3"])
    untagged = push_image(ecr, "team/web")
    told(aws, shared)
    ids: Any = [{"imageDigest": digest}, {"imageDigest": untagged}, {"imageTag": "missing"}]
    ecr.batch_delete_image(repositoryName="team/web", imageIds=ids)
    assert set(told(aws, shared)) == {("DELETE", digest, "2"), ("DELETE", digest, "3"), ("DELETE", untagged, None)}


@pytest.mark.usefixtures("events")
def test_faults_strike_events_of_the_registry_too(aws: LocalAws, shared: boto3.Session) -> None:
    ecr = shared.client("ecr")
    aws.faults.lose_events()
    push_image(ecr, "team/web", ["2"])
    assert told(aws, shared) == []
    aws.faults.duplicate_events()
    digest = push_image(ecr, "team/web", ["3"])
    assert told(aws, shared) == [("PUSH", digest, "3")] * 2
    aws.faults.delay_events(timedelta(minutes=2))
    push_image(ecr, "team/web", ["4"])
    aws.advance(timedelta(minutes=1))
    assert told(aws, shared) == []
    aws.advance(timedelta(minutes=1))
    assert len(told(aws, shared)) == 1


def test_image_can_be_dropped_from_under_its_index(aws: LocalAws, shared: boto3.Session, digest: str) -> None:
    ecr = shared.client("ecr")
    index = push_index(ecr, "team/web", ["index"], children=[digest])
    aws.drop_image(SHARED, "team/web", digest)
    [left] = ecr.describe_images(repositoryName="team/web")["imageDetails"]
    assert left["imageDigest"] == index


def test_images_that_were_there_before(shared: boto3.Session, digest: str) -> None:
    ecr = shared.client("ecr")
    pushed, pulled = datetime(2024, 5, 1, 12, 30, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    first, second = put_many(
        SHARED,
        REGION,
        "team/web",
        [StoredBefore(["v1", "latest"], size=5_000, pushed_at=pushed, pulled_at=pulled), StoredBefore()],
    )
    details = {each["imageDigest"]: each for each in ecr.describe_images(repositoryName="team/web")["imageDetails"]}
    assert details.keys() == {digest, first, second}
    shown = details[first]
    assert (shown["imageTags"], shown["imageSizeInBytes"]) == (["v1", "latest"], 5_000)
    assert (shown["imagePushedAt"], shown["lastRecordedPullTime"]) == (pushed, pulled)
    assert "imageTags" not in details[second]
    # They are like any other image.
    assert pull(ecr, "team/web", "latest") == first
    moved = push_image(ecr, "team/web", ["latest"])
    assert pull(ecr, "team/web", "latest") == moved
    deleted = ecr.batch_delete_image(repositoryName="team/web", imageIds=[{"imageDigest": first}])
    assert deleted["imageIds"] == [{"imageDigest": first, "imageTag": "v1"}]


@pytest.mark.timed
def test_a_page_of_100_000_images_takes_little_time(shared: boto3.Session, digest: str) -> None:
    ecr = shared.client("ecr")
    # Of the processor, since this process is all of AWS, and whatever else runs only slows the clock on the wall.
    began = time.process_time()
    digests = put_many(SHARED, REGION, "team/web", (StoredBefore([f"v{number}"]) for number in range(99_999)))
    assert time.process_time() - began < 15
    pages = ecr.get_paginator("describe_images").paginate(
        repositoryName="team/web", PaginationConfig={"PageSize": 1000}
    )
    found: list[str] = []
    times = []
    began = time.process_time()
    for page in pages:
        times.append(time.process_time() - began)
        found += [each["imageDigest"] for each in page["imageDetails"]]
        began = time.process_time()
    assert sorted([digest, *digests]) == found
    assert sorted(times)[len(times) // 2] < 0.3
