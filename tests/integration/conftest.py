"""Adapters and handlers against moto: the calls are real, the service is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.scheduler import CheckSchedules
from ecr_cleanup.settings import CheckSettings
from fakes import REGION, SHARED, FakeAggregator, FakeClock, Pushed
from function_environment import ENVIRONMENT
from invocations import create_ledger_table
from local_aws import ecr as strict_ecr
from local_aws.patches import Patches
from local_aws.tagging import show_repositories

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", SHARED)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


@pytest.fixture
def settings() -> CheckSettings:
    return CheckSettings.from_environment(ENVIRONMENT)


@pytest.fixture
def ledger(aws: None, settings: CheckSettings) -> Ledger:
    client = boto3.client("dynamodb")
    create_ledger_table(client)
    return Ledger(client, settings.ledger_table_name)


@pytest.fixture
def schedules(aws: None, settings: CheckSettings) -> CheckSchedules:
    client = boto3.client("scheduler")
    client.create_schedule_group(Name=settings.schedule_group_name)
    return CheckSchedules(client, settings)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def aggregator() -> FakeAggregator:
    return FakeAggregator()


@pytest.fixture
def ecr(aws: None, clock: FakeClock) -> Iterator[Pushed]:
    """An ECR that is as strict as AWS's, with the clock of the test."""
    patches = Patches()
    patches.set(strict_ecr, "datetime", SimpleNamespace(now=lambda _: clock()))
    for owner, name, replacement in strict_ecr.patches():
        patches.set(owner, name, replacement)
    show_repositories(patches)
    client = boto3.client("ecr")
    yield Pushed(client, Registry(lambda _: client, "aws"))
    patches.undo()
