from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws import Behaviour, LocalAws
from local_aws_tests.stack import (
    PRODUCTION,
    SHARED,
    bodies,
    events_may_send,
    queue,
    role,
    statement,
    trust,
)

if TYPE_CHECKING:
    import boto3

CENTRAL_BUS = f"arn:aws:events:eu-central-1:{SHARED}:event-bus/central"
CENTRAL_RULE = f"arn:aws:events:eu-central-1:{SHARED}:rule/central/all"
FORWARD_RULE = f"arn:aws:events:eu-central-1:{PRODUCTION}:rule/forward"
PATTERN = json.dumps({"source": ["aws.ecs"]})


def bus_policy(aws: LocalAws, **condition: str) -> str:
    entry: dict[str, Any] = {
        "Sid": "Organization",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": CENTRAL_BUS,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": condition.get("organization", aws.organization_id)}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [entry]})


def central(aws: LocalAws, shared: boto3.Session, *, queue_policy: bool = True) -> None:
    """A bus in the shared account that the organization may use, and a queue behind it."""
    events = shared.client("events")
    events.create_event_bus(Name="central")
    events.put_permission(EventBusName="central", Policy=bus_policy(aws))
    events.put_rule(EventBusName="central", Name="all", EventPattern=json.dumps({"source": [{"exists": True}]}))
    target = queue(shared, "events", events_may_send(CENTRAL_RULE) if queue_policy else None)
    events.put_targets(EventBusName="central", Rule="all", Targets=[{"Id": "queue", "Arn": target}])


def forwarding(production: boto3.Session, **without: bool) -> None:
    """A rule of the workload account that sends what ECS did to the central bus."""
    events: Any = production.client("events")
    events.put_rule(Name="forward", EventPattern=PATTERN)
    trusted = trust("events.amazonaws.com", aws_SourceAccount=PRODUCTION, aws_SourceArn=FORWARD_RULE)
    if without.get("trust"):
        trusted = trust("events.amazonaws.com", aws_SourceAccount=SHARED)
    allowed = [] if without.get("permission") else [statement("events:PutEvents", CENTRAL_BUS)]
    role_arn = role(production, "forward", trusted, *allowed)
    dead = queue(production, "dead", None if without.get("dead_letters") else events_may_send(FORWARD_RULE))
    target = {"Id": "bus", "Arn": CENTRAL_BUS, "RoleArn": role_arn, "DeadLetterConfig": {"Arn": dead}}
    if without.get("role"):
        del target["RoleArn"]
    events.put_targets(Rule="forward", Targets=[target])


def deploy(session: boto3.Session, family: str = "web") -> str:
    definition = session.client("ecs").register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": "image:1", "memory": 64}]
    )
    arn: str = definition["taskDefinition"]["taskDefinitionArn"]
    return arn


def test_event_of_another_account_reaches_the_central_queue(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session
) -> None:
    central(aws, shared)
    forwarding(production)
    arn = deploy(production)
    aws.run_until_idle()
    [body] = bodies(shared, "events")
    event = json.loads(body)
    assert (event["account"], event["region"]) == (PRODUCTION, "eu-central-1")
    assert (event["source"], event["detail-type"]) == ("aws.ecs", "AWS API Call via CloudTrail")
    assert (event["version"], event["resources"]) == ("0", [])
    detail = event["detail"]
    assert (detail["eventSource"], detail["eventName"]) == ("ecs.amazonaws.com", "RegisterTaskDefinition")
    assert detail["responseElements"]["taskDefinition"]["taskDefinitionArn"] == arn
    assert detail["responseElements"]["taskDefinition"]["containerDefinitions"][0]["image"] == "image:1"
    assert detail["userIdentity"]["accountId"] == detail["recipientAccountId"] == PRODUCTION
    assert "errorCode" not in detail
    [forwarded] = [call for call in aws.calls if call.operation == "PutEvents"]
    assert forwarded.principal_arn == f"arn:aws:sts::{PRODUCTION}:assumed-role/forward/events"


@pytest.mark.parametrize("without", ["trust", "permission", "role"])
def test_target_role_is_enforced(aws: LocalAws, shared: boto3.Session, production: boto3.Session, without: str) -> None:
    central(aws, shared)
    forwarding(production, **{without: True})
    deploy(production)
    aws.run_until_idle()
    assert bodies(shared, "events") == []
    assert len(bodies(production, "dead")) == 1
    assert aws.lost_events == []


