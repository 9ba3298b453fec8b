from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleanup.errors import EventError
from ecr_cleanup.events import Change, PushEvent, TaskDefinitionEvent, parse_event
from ecr_cleanup.image import Repository
from ecr_cleanup.settings import Place

EVENTS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[1] / "events").glob("*.json")}
SECRET = "hunter2-must-never-be-logged"
NOW = datetime(2030, 2, 1, tzinfo=UTC)
AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
PLACE = Place("222222222222", "eu-central-1")
FAMILY = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app"
ARN = f"{FAMILY}:7"
IMAGES = ("111111111111.dkr.ecr.eu-central-1.amazonaws.com/team/app:v1", "public.ecr.aws/nginx/nginx:1.27")


def parse(event: object) -> TaskDefinitionEvent | None:
    parsed = parse_event(event, now=NOW)
    assert not isinstance(parsed, PushEvent)
    return parsed


@pytest.mark.parametrize(
    ("name", "change", "arn", "images"),
    [
        ("cloudtrail_register_task_definition", Change.REGISTERED, ARN, IMAGES),
        ("cloudtrail_deregister_task_definition", Change.DEREGISTERED, ARN, IMAGES),
        ("cloudtrail_deregister_without_response_elements", Change.DEREGISTERED, ARN, None),
        ("cloudtrail_register_without_response_elements", Change.REGISTERED, None, IMAGES),
        ("config_task_definition_active", Change.REGISTERED, ARN, IMAGES),
        ("config_task_definition_inactive", Change.DEREGISTERED, ARN, IMAGES),
        ("config_task_definition_deleted", Change.DEREGISTERED, ARN, ()),
        ("config_oversized", Change.UNCLEAR, ARN, None),
    ],
)
def test_reads(name: str, change: Change, arn: str | None, images: tuple[str, ...] | None) -> None:
    event = parse(EVENTS[name])
    assert event is not None
    assert (event.change, event.arn, event.images) == (change, arn, images)
    assert event.place == PLACE
    assert event.family_arn == FAMILY
    assert event.occurred_at == (AT if name.startswith("cloudtrail") else AT.replace(second=5))


def test_a_failed_call_changed_nothing() -> None:
    assert parse(EVENTS["cloudtrail_failed_deregister"]) is None


@pytest.mark.parametrize("name", ["ecr_delete", "ecr_failed_push", "ecr_push_without_tag"])
def test_what_gives_no_tag_to_an_image_is_not_a_push(name: str) -> None:
    assert parse_event(EVENTS[name], now=NOW) is None


def test_a_push_is_of_the_account_and_region_that_it_came_from() -> None:
    assert parse_event(EVENTS["ecr_push"], now=NOW) == PushEvent(
        event_id="13cde686-328b-6117-af20-0e5566167482",
        repository=Repository("111111111111", "eu-central-1", "team/app"),
        digest="sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd12345678",
        tag="v1",
        occurred_at=AT.replace(second=5),
    )


def test_a_push_keeps_its_time_whenever_it_is_read() -> None:
    pushes = [parse_event(EVENTS["ecr_push"], now=now) for now in (AT, NOW)]
    assert [push.occurred_at for push in pushes if push] == [AT.replace(second=5)] * 2


def test_an_event_from_the_future_happens_now() -> None:
    event = changed("cloudtrail_deregister_task_definition", "detail.eventTime", "2999-01-01T00:00:00Z")
    parsed = parse(event)
    assert parsed is not None
    assert parsed.occurred_at == NOW


def test_a_registration_too_large_for_anything_is_known_to_have_been_one() -> None:
    event = parse(changed("cloudtrail_register_without_response_elements", "detail.requestParameters", None))
    assert event is not None
    assert (event.change, event.arn, event.images) == (Change.REGISTERED, None, None)
    assert event.family_arn == "arn:aws:ecs:eu-central-1:222222222222:task-definition/?"


def test_a_family_and_revision_becomes_an_arn_of_the_partition() -> None:
    event = copy.deepcopy(EVENTS["cloudtrail_deregister_without_response_elements"])
    event["region"] = "cn-north-1"
    parsed = parse_event(event, now=NOW, partition="aws-cn")
    assert isinstance(parsed, TaskDefinitionEvent)
    assert parsed.arn == "arn:aws-cn:ecs:cn-north-1:222222222222:task-definition/app:7"


def changed(name: str, path: str, value: object) -> Any:
    event = copy.deepcopy(EVENTS[name])
    *parents, last = path.split(".")
    target = event
    for parent in parents:
        target = target[parent]
    target[last] = value
    return event


DEREGISTER = "cloudtrail_deregister_task_definition"
CONFIG = "config_task_definition_inactive"
OTHER_ACCOUNT = ARN.replace("222222222222", "333333333333")
OTHER_REGION = ARN.replace("eu-central-1", "eu-west-1")


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        (DEREGISTER, "detail.responseElements.taskDefinition.taskDefinitionArn", OTHER_ACCOUNT),
        (DEREGISTER, "detail.responseElements.taskDefinition.taskDefinitionArn", OTHER_REGION),
        ("cloudtrail_deregister_without_response_elements", "detail.requestParameters.taskDefinition", OTHER_ACCOUNT),
        (CONFIG, "detail.configurationItem.ARN", OTHER_ACCOUNT),
        (CONFIG, "detail.configurationItem.awsAccountId", "333333333333"),
        (CONFIG, "detail.configurationItem.awsRegion", "eu-west-1"),
        ("config_oversized", "detail.configurationItemSummary.ARN", OTHER_REGION),
        ("config_oversized", "detail.configurationItemSummary.awsAccountId", "333333333333"),
    ],
)
def test_an_event_speaks_only_for_its_own_account_and_region(name: str, path: str, value: str) -> None:
    with pytest.raises(EventError, match="it is refused"):
        parse(changed(name, path, value))


