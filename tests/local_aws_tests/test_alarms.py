from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_aws.alarms import Metric
from local_aws.topics import messages
from local_aws_tests.stack import REGION, SHARED, bodies, policy, queue, send

if TYPE_CHECKING:
    import boto3

    from local_aws import LocalAws

HOUR = timedelta(hours=1)
COUNT = Metric.of("Mine", "Count", {"service": "a"})


def alarm(session: boto3.Session, name: str = "one", **changes: Any) -> None:
    fields: dict[str, Any] = {
        "AlarmName": name,
        "Namespace": "Mine",
        "MetricName": "Count",
        "Dimensions": [{"Name": "service", "Value": "a"}],
        "Statistic": "Sum",
        "Period": 3600,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **changes,
    }
    session.client("cloudwatch").put_metric_alarm(**fields)


def state(aws: LocalAws, name: str = "one") -> str:
    aws.alarms.evaluate()
    return aws.alarms.states(SHARED, REGION)[name]


def put(aws: LocalAws, *values: float, hours_ago: float = 0, metric: Metric = COUNT) -> None:
    moment = aws.clock.now() - hours_ago * HOUR
    aws.alarms.data[metric] += [(moment, value) for value in values]


def test_rings_for_its_metric_and_no_other(aws: LocalAws, shared: boto3.Session) -> None:
    alarm(shared)
    others = [
        Metric.of("Mine", "Count", {}),
        Metric.of("Mine", "Count", {"service": "a", "more": "b"}),
        Metric.of("Mine", "Count", {"service": "b"}),
        Metric.of("Mine", "Other", {"service": "a"}),
        Metric.of("Yours", "Count", {"service": "a"}),
    ]
    for metric in others:
        put(aws, 7, metric=metric)
    assert state(aws) == "OK"
    put(aws, 1)
    assert state(aws) == "ALARM"


@pytest.mark.parametrize(
    ("statistic", "value"), [("Sum", 6), ("Maximum", 5), ("Minimum", 1), ("Average", 3), ("SampleCount", 2)]
)
def test_a_statistic_is_over_one_period(aws: LocalAws, shared: boto3.Session, statistic: str, value: int) -> None:
    for name, threshold in (("above", value - 0.5), ("below", value + 0.5)):
        alarm(shared, name, Statistic=statistic, Threshold=threshold)
    put(aws, 1, 5)
    put(aws, 100, 100, 100, hours_ago=1.1)
    assert (state(aws, "above"), state(aws, "below")) == ("ALARM", "OK")


@pytest.mark.parametrize(
    ("operator", "states"),
    [
        ("GreaterThanThreshold", ("OK", "OK", "ALARM")),
        ("GreaterThanOrEqualToThreshold", ("OK", "ALARM", "ALARM")),
        ("LessThanThreshold", ("ALARM", "OK", "OK")),
        ("LessThanOrEqualToThreshold", ("ALARM", "ALARM", "OK")),
    ],
)
def test_compares(aws: LocalAws, shared: boto3.Session, operator: str, states: tuple[str, ...]) -> None:
    for threshold in (4, 3, 2):
        alarm(shared, f"of-{threshold}", ComparisonOperator=operator, Threshold=threshold)
    put(aws, 3)
    assert tuple(state(aws, f"of-{threshold}") for threshold in (4, 3, 2)) == states


# The table of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html for three of
# three periods: 0 does not breach, X does, - is missing, the newest to the right. `was` stays as it is.
@pytest.mark.parametrize(
    ("data", "states"),
    [
        ("0-X-X", ("OK", "OK", "OK")),
        ("----0", ("OK", "OK", "OK")),
        ("-----", ("was", "ALARM", "OK")),
        ("0XX-X", ("ALARM", "ALARM", "ALARM")),
        ("--X--", ("was", "ALARM", "OK")),
    ],
)
@pytest.mark.parametrize("was", ["INSUFFICIENT_DATA", "ALARM"])
def test_missing_data(aws: LocalAws, shared: boto3.Session, data: str, states: tuple[str, ...], was: Any) -> None:
    for missing, expected in zip(("ignore", "breaching", "notBreaching"), states, strict=True):
        alarm(shared, missing, EvaluationPeriods=3, TreatMissingData=missing)
        shared.client("cloudwatch").set_alarm_state(AlarmName=missing, StateValue=was, StateReason="test")
        aws.alarms.data.clear()
        for ago, each in enumerate(reversed(data)):
            if each != "-":
                put(aws, int(each == "X"), hours_ago=ago + 0.5)
        assert state(aws, missing) == (was if expected == "was" else expected)


