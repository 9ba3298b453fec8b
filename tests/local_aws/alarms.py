"""Amazon CloudWatch: the metrics that there would be, and its alarms as they were made, evaluated over them.

Functions' own metrics are those of the lines in CloudWatch's embedded metric format that reached their logs. Those of
AWS Lambda follow from the runs, those of Amazon SQS from the queues, which are looked at whenever alarms are evaluated.
What this does not know, it refuses.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.sqs.models import sqs_backends

from local_aws.topics import publish_as_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moto.cloudwatch.models import Alarm

    from local_aws.functions import Functions
    from local_aws.world import World

_MINUTE = timedelta(minutes=1)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-monitoring-using-cloudwatch.html
_QUEUE_IS_ACTIVE = timedelta(hours=6)
# From then on, a message does not count as the oldest one:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_POISON_AFTER = 3
# Where data is missing, CloudWatch looks back a little further than the periods that it evaluates.
_LOOKS_BACK = 2

_STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


class Metric(NamedTuple):
    """What a datapoint belongs to; another set of dimensions is another metric."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """With dimensions as people write them."""
        return cls(namespace, name, frozenset(dimensions.items()))


class Ringing(NamedTuple):
    """An alarm that went into ALARM; `refused` says of each action that failed why."""

    time: datetime
    alarm: str
    refused: tuple[str, ...]


class Alarms:
    """The metrics and alarms of all accounts and regions.

    `data` has all datapoints so far, and `rung` the alarms that rang. Both may be cleared.
    """

    def __init__(self, world: World, functions: Functions) -> None:
        self._world = world
        self._functions = functions
        self._runs = self._throttles = 0
        self._active_until: dict[str, datetime] = {}
        self._seen: dict[str, tuple[object, ...]] = {}
        world.patches.wrap(CloudWatchBackend, "put_metric_alarm", _put_metric_alarm)
        self.data: dict[Metric, list[tuple[datetime, float]]] = defaultdict(list)
        self.rung: list[Ringing] = []

    def evaluate(self) -> None:
        """Take what is new, and let alarms change their state, and tell their topics, as of now."""
        self.collect()
        backends: list[tuple[str, str, Any]] = list(cloudwatch_backends.iter_backends())
        for account, region, backend in backends:
            for alarm in list(backend.alarms.values()):
                self._evaluate(account, region, alarm)

    def collect(self) -> None:
        """Take the datapoints of what happened since, and those of the queues as they are."""
        for run in self._functions.invocations[self._runs :]:
            self._add("AWS/Lambda", "Invocations", {"FunctionName": run.function}, 1, run.time)
            self._add("AWS/Lambda", "Errors", {"FunctionName": run.function}, float(run.error is not None), run.time)
            duration = run.duration * 1000
            self._add("AWS/Lambda", "Duration", {"FunctionName": run.function}, duration, run.time)
            for line in run.log:
                if "_aws" in line:
                    self._embedded(line)
        self._runs = len(self._functions.invocations)
        for time, function in self._functions.throttles[self._throttles :]:
            self._add("AWS/Lambda", "Throttles", {"FunctionName": function}, 1, time)
        self._throttles = len(self._functions.throttles)
        self._queues()

    def states(self, account: str, region: str) -> dict[str, str]:
        """The state of each alarm by its name."""
        return {name: alarm.state_value for name, alarm in cloudwatch_backends[account][region].alarms.items()}

    def _add(self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, time: datetime) -> None:
        self.data[Metric.of(namespace, name, dimensions)].append((time, value))

    def _embedded(self, line: Mapping[str, Any]) -> None:
        """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html."""
        time = datetime.fromtimestamp(line["_aws"]["Timestamp"] / 1000, UTC)
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: line[name] for name in names}
                for metric in directive["Metrics"]:
                    values = line[metric["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        self._add(directive["Namespace"], metric["Name"], dimensions, value, time)

    def _queues(self) -> None:
        now = self._world.clock.now()
        milliseconds = now.timestamp() * 1000
        backends: list[tuple[str, str, Any]] = list(sqs_backends.iter_backends())
        for _, _, backend in backends:
            for queue in list(backend.queues.values()):
                messages = list(queue._messages)
                seen = tuple((message.id, message.approximate_receive_count) for message in messages)
                if seen != self._seen.get(queue.queue_arn, ()):
                    self._seen[queue.queue_arn] = seen
                    self._active_until[queue.queue_arn] = now + _QUEUE_IS_ACTIVE
                if self._active_until.get(queue.queue_arn, now) <= now:
                    continue
                visible = [each for each in messages if each.visible_at <= milliseconds]
                ages = [
                    max(0.0, milliseconds - (each.sent_timestamp or milliseconds)) / 1000
                    for each in messages
                    if each.approximate_receive_count < _POISON_AFTER
                ]
                of_queue = {"QueueName": queue.name}
                self._add("AWS/SQS", "ApproximateNumberOfMessagesVisible", of_queue, len(visible), now)
                self._add("AWS/SQS", "ApproximateAgeOfOldestMessage", of_queue, max(ages, default=0.0), now)

    def _evaluate(self, account: str, region: str, alarm: Alarm) -> None:
        before, state = alarm.state_value, self._state(alarm)
        if state == before:
            return
        alarm.update_state("by itself", "{}", state)
        if state != "ALARM" or not alarm.actions_enabled:
            return
        arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:{alarm.name}"
        subject = f'ALARM: "{alarm.name}" in {region}'[:100]
        text = json.dumps({"AlarmName": alarm.name, "AlarmDescription": alarm.description, "NewStateValue": state})
        refusals = [
            publish_as_service(self._world, "cloudwatch.amazonaws.com", arn, topic, subject, text)
            for topic in alarm.alarm_actions
        ]
        self.rung.append(Ringing(self._world.clock.now(), alarm.name, tuple(filter(None, refusals))))

    def _state(self, alarm: Alarm) -> str:
        if alarm.metric_data_queries or alarm.rule or alarm.unit:
            raise NotImplementedError(f"{alarm.name}: no alarm of this kind is evaluated here")
        compare = _COMPARISONS[alarm.comparison_operator]
        periods = int(alarm.evaluation_periods)
        needed = int(alarm.datapoints_to_alarm or periods)
        real = [compare(value, float(alarm.threshold)) for value in self._values(alarm, periods)][:periods]
        breaching, missing = sum(real), periods - len(real)
        if not missing:
            return "ALARM" if breaching >= needed else "OK"
        match alarm.treat_missing_data:
            case "breaching":
                return "ALARM" if breaching + missing >= needed else "OK"
            case "notBreaching":
                return "ALARM" if breaching >= needed else "OK"
            case "ignore":
                if breaching >= needed:
                    return "ALARM"
                return "OK" if breaching + missing < needed else str(alarm.state_value)
        raise NotImplementedError(f"{alarm.name}: treat_missing_data must say what is meant")

    def _values(self, alarm: Alarm, periods: int) -> list[float]:
        """The statistic of each period that has data, newest first. The last period ends with the minute that runs."""
        dimensions = {str(each.name): str(each.value) for each in alarm.dimensions}
        data = self.data.get(Metric.of(alarm.namespace, alarm.metric_name, dimensions), [])
        end = self._world.clock.now().replace(second=0, microsecond=0) + _MINUTE
        period = timedelta(seconds=int(alarm.period))
        found = []
        for _ in range(periods + _LOOKS_BACK):
            start = end - period
            if values := [value for time, value in data if start <= time < end]:
                found.append(_STATISTICS[alarm.statistic](values))
            end = start
        return found


def _put_metric_alarm(original: Callable[..., Alarm]) -> Callable[..., Alarm]:
    """A new alarm knows nothing yet, and one that is changed stays in its state."""

    def put_metric_alarm(backend: CloudWatchBackend, name: str, **arguments: Any) -> Alarm:
        before = backend.alarms.get(name)
        alarm = original(backend, name=name, **arguments)
        alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
        return alarm

    return put_metric_alarm
