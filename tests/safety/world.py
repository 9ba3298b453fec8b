"""AWS in this process, around the real handlers: moto's ECR and DynamoDB, and the parts of `parts.py`.

Every API call of a function passes a hook, which counts it, lets a fault strike, does what IAM would refuse, answers
what moto lacks, and tells the test of every removal at the very moment. Calls of the reader roles of workload accounts
pass it as well; they may come from other threads, one at a time.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import boto3
import time_machine
from moto import mock_aws
from moto.ecr.models import ecr_backends

from ecr_cleanup import live_usage
from ecr_cleanup.aws import clients
from ecr_cleanup.handlers import run_checks, schedule_checks
from ecr_cleanup.observability import logger
from function_environment import ENVIRONMENT
from invocations import Context, create_ledger_table, record
from local_aws import ecr as strict_ecr
from local_aws.behaviour import Behaviour
from local_aws.cheap_calls import make_calls_cheap
from local_aws.dynamodb import make_answers_cheap, make_transactions_cheap
from local_aws.patches import Patches
from safety.parts import Aggregator, Place, Queue, RefusedError, Scheduler
from safety.workloads import FAULTS, Habits, Workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SHARED, REGION = "111111111111", "eu-central-1"
PLACES = (Place("222222222222", REGION), Place("333333333333", REGION))
START = datetime(2030, 1, 1, 12, tzinfo=UTC)
OPT_IN = ("ecr-cleanup", "enabled")
REMOVING = ("BatchDeleteImage", "UpdateImageStorageClass")
# A call takes some time, and what takes long enough to matter is up to the test.
_CALL = timedelta(milliseconds=50)
_HOOKED = ("config", "dynamodb", "ecr", "events", "organizations", "scheduler", "sts")
# Rules whose verdicts do not tell by themselves what is behind them.
_TO_BE_EXPLAINED = ("may_be_pinned", "inventory_not_trusted", "failed")
LIVE_USAGE = {
    "READER_ROLE_NAME": "ecr-cleanup-reader",
    "READER_EXTERNAL_ID": f"arn:aws:events:{REGION}:{SHARED}:event-bus/ecr-cleanup",
}


class Killed(BaseException):
    """The function's process is gone. Nothing in the function may catch it."""


class Fate(Enum):
    """What becomes of an event on its way: EventBridge delivers at least once, at best effort and in any order."""

    ON_TIME = (timedelta(seconds=30),)
    LATE = (timedelta(hours=2),)
    VERY_LATE = (timedelta(hours=23),)
    TWICE = (timedelta(seconds=20), timedelta(seconds=40))
    TWICE_LATE = (timedelta(seconds=20), timedelta(hours=20))
    LOST = ()


class Blow(Enum):
    """What befalls one call of a function."""

    KILL_BEFORE = "the function dies before the call"
    KILL_AFTER = "the function dies after the call"
    THROTTLE = "ThrottlingException"
    FAIL = "InternalServerError"
    REFUSE = "AccessDeniedException"
    LOSE_ANSWER = "the call takes effect, and its answer is lost"
    MEANWHILE = "something else happens before the call"


@dataclass
class Strike:
    """A blow at the n-th call of a function from now, in whichever run that is. `action` is what happens meanwhile."""

    function: str
    call: int
    blow: Blow
    action: Callable[[], None] | None = None


@dataclass
class Run:
    """One run of a function."""

    function: str
    calls: int = 0
    troubled: bool = False
    answers: list[dict[str, Any]] = field(default_factory=list)
    strike: Strike | None = None
    """What befalls its present call."""
    is_dead: bool = False
    """Whether it was killed: whatever threads it has do not live on."""
    is_over: bool = False
    asked: dict[Place, int] = field(default_factory=dict)
    """The number of the first call that asked a place what runs there."""
    refused_reads: list[tuple[Place, str]] = field(default_factory=list)
    """What of the places could not be read."""
    other_faults: int = 0
    """How often a call of its own role failed."""
    aggregator_read_at: datetime | None = None
    """When it began to read the aggregator."""
    last_look: int = -1
    """The number of the last call that read the registrations from the ledger."""
    last_look_at_images: int = -1
    """The number of the last call that looked at images."""
    read_manifest_at: datetime | None = None
    """When it last read a manifest, which the registry may take for a pull."""

    def take_note(self, operation: str, moment: int, now: datetime) -> None:
        """Know when it looked at what."""
        if operation == "Query":
            self.last_look = moment
        elif operation == "DescribeImages":
            self.last_look_at_images = moment
        elif operation == "BatchGetImage":
            self.read_manifest_at = now


