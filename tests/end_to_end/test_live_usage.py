"""What runs keeps its image, whatever tag it was deployed under; and who may ask what runs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.check import Check
from ecr_cleanup.image import ImageId, Repository
from end_to_end.installation import (
    DEVELOPMENT,
    GRACE,
    HOST,
    PREFIX,
    PRODUCTION,
    REGION,
    RUN_CHECKS,
    SCHEDULE_CHECKS,
    SHARED,
    TO_ANSWER,
    Installation,
)
from local_aws.images import push_build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READER = f"{PREFIX}-reader-{REGION}"
READER_ARN = f"arn:aws:iam::{PRODUCTION}:role/{READER}"
BUS_ARN = f"arn:aws:events:{REGION}:{SHARED}:event-bus/{PREFIX}"
OLD_ENOUGH = timedelta(days=31)


class Deployment:
    """A service in production that was deployed by the tag `latest`, which has moved on since."""

    def __init__(self, installation: Installation, *also: str, desired: int = 2) -> None:
        self.installation = installation
        self.repository = installation.repository()
        self.image = f"{HOST}/{self.repository}"
        self.ecs = installation.client("ecs", PRODUCTION)
        self.cluster = self.repository.partition("/")[0]
        self.digest = installation.push(self.repository, "latest", *also)
        self.task_definition = installation.deployed(PRODUCTION, f"{self.image}:latest")
        self.ecs.create_cluster(clusterName=self.cluster)
        self.ecs.create_service(
            cluster=self.cluster, serviceName="app", taskDefinition=self.task_definition, desiredCount=desired
        )
        # Longer than the ledger speaks for a registration, if somebody asks.
        installation.aws.advance(timedelta(hours=2))
        self.ask()
        self.newer = installation.push(self.repository, "latest")

    def ask(self, digest: str | None = None) -> dict[str, Any]:
        """Ask for a check of the image that was deployed (or another one), and return the line about it."""
        return ask(self.installation, self.repository, digest or self.digest)

    def replace_tasks(self) -> bool:
        """Let all tasks end as when their hosts fail; whether those that take their place could pull their images."""
        before = len(self.installation.aws.failed_pulls)
        assert len(self.installation.aws.replace_tasks(PRODUCTION, service="app")) > 0
        self.installation.aws.advance(timedelta(minutes=10))
        return len(self.installation.aws.failed_pulls) == before

    def stop(self) -> None:
        """Delete the service and its task definition, as a team does that needs it no more."""
        self.ecs.update_service(cluster=self.cluster, service="app", desiredCount=0)
        self.ecs.delete_service(cluster=self.cluster, service="app", force=True)
        self.installation.deregister(self.task_definition)


@pytest.fixture(scope="module", autouse=True)
def no_digests(applied: Installation) -> Iterator[None]:
    """Most of what passes here is time, and no test here reads the digest of a day."""
    client = applied.client("scheduler")
    schedule = client.get_schedule(GroupName=PREFIX, Name="digest")
    names = ("GroupName", "Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    kept = {name: schedule[name] for name in names}
    client.update_schedule(**{**kept, "ScheduleExpression": "rate(9999 days)"})
    yield
    client.update_schedule(**kept)


@pytest.fixture
def deployment(installation: Installation) -> Iterator[Deployment]:
    deployed = Deployment(installation)
    yield deployed
    deployed.stop()
    installation.aws.advance(timedelta(hours=2))


def ask(installation: Installation, repository: str, digest: str) -> dict[str, Any]:
    """Put a check of an image into the queue, as the README says, and return the line about it."""
    check = Check(ImageId(Repository(SHARED, REGION, repository), digest), "asked by hand", attempt=0)
    installation.client("sqs").send_message(QueueUrl=installation.queue_url("checks"), MessageBody=check.to_json())
    installation.aws.advance(TO_ANSWER)
    return installation.verdicts(digest)[-1]


def an_old_image(installation: Installation, **steered: str) -> tuple[str, str]:
    """An image that was used once, and by nobody for long."""
    repository = installation.repository(steered=steered)
    digest = installation.push(repository, "v1")
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1")
    installation.push(repository, "v2")
    installation.deregister(arn)
    return repository, digest


# The incident: one registry, mutable tags, a tag that moved, and a task that is replaced long after


def test_a_task_is_replaced_100_days_after_its_tag_moved(installation: Installation) -> None:
    deployment = Deployment(installation)
    for _ in range(10):
        installation.aws.advance(timedelta(days=10))
        line = deployment.ask()
        assert (line["verdict"], line["rule"]) == ("keep", "in_use")
        assert line["user_sources"] == ["live"]
        assert "(live: " in line["reason"]
    assert installation.status(deployment.repository, deployment.digest) == "ACTIVE"
    assert deployment.replace_tasks()
    # Nothing but the service kept it.
    deployment.stop()
    installation.aws.advance(timedelta(days=4))
    assert not installation.exists(deployment.repository, deployment.digest)


def test_without_the_role_nothing_is_removed_and_the_reason_names_the_account(deployment: Deployment) -> None:
    installation = deployment.installation
    installation.aws.advance(OLD_ENOUGH)
    repository, digest = an_old_image(installation)
    with without_role(installation, PRODUCTION):
        installation.aws.advance(GRACE + TO_ANSWER)
        for line in (deployment.ask(), ask(installation, repository, digest)):
            assert (line["verdict"], line["rule"]) == ("postpone", "inventory_not_trusted")
            assert f"{PRODUCTION}/{REGION}: what runs there could not be read at sts:AssumeRole" in line["reason"]
            assert "apply the module workload_account there with live_usage = true" in line["reason"]
        assert installation.exists(repository, digest)
        assert deployment.replace_tasks()
        problems = [
            line
            for run in installation.aws.invocations(RUN_CHECKS)
            for line in run.log
            if line.get("message") == "inventory not trusted" and line["account"] == PRODUCTION
        ]
        assert problems
    # The checks come back by themselves.
    installation.aws.advance(timedelta(days=3))
    assert not installation.exists(repository, digest)
    assert installation.exists(deployment.repository, deployment.digest)


@contextmanager
def without_role(installation: Installation, account: str) -> Iterator[None]:
    iam = installation.client("iam", account)
    role = iam.get_role(RoleName=READER)["Role"]
    policy = iam.get_role_policy(RoleName=READER, PolicyName="read")["PolicyDocument"]
    iam.delete_role_policy(RoleName=READER, PolicyName="read")
    iam.delete_role(RoleName=READER)
    # The calls that are refused are what this is about.
    before = len(installation.aws.calls)
    try:
        yield
    finally:
        installation.aws.calls[before:] = [call for call in installation.aws.calls[before:] if call.allowed]
        iam.create_role(RoleName=READER, AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))
        iam.put_role_policy(RoleName=READER, PolicyName="read", PolicyDocument=json.dumps(policy))


def test_with_live_usage_off_it_is_kept_too(deployment: Deployment) -> None:
    deployment.installation.aws.advance(OLD_ENOUGH)
    with deployment.installation.configured(READER_ROLE_NAME=""):
        line = deployment.ask()
        assert (line["verdict"], line["rule"]) == ("keep", "may_be_pinned")
    assert deployment.replace_tasks()


@pytest.mark.parametrize("live", [True, False], ids=["live usage on", "live usage off"])
def test_the_image_has_another_tag_and_another_account_deregisters_that(installation: Installation, live: bool) -> None:
    deployment = Deployment(installation, "sha-abc")
    other = installation.deployed(DEVELOPMENT, f"{deployment.image}:sha-abc")
    installation.aws.advance(OLD_ENOUGH)
    with installation.configured(**({} if live else {"READER_ROLE_NAME": ""})):
        installation.deregister(other)
        installation.aws.advance(GRACE + TO_ANSWER)
        line = installation.verdicts(deployment.digest)[-1]
        assert (line["verdict"], line["rule"]) == ("keep", "in_use" if live else "may_be_pinned")
        assert deployment.replace_tasks()
    # Nothing but the service kept it.
    deployment.stop()
    installation.aws.advance(timedelta(days=4))
    assert not installation.exists(deployment.repository, deployment.digest)


@pytest.mark.parametrize("live", [True, False], ids=["live usage on", "live usage off"])
def test_the_repository_was_made_immutable_in_between(installation: Installation, live: bool) -> None:
    deployment = Deployment(installation, "sha-abc")
    installation.client("ecr").put_image_tag_mutability(
        repositoryName=deployment.repository, imageTagMutability="IMMUTABLE"
    )
    installation.aws.advance(OLD_ENOUGH)
    with installation.configured(**({} if live else {"READER_ROLE_NAME": ""})):
        deployment.ask()
        installation.aws.advance(timedelta(days=3))
        # This is one of the windows that docs/safety.md says live usage closes.
        assert installation.exists(deployment.repository, deployment.digest) is live
        assert deployment.replace_tasks() is live
    deployment.stop()
    installation.aws.advance(timedelta(days=4))


def test_a_deployment_in_progress_can_still_go_back(installation: Installation) -> None:
    deployment = Deployment(installation)
    aws = installation.aws
    next_one = installation.deployed(PRODUCTION, f"{deployment.image}:latest")
    installation.deregister(deployment.task_definition)
    aws.advance(OLD_ENOUGH)
    deployment.ecs.update_service(
        cluster=deployment.cluster,
        service="app",
        taskDefinition=next_one,
        deploymentConfiguration={
            "strategy": "BLUE_GREEN",
            "bakeTimeInMinutes": 1440,
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
        },
    )
    aws.advance(timedelta(hours=2))
    assert deployment.ask()["rule"] == "in_use"
    aws.roll_back_deployment(PRODUCTION, "app")
    aws.advance(timedelta(minutes=10))
    assert deployment.replace_tasks()
    deployment.task_definition = next_one
    deployment.stop()
    aws.advance(timedelta(days=4))
    assert not installation.exists(deployment.repository, deployment.digest)


def test_an_index_stays_while_its_image_for_a_platform_runs(installation: Installation) -> None:
    repository = installation.repository()
    ecr, ecs = installation.client("ecr"), installation.client("ecs", PRODUCTION)
    index = push_build(ecr, repository, ["latest", "v1"])
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:latest")
    ecs.create_cluster(clusterName="builds")
    ecs.create_service(cluster="builds", serviceName="build", taskDefinition=arn, desiredCount=1)
    installation.aws.advance(OLD_ENOUGH)
    push_build(ecr, repository, ["latest"])
    line = ask(installation, repository, index)
    assert (line["verdict"], line["rule"]) == ("keep", "in_use")
    assert installation.aws.replace_tasks(PRODUCTION, service="build")
    installation.aws.advance(timedelta(minutes=10))
    assert not [failed for failed in installation.aws.failed_pulls if repository in failed.image]
    ecs.delete_service(cluster="builds", service="build", force=True)
    installation.deregister(arn)
    installation.aws.advance(timedelta(days=4))
    assert not installation.exists(repository, index)


# Lambda and Batch


def a_function(installation: Installation, image: str) -> Callable[[], object]:
    client = installation.client("lambda", PRODUCTION)
    role = installation.client("iam", PRODUCTION).create_role(
        RoleName="resize",
        AssumeRolePolicyDocument=trust("lambda"),
    )["Role"]["Arn"]
    client.create_function(
        FunctionName="resize", Role=role, PackageType="Image", Code={"ImageUri": image}, Publish=True
    )
    # The next version has another image, and the one before can still be invoked.
    other = installation.repository()
    installation.push(other, "v1")
    client.update_function_code(FunctionName="resize", ImageUri=f"{HOST}/{other}:v1", Publish=True)

    def end() -> None:
        client.delete_function(FunctionName="resize")
        installation.client("iam", PRODUCTION).delete_role(RoleName="resize")

    return end


def a_job_definition(installation: Installation, image: str) -> Callable[[], object]:
    batch = installation.client("batch", PRODUCTION)
    arn = batch.register_job_definition(
        jobDefinitionName="render",
        type="container",
        containerProperties={
            "image": image,
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
        },
    )["jobDefinitionArn"]
    return lambda: batch.deregister_job_definition(jobDefinition=arn)


@pytest.mark.parametrize("consumer", [a_function, a_job_definition])
def test_what_aws_config_does_not_record_keeps_its_image(
    installation: Installation, consumer: Callable[[Installation, str], Callable[[], object]]
) -> None:
    repository, digest = an_old_image(installation)
    end = consumer(installation, f"{HOST}/{repository}:v1")
    installation.aws.advance(GRACE + TO_ANSWER)
    line = installation.verdicts(digest)[-1]
    assert (line["rule"], line["user_sources"]) == ("in_use", ["live"])
    installation.aws.advance(timedelta(days=3))
    assert installation.exists(repository, digest)
    end()
    installation.aws.advance(timedelta(days=3))
    assert not installation.exists(repository, digest)


# Who may ask


def assume(installation: Installation, role: str, **arguments: Any) -> Any:
    """Try to assume the reader role under one of the shared account's roles."""
    session, keys = installation.aws._world.identity.function_session(
        f"arn:aws:iam::{SHARED}:role/{role}", role.removeprefix("arn:")
    )
    assert session
    sts: Any = installation.aws.session(SHARED).client(
        "sts",
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.session_token,
    )
    return sts.assume_role(**{"RoleArn": READER_ARN, "RoleSessionName": "test", "ExternalId": BUS_ARN} | arguments)


