"""Writes what an event tells into the ledger and schedules the checks that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecr_cleanup.check import Check
from ecr_cleanup.errors import ImageReferenceError, ImagesUnknownError
from ecr_cleanup.events import Change
from ecr_cleanup.image_reference import ImageReference, parse_image_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.aws.config import Aggregator
    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import Ledger, TaskDefinitionRecord
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.events import TaskDefinitionEvent
    from ecr_cleanup.image import ImageId, Repository
    from ecr_cleanup.settings import Settings


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one event: the images it was about, and when each is checked.

    An image without a time is in a repository that is not opted in, or was registered rather than deregistered.
    """

    change: Change
    images: Mapping[ImageId, datetime | None]

    @property
    def not_opted_in(self) -> list[ImageId]:
        """The images that nobody uses through this task definition any more, and that are kept all the same."""
        if self.change is not Change.DEREGISTERED:
            return []
        return [image_id for image_id, due in self.images.items() if due is None]


@dataclass(frozen=True, slots=True)
class _References:
    """The image strings that name this installation's registry, and what is wrong with those that cannot be read."""

    readable: Mapping[str, ImageReference]
    errors: tuple[ImageReferenceError, ...]


class CheckScheduler:
    """Takes events of task definitions, one at a time; each may come late, twice or in any order.

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
        """Do all that one event asks for.

        Raises:
            ImageReferenceError: a reference names the registry but cannot be read; all others were taken care of.
            ImagesUnknownError: nobody knows the images of the task definition yet.
        """
        if event.change is Change.UNCLEAR:
            event = self._look_up(event)
        if event.change is Change.DEREGISTERED:
            outcome, errors = self._deregistered(event)
        else:
            outcome, errors = self._registered(event)
        if errors:
            raise errors[0]
        return outcome

    def _registered(self, event: TaskDefinitionEvent) -> tuple[Outcome, tuple[ImageReferenceError, ...]]:
        references = self._ours(event.images or ())
        # Where the event does not say which images were registered, that it does not is worth knowing.
        if not references.readable and event.images is not None:
            return Outcome(event.change, {}), references.errors
        image_ids = self._registry.resolve(references.readable.values())
        if event.arn:
            self._ledger.record_registration(
                event.arn,
                event.place,
                at=event.occurred_at,
                references=references.readable,
                image_ids=image_ids,
            )
        else:
            self._ledger.record_nameless_registration(
                event.family_arn,
                event.event_id,
                event.place,
                at=event.occurred_at,
                references=references.readable,
                image_ids=image_ids,
            )
        return Outcome(event.change, dict.fromkeys(sorted(image_ids))), references.errors

    def _deregistered(self, event: TaskDefinitionEvent) -> tuple[Outcome, tuple[ImageReferenceError, ...]]:
        arn = event.arn or event.family_arn
        known = self._ledger.task_definition(arn)
        references = self._ours((*self._images_of(event, arn, known), *known.references))
        if not references.readable:
            return Outcome(event.change, {}), references.errors
        image_ids = known.image_ids
        # Seen before, its images are those of then: tags may have moved on since.
        if not (
            known.deregistered_at
            and known.deregistered_at >= event.occurred_at
            and references.readable.keys() <= known.references
        ):
            image_ids |= self._registry.resolve(references.readable.values())
        self._ledger.record_deregistration(
            arn, at=event.occurred_at, references=references.readable, image_ids=image_ids
        )
        due = {image_id: self._schedule(image_id, arn, event.occurred_at) for image_id in sorted(image_ids)}
        return Outcome(event.change, due), references.errors

    def _schedule(self, image_id: ImageId, arn: str, last_used_at: datetime) -> datetime | None:
        self._ledger.record_last_use(image_id, at=last_used_at)
        if not self._is_opted_in(image_id.repository):
            return None
        check = Check(image_id, f"{arn} was deregistered at {last_used_at:%Y-%m-%dT%H:%M:%SZ}")
        return self._schedules.put(check, last_used_at + self._settings.grace_period, now=self._clock())

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
        self._ledger.record_deregistration(arn, at=event.occurred_at, references=(), image_ids=())
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
        change = Change.REGISTERED if shown[arn].status == "ACTIVE" else Change.DEREGISTERED
        return replace(event, change=change, images=shown[arn].task_definition.images)

    def _ours(self, images: Iterable[str]) -> _References:
        readable: dict[str, ImageReference] = {}
        errors: list[ImageReferenceError] = []
        for image in images:
            try:
                reference = parse_image_reference(image)
            except ImageReferenceError as error:
                if image.strip().startswith(f"{self._settings.registry_id}."):
                    errors.append(error)
                continue
            if reference and self._settings.in_charge_of(reference.repository):
                readable[image] = reference
        return _References(readable, tuple(errors))

    def _is_opted_in(self, repository: Repository) -> bool:
        if repository not in self._opted_in:
            tag = self._settings.opt_in_tag
            self._opted_in[repository] = (self._registry.repository_tags(repository) or {}).get(tag.key) == tag.value
        return self._opted_in[repository]
