"""Reads the inventory from its sources. A further source is a reader here: a function that returns `Findings`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.image_reference import parse_image_reference
from ecr_cleanup.inventory import (
    Findings,
    Inventory,
    Registration,
    TrustProblem,
    absence_problems,
    blindness_problems,
    build_inventory,
    incompleteness_problems,
    lag_problems,
    overdue,
    source_problems,
    usages_of_registration,
    usages_of_task_definition,
)
from ecr_cleanup.settings import CheckSettings, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ecr_cleanup.aws.config import Aggregator
    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import Ledger

# A function that decides right now may have read the aggregator before it showed a registration: the ledger keeps
# speaking for it until every such function has ended (a Lambda function runs for 15 minutes at most).
_FORGET_AFTER = timedelta(hours=1)
# A recorder that stopped can leave any number behind; each query asks for ten, and the function has no time for all.
_LOOKED_UP_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class InventoryTaker:
    """Knows the sources and who is expected in them."""

    settings: CheckSettings
    aggregator: Aggregator
    ledger: Ledger
    registry: Registry
    organization_account_ids: Callable[[], frozenset[str]]

    def take(self, now: datetime) -> Inventory:
        """Read all sources once. What cannot be read makes the inventory untrusted, and nothing raises."""
        expected, findings = self._expected_places()
        # The ledger before the aggregator: whoever has left the one is then in the other.
        registrations, of_ledger = self._read_ledger(now)
        of_aggregator = self._read_aggregator(expected, registrations, now)
        return build_inventory([findings, of_ledger, of_aggregator], read_at=now)

    def read_registrations(self, now: datetime) -> Inventory:
        """Only the registrations, as they are now: those that came since the inventory was taken are among them."""
        _, findings = self._read_ledger(now)
        return build_inventory([findings], read_at=now)

    def _expected_places(self) -> tuple[frozenset[Place], Findings]:
        accounts = self.settings.workload_account_ids
        if accounts is None:
            try:
                accounts = self.organization_account_ids()
            except AWS_ERRORS as error:
                problem = TrustProblem(
                    None,
                    f"the accounts of the organisation are not known: {error}",
                    "let the functions list them (management account or delegated administrator), or name the accounts",
                )
                return frozenset(), Findings(problems=(problem,))
        places = {Place(account, region) for account in accounts for region in self.settings.workload_regions}
        expected = frozenset(place for place in places if not self.settings.is_exempt(place))
        if not expected:
            problem = TrustProblem(
                None, "no account is expected to use the registry", "name workload accounts, or exempt fewer"
            )
            return expected, Findings(problems=(problem,))
        return expected, Findings()

    def _read_ledger(self, now: datetime) -> tuple[list[Registration], Findings]:
        try:
            registrations = self.ledger.awaiting(now=now)
        except AWS_ERRORS as error:
            problem = TrustProblem(
                None, f"the ledger could not be read: {error}", "see the message for what is missing"
            )
            return [], Findings(problems=(problem,))
        return registrations, Findings(
            tuple(usage for registration in registrations for usage in usages_of_registration(registration)),
            tuple(blindness_problems(registrations, max_lag=self.settings.max_registration_lag, now=now)),
        )

    def _read_aggregator(
        self, expected: frozenset[Place], registrations: list[Registration], now: datetime
    ) -> Findings:
        max_lag = self.settings.max_registration_lag
        try:
            problems = source_problems(expected, self.aggregator.source_statuses())
            problems += absence_problems(expected, self.aggregator.recorded_places())
            definitions = self.aggregator.active_task_definitions()
            shown = frozenset(definition.arn for definition in definitions)
            problems += incompleteness_problems(len(shown), self.aggregator.count_active_task_definitions())
            self._forget(registrations, shown, now)
            late = overdue(registrations, shown, max_lag=max_lag, now=now)
            late = [registration for registration in late if registration.place in expected]
            problems += lag_problems(self._without_inactive(late, now), max_lag=max_lag)
        except (*AWS_ERRORS, AggregatorError) as error:
            problem = TrustProblem(
                None,
                f"the aggregator {self.settings.aggregator_name} could not be read: {error}",
                "see the message for what is missing",
            )
            return Findings(problems=(problem,))
        usages = (usage for definition in definitions for usage in usages_of_task_definition(definition))
        return Findings(tuple(usages), tuple(problems))

    def _forget(self, registrations: Iterable[Registration], shown: frozenset[str], now: datetime) -> None:
        for registration in registrations:
            if registration.arn in shown and now - registration.recorded_at > _FORGET_AFTER:
                self.ledger.forget_awaiting(registration.arn)

    def _without_inactive(self, late: list[Registration], now: datetime) -> list[Registration]:
        """Those that the aggregator does not show in any state.

        One that it shows as inactive was deregistered and its event was lost. Nobody knows when, so its images count
        as used until now.
        """
        shown = self.aggregator.task_definitions(registration.arn for registration in late[:_LOOKED_UP_AT_MOST])
        for registration in late:
            if registration.arn in shown and shown[registration.arn].status != "ACTIVE":
                references = map(parse_image_reference, sorted(registration.references))
                image_ids = registration.image_ids | self.registry.resolve(each for each in references if each)
                for image_id in sorted(image_ids):
                    self.ledger.record_last_use(image_id, at=now)
                self.ledger.record_deregistration(
                    registration.arn, at=now, references=registration.references, image_ids=image_ids
                )
        return [registration for registration in late if registration.arn not in shown]
