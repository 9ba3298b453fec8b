from __future__ import annotations

import json

import boto3
import pytest

from ecr_cleanup.aws.event_bus import EventBus
from ecr_cleanup.errors import AnnouncementError


@pytest.fixture
def queue_url(aws: None) -> str:
    """A queue that hears of removals, as somebody else's rule would make it."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name="ecr-cleanup")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["ecr-cleanup"], "detail-type": ["ECR Image Removed"]})
    events.put_rule(Name="listener", EventBusName="ecr-cleanup", EventPattern=pattern)
    events.put_targets(Rule="listener", EventBusName="ecr-cleanup", Targets=[{"Id": "1", "Arn": arn}])
    return url


def test_others_hear_of_a_removal(queue_url: str) -> None:
    EventBus(boto3.client("events"), "ecr-cleanup").announce_removal({"digest": "sha256:1"})
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue_url)["Messages"]
    assert json.loads(message["Body"])["detail"] == {"digest": "sha256:1"}


def test_an_event_that_the_bus_did_not_take_is_an_error(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("events")
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]}
    monkeypatch.setattr(client, "put_events", lambda **_: answer)
    with pytest.raises(AnnouncementError, match="InternalFailure: try again"):
        EventBus(client, "ecr-cleanup").announce_removal({})