def test_only_the_checking_function_gets_in(applied: Installation) -> None:
    assert assume(applied, RUN_CHECKS)["Credentials"]
    refused: list[Callable[[], Any]] = [
        lambda: assume(applied, SCHEDULE_CHECKS),
        lambda: assume(applied, RUN_CHECKS, ExternalId="arn:aws:events:eu-central-1:999999999999:event-bus/other"),
        lambda: applied.client("sts").assume_role(RoleArn=READER_ARN, RoleSessionName="test", ExternalId=BUS_ARN),
        lambda: applied.client("sts", DEVELOPMENT).assume_role(
            RoleArn=READER_ARN, RoleSessionName="test", ExternalId=BUS_ARN
        ),
        lambda: assume(applied, RUN_CHECKS, RoleArn=f"arn:aws:iam::{PRODUCTION}:role/OrganizationAccountAccessRole"),
    ]
    for attempt in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def trust(*services: str) -> str:
    principal = {"Service": [f"{service}.amazonaws.com" for service in services]}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def one_of_everything(installation: Installation, deployment: Deployment) -> Iterator[None]:
    """Whatever a reader can find, in production: none of it uses the image of the deployment."""
    ecs, events, functions, iam, scheduler = (
        installation.client(service, PRODUCTION) for service in ("ecs", "events", "lambda", "iam", "scheduler")
    )
    repository = installation.repository()
    installation.push(repository, "v1")
    image = f"{HOST}/{repository}:v1"
    role = iam.create_role(RoleName="everything", AssumeRolePolicyDocument=trust("lambda", "scheduler"))["Role"]["Arn"]
    functions.create_function(FunctionName="any", Role=role, PackageType="Image", Code={"ImageUri": image})
    job = a_job_definition(installation, image)
    cluster = f"arn:aws:ecs:{REGION}:{PRODUCTION}:cluster/{deployment.cluster}"
    inactive = installation.deployed(PRODUCTION, image)
    target = {"Id": "ecs", "Arn": cluster, "RoleArn": role, "EcsParameters": {"TaskDefinitionArn": inactive}}
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)", State="DISABLED")
    events.put_targets(Rule="nightly", Targets=[target])
    scheduler.create_schedule(
        Name="nightly",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        State="DISABLED",
        Target={name: value for name, value in target.items() if name != "Id"},
    )
    installation.deregister(inactive)
    daemon_definition = ecs.register_daemon_task_definition(
        family="agent", containerDefinitions=[{"name": "agent", "image": image, "memory": 64}]
    )["daemonTaskDefinitionArn"]
    daemon = ecs.create_daemon(
        daemonName="agent",
        clusterArn=cluster,
        daemonTaskDefinitionArn=daemon_definition,
        capacityProviderArns=[f"arn:aws:ecs:{REGION}:{PRODUCTION}:capacity-provider/managed"],
    )["daemonArn"]
    installation.aws.advance(OLD_ENOUGH)
    # In progress until its bake time is over.
    ecs.update_service(
        cluster=deployment.cluster,
        service="app",
        forceNewDeployment=True,
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1440},
    )
    installation.aws.advance(timedelta(minutes=10))
    yield
    functions.delete_function(FunctionName="any")
    iam.delete_role(RoleName="everything")
    job()
    events.remove_targets(Rule="nightly", Ids=["ecs"])
    events.delete_rule(Name="nightly")
    scheduler.delete_schedule(Name="nightly")
    ecs.delete_daemon(daemonArn=daemon)
    ecs.delete_daemon_task_definition(daemonTaskDefinition=daemon_definition)