def test_dead_letter_queue_needs_a_policy_too(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    central(aws, shared)
    forwarding(production, trust=True, dead_letters=True)
    deploy(production)
    aws.run_until_idle()
    assert bodies(production, "dead") == []
    [lost] = aws.lost_events
    assert (lost.source_arn, lost.target_arn) == (FORWARD_RULE, CENTRAL_BUS)
    assert "dead-letter queue" in lost.reason


@pytest.mark.parametrize("organization", [None, "o-another"])
def test_bus_policy_is_enforced(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session, organization: str | None
) -> None:
    central(aws, shared)
    forwarding(production)
    events = shared.client("events")
    if organization:
        events.put_permission(EventBusName="central", Policy=bus_policy(aws, organization=organization))
    else:
        events.remove_permission(EventBusName="central", RemoveAllPermissions=True)
    deploy(production)
    aws.run_until_idle()
    assert bodies(shared, "events") == []
    assert len(bodies(production, "dead")) == 1


def test_queue_policy_is_enforced(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    central(aws, shared, queue_policy=False)
    forwarding(production)
    deploy(production)
    aws.run_until_idle()
    assert bodies(shared, "events") == []
    assert [lost.source_arn for lost in aws.lost_events] == [CENTRAL_RULE]


def test_no_third_hop(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    central(aws, shared)
    forwarding(production)
    third = aws.session(SHARED, "eu-west-1").client("events")
    arn = third.create_event_bus(Name="third")["EventBusArn"]
    role_arn = role(shared, "onwards", trust("events.amazonaws.com"), statement("events:PutEvents", arn))
    shared.client("events").put_targets(
        EventBusName="central", Rule="all", Targets=[{"Id": "third", "Arn": arn, "RoleArn": role_arn}]
    )
    deploy(production)
    aws.run_until_idle()
    assert len(bodies(shared, "events")) == 1
    [lost] = aws.lost_events
    assert "third" in lost.reason


def test_users_cannot_speak_for_aws(aws: LocalAws, shared: boto3.Session) -> None:
    central(aws, shared)
    entry: Any = {"Source": "aws.ecs", "DetailType": "x", "Detail": "{}", "EventBusName": "central"}
    answer = shared.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    aws.run_until_idle()
    assert bodies(shared, "events") == []


def test_put_events_across_accounts_needs_the_bus_policy(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session
) -> None:
    central(aws, shared)
    entry: Any = {"Source": "mine", "DetailType": "x", "Detail": "{}", "EventBusName": CENTRAL_BUS}
    assert production.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    aws.run_until_idle()
    [body] = bodies(shared, "events")
    assert json.loads(body)["account"] == PRODUCTION
    shared.client("events").remove_permission(EventBusName="central", RemoveAllPermissions=True)
    with pytest.raises(ClientError, match="not authorized to perform: events:PutEvents"):
        production.client("events").put_events(Entries=[entry])


def test_put_events_has_limits(shared: boto3.Session) -> None:
    events: Any = shared.client("events")
    entry: Any = {"Source": "mine", "DetailType": "x", "Detail": "{}"}
    with pytest.raises(ClientError, match="10 entries"):
        events.put_events(Entries=[entry] * 11)
    with pytest.raises(ClientError, match="over the limit"):
        events.put_events(Entries=[{**entry, "Detail": json.dumps({"text": "x" * 262_144})}])
    malformed = events.put_events(Entries=[{**entry, "Detail": "[1]"}])
    assert malformed["Entries"][0]["ErrorCode"] == "MalformedDetail"


def test_long_pattern_is_refused(shared: boto3.Session) -> None:
    pattern = json.dumps({"source": [f"source-{number}" for number in range(200)]})
    with pytest.raises(ClientError, match="2048"):
        shared.client("events").put_rule(Name="long", EventPattern=pattern)


def test_policy_of_a_bus_is_replaced_not_added_to(aws: LocalAws, shared: boto3.Session) -> None:
    central(aws, shared)
    other = json.loads(bus_policy(aws))
    other["Statement"][0]["Sid"] = "Other"
    shared.client("events").put_permission(EventBusName="central", Policy=json.dumps(other))
    stored = json.loads(shared.client("events").describe_event_bus(Name="central")["Policy"])
    assert [entry["Sid"] for entry in stored["Statement"]] == ["Other"]


def test_disabled_rule_does_nothing(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    central(aws, shared)
    forwarding(production)
    production.client("events").disable_rule(Name="forward")
    deploy(production)
    aws.run_until_idle()
    assert bodies(shared, "events") == []


def test_events_can_be_lost_duplicated_delayed_and_reordered(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session
) -> None:
    central(aws, shared)
    forwarding(production)

    def families() -> list[str]:
        events = [json.loads(body) for body in bodies(shared, "events")]
        return [event["detail"]["requestParameters"]["family"] for event in events]

    aws.faults.lose_events()
    deploy(production, "lost")
    aws.run_until_idle()
    assert families() == []
    aws.faults.duplicate_events()
    deploy(production, "twice")
    aws.run_until_idle()
    assert families() == ["twice", "twice"]
    aws.faults.delay_events(timedelta(minutes=2), timedelta(minutes=1))
    deploy(production, "first")
    deploy(production, "second")
    aws.advance(timedelta(minutes=3))
    assert [family for family in families() if family != "twice"] == ["second", "first"]


def test_event_delay_is_waited_for(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    assert Behaviour().event_delay == timedelta()
    aws.behaviour.event_delay = timedelta(minutes=5)
    central(aws, shared)
    forwarding(production)
    deploy(production)
    aws.advance(timedelta(minutes=4))
    assert bodies(shared, "events") == []
    aws.advance(timedelta(minutes=1, seconds=1))
    assert len(bodies(shared, "events")) == 1
