"""How clients are made: which retries, which time-outs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_config import ConfigServiceClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_organizations import OrganizationsClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

# https://docs.aws.amazon.com/boto3/latest/guide/retries.html: standard mode backs off on throttling and
# on transient errors; the batch as a whole is retried by the queue.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=15)


def config_client() -> ConfigServiceClient:
    return boto3.client("config", config=_CONFIG)


def dynamodb_client() -> DynamoDBClient:
    return boto3.client("dynamodb", config=_CONFIG)


def events_client() -> EventBridgeClient:
    return boto3.client("events", config=_CONFIG)


def organizations_client() -> OrganizationsClient:
    return boto3.client("organizations", config=_CONFIG)


def scheduler_client() -> EventBridgeSchedulerClient:
    return boto3.client("scheduler", config=_CONFIG)


def ecr_clients() -> Callable[[str], ECRClient]:
    """One client per region of the registry, made when first needed."""

    @cache
    def client(region: str) -> ECRClient:
        return boto3.client("ecr", region_name=region, config=_CONFIG)

    return client
