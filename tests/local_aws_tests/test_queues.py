from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from local_aws_tests.stack import LOGS, POLL, bodies, function, policy, queue, send, statement, url

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

SOURCE = """
    import json
    def handler(event, context):
        bodies = [record["body"] for record in event["Records"]]
        print(json.dumps({"bodies": bodies}))
        if "crash" in bodies:
            raise RuntimeError("crash")
        if "nonsense" in bodies:
            return {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
"""


def mapped(session: boto3.Session, *, batch: int = 10, window: int = 0, partial: bool = True, **attributes: str) -> str:
    arn = queue(session, "work", None, VisibilityTimeout="60", **attributes)
    function(session, SOURCE)
    created = session.client("lambda").create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName="worker",
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=window,
        FunctionResponseTypes=["ReportBatchItemFailures"] if partial else [],
    )
    uuid: str = created["UUID"]
    return uuid


def batches(aws: LocalAws) -> list[list[str]]:
    return [invocation.log[0]["bodies"] for invocation in aws.invocations("worker")]


def test_batches_are_handled_and_deleted(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared, batch=2)
    send(shared, "work", "1", "2", "3")
    assert batches(aws) == []
    aws.run_until_idle()
    assert batches(aws) == [["1", "2"], ["3"]]
    aws.advance(timedelta(hours=1))
    assert len(batches(aws)) == 2
    assert [invocation.records for invocation in aws.invocations()] == [2, 1]


def test_window_fills_a_batch(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared, batch=3, window=60)
    send(shared, "work", "1", "2")
    aws.advance(timedelta(seconds=50))
    assert batches(aws) == []
    aws.advance(timedelta(seconds=15))
    assert batches(aws) == [["1", "2"]]
    send(shared, "work", "3", "4", "5")
    aws.run_until_idle()
    assert batches(aws)[1:] == [["3", "4", "5"]]


def test_reported_failures_come_back_after_the_visibility_timeout(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared)
    send(shared, "work", "good", "bad")
    aws.run_until_idle()
    aws.advance(timedelta(seconds=55))
    assert batches(aws) == [["good", "bad"]]
    aws.advance(timedelta(seconds=10))
    assert batches(aws) == [["good", "bad"], ["bad"]]


@pytest.mark.parametrize("body", ["crash", "nonsense"])
def test_whole_batch_comes_back_after_a_crash_or_an_unreadable_report(
    aws: LocalAws, shared: boto3.Session, body: str
) -> None:
    mapped(shared)
    send(shared, "work", "good", body)
    aws.advance(timedelta(seconds=70))
    first, *later = batches(aws)
    assert first == ["good", body]
    # They were received a moment after each other, so they need not come back together.
    assert [message for batch in later for message in batch] == ["good", body]


def test_report_is_ignored_unless_the_mapping_asks_for_it(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared, partial=False)
    send(shared, "work", "bad")
    aws.advance(timedelta(hours=1))
    assert batches(aws) == [["bad"]]


def test_dead_letter_queue_takes_what_keeps_failing(aws: LocalAws, shared: boto3.Session) -> None:
    dead = queue(shared, "dead")
    mapped(shared, RedrivePolicy=f'{{"deadLetterTargetArn": "{dead}", "maxReceiveCount": 2}}')
    send(shared, "work", "bad")
    aws.advance(timedelta(minutes=10))
    assert batches(aws) == [["bad"], ["bad"]]
    assert bodies(shared, "dead") == ["bad"]


def test_redrive_policy_is_described_as_it_was_put(shared: boto3.Session) -> None:
    dead = queue(shared, "dead")
    redrive = f'{{"deadLetterTargetArn":"{dead}","maxReceiveCount":2}}'
    queue(shared, "work", None, RedrivePolicy=redrive)
    for name, expected in (("work", redrive), ("dead", None)):
        described = shared.client("sqs").get_queue_attributes(QueueUrl=url(shared, name), AttributeNames=["All"])
        assert described["Attributes"].get("RedrivePolicy") == expected


def test_disabled_mapping_does_nothing(aws: LocalAws, shared: boto3.Session) -> None:
    uuid = mapped(shared)
    shared.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
    send(shared, "work", "1")
    aws.advance(timedelta(hours=1))
    assert batches(aws) == []


def test_message_expires_after_its_retention(aws: LocalAws, shared: boto3.Session) -> None:
    uuid = mapped(shared, MessageRetentionPeriod="60")
    shared.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
    send(shared, "work", "1")
    aws.advance(timedelta(minutes=2))
    shared.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
    aws.run_until_idle()
    assert batches(aws) == []


def test_duplicated_message_is_handled_twice(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared)
    aws.faults.duplicate_messages("work")
    send(shared, "work", "1")
    aws.run_until_idle()
    assert batches(aws) == [["1"], ["1"]]


def test_polling_uses_the_functions_role(aws: LocalAws, shared: boto3.Session) -> None:
    mapped(shared)
    send(shared, "work", "1")
    aws.run_until_idle()
    polls = [call.operation for call in aws.calls if call.service == "sqs" and call.function]
    assert polls == ["GetQueueAttributes", "ReceiveMessage", "DeleteMessage"]
    shared.client("iam").put_role_policy(RoleName="worker", PolicyName="inline", PolicyDocument=policy(LOGS))
    send(shared, "work", "2")
    aws.advance(timedelta(minutes=5))
    assert batches(aws) == [["1"]]


def test_role_must_allow_polling(shared: boto3.Session) -> None:
    arn = queue(shared, "work", VisibilityTimeout="60")
    function(shared, SOURCE, LOGS, statement("sqs:ReceiveMessage"))
    with pytest.raises(ClientError, match="permissions to call DeleteMessage"):
        shared.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName="worker")


def test_visibility_timeout_must_cover_the_functions_timeout(shared: boto3.Session) -> None:
    arn = queue(shared, "work", VisibilityTimeout="9")
    function(shared, SOURCE, LOGS, POLL, Timeout=10)
    with pytest.raises(ClientError, match="less than Function timeout"):
        shared.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName="worker")


def test_large_batch_needs_a_window(shared: boto3.Session) -> None:
    arn = queue(shared, "work", VisibilityTimeout="60")
    function(shared, SOURCE)
    with pytest.raises(ClientError, match="batch window"):
        shared.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName="worker", BatchSize=11)
