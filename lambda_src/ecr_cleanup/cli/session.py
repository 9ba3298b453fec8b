"""The caller's own way to AWS: credentials, region, and a guard that lets only the calls of a command through."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from ecr_cleanup.cli.failures import AwsError, NotAllowedError, UsageError, error_of_answer
from ecr_cleanup.image import REGION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botocore.awsrequest import AWSResponse
    from botocore.model import OperationModel

# A person waits, and shares the limits with the functions: calls slow down when AWS asks for it.
_CONFIG = Config(
    retries={"mode": "adaptive", "max_attempts": 6}, connect_timeout=5, read_timeout=30, max_pool_connections=16
)
_FAILED = 300


class AwsSession:
    """Makes clients, each once. They may be used by several threads.

    Every call that is not among `allowed` is stopped before it leaves. An error that nobody handles by itself ends the
    command with a `CliError`; the others are raised as the SDK does.

    Raises:
        UsageError: what is given or configured is no name of a region.
        AwsError: no region is known.
    """

    def __init__(self, profile: str | None, region: str | None, allowed: Collection[str]) -> None:
        # All tools of AWS but this SDK go by AWS_REGION.
        self._session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION"))
        if not self._session.region_name:
            raise AwsError("no region is configured: give --region, or set AWS_REGION")
        if not REGION.fullmatch(self.region):
            where = "--region" if region else "the region of your AWS configuration"
            raise UsageError(f"{where} is {self.region[:50]!r}, but must be one such as eu-central-1")
        self._allowed = allowed
        self._clients: dict[tuple[str, str], Any] = {}
        self._making_clients = threading.Lock()

    @property
    def region(self) -> str:
        """Where clients are that are made for no other region."""
        return str(self._session.region_name)

    @property
    def partition(self) -> str:
        """The partition of the region: `aws`, `aws-cn`, ..."""
        return self._session.get_partition_for_region(self.region)

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - each service has its own type
        """The client of a service."""
        key = (service, region or self.region)
        with self._making_clients:
            if key not in self._clients:
                client = self._session.client(service, region_name=key[1], config=_CONFIG)  # type: ignore[call-overload]
                client.meta.events.register("before-call", self._guard)
                client.meta.events.register("after-call", _end_where_nothing_helps)
                self._clients[key] = client
        return self._clients[key]

    def account_id(self) -> str:
        """The account that the credentials are of."""
        account: str = self.client("sts").get_caller_identity()["Account"]
        return account

    def _guard(self, model: OperationModel, **_: object) -> None:
        if _name(model) not in self._allowed:
            raise NotAllowedError(f"this command must not call {_name(model)}: this is a mistake in ecr-cleanup")


def _end_where_nothing_helps(
    http_response: AWSResponse, parsed: Mapping[str, Any], model: OperationModel, **_: object
) -> None:
    if http_response.status_code >= _FAILED and (error := error_of_answer(_name(model), parsed)):
        raise error


def _name(model: OperationModel) -> str:
    return f"{model.service_model.service_name}:{model.name}"
