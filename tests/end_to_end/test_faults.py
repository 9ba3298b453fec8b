"""Functions that die, and services that refuse: nothing used is removed, and no check is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from end_to_end.installation import (
    DEVELOPMENT,
    GRACE,
    HOST,
    MINUTE,
    PRODUCTION,
    RUN_CHECKS,
    SCHEDULE_CHECKS,
    TO_ANSWER,
    Installation,
)

HOUR = timedelta(hours=1)


def two_images(installation: Installation) -> tuple[str, str, str]:
    """A repository with an image that production has just stopped to use, and one that development still uses."""
    repository = installation.repository()
    unused, used = installation.push(repository, "unused"), installation.push(repository, "used")
    # That a tag was never anything else is proven only if it was pushed before its task definition was registered.
    installation.aws.advance(MINUTE)
    installation.register(DEVELOPMENT, f"{HOST}/{repository}:used")
    arn = installation.deployed(PRODUCTION, f"{HOST}/{repository}:unused", f"{HOST}/{repository}:used")
    installation.deregister(arn)
    return repository, unused, used


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize(("function", "calls"), [(SCHEDULE_CHECKS, 12), (RUN_CHECKS, 28)])
def test_a_function_that_dies_at_any_of_its_calls_is_survived(
    installation: Installation, function: str, calls: int, after: bool
) -> None:
    aws = installation.aws
    # Every second call before it, the others after it: the state machine of the safety tests tries all of them.
    for number in range(1 + after, calls + 1, 2):
        died = len([run for run in aws.invocations(function) if run.error])
        if function == SCHEDULE_CHECKS:
            aws.faults.kill_function(function, at_call=number, after=after)
            repository, unused, used = two_images(installation)
            aws.run_until_idle()
        else:
            repository, unused, used = two_images(installation)
            aws.run_until_idle()
            aws.faults.kill_function(function, at_call=number, after=after)
        aws.advance(GRACE + 8 * HOUR)
        aws.faults.clear()
        assert len([run for run in aws.invocations(function) if run.error]) == died + 1, f"did not die at {number}"
        assert installation.exists(repository, used), number
        assert not installation.exists(repository, unused), number
    aws.advance(GRACE)
    assert installation.schedules() == []


@pytest.mark.parametrize("service", ["ecr", "dynamodb", "scheduler", "config", "events"])
@pytest.mark.parametrize("fault", ["throttled", "out of order"])
def test_a_service_that_refuses_now_and_then_is_survived(installation: Installation, service: str, fault: str) -> None:
    aws = installation.aws
    for function in (SCHEDULE_CHECKS, RUN_CHECKS):
        switch_on = aws.faults.throttle if fault == "throttled" else aws.faults.server_error
        switch_on(service, rate=0.3, seed=7, function=function)
    repository, unused, used = two_images(installation)
    aws.advance(GRACE + 2 * HOUR)
    assert installation.exists(repository, used)
    aws.faults.clear()
    aws.advance(2 * GRACE)
    assert installation.exists(repository, used)
    assert not installation.exists(repository, unused)
    assert installation.schedules() == []


def test_a_service_that_is_down_for_hours_is_survived(installation: Installation) -> None:
    aws = installation.aws
    repository, unused, used = two_images(installation)
    aws.advance(GRACE - TO_ANSWER)
    aws.faults.server_error("ecr", function=RUN_CHECKS)
    aws.advance(6 * HOUR)
    assert installation.exists(repository, unused)
    assert installation.verdicts(unused)[-1]["rule"] == "not_readable"
    aws.faults.clear()
    aws.advance(GRACE)
    assert not installation.exists(repository, unused)
    assert installation.exists(repository, used)


@pytest.mark.parametrize("survives", [False, True], ids=["update is swallowed", "update works"])
def test_a_fired_schedule_that_is_still_there_swallows_no_check(installation: Installation, survives: bool) -> None:
    aws = installation.aws
    aws.behaviour.schedule_removal_delay = timedelta(minutes=30)
    aws.behaviour.updates_survive_removal = survives
    try:
        repository, unused, _ = two_images(installation)
        aws.advance(GRACE - TO_ANSWER)
        aws.faults.server_error("ecr", function=RUN_CHECKS)
        aws.advance(2 * TO_ANSWER)
        assert installation.verdicts(unused)[-1]["verdict"] == "postpone"
        aws.faults.clear()
        aws.advance(2 * HOUR)
    finally:
        aws.behaviour.schedule_removal_delay = timedelta()
        aws.behaviour.updates_survive_removal = False
    assert not installation.exists(repository, unused)
