"""How clients are made: which retries, which time-outs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.client import BaseClient
    from mypy_boto3_config import ConfigServiceClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_organizations import OrganizationsClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sts import STSClient

# https://docs.aws.amazon.com/boto3/latest/guide/retries.html: standard mode backs off on throttling and
# on transient errors; the batch as a whole is retried by the queue.
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=15, max_pool_connections=50
)
# Other accounts' limits are shared with whatever else runs there, so that it slows down when it is told to.
_PLACE_CONFIG = _CONFIG.merge(Config(retries={"mode": "adaptive", "max_attempts": 5}))
# Sessions are no good in several threads at a time, and a new one would read all models of services anew.
_MAKING_CLIENTS = threading.Lock()
# By endpoint. They can be used by several threads at a time.
_CONNECTIONS: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Those of an assumed role."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


def config_client() -> ConfigServiceClient:
    return boto3.client("config", config=_CONFIG)


def dynamodb_client() -> DynamoDBClient:
    return boto3.client("dynamodb", config=_CONFIG)


def events_client() -> EventBridgeClient:
    return boto3.client("events", config=_CONFIG)


def organizations_client() -> OrganizationsClient:
    return boto3.client("organizations", config=_CONFIG)


def s3_client() -> S3Client:
    return boto3.client("s3", config=_CONFIG)


def scheduler_client() -> EventBridgeSchedulerClient:
    return boto3.client("scheduler", config=_CONFIG)


def sns_client() -> SNSClient:
    return boto3.client("sns", config=_CONFIG)


def sts_client() -> STSClient:
    return boto3.client("sts", config=_CONFIG)


def place_client(service: str, credentials: Credentials, region: str) -> BaseClient:
    """A client of any service in another account, under a role that was assumed there. Can be called by any thread."""
    with _MAKING_CLIENTS:
        client: BaseClient = boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=_PLACE_CONFIG,
        )
        _share_connections(client)
    return client


def _share_connections(client: BaseClient) -> None:
    """Let all clients of an endpoint use the same connections; who calls is in the signature of each request.

    Each new connection loads all certificates of authorities, which takes more CPU than all calls to a small account.
    The SDK of the runtime decides whether it can be done.
    """
    endpoint = getattr(client, "_endpoint", None)
    if endpoint and hasattr(endpoint, "http_session"):
        endpoint.http_session = _CONNECTIONS.setdefault(client.meta.endpoint_url, endpoint.http_session)


def ecr_clients() -> Callable[[str], ECRClient]:
    """One client per region of the registry, made when first needed."""

    @cache
    def client(region: str) -> ECRClient:
        return boto3.client("ecr", region_name=region, config=_CONFIG)

    return client


def tagging_client(region: str) -> ResourceGroupsTaggingAPIClient:
    return boto3.client("resourcegroupstaggingapi", region_name=region, config=_CONFIG)
