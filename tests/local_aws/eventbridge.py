"""Amazon EventBridge: delivery of events to queues and to buses of other accounts, under the roles and policies given.

moto keeps buses, rules and targets and matches patterns; see
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html for what is enforced here.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.exceptions import JsonRESTError
from moto.events.models import EventBus, EventsBackend, Rule, events_backends
from moto.events.responses import EventsHandler

from local_aws.identity import RoleError
from local_aws.paging import PageError, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_aws.queues import Queues
    from local_aws.world import World

_MAX_EVENT = 256 * 1024
_MAX_PATTERN = 2048
_MAX_BUS_POLICY = 10240
_PAGE = 100
_NOT_EMULATED = ("Input", "InputPath", "InputTransformer")


@dataclass(frozen=True)
class _DeliveryError(Exception):
    """A delivery that is not permitted, or a target that does not exist."""

    code: str
    reason: str


class EventBridge:
    """The buses of all accounts."""

    def __init__(self, world: World, queues: Queues) -> None:
        self._world = world
        self._queues = queues
        # Takes cluster, task definition, count and who starts them; gives an error or None.
        self.run_task: Callable[[str, str, int, str], str | None] = lambda *_: "no tasks are emulated"
        patches = world.patches
        patches.set(EventsHandler, "list_event_buses", _list_event_buses)
        patches.set(EventsHandler, "list_rule_names_by_target", _list_rule_names_by_target)
        patches.set(EventsHandler, "list_targets_by_rule", _list_targets_by_rule)
        patches.set(EventsBackend, "put_events", self._put_events())
        patches.wrap(EventsBackend, "put_rule", _put_rule)
        patches.wrap(EventsBackend, "put_targets", _put_targets)
        patches.wrap(EventBus, "add_policy", _add_policy)

    def emit(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: dict[str, Any],
        resources: list[str] | None = None,
    ) -> None:
        """An event of an AWS service on the default bus of an account: best effort, at least once, at most 256 KB."""
        envelope = _envelope(account, region, source, detail_type, detail, resources or [], self._world.clock.now())
        if len(json.dumps(envelope, separators=(",", ":")).encode()) > _MAX_EVENT:
            self._world.lose(source, f"{account}/{region}", "larger than 256 KB", envelope)
            return
        faults = self._world.faults
        if faults.lost_events > 0:
            faults.lost_events -= 1
            self._world.lose(source, f"{account}/{region}", "switched on as a fault", envelope)
            return
        delay = self._world.behaviour.event_delay
        if faults.delayed_events:
            delay += faults.delayed_events.pop(0)
        times = 1
        if faults.duplicated_events > 0:
            faults.duplicated_events -= 1
            times = 2
        for _ in range(times):
            self._enqueue(account, region, "default", envelope, delay)

    def _enqueue(
        self, account: str, region: str, bus: str, envelope: dict[str, Any], delay: timedelta = timedelta()
    ) -> None:
        self._world.agenda.after(
            delay, lambda: self._match(events_backends[account][region].event_buses.get(bus), envelope)
        )

    def _match(self, bus: EventBus | None, envelope: dict[str, Any]) -> None:
        for rule in list(bus.rules.values()) if bus else []:
            if _matches(rule, envelope):
                for target in copy.deepcopy(rule.targets):
                    self._deliver(rule, target, envelope)

    def _deliver(self, rule: Rule, target: dict[str, Any], envelope: dict[str, Any]) -> None:
        try:
            if ":event-bus/" in target["Arn"]:
                self._to_bus(rule, target, envelope)
            elif ":sqs:" in target["Arn"]:
                self._to_queue(rule, target["Arn"], json.dumps(envelope), {})
            elif "EcsParameters" in target:
                self._to_cluster(rule, target)
            else:
                self._world.lose(rule.arn, target["Arn"], "no target of this kind is emulated", envelope)
        except _DeliveryError as refusal:
            self._to_dead_letter_queue(rule, target, envelope, refusal)

    def _to_bus(self, rule: Rule, target: dict[str, Any], envelope: dict[str, Any]) -> None:
        _, _, _, region, account, resource = target["Arn"].split(":", 5)
        if (envelope["account"], envelope["region"]) != (rule.account_id, rule.region_name):
            raise _DeliveryError("THIRD_HOP", "an event that came from another bus is not sent to a third one")
        if "RoleArn" not in target:
            raise _DeliveryError("NO_PERMISSIONS", "the target has no role")
        context = {"aws:SourceArn": rule.arn, "aws:SourceAccount": rule.account_id}
        identity = self._world.identity
        try:
            session = identity.assume_as_service(target["RoleArn"], "events.amazonaws.com", context, "events")
        except RoleError as error:
            raise _DeliveryError("NO_PERMISSIONS", str(error)) from error
        if not identity.call_as_service(session, "events", "PutEvents", target["Arn"], rule.region_name):
            raise _DeliveryError("NO_PERMISSIONS", f"{session.arn} may not events:PutEvents on {target['Arn']}")
        name = resource.removeprefix("event-bus/")
        if name not in events_backends[account][region].event_buses:
            raise _DeliveryError("RESOURCE_NOT_FOUND", f"{target['Arn']} does not exist")
        self._enqueue(account, region, name, envelope)

    def _to_cluster(self, rule: Rule, target: dict[str, Any]) -> None:
        context = {"aws:SourceArn": rule.arn, "aws:SourceAccount": rule.account_id}
        identity = self._world.identity
        try:
            session = identity.assume_as_service(target["RoleArn"], "events.amazonaws.com", context, "events")
        except RoleError as error:
            raise _DeliveryError("NO_PERMISSIONS", str(error)) from error
        parameters = target["EcsParameters"]
        definition = parameters["TaskDefinitionArn"]
        if not identity.call_as_service(session, "ecs", "RunTask", definition, rule.region_name):
            raise _DeliveryError("NO_PERMISSIONS", f"{session.arn} may not ecs:RunTask on {definition}")
        reason = self.run_task(target["Arn"], definition, parameters.get("TaskCount", 1), f"events-rule/{rule.name}")
        if reason:
            raise _DeliveryError("ERROR_FROM_TARGET", reason)

    def _to_queue(self, rule: Rule, queue_arn: str, body: str, attributes: dict[str, str]) -> None:
        outcome = self._world.identity.decide_for_service(
            "events.amazonaws.com", "sqs:SendMessage", queue_arn, rule.arn
        )
        if not outcome.allowed:
            raise _DeliveryError("NO_PERMISSIONS", outcome.reason)
        if not self._queues.send(queue_arn, body, attributes):
            raise _DeliveryError("RESOURCE_NOT_FOUND", f"{queue_arn} does not exist")

    def _to_dead_letter_queue(
        self, rule: Rule, target: dict[str, Any], envelope: dict[str, Any], refusal: _DeliveryError
    ) -> None:
        queue_arn = target.get("DeadLetterConfig", {}).get("Arn", "")
        reason = refusal.reason
        # Only a queue of the rule's own account and region is taken.
        if queue_arn.split(":")[3:5] == [rule.region_name, rule.account_id]:
            attributes = {
                "RULE_ARN": rule.arn,
                "TARGET_ARN": target["Arn"],
                "ERROR_CODE": refusal.code,
                "ERROR_MESSAGE": refusal.reason,
            }
            try:
                self._to_queue(rule, queue_arn, json.dumps(envelope), attributes)
            except _DeliveryError as second:
                reason = f"{reason}; dead-letter queue: {second.reason}"
            else:
                return
        self._world.lose(rule.arn, target["Arn"], reason, envelope)

    def _put_events(self) -> Callable[..., list[dict[str, Any]]]:
        def put_events(backend: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            if not 1 <= len(events) <= 10:
                raise JsonRESTError("ValidationException", "1 to 10 entries are allowed")
            if sum(_entry_size(event) for event in events) > _MAX_EVENT:
                raise JsonRESTError(
                    "ValidationException", "Total size of the entries in the request is over the limit."
                )
            return [self._put_event(backend, event) for event in events]

        return put_events

    def _put_event(self, backend: EventsBackend, event: dict[str, Any]) -> dict[str, Any]:
        for name in ("Source", "DetailType", "Detail"):
            if not event.get(name):
                message = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}
        if event["Source"].startswith("aws."):
            message = "Not authorized for the source."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": message}
        try:
            detail = json.loads(event["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        account, region, name = backend.account_id, backend.region_name, event.get("EventBusName", "default")
        if name.startswith("arn:"):
            region, account, resource = name.split(":", 5)[3:]
            name = resource.removeprefix("event-bus/")
        if name not in events_backends[account][region].event_buses:
            raise JsonRESTError("ResourceNotFoundException", f"Event bus {name} does not exist.")
        time = datetime.fromtimestamp(event["Time"], UTC) if "Time" in event else self._world.clock.now()
        envelope = _envelope(
            backend.account_id,
            backend.region_name,
            event["Source"],
            event["DetailType"],
            detail,
            event.get("Resources", []),
            time,
        )
        self._enqueue(account, region, name, envelope)
        return {"EventId": envelope["id"]}


def _envelope(
    account: str,
    region: str,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: list[str],
    time: datetime,
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def _matches(rule: Rule, envelope: Any) -> bool:
    pattern = rule.event_pattern
    # moto takes the pattern of a rule that only has a schedule for one that matches everything.
    return rule.state != "DISABLED" and bool(pattern.get_pattern()) and pattern.matches_event(envelope)


def _entry_size(event: dict[str, Any]) -> int:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html."""
    texts = [event.get("Source", ""), event.get("DetailType", ""), event.get("Detail", "")]
    texts += event.get("Resources", [])
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in event else 0)


