"""Amazon SQS as the source of Lambda functions: batches, partial failures, visibility timeouts, dead-letter queues.

See https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html. One batch of a mapping runs at a time.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from moto.awslambda.models import EventSourceMapping, LambdaBackend, LambdaFunction, lambda_backends
from moto.core.exceptions import JsonRESTError
from moto.sqs.models import Message, Queue, sqs_backends

from local_aws.identity import Principal, RoleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.functions import Functions
    from local_aws.world import World

_MAX_PAYLOAD = 6 * 1024 * 1024
_LARGEST_BATCH_WITHOUT_WINDOW = 10
_PERMISSIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_PAUSE_AFTER_FAILED_POLL = timedelta(minutes=1)


class Queues:
    """The event source mappings of all accounts."""

    def __init__(self, world: World, functions: Functions) -> None:
        self._world = world
        self._functions = functions
        self._not_before: dict[str, datetime] = {}
        world.patches.wrap(LambdaBackend, "create_event_source_mapping", self._create_mapping)
        world.patches.set(Queue, "attributes", property(_attributes))
        world.patches.wrap(Queue, "_set_attributes", _changing_only_what_is_asked)

    def send(self, queue_arn: str, body: str, attributes: dict[str, str] | None = None) -> bool:
        """Put a message into a queue, as a service that is allowed to; False if the queue does not exist."""
        queue = _find(queue_arn)
        if queue is None:
            return False
        with self._world.lock:
            sqs_backends[queue.account_id][queue.region].send_message(
                queue.name,
                body,
                message_attributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
                },
            )
        return True

    def next_due(self) -> datetime | None:
        """When the next batch is ready."""
        return min((due for _, due in self._due()), default=None)

    def run_due(self) -> bool:
        """Give one batch that is ready to its function; False if none is."""
        now = self._world.clock.now()
        ready = [(due, mapping.uuid, mapping) for mapping, due in self._due() if due <= now]
        if not ready:
            return False
        mapping = min(ready)[2]
        if not self._poll(mapping):
            self._not_before[mapping.uuid] = self._world.clock.now() + _PAUSE_AFTER_FAILED_POLL
        return True

    def _due(self) -> list[tuple[EventSourceMapping, datetime]]:
        with self._world.lock:
            found = []
            for _, _, backend in list(lambda_backends.iter_backends()):
                mappings = cast("LambdaBackend", backend)._event_source_mappings
                for mapping in list(mappings.values()):
                    due = self._mapping_due(mapping) if mapping.enabled else None
                    if due is not None:
                        found.append((mapping, due))
            return found

    def _mapping_due(self, mapping: EventSourceMapping) -> datetime | None:
        queue = _find(mapping.event_source_arn)
        if queue is None or not queue._messages:
            return None
        times = sorted(_available_at(message) for message in queue._messages)
        window = mapping.max_batch_window if self._world.behaviour.waits_for_batching_window else None
        due = times[0] + (window or 0) * 1000
        if len(times) >= mapping.batch_size:
            due = min(due, times[mapping.batch_size - 1])
        moment = datetime.fromtimestamp(due / 1000, UTC)
        return max(moment, self._not_before.get(mapping.uuid, moment))

    def _poll(self, mapping: EventSourceMapping) -> bool:
        """Run one batch; False if the role does not let the service poll."""
        function = self._functions.find(mapping.function_arn)
        queue = _find(mapping.event_source_arn)
        if function is None or queue is None:
            return False
        try:
            session = self._functions.session(function)
        except RoleError:
            return False
        if not self._may(session, "GetQueueAttributes", queue) or not self._may(session, "ReceiveMessage", queue):
            return False
        with self._world.lock:
            messages = self._receive(queue, mapping.batch_size)
        if not messages:
            return True
        if str(function.reserved_concurrency) == "0":
            # They are there again when their visibility timeout is over, and one attempt is used up.
            self._functions.throttle(function)
            return False
        event = {"Records": [_record(message, queue) for message in messages]}
        invocation = self._functions.invoke(function, event)
        failed = _failed(invocation.result, messages, mapping) if invocation.error is None else set(messages)
        done = [message for message in messages if message not in failed]
        if done and self._may(session, "DeleteMessage", queue):
            with self._world.lock:
                self._delete(queue, done)
        return True

    def _may(self, session: Principal, operation: str, queue: Queue) -> bool:
        return self._world.identity.call_as_service(session, "sqs", operation, queue.queue_arn, queue.region)

    def _receive(self, queue: Queue, batch_size: int) -> list[Message]:
        now = self._world.clock.now().timestamp() * 1000
        retention = queue.message_retention_period * 1000  # type: ignore[attr-defined]
        redrive: Any = queue.redrive_policy
        taken: list[Message] = []
        kept: list[Message] = []
        size = 0
        for message in queue._messages:
            if (message.sent_timestamp or 0) + retention <= now:
                continue
            kept.append(message)
            if _available_at(message) > now or len(taken) >= batch_size:
                continue
            if queue.dead_letter_queue and message.approximate_receive_count >= redrive["maxReceiveCount"]:
                kept.pop()
                queue.dead_letter_queue.add_message(message)
                continue
            size += len(message.body.encode()) + 1024
            if size > _MAX_PAYLOAD:
                continue
            message.mark_received(queue.visibility_timeout)  # type: ignore[attr-defined]
            queue.pending_messages.add(message)
            taken.append(message)
        queue._messages = kept
        return taken

    def _delete(self, queue: Queue, messages: list[Message]) -> None:
        gone = set(messages)
        queue._messages = [message for message in queue._messages if message not in gone]
        for message in messages:
            queue.pending_messages.discard(message)
            if self._world.faults.duplicated_messages.get(queue.name, 0) > 0:
                self._world.faults.duplicated_messages[queue.name] -= 1
                again = copy.deepcopy(message)
                again.visible_at = 0.0
                queue._messages.append(again)

    def _create_mapping(self, original: Callable[..., EventSourceMapping]) -> Callable[..., EventSourceMapping]:
        def create_event_source_mapping(backend: LambdaBackend, spec: dict[str, Any]) -> EventSourceMapping:
            queue = _find(str(spec.get("EventSourceArn")))
            function = backend.get_function(str(spec.get("FunctionName")))
            if queue is None:
                raise _invalid("The provided event source is not an SQS queue that exists.")
            self._check(spec, queue, function)
            mapping = original(backend, spec)
            # moto itself would run the function, in Docker, when a message arrives.
            queue.lambda_event_source_mappings.clear()
            return mapping

        return create_event_source_mapping

    def _check(self, spec: dict[str, Any], queue: Queue, function: LambdaFunction) -> None:
        visibility = queue.visibility_timeout  # type: ignore[attr-defined]
        if visibility < function.timeout:
            raise _invalid(
                f"Queue visibility timeout: {visibility} seconds is less than Function timeout: "
                f"{function.timeout} seconds"
            )
        large = (spec.get("BatchSize") or 0) > _LARGEST_BATCH_WITHOUT_WINDOW
        if large and not spec.get("MaximumBatchingWindowInSeconds"):
            raise _invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        concurrency = (spec.get("ScalingConfig") or {}).get("MaximumConcurrency")
        if concurrency is not None and not 2 <= concurrency <= 1000:
            raise _invalid("MaximumConcurrency must be between 2 and 1000")
        session = self._functions.session(function)
        for operation in _PERMISSIONS:
            action = f"sqs:{operation}"
            if not self._world.identity.decide(session, action, queue.queue_arn, {}, queue.region).allowed:
                raise _invalid(f"The provided execution role does not have permissions to call {operation} on SQS")


_moto_attributes: Any = vars(Queue)["attributes"].fget


def _changing_only_what_is_asked(original: Callable[..., Any]) -> Callable[..., Any]:
    """Either a key or SQS's own encryption: who asks for the one ends the other, as SetQueueAttributes says.

    Nor does a change of anything else take the policy away, as it does with moto.
    """

    def set_attributes(queue: Queue, attributes: dict[str, Any], *more: Any) -> None:
        if attributes.get("KmsMasterKeyId"):
            attributes = {**attributes, "SqsManagedSseEnabled": "false"}
        elif str(attributes.get("SqsManagedSseEnabled")).lower() == "true":
            attributes = {**attributes, "KmsMasterKeyId": ""}
        policy = getattr(queue, "policy", None)
        original(queue, attributes, *more)
        if "Policy" not in attributes and policy:
            queue.policy = policy

    return set_attributes


def _attributes(queue: Queue) -> dict[str, Any]:
    """As AWS writes them: a redrive policy without spaces."""
    attributes: dict[str, Any] = _moto_attributes(queue)
    if policy := attributes.get("RedrivePolicy"):
        attributes["RedrivePolicy"] = json.dumps(json.loads(policy), separators=(",", ":"))
    return attributes


def _find(queue_arn: str) -> Queue | None:
    if queue_arn.count(":") != 5 or ":sqs:" not in queue_arn:
        return None
    _, _, _, region, account, name = queue_arn.split(":")
    return sqs_backends[account][region].queues.get(name)


def _available_at(message: Message) -> float:
    """When the message can be received, in milliseconds."""
    return max(message.sent_timestamp or 0, message.visible_at, message.delayed_until)


def _record(message: Message, queue: Queue) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        },
        "messageAttributes": {},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.queue_arn,
        "awsRegion": queue.region,
    }


def _failed(result: Any, messages: list[Message], mapping: EventSourceMapping) -> set[Message]:
    """The messages that the function reports as failed; all of them if the report cannot be read.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
    """
    if "ReportBatchItemFailures" not in (mapping.function_response_types or []) or not result:
        return set()
    if not isinstance(result, dict):
        return set(messages)
    failures = result.get("batchItemFailures")
    if failures is None:
        return set()
    by_id = {message.id: message for message in messages}
    try:
        return {by_id[failure["itemIdentifier"]] for failure in failures}
    except (KeyError, TypeError):
        return set(messages)


def _invalid(message: str) -> JsonRESTError:
    return JsonRESTError("InvalidParameterValueException", message)
