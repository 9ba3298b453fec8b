"""Finds out what the rules ask about the images of one batch, in as few calls as possible."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.chunks import chunks
from ecr_cleanup.decision import Evidence, Question
from ecr_cleanup.errors import ImageReferenceError, ManifestError
from ecr_cleanup.image import ImageId, ImageStatus
from ecr_cleanup.image_reference import parse_image_reference
from ecr_cleanup.inventory import ANSWERED_LIVE, build_inventory
from ecr_cleanup.manifest import REFERRER_TAG, is_image_configuration
from ecr_cleanup.removal import Removal, find_belongings, referrers_in
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import ImageRecord, Ledger, Push, TaskDefinitionRecord
    from ecr_cleanup.check import Check
    from ecr_cleanup.image import Image, Repository
    from ecr_cleanup.inventory import Inventory, TrustProblem, Usage
    from ecr_cleanup.live_usage import LiveUsage
    from ecr_cleanup.manifest import Manifest
    from ecr_cleanup.policy import Policy
    from ecr_cleanup.removal import Belongings
    from ecr_cleanup.settings import CheckSettings
    from ecr_cleanup.taking_inventory import InventoryTaker

_AT_A_TIME = 100
# Reading a manifest is recorded as a pull, at the registry's time of it.
_OWN_READ = timedelta(minutes=1)
# A single-platform image can be pushed, even with a tag, for an index that follows: builds of several platforms take
# a while.
_INDEX_FOLLOWS_WITHIN = timedelta(hours=24)


class _Looked(NamedTuple):
    """What was seen of one repository, or the trouble in the way."""

    tags: Mapping[str, str] | None = None
    images: Mapping[ImageId, Image] | None = None
    trouble: str | None = None


class Finder:
    """Finds evidence about the images of one batch. What it found of the inventory and of listings is kept.

    Raises botocore's errors, and `ManifestError`, where something cannot be read.
    """

    def __init__(
        self,
        settings: CheckSettings,
        *,
        registry: Registry,
        ledger: Ledger,
        inventory_taker: InventoryTaker,
        live_usage: LiveUsage | None,
        clock: Callable[[], datetime],
        time_left: Callable[[], timedelta],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._ledger = ledger
        self._inventory_taker = inventory_taker
        self._live_usage = live_usage
        self._clock = clock
        self._time_left = time_left
        self._looked: dict[Repository, _Looked] = {}
        self._records: dict[ImageId, ImageRecord] = {}
        self._ledger_trouble: str | None = None
        self._task_definitions: dict[str, TaskDefinitionRecord] = {}
        self._listings: dict[Repository, dict[str, Image]] = {}
        self._referring: dict[Repository, Mapping[str, Collection[str]]] = {}
        self._push_times: dict[Repository, list[datetime]] = {}
        self._pins: dict[Repository, tuple[Usage, ...]] = {}
        self._parents: dict[Repository, dict[str, set[str]]] = {}
        self._archived_indexes: dict[Repository, dict[str, frozenset[str]]] = {}
        self._tags_can_move: dict[Repository, bool] = {}
        self._removals: dict[datetime, int] | None = None
        self._since: Inventory | None = None

    @cached_property
    def inventory(self) -> Inventory:
        """Read when the first image needs it, and once for the batch."""
        return self._inventory_taker.take(self._clock())

    @cached_property
    def running(self) -> Inventory:
        """What runs in the accounts right now, read when the first image needs it, and once for the batch.

        It is empty where nobody asks them.
        """
        now = self._clock()
        if self._live_usage is None:
            return build_inventory([], read_at=now)
        return self._live_usage.read(self.inventory, now=now, time_left=self._time_left)

    @property
    def problems_if_read(self) -> tuple[TrustProblem, ...]:
        """Why the inventory cannot be trusted, what runs included, as far as any image of the batch needed to know."""
        read = (self.__dict__.get(name) for name in ("inventory", "running"))
        return tuple(problem for inventory in read if inventory for problem in inventory.problems)

    @property
    def problems(self) -> tuple[TrustProblem, ...]:
        """The same, of an inventory that is read now if nobody needed to know so far."""
        return tuple(dict.fromkeys((*self.inventory.problems, *self.problems_if_read)))

    @property
    def inventory_was_read(self) -> bool:
        """Whether any image needed to know who uses it."""
        return "inventory" in self.__dict__

    @property
    def trust_is_known(self) -> bool:
        """Whether it is known that the inventory can be trusted, or that it cannot.

        As long as no image needed to know what runs, nobody knows whether all accounts would tell.
        """
        asked = self._live_usage is None or "running" in self.__dict__
        return self.inventory_was_read and (asked or bool(self.problems_if_read))

    def prepare(self, checks: Iterable[Check]) -> None:
        """Look at all images of the batch in as few calls as possible. What cannot be read is `trouble` later on."""
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

    def trouble(self, image_id: ImageId) -> str | None:
        """Why nothing can be said about an image, if nothing can."""
        return self._looked[image_id.repository].trouble or self._ledger_trouble

    def record(self, image_id: ImageId) -> ImageRecord:
        """What the ledger knows of an image, as far as this batch has seen and written it."""
        return self._records[image_id]

    def update(self, image_id: ImageId, record: ImageRecord) -> None:
        """Take note of what was written into the ledger."""
        self._records[image_id] = record

    def take_records(self, image_ids: Iterable[ImageId]) -> None:
        """Read what the ledger knows of these images, and forget what it knew of others."""
        self._records = self._ledger.images(image_ids)

    def take_listing(self, repository: Repository, images: Iterable[Image]) -> None:
        """Take note of all images of a repository, which need not be listed again then."""
        self._listings[repository] = {image.id.digest: image for image in images}

    def newer_images(self, image: Image) -> int:
        """How many images of its repository are newer, by a listing of all."""
        times = self._times(image.id.repository)
        return len(times) - bisect_right(times, image.pushed_at)

    def known_parents(self, repository: Repository) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """By digest, the indexes that hold it, as far as the ledger has their manifests; and the other indexes.

        Those in the archive are among them. Reads no manifest, and so is no pull.
        """
        indexes = [image.id for image in self._listing(repository).values() if image.is_index]
        parents: defaultdict[str, set[str]] = defaultdict(set)
        unknown = set()
        for index, record in self._ledger.images(indexes).items():
            if record.manifest is None:
                unknown.add(index.digest)
                continue
            for child in record.manifest.children:
                parents[child].add(index.digest)
        return parents, unknown

    def look_up_users(self, images: Iterable[Image], *, each: bool = False) -> None:
        """Look up the first users of many images in as few calls as possible: all of a lot, or only as many as it
        takes to find an active one, which mostly is the very first."""
        users = [self.inventory.users_of(image) for image in images]
        self._look_up_task_definitions(usage for some in users for usage in some[:1])
        lots = [some[: _AT_A_TIME + 1] for some in users if some and (each or not self._is_active(some[0]))]
        self._look_up_task_definitions(usage for lot in lots for usage in lot)

    def users(self, image: Image) -> tuple[Usage, ...]:
        """Who uses an image by the inventory, the accounts left aside.

        The first of them is known to be active. Others that nobody looked up are taken for it: to ask the ledger about
        all users of all images of a registry would take longer than all the rest of a sweep.
        """
        users = self.inventory.users_of(image)
        for number, usage in self._with_lookups(users):
            if self._is_active(usage):
                return tuple(filter(self._seems_active, users[number : number + _AT_A_TIME]))
        return ()

    def _with_lookups(self, users: Sequence[Usage]) -> Iterator[tuple[int, Usage]]:
        """Number the users; each is looked up when it comes, the first alone and others with those that follow."""
        for number, usage in enumerate(users):
            if number == 0 or number % _AT_A_TIME == 1:
                self._look_up_task_definitions(users[number : number + (_AT_A_TIME if number else 1)])
            yield number, usage

    def first_look(self, check: Check) -> Evidence:
        """What is known before any rule has asked."""
        looked = self._looked[check.image_id.repository]
        image = (looked.images or {}).get(check.image_id)
        return self._evidence(check.image_id, image, looked.tags, check.attempt)

    def look(self, image: Image, repository_tags: Mapping[str, str] | None) -> Evidence:
        """The same for an image that was listed, and whose record was taken."""
        return self._evidence(image.id, image, repository_tags, attempt=0)

    def _evidence(
        self, image_id: ImageId, image: Image | None, repository_tags: Mapping[str, str] | None, attempt: int
    ) -> Evidence:
        record = self._records[image_id]
        return Evidence(
            image_id=image_id,
            image=image,
            repository_tags=repository_tags,
            attempt=attempt,
            now=self._clock(),
            last_used_at=record.last_used_at,
            watched_since=record.watched_since,
            last_pulled_at=_pull_of_others(image, record),
            archived_at=record.archived_at,
            manifest=record.manifest,
        )

    def answer(self, question: Question, evidence: Evidence, policy: Policy) -> Evidence:
        """The evidence with what a rule asked for."""
        image = evidence.image
        if image is None:
            raise ValueError("no rule asks about an image that is gone")
        match question:
            case Question.USERS:
                return self._with_users(evidence, image)
            case Question.RUNNING:
                return self._with_running(evidence, image)
            case Question.PINS:
                return evidence._replace(pins=self._pins_of(image))
            case Question.NEWER_IMAGES:
                return evidence._replace(newer_images=self.newer_images(image))
            case Question.MANIFEST:
                return self._with_manifest(evidence, image, policy)
            case Question.REMOVALS_LEFT:
                return evidence._replace(removals_left=self.removals_left(evidence.now))

    def second_look(self, evidence: Evidence) -> Evidence:
        """The same evidence as it is right before the removal."""
        now = self._clock()
        image_id = evidence.image_id
        image = self._registry.images([image_id]).get(image_id)
        tags = self._registry.repository_tags(image_id.repository)
        self._since = since = self._inventory_taker.read_registrations(now)
        users: tuple[Usage, ...] = ()
        pins = evidence.pins or ()
        if image:
            users = (*self._users(image, asked=evidence.asked), *self._active_users(since.users_of(image)))
        if evidence.pins is not None and image and self._may_have_moved(image):
            later: Collection[Usage] = since.users_by_tag(image_id.repository)
            if evidence.asked:
                # The accounts were asked after the inventory was read, and said what runs of what it has.
                known = set(self.inventory.users_by_tag(image_id.repository))
                later = [usage for usage in later if usage not in known]
            pins = (*pins, *self._unproven(list(later)))
        return evidence._replace(
            image=image,
            repository_tags=tags,
            users=users,
            pins=None if evidence.pins is None else pins,
            problems=(*evidence.problems, *since.problems),
            last_pulled_at=_pull_of_others(image, self._records[image_id]),
            now=now,
        )

    def belongings(self, image_id: ImageId, evidence: Evidence) -> Belongings:
        """All that belongs to an image whose manifest was read."""
        repository, manifest = image_id.repository, evidence.manifest
        if manifest is None:
            raise ManifestError(f"the manifest of {image_id} was not read")

        def read(digests: Collection[str]) -> dict[str, Manifest]:
            found = self._registry.manifests(ImageId(repository, digest) for digest in digests)
            return {each.digest: manifest for each, manifest in found.items()}

        found = find_belongings(
            image_id.digest,
            manifest,
            listing=self._listing(repository),
            referring=self._referring_in(repository),
            referrers=[each.digest for each in self._registry.referrers(image_id)],
            read_manifests=read,
        )
        # Of what is in the archive, manifests cannot be read: what belonged to it then still does.
        before = self._records[image_id].removal
        known = Removal.from_json(image_id, before).belongings if before else {}
        return {
            whole: tuple(dict.fromkeys((*found.get(whole, ()), *known.get(whole, ()))))
            for whole in found.keys() | known.keys()
        }

    def problems_now(self) -> tuple[TrustProblem, ...]:
        """Why the inventory cannot be trusted, with the registrations since it was read."""
        problems = self.inventory.problems or self.running.problems
        self._since = self._inventory_taker.read_registrations(self._clock())
        return (*problems, *self._since.problems)

    def last_pulls(self, repository: Repository, digests: Collection[str]) -> dict[str, datetime]:
        """When parts of images were pulled, as far as the registry knows. Indexes are left out: we read them, too."""
        listing = self._listing(repository)
        parts = [listing[digest] for digest in digests if digest in listing]
        return {part.id.digest: part.last_pulled_at for part in parts if part.last_pulled_at and not part.is_index}

    def is_used(self, image: Image) -> bool:
        """Whether the inventory, or a registration since, names a user of a part of an image."""
        since = self._since.users_of(image) if self._since else []
        return bool(self._users(image, asked=True) or self._active_users(since))

    def running_parts(self, repository: Repository, digests: Collection[str]) -> dict[str, tuple[Usage, ...]]:
        """By digest, who runs a part of an image right now.

        AWS does not say whether what runs is shown by the digest of an index or by that of the child for the platform.
        """
        listing = self._listing(repository)
        parts = [listing[digest] for digest in digests if digest in listing]
        found = {part.id.digest: tuple(self.running.users_by_digest(part.id)) for part in parts}
        return {digest: users for digest, users in found.items() if users}

    def parents(self, repository: Repository) -> Mapping[str, Collection[str]]:
        """By digest, the indexes of a repository that hold it. Reads the manifests of all its indexes once."""
        if repository not in self._parents:
            parents: defaultdict[str, set[str]] = defaultdict(set)
            listing = self._listing(repository).values()
            indexes = [image.id for image in listing if image.is_index and image.status is ImageStatus.ACTIVE]
            known = self._ledger.images(indexes)
            unknown = [image_id for image_id in indexes if known[image_id].manifest is None]
            read = self._registry.manifests(unknown)
            for image_id in indexes:
                manifest = known[image_id].manifest or read.get(image_id)
                if manifest is None:
                    raise ManifestError(f"the manifest of the index {image_id} cannot be read")
                if image_id in read:
                    # That we read it may hide when others pulled it, so it counts as a pull.
                    self._ledger.record_manifest(image_id, manifest, read_at=None)
                for child in manifest.children:
                    parents[child].add(image_id.digest)
            self._parents[repository] = parents
        return self._parents[repository]

    def _parents_elsewhere(self, image_id: ImageId) -> set[str]:
        """The indexes in the archive, or on their way back, that hold an image, as far as their manifests are known.

        Restored without it, they could not be pulled. Nobody can read the manifest of what others archived.
        """
        repository = image_id.repository
        if repository not in self._archived_indexes:
            listing = self._listing(repository).values()
            indexes = [each.id for each in listing if each.is_index and each.status is not ImageStatus.ACTIVE]
            records = self._ledger.images(indexes)
            self._archived_indexes[repository] = {
                index.digest: frozenset(manifest.children)
                for index, record in records.items()
                if (manifest := record.manifest)
            }
        return {index for index, children in self._archived_indexes[repository].items() if image_id.digest in children}

    def forget_parents(self, repository: Repository, digests: Collection[str]) -> None:
        """Indexes that went to the archive hold nothing any more."""
        for holding in self._parents.get(repository, {}).values():
            holding.difference_update(digests)

    def removals_left(self, now: datetime) -> int:
        """How many more images may be removed, after those of this hour and the 24 hours before it."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self._removals is None or hour not in self._removals:
            self._removals = {hour: 0} | self._ledger.removals(now=now)
        return self._settings.removals_per_day - sum(self._removals.values())

    def count_removal(self, now: datetime) -> bool:
        """Count one removal, unless others reached the cap meanwhile."""
        left = self.removals_left(now)
        hour = now.replace(minute=0, second=0, microsecond=0)
        removals = self._removals or {}
        if left <= 0 or not self._ledger.count_removal(now=now, limit=removals[hour] + left):
            self._removals = None
            return False
        removals[hour] += 1
        return True

    def _with_users(self, evidence: Evidence, image: Image) -> Evidence:
        users = self._users(image, asked=False)
        evidence = evidence._replace(users=users, problems=self.inventory.problems)
        record = self._records[image.id]
        if not users and not evidence.problems and record.held and self._live_usage:
            # What holds it may be seen in the account only, where it may go on.
            evidence = self._with_running(evidence, image)
            users = evidence.users or ()
        restored = record.archived_at is not None and image.status is ImageStatus.ACTIVE and self._is_active_now(image)
        if not users and not evidence.problems and (record.held or restored):
            # A use of whose end no event told is over, or somebody restored the image: nobody knows since when.
            self._ledger.release(image.id, at=evidence.now, still_archived=not restored)
            archived_at = None if restored else record.archived_at
            self._records[image.id] = record._replace(held=False, archived_at=archived_at, last_used_at=evidence.now)
            evidence = evidence._replace(last_used_at=evidence.now, archived_at=archived_at)
        return evidence

    def _with_running(self, evidence: Evidence, image: Image) -> Evidence:
        users = self._users(image, asked=True) or self._users_of_children(image)
        return evidence._replace(users=users, problems=(*evidence.problems, *self.running.problems), asked=True)

    def _users(self, image: Image, *, asked: bool) -> tuple[Usage, ...]:
        """Who uses an image by the inventory, and, if the accounts are to be asked, by what runs in them."""
        users = self._active_users(self.inventory.users_of(image))
        return (*users, *self._active_users(self.running.users_of(image))) if asked else users

    def _users_of_children(self, image: Image) -> tuple[Usage, ...]:
        """Who runs an index by the digest of a child, as far as its children are known before its manifest is read.

        Otherwise its use would seem to end the day after it was seen, and its grace period to begin then.
        """
        manifest = self._records[image.id].manifest
        children = [ImageId(image.id.repository, digest) for digest in (manifest.children if manifest else ())]
        return tuple(usage for child in children for usage in self.running.users_by_digest(child))

    def _is_active_now(self, image: Image) -> bool:
        """Another function may have put it into the archive between our looks at the registry and at the ledger."""
        now = self._registry.images([image.id]).get(image.id)
        return now is not None and now.status is ImageStatus.ACTIVE

    def _with_manifest(self, evidence: Evidence, image: Image, policy: Policy) -> Evidence:
        manifest = evidence.manifest or self._read_manifest(image.id)
        parents: tuple[str, ...] = ()
        archives = policy.action is Action.ARCHIVE and image.status is ImageStatus.ACTIVE
        if archives or not image.tags:
            # The registry refuses to delete what an index holds; of archiving, nobody says so. Most untagged images are
            # held, and each refusal would count as a removal.
            holding = set(self.parents(image.id.repository).get(image.id.digest, ()))
            if not image.tags:
                holding |= self._parents_elsewhere(image.id)
            parents = tuple(sorted(holding))
        return evidence._replace(manifest=manifest, parents=parents)

    def _read_manifest(self, image_id: ImageId) -> Manifest:
        read_at = self._clock()
        manifest = self._registry.manifests([image_id]).get(image_id)
        if manifest is None:
            raise ManifestError(f"the manifest of {image_id} cannot be read")
        self._ledger.record_manifest(image_id, manifest, read_at=read_at)
        self._records[image_id] = self._records[image_id]._replace(manifest=manifest, manifest_read_at=read_at)
        return manifest

    def _listing(self, repository: Repository) -> dict[str, Image]:
        if repository not in self._listings:
            self._listings[repository] = {image.id.digest: image for image in self._registry.listing(repository)}
        return self._listings[repository]

    def _referring_in(self, repository: Repository) -> Mapping[str, Collection[str]]:
        if repository not in self._referring:
            self._referring[repository] = referrers_in(self._listing(repository).values())
        return self._referring[repository]

    def _times(self, repository: Repository) -> list[datetime]:
        if repository not in self._push_times:
            self._push_times[repository] = _push_times(self._listing(repository).values())
        return self._push_times[repository]

    def _can_move(self, repository: Repository) -> bool:
        if repository not in self._tags_can_move:
            self._tags_can_move[repository] = self._registry.tags_can_move(repository)
        return self._tags_can_move[repository]

    def _may_have_moved(self, image: Image) -> bool:
        """Whether a tag may have meant the image before; one without a tag has evidently lost its own."""
        return not image.tags or self._can_move(image.id.repository)

    def _pins_of(self, image: Image) -> tuple[Usage, ...]:
        repository = image.id.repository
        if not self._may_have_moved(image):
            return ()
        if repository not in self._pins:
            self._pins[repository] = self._unproven(self._may_be_pinned(repository))
        return self._pins[repository]

    def _may_be_pinned(self, repository: Repository) -> Sequence[Usage]:
        """The usages that name the repository by a tag and may run what it meant before.

        Where the account was asked, it says what tasks and services run, as far as it can tell; nobody says so of
        other consumers, and of places that were not asked.
        """
        by_tag = self.inventory.users_by_tag(repository)
        if self._live_usage is None:
            return by_tag
        asked = self.running.expected
        others = [usage for usage in by_tag if usage.kind not in ANSWERED_LIVE or usage.place not in asked]
        return [*others, *self.running.users_under_unknown_digest(repository)]

    def _active_users(self, users: Sequence[Usage]) -> tuple[Usage, ...]:
        """The usages less the task definitions that the ledger knows to be deregistered.

        Config may show a deregistered revision as ACTIVE for ever. An image can have thousands of such users, so the
        search ends with the first lot in which any is active.
        """
        for some in chunks(users, _AT_A_TIME):
            self._look_up_task_definitions(some)
            if active := tuple(usage for usage in some if self._is_active(usage)):
                return active
        return ()

    def _look_up_task_definitions(self, users: Iterable[Usage]) -> None:
        self._look_up(usage for usage in users if usage.kind == "task definition")

    def _unproven(self, usages: Sequence[Usage]) -> tuple[Usage, ...]:
        """Those usages by tag of which it is not proven that their tag never meant another image."""
        for some in chunks(usages, _AT_A_TIME):
            self._look_up(some)
            active = [usage for usage in some if self._is_active(usage)]
            proven = self._proven(active)
            if unproven := tuple(usage for usage in active if usage not in proven):
                return unproven
        return ()

    def _proven(self, usages: Collection[Usage]) -> set[Usage]:
        """The usages whose tag was pushed once, before their task definition was registered, and never since.

        Had the tag ever meant another image for them, it would have been pushed again to mean what it does now.
        """
        references = {}
        for usage in usages:
            try:
                reference = parse_image_reference(usage.reference)
            except ImageReferenceError:
                continue
            if reference and reference.tag and not reference.digest:
                references[usage] = reference
        if not references:
            return set()
        pushes: dict[tuple[Repository, str], frozenset[Push]] = {}
        for repository in {reference.repository for reference in references.values()}:
            tags = {each.tag for each in references.values() if each.repository == repository and each.tag}
            pushes |= {(repository, tag): some for tag, some in self._ledger.pushes(repository, tags).items()}
        once = {key: next(iter(some)) for key, some in pushes.items() if len(some) == 1}
        wanted = [each for each in references.values() if (each.repository, each.tag) in once]
        now = {
            (image.id.repository, tag): image.id.digest for image in self._registry.find(wanted) for tag in image.tags
        }
        proven = set()
        for usage, reference in references.items():
            key = (reference.repository, reference.tag or "")
            registered_at = self._task_definitions[_task_definition(usage)].registered_at
            push = once.get(key)
            if push and registered_at and push.at < registered_at and now.get(key) == push.digest:
                proven.add(usage)
        return proven

    def _look_up(self, usages: Iterable[Usage]) -> None:
        unknown = {_task_definition(usage) for usage in usages} - self._task_definitions.keys()
        if unknown:
            self._task_definitions |= self._ledger.task_definitions(unknown)

    def _is_active(self, usage: Usage) -> bool:
        # Whatever else uses an image goes on doing so when the task definition is inactive.
        if usage.kind != "task definition":
            return True
        return self._task_definitions[usage.arn].deregistered_at is None

    def _seems_active(self, usage: Usage) -> bool:
        return usage.arn not in self._task_definitions or self._is_active(usage)