def _put_rule(original: Callable[..., Rule]) -> Callable[..., Rule]:
    def put_rule(backend: EventsBackend, name: str, **arguments: Any) -> Rule:
        if len(arguments.get("event_pattern") or "") > _MAX_PATTERN:
            raise JsonRESTError("InvalidEventPatternException", "Event pattern is longer than 2048 characters.")
        return original(backend, name, **arguments)

    return put_rule


def _put_targets(original: Callable[..., None]) -> Callable[..., None]:
    def put_targets(
        backend: EventsBackend, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]
    ) -> None:
        for target in targets:
            if (":ecs:" in target["Arn"]) != bool(target.get("EcsParameters", {}).get("TaskDefinitionArn")):
                raise JsonRESTError(
                    "ValidationException", "EcsParameters are for targets that are clusters, and needed."
                )
            if "EcsParameters" in target and "RoleArn" not in target:
                raise JsonRESTError("ValidationException", f"RoleArn is required for target {target['Id']}.")
            if changed := [key for key in _NOT_EMULATED if key in target]:
                raise JsonRESTError("ValidationException", f"{changed[0]} of a target is not emulated")
        original(backend, name, event_bus_arn, targets)

    return put_targets


def _list_event_buses(request: EventsHandler) -> str:
    prefix = request._get_param("NamePrefix") or ""
    found = [bus for bus in request.events_backend.event_buses.values() if bus.name.startswith(prefix)]
    buses = {
        bus.name: {"Name": bus.name, "Arn": bus.arn, **({"Policy": bus.policy} if bus.policy else {})} for bus in found
    }
    return _paged(request, "EventBuses", buses, prefix)


