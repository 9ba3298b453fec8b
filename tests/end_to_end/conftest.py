from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from end_to_end.installation import DEVELOPMENT, PRODUCTION, REGION, SHARED, TO_ANSWER, Installation
from local_aws import LocalAws
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Iterator


REPORTS = "reports-of-sweeps"
DEAD_LETTER_QUEUES = {
    SHARED: (
        "events-dead-letter",
        "checks-dead-letter",
        "schedules-dead-letter",
        "sweeps-dead-letter",
        "digests-dead-letter",
    ),
    PRODUCTION: ("forward-dead-letter",),
    DEVELOPMENT: ("forward-dead-letter",),
}


@pytest.fixture(scope="package")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`examples/local`, applied once for all tests; each test works in repositories and families of its own.

    Not longer than this package: while a local AWS runs, nothing else may use moto in this process.
    """
    directory = tmp_path_factory.mktemp("end_to_end")
    with LocalAws(region=REGION) as aws:
        for account in (SHARED, PRODUCTION, DEVELOPMENT):
            aws.create_account(account)
        # Most tests have but one image in a repository, which would be its newest, and no test waits for a sweep.
        variables = {
            "TF_VAR_newest_images": "0",
            "TF_VAR_sweep_schedule": "rate(9999 days)",
            "TF_VAR_report_bucket": REPORTS,
            "TF_VAR_alarms": json.dumps({"removals_per_hour": 2, "days_without_event": 3, "days_without_sweep": 2}),
        }
        where: Any = {"LocationConstraint": REGION}
        aws.session(SHARED).client("s3").create_bucket(Bucket=REPORTS, CreateBucketConfiguration=where)
        environment = terraform_environment(directory, aws.terraform_environment(SHARED) | variables)
        terraform = Terraform(copy_of_tree(directory / "tree") / "examples/local", environment)
        terraform.init()
        terraform.apply()
        # The schedule of the sweep begins with one at once.
        aws.advance(TO_ANSWER)
        yield Installation(aws, terraform)


@pytest.fixture
def installation(applied: Installation) -> Iterator[Installation]:
    """The installation, with all faults off; by the end of a test no call was denied and nothing lost."""
    with applied.watched() as watched:
        yield applied
    applied.aws.faults.clear()
    assert watched.denied == []
    assert applied.aws.lost_events == []
    for account, queues in DEAD_LETTER_QUEUES.items():
        for queue in queues:
            assert applied.take_messages(queue, account) == [], queue