@pytest.mark.parametrize(
    ("name", "path", "value", "complaint"),
    [
        (DEREGISTER, "source", "aws.ec2", "source 'aws.ec2'"),
        (DEREGISTER, "source", "my.app", "must be aws.ecs with 'AWS API Call via CloudTrail'"),
        (DEREGISTER, "detail-type", "ECS Task State Change", "detail-type 'ECS Task State Change'"),
        (DEREGISTER, "detail-type", None, '"detail-type" is NoneType, but must be text'),
        (DEREGISTER, "account", "222", "'222'"),
        (DEREGISTER, "region", "Frankfurt", "'Frankfurt'"),
        (DEREGISTER, "id", 7, '"id" is int, but must be text'),
        (DEREGISTER, "detail", [], '"detail" is list, but must be a JSON object'),
        (DEREGISTER, "detail.eventName", "DeleteCluster", "'DeleteCluster' is none of"),
        (DEREGISTER, "detail.eventSource", "ec2.amazonaws.com", "of ecs.amazonaws.com"),
        (DEREGISTER, "detail.eventTime", "yesterday", "'yesterday' is not a time"),
        (DEREGISTER, "detail.eventTime", "0001-01-01T00:00:00+14:00", "is not a time"),
        (
            "cloudtrail_deregister_without_response_elements",
            "detail.requestParameters",
            None,
            '"requestParameters" is NoneType',
        ),
        (DEREGISTER, "detail.responseElements", {}, '"responseElements.taskDefinition" is NoneType'),
        (DEREGISTER, "detail.responseElements.taskDefinition.taskDefinitionArn", "app", "with its revision"),
        (
            DEREGISTER,
            "detail.responseElements.taskDefinition.containerDefinitions",
            None,
            "NoneType, but must be a list",
        ),
        (DEREGISTER, "detail.responseElements.taskDefinition.containerDefinitions", [], "a list with entries"),
        (DEREGISTER, "detail.responseElements.taskDefinition.containerDefinitions", ["x"], "a container definition"),
        (DEREGISTER, "detail.responseElements.taskDefinition.containerDefinitions", [{}], '"image" is NoneType'),
        ("cloudtrail_register_without_response_elements", "detail.requestParameters.family", "a/b", "'a/b' is not"),
        (CONFIG, "detail.configurationItem", None, '"configurationItem" is NoneType'),
        (CONFIG, "detail.configurationItem.resourceType", "AWS::EC2::Instance", "'AWS::EC2::Instance' is not"),
        (CONFIG, "detail.configurationItem.configuration", None, "nor the status ResourceDeleted"),
        (CONFIG, "detail.configurationItem.configuration.Status", "PAUSED", "'PAUSED' is none of ACTIVE"),
        (CONFIG, "time", "noon", "'noon' is not a time"),
        ("ecr_push", "time", "noon", "'noon' is not a time"),
        ("ecr_push", "detail-type", "ECR Image Scan", "or aws.ecr with 'ECR Image Action'"),
        ("ecr_push", "detail.action-type", None, '"action-type" is NoneType'),
        ("ecr_push", "detail.result", True, '"result" is bool'),
        ("ecr_push", "detail.repository-name", "Team/App", "\"repository-name\" 'Team/App' is none"),
        ("ecr_push", "detail.image-digest", "sha256:abc", "\"image-digest\" 'sha256:abc' is none"),
        ("ecr_push", "detail.image-digest", None, '"image-digest" is NoneType'),
        ("ecr_push", "detail.image-tag", "a:b", "\"image-tag\" 'a:b' is none"),
        ("ecr_push", "detail.image-tag", ["v1"], '"image-tag" is list'),
    ],
)
def test_a_malformed_event_is_refused_with_what_is_wrong(name: str, path: str, value: object, complaint: str) -> None:
    with pytest.raises(EventError, match=re.escape(complaint)) as refusal:
        parse(changed(name, path, value))
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("event", [None, [], "text", 1, {}])
def test_what_is_no_event_is_refused(event: object) -> None:
    with pytest.raises(EventError):
        parse(event)


def paths(value: object, prefix: str = "") -> list[str]:
    if not isinstance(value, dict):
        return []
    own = [f"{prefix}{key}" for key in value]
    return own + [path for key, inner in value.items() for path in paths(inner, f"{prefix}{key}.")]


odd_values: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just([]) | st.just({}) | st.just([{}])
)


@given(st.data())
def test_any_damage_to_an_event_is_refused_or_harmless(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EVENTS)))
    event = copy.deepcopy(EVENTS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(event)))
        *parents, last = path.split(".")
        target = event
        for parent in parents:
            target = target[parent]
        target[last] = data.draw(odd_values)
    try:
        parsed = parse_event(event, now=NOW)
    except EventError as error:
        assert SECRET not in str(error)
        return
    if isinstance(parsed, PushEvent):
        assert (parsed.repository.registry_id, parsed.repository.region) == (event["account"], event["region"])
    elif parsed is not None and parsed.arn:
        assert f":{event['region']}:{event['account']}:" in parsed.arn
