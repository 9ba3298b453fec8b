"""An installation as the command line finds it: its settings, and adapters that only read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.ledger_table import LedgerTable
from ecr_cleanup.errors import EcrCleanupError
from ecr_cleanup.handlers.adapters import Adapters
from ecr_cleanup.settings import CheckSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from ecr_cleanup.aws.ledger_table import Update, Value


class NoInstallationError(EcrCleanupError):
    """There is no installation of this name in the account and region of the caller."""


class _UnchangedTable(LedgerTable):
    """A table that is read, and whose writes are left undone."""

    def put(self, pk: str, sk: str, values: Mapping[str, Value]) -> None:
        return None

    def delete(self, pk: str, sk: str) -> None:
        return None

    def update(self, update: Update) -> bool:
        return True

    def update_and_put(self, update: Update, pk: str, sk: str, values: Mapping[str, Value]) -> bool:
        return True

    def update_and_delete(self, update: Update, pk: str, sk: str) -> bool:
        return True


class ReadOnlyLedger(Ledger):
    """The ledger of an installation, in which the caller changes nothing."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        super().__init__(client, table_name)
        self._table = _UnchangedTable(client, table_name)


@dataclass(frozen=True)
class Installation:
    """What one installation is set to, and adapters that read what it reads."""

    prefix: str
    settings: CheckSettings
    adapters: Adapters

    @classmethod
    def find(cls, prefix: str, *, region: str | None = None, profile: str | None = None) -> Installation:
        """The installation of this name prefix, as its deployed functions know it.

        Raises:
            NoInstallationError: there is none.
            SettingsError: the functions have settings that this version does not understand.
        Raises botocore's errors, too.
        """
        boto3.setup_default_session(region_name=region, profile_name=profile)
        client = boto3.client("lambda")
        name = f"{prefix}-run-checks"
        try:
            configuration = client.get_function_configuration(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            raise NoInstallationError(
                f"there is no function {name} in {client.meta.region_name}: give the name prefix of the installation "
                "(--name-prefix), its region (--region) and credentials of the shared account (--profile)"
            ) from None
        settings = CheckSettings.from_environment(configuration.get("Environment", {}).get("Variables", {}))
        ledger = ReadOnlyLedger(clients.dynamodb_client(), settings.ledger_table_name)
        return cls(prefix, settings, Adapters.of(settings, ledger))
