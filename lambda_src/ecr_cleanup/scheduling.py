"""Writes what an event tells into the ledger and schedules the checks that follow from it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.check import Check
from ecr_cleanup.errors import ImageReferenceError, ImagesUnknownError
from ecr_cleanup.events import Change
from ecr_cleanup.image import ImageStatus
from ecr_cleanup.image_reference import parse_image_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.aws.config import Aggregator
    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import Ledger, TaskDefinitionRecord
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.events import PushEvent, TaskDefinitionEvent
    from ecr_cleanup.image import Image, ImageId, Repository
    from ecr_cleanup.image_reference import ImageReference
    from ecr_cleanup.settings import Settings


class Outcome(NamedTuple):
    """What came of one event: the images it was about, and when each is checked.

    An image without a time is in a repository that is not opted in, or was registered rather than deregistered.
    `archived` are those that were registered and cannot be pulled: they are in the archive.
    """

    change: Change
    images: Mapping[ImageId, datetime | None]
    archived: tuple[ImageId, ...] = ()

    @property
    def not_opted_in(self) -> list[ImageId]:
        """The images that nobody uses through this task definition any more, and that are kept all the same."""
        if self.change is not Change.DEREGISTERED:
            return []
        return [image_id for image_id, due in self.images.items() if due is None]


class CheckScheduler:
    """Takes events, one at a time; each may come late, twice or in any order.

    Raises botocore's `ClientError` where AWS refuses or fails, so that the event comes back.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Registry,
        ledger: Ledger,
        aggregator: Aggregator,
        schedules: CheckSchedules,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._ledger = ledger
        self._aggregator = aggregator
        self._schedules = schedules
        self._clock = clock
        self._opted_in: dict[Repository, bool] = {}

    def take(self, event: TaskDefinitionEvent) -> Outcome:
        """Do all that one event of a task definition asks for.

        Raises:
            ImageReferenceError: a reference names the registry but cannot be read.
            ImagesUnknownError: nobody knows yet what happened to the task definition, or which images it has.

        What can be done is done before anything is raised: an image of which something is wrong does not hold up the
        others of the task definition.
        """
        self._ledger.hear_of(event.place, at=event.occurred_at)
        if event.change is Change.UNCLEAR:
            event = self._look_up(event)
        troubles: list[Exception] = []
        if event.change is Change.DEREGISTERED:
            outcome = self._deregistered(event, troubles)
        else:
            outcome = self._registered(event, troubles)
        if troubles:
            raise troubles[0]
        return outcome

    def take_push(self, event: PushEvent) -> bool:
        """Put on record what a tag was pushed as; False where this installation is not in charge of the repository."""
        if not self._settings.in_charge_of(event.repository):
            return False
        self._ledger.record_push(event.repository, event.tag, event.digest, at=event.occurred_at)
        return True

    def _registered(self, event: TaskDefinitionEvent, troubles: list[Exception]) -> Outcome:
        references = self._ours(event.images or (), troubles)
        # Where the event does not say which images were registered, that it does not is worth knowing.
        if not references and event.images is not None:
            return Outcome(event.change, {})
        images = {image.id: image for image in self._find(references, troubles)}
        image_ids = sorted(images)
        facts: dict[str, Any] = {
            "at": event.occurred_at,
            "references": references,
            "image_ids": image_ids,
            "now": self._clock(),
        }
        if event.arn:
            self._ledger.record_registration(event.arn, event.place, **facts)
        else:
            self._ledger.record_nameless_registration(event.family_arn, event.event_id, event.place, **facts)
        for image_id in image_ids:
            self._ledger.record_last_use(image_id, at=event.occurred_at, by=event.arn or event.family_arn)
        archived = tuple(each for each in image_ids if images[each].status is ImageStatus.ARCHIVED)
        return Outcome(event.change, dict.fromkeys(image_ids), archived)

    def _deregistered(self, event: TaskDefinitionEvent, troubles: list[Exception]) -> Outcome:
        arn = event.arn or event.family_arn
        known = self._ledger.task_definition(arn)
        references = self._ours((*self._images_of(event, arn, known), *known.references), troubles)
        if not references:
            return Outcome(event.change, {})
        image_ids = known.image_ids
        # Seen before, its images are those of then: tags may have moved on since.
        if known.complete_at is None or known.complete_at < event.occurred_at:
            unresolved: list[Exception] = []
            image_ids |= {image.id for image in self._find(references, unresolved)}
            self._ledger.record_deregistration(
                arn, at=event.occurred_at, references=references, image_ids=image_ids, complete=not unresolved
            )
            troubles += unresolved
        due: dict[ImageId, datetime | None] = {}
        for image_id in sorted(image_ids):
            try:
                due[image_id] = self._schedule(image_id, arn, event.occurred_at)
            except AWS_ERRORS as error:
                troubles.append(error)
        return Outcome(event.change, due)

    def _schedule(self, image_id: ImageId, arn: str, last_used_at: datetime) -> datetime | None:
        self._ledger.record_last_use(image_id, at=last_used_at, by=arn)
        if not self._is_opted_in(image_id.repository):
            return None
        check = Check(image_id, f"{arn} was deregistered at {last_used_at:%Y-%m-%dT%H:%M:%SZ}")
        return self._schedules.put(check, last_used_at + self._settings.grace_period, now=self._clock())

    def _find(self, references: Mapping[str, ImageReference], troubles: list[Exception]) -> list[Image]:
        """The images that references mean now, as far as their repositories can be read."""
        by_repository: defaultdict[Repository, list[ImageReference]] = defaultdict(list)
        for reference in references.values():
            by_repository[reference.repository].append(reference)
        images: list[Image] = []
        for some in by_repository.values():
            try:
                images += self._registry.find(some)
            except AWS_ERRORS as error:
                troubles.append(error)
        return images

    def _images_of(self, event: TaskDefinitionEvent, arn: str, known: TaskDefinitionRecord) -> Iterable[str]:
        """The image strings of a deregistered task definition, from the event, the ledger or the aggregator."""
        if event.images is not None:
            return event.images
        if known.references:
            return ()
        shown = self._aggregator.task_definitions([arn])
        if arn in shown:
            return shown[arn].task_definition.images
        # That it is inactive is known all the same.
        self._ledger.record_deregistration(arn, at=event.occurred_at, references=(), image_ids=(), complete=False)
        raise ImagesUnknownError(
            f"the event about {arn} carries no images, and neither the ledger nor the aggregator knows them (yet)"
        )

    def _look_up(self, event: TaskDefinitionEvent) -> TaskDefinitionEvent:
        """The event with what the aggregator knows of the task definition's present state."""
        arn = event.arn or event.family_arn
        shown = self._aggregator.task_definitions([arn])
        if arn not in shown:
            raise ImagesUnknownError(
                f"the event does not say how {arn} changed, and the aggregator does not show it (yet)"
            )
        known = self._ledger.task_definition(arn)
        change = Change.REGISTERED
        if shown[arn].status != "ACTIVE" or known.deregistered_at:
            change = Change.DEREGISTERED
        elif known.registered_at and known.registered_at < event.occurred_at:
            # What is registered can only be deregistered: the aggregator does not show it yet.
            raise ImagesUnknownError(
                f"the event does not say how {arn} changed, and the aggregator still shows it as it was registered"
            )
        return event._replace(change=change, images=shown[arn].task_definition.images)

    def _ours(self, images: Iterable[str], troubles: list[Exception]) -> dict[str, ImageReference]:
        """The image strings that name this installation's registry, with what they mean."""
        ours: dict[str, ImageReference] = {}
        for image in images:
            try:
                reference = parse_image_reference(image)
            except ImageReferenceError as error:
                if image.strip().startswith(f"{self._settings.registry_id}."):
                    troubles.append(error)
                continue
            if reference and self._settings.in_charge_of(reference.repository):
                ours[image] = reference
        return ours

    def _is_opted_in(self, repository: Repository) -> bool:
        if repository not in self._opted_in:
            tag = self._settings.opt_in_tag
            self._opted_in[repository] = (self._registry.repository_tags(repository) or {}).get(tag.key) == tag.value
        return self._opted_in[repository]