def _task_definition(usage: Usage) -> str:
    return usage.task_definition or usage.arn


def _pull_of_others(image: Image | None, record: ImageRecord) -> datetime | None:
    """The last recorded pull, unless it was our own reading of the manifest."""
    pulled_at = image.last_pulled_at if image else None
    if pulled_at and record.manifest_read_at and abs(pulled_at - record.manifest_read_at) <= _OWN_READ:
        return None
    return pulled_at


def _push_times(listing: Iterable[Image]) -> list[datetime]:
    """When the images of a repository were pushed, in order. What may be part of an image, or is none, is left out."""
    images = [image for image in listing if is_surely_an_image(image)]
    indexes = sorted(image.pushed_at for image in images if image.is_index)
    return sorted(image.pushed_at for image in images if image.is_index or not _is_followed(image.pushed_at, indexes))


def is_surely_an_image(image: Image) -> bool:
    """Whether it counts as one of the newest: what may be part of an image, or is none, does not."""
    return (
        image.status is ImageStatus.ACTIVE
        and bool(image.tags)
        and not image.subject
        and not all(map(REFERRER_TAG.fullmatch, image.tags))
        and (image.artifact_type is None or is_image_configuration(image.artifact_type))
    )


def _is_followed(pushed_at: datetime, indexes: Sequence[datetime]) -> bool:
    """Whether the next index was pushed so soon that the image may be a part of it."""
    following = bisect_left(indexes, pushed_at)
    return following < len(indexes) and indexes[following] - pushed_at <= _INDEX_FOLLOWS_WITHIN
