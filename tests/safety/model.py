"""What is used, by AWS's documented behaviour alone. Nothing of the project is imported here.

- A container definition's image string means a digest: the one that it names, else the one that has its tag now
  (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html).
- An ACTIVE task definition can be run at any time. One that is INACTIVE cannot, but services and task sets that have it
  go on, and start further tasks from it
  (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister-task-definition-v2.html).
- Amazon ECS resolves a tag once per deployment, when its first task starts, and every task of the deployment, started
  at once or in a year, pulls that digest, unless `versionConsistency` is disabled
  (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html). A service that was scaled to
  zero keeps what was resolved.
- While a deployment is in progress, it can go back to what ran before
  (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html).
- A standalone task has what its tags meant when it started. A version of a Lambda function has what its tag meant when
  its code was set, and ends in the state Failed without
  (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html). A job of AWS Batch pulls what its definition means
  when it runs (https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html).
- Whoever pulls an index pulls one of its children.

The model also says when an image is protected although nobody uses it, when the inventory must not be trusted, and
which windows AWS's own best effort opens: `Excuse` names each, with its precise condition.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from safety.parts import RECORDER, TASK_DEFINITION, Place
from safety.world import OPT_IN, PLACES, REGION, SHARED, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOSTS = (
    f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com",
    f"{SHARED}.dkr.ecr-fips.{REGION}.amazonaws.com",
    f"{SHARED}.dkr-ecr.{REGION}.on.aws",
)
# Rolling updates of ECS end within the time that a task takes to stop and its target to drain: at most an hour here.
# With a bake time, a deployment is in progress for longer.
DRAINING = timedelta(hours=1)
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
_OWN_READING = timedelta(minutes=1)
STOPPED_TASKS_SHOWN_FOR = timedelta(hours=1)
_LAPSE = timedelta(hours=24)


class Key(NamedTuple):
    """One image: repository and digest."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{SHARED}/{REGION}/{self.repository}@{self.digest}"


NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Reference:
    """What a container definition, or another consumer, names."""

    repository: str
    tag: str | None
    digest: str | None
    host: int = 0

    @property
    def text(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{HOSTS[self.host % len(HOSTS)]}/{self.repository}{tag}{digest}"

    @property
    def meant_tag(self) -> str | None:
        """The tag that decides, where there is no digest."""
        return None if self.digest else self.tag or "latest"


class Kind(Enum):
    """What was pushed."""

    IMAGE = "image"
    INDEX = "index"
    ARTIFACT = "artifact"
    """A chart, a cache, a signature: nothing that a container can run."""


@dataclass
class Image:
    """An image, and what happened to it. Times of the registry are in its own view of them."""

    key: Key
    kind: Kind
    pushed_at: datetime
    children: tuple[str, ...] = ()
    subject: str | None = None
    """What it refers to: by its manifest, or as the tag scheme of cosign says."""
    pulled_at: datetime | None = None
    """The last pull by others that the registry recorded."""
    truly_pulled_at: datetime | None = None
    pulled_moment: int = 0
    ever_meant: bool = False
    """Whether anything ever meant it: then a use of it may be known."""
    known_use: datetime | None = None
    """The last use that the functions were told of, or saw."""
    archived_at: datetime | None = None
    was_main: bool = False
    """Whether it was removed for itself, and not as what belongs to another."""


@dataclass
class Repository:
    """A repository as its owner made it."""

    name: str
    mutability: str
    movable: str = ""
    """A pattern of the tags that can move where the others cannot."""
    opted_in: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    tag_moments: dict[str, int] = field(default_factory=dict)
    """When each tag came to its image."""
    pushes: dict[str, list[str]] = field(default_factory=dict)
    """The ids of the events that told of each tag."""
    images: dict[str, Image] = field(default_factory=dict)
    moved: bool = False
    """Whether a tag ever moved."""

    def can_move(self, tag: str) -> bool:
        return self.mutability == "MUTABLE" or bool(self.movable and fnmatchcase(tag, self.movable))

    @property
    def tags_can_move(self) -> bool:
        return self.mutability == "MUTABLE" or bool(self.movable)

    def tags_of(self, digest: str) -> list[str]:
        return [tag for tag, meant in self.tags.items() if meant == digest]


@dataclass
class TaskDefinition:
    """A revision, from its registration on."""

    arn: str
    place: Place
    references: tuple[Reference, ...]
    registered_at: datetime
    active: bool = True
    registration: str = ""
    """The id of the event that tells of it."""
    deregistration: str = ""
    deregistered_at: datetime = NEVER
    meant_at_end: frozenset[Key] = frozenset()
    """What its references meant when it was deregistered."""
    moment: int = 0
    """When it was registered (see `World.moment`)."""
    told: frozenset[Key] = frozenset()
    """What its references meant whenever the functions were told of it, and what they hold against it for good."""
    is_consistent: bool = True
    """Whether deployments of it resolve its tags: `versionConsistency` is not disabled."""


@dataclass(eq=False)
class Deployment:
    """A service revision, or what a task set runs: a task definition, and what its tags were resolved to."""

    task_definition: TaskDefinition
    number: int
    moment: int
    """When it began."""
    digests: dict[int, Key] = field(default_factory=dict)
    """What its first task established, by the number of the container. Every further task pulls that."""
    resolved_at: int = 0
    has_pulled: bool = False
    """Whether a task of it has pulled; the service revision shows no digests before."""

    @property
    def pinned(self) -> frozenset[Key]:
        return frozenset(self.digests.values())

    @property
    def unresolved(self) -> tuple[Reference, ...]:
        """The references that the next task resolves for itself."""
        references = enumerate(self.task_definition.references)
        return tuple(reference for number, reference in references if number not in self.digests)


@dataclass(eq=False)
class Rollout:
    """A service deployment: on the way from some service revisions to another, or back to the first of them."""

    number: int
    sources: list[Deployment]
    target: Deployment
    ends_at: datetime
    is_baking: bool = False
    """Whether only tasks of the target run."""
    back_to: Deployment | None = None
    """The source that it goes back to."""


@dataclass(eq=False)
class Runner:
    """A service or a task set. `rollouts` are the service's deployments; the last may be in progress."""

    kind: str
    arn: str
    place: Place
    deployment: Deployment
    desired: int = 1
    rollouts: list[Rollout] = field(default_factory=list)
    has_revisions: bool = True
    """Not so of task sets, and of services that were deployed last before there were service revisions."""

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def rollout(self) -> Rollout | None:
        return self.rollouts[-1] if self.rollouts else None

    def leaves(self, now: datetime) -> list[Deployment]:
        """What a deployment in progress can go back to."""
        rollout = self.rollout
        if rollout is None or rollout.ends_at <= now:
            return []
        return [each for each in rollout.sources if each is not self.deployment]


@dataclass(eq=False)
class Task:
    """A task: of a service or task set with its deployment, or a standalone one."""

    arn: str
    place: Place
    task_definition: TaskDefinition
    moment: int
    runner: Runner | None = None
    deployment: Deployment | None = None
    resolved: dict[int, Key] = field(default_factory=dict)
    """What a task that has not pulled yet will pull all the same, and does not show."""
    pulled: dict[int, Key] | None = None
    pulled_at: int = 0
    stopped_at: datetime | None = None


@dataclass(frozen=True)
class Code:
    """What a version of a Lambda function runs: an image, by the reference that was given when the code was set."""

    reference: Reference
    key: Key
    moment: int


@dataclass(eq=False)
class Function:
    """A Lambda function with the code of each version, `$LATEST` among them."""

    arn: str
    place: Place
    versions: dict[str, Code]
    published: int = 0


@dataclass(eq=False)
class Job:
    """An ACTIVE job definition of AWS Batch."""

    arn: str
    place: Place
    reference: Reference
    moment: int


@dataclass(frozen=True)
class Pointer:
    """A rule of EventBridge, or a schedule, that runs a task definition while that is ACTIVE."""

    kind: str
    name: str
    place: Place
    task_definition: TaskDefinition


@dataclass(frozen=True)
class Consumer:
    """Something else that names an image."""

    kind: str
    arn: str
    place: Place
    reference: Reference


class Excuse(Enum):
    """The windows: when a used image may be removed all the same, because nobody could have known.

    Each is for one use; an image may go only where every use of it has an excuse, and all the other protections (grace
    period, minimum age, pulls and so on) are judged apart from it. Where it says so, a window is open only without
    live usage, or only with it.
    """

    NEITHER_TOLD_NOR_SHOWN = (
        "without live usage: a task definition is ACTIVE; the event of its registration was not handled (lost, or "
        "still on its way), and the aggregator does not show it yet (lag, or a recorder that did not record it)"
    )
    CONSUMER_NOT_SHOWN = (
        "a service, task set or other consumer is there, and the aggregator does not show it as it is (lag, or a "
        "recorder that did not record it); nothing but AWS Config tells of those. With live usage not so of services "
        "and task sets"
    )
    DRAINING = (
        "without live usage: a service has moved on from an INACTIVE task definition, and tasks of its former "
        "deployment are started while its deployment is in progress, or it goes back: AWS Config shows only what the "
        "service points to now"
    )
    TWO_PUSHES_UNTOLD = (
        "a service runs what a tag meant when it was deployed; the tag has moved and come back, or moved twice, and "
        "two or more of its push events were not handled. With live usage only of what shows its digest nowhere: no "
        "service revision that can be read has it, and no task that has pulled (task sets, services of old, and what "
        "was scaled to zero)"
    )
    RUNS_UNASKED = (
        "without live usage: a task runs the image, and nothing pulls it again when it ends (a standalone task, or a "
        "container whose versionConsistency is disabled), or it is a standalone task about to pull"
    )
    TOO_LATE = "it began after the last look, within the run of the function that removed the image"
    BEGAN_AFTER_READING = (
        "with live usage: it began after the function had begun to read the account and region, within its run, and "
        "no event that was handled and nothing that the aggregator shows tells of it"
    )


@dataclass(frozen=True)
class Use:
    """A use of an image, and why it could not be known, if so."""

    by: str
    how: str
    excuse: Excuse | None
    runs: bool = False
    """Whether only what runs tells of it, and no task definition or other name that AWS Config shows."""


class Model:
    """The truth about one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.repositories: dict[str, Repository] = {}
        self.task_definitions: list[TaskDefinition] = []
        self.runners: list[Runner] = []
        self.consumers: list[Consumer] = []
        self.tasks: list[Task] = []
        self.functions: list[Function] = []
        self.jobs: list[Job] = []
        self.pointers: list[Pointer] = []
        self.clusters: set[tuple[Place, str]] = set()
        self.removed: dict[Key, datetime] = {}
        self.removed_images: dict[Key, Image] = {}
        self.removals: list[datetime] = []
        """When images, as opposed to what belongs to them, were removed."""
        self.left_behind: set[Key] = set()
        """Parts that something used when the image that they belong to was removed: untagged, they stay for good."""
        self.excused: Counter[Excuse] = Counter()
        self.excused_keys: set[Key] = set()
        self._complaints_if_main: dict[Key, list[str]] = {}
        self.complete = True
        """False as long as the functions know task definitions only (and have no further protections)."""
        world.on_removal = self.observe_removals

    @property
    def live(self) -> bool:
        """Whether the functions ask the accounts what runs."""
        return bool(self.world.environment.get("READER_ROLE_NAME"))

    # Who uses what

    def meaning(self, reference: Reference) -> Key | None:
        """The image that a reference means now, if there is one."""
        repository = self.repositories.get(reference.repository)
        if repository is None:
            return None
        tag = reference.meant_tag
        digest = repository.tags.get(tag) if tag else reference.digest
        return Key(repository.name, digest) if digest in repository.images and digest else None

    def find(self, key: Key) -> Image | None:
        """An image, whether it is there still or was removed."""
        return self.repositories[key.repository].images.get(key.digest) or self.removed_images.get(key)

    def is_gone(self, key: Key) -> bool:
        return key.digest not in self.repositories[key.repository].images

    def meanings(self, references: Iterable[Reference]) -> frozenset[Key]:
        return frozenset(key for key in map(self.meaning, references) if key)

    def uses(self) -> dict[Key, list[Use]]:
        """Every image that is used now, and by whom."""
        uses: defaultdict[Key, list[Use]] = defaultdict(list)
        for key, use in self._direct_uses():
            uses[key].append(use)
        # An index passes its uses on to its children, which may be indexes themselves.
        pending = list(uses)
        while pending:
            key = pending.pop()
            image = self.repositories[key.repository].images.get(key.digest)
            for digest in image.children if image else ():
                child = Key(key.repository, digest)
                fresh = [use for use in uses[key] if use not in uses[child]]
                if fresh:
                    uses[child] += fresh
                    pending.append(child)
        return uses

    def _direct_uses(self) -> Iterator[tuple[Key, Use]]:
        for definition in self.task_definitions:
            if definition.active:
                for reference in definition.references:
                    key = self.meaning(reference)
                    if key:
                        excuse = self._too_late(reference) or self._unknown(definition)
                        yield key, Use(definition.arn, f"is ACTIVE and means it by {reference.text}", excuse)
        if not self.complete:
            return
        for runner in self.runners:
            yield from self._uses_of_runner(runner)
        for task in self.tasks:
            yield from self._uses_of_task(task)
        for consumer in self.consumers:
            key = self.meaning(consumer.reference)
            if key:
                shown = self._shown(consumer.place, consumer.kind, consumer.arn)
                excuse = None if shown else Excuse.CONSUMER_NOT_SHOWN
                how = f"names it by {consumer.reference.text}"
                yield key, Use(consumer.arn, how, self._too_late(consumer.reference) or excuse)
        yield from self._uses_by_others()

    def _uses_by_others(self) -> Iterator[tuple[Key, Use]]:
        """What only live usage sees besides tasks: versions of Lambda functions, and job definitions."""
        for function in self.functions:
            for version, code in function.versions.items():
                excuse = self._after_reading(function.place, code.moment)
                yield code.key, Use(function.arn, f"runs it as {version}", excuse, runs=True)
        for job in self.jobs:
            meant = self.meaning(job.reference)
            if meant:
                late = self._too_late(job.reference) or self._after_reading(job.place, job.moment)
                yield meant, Use(job.arn, f"names it by {job.reference.text}", late, runs=True)

    def _uses_of_runner(self, runner: Runner) -> Iterator[tuple[Key, Use]]:
        """What the tasks of a service or task set would pull: of what it runs, and of what it can go back to."""
        deployment = runner.deployment
        definition = deployment.task_definition
        for pinned in deployment.pinned:
            excuse = self._unseen_pin(runner) or self._two_pushes_untold(runner, deployment, pinned)
            yield pinned, Use(runner.arn, f"is pinned to it by {definition.arn}", excuse, runs=True)
        for reference in definition.references:
            key = self.meaning(reference)
            if key:
                excuse = self._too_late(reference) or self._unseen(runner)
                yield key, Use(runner.arn, f"has {definition.arn}, which means it", excuse)
        for source in runner.leaves(self.world.now):
            excuse = self._unseen_source(runner, source)
            how = f"can go back to it by {source.task_definition.arn}"
            for pinned in source.pinned:
                why = excuse or self._two_pushes_untold(runner, source, pinned)
                yield pinned, Use(runner.arn, how, why, runs=True)
            for meant in self.meanings(source.unresolved):
                yield meant, Use(runner.arn, how, excuse, runs=True)

    def _uses_of_task(self, task: Task) -> Iterator[tuple[Key, Use]]:
        """What a task has pulled. What one of a service is about to pull, the service uses."""
        if task.stopped_at:
            return
        if task.pulled is not None:
            excuse = self._after_reading(task.place, task.pulled_at) if self.live else Excuse.RUNS_UNASKED
            for key in task.pulled.values():
                yield key, Use(task.arn, f"runs it by {task.task_definition.arn}", excuse, runs=True)
        elif task.deployment is None:
            excuse = self._after_reading(task.place, task.moment) if self.live else Excuse.RUNS_UNASKED
            for key in frozenset(task.resolved.values()) | self.meanings(task.task_definition.references):
                yield key, Use(task.arn, f"is about to pull it by {task.task_definition.arn}", excuse, runs=True)

    def _unseen_pin(self, runner: Runner) -> Excuse | None:
        if self.live and (excuse := self._after_reading(runner.place, runner.deployment.resolved_at)):
            return excuse
        return self._unseen(runner)

    def _two_pushes_untold(self, runner: Runner, deployment: Deployment, key: Key) -> Excuse | None:
        """Whether nothing tells what a deployment is pinned to, and too few events that its tag has moved."""
        if self.live and self._tells(runner, deployment, key):
            return None
        pushes = self.repositories[key.repository].pushes
        tags = [ref.meant_tag for ref in deployment.task_definition.references if ref.repository == key.repository]
        untold = (sum(event not in self.world.handled for event in pushes.get(tag, ())) for tag in tags if tag)
        return Excuse.TWO_PUSHES_UNTOLD if any(count > 1 for count in untold) else None

    def _tells(self, runner: Runner, deployment: Deployment, key: Key) -> bool:
        """Whether the place shows, or showed when it was read, that a deployment is pinned to an image."""
        if self.shows_revision(runner, deployment) and deployment.has_pulled:
            return True
        return any(
            task.deployment is deployment
            and key in (task.pulled or {}).values()
            and (task.stopped_at is None or task.stopped_at + STOPPED_TASKS_SHOWN_FOR > self.world.now)
            for task in self.tasks
        )

    def shows_revision(self, runner: Runner, deployment: Deployment) -> bool:
        """Whether a service names a revision among its own, or by a deployment in progress."""
        if not runner.has_revisions:
            return False
        if runner.rollout and runner.rollout.ends_at > self.world.now:
            return deployment is runner.deployment or deployment in runner.leaves(self.world.now)
        return deployment is runner.deployment and (runner.desired > 0 or self.world.habits.shows_revision_at_zero)

    def _unknown(self, definition: TaskDefinition) -> Excuse | None:
        told = self.world.handled.get(definition.registration)
        shown = self._shown(definition.place, TASK_DEFINITION, definition.arn)
        if shown and shown["configuration"]["Status"] == "ACTIVE":
            return None
        run = self.world.run
        if told is not None and not (run and told > run.last_look):
            return None
        if self.live:
            return self._after_reading(definition.place, definition.moment)
        return Excuse.NEITHER_TOLD_NOR_SHOWN if told is None else Excuse.TOO_LATE

    def _unseen(self, runner: Runner) -> Excuse | None:
        if self._is_shown(runner):
            return None
        return self._after_reading(runner.place, runner.deployment.moment) if self.live else Excuse.CONSUMER_NOT_SHOWN

    def _is_shown(self, runner: Runner) -> bool:
        """Whether the aggregator shows what a service or task set has."""
        shown = self._shown(runner.place, runner.kind, runner.arn)
        return bool(shown and shown["configuration"]["TaskDefinition"] == runner.deployment.task_definition.arn)

    def _unseen_source(self, runner: Runner, source: Deployment) -> Excuse | None:
        """A source is what the service had before: who read the place saw it as the one or the other."""
        if self.live:
            return self._after_reading(runner.place, source.moment)
        # While its task definition is ACTIVE, that speaks for it, as far as anybody knows of that.
        return self._unknown(source.task_definition) if source.task_definition.active else Excuse.DRAINING

    def _after_reading(self, place: Place, moment: int) -> Excuse | None:
        """Whether the run of the function had begun to read the place when a use began."""
        run = self.world.run
        asked = run.asked.get(place) if run else None
        return Excuse.BEGAN_AFTER_READING if asked is not None and moment > asked else None

    def _too_late(self, reference: Reference) -> Excuse | None:
        """Whether the tag came to its image after the last look."""
        run, tag = self.world.run, reference.meant_tag
        moment = self.repositories[reference.repository].tag_moments.get(tag, 0) if tag else 0
        return Excuse.TOO_LATE if run and moment > run.last_look else None

    def _shown(self, place: Place, kind: str, arn: str) -> dict[str, dict[str, str]] | None:
        """What the aggregator shows of a resource, or showed to the present run when that read it."""
        run = self.world.run
        return self.world.aggregator.shown(
            place, kind, arn, run.aggregator_read_at if run and run.aggregator_read_at else self.world.now
        )

    def touch(self) -> None:
        """Remember what is meant now; to be called after every change."""
        for key in self.uses():
            self._mean(key)
        for definition in self.task_definitions:
            for key in self.meanings(definition.references):
                self._mean(key)

    def _mean(self, key: Key) -> None:
        image = self.repositories[key.repository].images.get(key.digest)
        if image:
            image.ever_meant = True

    # What must not be removed although nobody uses it

    def setting(self, repository: Repository, variable: str, tag: str) -> str:
        """A setting: the repository's own, else the installation's."""
        return repository.settings.get(f"ecr-cleanup:{tag}", self.world.environment[variable])

    def grace(self, repository: Repository) -> timedelta:
        return timedelta(hours=int(self.setting(repository, "GRACE_PERIOD_HOURS", "grace-hours")))

    def action(self, repository: Repository) -> str:
        return self.setting(repository, "ACTION", "action")

    def settings_are_valid(self, repository: Repository) -> bool:
        return "nonsense" not in repository.settings.values()

    def patterns(self, repository: Repository) -> list[str]:
        texts = (self.world.environment["PROTECTED_TAG_PATTERNS"], repository.settings.get("ecr-cleanup:protect", ""))
        # A tag of a repository cannot have an asterisk in it.
        return [pattern for text in texts for pattern in text.replace("@", "*").replace(",", " ").split()]

    def protected_tag(self, image: Image) -> str | None:
        repository = self.repositories[image.key.repository]
        patterns = self.patterns(repository)
        tags = repository.tags_of(image.key.digest)
        return next((tag for tag in tags for pattern in patterns if fnmatchcase(tag, pattern)), None)

    def is_image(self, image: Image) -> bool:
        """Whether it can be run by itself: no artifact, no referrer, no child of an index."""
        if image.kind is Kind.ARTIFACT or image.subject:
            return False
        return not self.parents(image.key)

    def parents(self, key: Key) -> list[str]:
        images = self.repositories[key.repository].images.values()
        return [image.key.digest for image in images if key.digest in image.children]

    def parts(self, image: Image) -> set[Key]:
        """What belongs to an image, however deep: children and referrers."""
        images = self.repositories[image.key.repository].images
        found: set[Key] = set()
        pending = [image]
        while pending:
            whole = pending.pop()
            for other in images.values():
                belongs = other.key.digest in whole.children or other.subject == whole.key.digest
                if belongs and other.key not in found:
                    found.add(other.key)
                    pending.append(other)
        return found

    def is_newest(self, image: Image, *, cautiously: bool) -> bool:
        """Whether it is among the newest N of its repository.

        Cautiously, what may turn out to be no image by itself does not count: what is untagged, and what was pushed
        within a day before an index, which it may be a part of.
        """
        repository = self.repositories[image.key.repository]
        count = int(self.setting(repository, "NEWEST_IMAGES", "keep-newest"))
        newer = [
            each
            for each in repository.images.values()
            if each.pushed_at > image.pushed_at
            and each.archived_at is None
            and self.is_image(each)
            and not (cautiously and self._may_be_a_part(each, repository))
        ]
        return len(newer) < count

    def _may_be_a_part(self, image: Image, repository: Repository) -> bool:
        if not repository.tags_of(image.key.digest):
            return True
        if image.kind is Kind.INDEX:
            return False
        indexes = [each.pushed_at for each in repository.images.values() if each.kind is Kind.INDEX]
        return any(timedelta() <= pushed_at - image.pushed_at <= _LAPSE for pushed_at in indexes)

    def pulled_within(self, repository: Repository) -> timedelta:
        hours = self.world.environment["PULLED_WITHIN_HOURS"]
        return timedelta(hours=int(hours)) if hours else self.grace(repository) + _LAPSE

    def may_be_pinned(self, image: Image) -> bool:
        """Whether the cautious rule may keep it: tags can move, and some usage names the repository by a tag.

        With live usage, that is one of which nothing shows the digest.
        """
        references = self._references_of_unknown_digest() if self.live else self._references()
        return self._are_by_tag(references, self.repositories[image.key.repository])

    def _are_by_tag(self, references: Iterable[Reference], repository: Repository) -> bool:
        if not repository.tags_can_move or self.tags_never_move(repository):
            return False
        return any(ref.repository == repository.name and ref.meant_tag for ref in references)

    def _references(self) -> Iterator[Reference]:
        """What the functions know to be named without live usage."""
        for definition in self.task_definitions:
            if definition.active or self.believed_active(definition):
                yield from definition.references
        for runner in self.runners:
            yield from runner.deployment.task_definition.references
        for consumer in self.consumers:
            yield consumer.reference

    def _references_of_unknown_digest(self) -> Iterator[Reference]:
        """What runs, or may, by a reference whose digest no place shows."""
        for runner in self.runners:
            for deployment in (runner.deployment, *runner.leaves(self.world.now)):
                shown = deployment.has_pulled and self.shows_revision(runner, deployment)
                yield from deployment.unresolved if shown else deployment.task_definition.references
        for task in self.tasks:
            if task.pulled is None and not task.stopped_at:
                yield from task.task_definition.references
        for consumer in self.consumers:
            yield consumer.reference

    def tags_never_move(self, repository: Repository) -> bool:
        own = repository.settings.get("ecr-cleanup:tags-move")
        return own == "never" if own else self.world.environment["TAGS_NEVER_MOVE"] == "true"

    def believed_active(self, definition: TaskDefinition) -> bool:
        """Whether the functions must take it for ACTIVE for ever: nobody told them of its end.

        AWS Config shows it as ACTIVE still, or never showed it, but the event of its registration told of it.
        """
        if definition.deregistration in self.world.handled:
            return False
        shown = self._shown(definition.place, TASK_DEFINITION, definition.arn)
        if shown is None:
            return definition.registration in self.world.handled
        return shown["configuration"]["Status"] == "ACTIVE"

    def distrust(self) -> list[str]:
        """Why nothing at all may be removed now."""
        aggregator = self.world.aggregator
        reasons = [f"the source {place} failed" for place in aggregator.failed]
        reasons += [f"the source {place} is hidden" for place in aggregator.hidden]
        reasons += [f"{definition.arn} was registered long ago and is not shown" for definition in self.never_shown()]
        if self.complete:
            runners = self.unresolvable_runners()
            reasons += [f"nobody knows the task definition of {runner.arn}" for runner in runners]
            for item in aggregator.items(self.world.now):
                if item["resourceType"] == RECORDER and not item["configuration"]["Recording"]:
                    reasons.append(f"the recorder of {item['accountId']} says that it does not record")
        if self.live:
            reasons += [
                f"the recorder of {place} does not record" for place in PLACES if not aggregator.recording[place]
            ]
            reasons += self.unread_places()
        return reasons

    def unread_places(self) -> list[str]:
        """With live usage: why the present run does not know what runs somewhere."""
        run = self.world.run
        if not self.live or run is None:
            return []
        reasons = [f"{place} was not asked what runs" for place in PLACES if place not in run.asked]
        return reasons + [f"{operation} failed in {place}" for place, operation in run.refused_reads]

    def never_shown(self) -> list[TaskDefinition]:
        """Task definitions of which an event told, and which the aggregator should show by now in any state."""
        exempt = self.world.environment["EXEMPT_ACCOUNTS"].split(",")
        lag = timedelta(minutes=int(self.world.environment["MAX_REGISTRATION_LAG_MINUTES"]))
        return [
            definition
            for definition in self.task_definitions
            if definition.registration in self.world.handled
            and definition.deregistration not in self.world.handled
            and definition.registered_at + lag < self.world.now
            and not self._shown(definition.place, TASK_DEFINITION, definition.arn)
            and definition.arn not in exempt
        ]

    def unresolvable_runners(self) -> list[Runner]:
        """Services and task sets that are shown with a task definition that neither aggregator nor ledger can know."""
        return [
            runner
            for runner in self.runners
            if self._is_shown(runner) and not self._is_known(runner.deployment.task_definition)
        ]

    def _is_known(self, definition: TaskDefinition) -> bool:
        events = (definition.registration, definition.deregistration)
        if any(event in self.world.handled for event in events):
            return True
        return self._shown(definition.place, TASK_DEFINITION, definition.arn) is not None

    def known(self, key: Key, at: datetime) -> None:
        """The functions know of a use of the image at that time."""
        image = self.repositories[key.repository].images.get(key.digest)
        if image:
            image.known_use = max(image.known_use or at, at)

    # What was removed

    def observe_removals(self) -> None:
        """Judge what has gone from the registry, or into its archive, since the last time."""
        gone = []
        for repository in self.repositories.values():
            stored = self.world.stored(repository.name)
            for image in list(repository.images.values()):
                found = stored.get(image.key.digest)
                if found is None:
                    gone.append(image)
                elif found.status == "ARCHIVED" and image.archived_at is None:
                    image.archived_at = self.world.now
                    self._judge(image, [image])
        for image in gone:
            self._judge(image, gone)
        for image in gone:
            repository = self.repositories[image.key.repository]
            self.removed[image.key] = self.world.now
            self.removed_images[image.key] = image
            for tag in repository.tags_of(image.key.digest):
                del repository.tags[tag]
            del repository.images[image.key.digest]
            self.world.note(f"REMOVED {image.key.repository}@{image.key.digest[7:15]}")

    def _judge(self, image: Image, together: list[Image]) -> None:
        repository = self.repositories[image.key.repository]
        tags = repository.tags_of(image.key.digest)
        what = f"{image.key.repository}@{image.key.digest[7:15]} {tags}"
        for use in self.uses().get(image.key, ()):
            if use.excuse is None:
                self.world.violate(f"{what} was removed although {use.by} {use.how}")
            else:
                self.excused[use.excuse] += 1
                self.excused_keys.add(image.key)
                self.world.note(f"excused: {use}")
        if not repository.opted_in:
            self.world.violate(f"{what} was removed although its repository is not opted in")
        belonged = self._belonged(image, together)
        if (tags and not image.subject) or (self.live and image.kind is not Kind.ARTIFACT and not belonged):
            self._judge_main(image, what)
            return
        self.world.counts["belongings removed"] += 1
        if not belonged and self.complete:
            self.world.violate(f"{what} was removed, and is untagged and belonged to nothing that was removed")
        elif self.live and not tags:
            # Only its verdict will say whether it was removed for itself.
            self._complaints_if_main[image.key] = list(self._complaints(image, repository))

    def _judge_main(self, image: Image, what: str) -> None:
        """Judge the removal of an image for itself."""
        repository = self.repositories[image.key.repository]
        uses = self.uses()
        self.left_behind |= {part for part in self.parts(image) if part in uses}
        self.left_behind.discard(image.key)
        image.was_main = True
        self.removals.append(self.world.now)
        self.world.counts["images removed"] += 1
        if not repository.tags_of(image.key.digest):
            self.world.counts["untagged images removed"] += 1
        elif self._are_by_tag(self._references(), repository):
            self.world.counts["images removed although a tag that can move is used"] += 1
        for complaint in self._complaints(image, repository):
            self.world.violate(f"{what} was removed although {complaint}")

    def removed_for_itself(self, key: Key) -> None:
        """The verdict on an image was to remove it, so it was not removed as what belongs to another."""
        for complaint in self._complaints_if_main.pop(key, ()):
            self.world.violate(f"{key} was removed for itself although {complaint}")

    def _belonged(self, image: Image, together: list[Image]) -> bool:
        """Whether what held it, or what it refers to, was removed as well."""
        if image.archived_at:
            return True
        others = [*self.removed_images.values(), *together]
        return any(
            other.key.repository == image.key.repository
            and (image.key.digest in other.children or image.subject == other.key.digest)
            for other in others
        )

    def _complaints(self, image: Image, repository: Repository) -> Iterator[str]:  # noqa: C901 - one after the other
        now = self.world.now
        grace = self.grace(repository)
        if self.action(repository) == "report":
            yield "the action is to report"
        if image.pushed_at + grace > now:
            yield "it was pushed within the grace period"
        if image.known_use and image.known_use + grace > now:
            yield f"a use at {image.known_use} was known, within the grace period"
        if not self.complete:
            return
        yield from self.distrust()
        if self.action(repository) == "archive" and image.archived_at is None:
            yield "the action is to archive"
        if not self.settings_are_valid(repository):
            yield "a tag of the repository makes no sense"
        if tag := self.protected_tag(image):
            yield f"its tag {tag} is protected"
        if not self.is_image(image):
            yield "it is no image of its own"
        yield from self._complaints_of_untagged(image, repository)
        if self.is_newest(image, cautiously=False):
            yield "it is among the newest of its repository"
        age = timedelta(days=int(self.world.environment["MINIMUM_AGE_DAYS"]))
        if not image.ever_meant and image.pushed_at + age > now:
            yield "it is too young"
        pulled_at = self._heeded_pull(image)
        if pulled_at and pulled_at + self.pulled_within(repository) > now:
            yield f"it was pulled at {pulled_at}"
        cap = int(self.world.environment["REMOVALS_PER_DAY"])
        if sum(each > now - timedelta(hours=24) for each in self.removals) > cap:
            yield f"more than {cap} were removed within 24 hours"

    def _heeded_pull(self, image: Image) -> datetime | None:
        """The last recorded pull, but for two windows: one after the last look, and one that our own reading hides."""
        run = self.world.run
        if run and image.pulled_at:
            own = run.read_manifest_at
            if image.pulled_moment > run.last_look_at_images or (own and abs(image.pulled_at - own) <= _OWN_READING):
                return None
        return image.pulled_at

    def _complaints_of_untagged(self, image: Image, repository: Repository) -> Iterator[str]:
        if repository.tags_of(image.key.digest):
            return
        if not self.live:
            yield "it is untagged, and nobody asked what runs"
        since = max(image.pushed_at, self._heeded_pull(image) or image.pushed_at)
        if since + self.untagged_age > self.world.now:
            yield f"it is untagged, and was pushed or pulled at {since}"

    @property
    def untagged_age(self) -> timedelta:
        return timedelta(days=int(self.world.environment.get("UNTAGGED_MINIMUM_AGE_DAYS", "30")))

    def only_runs(self, key: Key) -> bool:
        """Whether an image is used, and only what runs tells of that."""
        image = self.repositories[key.repository].images.get(key.digest)
        uses = self.uses().get(key, ())
        return bool(uses and image and all(use.runs for use in uses) and not self._believed_used(image))

    # What must be gone in the end

    def leftovers(self) -> Iterator[str]:
        """What should have been removed by now. Faults are over, and enough time has gone by."""
        uses = self.uses()
        for repository in self.repositories.values():
            for image in repository.images.values():
                reason = self._why_it_may_stay(image, repository, uses)
                if reason is None:
                    tags = repository.tags_of(image.key.digest)
                    yield f"{repository.name}@{image.key.digest[7:15]} {tags} is still there"

    def _why_it_may_stay(self, image: Image, repository: Repository, uses: dict[Key, list[Use]]) -> str | None:
        if image.key in uses or self._believed_used(image):
            return "used"
        if any(part in uses for part in self.parts(image)):
            return "a part of it is used"
        if not repository.opted_in or not self.settings_are_valid(repository):
            return "not opted in"
        if self.action(repository) != "delete":
            return "not to be deleted"
        if not self.is_image(image):
            return self._why_a_belonging_may_stay(image, repository)
        if not repository.tags_of(image.key.digest) and not self.live:
            return "untagged" if not self._should_have_gone_with(image) else None
        if self.protected_tag(image):
            return "protected"
        if self.is_newest(image, cautiously=True):
            return "newest"
        return "may be pinned" if self.complete and self.may_be_pinned(image) else None

    def _why_a_belonging_may_stay(self, image: Image, repository: Repository) -> str | None:
        if self.parents(image.key):
            return "an index that is there holds it"
        if image.subject in repository.images:
            return "what it refers to is there"
        if not self._should_have_gone_with(image):
            return "an artifact of its own"
        return None

    def _should_have_gone_with(self, image: Image) -> bool:
        """Whether it was a child or a referrer of something that the functions removed."""
        if not self.complete or self.repositories[image.key.repository].tags_of(image.key.digest):
            return False
        if any(image.key == kept or image.subject == kept.digest for kept in self.left_behind):
            return False
        return any(
            image.key.digest in other.children or image.subject == other.key.digest
            for other in self.removed_images.values()
            if other.key.repository == image.key.repository
        )

    def _believed_used(self, image: Image) -> bool:
        """Whether something names the image that does not use it, and the functions cannot, or need not, know."""
        definitions = [each for each in self.task_definitions if self.believed_active(each)]
        definitions += [pointer.task_definition for pointer in self.pointers]
        references = [reference for definition in definitions for reference in definition.references]
        # Of one that is INACTIVE and deployed, they go by what it meant when they were told of it.
        definitions += [runner.deployment.task_definition for runner in self.runners]
        if any(image.key in definition.told for definition in definitions):
            return True
        references += [code.reference for function in self.functions for code in function.versions.values()]
        return image.key in self.meanings(references)

    # For the machine

    def all_images(self) -> list[Image]:
        return [image for repository in self.repositories.values() for image in repository.images.values()]


def tag_pairs(repository: Repository) -> dict[str, str]:
    """The resource tags of a repository."""
    return {**({OPT_IN[0]: OPT_IN[1]} if repository.opted_in else {}), **repository.settings}
