"""Small pieces of infrastructure that the tests of the local AWS put together."""

from __future__ import annotations

import io
import json
import textwrap
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3

SHARED, PRODUCTION = "111111111111", "222222222222"
REGION = "eu-central-1"


def statement(actions: str | list[str], resources: str | list[str] = "*", sid: str = "Allowed") -> dict[str, Any]:
    """An Allow statement of an identity policy."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def policy(*statements: dict[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, **context: str) -> str:
    """A trust policy for a service; `context` are conditions such as aws_SourceAccount."""
    entry: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    if context:
        entry["Condition"] = {"StringEquals": {key.replace("_", ":"): value for key, value in context.items()}}
    return policy(entry)


def role(session: boto3.Session, name: str, trusted: str, *statements: dict[str, Any]) -> str:
    """Create a role with one inline policy; gives its ARN."""
    iam = session.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(*statements))
    return arn


def queue(session: boto3.Session, name: str, allow: dict[str, Any] | None = None, **attributes: str) -> str:
    """Create a queue; gives its ARN."""
    if allow:
        attributes["Policy"] = policy(allow)
    sqs: Any = session.client("sqs")
    sqs.create_queue(QueueName=name, Attributes=attributes)
    account = session.client("sts").get_caller_identity()["Account"]
    return f"arn:aws:sqs:{session.region_name}:{account}:{name}"


def url(session: boto3.Session, name: str) -> str:
    """A queue's URL."""
    found: str = session.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    return found


def send(session: boto3.Session, name: str, *bodies: str) -> None:
    """Put messages into a queue."""
    for body in bodies:
        session.client("sqs").send_message(QueueUrl=url(session, name), MessageBody=body)


def bodies(session: boto3.Session, name: str) -> list[str]:
    """The messages that are visible in a queue."""
    answer = session.client("sqs").receive_message(QueueUrl=url(session, name), MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def events_may_send(rule_arn: str) -> dict[str, Any]:
    """A statement of a queue's policy that lets a rule of EventBridge in."""
    return {
        "Sid": "Events",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }


def package(source: str) -> bytes:
    """A zip with the module `app`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        entry = zipfile.ZipInfo("app.py")
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, textwrap.dedent(source))
    return content.getvalue()


LOGS = statement(["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/aws/lambda/*", "Logs")
POLL = statement(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "*", "Poll")


def function(
    session: boto3.Session, source: str, *statements: dict[str, Any], name: str = "worker", **options: Any
) -> str:
    """Create a function of `app.handler` with its role and log group; gives its ARN."""
    role_arn = role(session, name, trust("lambda.amazonaws.com"), *(statements or (LOGS, POLL)))
    session.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
    created = session.client("lambda").create_function(
        FunctionName=name,
        Role=role_arn,
        Runtime="python3.13",
        Handler="app.handler",
        Code={"ZipFile": package(source)},
        Timeout=options.pop("Timeout", 10),
        **options,
    )
    arn: str = created["FunctionArn"]
    return arn
