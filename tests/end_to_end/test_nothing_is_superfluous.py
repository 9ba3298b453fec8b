"""Each part that Terraform made is needed: without it, the main job does not work. And each permission is used."""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ecr_cleanup.check import Check
from ecr_cleanup.image import ImageId, Repository
from end_to_end.installation import (
    DEVELOPMENT,
    DIGEST,
    GRACE,
    HOST,
    MINUTE,
    PREFIX,
    PRODUCTION,
    REGION,
    RUN_CHECKS,
    SCHEDULE_CHECKS,
    SHARED,
    SWEEP,
    TO_ANSWER,
    Installation,
    Watched,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROLES = (
    (SHARED, SCHEDULE_CHECKS),
    (SHARED, RUN_CHECKS),
    (SHARED, SWEEP),
    (SHARED, DIGEST),
    (SHARED, f"{PREFIX}-scheduler"),
    (PRODUCTION, f"{PREFIX}-forward-{REGION}"),
)
# What a function does only when it starts.
NEEDED_ONCE = ("logs:CreateLogStream", "ecr:RegisterPullTimeUpdateExclusion")
HOUR = timedelta(hours=1)
_SECONDS = itertools.cycle(range(1, 60))


def works(installation: Installation) -> bool:
    """Whether an unused image is removed in time, though the next version is in use, and leaves no schedule behind."""
    before = set(installation.schedules())
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    old = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1")
    installation.push(repository, "v2")
    installation.aws.advance(MINUTE)
    installation.deployed(PRODUCTION, f"{HOST}/{repository}:v2")
    installation.deregister(old)
    installation.aws.advance(GRACE + TO_ANSWER)
    return not installation.exists(repository, digest) and set(installation.schedules()) <= before


def everything(installation: Installation) -> bool:
    """A story that needs every permission of every role; whether all images are gone in the end."""
    aws = installation.aws
    repository = installation.repository()
    image = f"{HOST}/{repository}"
    digests = {tag: installation.push(repository, tag) for tag in ("moved", "large", "used")}
    # The owner of this one does not want to lose anything for good.
    careful = installation.repository(steered={"action": "archive"})
    archived = installation.push(careful, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{careful}:v1"))
    moved, later = (installation.register(PRODUCTION, f"{image}:moved") for _ in range(2))
    used, still = (installation.register(PRODUCTION, f"{image}:used") for _ in range(2))
    environment = [{"name": f"N{number}", "value": "x" * 1000} for number in range(120)]
    large = installation.deployed(PRODUCTION, f"{image}:large", environment=environment)
    # The last one's event carries no images, so the aggregator is asked.
    for arn in (moved, used, large):
        installation.deregister(arn)
    aws.advance(HOUR)
    # A later use puts the check of `moved` off.
    installation.deregister(later)
    # A check that comes early and is postponed puts its own schedule off.
    aws.faults.fail_source(DEVELOPMENT, REGION)
    early = Check(ImageId(Repository(SHARED, REGION, repository), digests["large"]), "test", attempt=10)
    url = installation.queue_url("checks")
    installation.client("sqs").send_message(QueueUrl=url, MessageBody=early.to_json())
    aws.advance(TO_ANSWER)
    aws.faults.heal_source(DEVELOPMENT, REGION)
    # `used` is checked, and kept; its schedule is still there when its last user goes.
    aws.behaviour.schedule_removal_delay = timedelta(minutes=10)
    aws.advance(GRACE - HOUR)
    installation.deregister(still)
    # `moved` is checked when nothing can be trusted; its schedule is still there when it is postponed.
    aws.faults.fail_source(DEVELOPMENT, REGION)
    aws.advance(HOUR)
    aws.faults.heal_source(DEVELOPMENT, REGION)
    aws.advance(2 * GRACE)
    aws.behaviour.schedule_removal_delay = timedelta()
    # A sweep finds a registration that the aggregator shows by now, and an image that was never deployed.
    another = installation.repository()
    installation.push(another, "v1")
    installation.push(another, "v2")
    installation.register(PRODUCTION, f"{HOST}/{another}:v1")
    aws.advance(timedelta(days=15))
    installation.sweep()
    return installation.status(careful, archived) == "ARCHIVED" and not any(
        installation.exists(repository, digest) for digest in digests.values()
    )


@contextmanager
def started_anew(installation: Installation) -> Iterator[None]:
    """The functions in new environments, as after any change of their configuration."""
    client = installation.client("lambda")
    timeouts = {
        function: client.get_function_configuration(FunctionName=function)["Timeout"]
        for function in (SCHEDULE_CHECKS, RUN_CHECKS, SWEEP, DIGEST)
    }
    for function, timeout in timeouts.items():
        client.update_function_configuration(FunctionName=function, Timeout=timeout - next(_SECONDS))
    yield
    for function, timeout in timeouts.items():
        client.update_function_configuration(FunctionName=function, Timeout=timeout)


def policy_of(installation: Installation, account: str, role: str) -> dict[str, Any]:
    """The one policy that a role of the module has."""
    iam = installation.client("iam", account)
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document: dict[str, Any] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return document


@contextmanager
def another_policy(installation: Installation, account: str, role: str, document: dict[str, Any]) -> Iterator[None]:
    iam = installation.client("iam", account)
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    original = policy_of(installation, account, role)
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(original))


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def without(document: dict[str, Any], action: str) -> dict[str, Any]:
    statements = [
        statement | {"Action": [each for each in as_list(statement["Action"]) if each != action]}
        for statement in document["Statement"]
    ]
    statements = [statement for statement in statements if statement["Action"]]
    # A policy must say something.
    nothing = {"Sid": "Nothing", "Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
    return document | {"Statement": statements or [nothing]}


# The parts


@contextmanager
def bus_policy_gone(installation: Installation) -> Iterator[None]:
    events = installation.client("events")
    policy = json.loads(events.describe_event_bus(Name=PREFIX)["Policy"])
    for statement in policy["Statement"]:
        events.remove_permission(EventBusName=PREFIX, StatementId=statement["Sid"])
    yield
    events.put_permission(EventBusName=PREFIX, Policy=json.dumps(policy))


def rule_disabled(
    account: str, bus: str, rule: str = "task-definitions"
) -> Callable[[Installation], AbstractContextManager[None]]:
    @contextmanager
    def broken(installation: Installation) -> Iterator[None]:
        events = installation.client("events", account)
        events.disable_rule(Name=f"{PREFIX}-{rule}", EventBusName=bus)
        yield
        events.enable_rule(Name=f"{PREFIX}-{rule}", EventBusName=bus)

    return broken


@contextmanager
def pushes_unheard(installation: Installation) -> Iterator[None]:
    """Where the accounts are asked, what was pushed when need not be known of ECS."""
    with installation.configured(READER_ROLE_NAME=""), rule_disabled(SHARED, "default", "image-pushes")(installation):
        yield


def queue_policy_gone(name: str) -> Callable[[Installation], AbstractContextManager[None]]:
    @contextmanager
    def broken(installation: Installation) -> Iterator[None]:
        sqs, url = installation.client("sqs"), installation.queue_url(name)
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
        statements = json.loads(policy)["Statement"]
        denying = [statement for statement in statements if statement["Effect"] == "Deny"]
        assert len(denying) < len(statements), "this queue needs no policy that allows"
        document = json.dumps({"Version": "2012-10-17", "Statement": denying})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
        yield
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    return broken


@contextmanager
def target_without_role(installation: Installation) -> Iterator[None]:
    events = installation.client("events", PRODUCTION)
    rule = f"{PREFIX}-task-definitions"
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    events.put_targets(Rule=rule, Targets=[{key: value for key, value in target.items() if key != "RoleArn"}])
    yield
    events.put_targets(Rule=rule, Targets=[target])


def trust_gone(account: str, role: str) -> Callable[[Installation], AbstractContextManager[None]]:
    @contextmanager
    def broken(installation: Installation) -> Iterator[None]:
        iam = installation.client("iam", account)
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        statements = [statement | {"Principal": {"Service": "ec2.amazonaws.com"}} for statement in trust["Statement"]]
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust | {"Statement": statements}))
        yield
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))

    return broken


