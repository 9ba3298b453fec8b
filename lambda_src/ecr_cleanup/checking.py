"""Answers image deletion checks: one batch, one inventory, a verdict for every image, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.aws.ecr import Deletion, missing_operations
from ecr_cleanup.decision import (
    Decision,
    Evidence,
    Question,
    Verdict,
    capped,
    decide,
    in_use_by_part,
    postponed_for_trouble,
)
from ecr_cleanup.errors import AnnouncementError, DeletionRefusedError, LedgerConflictError, ManifestError
from ecr_cleanup.evidence import Finder
from ecr_cleanup.image import ImageId, ImageStatus
from ecr_cleanup.policy import Policy
from ecr_cleanup.removal import Removal, goes_along, parts_of
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.event_bus import EventBus
    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.check import Check
    from ecr_cleanup.image import Image
    from ecr_cleanup.inventory import TrustProblem, Usage
    from ecr_cleanup.live_usage import LiveUsage
    from ecr_cleanup.settings import CheckSettings
    from ecr_cleanup.taking_inventory import InventoryTaker

# One check takes some ten calls; with less time than this left, the next one might be cut short.
_TIME_FOR_ONE_CHECK = timedelta(seconds=90)
_REPORT_INTERVAL = timedelta(days=1)
# An event has room for 256 KB.
_TOLD = 1000
_TAGS_IN_DIGEST, _REASON_IN_DIGEST = 5, 300
_TROUBLES = (*AWS_ERRORS, AnnouncementError, DeletionRefusedError, ManifestError)


class Answer(NamedTuple):
    """What was found and done about one check.

    `image` is None where it is gone or nobody could look. `next_check_at` is there where the image will be looked at
    again. `done` is what was done with the image, None where nothing was; `removal` what is on record of that.
    """

    check: Check
    decision: Decision
    image: Image | None = None
    users: tuple[Usage, ...] = ()
    next_check_at: datetime | None = None
    done: Action | None = None
    removal: Mapping[str, Any] | None = None


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
        live_usage: LiveUsage | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._ledger = ledger
        self._schedules = schedules
        self._event_bus = event_bus
        self._clock = clock
        self._time_left = time_left
        self._finder = Finder(
            settings,
            registry=registry,
            ledger=ledger,
            inventory_taker=inventory_taker,
            live_usage=live_usage,
            clock=clock,
            time_left=time_left,
        )

    @property
    def problems_if_read(self) -> tuple[TrustProblem, ...]:
        """Why the inventory cannot be trusted, as far as any image of the batch needed to know."""
        return self._finder.problems_if_read

    @property
    def trust_is_known(self) -> bool:
        """Whether it was found out if the inventory can be trusted."""
        return self._finder.trust_is_known

    def prepare(self, checks: Iterable[Check]) -> None:
        """Look at all images of the batch in as few calls as possible. What cannot be read postpones later on."""
        self._finder.prepare(checks)

    def answer(self, check: Check) -> Answer:
        """Judge the image of one check and do what the verdict says.

        The check must have been among those given to `prepare`. Whatever AWS refuses or fails at postpones the check;
        only where the postponement itself fails, the error is raised, so that the message comes back.
        """
        try:
            return self._answer(check)
        except _TROUBLES as error:
            return self._postpone_for_trouble(check, "failed", str(error))

    def _answer(self, check: Check) -> Answer:
        if not self._settings.in_charge_of(check.image_id.repository):
            reason = "this installation is not in charge of the image's registry and region any more"
            return Answer(check, Decision(Verdict.KEEP, "not_in_charge", reason))
        if trouble := self._finder.trouble(check.image_id):
            return self._postpone_for_trouble(check, "not_readable", trouble)
        if self._time_left() < _TIME_FOR_ONE_CHECK:
            return self._postpone_for_trouble(check, "out_of_time", "the function's time was up before this check")
        evidence = self._finder.first_look(check)
        if self._finder.record(check.image_id).removal_is_unfinished and (answer := self._finish(check, evidence)):
            return answer
        policy = Policy.of(self._settings, evidence.repository_tags or {})
        evidence, decision = self._decide(evidence, policy)
        if decision.verdict is Verdict.REMOVE:
            return self._remove(check, evidence, policy, decision)
        return self._follow(check, evidence, decision)

    def _decide(self, evidence: Evidence, policy: Policy) -> tuple[Evidence, Decision]:
        """Decide, and find out what the rules ask on the way."""
        while isinstance(answer := decide(evidence, policy), Question):
            evidence = self._finder.answer(answer, evidence, policy)
        return evidence, answer

    def _follow(self, check: Check, evidence: Evidence, decision: Decision) -> Answer:
        """Do what any verdict but `remove` asks for."""
        image_id, now = check.image_id, evidence.now
        if decision.rule == "in_use" or (decision.rule == "may_be_pinned" and decision.until and evidence.last_used_at):
            # Should the event of its deregistration never come, the grace period starts with what was seen here.
            if decision.until:
                self._ledger.record_holding(image_id, at=now)
            else:
                self._ledger.record_last_use(image_id, at=now)
        elif decision.verdict is not Verdict.GONE and evidence.last_used_at is None:
            if decision.until:
                self._ledger.record_watch(image_id, at=now)
            elif self._finder.record(image_id).watched_since:
                # Nobody looks from here on: whatever asks again begins with a whole grace period.
                self._ledger.end_watch(image_id)
        if decision.rule == "held_by_an_index":
            self._ledger.record_part(image_id, at=now)
        return Answer(check, decision, evidence.image, evidence.users or (), self._ask_again(check, decision))

    def _remove(self, check: Check, evidence: Evidence, policy: Policy, decision: Decision) -> Answer:
        if policy.action is Action.REPORT:
            # Reported again and again: once the action is to delete, what was reported goes.
            due = self._put(check.again(attempt=0), self._clock() + max(policy.grace_period, _REPORT_INTERVAL))
            return Answer(check, decision, evidence.image, next_check_at=due)
        if missing := missing_operations(policy.action):
            known = ", ".join(f"{operation} (boto3 {version})" for operation, version in sorted(missing.items()))
            return self._postpone_for_trouble(check, "sdk_too_old", f"the runtime's boto3 does not know {known}")
        belongings = self._finder.belongings(check.image_id, evidence)
        if running := self._finder.running_parts(check.image_id.repository, parts_of(belongings)):
            users = tuple(usage for usages in running.values() for usage in usages)
            return self._follow(check, evidence._replace(users=users), in_use_by_part(running, evidence.now))
        if waits := self._wait_for_parts(check.image_id, parts_of(belongings), policy, evidence.now):
            return self._follow(check, evidence, waits)
        # From here to the removal, there is not a call more than must be.
        before, evidence = evidence, self._finder.second_look(evidence)
        policy = Policy.of(self._settings, evidence.repository_tags or {})
        evidence, decision = self._decide(evidence, policy)
        image = evidence.image
        if decision.verdict is not Verdict.REMOVE or image is None:
            return self._follow(check, evidence, decision)
        if changed := _changes(before, evidence):
            return self._postpone_for_trouble(
                check, "changed", f"{changed} changed while the removal was being decided"
            )
        # What is in the archive goes for good when its time there is over.
        action = policy.action if image.status is ImageStatus.ACTIVE else Action.DELETE
        removal = Removal(image.id, action, belongings, self._facts(image, evidence, decision))
        if not self._finder.count_removal(evidence.now):
            return self._follow(check, evidence, capped(evidence.now))
        record = self._finder.record(image.id)
        try:
            self._ledger.begin_removal(image.id, record=record, at=self._clock(), removal=removal.to_json())
        except LedgerConflictError as error:
            return self._postpone_for_trouble(check, "used_again", str(error))
        return self._carry_out(check, removal, decision, image)

    def _finish(self, check: Check, evidence: Evidence) -> Answer | None:
        """Finish what a function began and did not live to finish. None where there is nothing to finish."""
        image, record = evidence.image, self._finder.record(check.image_id)
        removal = Removal.from_json(check.image_id, record.removal or "")
        archived = image is not None and image.status is ImageStatus.ARCHIVED
        if not (archived if removal.action is Action.ARCHIVE else image is None):
            # Whoever removes it later, or did so meanwhile, it was not that removal.
            self._ledger.abandon_removal(check.image_id)
            self._finder.update(check.image_id, record._replace(removal_started_at=None, removal=None))
            return None
        decision = Decision(Verdict.GONE, "gone", "its removal was begun before, and is finished now")
        if image and self._finder.is_used(image):
            # It is in the archive, as everybody must hear; what belongs to it stays.
            self._carry_out(check, removal._replace(belongings={}), decision, image)
            self._finder.update(check.image_id, self._ledger.images([check.image_id])[check.image_id])
            return None
        if not self._is_wanted(evidence):
            removal = removal._replace(belongings={})
        if removal.parts and (problems := self._finder.problems_now()):
            named = "; ".join(map(str, problems))
            reason = f"the removal cannot be finished, since the inventory cannot be trusted: {named}"
            return self._postpone_for_trouble(check, "inventory_not_trusted", reason)
        return self._carry_out(check, removal, decision, image)

    def _is_wanted(self, evidence: Evidence) -> bool:
        """Whether anything may still be removed from the repository; its owner may have changed their mind."""
        tags = evidence.repository_tags or {}
        policy = Policy.of(self._settings, tags)
        return policy.action is not Action.REPORT and tags.get(policy.opt_in_tag.key) == policy.opt_in_tag.value

    def _carry_out(self, check: Check, removal: Removal, decision: Decision, image: Image | None) -> Answer:
        """Remove the image, unless it is gone, and what belongs to it; tell others, and close it in the ledger."""
        if removal.action is Action.ARCHIVE:
            gone = self._archive(removal, image)
        elif image is None or self._delete([removal.image_id.digest], removal):
            gone = {removal.image_id.digest} | self._delete_parts(removal)
        else:
            # Nobody else's image was touched yet.
            self._ledger.abandon_removal(removal.image_id)
            self._ledger.record_part(removal.image_id, at=self._clock())
            reason = "an image index of the repository still contains it"
            return Answer(check, Decision(Verdict.KEEP, "held_by_an_index", reason), image)
        facts = {
            **removal.facts,
            "action": removal.action.value,
            "parts": sorted(gone - {removal.image_id.digest})[:_TOLD],
        }
        if removal.action is Action.ARCHIVE:
            facts["restore"] = _restore_command(removal.image_id, sorted(gone))
        # Told twice rather than never.
        self._event_bus.announce_removal(facts)
        due = None
        if removal.action is Action.ARCHIVE:
            now = self._clock()
            self._ledger.record_archiving(removal.image_id, at=now)
            due = self._put(check.again(attempt=0), now + self._settings.archive_period)
        self._ledger.finish_removal(removal.image_id, at=self._clock(), facts=_told_in_digest(facts))
        return Answer(check, decision, image, next_check_at=due, done=removal.action, removal=facts)

    def _delete(self, digests: Iterable[str], removal: Removal) -> set[str]:
        """Delete by digest, and return what is gone, unlike what an index holds."""
        digests = sorted(digests)
        results = self._registry.delete_all(removal.image_id.repository, digests) if digests else {}
        # Not found is taken for removed: the first answer may have been lost, and the call was made again.
        return {each.digest for each, how in results.items() if how is not Deletion.HELD_BY_AN_INDEX}

    def _delete_parts(self, removal: Removal) -> set[str]:
        """Delete what belonged to the image, level by level, and return what is gone."""
        gone, new = {removal.image_id.digest}, {removal.image_id.digest}
        while new:
            parts = {part for digest in new for part in removal.belongings.get(digest, ())} - gone
            new = self._delete(self._going_along(removal, parts, gone), removal)
            gone |= new
        return gone

    def _going_along(self, removal: Removal, digests: Iterable[str], gone: set[str]) -> set[str]:
        """Those parts that no tag and no usage holds. Those that are missing already are among them."""
        repository = removal.image_id.repository
        digests = set(digests)
        if not digests:
            return digests
        images = self._registry.images(ImageId(repository, digest) for digest in digests)
        held = {
            image.id.digest for image in images.values() if not goes_along(image, gone) or self._finder.is_used(image)
        }
        return digests - held

    def _archive(self, removal: Removal, image: Image | None) -> set[str]:
        """Archive the image and, of an index, the children that nothing else holds; return what is archived."""
        root = removal.image_id
        if image is None or image.status is not ImageStatus.ARCHIVED:
            self._registry.archive(root)
        archived = {root.digest}
        level = set(removal.belongings.get(root.digest, ()))
        while level:
            parents = self._finder.parents(root.repository)
            images = self._registry.images(ImageId(root.repository, digest) for digest in level)
            level = {
                image.id.digest
                for image in images.values()
                if not image.tags
                and image.subject is None
                and set(parents.get(image.id.digest, ())) <= archived
                and not self._finder.is_used(image)
            }
            for digest in sorted(level):
                self._registry.archive(ImageId(root.repository, digest))
            archived |= level
            level = {part for digest in level for part in removal.belongings.get(digest, ())} - archived
        self._finder.forget_parents(root.repository, archived)
        return archived

    def _wait_for_parts(
        self, image_id: ImageId, parts: Collection[str], policy: Policy, now: datetime
    ) -> Decision | None:
        """Whether a part of the image was used or pulled so recently that all of it has to wait."""
        if not parts:
            return None
        repository = image_id.repository
        records = self._ledger.images(ImageId(repository, digest) for digest in parts)
        waits = [
            (record.last_used_at + policy.grace_period, "within_grace_period", each.digest, "last used")
            for each, record in records.items()
            if record.last_used_at
        ]
        waits += [
            (pulled_at + policy.pulled_within, "pulled_recently", digest, "pulled")
            for digest, pulled_at in self._finder.last_pulls(repository, parts).items()
        ]
        until, rule, part, what = max(waits, default=(now, "", "", ""))
        if until <= now:
            return None
        return Decision(Verdict.POSTPONE, rule, f"its part {part} was {what} too recently", until)

    def _facts(self, image: Image, evidence: Evidence, decision: Decision) -> dict[str, Any]:
        """What is on record of a removal."""
        inventory = self._finder.inventory
        record = self._finder.record(image.id)
        now = self._clock()
        return {
            "registryId": image.id.repository.registry_id,
            "region": image.id.repository.region,
            "repository": image.id.repository.name,
            "digest": image.id.digest,
            "tags": sorted(image.tags),
            "sizeBytes": image.size_bytes,
            "pushedAt": image.pushed_at.isoformat(),
            "lastPulledAt": evidence.last_pulled_at.isoformat() if evidence.last_pulled_at else None,
            "lastUsedAt": evidence.last_used_at.isoformat() if evidence.last_used_at else None,
            "usedBy": sorted(record.used_by),
            "removedAt": now.isoformat(),
            "reason": decision.reason,
            "inventoryReadAt": inventory.read_at.isoformat(),
            "inventoryAgeSeconds": round((now - inventory.read_at).total_seconds()),
            "inventoryUsages": inventory.size,
            "inventoryPlaces": len(inventory.expected),
        }

    def _postpone_for_trouble(self, check: Check, rule: str, reason: str) -> Answer:
        decision = postponed_for_trouble(rule, reason, attempt=check.attempt, now=self._clock())
        return Answer(check, decision, next_check_at=self._ask_again(check, decision))

    def _ask_again(self, check: Check, decision: Decision) -> datetime | None:
        return self._put(check.again(attempt=decision.attempt), decision.until) if decision.until else None

    def _put(self, check: Check, due: datetime) -> datetime:
        return self._schedules.put(check, due, now=self._clock())


def _changes(before: Evidence, after: Evidence) -> str | None:
    """What of an image changed between two looks, in words."""
    if before.image and after.image and before.image.tags != after.image.tags:
        return "the image's tags"
    if before.repository_tags != after.repository_tags:
        return "the repository's tags"
    if after.last_pulled_at and before.last_pulled_at != after.last_pulled_at:
        return "the time of the last pull"
    return None


def _told_in_digest(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is on record of a removal, what a digest of many has room for."""
    told = {name: facts[name] for name in ("region", "repository", "digest", "sizeBytes", "action")}
    return {**told, "tags": facts["tags"][:_TAGS_IN_DIGEST], "reason": str(facts["reason"])[:_REASON_IN_DIGEST]}


def _restore_command(image_id: ImageId, digests: Iterable[str]) -> str:
    """What brings an image back from the archive, within 20 minutes.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive_restore_image.html
    """
    repository = image_id.repository
    return (
        f"for digest in {' '.join(digests)}; do aws ecr update-image-storage-class --region {repository.region} "
        f"--registry-id {repository.registry_id} --repository-name {repository.name} "
        '--image-id "imageDigest=$digest" --target-storage-class STANDARD; done'
    )
