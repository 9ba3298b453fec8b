"""The windows that cannot be closed, as docs/safety.md names them: how long they are, and what they let through."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from end_to_end.installation import (
    DEVELOPMENT,
    GRACE,
    HOST,
    MINUTE,
    PRODUCTION,
    REGION,
    RUN_CHECKS,
    SHARED,
    TO_ANSWER,
    Installation,
)

if TYPE_CHECKING:
    import pytest


def due(installation: Installation) -> tuple[str, str]:
    """A repository with an image whose check is about to remove it."""
    repository = installation.repository()
    digest = installation.push(repository, "v1")
    installation.deregister(installation.deployed(PRODUCTION, f"{HOST}/{repository}:v1"))
    installation.aws.advance(GRACE - MINUTE)
    return repository, digest


def test_between_the_second_look_and_the_deletion_there_are_no_more_calls_than_must_be(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, digest = due(installation)
    with installation.watched() as watched:
        installation.aws.advance(MINUTE + TO_ANSWER)
    assert not installation.exists(repository, digest)
    calls = [call for call in watched.calls if call.function == RUN_CHECKS]
    operations = [call.operation for call in calls]
    end = operations.index("BatchDeleteImage")
    begin = max(number for number, name in enumerate(operations[:end]) if name == "DescribeImages")
    # The image, its repository's tags, registrations; then the cap, the record of what begins, and the deletion.
    assert operations[begin : end + 1] == [
        "DescribeImages",
        "ListTagsForResource",
        "Query",
        "UpdateItem",
        "UpdateItem",
        "BatchDeleteImage",
    ]
    took = calls[end].time - calls[begin].time
    assert took < timedelta(seconds=5)
    with capsys.disabled():
        print(f"\nfrom the second look to the deletion: {took.total_seconds() * 1000:.0f} ms on local AWS")


def test_who_opts_out_before_the_second_look_is_heard(installation: Installation) -> None:
    aws = installation.aws
    repository, digest = due(installation)
    arn = f"arn:aws:ecr:{REGION}:{SHARED}:repository/{repository}"

    def opt_out() -> None:
        installation.client("ecr").untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])

    aws.faults.before_call("ecr", "ListTagsForResource", opt_out, at_call=2, function=RUN_CHECKS)
    aws.advance(MINUTE + TO_ANSWER)
    assert installation.status(repository, digest) == "ACTIVE"
    assert installation.verdicts(digest)[-1]["rule"] == "not_opted_in"


def test_who_opts_out_after_the_second_look_is_heard_by_the_registry(applied: Installation) -> None:
    aws = applied.aws
    repository, digest = due(applied)
    arn = f"arn:aws:ecr:{REGION}:{SHARED}:repository/{repository}"

    def opt_out() -> None:
        applied.client("ecr").untag_resource(resourceArn=arn, tagKeys=["ecr-cleanup"])

    aws.faults.before_call("ecr", "BatchDeleteImage", opt_out, function=RUN_CHECKS)
    with applied.watched() as watched:
        aws.advance(MINUTE + TO_ANSWER)
    assert applied.status(repository, digest) == "ACTIVE"
    assert [call.operation for call in watched.denied] == ["BatchDeleteImage"]
    aws.faults.clear()


def test_a_registration_after_the_second_look_comes_too_late(installation: Installation) -> None:
    """The window that is left."""
    aws = installation.aws
    repository, digest = due(installation)
    image = f"{HOST}/{repository}:v1"
    aws.faults.before_call(
        "ecr", "BatchDeleteImage", lambda: installation.register(DEVELOPMENT, image), function=RUN_CHECKS
    )
    aws.advance(MINUTE + TO_ANSWER)
    assert installation.status(repository, digest) is None