class World:
    """One AWS, from START on. Use it as a context manager; one at a time."""

    current: World | None = None

    def __init__(
        self,
        *,
        stopping_is_recorded: bool = True,
        records_old_deregistrations: bool = True,
        removal_delay: timedelta = timedelta(),
    ) -> None:
        self.records_old_deregistrations = records_old_deregistrations
        types = tuple(ENVIRONMENT["RESOURCE_TYPES"].split(","))
        self.aggregator = Aggregator(PLACES, types, stopping_is_recorded=stopping_is_recorded)
        self.habits = Habits()
        self.workloads = Workloads(PLACES, self.aggregator, self.habits)
        self.scheduler = Scheduler(removal_delay)
        self.events = Queue(batch_size=10, window=timedelta(), visibility=timedelta(minutes=12))
        self.checks = Queue(batch_size=500, window=timedelta(seconds=60), visibility=timedelta(minutes=90))
        self.environment = dict(ENVIRONMENT)
        self.outages: dict[str, tuple[Blow, datetime]] = {}
        """By service, what befalls each call of a function, and until when."""
        self.strikes: list[Strike] = []
        self.time_left = timedelta(minutes=15)
        self.behaviour = Behaviour()
        self.handled: dict[str, int] = {}
        """The events that were handled, each with the number of the moment (see `moment`)."""
        self.announced: list[str] = []
        self.journal: list[str] = []
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.moment = 0
        """Grows with every call and every change: what came first within one and the same second."""
        self.on_removal: Callable[[], None] = lambda: None
        self.on_event: Callable[[str], None] = lambda _: None
        self.on_check: Callable[[str, Run], None] = lambda *_: None
        self.may_fail: set[str] = set()
        self.run: Run | None = None
        self._transit: list[tuple[datetime, str, str]] = []
        self._later: list[tuple[datetime, int, Callable[[], None]]] = []
        # Held for the length of a call, with all that happens meanwhile.
        self._lock = threading.RLock()
        self._number = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        stack = self._stack
        stack.enter_context(self._moto())
        self._traveller = stack.enter_context(time_machine.travel(START, tick=False))
        stack.enter_context(patch.dict(os.environ, self.environment))
        stack.enter_context(patch.object(logger.registered_handler, "stream", _LogStream(self)))
        stack.enter_context(patch.object(logger._logger, "propagate", new=False))
        for service in _HOOKED:
            if service != "ecr":
                made = partial(_client, service)
                stack.enter_context(patch.object(clients, f"{service}_client", made))
        stack.enter_context(patch.object(clients, "ecr_clients", lambda: lambda _: _client("ecr")))
        stack.enter_context(patch.object(clients, "place_client", self._place_client))
        # One place after the other, so that a story is the same each time.
        stack.enter_context(patch.object(live_usage, "PARALLEL_PLACES", 1))
        stack.callback(self._cold)
        stack.callback(setattr, World, "current", None)
        World.current = self
        self._cold()
        create_ledger_table(_own_client("dynamodb"))
        for place in PLACES:
            self.aggregator.start_recorder(place, self.now)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _moto(self) -> Iterator[None]:
        environment = {
            "MOTO_ACCOUNT_ID": SHARED,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        patches = Patches()

        def caller(_: str) -> str | None:
            return self.environment["FUNCTION_ROLE_ARN"] if self.run else None

        for owner, name, replacement in strict_ecr.patches(self.behaviour, principal_of=caller):
            patches.set(owner, name, replacement)
        make_transactions_cheap(patches)
        make_answers_cheap(patches)
        make_calls_cheap(patches)
        try:
            with patch.dict(os.environ, environment), mock_aws():
                yield
        finally:
            patches.undo()

    # Time

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, duration: timedelta) -> None:
        """Let time go by, and all that is due happen in its time."""
        end = self.now + duration
        while True:
            due = self._next_due()
            if due is None or due > end:
                break
            self._move_to(due)
            self._work()
        self._move_to(end)

    def _move_to(self, moment: datetime) -> None:
        if moment > self.now:
            self._traveller.move_to(moment)

    def _next_due(self) -> datetime | None:
        queues = [due + queue.window for queue in (self.events, self.checks) if (due := queue.next_due())]
        others = [due for due, _, _ in (*self._transit, *self._later)]
        schedule = self.scheduler.next_due()
        return min([*queues, *others, *([schedule] if schedule else [])], default=None)

    def deliver_events(self) -> None:
        """Let all events that are on their way arrive and be handled now."""
        self._transit = [(self.now, body, event_id) for _, body, event_id in self._transit]
        self._deliver()

    def _deliver(self) -> None:
        now = self.now
        for entry in sorted(each for each in self._transit if each[0] <= now):
            self._transit.remove(entry)
            self.events.send(entry[1], entry[2], now)
        while messages := self.events.receive(now):
            self._invoke("schedule_checks", self.events, messages)

    def _work(self) -> None:
        now = self.now
        for entry in sorted((each for each in self._later if each[0] <= now), key=lambda each: each[:2]):
            self._later.remove(entry)
            entry[2]()
        self._deliver()
        for body in self.scheduler.fire(now):
            self.checks.send(body, json.loads(body)["image"], now)
        due = self.checks.next_due()
        if due and due + self.checks.window <= now:
            while messages := self.checks.receive(now):
                self._invoke("run_checks", self.checks, messages)

    # What others do

    def emit(self, event: Mapping[str, Any], fate: Fate) -> str:
        """Put an event on its way to the queue of events; returns its id."""
        self._number += 1
        event_id = f"event-{self._number}"
        body = json.dumps({"version": "0", "id": event_id, "resources": [], **event})
        self._transit += [(self.now + delay, body, event_id) for delay in fate.value]
        return event_id

    def later(self, duration: timedelta, action: Callable[[], None]) -> None:
        """Let something happen after a while: at once, if that is no time at all."""
        if duration:
            self._later.append((self.now + duration, self.tick(), action))
        else:
            action()

    def put_check(self, image: str) -> None:
        """Put a check of an image into the queue, as the daily sweep would."""
        body = {"version": 1, "image": image, "cause": "put by the test as the daily sweep would", "attempt": 0}
        self.checks.send(json.dumps(body), image, self.now)

    def check_is_pending(self, image: str) -> bool:
        """Whether a check of the image is scheduled, under way, or a dead letter."""
        letters = (*self.checks.messages, *self.checks.dead)
        scheduled = any(json.loads(schedule.body)["image"] == image for schedule in self.scheduler.pending())
        return scheduled or any(letter.origin == image for letter in letters)

    def set_environment(self, **variables: str) -> None:
        """Change the functions' settings, as an apply does: functions start anew."""
        self.environment.update(variables)
        os.environ.update(variables)
        self.workloads.role_name = self.environment.get("READER_ROLE_NAME", "")
        self.workloads.external_id = LIVE_USAGE["READER_EXTERNAL_ID"]
        self._cold()

    def stored(self, repository: str) -> dict[str, strict_ecr.StoredImage]:
        """The images of a repository by digest, as they are."""
        return dict(strict_ecr.stored_images(SHARED, REGION, repository))

    def tick(self) -> int:
        """The number of this moment, after all before it."""
        self.moment += 1
        return self.moment

    def note(self, text: str) -> None:
        """Write into the journal, which is shown when something goes wrong."""
        self.journal.append(f"{self.now:%m-%d %H:%M:%S} {text}")

    def violate(self, text: str) -> None:
        """Something happened that must not."""
        self.note(f"VIOLATION: {text}")
        self.violations.append(text)

    # The functions

    def _cold(self) -> None:
        """Functions start in a new process: nothing is kept from the last run."""
        for module in (schedule_checks, run_checks):
            for name in ("_settings", "_adapters"):
                getattr(module, name).cache_clear()

    def _invoke(self, function: str, queue: Queue, messages: list[Any]) -> None:
        outer, run = self.run, Run(function)
        self.run = run
        module = {"schedule_checks": schedule_checks, "run_checks": run_checks}[function]
        event = {"Records": [record(n, message.body, receives=message.receives) for n, message in enumerate(messages)]}
        self.counts[f"runs of {function}"] += 1
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                response = module.handler(event, Context(remaining=self.time_left))
        except Killed:
            self._die(run)
            return
        except Exception as error:
            self.note(f"{function} fails: {error!r}")
            self.counts["functions failed"] += 1
            if not run.troubled:
                raise
            return
        finally:
            run.is_over = True
            self.run = outer
        if run.is_dead:
            self._die(run)
            return
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        self.moment += 1
        for number, message in enumerate(messages):
            if f"message-{number}" not in failed:
                queue.messages.remove(message)
                if function == "schedule_checks":
                    if message.origin not in self.handled:
                        self.handled[message.origin] = self.moment
                        self.on_event(message.origin)
                else:
                    self.on_check(message.origin, run)
            elif not run.troubled and message.origin not in self.may_fail:
                self.violate(f"{function} failed at {message.origin} although nothing was wrong")

    def _die(self, run: Run) -> None:
        self.note(f"{run.function} dies at its call {run.calls}")
        self._cold()

    def before_call(
        self, service: str, operation: str, params: Mapping[str, Any], place: Place | None
    ) -> dict[str, Any] | None:
        """What happens to a call before it is sent; an answer, if it is answered here.

        `place` is where a call under a reader role is made, None for those under the function's own.
        """
        with self._lock:
            run = self.run
            if run is None:
                return None
            try:
                return self._before_call(run, service, operation, params, place)
            except RefusedError as error:
                self._note_refusal(run, error, service, operation, params, place)
                raise

    def _before_call(
        self, run: Run, service: str, operation: str, params: Mapping[str, Any], place: Place | None
    ) -> dict[str, Any] | None:
        if run.is_dead:
            raise Killed
        run.calls += 1
        self.tick()
        self._move_to(self.now + _CALL)
        if service == "sts":
            place = self.workloads.place_of(params["RoleArn"])
        if place:
            run.asked.setdefault(place, self.moment)
        if service == "config" and place is None and run.aggregator_read_at is None:
            run.aggregator_read_at = self.now
        strike = run.strike = self._strike(run)
        if strike and strike.blow is Blow.MEANWHILE and strike.action:
            self.run = None
            try:
                strike.action()
            finally:
                self.run = run
        elif strike and strike.blow is Blow.KILL_BEFORE:
            self._kill(run)
        outage, until = self.outages.get(service, (None, START)) if place is None else (None, START)
        blow = outage if outage and self.now < until else strike.blow if strike else None
        if blow in (Blow.THROTTLE, Blow.FAIL, Blow.REFUSE):
            raise RefusedError(blow.value, "Switched on as a fault", 500 if blow is Blow.FAIL else 400)
        if service == "ecr" and operation in REMOVING:
            self._authorize(params["repositoryName"])
        run.take_note(operation, self.moment, self.now)
        return self._answer(service, operation, params, place)

    def _kill(self, run: Run) -> None:
        run.troubled = run.is_dead = True
        raise Killed

    def _note_refusal(
        self,
        run: Run,
        error: RefusedError,
        service: str,
        operation: str,
        params: Mapping[str, Any],
        place: Place | None,
    ) -> None:
        """A fault is nobody's fault but ours; and where it is a reader's, somewhere was not read."""
        if service == "sts":
            place = self.workloads.place_of(params["RoleArn"])
        if place and error.code in FAULTS:
            run.troubled = True
            run.refused_reads.append((place, operation))
        elif error.message == "Switched on as a fault":
            run.troubled = True
            run.other_faults += 1

    def after_call(self, service: str, operation: str, place: Place | None) -> None:
        """What happens to a call after it took effect."""
        with self._lock:
            run = self.run
            if run is None:
                return
            if service == "ecr" and operation in REMOVING:
                self.on_removal()
            strike, run.strike = run.strike, None
            if strike and strike.blow is Blow.KILL_AFTER:
                self._kill(run)
            if strike and strike.blow is Blow.LOSE_ANSWER:
                run.troubled = True
                if place:
                    run.refused_reads.append((place, operation))
                else:
                    run.other_faults += 1
                raise RefusedError(Blow.FAIL.value, "The answer is lost", 500)

    def answered(self, line: Mapping[str, Any]) -> None:
        """The log line of a verdict."""
        self.counts[f"verdict {line['verdict']}: {line['rule']}"] += 1
        if self.run:
            repository = f"{line['registry']}/{line['registry_region']}/{line['repository']}"
            image = f"{repository}@{line['digest']}"
            self.run.answers.append({**line, "image": image, "at": self.now})
            users = f", users: {line['users']}" if line.get("users") else ""
            what = f"{line['repository']}@{line['digest'][7:15]}"
            why = f": {line['reason'][:400]}" if line["rule"] in _TO_BE_EXPLAINED else ""
            self.note(f"verdict {line['verdict']} ({line['rule']}) on {what}{users}{why}")

    def _strike(self, run: Run) -> Strike | None:
        for strike in self.strikes:
            if strike.function == run.function:
                strike.call -= 1
        due = next((each for each in self.strikes if each.call <= 0), None)
        if due:
            self.strikes.remove(due)
            self.counts[f"struck: {due.blow.name}"] += 1
        return due

    def _authorize(self, repository: str) -> None:
        """The condition on the role's permission to remove, and the action, without which there is no permission."""
        found = ecr_backends[SHARED][REGION].repositories[repository]
        tags = ecr_backends[SHARED][REGION].tagger.get_tag_dict_for_resource(found.arn)
        if tags.get(OPT_IN[0]) != OPT_IN[1] or self.environment["ACTION"] == "report":
            if self.run:
                self.run.troubled = True
            self.counts["removals refused by IAM"] += 1
            raise RefusedError("AccessDeniedException", "not authorized by the condition on aws:ResourceTag")

    def _place_client(self, service: str, credentials: clients.Credentials, region: str) -> Any:
        """A client of the session that somebody got by assuming a reader role."""
        with self._lock:
            place = self.workloads.open(credentials.access_key_id, region)
            loan = next((each for each in _loans(service, place) if each.run is None or each.run.is_over), None)
            if loan is None:
                loan = _Loan(_client(service, place))
                _loans(service, place).append(loan)
            loan.begin(self.run)
            return loan.client

    def _answer(
        self, service: str, operation: str, params: Mapping[str, Any], place: Place | None
    ) -> dict[str, Any] | None:
        if service == "sts":
            return self.workloads.assume_role(params, self.now)
        if place:
            return self.workloads.answer(place, service, operation, params, self.now)
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        if service in ("scheduler", "config"):
            part: Any = {"scheduler": self.scheduler, "config": self.aggregator}[service]
            answer: dict[str, Any] = getattr(part, name)(params, self.now)
            return answer
        if operation == "PutEvents":
            self.announced += [entry["Detail"] for entry in params["Entries"]]
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in params["Entries"]]}
        return None