def change_what_is_remembered(installation: Installation) -> None:
    """A function and a schedule are asked for again only once they were changed."""
    repository = installation.repository()
    installation.push(repository, "v1")
    installation.client("lambda", PRODUCTION).update_function_code(
        FunctionName="any", ImageUri=f"{HOST}/{repository}:v1"
    )
    scheduler = installation.client("scheduler", PRODUCTION)
    schedule = scheduler.get_schedule(Name="nightly")
    names = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "State", "Target")
    scheduler.update_schedule(**{name: schedule[name] for name in names})


@pytest.fixture
def everything(applied: Installation) -> Iterator[Deployment]:
    """One of each consumer that a reader asks about, and an image that nothing of them uses."""
    deployment = Deployment(applied)
    with one_of_everything(applied, deployment):
        change_what_is_remembered(applied)
        yield deployment
    deployment.stop()
    applied.aws.advance(timedelta(days=4))
    assert not applied.exists(deployment.repository, deployment.digest)


def reader_policy(applied: Installation) -> dict[str, Any]:
    document: dict[str, Any] = applied.client("iam", PRODUCTION).get_role_policy(RoleName=READER, PolicyName="read")[
        "PolicyDocument"
    ]
    return document


def test_the_reader_role_uses_each_of_its_permissions(applied: Installation, everything: Deployment) -> None:
    actions = {action for each in reader_policy(applied)["Statement"] for action in as_list(each["Action"])}
    with applied.watched() as watched:
        assert everything.ask()["rule"] == "in_use"
    assert watched.denied == []
    used = {grant.action for call in watched.calls if f"/{READER}/" in call.principal_arn for grant in call.grants}
    assert used == actions


@pytest.mark.slow
def test_the_reader_role_needs_each_of_its_permissions(applied: Installation, everything: Deployment) -> None:
    iam = applied.client("iam", PRODUCTION)
    document = reader_policy(applied)
    actions = {action for statement in document["Statement"] for action in as_list(statement["Action"])}
    # It stays, so that it can be asked about again and again.
    unused = an_old_image(applied, action="report")
    assert ask(applied, *unused)["rule"] == "unused"
    for action in sorted(actions):
        statements = [
            statement | {"Action": [each for each in as_list(statement["Action"]) if each != action]}
            for statement in document["Statement"]
        ]
        change_what_is_remembered(applied)
        less = document | {"Statement": [statement for statement in statements if statement["Action"]]}
        iam.put_role_policy(RoleName=READER, PolicyName="read", PolicyDocument=json.dumps(less))
        try:
            line = ask(applied, *unused)
        finally:
            iam.put_role_policy(RoleName=READER, PolicyName="read", PolicyDocument=json.dumps(document))
        assert line["rule"] == "inventory_not_trusted", action
        assert f"at {action}: " in line["reason"]
        assert f"let {READER_ARN} call {action}" in line["reason"]