def mapping_disabled(function: str) -> Callable[[Installation], AbstractContextManager[None]]:
    @contextmanager
    def broken(installation: Installation) -> Iterator[None]:
        client = installation.client("lambda")
        arn = client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        (mapping,) = client.list_event_source_mappings(FunctionName=arn)["EventSourceMappings"]
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    return broken


@contextmanager
def completed_schedules_stay(installation: Installation) -> Iterator[None]:
    """As if the functions did not ask for the removal of a schedule that fired."""
    scheduler = installation.client("scheduler")
    installation.aws.faults.keeps_completed_schedules = True
    yield
    installation.aws.faults.keeps_completed_schedules = False
    for name in installation.schedules():
        scheduler.delete_schedule(GroupName=PREFIX, Name=name)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(bus_policy_gone, id="bus policy"),
        pytest.param(rule_disabled(PRODUCTION, "default"), id="forwarding rule"),
        pytest.param(rule_disabled(SHARED, PREFIX), id="central rule"),
        pytest.param(pushes_unheard, id="rule for pushes, without live usage"),
        pytest.param(queue_policy_gone("events"), id="policy of the events queue"),
        pytest.param(target_without_role, id="role of the forwarding target"),
        pytest.param(trust_gone(PRODUCTION, f"{PREFIX}-forward-{REGION}"), id="trust of the forwarding role"),
        pytest.param(trust_gone(SHARED, f"{PREFIX}-scheduler"), id="trust of the scheduler's role"),
        pytest.param(mapping_disabled(SCHEDULE_CHECKS), id="event source mapping of schedule_checks"),
        pytest.param(mapping_disabled(RUN_CHECKS), id="event source mapping of run_checks"),
        pytest.param(completed_schedules_stay, id="ActionAfterCompletion"),
    ],
)
def test_the_main_job_needs(
    applied: Installation, broken: Callable[[Installation], AbstractContextManager[None]]
) -> None:
    with broken(applied):
        assert not works(applied)
    clean_up(applied)


