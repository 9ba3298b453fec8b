"""The adapters that both functions need which judge images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.config import Aggregator
from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.aws.ledger import Ledger
from ecr_cleanup.aws.organizations import active_account_ids
from ecr_cleanup.aws.scheduler import CheckSchedules
from ecr_cleanup.live_usage import LiveUsage
from ecr_cleanup.taking_inventory import InventoryTaker

if TYPE_CHECKING:
    from ecr_cleanup.settings import CheckSettings


class Adapters(NamedTuple):
    """What an installation with these settings works with."""

    registry: Registry
    ledger: Ledger
    inventory_taker: InventoryTaker
    schedules: CheckSchedules
    live_usage: LiveUsage | None

    @classmethod
    def of(cls, settings: CheckSettings) -> Adapters:
        """Make them, with clients that have the function's own credentials."""
        ledger = Ledger(clients.dynamodb_client(), settings.ledger_table_name)
        registry = Registry(clients.ecr_clients(), settings.partition)
        inventory_taker = InventoryTaker(
            settings,
            Aggregator(clients.config_client(), settings.aggregator_name),
            ledger,
            registry,
            lambda: active_account_ids(clients.organizations_client()),
        )
        live_usage = None
        if settings.reader_role:
            live_usage = LiveUsage(settings, settings.reader_role, clients.sts_client(), clients.place_client, ledger)
        return cls(registry, ledger, inventory_taker, CheckSchedules(clients.scheduler_client(), settings), live_usage)
