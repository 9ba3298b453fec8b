"""A registry and its workloads on local AWS, as large as wanted, and the environment of the functions there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ecr_cleanup.chunks import chunks
from function_environment import SWEEP_ENVIRONMENT
from invocations import create_ledger_table
from local_aws import LocalAws
from local_aws.images import StoredBefore, put_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHARED, WORKLOAD, REGION = "111111111111", "222222222222", "eu-central-1"
REPOSITORY = "bench"
IMAGE = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}"
_TO_SETTLE = timedelta(minutes=30)
_OLD, _YOUNG = timedelta(days=200), timedelta(days=5)
# Services of the one family would not get far: each has a revision for a hundred releases.
_REVISIONS = 100


@dataclass(frozen=True)
class Size:
    """So many images in one repository, and so many ACTIVE task definitions of one image each."""

    images: int
    definitions: int

    @property
    def removable(self) -> int:
        """One image of a hundred is old and unused."""
        return max(10, self.images // 100)

    @property
    def used(self) -> int:
        """The task definitions use nine images of ten, as far as there are enough of them."""
        return min(self.definitions, self.images * 9 // 10)


@dataclass(frozen=True)
class Place:
    """What was made: the environment of a function, and digests by what should become of the images."""

    aws: LocalAws
    environment: dict[str, str]
    used: frozenset[str]
    removable: frozenset[str]

    def left(self) -> set[str]:
        """The digests that are still in the repository."""
        pages = (
            self.aws.session(SHARED)
            .client("ecr")
            .get_paginator("list_images")
            .paginate(repositoryName=REPOSITORY, PaginationConfig={"PageSize": 1000})
        )
        return {image["imageDigest"] for page in pages for image in page["imageIds"]}


@contextmanager
def local_place(size: Size) -> Iterator[Place]:
    """A local AWS with it. Used and removable images are old, all others were pushed five days ago."""
    # The functions go by the time of the machine, and Config shows what it records some minutes later.
    with LocalAws(start=datetime.now(UTC) - _TO_SETTLE) as aws:
        aws.create_account(SHARED)
        aws.create_account(WORKLOAD)
        _make_installation(aws)
        _record(aws)
        aws.advance(_TO_SETTLE)
        now = datetime.now(UTC)
        tags = [f"v{number}" for number in range(size.images)]
        ages = [_OLD if number < size.used + size.removable else _YOUNG for number in range(size.images)]
        images = (StoredBefore([tag], pushed_at=now - age) for tag, age in zip(tags, ages, strict=True))
        digests = put_many(SHARED, REGION, REPOSITORY, images)
        aws.register_many(
            WORKLOAD,
            (
                (f"family-{number // _REVISIONS}", [f"{IMAGE}:v{number % size.used}"])
                for number in range(size.definitions)
            ),
        )
        yield Place(
            aws,
            {
                **aws.terraform_environment(SHARED),
                **SWEEP_ENVIRONMENT,
                **_role(aws),
                "AWS_DEFAULT_REGION": REGION,
                "REGISTRY_REGIONS": REGION,
                "WORKLOAD_ACCOUNT_IDS": WORKLOAD,
                "TAGS_NEVER_MOVE": "true",
                "REMOVALS_PER_DAY": "100000",
                "POWERTOOLS_SERVICE_NAME": "ecr-cleanup",
                "POWERTOOLS_METRICS_NAMESPACE": "EcrCleanup",
                "POWERTOOLS_TRACE_DISABLED": "true",
                "POWERTOOLS_LOG_LEVEL": "WARNING",
                "AWS_LAMBDA_FUNCTION_NAME": "ecr-cleanup-bench",
            },
            frozenset(digests[: size.used]),
            frozenset(digests[size.used : size.used + size.removable]),
        )


def pending_checks(place: Place) -> list[list[str]]:
    """The bodies of the messages that the schedules hold, in batches as the queue makes them."""
    scheduler = place.aws.session(SHARED).client("scheduler")
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName="ecr-cleanup")
    names = [schedule["Name"] for page in pages for schedule in page["Schedules"]]
    bodies = [scheduler.get_schedule(GroupName="ecr-cleanup", Name=name)["Target"]["Input"] for name in names]
    return [list(batch) for batch in chunks(bodies, 100)]


def _make_installation(aws: LocalAws) -> None:
    session = aws.session(SHARED)
    create_ledger_table(session.client("dynamodb"))
    session.client("scheduler").create_schedule_group(Name="ecr-cleanup")
    session.client("events").create_event_bus(Name="ecr-cleanup")
    session.client("iam").create_role(RoleName="ecr-cleanup-scheduler", AssumeRolePolicyDocument=_trust("scheduler"))
    for queue in ("checks", "sweeps", "schedules-dead-letter"):
        session.client("sqs").create_queue(QueueName=f"ecr-cleanup-{queue}")
    session.client("ecr").create_repository(
        repositoryName=REPOSITORY,
        imageTagMutability="IMMUTABLE",
        tags=[{"Key": "ecr-cleanup", "Value": "enabled"}],
    )


def _role(aws: LocalAws) -> dict[str, str]:
    """Of the functions, whose reads of manifests are not to count as pulls."""
    session = aws.session(SHARED)
    name, everything = "ecr-cleanup-bench", {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"AWS": SHARED}, "Action": "sts:AssumeRole"}
    role = session.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    session.client("iam").put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=_policy(everything))
    credentials = session.client("sts").assume_role(RoleArn=role, RoleSessionName="bench")["Credentials"]
    return {
        "FUNCTION_ROLE_ARN": role,
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def _record(aws: LocalAws) -> None:
    """Config records the workload account, and the shared account aggregates that."""
    workload = aws.session(WORKLOAD)
    workload.client("iam").create_role(RoleName="config", AssumeRolePolicyDocument=_trust("config"))
    config = workload.client("config")
    config.put_configuration_recorder(
        ConfigurationRecorder={
            "name": "default",
            "roleARN": f"arn:aws:iam::{WORKLOAD}:role/config",
            "recordingGroup": {"allSupported": True},
        }
    )
    workload.client("s3").create_bucket(
        Bucket="bench-config",
        CreateBucketConfiguration={"LocationConstraint": REGION},  # type: ignore[typeddict-item]
    )
    config.put_delivery_channel(DeliveryChannel={"name": "default", "s3BucketName": "bench-config"})
    config.start_configuration_recorder(ConfigurationRecorderName="default")
    aws.session(SHARED).client("config").put_configuration_aggregator(
        ConfigurationAggregatorName="ecr-cleanup",
        AccountAggregationSources=[{"AccountIds": [WORKLOAD], "AwsRegions": [REGION]}],
    )
    config.put_aggregation_authorization(AuthorizedAccountId=SHARED, AuthorizedAwsRegion=REGION)


def _trust(service: str) -> str:
    return _policy(
        {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )


def _policy(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
