"""Answers image deletion checks: one batch, one inventory, a verdict for every image, and what follows from it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.aws.ecr import Deletion
from ecr_cleanup.chunks import chunks
from ecr_cleanup.decision import Decision, Evidence, Policy, Verdict, decide, postponed_for_trouble
from ecr_cleanup.errors import DeletionRefusedError, LedgerConflictError
from ecr_cleanup.inventory import TrustProblem
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.event_bus import EventBus
    from ecr_cleanup.aws.ledger import ImageRecord, Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.check import Check
    from ecr_cleanup.image import Image, ImageId, Repository
    from ecr_cleanup.inventory import Inventory, Usage
    from ecr_cleanup.settings import CheckSettings
    from ecr_cleanup.taking_inventory import InventoryTaker

# One check takes some eight calls; with less time than this left, the next one might be cut short.
_TIME_FOR_ONE_CHECK = timedelta(seconds=90)
_USERS_AT_A_TIME = 100
_REPORT_INTERVAL = timedelta(days=1)
_NOT_READ_YET = (TrustProblem(None, "the inventory was not read yet", "read it"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found and done about one check.

    `image` is None where it is gone or nobody could look. `next_check_at` is there where the check was postponed.
    `removed` tells a removal from the report of one.
    """

    check: Check
    decision: Decision
    image: Image | None = None
    users: tuple[Usage, ...] = ()
    next_check_at: datetime | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was seen of one repository, or the trouble in the way."""

    tags: Mapping[str, str] | None = None
    images: Mapping[ImageId, Image] | None = None
    trouble: str | None = None


class CheckRun:
    """Answers one batch of checks."""

    def __init__(
        self,
        settings: CheckSettings,
        *,
        registry: Registry,
        ledger: Ledger,
        inventory_taker: InventoryTaker,
        schedules: CheckSchedules,
        event_bus: EventBus,
        clock: Callable[[], datetime],
        time_left: Callable[[], timedelta],
    ) -> None:
        self._settings = settings
        self._policy = Policy(settings.opt_in_tag, settings.grace_period)
        self._registry = registry
        self._ledger = ledger
        self._inventory_taker = inventory_taker
        self._schedules = schedules
        self._event_bus = event_bus
        self._clock = clock
        self._time_left = time_left
        self._looked: dict[Repository, _Looked] = {}
        self._records: dict[ImageId, ImageRecord] = {}
        self._ledger_trouble: str | None = None
        self._is_active: dict[str, bool] = {}

    @cached_property
    def inventory(self) -> Inventory:
        """Read when the first image needs it, and once for the batch."""
        return self._inventory_taker.take(self._clock())

    @property
    def inventory_if_read(self) -> Inventory | None:
        """The inventory, where any image of the batch needed it."""
        return self.__dict__.get("inventory")

    def prepare(self, checks: Iterable[Check]) -> None:
        """Look at all images of the batch in as few calls as possible. What cannot be read postpones later on."""
        wanted: defaultdict[Repository, set[ImageId]] = defaultdict(set)
        for check in checks:
            wanted[check.image_id.repository].add(check.image_id)
        for repository, image_ids in wanted.items():
            try:
                tags = self._registry.repository_tags(repository)
                images = self._registry.images(image_ids) if tags is not None else {}
                self._looked[repository] = _Looked(tags, images)
            except AWS_ERRORS as error:
                self._looked[repository] = _Looked(trouble=f"the repository {repository} could not be read: {error}")
        try:
            self._records = self._ledger.images(image_id for some in wanted.values() for image_id in some)
        except AWS_ERRORS as error:
            self._ledger_trouble = f"the ledger could not be read: {error}"

    def answer(self, check: Check) -> Answer:
        """Judge the image of one check and do what the verdict says.

        The check must have been among those given to `prepare`. Whatever AWS refuses or fails at postpones the check;
        only where the postponement itself fails, the error is raised, so that the message comes back.
        """
        try:
            return self._answer(check)
        except (*AWS_ERRORS, DeletionRefusedError) as error:
            return self._postpone_for_trouble(check, "failed", str(error))

    def _answer(self, check: Check) -> Answer:
        if not self._settings.in_charge_of(check.image_id.repository):
            reason = "this installation is not in charge of the image's registry and region any more"
            return Answer(check, Decision(Verdict.KEEP, "not_in_charge", reason))
        looked = self._looked[check.image_id.repository]
        trouble = looked.trouble or self._ledger_trouble
        if trouble or looked.images is None:
            return self._postpone_for_trouble(check, "not_readable", trouble or "nobody looked")
        if self._time_left() < _TIME_FOR_ONE_CHECK:
            return self._postpone_for_trouble(check, "out_of_time", "the function's time was up before this check")
        record = self._records[check.image_id]
        if record.removal_is_unfinished and check.image_id in looked.images:
            # It was begun, and the image is still there: whoever removes it later, it was not that removal.
            self._ledger.abandon_removal(check.image_id)
        evidence = Evidence(
            image_id=check.image_id,
            image=looked.images.get(check.image_id),
            repository_tags=looked.tags,
            users=(),
            problems=_NOT_READ_YET,
            last_used_at=record.last_used_at,
            attempt=check.attempt,
            now=self._clock(),
        )
        # The inventory is read only for what comes as far as needing it.
        decision = decide(evidence, self._policy)
        if decision.rule == "inventory_not_trusted" and evidence.image:
            evidence = replace(
                evidence,
                users=self._active_users(self.inventory, evidence.image),
                problems=self.inventory.problems,
            )
            decision = decide(evidence, self._policy)
        if decision.verdict is Verdict.REMOVE:
            return self._remove(check, evidence, decision)
        return self._follow(check, evidence, decision, record)

    def _follow(self, check: Check, evidence: Evidence, decision: Decision, record: ImageRecord | None) -> Answer:
        """Do what any verdict but `remove` asks for."""
        next_check_at = None
        if decision.verdict is Verdict.GONE and record and record.removal_is_unfinished:
            # A function removed it and did not live to tell.
            self._tell(check.image_id, record.removal)
        if decision.rule == "in_use":
            # Should the event of its deregistration never come, the grace period starts with what was seen here.
            self._ledger.record_last_use(check.image_id, at=evidence.now)
        if decision.until:
            if evidence.last_used_at is None and decision.rule == "within_grace_period":
                self._ledger.record_last_use(check.image_id, at=evidence.now)
            next_check_at = self._schedules.put(
                check.again(attempt=decision.attempt), decision.until, now=self._clock()
            )
        return Answer(check, decision, evidence.image, evidence.users, next_check_at)

    def _remove(self, check: Check, evidence: Evidence, decision: Decision) -> Answer:
        if self._settings.action is Action.REPORT:
            # Reported again and again: once the action is to delete, what was reported goes.
            now = self._clock()
            again = max(self._settings.grace_period, _REPORT_INTERVAL)
            due = self._schedules.put(check.again(attempt=0), now + again, now=now)
            return Answer(check, decision, evidence.image, next_check_at=due)
        evidence = self._look_again(evidence)
        decision = decide(evidence, self._policy)
        image = evidence.image
        if decision.verdict is not Verdict.REMOVE or image is None or evidence.last_used_at is None:
            return self._follow(check, evidence, decision, None)
        removal = self._describe_removal(image, evidence.last_used_at, decision)
        try:
            self._ledger.begin_removal(image.id, last_used_at=evidence.last_used_at, at=self._clock(), removal=removal)
        except LedgerConflictError as error:
            return self._postpone_for_trouble(check, "used_again", str(error))
        if self._registry.delete(image.id) is Deletion.HELD_BY_AN_INDEX:
            self._ledger.abandon_removal(image.id)
            reason = "an image index of the repository still contains it"
            return Answer(check, Decision(Verdict.KEEP, "held_by_an_index", reason), image)
        # Not found is taken for removed: the first answer may have been lost, and the call was made again.
        self._tell(image.id, removal)
        return Answer(check, decision, image, removed=True)

    def _look_again(self, evidence: Evidence) -> Evidence:
        """The same evidence as it is right before the removal.

        The opt-in tag is not read again: the condition on the role's permission to delete makes ECR look at it.
        """
        now = self._clock()
        image = self._registry.images([evidence.image_id]).get(evidence.image_id)
        since = self._inventory_taker.read_registrations(now)
        users = (*self._active_users(self.inventory, image), *self._active_users(since, image)) if image else ()
        return replace(evidence, image=image, users=users, problems=(*evidence.problems, *since.problems), now=now)

    def _active_users(self, inventory: Inventory, image: Image) -> tuple[Usage, ...]:
        """The users of an image, less the task definitions that the ledger knows to be deregistered.

        Config may show a deregistered revision as ACTIVE for ever. An image can have thousands of such users, so the
        search ends with the first lot in which any is active.
        """
        users = inventory.users_of(image)
        for some in chunks(users, _USERS_AT_A_TIME):
            unknown = {usage.arn for usage in some} - self._is_active.keys()
            for arn, record in self._ledger.task_definitions(unknown).items() if unknown else ():
                self._is_active[arn] = record.deregistered_at is None
            active = tuple(usage for usage in some if self._is_active[usage.arn])
            if active:
                return active
        return ()

    def _tell(self, image_id: ImageId, removal: str | None) -> None:
        """Tell others of the removal, then close it in the ledger: told twice rather than never."""
        if removal:
            self._event_bus.announce_removal(removal)
        self._ledger.finish_removal(image_id, at=self._clock())

    def _postpone_for_trouble(self, check: Check, rule: str, reason: str) -> Answer:
        now = self._clock()
        decision = postponed_for_trouble(rule, reason, attempt=check.attempt, now=now)
        due = self._schedules.put(check.again(attempt=decision.attempt), decision.until or now, now=now)
        return Answer(check, decision, next_check_at=due)

    def _describe_removal(self, image: Image, last_used_at: datetime, decision: Decision) -> str:
        inventory = self.inventory
        return json.dumps(
            {
                "registryId": image.id.repository.registry_id,
                "region": image.id.repository.region,
                "repository": image.id.repository.name,
                "digest": image.id.digest,
                "tags": sorted(image.tags),
                "sizeBytes": image.size_bytes,
                "pushedAt": image.pushed_at.isoformat(),
                "lastPulledAt": image.last_pulled_at.isoformat() if image.last_pulled_at else None,
                "lastUsedAt": last_used_at.isoformat(),
                "removedAt": self._clock().isoformat(),
                "reason": decision.reason,
                "inventoryReadAt": inventory.read_at.isoformat(),
            }
        )
