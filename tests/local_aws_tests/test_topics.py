from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local_aws.topics import messages
from local_aws_tests.stack import REGION, SHARED, function, policy, queue, role, send, statement
from local_aws_tests.test_alarms import key_that_admits

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

ALIAS = "alias/people"
KEY_USE = ["kms:Decrypt", "kms:GenerateDataKey"]


def publisher(aws: LocalAws, session: boto3.Session, *statements: dict[str, Any]) -> Any:
    """A client of SNS under a role with these statements."""
    trusted = policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{SHARED}:root"}}
    )
    arn = role(session, "publisher", trusted, *statements)
    given = session.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return session.client(
        "sns",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        endpoint_url=aws.endpoint_url,
    )


def encrypted_topic(session: boto3.Session, *services: str) -> tuple[str, str]:
    """A topic and its key, which the account's own policies may use."""
    key = key_that_admits(session, *services)
    session.client("kms").create_alias(AliasName=ALIAS, TargetKeyId=key)
    arn = session.client("sns").create_topic(Name="people", Attributes={"KmsMasterKeyId": ALIAS})["TopicArn"]
    return arn, key


def test_publishing_needs_a_permission_on_the_topic(aws: LocalAws, shared: boto3.Session) -> None:
    arn = shared.client("sns").create_topic(Name="people")["TopicArn"]
    sns = publisher(aws, shared, statement("sns:Publish", arn.replace("people", "others")))
    with pytest.raises(ClientError, match="sns:Publish"):
        sns.publish(TopicArn=arn, Message="hello")
    assert messages(arn) == []


@pytest.mark.parametrize("missing", KEY_USE)
def test_publishing_to_an_encrypted_topic_needs_the_use_of_its_key(
    aws: LocalAws, shared: boto3.Session, missing: str
) -> None:
    arn, key = encrypted_topic(shared)
    some = [action for action in KEY_USE if action != missing]
    sns = publisher(aws, shared, statement("sns:Publish", arn), statement(some, key, "Key"))
    with pytest.raises(ClientError, match=missing):
        sns.publish(TopicArn=arn, Message="hello")
    assert messages(arn) == []


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"kms:ViaService": f"sns.{REGION}.amazonaws.com"}}, True),
        ({"StringEquals": {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}}, False),
        ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": [ALIAS]}}, True),
        ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/others"]}}, False),
    ],
)
def test_a_key_can_be_named_by_its_alias_and_by_the_service(
    aws: LocalAws, shared: boto3.Session, condition: dict[str, Any], *, allowed: bool
) -> None:
    arn, key = encrypted_topic(shared)
    any_key = key.rpartition("/")[0] + "/*"
    sns = publisher(
        aws, shared, statement("sns:Publish", arn), statement(KEY_USE, any_key, "Key") | {"Condition": condition}
    )
    if allowed:
        sns.publish(TopicArn=arn, Message="hello")
        assert [message.text for message in messages(arn)] == ["hello"]
    else:
        with pytest.raises(ClientError, match="kms:Decrypt"):
            sns.publish(TopicArn=arn, Message="hello")


def test_a_key_whose_policy_leaves_nothing_to_iam_lets_nobody_in(aws: LocalAws, shared: boto3.Session) -> None:
    arn, key = encrypted_topic(shared)
    only = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "kms:*",
        "Resource": "*",
    }
    shared.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy(only))
    sns = publisher(aws, shared, statement("sns:Publish", arn), statement(KEY_USE, key, "Key"))
    with pytest.raises(ClientError, match="kms:Decrypt"):
        sns.publish(TopicArn=arn, Message="hello")


def test_saved_queries_are_kept_changed_and_deleted(shared: boto3.Session) -> None:
    logs = shared.client("logs")
    first = logs.put_query_definition(name="mine/one", queryString="fields @message", logGroupNames=["/a"])
    logs.put_query_definition(name="yours", queryString="fields @message")
    identifier = first["queryDefinitionId"]
    logs.put_query_definition(queryDefinitionId=identifier, name="mine/one", queryString="fields @timestamp")
    (found,) = logs.describe_query_definitions(queryDefinitionNamePrefix="mine/")["queryDefinitions"]
    assert (found["queryDefinitionId"], found["queryString"]) == (identifier, "fields @timestamp")
    assert logs.delete_query_definition(queryDefinitionId=identifier)["success"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.delete_query_definition(queryDefinitionId=identifier)
    with pytest.raises(ClientError, match="InvalidParameterException"):
        logs.put_query_definition(name="a" * 256, queryString="fields @message")


def test_a_function_without_concurrency_is_throttled_and_its_message_comes_back(
    aws: LocalAws, shared: boto3.Session
) -> None:
    arn = queue(shared, "work", VisibilityTimeout="60")
    function(shared, "def handler(event, context):\n    return None\n")
    client = shared.client("lambda")
    client.create_event_source_mapping(EventSourceArn=arn, FunctionName="worker")
    client.put_function_concurrency(FunctionName="worker", ReservedConcurrentExecutions=0)
    send(shared, "work", "hello")
    aws.run_until_idle()
    assert aws.invocations("worker") == []
    aws.alarms.collect()
    (metric,) = (each for each in aws.alarms.data if each.name == "Throttles")
    assert dict(metric.dimensions) == {"FunctionName": "worker"}
    client.delete_function_concurrency(FunctionName="worker")
    aws.advance(timedelta(minutes=2))
    assert len(aws.invocations("worker")) == 1
