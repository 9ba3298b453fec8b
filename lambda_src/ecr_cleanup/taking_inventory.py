"""Reads the inventory from its sources. A further source is a reader here: a function that returns `Findings`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.consumers import CONSUMER_TYPES, TASK_DEFINITION, Consumer
from ecr_cleanup.errors import AggregatorError
from ecr_cleanup.image_reference import parse_image_reference
from ecr_cleanup.inventory import (
    Findings,
    Inventory,
    Registration,
    Source,
    TaskDefinition,
    TrustProblem,
    Usage,
    blindness_problems,
    build_inventory,
    collapse_problem,
    has_collapsed,
    incompleteness_problems,
    lag_problems,
    nameless_problems,
    newest_revisions,
    overdue,
    recorder_problems,
    source_problems,
    unknown_type_problems,
    unresolved_problems,
    usages_of_consumer,
    usages_of_registration,
    usages_of_task_definition,
    usages_through_task_definition,
)
from ecr_cleanup.settings import CheckSettings, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from ecr_cleanup.aws.config import Aggregator
    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import Ledger, PlaceRecord

# A function that decides right now may have read the aggregator before it showed a registration: the ledger keeps
# speaking for it until every such function has ended (a Lambda function runs for 15 minutes at most).
_FORGET_AFTER = timedelta(hours=1)
# A recorder that stopped can leave any number behind; each query asks for ten, and the function has no time for all.
_LOOKED_UP_AT_MOST = 100
# After this, a count of task definitions is believed whatever it was before.
_COUNT_LAPSES_AFTER = timedelta(days=7)
_COUNT_IS_RENEWED_AFTER = timedelta(days=1)


class _Shown(NamedTuple):
    """What the aggregator shows, of task definitions the ACTIVE ones by ARN."""

    definitions: Mapping[str, TaskDefinition]
    consumers: list[Consumer]
    problems: list[TrustProblem]


@dataclass(frozen=True, eq=False)
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
        records, of_records = self._read_places()
        shown, of_aggregator = self._read_aggregator(expected, registrations, now)
        all_findings = [findings, of_ledger, of_records, of_aggregator]
        if shown:
            all_findings.append(self._compare_with(records, expected, shown, all_findings, now))
        active = shown.definitions if shown else {}
        return build_inventory(all_findings, read_at=now, expected=expected, active=active)

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
            return [], _ledger_trouble("read", error)
        return registrations, Findings(
            tuple(usage for registration in registrations for usage in usages_of_registration(registration)),
            tuple(
                blindness_problems(
                    (each for each in registrations if not self.settings.is_exempt(each.place, each.arn)),
                    max_lag=self.settings.max_registration_lag,
                    now=now,
                )
            ),
        )

    def _read_places(self) -> tuple[Mapping[Place, PlaceRecord], Findings]:
        try:
            return self.ledger.places(), Findings()
        except AWS_ERRORS as error:
            return {}, _ledger_trouble("read", error)

    def _read_aggregator(
        self, expected: frozenset[Place], registrations: list[Registration], now: datetime
    ) -> tuple[_Shown | None, Findings]:
        max_lag = self.settings.max_registration_lag
        try:
            problems = source_problems(expected, self.aggregator.source_statuses())
            problems += recorder_problems(expected, self.aggregator.recorders(), self.settings.resource_types)
            shown = self._read_resources()
            problems += shown.problems
            self._forget(registrations, shown.definitions, now)
            late = overdue(registrations, frozenset(shown.definitions), max_lag=max_lag, now=now)
            late = [each for each in late if each.place in expected and not self._is_exempt(each.place, each.arn)]
            problems += lag_problems(self._without_inactive(late, now), max_lag=max_lag)
            usages, unresolved = self._usages_of(shown)
        except (*AWS_ERRORS, AggregatorError) as error:
            problem = TrustProblem(
                None,
                f"the aggregator {self.settings.aggregator_name} could not be read: {error}",
                "see the message for what is missing",
            )
            return None, Findings(problems=(problem,))
        problems += unresolved_problems(self._to_be_known(unresolved, expected))
        problems += nameless_problems(self._to_be_known(shown.consumers, expected))
        return shown, Findings(tuple(usages), tuple(problems))

    def _read_resources(self) -> _Shown:
        """Read every type that is counted on, and compare with counts made before and after."""
        types = self.settings.resource_types & CONSUMER_TYPES.keys()
        before = self.aggregator.counts(types)
        definitions = {definition.arn: definition for definition in self.aggregator.active_task_definitions()}
        consumers = [
            consumer
            for name in sorted(types - {TASK_DEFINITION.resource_type})
            for consumer in self.aggregator.consumers(CONSUMER_TYPES[name])
        ]
        after = self.aggregator.counts(types)
        arns = {(each.place, TASK_DEFINITION.resource_type, each.arn) for each in definitions.values()}
        arns |= {(each.place, each.type.resource_type, each.arn) for each in consumers}
        read = Counter((place, resource_type) for place, resource_type, _ in arns)
        problems = unknown_type_problems(self.settings.resource_types)
        problems += [
            problem
            for problem in incompleteness_problems(read, before, after)
            if problem.place is None or not self.settings.is_exempt(problem.place)
        ]
        return _Shown(definitions, consumers, problems)

    def _usages_of(self, shown: _Shown) -> tuple[list[Usage], list[Consumer]]:
        """All usages, and the services and task sets that point to a task definition nobody knows.

        One that is not ACTIVE is still used by them. The ledger knows what its tags meant at its time, the aggregator
        its strings, so both are asked.
        """
        counted = newest_revisions(shown.definitions.values(), self.settings.newest_revisions)
        usages = [usage for each in counted for usage in usages_of_task_definition(each)]
        pointed_to = {each.task_definition for each in shown.consumers if each.task_definition}
        others = pointed_to - shown.definitions.keys()
        recorded = self.ledger.task_definitions(others) if others else {}
        inactive = {arn: found.task_definition for arn, found in self.aggregator.task_definitions(others).items()}
        unresolved = []
        for consumer in shown.consumers:
            usages += usages_of_consumer(consumer)
            if not consumer.task_definition:
                continue
            definition = shown.definitions.get(consumer.task_definition) or inactive.get(consumer.task_definition)
            if definition:
                usages += usages_through_task_definition(consumer, definition.images, (), Source.AGGREGATOR)
            record = recorded.get(consumer.task_definition)
            if record and record.references:
                held = record.references, record.image_ids
                usages += usages_through_task_definition(consumer, *held, Source.LEDGER)
            elif not definition:
                unresolved.append(consumer)
        return usages, unresolved

    def _to_be_known(self, consumers: Iterable[Consumer], expected: frozenset[Place]) -> list[Consumer]:
        """Those of which it matters that nobody knows what they use."""
        return [
            each
            for each in consumers
            if each.place in expected and not self._is_exempt(each.place, each.arn, each.task_definition)
        ]

    def _is_exempt(self, place: Place, *arns: str | None) -> bool:
        return any(self.settings.is_exempt(place, arn) for arn in arns)

    def _compare_with(
        self,
        records: Mapping[Place, PlaceRecord],
        expected: frozenset[Place],
        shown: _Shown,
        findings: list[Findings],
        now: datetime,
    ) -> Findings:
        """Compare counts of ACTIVE task definitions with those of before, and remember those that can be believed."""
        troubled = {problem.place for finding in findings for problem in finding.problems}
        # The ledger counts deregistrations of those that use this registry, and no others.
        counts = Counter(each.place for each in shown.definitions.values() if self._uses_registry(each))
        problems = []
        for place in sorted(expected):
            record = records.get(place)
            if record and record.active is not None and record.counted_at:
                deregistered = record.deregistered - record.deregistered_then
                should = record.active - deregistered
                lapses_at = record.counted_at + _COUNT_LAPSES_AFTER
                if now < lapses_at and has_collapsed(counts[place], should):
                    problems.append(
                        collapse_problem(
                            place,
                            read=counts[place],
                            expected=should,
                            counted_at=record.counted_at,
                            lapses_at=lapses_at,
                            command=self._command_to_forget_count(place),
                        )
                    )
                    continue
                # What was just deregistered may be shown for a while: a count that still includes it, together with
                # the number that does, too, would look like a collapse later.
                is_fresh = now - record.counted_at <= _COUNT_IS_RENEWED_AFTER
                if is_fresh and (deregistered or counts[place] == record.active):
                    continue
            if troubled.isdisjoint({None, place}):
                try:
                    self.ledger.record_count(
                        place, active=counts[place], deregistered=record.deregistered if record else 0, at=now
                    )
                except AWS_ERRORS as error:
                    return Findings(problems=(*problems, *_ledger_trouble("written", error).problems))
        return Findings(problems=tuple(problems))

    def _uses_registry(self, definition: TaskDefinition) -> bool:
        return any(image.strip().startswith(f"{self.settings.registry_id}.") for image in definition.images)

    def _command_to_forget_count(self, place: Place) -> str:
        key = json.dumps({"pk": {"S": "PLACE"}, "sk": {"S": str(place)}})
        return f"aws dynamodb delete-item --table-name {self.settings.ledger_table_name} --key '{key}'"

    def _forget(self, registrations: Iterable[Registration], shown: Container[str], now: datetime) -> None:
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
                    self.ledger.record_last_use(image_id, at=now, by=registration.arn)
                self.ledger.record_deregistration(
                    registration.arn, at=now, references=registration.references, image_ids=image_ids
                )
        return [registration for registration in late if registration.arn not in shown]


def _ledger_trouble(what: str, error: Exception) -> Findings:
    problem = TrustProblem(None, f"the ledger could not be {what}: {error}", "see the message for what is missing")
    return Findings(problems=(problem,))
