"""Live usage: what runs in the workload accounts right now, asked of themselves.

The aggregator knows what is configured; only the account knows which image that means. Every expected account and
region is asked under a role that may do nothing but read. One that cannot be read makes the answer untrusted.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.aws.clients import Credentials
from ecr_cleanup.errors import LiveUsageError, TimeIsUpError
from ecr_cleanup.inventory import Findings, TrustProblem, build_inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from botocore.client import BaseClient
    from botocore.model import OperationModel
    from mypy_boto3_sts import STSClient

    from ecr_cleanup.inventory import Inventory
    from ecr_cleanup.readers.session import Memory
    from ecr_cleanup.settings import CheckSettings, Place, ReaderRole

PARALLEL_PLACES = 32
"""So many accounts and regions are read at the same time."""
CALLS_PER_SECOND = 20
"""So many calls are made to one account in a second, repetitions included: what runs there needs the same limits."""

# Reading takes no more than this, and leaves this much of the function's time for what follows.
_TIME_AT_MOST = timedelta(minutes=6)
_TIME_LEFT_AFTERWARDS = timedelta(minutes=4)
# The least that STS admits; a function runs for no longer:
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_SESSION = timedelta(minutes=15)
_REFUSALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_THROTTLES = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "LimitExceeded")

# What comes of an answer that is not shaped as documented, or of an SDK that does not know a call.
_NOT_UNDERSTOOD = (AttributeError, LookupError, ResponseParserError, TypeError, ValueError)
_FAILURES = (*AWS_ERRORS, LiveUsageError, *_NOT_UNDERSTOOD)


class Pace:
    """Lets so many through in a second, one after the other; used by any thread."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is one's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        time.sleep(max(0.0, turn - now))


@dataclass(frozen=True, eq=False)
class LiveUsage:
    """Knows how to get into each place, and reads them all."""

    settings: CheckSettings
    role: ReaderRole
    sts: STSClient
    place_client: Callable[[str, Credentials, str], BaseClient]
    memory: Memory

    def read(self, inventory: Inventory, *, now: datetime, time_left: Callable[[], timedelta]) -> Inventory:
        """Ask all places that the inventory expects. What cannot be read is among the problems, and nothing raises.

        `time_left` is what the function has left: reading ends well before that is over.
        """
        deadline = _Deadline(time_left)
        paces: defaultdict[str, Pace] = defaultdict(lambda: Pace(CALLS_PER_SECOND))
        # One region after the other, so that many accounts are asked at a time, each at its own pace.
        places = sorted(inventory.expected, key=lambda place: (place.region, place.account))
        tasks = [partial(self._read_place, place, inventory, paces[place.account], deadline) for place in places]
        with ThreadPoolExecutor(max_workers=PARALLEL_PLACES, thread_name_prefix="live-usage") as pool:
            found = dict(zip(places, pool.map(lambda task: task(), tasks), strict=True))
        findings = [each for place in sorted(places) for each in found[place]]
        return build_inventory(findings, read_at=now, expected=inventory.expected)

    def _read_place(self, place: Place, inventory: Inventory, pace: Pace, deadline: _Deadline) -> list[Findings]:
        role_arn = self.role.arn(place, self.settings.partition)
        calls = _Calls(pace, deadline)
        try:
            calls.send()
            calls.last = "sts:AssumeRole"
            credentials = self._assume(role_arn)
        except _FAILURES as error:
            return [_trouble(place, calls.last, role_arn, error)]

        def client_for(service: str) -> BaseClient:
            client = self.place_client(service, credentials, place.region)
            client.meta.events.register("before-parameter-build", calls.begin)
            client.meta.events.register("before-send", calls.send)
            return client

        # A run that has nothing to remove asks nobody, and needs no readers.
        from ecr_cleanup.readers import READERS
        from ecr_cleanup.readers.session import PlaceSession

        session = PlaceSession(place, self.settings, inventory.active, self.memory, client_for)
        findings = []
        for reader in READERS:
            try:
                found = reader(session)
            except _FAILURES as error:
                findings.append(_trouble(place, calls.last, role_arn, error))
                if isinstance(error, TimeIsUpError):
                    break
            else:
                usages = tuple(usage for usage in found.usages if session.is_of_interest(usage.reference))
                findings.append(found._replace(usages=usages))
        return findings

    def _assume(self, role_arn: str) -> Credentials:
        answer = self.sts.assume_role(
            RoleArn=role_arn,
            RoleSessionName="ecr-cleanup",
            ExternalId=self.role.external_id,
            DurationSeconds=int(_SESSION.total_seconds()),
        )
        # Were it another account's, this one would look as if nothing ran there.
        account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
        assumed = answer["AssumedRoleUser"]["Arn"]
        if f"::{account}:assumed-role/{name}/" not in assumed:
            raise LiveUsageError(f"asked for {role_arn}, STS gave {assumed}")
        found = answer["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


class _Deadline:
    """When reading has to end."""

    def __init__(self, time_left: Callable[[], timedelta]) -> None:
        self._time_left = time_left
        self._ends_with = max(time_left() - _TIME_AT_MOST, _TIME_LEFT_AFTERWARDS)

    def check(self) -> None:
        """Raise TimeIsUpError if it has come."""
        if self._time_left() <= self._ends_with:
            raise TimeIsUpError("there was not enough time to read everything")


@dataclass
class _Calls:
    """Watches over the calls to one place: slows them down, ends them in time, and knows which was the last."""

    pace: Pace
    deadline: _Deadline
    last: str | None = None

    def begin(self, model: OperationModel, **_: object) -> None:
        """Take note of a call that is about to be made."""
        self.last = f"{model.service_model.service_name}:{model.name}"

    def send(self, **_: object) -> None:
        """Let a request wait for its turn, the repetition of one, too."""
        self.deadline.check()
        self.pace.wait()


def _not_understood(error: Exception) -> LiveUsageError:
    """Without the error's own message, which may quote an answer, credentials and environment variables included."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" in line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename}" if trace else ""
    return LiveUsageError(f"the answer was not understood ({type(error).__name__}{where})")


def _trouble(place: Place, call: str | None, role_arn: str, error: Exception) -> Findings:
    """Why a place could not be read, and what repairs it."""
    if not isinstance(error, (*AWS_ERRORS, LiveUsageError)):
        error = _not_understood(error)
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if isinstance(error, TimeIsUpError):
        repair = "give the functions more memory (lambda.memory_mb), which is more speed, or exempt the place by name"
    elif call == "sts:AssumeRole" and not isinstance(error, LiveUsageError):
        repair = (
            f"apply the module workload_account there with live_usage = true, which makes {role_arn}, or exempt the "
            "account and region by name"
        )
    elif code in _REFUSALS:
        repair = f"let {role_arn} call {call}; a service control policy or a permissions boundary may forbid it"
    elif code in _THROTTLES:
        repair = "none needed: it is asked again later; if it stays so, something else uses up the account's limits"
    else:
        repair = "see the message; one that cannot be read for good can be exempted by name"
    what = f" at {call}" if call else ""
    problem = TrustProblem(place, f"what runs there could not be read{what}: {error}", repair)
    return Findings(problems=(problem,))
