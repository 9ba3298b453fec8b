"""Amazon SNS as far as policies go: who may publish, and who may use the key of an encrypted topic.

A publisher needs both, and so does an AWS service:
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services. AWS's own key for SNS
lets in no service but SNS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from moto.kms.models import kms_backends
from moto.sns.models import sns_backends

if TYPE_CHECKING:
    from local_aws.world import World

KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
_KEY_OF_AWS = "alias/aws/sns"


class TopicKey(NamedTuple):
    """The key of an encrypted topic: its ARN and its aliases. Everybody in the account may use AWS's own for SNS."""

    arn: str
    aliases: tuple[str, ...]


class Message(NamedTuple):
    """What was published to a topic."""

    subject: str | None
    text: str


def topic_key(topic_arn: str) -> TopicKey | None:
    """The customer managed key of a topic; None if it has none, or the topic does not exist."""
    topic = _topic(topic_arn)
    named = str(getattr(topic, "kms_master_key_id", "") or "")
    if not named or named.removeprefix("arn:").endswith(_KEY_OF_AWS):
        return None
    _, _, _, region, account, _ = topic_arn.split(":")
    backend: Any = kms_backends[account][region]
    key = backend.keys[backend.any_id_to_key_id(named)]
    return TopicKey(key.arn, tuple(key.aliases))


def context_of_key(key: TopicKey, region: str) -> dict[str, list[str]]:
    """The condition keys of a use of a topic's key by SNS on behalf of a publisher."""
    return {"kms:ViaService": [f"sns.{region}.amazonaws.com"], "kms:ResourceAliases": list(key.aliases)}


def publish_as_service(world: World, service: str, source_arn: str, topic_arn: str, subject: str, text: str) -> str:
    """Publish as an AWS service that acts for a resource; gives why it was refused, or nothing."""
    topic = _topic(topic_arn)
    if topic is None:
        return f"{topic_arn} does not exist"
    named = str(getattr(topic, "kms_master_key_id", "") or "")
    if named.endswith(_KEY_OF_AWS):
        return f"{service} does not have authorization to access the SNS topic encryption key {named}"
    needed = [("sns:Publish", topic_arn)]
    if key := topic_key(topic_arn):
        needed += [(action, key.arn) for action in KEY_ACTIONS]
    for action, resource in needed:
        outcome = world.identity.decide_for_service(service, action, resource, source_arn)
        if not outcome.allowed:
            return outcome.reason
    with world.lock:
        topic.publish(text, subject=subject)
    return ""


def messages(topic_arn: str) -> list[Message]:
    """All that was published to a topic, oldest first."""
    topic = _topic(topic_arn)
    return [Message(subject, text) for _, text, subject, *_ in topic.sent_notifications] if topic else []


def _topic(topic_arn: str) -> Any:
    if topic_arn.count(":") != 5 or ":sns:" not in topic_arn:
        return None
    _, _, _, region, account, _ = topic_arn.split(":")
    return sns_backends[account][region].topics.get(topic_arn)