def test_the_main_job_works_with_all_of_them(installation: Installation) -> None:
    assert works(installation)


def test_the_main_job_works_without_live_usage(installation: Installation) -> None:
    with installation.configured(READER_ROLE_NAME=""):
        assert works(installation)


def test_the_main_job_uses_every_permission_and_needs_no_other(installation: Installation) -> None:
    with started_anew(installation), installation.watched() as watched:
        assert everything(installation)
    for account, role in ROLES:
        granted = {
            (statement["Sid"], action)
            for statement in policy_of(installation, account, role)["Statement"]
            for action in as_list(statement["Action"])
        }
        assert granted - used(watched, account, role) == set()


@pytest.mark.slow
def test_no_permission_can_be_taken_away(applied: Installation) -> None:
    for account, role in ROLES:
        document = policy_of(applied, account, role)
        for action in sorted({each for statement in document["Statement"] for each in as_list(statement["Action"])}):
            start = started_anew(applied) if action in NEEDED_ONCE else nullcontext()
            # Asking the accounts takes most of the time, and needs but the one permission.
            live = nullcontext() if action == "sts:AssumeRole" else applied.configured(READER_ROLE_NAME="")
            less = another_policy(applied, account, role, without(document, action))
            with live, less, start, applied.watched() as watched:
                everything(applied)
            refused = {call.operation for call in watched.denied if f"/{role}/" in call.principal_arn}
            assert refused, f"{role} does without {action}"
            clean_up(applied)


def test_a_check_that_cannot_be_delivered_is_not_lost(applied: Installation) -> None:
    role = f"{PREFIX}-scheduler"
    document = policy_of(applied, SHARED, role)
    dead_letters = f"arn:aws:sqs:{REGION}:{SHARED}:{PREFIX}-schedules-dead-letter"
    only = document | {"Statement": [statement | {"Resource": dead_letters} for statement in document["Statement"]]}
    repository = applied.repository()
    digest = applied.push(repository, "v1")
    with another_policy(applied, SHARED, role, only):
        applied.deregister(applied.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
        applied.aws.advance(3 * GRACE)
    # Checks of what other tests left in the archive, and digests, may have come due meanwhile.
    bodies = [body for body in applied.take_messages("schedules-dead-letter") if "image" in json.loads(body)]
    (body,) = (body for body in bodies if Check.from_json(body).image_id.digest == digest)
    assert applied.exists(repository, digest)
    # As a person would, after the repair.
    applied.client("sqs").send_message(QueueUrl=applied.queue_url("checks"), MessageBody=body)
    applied.aws.advance(TO_ANSWER)
    assert not applied.exists(repository, digest)
    clean_up(applied)


def used(watched: Watched, account: str, role: str) -> set[tuple[str, str]]:
    """The permissions of a role that calls made use of."""
    return {
        (sid, grant.action)
        for call in watched.calls
        if f":{account}:assumed-role/{role}/" in call.principal_arn
        for grant in call.grants
        for sid in grant.statements
    }


def clean_up(installation: Installation) -> None:
    """After something was broken on purpose: let all retries end, and empty the dead-letter queues."""
    installation.aws.faults.clear()
    installation.aws.advance(timedelta(days=3))
    installation.aws.lost_events.clear()
    for queue in (
        "events-dead-letter",
        "checks-dead-letter",
        "schedules-dead-letter",
        "sweeps-dead-letter",
        "digests-dead-letter",
    ):
        installation.take_messages(queue)
    for account in (PRODUCTION, DEVELOPMENT):
        installation.take_messages("forward-dead-letter", account)
