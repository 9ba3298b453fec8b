from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_aws import LocalAws
from local_aws_tests.stack import PRODUCTION, SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws() as running:
        running.create_account(SHARED)
        running.create_account(PRODUCTION)
        yield running


@pytest.fixture
def shared(aws: LocalAws) -> boto3.Session:
    return aws.session(SHARED)


@pytest.fixture
def production(aws: LocalAws) -> boto3.Session:
    return aws.session(PRODUCTION)