def _list_rule_names_by_target(request: EventsHandler) -> str:
    target = request._get_param("TargetArn")
    names = {
        rule.name: rule.name
        for rule in _bus_of(request).rules.values()
        if any(each["Arn"] == target for each in rule.targets)
    }
    return _paged(request, "RuleNames", names, [target, _bus_of(request).name])


def _list_targets_by_rule(request: EventsHandler) -> str:
    bus, name = _bus_of(request), str(request._get_param("Rule"))
    if name not in bus.rules:
        message = f"Rule {name} does not exist on EventBus {bus.name}."
        raise JsonRESTError("ResourceNotFoundException", message)
    # Several targets may be the same cluster.
    targets = {target["Id"]: target for target in bus.rules[name].targets}
    return _paged(request, "Targets", targets, [name, bus.name])


def _bus_of(request: EventsHandler) -> EventBus:
    name = str(request._get_param("EventBusName") or "default").rpartition("/")[2]
    bus = request.events_backend.event_buses.get(name)
    if bus is None:
        raise JsonRESTError("ResourceNotFoundException", f"Event bus {name} does not exist.")
    return bus


def _paged(request: EventsHandler, member: str, entries: dict[str, Any], scope: object) -> str:
    try:
        names, token = page(
            entries,
            str,
            size=request._get_param("Limit"),
            token=request._get_param("NextToken"),
            default=_PAGE,
            maximum=_PAGE,
            scope=scope,
        )
    except PageError as error:
        raise JsonRESTError("ValidationException", str(error)) from error
    answer: dict[str, Any] = {member: [entries[name] for name in names]}
    return json.dumps(answer | ({"NextToken": token} if token else {}))


def _add_policy(original: Callable[..., None]) -> Callable[..., None]:
    def add_policy(bus: EventBus, policy: dict[str, Any]) -> None:
        if len(json.dumps(policy, separators=(",", ":"))) > _MAX_BUS_POLICY:
            raise JsonRESTError("PolicyLengthExceededException", "The policy is longer than 10240 characters.")
        bus.remove_statements()
        original(bus, policy)

    return add_policy