def test_some_of_several_periods_can_be_enough(aws: LocalAws, shared: boto3.Session) -> None:
    alarm(shared, EvaluationPeriods=3, DatapointsToAlarm=2)
    put(aws, 1, hours_ago=2.5)
    put(aws, 0, hours_ago=1.5)
    assert state(aws) == "OK"
    put(aws, 1, hours_ago=0.5)
    assert state(aws) == "ALARM"


@pytest.mark.parametrize("changes", [{"TreatMissingData": "missing"}, {"Unit": "Count"}])
def test_what_is_not_emulated_is_refused(aws: LocalAws, shared: boto3.Session, changes: dict[str, str]) -> None:
    alarm(shared, **changes)
    with pytest.raises(NotImplementedError, match="one: "):
        aws.alarms.evaluate()


def test_a_queue_in_which_nothing_happens_for_six_hours_has_no_figures(aws: LocalAws, shared: boto3.Session) -> None:
    queue(shared, "dead")
    visible = Metric.of("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "dead"})
    aws.watch(HOUR)
    assert aws.alarms.data[visible] == []
    send(shared, "dead", "hello")
    aws.watch(8 * HOUR)
    times = [time for time, value in aws.alarms.data[visible] if value == 1]
    assert timedelta(hours=5.9) < times[-1] - times[0] < timedelta(hours=6.1)
    assert bodies(shared, "dead") == ["hello"]


def test_the_age_is_that_of_the_oldest_message(aws: LocalAws, shared: boto3.Session) -> None:
    queue(shared, "waiting")
    age = Metric.of("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "waiting"})
    send(shared, "waiting", "first")
    aws.advance(HOUR)
    send(shared, "waiting", "second")
    aws.watch(HOUR, every=HOUR)
    assert aws.alarms.data[age][-1][1] == pytest.approx(7200, abs=5)


# Whom it tells


def topic(session: boto3.Session, key: str | None = None, *, admits: str = "cloudwatch.amazonaws.com") -> str:
    sns: Any = session.client("sns")
    arn: str = sns.create_topic(Name="people", Attributes={"KmsMasterKeyId": key} if key else {})["TopicArn"]
    entry = {"Effect": "Allow", "Principal": {"Service": admits}, "Action": "sns:Publish", "Resource": arn}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy(entry))
    return arn


def key_that_admits(session: boto3.Session, *services: str) -> str:
    owner = {"AWS": f"arn:aws:iam::{SHARED}:root"}
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Principal": owner, "Action": "kms:*", "Resource": "*"},
        *(
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
            }
            for service in services
        ),
    ]
    arn: str = session.client("kms").create_key(Policy=policy(*statements))["KeyMetadata"]["Arn"]
    return arn


def refusals(aws: LocalAws, session: boto3.Session, topic_arn: str) -> tuple[str, ...]:
    alarm(session, AlarmActions=[topic_arn])
    put(aws, 1)
    aws.alarms.evaluate()
    (rung,) = aws.alarms.rung
    return rung.refused


def test_tells_its_topic_once(aws: LocalAws, shared: boto3.Session) -> None:
    arn = topic(shared)
    assert refusals(aws, shared, arn) == ()
    aws.watch(timedelta(minutes=10))
    (message,) = messages(arn)
    assert json.loads(message.text)["AlarmName"] == "one"


def test_a_topic_has_to_admit_cloudwatch(aws: LocalAws, shared: boto3.Session) -> None:
    arn = topic(shared, admits="events.amazonaws.com")
    assert "no resource-based policy allows the sns:Publish action" in refusals(aws, shared, arn)[0]
    assert messages(arn) == []


def test_a_topic_has_to_exist(aws: LocalAws, shared: boto3.Session) -> None:
    arn = f"arn:aws:sns:{REGION}:{SHARED}:nobody"
    assert refusals(aws, shared, arn) == (f"{arn} does not exist",)


def test_the_key_of_a_topic_has_to_admit_cloudwatch(aws: LocalAws, shared: boto3.Session) -> None:
    arn = topic(shared, key_that_admits(shared))
    assert "allows the kms:Decrypt action" in refusals(aws, shared, arn)[0]
    assert messages(arn) == []


def test_a_key_that_does_is_enough(aws: LocalAws, shared: boto3.Session) -> None:
    arn = topic(shared, key_that_admits(shared, "cloudwatch.amazonaws.com"))
    assert refusals(aws, shared, arn) == ()


def test_awss_own_key_for_sns_admits_no_alarm(aws: LocalAws, shared: boto3.Session) -> None:
    arn = topic(shared, "alias/aws/sns")
    assert "does not have authorization to access the SNS topic encryption key" in refusals(aws, shared, arn)[0]
