"""Who uses which image, and whether that knowledge can be trusted.

The inventory is the union of what several sources say: the Config aggregator (ACTIVE task definitions) and the ledger
(registrations that the aggregator does not show yet). An inventory that is not trusted may still prove that an image
is used; it never proves that one is not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ecr_cleanup.errors import ImageReferenceError
from ecr_cleanup.image_reference import parse_image_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from ecr_cleanup.image import Image, ImageId, Repository
    from ecr_cleanup.settings import Place


class Source(Enum):
    """Where the knowledge of a usage is from."""

    AGGREGATOR = "aggregator"
    LEDGER = "ledger"


class SourceStatus(Enum):
    """The state of an account and region in the aggregator.

    https://docs.aws.amazon.com/config/latest/APIReference/API_AggregatedSourceStatus.html
    """

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    OUTDATED = "OUTDATED"


@dataclass(frozen=True, slots=True)
class Usage:
    """One consumer that holds one image reference."""

    kind: str
    arn: str
    place: Place
    reference: str
    source: Source
    image_id: ImageId | None = None
    """The image that the reference is known to have meant, whatever it means now."""

    def __str__(self) -> str:
        return f"{self.arn} ({self.source.value}: {self.reference})"


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """An ACTIVE task definition as the aggregator shows it; `images` are the strings of its containers."""

    arn: str
    place: Place
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registration:
    """A task definition known from an event, which the aggregator has not been seen to show yet.

    `image_ids` are the images that its references meant when it was registered. `arn` ends in `:?` with the event's
    id where the event was too large to name the revision; such a registration counts as a usage until it expires,
    but nothing can be expected to show it.
    """

    arn: str
    place: Place
    references: frozenset[str]
    image_ids: frozenset[ImageId]
    registered_at: datetime
    recorded_at: datetime
    """When its event was handled, which may have been later."""

    @property
    def names_its_revision(self) -> bool:
        """Whether the aggregator can be expected to show it one day."""
        return ":?" not in self.arn


@dataclass(frozen=True, slots=True)
class TrustProblem:
    """One reason why the inventory cannot be trusted, and what repairs it."""

    place: Place | None
    reason: str
    repair: str

    def __str__(self) -> str:
        return f"{f'{self.place}: ' if self.place else ''}{self.reason} ({self.repair})"


@dataclass(frozen=True)
class Inventory:
    """All usages known at one moment, and why they may not be all."""

    read_at: datetime
    problems: tuple[TrustProblem, ...]
    _by_image: Mapping[ImageId, list[Usage]] = field(default_factory=dict, repr=False)
    _by_tag: Mapping[tuple[Repository, str], list[Usage]] = field(default_factory=dict, repr=False)
    _unreadable: tuple[Usage, ...] = ()

    def users_of(self, image: Image) -> list[Usage]:
        """The usages that mean this image: by its digest or by any tag that it has now."""
        users = list(self._by_image.get(image.id, ()))
        for tag in sorted(image.tags):
            users += self._by_tag.get((image.id.repository, tag), ())
        # Nobody can say what an unreadable reference means; where it may mean this repository, it counts.
        users += [usage for usage in self._unreadable if f"/{image.id.repository.name}" in usage.reference]
        return users


@dataclass(frozen=True, slots=True)
class Findings:
    """What one source says: usages, and why they may not be all."""

    usages: tuple[Usage, ...] = ()
    problems: tuple[TrustProblem, ...] = ()


def build_inventory(findings: Iterable[Findings], *, read_at: datetime) -> Inventory:
    """The union of what all sources say, indexed by image and by tag."""
    by_image: defaultdict[ImageId, list[Usage]] = defaultdict(list)
    by_tag: defaultdict[tuple[Repository, str], list[Usage]] = defaultdict(list)
    unreadable: list[Usage] = []
    problems: list[TrustProblem] = []
    for finding in findings:
        problems += finding.problems
        for usage in finding.usages:
            try:
                reference = parse_image_reference(usage.reference)
            except ImageReferenceError:
                unreadable.append(usage)
                continue
            image_id = usage.image_id or (reference and reference.image_id)
            if image_id:
                by_image[image_id].append(usage)
            elif reference and reference.tag:
                by_tag[reference.repository, reference.tag].append(usage)
    return Inventory(read_at, tuple(problems), by_image, by_tag, tuple(unreadable))


def usages_of_task_definition(definition: TaskDefinition) -> list[Usage]:
    """One usage per image string."""
    return [
        Usage("task definition", definition.arn, definition.place, image, Source.AGGREGATOR)
        for image in definition.images
    ]


def usages_of_registration(registration: Registration) -> list[Usage]:
    """One usage per reference, and one per image that the references meant when it was registered."""
    by_reference = [
        Usage("task definition", registration.arn, registration.place, reference, Source.LEDGER)
        for reference in sorted(registration.references)
    ]
    by_digest = [
        Usage("task definition", registration.arn, registration.place, str(image_id), Source.LEDGER, image_id)
        for image_id in sorted(registration.image_ids)
    ]
    return by_reference + by_digest


def source_problems(expected: Iterable[Place], sources: Mapping[Place, SourceStatus]) -> list[TrustProblem]:
    """The expected accounts and regions that the aggregator does not read, or not any more."""
    problems = []
    for place in sorted(expected):
        status = sources.get(place)
        if status is None:
            problems.append(
                TrustProblem(
                    place,
                    "is not a source of the aggregator",
                    "add the account and region to the aggregator, or exempt it by name",
                )
            )
        elif status is not SourceStatus.SUCCEEDED:
            problems.append(
                TrustProblem(
                    place,
                    f"the aggregator's last update was {status.value}",
                    "check the aggregation authorisation in that account and region",
                )
            )
    return problems


def absence_problems(expected: Iterable[Place], recorded: frozenset[Place]) -> list[TrustProblem]:
    """The expected accounts and regions of which the aggregator holds no resource at all.

    A recorder that works records at least itself, so nothing at all means that none does.
    """
    return [
        TrustProblem(
            place,
            "the aggregator holds nothing of it",
            "start a Config recorder there that records AWS::ECS::TaskDefinition, or exempt it by name",
        )
        for place in sorted(set(expected) - recorded)
    ]


def overdue(
    registrations: Iterable[Registration], shown: frozenset[str], *, max_lag: timedelta, now: datetime
) -> list[Registration]:
    """The registrations that the aggregator should show by now and does not."""
    return [
        registration
        for registration in registrations
        if registration.names_its_revision
        and registration.arn not in shown
        and now - registration.registered_at > max_lag
    ]


def blindness_problems(
    registrations: Iterable[Registration], *, max_lag: timedelta, now: datetime
) -> list[TrustProblem]:
    """The places in which something was registered of which nobody knows the images, until the aggregator must know."""
    return [
        TrustProblem(
            registration.place,
            f"a task definition was registered at {registration.registered_at:%Y-%m-%dT%H:%M:%SZ}, and its event was "
            "too large to carry its images",
            f"none needed: the aggregator is expected to show it within {max_lag}",
        )
        for registration in registrations
        if not registration.references and now - registration.registered_at <= max_lag
    ]


def incompleteness_problems(read: int, counted: int) -> list[TrustProblem]:
    """What was read page by page while it changed, compared with a count made afterwards."""
    if read >= counted:
        return []
    return [
        TrustProblem(
            None,
            f"the aggregator counts {counted} ACTIVE task definitions, but only {read} were read",
            "none needed: they changed while they were read, and are read again",
        )
    ]


def lag_problems(registrations: Iterable[Registration], *, max_lag: timedelta) -> list[TrustProblem]:
    """One problem per place in which registrations are overdue: its recorder lags, stopped or misses the type."""
    by_place: defaultdict[Place, list[str]] = defaultdict(list)
    for registration in registrations:
        by_place[registration.place].append(registration.arn)
    return [
        TrustProblem(
            place,
            f"{len(arns)} task definition(s) registered more than {max_lag} ago are not in the aggregator, "
            f"such as {min(arns)}",
            "check that the Config recorder there is on, continuous, and records AWS::ECS::TaskDefinition",
        )
        for place, arns in sorted(by_place.items())
    ]