class _LogStream(io.TextIOBase):
    """Where the functions' log goes: verdicts are told to the world, the rest is dropped."""

    def __init__(self, world: World) -> None:
        self._world = world

    def write(self, text: str) -> int:
        if '"verdict"' in text:
            self._world.answered(json.loads(text))
        elif '"level":"ERROR"' in text:
            line = json.loads(text)
            self._world.note(f"logged: {line['message']}: {line.get('reason') or line.get('exception', '')[-300:]}")
        return len(text)


# Clients are made once for the process: that takes longer than a whole test.
@cache
def _own_client(service: str) -> Any:
    """A client of the test's own, whose calls nothing befalls."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def ecr() -> Any:
    """A client of whoever pushes and pulls."""
    return _own_client("ecr")


@cache
def _client(service: str, place: Place | None = None) -> Any:
    """The client of the functions, or of a reader role in its place."""
    client = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
    events = client.meta.events
    events.register("before-parameter-build", _keep_parameters)
    events.register("before-call", partial(_before_call, place))
    events.register("after-call", partial(_after_call, place))
    return client


class _Loan:
    """A client for one run at a time: what that one registered with it is not for the next.

    It has events of its own, and shares all else with the client that it is of: copying takes longer than a call.
    """

    def __init__(self, made: Any) -> None:
        self.client = object.__new__(type(made))
        vars(self.client).update(vars(made))
        self.client.meta = copy.copy(made.meta)
        self.client.meta.events = self._events = copy.copy(made.meta.events)
        self._register = self._events.register
        self._events.register = self._note
        self._registered: list[tuple[str, Any]] = []
        self.run: Run | None = None

    def begin(self, run: Run | None) -> None:
        """From now on it is this run's."""
        for event, handler in self._registered:
            self._events.unregister(event, handler)
        self._registered.clear()
        self.run = run

    def _note(self, event: str, handler: Any) -> None:
        self._register(event, handler)
        self._registered.append((event, handler))


