"""What live usage costs: the calls of one batch against the fewest that AWS's pages and batches allow, and the time.

The lower bound is computed here, from what AWS documents, and shares nothing with the code:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ (10 services per DescribeServices, 20 revisions per
DescribeServiceRevisions, 100 tasks per DescribeTasks, pages of 100) and
https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html (pages of 50).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.table import Table

from ecr_cleanup.inventory import TaskDefinition, build_inventory
from ecr_cleanup.live_usage import CALLS_PER_SECOND, LiveUsage, Pace
from ecr_cleanup.settings import CheckSettings, Place
from fake_accounts import EXTERNAL_ID, ROLE, FakeAccounts
from fakes import HOST
from function_environment import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from botocore.client import BaseClient

    from ecr_cleanup.aws.clients import Credentials
    from ecr_cleanup.inventory import Inventory
    from fake_accounts import FakeAccount

MOST = 1.1
"""So many times the fewest calls possible may be made."""

IMAGE = f"{HOST}/team/app:v1"
DIGEST = "sha256:" + "a" * 64
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1")
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Size:
    """How much there is: `services` and those below it per cluster, the others per account and region."""

    accounts: int = 1
    regions: int = 1
    clusters: int = 0
    services: int = 0
    deploying: int = 0
    """So many of the services are being deployed."""
    tasks: int = 0
    stopped: int = 0
    daemons: int = 0
    shown: int = 0
    """Task definitions that the aggregator shows; services run these."""
    new: int = 0
    """Task definitions that it does not show."""
    buses: int = 1
    rules: int = 0
    schedules: int = 0
    functions: int = 0
    """Versions of functions that are images."""
    other_functions: int = 0
    jobs: int = 0

    def __str__(self) -> str:
        default = Size()
        changed = {name: value for name, value in vars(self).items() if value != getattr(default, name)}
        return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in changed.items()) or "nothing at all"

    def fewest_calls(self, *, functions_are_known: bool = False) -> int:
        """With fewer, AWS cannot be asked for all of it."""
        calls = 1  # AssumeRole
        calls += 2  # the Config recorder, and its status
        calls += pages(self.shown + self.new) + self.new
        calls += pages(self.clusters)
        calls += pages(self.functions + self.other_functions, 50) + (0 if functions_are_known else self.functions)
        calls += pages(self.jobs)
        if self.clusters:
            calls += self.clusters * self._fewest_per_cluster()
            calls += batches(self.clusters * (self.services + self.deploying), 20)  # revisions
            calls += batches(self.clusters * self.deploying, 20)
            calls += batches(self.clusters * self.daemons, 20)
            calls += 1  # ListDaemonTaskDefinitions
            calls += pages(self.buses) + self.buses * self.clusters + self.rules
            calls += pages(1) + pages(self.schedules) + self.schedules
        return calls * self.accounts * self.regions

    def _fewest_per_cluster(self) -> int:
        calls = pages(self.services) + batches(self.services, 10)
        calls += pages(self.tasks) + pages(self.stopped) + batches(self.tasks + self.stopped, 100)
        return calls + pages(self.daemons) + self.daemons


def pages(entries: int, size: int = 100) -> int:
    """Lists are asked for even where there is nothing in them."""
    return max(1, ceil(entries / size))


def batches(entries: int, size: int) -> int:
    return ceil(entries / size)


@dataclass
class Remembered:
    """A memory like the ledger's."""

    images: dict[str, frozenset[str]] = field(default_factory=dict)

    def remembered_images(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        return {name: self.images[name] for name in names if name in self.images}

    def remember_images(self, name: str, images: Collection[str]) -> None:
        self.images[name] = frozenset(images)


@dataclass
class Measured:
    """Accounts of one size, what reads them, and what creating clients took of it."""

    size: Size
    seconds_for_clients: float = 0.0
    clients: int = 0
    memory: Remembered = field(default_factory=Remembered)

    def __post_init__(self) -> None:
        places = [
            Place(f"{account:012}", region)
            for account, region in product(range(1, self.size.accounts + 1), REGIONS[: self.size.regions])
        ]
        self.accounts = FakeAccounts(*places)
        self.active: dict[str, TaskDefinition] = {}
        for place in places:
            self.active |= fill(self.accounts[place], self.size)

    def read(self) -> Inventory:
        """Read them all, as a batch does."""
        environment = ENVIRONMENT | {"READER_ROLE_NAME": ROLE, "READER_EXTERNAL_ID": EXTERNAL_ID}
        settings = CheckSettings.from_environment(environment)
        assert settings.reader_role
        live = LiveUsage(settings, settings.reader_role, self.accounts.sts_client(), self._client, self.memory)
        expected = build_inventory([], read_at=NOW, expected=frozenset(self.accounts.accounts), active=self.active)
        return live.read(expected, now=NOW, time_left=lambda: timedelta(minutes=15))

    @property
    def calls(self) -> int:
        return sum(self.accounts.calls.values())

    def _client(self, service: str, credentials: Credentials, region: str) -> BaseClient:
        began = time.thread_time()
        client = self.accounts.place_client(service, credentials, region)
        self.seconds_for_clients += time.thread_time() - began
        self.clients += 1
        return client


def fill(account: FakeAccount, size: Size) -> dict[str, TaskDefinition]:
    """Put that much into a place; gives the task definitions that the aggregator shows."""
    arns = [account.register(f"app:{number}", IMAGE) for number in range(size.shown)]
    for number in range(size.new):
        account.register(f"new:{number}", IMAGE)
    for number in range(size.clusters):
        cluster = account.add_cluster(f"cluster-{number}")
        for service in range(size.services):
            deploy(account, f"app-{service}", arns[service % len(arns)], number, in_progress=service < size.deploying)
        for _ in range(size.tasks):
            account.run((IMAGE, DIGEST), cluster=f"cluster-{number}")
        for _ in range(size.stopped):
            account.run((IMAGE, DIGEST), cluster=f"cluster-{number}", status="STOPPED")
        for daemon in range(size.daemons):
            name = f"{number}/agent-{daemon}"
            arn = account.arn("ecs", f"daemon/{name}")
            account.daemons[arn] = {"daemonArn": arn, "clusterArn": cluster, "currentRevisions": [{"arn": name}]}
            account.daemon_revisions[name] = {"daemonRevisionArn": name, "containerImages": []}
    account.buses += [f"bus-{number}" for number in range(1, size.buses)]
    account.rules += [("default", f"rule-{number}", arns[0]) for number in range(size.rules)]
    for number in range(size.schedules):
        target = {"Arn": account.clusters[0], "EcsParameters": {"TaskDefinitionArn": arns[0]}}
        account.schedules.append(("default", f"schedule-{number}", target))
    for number in range(size.functions):
        account.create_function(f"image-{number // 3}", IMAGE, f"{HOST}/team/app@{DIGEST}", version=str(number))
    for number in range(size.other_functions):
        account.create_function(f"zip-{number}", None, None)
    arn = account.arn("batch", "job-definition/render")
    account.job_definitions += [{"jobDefinitionArn": f"{arn}:{number}"} for number in range(size.jobs)]
    return {arn: TaskDefinition(arn, account.place, (IMAGE,)) for arn in arns}


def deploy(account: FakeAccount, name: str, definition: str, cluster: int, *, in_progress: bool) -> None:
    state = "IN_PROGRESS" if in_progress else "COMPLETED"
    service = account.deploy(name, definition, (IMAGE, DIGEST), cluster=f"cluster-{cluster}", state=state)
    if in_progress:
        service["currentServiceDeployment"] = arn = account.arn("ecs", f"service-deployment/{cluster}/{name}/1")
        account.deployments[arn] = {
            "serviceDeploymentArn": arn,
            "serviceArn": service["serviceArn"],
            "status": "IN_PROGRESS",
            "sourceServiceRevisions": [account.revision(name, definition, (IMAGE, DIGEST))],
            "targetServiceRevision": service["currentServiceRevisions"][0],
        }


SIZES = [
    Size(),
    Size(accounts=7, regions=3),
    Size(clusters=1),
    Size(clusters=101, accounts=2),
    *(Size(clusters=1, shown=1, services=services) for services in (1, 10, 11, 99, 100, 101, 1000)),
    *(Size(clusters=5, shown=50, services=services) for services in (1, 9, 101)),
    *(Size(clusters=1, shown=1, services=30, deploying=deploying) for deploying in (1, 20, 30)),
    *(Size(clusters=2, tasks=tasks, stopped=stopped) for tasks, stopped in product((1, 100, 101, 1000), (0, 1, 250))),
    *(Size(shown=shown, new=new) for shown, new in product((0, 1, 100, 1000), (0, 1, 101))),
    *(Size(functions=functions, other_functions=120) for functions in (0, 1, 50, 301)),
    *(Size(clusters=1, daemons=daemons) for daemons in (1, 20, 101)),
    Size(clusters=3, shown=1, buses=4, rules=30, schedules=130),
    Size(clusters=101, shown=1, buses=2, rules=3),
    Size(jobs=250),
    Size(
        accounts=3,
        regions=3,
        clusters=4,
        shown=60,
        new=5,
        services=35,
        deploying=3,
        tasks=80,
        stopped=10,
        rules=4,
        schedules=6,
        functions=25,
        other_functions=40,
        jobs=8,
    ),
]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for the turn of a call, so that counting is quick."""
    monkeypatch.setattr("ecr_cleanup.live_usage.CALLS_PER_SECOND", 1e6)


def test_no_more_calls_than_pages_and_batches_need(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("in each account and region", "calls", "fewest", "ratio", title="Calls of live usage per batch")
    above = []
    for size in SIZES:
        measured = Measured(size)
        inventory = measured.read()
        assert not inventory.problems
        calls, fewest = measured.calls, size.fewest_calls()
        table.add_row(str(size), f"{calls:,}", f"{fewest:,}", f"{calls / fewest:.2f}")
        assert calls >= fewest, f"not everything was read of {size}"
        if calls > MOST * fewest:
            above.append(f"{size}: {calls} calls instead of {fewest}: {dict(measured.accounts.calls)}")
    with capsys.disabled():
        print()
        Console(width=120).print(table)
    assert not above


def test_what_is_not_there_costs_only_the_lists(at_once: None) -> None:
    measured = Measured(Size(accounts=2, clusters=3))
    measured.read()
    asked = {operation for _, operation in measured.accounts.calls}
    # Of AWS Config and AWS Batch, this is what lists are called.
    asked -= {"AssumeRole", "DescribeConfigurationRecorders", "DescribeConfigurationRecorderStatus"}
    asked -= {"DescribeJobDefinitions"}
    assert {operation for operation in asked if not operation.startswith("List")} == set()


def test_the_next_batch_does_not_ask_again_for_what_is_remembered(at_once: None) -> None:
    size = Size(accounts=2, functions=120, other_functions=10)
    measured = Measured(size)
    measured.read()
    assert measured.calls == size.fewest_calls()
    first = measured.calls
    measured.read()
    assert measured.calls - first == size.fewest_calls(functions_are_known=True)


BIG = Size(accounts=50, regions=3, clusters=1, shown=100, services=100, tasks=200)
SECONDS = 60
LATE = len(REGIONS)
"""So many calls of an account may be late for their turns, one per thread, and meet others that are in time."""


def read_large_organisation(capsys: pytest.CaptureFixture[str]) -> float:
    """How many seconds it takes to read 150 accounts and regions, each as large as `BIG` says, at 100 ms a call."""
    measured = Measured(BIG)
    measured.accounts.latency = 0.1
    began, cpu = time.monotonic(), time.process_time()
    inventory = measured.read()
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    assert not inventory.problems
    assert inventory.size == 150 * (3 * 100 + 200)
    assert measured.calls == BIG.fewest_calls()
    with capsys.disabled():
        print(
            f"\n{BIG}: {took:.1f} s ({cpu:.1f} s of CPU), {measured.calls:,} calls of 100 ms, "
            f"each account {CALLS_PER_SECOND} times a second at the most; {measured.clients:,} clients, each "
            f"{1000 * measured.seconds_for_clients / measured.clients:.1f} ms of CPU"
        )
    assert_at_a_pace(measured.accounts, began)
    return took


@pytest.mark.timed
def test_a_large_organisation_is_read_in_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """What else the machine does can make it slower and never faster: one of three readings must be fast enough."""
    assert any(read_large_organisation(capsys) < SECONDS for _ in range(3))


def test_many_regions_of_an_account_share_its_pace(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a pace, three regions would be asked 150 times a second."""
    size = Size(accounts=2, regions=3, clusters=1, shown=10, services=100, tasks=200)
    measured = Measured(size)
    measured.accounts.latency = 0.02
    began = time.monotonic()
    measured.read()
    most = assert_at_a_pace(measured.accounts, began)
    with capsys.disabled():
        print(f"\n{size}: {measured.calls:,} calls in {time.monotonic() - began:.1f} s, at most {most} in a second")
    # As fast as it may be, too; 2 s are for a machine that has other things to do.
    fewest = size.fewest_calls() / size.accounts
    assert time.monotonic() - began < fewest / CALLS_PER_SECOND + 2


def assert_at_a_pace(accounts: FakeAccounts, began: float) -> int:
    """Each account was called no more often than it may be; gives the most calls in any second."""
    for times in accounts.times.values():
        # The turns are exactly that far apart. A call may be late for its turn, but never early.
        for number, at in enumerate(sorted(times)):
            assert number <= (at - began) * CALLS_PER_SECOND + 1e-6
    most = max(most_within(times, 1) for times in accounts.times.values())
    # Where the threads of all three regions, one call of each, are late by the same moment, they go together.
    assert most <= CALLS_PER_SECOND + LATE
    return most


def most_within(times: Sequence[float], seconds: float) -> int:
    """How many at the most are within any so many seconds."""
    at = sorted(times)
    return max(bisect_left(at, begin + seconds) - number for number, begin in enumerate(at))


def test_turns_are_exact_whoever_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns = 100.0, list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", lambda seconds: turns.append(now + seconds))
    pace = Pace(CALLS_PER_SECOND)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: pace.wait(), range(1000)))
    assert sorted(turns) == pytest.approx([100 + number / CALLS_PER_SECOND for number in range(1000)])
    assert most_within([turn + 1e-9 * number for number, turn in enumerate(sorted(turns))], 1) <= CALLS_PER_SECOND
