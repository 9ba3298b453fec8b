"""What AWS leaves uncertain, and what can go wrong: switches for both."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Behaviour:
    """Answers to questions that AWS's documentation leaves open. The defaults are the worse side for a clean-up.

    `recording_lag`: from a change until it is seen in the aggregator.
    `records_deregistration_of_old_revisions`: whether Config records the deregistration of a revision that is not its
    family's latest.
    `lists_accounts_of_organization`: whether the sources of an organization's aggregator are its accounts; otherwise it
    is the organization itself.
    `records_stopping_of_recorder`: whether the recorder's own item says that it was stopped.
    `pull_record_interval`: ECR records a pull only when its last record is at least this old.
    `offers_pull_time_exclusions`: whether the region knows RegisterPullTimeUpdateExclusion and its sisters.
    `retagging_emits_event`: whether ECR emits a push event if only a tag comes to an image that is there already.
    `untagged_push_has_empty_tag`: whether the event of a push without a tag has an empty `image-tag`, or none.
    `event_delay`: from an API call until its event reaches the account's default bus.
    `schedule_spread`: a schedule fires up to this long after its time (AWS's precision is 60 s), by its name.
    `schedule_removal_delay`: how long after it fired a schedule with ActionAfterCompletion DELETE is still there.
    `updates_survive_removal`: whether an update within that time keeps the schedule; otherwise it is lost.
    `refuses_past_schedules`: whether an `at()` that has passed is refused; otherwise it fires at once.
    `rates_begin_at_once`: whether a `rate()` fires as soon as it is made, which the guide says of one without a start
    date; otherwise after its interval. What an update does is not said: then it fires after the interval.
    `scheduler_retry_interval`: between the attempts of EventBridge Scheduler to deliver.
    `waits_for_batching_window`: whether an event source mapping waits for its batching window to fill a batch.
    `task_start_delay`: from the creation of a task of ECS until it pulls its images and runs.
    `records_pulls_of_tasks`: whether a task's pull is seen in ECR's record of pulls (it may be late, or excluded).
    `shows_revision_at_zero`: whether a service whose desired count is 0 still shows its service revision.
    `shows_finished_deployment`: whether a service shows its last service deployment once that has ended.
    `shows_unresolved_images`: whether a service revision lists the containers whose digest is not resolved yet.
    `forced_deployment_resolves_anew`: whether a new deployment of the same task definition resolves its tags again.
    `task_sets_resolve_once`: whether all tasks of a task set (or of a service with the controller CODE_DEPLOY) pull
    what the first one resolved, as those of a service revision do; otherwise each pulls what the tag means then.
    `shows_digest_of_platform`: whether the digest shown of an index is that of its image for the platform; what is
    pulled is the index.
    """

    recording_lag: timedelta = timedelta(minutes=3)
    records_deregistration_of_old_revisions: bool = False
    lists_accounts_of_organization: bool = False
    records_stopping_of_recorder: bool = False
    pull_record_interval: timedelta = timedelta(hours=24)
    offers_pull_time_exclusions: bool = True
    retagging_emits_event: bool = True
    untagged_push_has_empty_tag: bool = False
    event_delay: timedelta = timedelta()
    schedule_spread: timedelta = timedelta(seconds=60)
    schedule_removal_delay: timedelta = timedelta()
    updates_survive_removal: bool = False
    refuses_past_schedules: bool = True
    rates_begin_at_once: bool = True
    scheduler_retry_interval: timedelta = timedelta(minutes=1)
    waits_for_batching_window: bool = True
    task_start_delay: timedelta = timedelta(minutes=1)
    records_pulls_of_tasks: bool = False
    shows_revision_at_zero: bool = False
    shows_finished_deployment: bool = True
    shows_unresolved_images: bool = False
    forced_deployment_resolves_anew: bool = False
    task_sets_resolve_once: bool = True
    shows_digest_of_platform: bool = True


@dataclass
class Refusal:
    """Calls that are answered with an error: the next `times`, or each with probability `rate`."""

    service: str
    operation: str | None
    function: str | None
    account: str | None
    region: str | None
    code: str
    status: int
    times: int | None
    rate: float
    random: random.Random

    def applies(self, service: str, operation: str, function: str | None, account: str, region: str) -> bool:
        """Whether this call is refused; counts it if so."""
        if self.service != service or self.operation not in (None, operation):
            return False
        if self.account not in (None, account) or self.region not in (None, region):
            return False
        if self.function not in (None, function) or self.times == 0 or self.random.random() >= self.rate:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Kill:
    """A function that dies at its n-th API call, before or after the call took effect."""

    function: str
    remaining: int
    after: bool


@dataclass
class Calls:
    """The n-th of the calls of a service that functions make, and those that follow it, `times` in all.

    None for `operation` or `function` means any.
    """

    service: str | None
    operation: str | None
    function: str | None
    skipped: int
    times: int

    def strikes(self, service: str, operation: str, function: str) -> bool:
        """Whether this call is one of them; counts it."""
        if self.service not in (None, service) or self.operation not in (None, operation):
            return False
        if self.function not in (None, function) or self.times == 0:
            return False
        if self.skipped > 0:
            self.skipped -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Slowness:
    """Calls that are answered late; None for `operation`, `account` or `region` means any, for `times` always."""

    service: str
    operation: str | None
    account: str | None
    region: str | None
    seconds: float
    times: int | None

    def strikes(self, service: str, operation: str, account: str, region: str) -> bool:
        """Whether this call is slow; counts it if so."""
        if self.service != service or self.times == 0:
            return False
        wanted = ((self.operation, operation), (self.account, account), (self.region, region))
        if any(want not in (None, given) for want, given in wanted):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Hook:
    """What the test does right before certain calls."""

    calls: Calls
    action: Callable[[], object]


@dataclass
class SourceFault:
    """An aggregator source that reports `status` and shows nothing newer than `since`."""

    status: str
    since: datetime


@dataclass
class Faults:
    """Faults that can be switched on and off. All are off at first; `clear` switches all off.

    `keeps_completed_schedules` is not AWS's fault: it shows what happens if nobody asked for their removal.
    """

    now: Callable[[], datetime]
    refusals: list[Refusal] = field(default_factory=list)
    slownesses: list[Slowness] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    lost_answers: list[Calls] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    sources: dict[tuple[str, str], SourceFault] = field(default_factory=dict)
    hidden_sources: set[tuple[str, str]] = field(default_factory=set)
    recording_lags: dict[tuple[str, str], timedelta] = field(default_factory=dict)
    lost_events: int = 0
    duplicated_events: int = 0
    delayed_events: list[timedelta] = field(default_factory=list)
    duplicated_messages: dict[str, int] = field(default_factory=dict)
    keeps_completed_schedules: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def throttle(
        self,
        service: str,
        operation: str | None = None,
        *,
        times: int | None = None,
        rate: float = 1.0,
        seed: int = 0,
        function: str | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Answer calls of a service (by its signing name) with ThrottlingException; see `refuse`."""
        code = "Throttling" if service in ("iam", "sts") else "ThrottlingException"
        self.refuse(
            service,
            operation,
            code,
            400,
            times=times,
            rate=rate,
            seed=seed,
            function=function,
            account=account,
            region=region,
        )

    def server_error(
        self,
        service: str,
        operation: str | None = None,
        *,
        times: int | None = None,
        rate: float = 1.0,
        seed: int = 0,
        function: str | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Answer calls of a service with an error of its own, status 500."""
        self.refuse(
            service,
            operation,
            "InternalServerError",
            500,
            times=times,
            rate=rate,
            seed=seed,
            function=function,
            account=account,
            region=region,
        )

    def deny(
        self,
        service: str,
        operation: str | None = None,
        *,
        times: int | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Answer calls as a policy of the organization would that forbids them; see `refuse`."""
        code = "AccessDenied" if service in ("iam", "sts", "sqs") else "AccessDeniedException"
        self.refuse(service, operation, code, 403, times=times, account=account, region=region)

    def refuse(
        self,
        service: str,
        operation: str | None,
        code: str,
        status: int,
        *,
        times: int | None = None,
        rate: float = 1.0,
        seed: int = 0,
        function: str | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Answer calls with this error: always, `times` times, or with probability `rate` (drawn with `seed`).

        `account` and `region` are those that the call is about: of sts:AssumeRole the account of the role, and the
        region of the endpoint.
        """
        drawn = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.refusals.append(Refusal(service, operation, function, account, region, code, status, times, rate, drawn))

    def refusal(self, service: str, operation: str, function: str | None, account: str, region: str) -> Refusal | None:
        """The refusal that this call meets, counted; None if it goes through."""
        with self._lock:
            return next((r for r in self.refusals if r.applies(service, operation, function, account, region)), None)

    def slow(
        self,
        service: str,
        operation: str | None = None,
        *,
        seconds: float,
        times: int | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Answer calls later by so many seconds of real time, by which functions' deadlines are measured too."""
        self.slownesses.append(Slowness(service, operation, account, region, seconds, times))

    def slowness(self, service: str, operation: str, account: str, region: str) -> float:
        """How many seconds late this call is answered; counts it."""
        with self._lock:
            struck = [each for each in self.slownesses if each.strikes(service, operation, account, region)]
        return sum(each.seconds for each in struck)

    def kill_function(self, function: str, *, at_call: int, after: bool = False) -> None:
        """Let the function die at its `at_call`-th API call from now: before it, or after it took effect."""
        self.kills.append(Kill(function, at_call, after))

    def kill(self, function: str) -> Kill | None:
        """The kill that this API call of the function meets; counts the call."""
        with self._lock:
            for kill in self.kills:
                if kill.function == function:
                    kill.remaining -= 1
                    if kill.remaining == 0:
                        self.kills.remove(kill)
                        return kill
        return None

    def lose_answer(
        self,
        function: str,
        *,
        at_call: int = 1,
        service: str | None = None,
        operation: str | None = None,
        times: int = 1,
    ) -> None:
        """Let the function's `at_call`-th call (of a service, of an operation) take effect, and lose its answer.

        The function sees status 500 instead, upon which its client makes the call again. `times` loses the answers of
        that many calls in a row, so that the client gives up.
        """
        self.lost_answers.append(Calls(service, operation, function, at_call - 1, times))

    def loses_answer(self, service: str, operation: str, function: str) -> bool:
        """Whether the answer to this call is lost; counts the call."""
        with self._lock:
            struck = [calls.strikes(service, operation, function) for calls in self.lost_answers]
        return any(struck)

    def before_call(
        self,
        service: str,
        operation: str | None,
        action: Callable[[], object],
        *,
        at_call: int = 1,
        times: int = 1,
        function: str | None = None,
    ) -> None:
        """Do something right before a function's `at_call`-th call of an operation, and before `times` - 1 more.

        The call is judged and carried out after `action`, which may call AWS itself. What it raises is raised by
        `LocalAws.run_until_idle`, which ran the function.
        """
        self.hooks.append(Hook(Calls(service, operation, function, at_call - 1, times), action))

    def actions_before(self, service: str, operation: str, function: str) -> list[Callable[[], object]]:
        """What is to be done before this call; counts it."""
        with self._lock:
            return [hook.action for hook in self.hooks if hook.calls.strikes(service, operation, function)]

    def fail_source(self, account: str, region: str, status: str = "FAILED") -> None:
        """Let the aggregator report FAILED or OUTDATED for a source, and show nothing newer than now of it."""
        self.sources[account, region] = SourceFault(status, self.now())

    def hide_source(self, account: str, region: str) -> None:
        """Let the aggregator hold nothing of a source, and still call it SUCCEEDED."""
        self.hidden_sources.add((account, region))

    def heal_source(self, account: str, region: str) -> None:
        """Take back `fail_source` and `hide_source`."""
        self.sources.pop((account, region), None)
        self.hidden_sources.discard((account, region))

    def lose_events(self, times: int = 1) -> None:
        """Lose the next events of AWS services."""
        self.lost_events += times

    def duplicate_events(self, times: int = 1) -> None:
        """Deliver the next events of AWS services twice."""
        self.duplicated_events += times

    def delay_events(self, *delays: timedelta) -> None:
        """Delay the next events of AWS services, each by one of these, so that they can be reordered."""
        self.delayed_events.extend(delays)

    def duplicate_messages(self, queue: str, times: int = 1) -> None:
        """Deliver the next messages of a queue to its function once more after they were handled."""
        self.duplicated_messages[queue] = self.duplicated_messages.get(queue, 0) + times

    def clear(self) -> None:
        """Switch every fault off."""
        fresh = Faults(self.now)
        for name in vars(fresh):
            if name not in ("now", "_lock"):
                setattr(self, name, getattr(fresh, name))