@cache
def _loans(_service: str, _place: Place) -> list[_Loan]:
    """The clients of a reader role in its place."""
    return []


def _keep_parameters(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["safety_params"] = dict(params)


def _before_call(place: Place | None, model: Any, context: dict[str, Any], **_: Any) -> Any:
    world = World.current
    if world is None:
        return None
    try:
        answer = world.before_call(model.service_model.service_name, model.name, context["safety_params"], place)
    except RefusedError as error:
        return SimpleNamespace(status_code=error.status, headers={}), _error(error)
    if answer is None:
        return None
    metadata = {"HTTPStatusCode": 200, "RetryAttempts": 0}
    return SimpleNamespace(status_code=200, headers={}), {**answer, "ResponseMetadata": metadata}


def _after_call(place: Place | None, http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
    world = World.current
    if world is None or http_response.status_code >= 300:
        return
    try:
        world.after_call(model.service_model.service_name, model.name, place)
    except RefusedError as error:
        http_response.status_code = error.status
        parsed.clear()
        parsed.update(_error(error))


def _error(error: RefusedError) -> dict[str, Any]:
    return {
        "Error": {"Code": error.code, "Message": error.message},
        "ResponseMetadata": {"HTTPStatusCode": error.status, "RetryAttempts": 3},
    }
