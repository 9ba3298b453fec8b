"""The state machine: what teams do, what goes wrong, and time."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ecr_cleanup.decision
from safety.model import Function, Image, Key, Kind, Model, Reference, Repository, Runner, TaskDefinition
from safety.parts import SERVICE, TASK_SET
from safety.teams import Teams
from safety.workloads import Habits, Role, Shown
from safety.world import LIVE_USAGE, PLACES, Blow, Fate, Strike, World

COMPLETE = hasattr(ecr_cleanup.decision, "may_be_pinned")

# Which of those that are there: counted from the newest, and beyond the end from there again.
which = st.integers(0, 5)
# Three of the first five are in the repository whose tags can move.
often_mutable = st.sampled_from([0, 0, 0, 1, 2])
places = st.sampled_from(PLACES)
tags = st.sampled_from(["v1", "v2", "v3", "latest", "release-1"])
calls = st.integers(1, 30) | st.integers(1, 120)
fates = st.sampled_from([*[Fate.ON_TIME] * 6, *Fate])
functions = st.sampled_from(["run_checks", "run_checks", "schedule_checks"])
spellings = st.sampled_from(["tag", "tag", "digest", "both"])
# How long a task takes until it pulls, and how long a deployment can go back when all new tasks run.
takes = st.sampled_from([timedelta(), timedelta(), timedelta(minutes=2), timedelta(hours=3), timedelta(hours=30)])
bakes = st.sampled_from([timedelta(), timedelta(), timedelta(hours=5), timedelta(days=4)])
# What is not shown is harder to know.
mostly_not = st.sampled_from([False, False, True])
habits = st.builds(
    Habits,
    shown=st.sampled_from(Shown),
    resolves_early=st.booleans(),
    shows_revision_at_zero=mostly_not,
    shows_source_revisions=st.booleans(),
    shows_finished_deployment=mostly_not,
    renders_digests=st.booleans(),
)
# What of a place can be refused by itself.
READS = (
    "DescribeConfigurationRecorders",
    "DescribeConfigurationRecorderStatus",
    "ListTaskDefinitions",
    "DescribeTaskDefinition",
    "ListClusters",
    "ListServices",
    "DescribeServices",
    "DescribeServiceDeployments",
    "DescribeServiceRevisions",
    "ListTasks",
    "DescribeTasks",
    "ListDaemons",
    "ListDaemonTaskDefinitions",
    "ListEventBuses",
    "ListRuleNamesByTarget",
    "ListTargetsByRule",
    "ListScheduleGroups",
    "ListSchedules",
    "GetSchedule",
    "ListFunctions",
    "GetFunction",
    "DescribeJobDefinitions",
)


def _asks_what_runs(machine: Safety) -> bool:
    return machine.model.live


when_live = precondition(_asks_what_runs)


class Safety(RuleBasedStateMachine):
    """One world. Whatever must not happen is in `world.violations`, and fails the step in which it happens."""

    totals: ClassVar[Counter[str]] = Counter()
    live: ClassVar[str] = "both"
    """Whether the functions ask what runs: `on`, `off`, or `both`, each in about half of the stories."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.__enter__()
        self.model = Model(self.world)
        self.model.complete = COMPLETE
        self.teams = Teams(self.world, self.model)
        self.teams.repository("team/app")
        self.teams.repository("team/fixed", "IMMUTABLE")
        self.teams.repository("team/mixed", "IMMUTABLE_WITH_EXCLUSION", "latest*")
        # Ages that end within the days that the end of a story waits.
        self.world.set_environment(NEVER_USED_PULLED_WITHIN_DAYS="10", MINIMUM_AGE_DAYS="9")

    @initialize(
        stopping=st.booleans(),
        old=st.booleans(),
        delay=st.sampled_from([0, 0, 45]),
        live=st.booleans(),
        habits=habits,
        environment=st.fixed_dictionaries(
            {},
            optional={
                "NEWEST_IMAGES": st.sampled_from(["0", "0", "2"]),
                "MINIMUM_AGE_DAYS": st.sampled_from(["0", "3"]),
                "GRACE_PERIOD_HOURS": st.sampled_from(["1", "48"]),
                "UNTAGGED_MINIMUM_AGE_DAYS": st.sampled_from(["0", "2", "9"]),
            },
        ),
    )
    def installation(
        self, stopping: bool, old: bool, delay: int, live: bool, habits: Habits, environment: dict[str, str]
    ) -> None:
        live = {"on": True, "off": False, "both": live}[self.live]
        self.world.aggregator.stopping_is_recorded = stopping
        self.world.records_old_deregistrations = old
        self.world.scheduler.removal_delay = timedelta(seconds=delay)
        vars(self.world.habits).update(vars(habits))
        self.world.set_environment(**{"UNTAGGED_MINIMUM_AGE_DAYS": "9", **environment, **(LIVE_USAGE if live else {})})
        self.world.note(f"installation: {stopping=} {old=} {delay=} {live=} {habits} {environment}")

    # Choosing

    def _repository(self, number: int) -> Repository:
        repositories = list(self.model.repositories.values())
        return repositories[number % len(repositories)]

    def _image(self, number: int) -> Image | None:
        images = [image for image in self.model.all_images() if not image.subject]
        images.sort(key=lambda image: image.pushed_at, reverse=True)
        return images[number % len(images)] if images else None

    def _reference(self, image: Image, spelling: str, host: int) -> Reference:
        repository = self.model.repositories[image.key.repository]
        own = repository.tags_of(image.key.digest)
        tag = own[host % len(own)] if own else None
        if tag is None:
            return Reference(repository.name, None, image.key.digest, host)
        digest = None if spelling == "tag" else image.key.digest
        return Reference(repository.name, None if spelling == "digest" else tag, digest, host)

    def _active(self, number: int) -> TaskDefinition | None:
        active = [definition for definition in self.model.task_definitions if definition.active]
        return active[-1 - number % len(active)] if active else None

    def _pick(self, candidates: list[Any], number: int) -> Any:
        return candidates[-1 - number % len(candidates)] if candidates else None

    # Images

    @rule(repository=which, tag=tags, extra=st.booleans(), fate=fates)
    def push(self, repository: int, tag: str, extra: bool, fate: Fate) -> None:
        chosen = self._repository(repository)
        more = [f"sha-{self.world.tick():x}"] if extra else []
        self.teams.push(chosen, tag, *more, fate=fate)

    @rule(repository=which, tag=tags, shared=st.none() | which, fate=fates)
    def push_index(self, repository: int, tag: str, shared: int | None, fate: Fate) -> None:
        image = None if shared is None else self._image(shared)
        chosen = self._repository(repository)
        digests = [*image.children[:1]] if image and image.key.repository == chosen.name else []
        self.teams.push_index(chosen, tag, shared=digests, platforms=1 + repository % 2, fate=fate)

    @rule(image=which, tag=tags, fate=fates)
    def retag(self, image: int, tag: str, fate: Fate) -> None:
        chosen = self._image(image)
        if chosen and chosen.kind is not Kind.ARTIFACT and not chosen.archived_at:
            self.teams.retag(chosen, tag, fate=fate)

    @rule(image=which, by_tag=st.booleans(), twice=st.booleans())
    def sign(self, image: int, by_tag: bool, twice: bool) -> None:
        chosen = self._image(image)
        if chosen:
            signature = self.teams.sign(chosen, by_tag=by_tag)
            if twice:
                self.teams.sign(signature)

    @rule(repository=which)
    def push_artifact(self, repository: int) -> None:
        self.teams.push_artifact(self._repository(repository), f"chart-{self.world.tick()}")

    @rule(image=which, repository=which, tag=tags)
    def copy(self, image: int, repository: int, tag: str) -> None:
        chosen, there = self._image(image), self._repository(repository)
        if chosen and chosen.kind is Kind.IMAGE and chosen.key.repository != there.name and not chosen.archived_at:
            self.teams.copy(chosen, there, tag)

    @rule(image=which)
    def pull(self, image: int) -> None:
        chosen = self._image(image)
        if chosen:
            self.teams.pull(chosen)

    # Task definitions, services and others

    @rule(
        place=places,
        image=which,
        spelling=spellings,
        second=st.none() | which,
        fate=fates,
        is_consistent=st.sampled_from([True, True, False]),
    )
    def register(
        self, place: Any, image: int, spelling: str, second: int | None, fate: Fate, is_consistent: bool
    ) -> None:
        chosen = self._image(image)
        other = None if second is None else self._image(second)
        images = [each for each in (chosen, other) if each]
        if images:
            references = [self._reference(each, spelling, image + number) for number, each in enumerate(images)]
            family = f"app{image % 2}"
            self.teams.register(place, *references, family=family, fate=fate, is_consistent=is_consistent)

    @rule(definition=which, fate=fates)
    def deregister(self, definition: int, fate: Fate) -> None:
        chosen = self._active(definition)
        if chosen:
            self.teams.deregister(chosen, fate=fate)

    @rule(
        repository=often_mutable,
        tag=tags,
        place=places,
        fate=fates,
        digest=st.sampled_from([False, False, True]),
        extra=st.booleans(),
        takes=takes,
        bakes=bakes,
    )
    def release(
        self,
        repository: int,
        tag: str,
        place: Any,
        fate: Fate,
        digest: bool,
        extra: bool,
        takes: timedelta,
        bakes: timedelta,
    ) -> None:
        """What a pipeline does: push, register, deploy, deregister the revision before."""
        more = [f"sha-{self.world.tick():x}"] if extra else []
        image = self.teams.push(self._repository(repository), tag, *more)
        self.world.advance(timedelta(minutes=2))
        reference = self._reference(image, "digest" if digest else "tag", 0)
        old = self._active(0)
        new = self.teams.register(place, reference, family="web")
        runner = self._pick([each for each in self.model.runners if each.place == place], 0)
        if runner:
            self.teams.update(runner, new, takes=takes, bakes=bakes)
        else:
            self.teams.deploy(new, takes=takes)
        if old:
            self.teams.deregister(old, fate=fate)

    @rule(
        repository=often_mutable,
        tag=tags,
        place=places,
        extra=st.booleans(),
        pause=st.sampled_from([2, 26, 75]),
        number=st.integers(2, 4),
        bakes=bakes,
    )
    def releases(
        self, repository: int, tag: str, place: Any, extra: bool, pause: int, number: int, bakes: timedelta
    ) -> None:
        """Some days of a team's life: one release after the other under the same tag, and checks in between."""
        for _ in range(number):
            self.release(repository, tag, place, Fate.ON_TIME, False, extra, timedelta(), bakes)
            self.sweep(pause)

    @rule(image=which, extra=st.booleans())
    def push_again(self, image: int, extra: bool) -> None:
        if chosen := self._image(image):
            self._push_again(chosen.key, extra=extra)

    def _push_again(self, key: Key, *, extra: bool) -> None:
        """Build an image anew, and give it the tags of the one before."""
        repository = self.model.repositories[key.repository]
        taken = repository.tags_of(key.digest)
        more = [f"sha-{self.world.tick():x}"] if extra or not taken else []
        self.teams.push(repository, *taken, *more)

    @rule(
        deed=st.sampled_from(["scale", "replace", "wait"]),
        number=which,
        extra=st.booleans(),
        deregisters=st.booleans(),
        hours=st.sampled_from([80, 200]),
    )
    def tags_move_on(self, deed: str, number: int, extra: bool, deregisters: bool, hours: int) -> None:
        """While a service has no task that runs, or after days, the next task wants what its tags meant before."""
        runner: Runner | None = self._pick(self.model.runners, number)
        if runner is None:
            return
        definition = runner.deployment.task_definition
        if deed == "scale":
            self.teams.scale(runner, 0)
        elif deed == "replace":
            self.teams.replace_task(runner, takes=timedelta(hours=2 * hours + 1))
        self._move_on(sorted(runner.deployment.pinned), definition, extra=extra, deregisters=deregisters, hours=hours)
        if deed == "wait":
            self.teams.replace_task(runner)
        self.teams.scale(runner, 1)

    @rule(number=which, extra=st.booleans(), deregisters=st.booleans(), hours=st.sampled_from([80, 200]))
    def task_goes_on(self, number: int, extra: bool, deregisters: bool, hours: int) -> None:
        """A standalone task runs for days, under a tag that means something else by then."""
        if definition := self._active(number):
            task = self.teams.run_task(definition)
            keys = sorted((task.pulled or {}).values())
            self._move_on(keys, definition, extra=extra, deregisters=deregisters, hours=hours)

    @when_live
    @rule(number=which, extra=st.booleans(), hours=st.sampled_from([80, 200]))
    def version_goes_on(self, number: int, extra: bool, hours: int) -> None:
        """A version of a Lambda function is published, and the function goes over to a new build."""
        function: Function | None = self._pick(self.model.functions, number)
        if function and not self.model.is_gone(function.versions["$LATEST"].key):
            key = function.versions["$LATEST"].key
            self.teams.publish(function)
            self._push_again(key, extra=extra)
            self._set_code(function.place, self._image(0), "tag", 0, function)
            self.sweep(hours)
            self.sweep(hours)

    def _move_on(
        self, keys: list[Key], definition: TaskDefinition, *, extra: bool, deregisters: bool, hours: int
    ) -> None:
        for key in keys:
            self._push_again(key, extra=extra)
        if deregisters:
            self.teams.deregister(definition)
        self.sweep(hours)
        self.sweep(hours)

    @rule(
        definition=which,
        kind=st.sampled_from([SERVICE, SERVICE, SERVICE, TASK_SET]),
        desired=st.sampled_from([1, 1, 0]),
        takes=takes,
        has_revisions=st.sampled_from([True, True, True, False]),
    )
    def deploy(self, definition: int, kind: str, desired: int, takes: timedelta, has_revisions: bool) -> None:
        chosen = self._active(definition)
        if chosen:
            self.teams.deploy(chosen, kind, desired=desired, takes=takes, has_revisions=has_revisions)

    @rule(runner=which, definition=which, takes=takes, bakes=bakes)
    def update(self, runner: int, definition: int, takes: timedelta, bakes: timedelta) -> None:
        chosen = self._pick(self.model.runners, runner)
        new = self._pick(
            [each for each in self.model.task_definitions if each.active and chosen and each.place == chosen.place],
            definition,
        )
        if new:
            self.teams.update(chosen, new, takes=takes, bakes=bakes)

    @rule(runner=which, keeps_digests=st.booleans(), takes=takes, bakes=bakes)
    def deploy_again(self, runner: int, keeps_digests: bool, takes: timedelta, bakes: timedelta) -> None:
        chosen = self._pick(self.model.runners, runner)
        if chosen and chosen.deployment.task_definition.active:
            definition = chosen.deployment.task_definition
            self.teams.update(chosen, definition, takes=takes, bakes=bakes, keeps_digests=keeps_digests)

    @rule(runner=which)
    def roll_back(self, runner: int) -> None:
        in_progress = [each for each in self.model.runners if each.leaves(self.world.now)]
        if chosen := self._pick(in_progress, runner):
            self.teams.roll_back(chosen)

    @rule(runner=which, desired=st.sampled_from([0, 1]), takes=takes)
    def scale(self, runner: int, desired: int, takes: timedelta) -> None:
        others = [each for each in self.model.runners if each.desired != desired]
        if chosen := self._pick(others, runner):
            self.teams.scale(chosen, desired, takes=takes)

    @rule(runner=which, takes=takes)
    def replace_task(self, runner: int, takes: timedelta) -> None:
        if chosen := self._pick(self.model.runners, runner):
            self.teams.replace_task(chosen, takes=takes)

    @rule(definition=which, takes=takes, ends=st.sampled_from([False, False, True]))
    def run_task(self, definition: int, takes: timedelta, ends: bool) -> None:
        """A standalone task begins or ends."""
        alone = [each for each in self.model.tasks if each.runner is None and not each.stopped_at]
        if ends and alone:
            self.teams.end_task(self._pick(alone, definition))
        elif chosen := self._active(definition):
            self.teams.run_task(chosen, takes=takes)

    @rule(runner=which)
    def stop(self, runner: int) -> None:
        chosen = self._pick(self.model.runners, runner)
        if chosen:
            self.teams.stop(chosen)

    @rule(
        place=places,
        image=which,
        spelling=spellings,
        kind=st.sampled_from(["AWS::AppRunner::Service", "AWS::SageMaker::Model", "AWS::CodeBuild::Project"]),
    )
    def consume(self, place: Any, image: int, spelling: str, kind: str) -> None:
        chosen = self._image(image)
        if chosen:
            self.teams.consume(place, kind, self._reference(chosen, spelling, image))

    @rule(consumer=which)
    def end(self, consumer: int) -> None:
        chosen = self._pick(self.model.consumers, consumer)
        if chosen:
            self.teams.end(chosen)

    # What only live usage sees

    @when_live
    @rule(
        deed=st.sampled_from(["create", "update", "update", "promote", "publish", "publish", "delete"]),
        place=places,
        image=which,
        spelling=spellings,
        function=which,
    )
    def develop(self, deed: str, place: Any, image: int, spelling: str, function: int) -> None:
        """What becomes of Lambda functions; who promotes one goes over to a copy of its image."""
        chosen: Function | None = self._pick(self.model.functions, function)
        if chosen is None or deed == "create":
            self._set_code(place, self._image(image), spelling, image)
        elif deed == "update":
            self._set_code(place, self._image(image), spelling, image, chosen)
        elif deed == "promote":
            running = self.model.find(chosen.versions["$LATEST"].key)
            other = self._repository(image)
            if running and not self.model.is_gone(running.key) and running.key.repository != other.name:
                self._set_code(place, self.teams.copy(running, other, "latest"), spelling, image, chosen)
        elif deed == "publish":
            self.teams.publish(chosen)
        elif deed == "delete":
            self.teams.delete_version(chosen, self._pick(list(chosen.versions), image))

    def _set_code(
        self, place: Any, image: Image | None, spelling: str, number: int, function: Function | None = None
    ) -> None:
        if image and image.kind is Kind.IMAGE:
            self.teams.set_code(place, self._reference(image, spelling, number), function)

    @when_live
    @rule(
        deed=st.sampled_from(["define job", "define job", "end job", "rule", "schedule", "call", "delete"]),
        place=places,
        image=which,
        spelling=spellings,
    )
    def plan(self, deed: str, place: Any, image: int, spelling: str) -> None:
        """Job definitions, and rules and schedules that run task definitions."""
        if deed == "define job":
            if chosen := self._image(image):
                self.teams.define_job(place, self._reference(chosen, spelling, image))
        elif deed == "end job":
            if job := self._pick(self.model.jobs, image):
                self.teams.end_job(job)
        elif deed == "delete":
            self.model.pointers.clear()
        elif definition := self._pick(self.model.task_definitions, image):
            self.teams.point(deed, definition)

    @when_live
    @rule(
        place=places,
        role=st.sampled_from(Role),
        operation=st.sampled_from(READS),
        blow=st.sampled_from([Blow.THROTTLE, Blow.FAIL, Blow.REFUSE]),
        hours=st.sampled_from([1, 7, 50]),
    )
    def break_reader(self, place: Any, role: Role, operation: str, blow: Blow, hours: int) -> None:
        """A reader role is missing, throttled or stripped of its policy, or one of its calls fails."""
        if role is Role.PRESENT:
            self.world.note(f"{operation} in {place.account}: {blow.value} for {hours} hours")
            self.world.workloads.refused[place, operation] = blow
        else:
            self.world.note(f"the reader role of {place.account}: {role.name} for {hours} hours")
            self.world.workloads.roles[place] = role
        self.world.later(timedelta(hours=hours), lambda: self.mend_reader(place))

    def mend_reader(self, place: Any) -> None:
        self.world.note(f"the reader role of {place.account} is mended")
        self.world.workloads.mend(place)

    # Owners

    @rule(repository=which, opted_in=st.sampled_from([True, True, False]))
    def opt(self, repository: int, opted_in: bool) -> None:
        self.teams.opt(self._repository(repository), opted_in=opted_in)

    @rule(
        repository=which,
        setting=st.sampled_from(
            [
                ("grace-hours", "72"),
                ("keep-newest", "3"),
                ("keep-newest", "0"),
                ("protect", "v1 release-@"),
                ("action", "report"),
                ("tags-move", "sometimes"),
                ("keep-newest", "nonsense"),
            ]
        ),
        back=st.booleans(),
    )
    def set_tag(self, repository: int, setting: tuple[str, str], back: bool) -> None:
        if COMPLETE:
            self.teams.set_tag(self._repository(repository), setting[0], None if back else setting[1])

    @rule(repository=which)
    def declare_that_tags_never_move(self, repository: int) -> None:
        chosen = self._repository(repository)
        if COMPLETE and not chosen.moved:
            self.teams.set_tag(chosen, "tags-move", "never")

    @rule(
        setting=st.sampled_from(
            [
                ("ACTION", "delete"),
                ("ACTION", "report"),
                ("GRACE_PERIOD_HOURS", "24"),
                ("NEWEST_IMAGES", "0"),
                ("NEWEST_IMAGES", "1"),
                ("PROTECTED_TAG_PATTERNS", "release-*"),
                ("REMOVALS_PER_DAY", "2"),
                ("REMOVALS_PER_DAY", "500"),
                ("PULLED_WITHIN_HOURS", "100"),
                ("MINIMUM_AGE_DAYS", "1"),
            ]
        )
    )
    def change_setting(self, setting: tuple[str, str]) -> None:
        self.world.note(f"{setting[0]} = {setting[1]}")
        self.world.set_environment(**{setting[0]: setting[1]})

    # Time

    @rule(minutes=st.sampled_from([1, 5, 30, 59]))
    def minutes_go_by(self, minutes: int) -> None:
        self.world.advance(timedelta(minutes=minutes))

    @rule(hours=st.sampled_from([2, 23, 24, 25, 49]))
    def hours_go_by(self, hours: int) -> None:
        self.world.advance(timedelta(hours=hours))

    @rule(days=st.sampled_from([3, 8, 15, 22]), sweeps=st.booleans())
    def days_go_by(self, days: int, sweeps: bool) -> None:
        if sweeps:
            self.sweep(72)
        self.world.advance(timedelta(days=days))

    @rule(hours=st.sampled_from([1, 25, 200]))
    def sweep(self, hours: int) -> None:
        """Ask about every image, as the sweep will do daily."""
        for image in self.model.all_images():
            self.world.put_check(str(image.key))
        self.world.advance(timedelta(hours=hours))

    # What goes wrong

    @rule(function=functions, call=calls, blow=st.sampled_from([b for b in Blow if b is not Blow.MEANWHILE]))
    def strike(self, function: str, call: int, blow: Blow) -> None:
        self.world.note(f"at its call {call}, {function}: {blow.value}")
        self.world.strikes.append(Strike(function, call, blow))

    @rule(
        call=st.integers(3, 40) | st.integers(3, 120),
        what=st.sampled_from(
            [
                "register",
                "told",
                "retag",
                "opt out",
                "pull",
                "deregister",
                "deploy",
                "update",
                "go back",
                "replace",
                "run",
            ]
        ),
        image=which,
    )
    def meanwhile(self, call: int, what: str, image: int) -> None:
        """Something happens while checks are being answered."""

        def happen() -> None:
            self.world.note(f"MEANWHILE {what}:")
            chosen = self._image(image)
            if chosen is None:
                return
            if what in ("register", "told"):
                reference = self._reference(chosen, "tag", image)
                self.teams.register(PLACES[0], reference, fate=Fate.LATE)
                if what == "told":
                    self.world.deliver_events()
            elif what == "retag":
                self.retag(image, "v2", Fate.ON_TIME)
            elif what == "opt out":
                self.teams.opt(self.model.repositories[chosen.key.repository], opted_in=False)
            elif what == "pull":
                self.teams.pull(chosen)
            elif what == "deregister":
                self.deregister(image, Fate.ON_TIME)
                self.world.deliver_events()
            else:
                self._happen_to_what_runs(what, image)

        self.world.strikes.append(Strike("run_checks", call, Blow.MEANWHILE, happen))

    def _happen_to_what_runs(self, what: str, number: int) -> None:
        none = timedelta()
        if what == "deploy":
            self.deploy(number, SERVICE, 1, none, has_revisions=True)
        elif what == "update":
            self.update(number, number // 2, none, timedelta(days=4 * (number % 2)))
        elif what == "go back":
            self.roll_back(number)
        elif what == "replace":
            self.replace_task(number, none)
        elif what == "run":
            self.run_task(number, none, ends=False)

    @rule(
        service=st.sampled_from(["config", "dynamodb", "ecr", "events", "scheduler"]),
        blow=st.sampled_from([Blow.THROTTLE, Blow.FAIL, Blow.REFUSE]),
        hours=st.sampled_from([0, 1, 7, 50]),
    )
    def break_service(self, service: str, blow: Blow, hours: int) -> None:
        self.world.note(f"{service}: {blow.value} for {hours} hours")
        self.world.outages.clear()
        if hours:
            self.world.outages[service] = (blow, self.world.now + timedelta(hours=hours))

    @rule(place=places, hidden=st.booleans())
    def fail_source(self, place: Any, hidden: bool) -> None:
        self.world.note(f"the source {place.account} {'is hidden' if hidden else 'fails'}")
        if hidden:
            self.world.aggregator.hidden.add(place)
        else:
            self.world.aggregator.failed.setdefault(place, self.world.now)

    @rule()
    def heal_sources(self) -> None:
        self.world.note("the sources heal")
        self.world.aggregator.failed.clear()
        self.world.aggregator.hidden.clear()

    @rule(place=places, minutes=st.sampled_from([0, 3, 50, 600, 3000]))
    def lag(self, place: Any, minutes: int) -> None:
        self.world.note(f"the recording of {place.account} lags {minutes} minutes")
        self.world.aggregator.lag[place] = timedelta(minutes=minutes)

    @rule(place=places, stops=st.sampled_from([True, False, False]))
    def switch_recorder(self, place: Any, stops: bool) -> None:
        if stops:
            self.teams.stop_recorder(place)
        else:
            self.teams.start_recorder(place)

    @rule()
    def redrive(self) -> None:
        self.world.events.redrive(self.world.now)
        self.world.checks.redrive(self.world.now)

    @rule(minutes=st.sampled_from([1, 3, 5]), hours=st.sampled_from([1, 26]))
    def hurry(self, minutes: int, hours: int) -> None:
        """Functions have this much time for a while, all the same how much they have to do."""
        self.world.note(f"functions have {minutes} minutes")
        self.world.time_left = timedelta(minutes=minutes)
        self.world.later(timedelta(hours=hours), lambda: setattr(self.world, "time_left", timedelta(minutes=15)))

    # What must not happen

    @invariant()
    def nothing_used_was_removed(self) -> None:
        Safety.totals["steps"] += 1
        self.model.observe_removals()
        self.complain()

    def complain(self) -> None:
        if self.world.violations:
            story = "\n".join(self.world.journal)
            said = "\n".join(self.world.violations[:5])
            raise AssertionError(f"{len(self.world.violations)} violations:\n{said}\n\nWhat happened:\n{story}")

    def teardown(self) -> None:
        try:
            # A step that raised has said enough.
            if sys.exc_info()[0] is None:
                self.teams.finish()
                self.complain()
        finally:
            self.world.__exit__()
            Safety.totals.update(self.world.counts)
            Safety.totals.update({f"excused: {excuse.name}": n for excuse, n in self.model.excused.items()})
            mode = "on" if self.model.live else "off"
            Safety.totals.update({f"live usage {mode}, {name}": n for name, n in self.world.counts.items()})
