"""Who uses which image, and whether that knowledge can be trusted.

The inventory is the union of what several sources say: the Config aggregator (ACTIVE task definitions, what services
and task sets point to, and other resources that name an image), the ledger (registrations that the aggregator does
not show yet, and task definitions that it never shows), and the workload accounts themselves (what runs right now, by
digest). An inventory that is not trusted may still prove that an image is used; it never proves that one is not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from heapq import nlargest
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.consumers import CONSUMER_TYPES, TASK_DEFINITION
from ecr_cleanup.errors import ImageReferenceError
from ecr_cleanup.image_reference import parse_image_reference
from ecr_cleanup.settings import ECS_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime, timedelta

    from ecr_cleanup.consumers import Consumer
    from ecr_cleanup.image import Image, ImageId, Repository
    from ecr_cleanup.settings import Place

ANSWERED_LIVE = frozenset({"task definition", "service", "task set"})
"""The kinds of usage of which the account itself says what runs, and under which digest."""

# A count of task definitions has collapsed if at least so many are missing, and more than half.
_MISSED_AT_LEAST = 3


class Source(Enum):
    """Where the knowledge of a usage is from."""

    AGGREGATOR = "aggregator"
    LEDGER = "ledger"
    LIVE = "live"


class SourceStatus(Enum):
    """The state of an account and region in the aggregator.

    https://docs.aws.amazon.com/config/latest/APIReference/API_AggregatedSourceStatus.html
    """

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    OUTDATED = "OUTDATED"


class Usage(NamedTuple):
    """One consumer that holds one image reference."""

    kind: str
    arn: str
    place: Place
    reference: str
    source: Source
    image_id: ImageId | None = None
    """The image that the reference is known to have meant, whatever it means now."""
    task_definition: str | None = None
    """ARN of the task definition through which a service or task set holds the image."""
    may_be_pinned: bool = False
    """Whether the account could not tell which image the tag meant when it was deployed."""

    def __str__(self) -> str:
        through = f" through {self.task_definition}" if self.task_definition else ""
        return f"{self.arn}{through} ({self.source.value}: {self.reference})"


class TaskDefinition(NamedTuple):
    """An ACTIVE task definition as the aggregator shows it; `images` are the strings of its containers."""

    arn: str
    place: Place
    images: tuple[str, ...]


class Registration(NamedTuple):
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


class Recorder(NamedTuple):
    """A Config recorder as it was last recorded itself.

    https://docs.aws.amazon.com/config/latest/APIReference/API_RecordingGroup.html and
    https://docs.aws.amazon.com/config/latest/APIReference/API_RecordingMode.html. `strategy` is None for one that is
    older than strategies, `frequency` likewise; `overrides` are types with a frequency of their own.
    """

    arn: str
    place: Place
    recording: bool
    strategy: str | None = None
    all_supported: bool = False
    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    frequency: str | None = None
    overrides: tuple[tuple[frozenset[str], str], ...] = ()

    def covers(self, resource_type: str) -> bool:
        """Whether it is set to record the type."""
        if self.strategy == "EXCLUSION_BY_RESOURCE_TYPES":
            return resource_type not in self.excluded
        return self.all_supported or resource_type in self.included

    def is_continuous_for(self, resource_type: str) -> bool:
        """Whether it records each change of the type at once rather than once a day."""
        own = {frequency for types, frequency in self.overrides if resource_type in types}
        return (own or {self.frequency or "CONTINUOUS"}) == {"CONTINUOUS"}


class TrustProblem(NamedTuple):
    """One reason why the inventory cannot be trusted, and what repairs it."""

    place: Place | None
    reason: str
    repair: str

    def __str__(self) -> str:
        return f"{f'{self.place}: ' if self.place else ''}{self.reason} ({self.repair})"


@dataclass(frozen=True, eq=False)
class Inventory:
    """All usages known at one moment, and why they may not be all.

    `size` is the number of usages, `expected` are the accounts and regions that had to report theirs, and `active` the
    ACTIVE task definitions of the aggregator by ARN.
    """

    read_at: datetime
    problems: tuple[TrustProblem, ...]
    size: int = 0
    expected: frozenset[Place] = frozenset()
    active: Mapping[str, TaskDefinition] = field(default_factory=dict, repr=False)
    _by_image: Mapping[ImageId, list[Usage]] = field(default_factory=dict, repr=False)
    _by_tag: Mapping[tuple[Repository, str], list[Usage]] = field(default_factory=dict, repr=False)
    _by_any_tag: Mapping[Repository, tuple[Usage, ...]] = field(default_factory=dict, repr=False)
    _pinned: Mapping[Repository, tuple[Usage, ...]] = field(default_factory=dict, repr=False)
    _elsewhere: Mapping[str, list[Usage]] = field(default_factory=dict, repr=False)
    _unreadable: tuple[Usage, ...] = field(default=(), repr=False)

    def users_of(self, image: Image) -> list[Usage]:
        """The usages that mean this image: by its digest or by any tag that it has now.

        A digest under a host that is none of ECR's counts, too: the registry can have a name or a proxy of its owner's.
        A usage of a child of an image index is not one of the index.
        """
        repository = image.id.repository
        # A sweep asks this of each image of the registry, and mostly there is nothing of the rarer kinds.
        users = list(self._by_image.get(image.id, ())) if self._by_image else []
        for tag in sorted(image.tags):
            users += self._by_tag.get((repository, tag), ())
        if self._elsewhere:
            users += self._elsewhere.get(image.id.digest, ())
        if self._unreadable:
            users += self._that_may_mean(repository)
        return users

    def users_by_digest(self, image_id: ImageId) -> list[Usage]:
        """The usages that name this image by its digest."""
        return [*self._by_image.get(image_id, ()), *self._elsewhere.get(image_id.digest, ())]

    def users_by_tag(self, repository: Repository) -> tuple[Usage, ...]:
        """The usages that name the repository by a tag without a digest, or that nobody can read and may do so."""
        return self._by_any_tag.get(repository, ()) + self._that_may_mean(repository)

    def users_under_unknown_digest(self, repository: Repository) -> tuple[Usage, ...]:
        """Those usages by a tag of which the account could not tell the image that runs."""
        return self._pinned.get(repository, ())

    def _that_may_mean(self, repository: Repository) -> tuple[Usage, ...]:
        """Nobody can say what an unreadable reference means; where it may mean this repository, it counts."""
        return tuple(usage for usage in self._unreadable if f"/{repository.name}" in usage.reference.lower())


class Findings(NamedTuple):
    """What one source says: usages, and why they may not be all."""

    usages: tuple[Usage, ...] = ()
    problems: tuple[TrustProblem, ...] = ()


def build_inventory(
    findings: Iterable[Findings],
    *,
    read_at: datetime,
    expected: frozenset[Place] = frozenset(),
    active: Mapping[str, TaskDefinition] | None = None,
) -> Inventory:
    """The union of what all sources say, indexed by image and by tag."""
    index = _Index()
    problems: list[TrustProblem] = []
    size = 0
    for finding in findings:
        problems += finding.problems
        size += len(finding.usages)
        for usage in finding.usages:
            index.add(usage)
    return Inventory(
        read_at,
        tuple(problems),
        size,
        expected,
        active or {},
        index.by_image,
        index.by_tag,
        {repository: tuple(usages) for repository, usages in index.by_any_tag.items()},
        {repository: tuple(usages) for repository, usages in index.pinned.items()},
        index.elsewhere,
        tuple(index.unreadable),
    )


class _Index:
    """Usages by all that they can be asked for."""

    def __init__(self) -> None:
        self.by_image: defaultdict[ImageId, list[Usage]] = defaultdict(list)
        self.by_tag: defaultdict[tuple[Repository, str], list[Usage]] = defaultdict(list)
        self.by_any_tag: defaultdict[Repository, list[Usage]] = defaultdict(list)
        self.pinned: defaultdict[Repository, list[Usage]] = defaultdict(list)
        self.elsewhere: defaultdict[str, list[Usage]] = defaultdict(list)
        self.unreadable: list[Usage] = []

    def add(self, usage: Usage) -> None:
        """Take a usage in."""
        if usage.image_id:
            self.by_image[usage.image_id].append(usage)
        try:
            reference = parse_image_reference(usage.reference)
        except ImageReferenceError:
            self.unreadable.append(usage)
            return
        if reference is None:
            digest = usage.reference.partition("@")[2]
            if digest and not usage.image_id:
                self.elsewhere[digest].append(usage)
        elif reference.image_id:
            if reference.image_id != usage.image_id:
                self.by_image[reference.image_id].append(usage)
        elif reference.tag:
            self.by_tag[reference.repository, reference.tag].append(usage)
            self.by_any_tag[reference.repository].append(usage)
            if usage.may_be_pinned:
                self.pinned[reference.repository].append(usage)


def usages_of_task_definition(definition: TaskDefinition) -> list[Usage]:
    """One usage per image string."""
    return [
        Usage("task definition", definition.arn, definition.place, image, Source.AGGREGATOR)
        for image in definition.images
    ]


def newest_revisions(definitions: Iterable[TaskDefinition], count: int | None) -> list[TaskDefinition]:
    """Those that count as use of themselves: of each family in each place the newest, or all for None.

    An ARN that does not end in a number is none that can be put in order, and counts.
    """
    if count is None:
        return list(definitions)
    counted: list[TaskDefinition] = []
    families: defaultdict[str, list[tuple[int, TaskDefinition]]] = defaultdict(list)
    for definition in definitions:
        family, _, revision = definition.arn.rpartition(":")
        if revision.isascii() and revision.isdecimal():
            families[family].append((int(revision), definition))
        else:
            counted.append(definition)
    for revisions in families.values():
        counted += [definition for _, definition in nlargest(count, revisions, key=itemgetter(0))]
    return counted


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


def usages_of_consumer(consumer: Consumer) -> list[Usage]:
    """One usage per image that a resource names itself."""
    return [
        Usage(consumer.type.kind, consumer.arn, consumer.place, image, Source.AGGREGATOR) for image in consumer.images
    ]


def usages_through_task_definition(
    consumer: Consumer, references: Iterable[str], image_ids: Iterable[ImageId], source: Source
) -> list[Usage]:
    """What a service or task set holds through the task definition that it points to, be that ACTIVE or not.

    `references` are the strings of the task definition, `image_ids` what they meant when it was registered.
    """
    held: list[tuple[str, ImageId | None]] = [(reference, None) for reference in sorted(set(references))]
    held += [(str(image_id), image_id) for image_id in sorted(set(image_ids))]
    return [
        Usage(consumer.type.kind, consumer.arn, consumer.place, reference, source, image_id, consumer.task_definition)
        for reference, image_id in held
    ]


def source_problems(expected: Iterable[Place], sources: Mapping[Place, SourceStatus]) -> list[TrustProblem]:
    """The expected accounts and regions that the aggregator does not read, or not any more.

    AWS does not say whether the sources of an organization's aggregator are its accounts or the organization itself:
    either counts, and of both the worse.
    """
    of_organization = {place.region: status for place, status in sources.items() if not place.account.isdigit()}
    problems = []
    for place in sorted(expected):
        said = [it for it in (sources.get(place), *map(of_organization.get, (place.region, ""))) if it]
        status = max(said, key=lambda it: it is not SourceStatus.SUCCEEDED, default=None)
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


def recorder_problems(
    expected: Iterable[Place],
    recorders: Iterable[Recorder],
    resource_types: Collection[str],
    *,
    missing: str = "the aggregator holds nothing of its Config recorder",
) -> list[TrustProblem]:
    """The expected accounts and regions in which no recorder records every type that is counted on, continuously.

    Where there are several recorders, one that does suffices; otherwise the best one is complained about. `missing` is
    what is said where there is none.
    """
    by_place: defaultdict[Place, list[Recorder]] = defaultdict(list)
    for recorder in recorders:
        by_place[recorder.place].append(recorder)
    problems = []
    for place in sorted(expected):
        if place in by_place:
            complaints = [_complaints(recorder, resource_types) for recorder in by_place[place]]
            least: list[TrustProblem] = min(complaints, key=len)
            problems += least
        else:
            problems.append(
                TrustProblem(
                    place,
                    missing,
                    f"start a recorder there that records {', '.join(sorted(resource_types))}, or exempt it by name",
                )
            )
    return problems


def _complaints(recorder: Recorder, resource_types: Collection[str]) -> list[TrustProblem]:
    problems = []
    if not recorder.recording:
        problems.append(
            TrustProblem(
                recorder.place,
                f"the Config recorder {recorder.arn} is stopped",
                "start it, or exempt the account and region by name",
            )
        )
    missing = sorted(each for each in resource_types if not recorder.covers(each))
    if missing:
        dispensable = [each for each in missing if each not in ECS_TYPES]
        instead = f", or take {', '.join(dispensable)} out of workloads.resource_types" if dispensable else ""
        problems.append(
            TrustProblem(
                recorder.place,
                f"the Config recorder {recorder.arn} does not record {', '.join(missing)}",
                f"add {', '.join(missing)} to what it records{instead}",
            )
        )
    daily = sorted(each for each in resource_types if recorder.covers(each) and not recorder.is_continuous_for(each))
    if daily:
        problems.append(
            TrustProblem(
                recorder.place,
                f"the Config recorder {recorder.arn} records {', '.join(daily)} only once a day",
                "set its recording frequency for them to CONTINUOUS",
            )
        )
    return problems


def unknown_type_problems(resource_types: Iterable[str]) -> list[TrustProblem]:
    """The types that are to be counted on, and of which nobody has written down where they hold an image."""
    return [
        TrustProblem(
            None,
            f"it is not known where a resource of the type {each} names its image",
            "take the type out of workloads.resource_types",
        )
        for each in sorted(set(resource_types) - CONSUMER_TYPES.keys())
    ]


def nameless_problems(consumers: Iterable[Consumer]) -> list[TrustProblem]:
    """One problem per place and type with resources that must hold an image and show none."""
    return _by_place_and_type(
        (consumer for consumer in consumers if consumer.names_too_little),
        lambda kind, names: f"the aggregator does not show what {kind} {names} runs",
        "check the resource there; one that is known to use nothing of the registry can be exempted by its ARN",
    )


def unresolved_problems(consumers: Iterable[Consumer]) -> list[TrustProblem]:
    """One problem per place and type with services or task sets whose task definition nobody knows."""
    return _by_place_and_type(
        consumers,
        lambda kind, names: f"{kind} {names} points to a task definition that neither aggregator nor ledger knows",
        "update the service to a task definition that is ACTIVE, or exempt the ARN of the service or task definition",
    )


def _by_place_and_type(
    consumers: Iterable[Consumer], reason: Callable[[str, str], str], repair: str
) -> list[TrustProblem]:
    groups: defaultdict[tuple[Place, str], list[Consumer]] = defaultdict(list)
    for consumer in consumers:
        groups[consumer.place, consumer.type.kind].append(consumer)
    problems = []
    for (place, kind), some in sorted(groups.items()):
        first = min(some, key=lambda consumer: consumer.arn)
        names = f"{first.arn} ({first.task_definition})" if first.task_definition else first.arn
        if len(some) > 1:
            names += f", like {len(some) - 1} more,"
        problems.append(TrustProblem(place, reason(kind, names), repair))
    return problems


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


def incompleteness_problems(
    read: Mapping[tuple[Place, str], int], *counts: Mapping[tuple[Place, str], int]
) -> list[TrustProblem]:
    """What was read page by page while it changed, compared by place and type with counts made before and after.

    Something that goes away while the pages are read can make another slip to a page that was read already. Only the
    count before shows it, since afterwards one less is counted, too.
    """
    problems = []
    for place, resource_type in sorted({key for count in counts for key in count}):
        counted = max(count.get((place, resource_type), 0) for count in counts)
        seen = read.get((place, resource_type), 0)
        if seen < counted:
            known = CONSUMER_TYPES.get(resource_type)
            kind = f"{known.kind}s" if known else resource_type
            active = "ACTIVE " if known is TASK_DEFINITION else ""
            problems.append(
                TrustProblem(
                    place,
                    f"the aggregator counts {counted} {active}{kind}, but only {seen} were read",
                    "none needed: they changed while they were read, and are read again",
                )
            )
    return problems


def has_collapsed(read: int, expected: int) -> bool:
    """Whether so many fewer ACTIVE task definitions are shown than expected that others may be missing elsewhere."""
    return expected - read >= _MISSED_AT_LEAST and read * 2 < expected


def collapse_problem(
    place: Place, *, read: int, expected: int, counted_at: datetime, lapses_at: datetime, command: str
) -> TrustProblem:
    """A place of which the aggregator shows far fewer task definitions than it did."""
    return TrustProblem(
        place,
        f"the aggregator shows {read} ACTIVE task definitions where, after {counted_at:%Y-%m-%dT%H:%M:%SZ} and less "
        f"those deregistered since, {expected} are expected",
        f"check the recorder there; if they are rightly gone, run: {command} "
        f"(without it, the new count is believed from {lapses_at:%Y-%m-%dT%H:%M:%SZ} on)",
    )


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
            "check that the Config recorder there is on, continuous, and records AWS::ECS::TaskDefinition; "
            "a task definition that will never be shown can be exempted by its ARN",
        )
        for place, arns in sorted(by_place.items())
    ]
