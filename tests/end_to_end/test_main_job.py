"""From a deregistered task definition to a removed image, through everything that Terraform made."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from end_to_end.installation import (
    DEVELOPMENT,
    GRACE,
    HOST,
    MINUTE,
    PREFIX,
    PRODUCTION,
    RECORDED,
    REGION,
    RUN_CHECKS,
    SCHEDULE_CHECKS,
    TO_ANSWER,
    Installation,
)

# What must not be removed


def test_an_image_is_there_a_minute_before_the_grace_period_ends_and_gone_after(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1")
    installation.deregister(arn)
    aws.advance(GRACE - MINUTE)
    assert installation.exists(repository, digest)
    assert installation.verdicts(digest) == []
    aws.advance(MINUTE + TO_ANSWER)
    assert not installation.exists(repository, digest)
    (line,) = installation.verdicts(digest)
    assert (line["verdict"], line["removed"], line["tags"]) == ("remove", True, ["v1"])
    assert arn in line["cause"]


def test_a_rollback_a_minute_before_the_check_keeps_the_image(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    aws.advance(GRACE - MINUTE)
    aws.behaviour.recording_lag = timedelta(minutes=30)
    try:
        arn = installation.register(PRODUCTION, f"{HOST}/{repository}:v1")
        aws.advance(MINUTE + TO_ANSWER)
    finally:
        aws.behaviour.recording_lag = timedelta(minutes=3)
    assert installation.exists(repository, digest)
    (line,) = installation.verdicts(digest)
    assert (line["verdict"], line["users"]) == ("keep", [arn])
    assert "ledger" in line["reason"]
    installation.deregister(arn)
    aws.advance(GRACE + TO_ANSWER)
    assert not installation.exists(repository, digest)


def test_an_image_used_in_a_second_account_is_kept(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    other = installation.register(DEVELOPMENT, f"{HOST}/{repository}@{digest}")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    aws.advance(GRACE + TO_ANSWER)
    assert installation.exists(repository, digest)
    (line,) = installation.verdicts(digest)
    assert (line["verdict"], line["users"]) == ("keep", [other])


def test_an_image_of_a_repository_that_is_not_opted_in_is_kept(installation: Installation) -> None:
    repository = installation.repository(opted_in=False)
    digest = installation.push(repository, "v1")
    before = installation.schedules()
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    installation.aws.run_until_idle()
    assert installation.schedules() == before
    installation.aws.advance(GRACE + TO_ANSWER)
    assert installation.exists(repository, digest)


def test_a_repository_that_opts_out_within_the_grace_period_keeps_its_image(installation: Installation) -> None:
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    installation.aws.run_until_idle()
    arn = f"arn:aws:ecr:{REGION}:111111111111:repository/{repository}"
    installation.client("ecr").untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])
    installation.aws.advance(GRACE + TO_ANSWER)
    assert installation.exists(repository, digest)
    assert installation.verdicts(digest)[-1]["rule"] == "not_opted_in"


def test_a_tag_that_moved_has_the_old_image_judged_and_the_new_one_left_alone(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    old = installation.push(repository, "v1", "sha-abc")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    aws.advance(timedelta(hours=1))
    new = installation.push(repository, "v1")
    aws.advance(GRACE)
    assert not installation.exists(repository, old)
    assert installation.exists(repository, new)
    assert installation.verdicts(new) == []


def test_the_second_tags_last_use_counts(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1", "stable")
    first = installation.register(PRODUCTION, f"{HOST}/{repository}:v1")
    second = installation.deployed(DEVELOPMENT, f"{HOST}/{repository}:stable")
    installation.deregister(first)
    aws.advance(timedelta(hours=23))
    installation.deregister(second)
    aws.advance(GRACE - MINUTE)
    assert installation.exists(repository, digest)
    aws.advance(MINUTE + TO_ANSWER)
    assert not installation.exists(repository, digest)


@pytest.mark.parametrize("status", ["FAILED", "OUTDATED"])
def test_while_a_source_is_not_well_nothing_is_removed_and_afterwards_all(
    installation: Installation, status: str
) -> None:
    aws, repository = installation.aws, installation.repository()
    digests = [installation.push(repository, f"v{number}") for number in range(3)]
    images = [f"{HOST}/{repository}:v{number}" for number in range(3)]
    installation.deregister(installation.deployed(PRODUCTION, *images))
    aws.run_until_idle()
    aws.faults.fail_source(DEVELOPMENT, REGION, status)
    aws.advance(GRACE + timedelta(hours=3))
    assert all(installation.exists(repository, digest) for digest in digests)
    last = installation.verdicts(digests[0])[-1]
    assert last["rule"] == "inventory_not_trusted"
    assert f"{DEVELOPMENT}/{REGION}: the aggregator's last update was {status}" in last["reason"]
    aws.faults.heal_source(DEVELOPMENT, REGION)
    aws.advance(timedelta(hours=8))
    assert not any(installation.exists(repository, digest) for digest in digests)


def test_an_account_that_is_not_recorded_any_more_postpones(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    aws.run_until_idle()
    aws.faults.hide_source(DEVELOPMENT, REGION)
    aws.advance(GRACE + TO_ANSWER)
    assert installation.exists(repository, digest)
    assert "the aggregator holds nothing of it" in installation.verdicts(digest)[-1]["reason"]
    aws.faults.clear()
    aws.advance(timedelta(hours=1))
    assert not installation.exists(repository, digest)


def test_a_recorder_that_lags_beyond_bounds_postpones(installation: Installation) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    aws.advance(GRACE - timedelta(hours=2))
    aws.behaviour.recording_lag = timedelta(hours=4)
    try:
        canary = installation.register(DEVELOPMENT, f"{HOST}/{installation.repository()}:v9")
        aws.advance(timedelta(hours=2) + TO_ANSWER)
    finally:
        aws.behaviour.recording_lag = timedelta(minutes=3)
    assert installation.exists(repository, digest)
    assert canary in installation.verdicts(digest)[-1]["reason"]
    aws.advance(timedelta(hours=6))
    assert not installation.exists(repository, digest)


# How events may come


@pytest.mark.parametrize("fault", ["duplicated", "reordered", "message twice"])
def test_events_may_come_twice_and_in_any_order(installation: Installation, fault: str) -> None:
    aws, repository = installation.aws, installation.repository()
    digest = installation.push(repository, "v1")
    before = len(installation.schedules())
    if fault == "duplicated":
        aws.faults.duplicate_events(4)
    elif fault == "reordered":
        aws.faults.delay_events(timedelta(minutes=20))
    else:
        aws.faults.duplicate_messages(f"{PREFIX}-events", 4)
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1")
    installation.deregister(arn)
    aws.advance(timedelta(minutes=30))
    assert len(installation.schedules()) == before + 1
    aws.advance(GRACE)
    assert not installation.exists(repository, digest)
    assert [line["verdict"] for line in installation.verdicts(digest)] == ["remove"]


def test_an_event_too_large_for_its_images_gets_them_from_elsewhere(installation: Installation) -> None:
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    environment = [{"name": f"N{number}", "value": "x" * 1000} for number in range(120)]
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1", environment=environment)
    installation.deregister(arn)
    installation.aws.advance(GRACE + TO_ANSWER)
    assert not installation.exists(repository, digest)


def test_a_deregistration_that_config_never_records_does_not_keep_the_image(installation: Installation) -> None:
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    old = installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1", family="never-recorded")
    installation.push(repository, "v2")
    installation.aws.advance(MINUTE)
    installation.deployed(PRODUCTION, f"{HOST}/{repository}:v2", family="never-recorded")
    installation.deregister(old)
    assert not installation.aws.behaviour.records_deregistration_of_old_revisions
    installation.aws.advance(GRACE + TO_ANSWER)
    assert not installation.exists(repository, digest)


def test_a_bad_event_ends_in_the_dead_letter_queue_and_holds_nobody_up(installation: Installation) -> None:
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    sqs = installation.client("sqs")
    bad = ["{", json.dumps({"detail-type": "AWS API Call via CloudTrail", "detail": {"password": "hunter2"}})]
    for body in bad:
        sqs.send_message(QueueUrl=installation.queue_url("events"), MessageBody=body)
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    with installation.watched() as watched:
        installation.aws.advance(GRACE + TO_ANSWER)
    assert not installation.exists(repository, digest)
    assert sorted(installation.take_messages("events-dead-letter")) == sorted(bad)
    assert not any("hunter2" in line for run in watched.runs for line in run.log_lines)


def test_others_hear_of_the_removal(installation: Installation) -> None:
    shared = installation.aws.session("111111111111")
    events, sqs = shared.client("events"), shared.client("sqs")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:111111111111:listener"
    # Only the account tells a removal from what any workload account may put on the bus.
    pattern = json.dumps({"source": ["ecr-cleanup"], "detail-type": ["ECR Image Removed"], "account": ["111111111111"]})
    rule = events.put_rule(Name="listener", EventBusName=PREFIX, EventPattern=pattern)["RuleArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule="listener", EventBusName=PREFIX, Targets=[{"Id": "1", "Arn": queue}])
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    installation.aws.advance(GRACE + TO_ANSWER)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["repository"], detail["digest"], detail["tags"]) == (repository, digest, ["v1"])
    events.remove_targets(Rule="listener", EventBusName=PREFIX, Ids=["1"])
    events.delete_rule(Name="listener", EventBusName=PREFIX)


# Bursts


def test_a_burst_costs_one_schedule_an_image_and_one_inventory_a_batch(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    aws, repository = installation.aws, installation.repository()
    before = len(installation.schedules())
    digests = [installation.push(repository, f"v{number}") for number in range(50)]
    arns = [
        installation.register(PRODUCTION, f"{HOST}/{repository}:v{number % 50}", family="burst")
        for number in range(200)
    ]
    aws.advance(RECORDED)
    with installation.watched() as burst:
        for arn in arns:
            installation.deregister(arn)
        aws.advance(timedelta(minutes=5))
    assert len(installation.schedules()) == before + 50
    aws.faults.duplicate_events(400)
    with installation.watched() as replayed:
        for arn in arns:
            installation.deregister(arn)
        aws.advance(timedelta(minutes=5))
    aws.faults.clear()
    assert sum(run.records for run in replayed.runs if run.function == SCHEDULE_CHECKS) == 400
    assert len(installation.schedules()) == before + 50
    with installation.watched() as checked:
        aws.advance(GRACE + TO_ANSWER)
    assert not any(installation.exists(repository, digest) for digest in digests)
    batches = [run for run in checked.runs if run.function == RUN_CHECKS]
    inventories = checked.count("DescribeConfigurationAggregatorSourcesStatus", RUN_CHECKS)
    assert inventories == len(batches)
    with capsys.disabled():
        print(
            f"\n200 deregistrations of 50 images: {len(batches)} batch(es), {inventories} inventory reading(s); calls:"
        )
        for name, watched in ((SCHEDULE_CHECKS, burst), (RUN_CHECKS, checked)):
            calls = [call for call in watched.calls if call.function == name]
            by_operation = sorted({call.operation: 0 for call in calls})
            counts = ", ".join(f"{operation} {watched.count(operation, name)}" for operation in by_operation)
            print(f"  {name}: {counts}")
