"""The workbench of the tests of checks: everything around a run, with an image that can be removed."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ecr_cleanup.aws.event_bus import EventBus
from ecr_cleanup.check import Check
from ecr_cleanup.checking import Answer, CheckRun
from ecr_cleanup.live_usage import LiveUsage
from ecr_cleanup.settings import CheckSettings
from ecr_cleanup.taking_inventory import InventoryTaker
from fake_accounts import EXTERNAL_ID, ROLE, FakeAccounts
from fakes import DEV, HOST, PROD, FakeAggregator, FakeClock, Pushed
from function_environment import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ecr_cleanup.aws.ledger import ImageRecord, Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.image import ImageId, Repository

ARN = "arn:aws:ecs:eu-central-1:222222222222:task-definition/app:7"
SERVICE = "arn:aws:ecs:eu-central-1:222222222222:service/main/app"
DAY = timedelta(hours=24)
REFERENCE = f"{HOST}/team/app:v1"


class Bench:
    """Everything around a run, and a removable image: opted in, unused, last used exactly a grace period ago."""

    def __init__(
        self,
        ecr: Pushed,
        ledger: Ledger,
        aggregator: FakeAggregator,
        schedules: CheckSchedules,
        clock: FakeClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.ecr, self.ledger, self.aggregator, self.schedules, self.clock = ecr, ledger, aggregator, schedules, clock
        # The newest image of a repository is kept; but for the tests of that, there is only one.
        self.environment = ENVIRONMENT | {"NEWEST_IMAGES": "0"}
        self.settings = CheckSettings.from_environment(self.environment)
        self.organization: Callable[[], frozenset[str]] = frozenset
        self.time_left = timedelta(minutes=15)
        self.accounts = FakeAccounts(PROD, DEV)
        # Nobody shares the limits of these accounts.
        monkeypatch.setattr("ecr_cleanup.live_usage.CALLS_PER_SECOND", 1e6)
        self.announced: list[dict[str, Any]] = []
        self.bus = EventBus(boto3.client("events"), "ecr-cleanup")
        monkeypatch.setattr(self.bus, "announce_removal", lambda facts: self.announced.append(dict(facts)))
        self.repository = ecr.repository(ecr_cleanup="enabled")
        self.image_id = self.push("v1")
        ledger.record_last_use(self.image_id, at=clock.now - DAY)

    def push(self, *tags: str, repository: Repository | None = None, days_ago: float = 30, **image: Any) -> ImageId:
        """Push an image that is old enough, unless a test says otherwise."""
        with self._ago(days_ago):
            return self.ecr.push(repository or self.repository, *tags, **image)

    def push_index(self, *tags: str, children: Iterable[ImageId], days_ago: float = 30) -> ImageId:
        """As `push`, in the repository of the children."""
        children = list(children)
        with self._ago(days_ago):
            return self.ecr.push_index(children[0].repository, *tags, children=children)

    def push_referrer(self, subject: ImageId, *tags: str, content: str = "signature", days_ago: float = 30) -> ImageId:
        """As `push`: an artifact that names what it is for, such as a signature, an attestation or an SBOM."""
        with self._ago(days_ago):
            return self.ecr.push_referrer(subject, *tags, content=content)

    def used(self, *image_ids: ImageId, hours_ago: float = 24) -> None:
        """Put the end of the last use of each on record."""
        for image_id in image_ids:
            self.ledger.record_last_use(image_id, at=self.clock.now - timedelta(hours=hours_ago))

    def pull(self, image_id: ImageId) -> None:
        """Pull it as somebody else."""
        self.ecr.client.batch_get_image(
            repositoryName=image_id.repository.name, imageIds=[{"imageDigest": image_id.digest}]
        )

    def tag_repository(self, **tags: str) -> None:
        """Give the repository these tags. As keys of arguments, `ecr_cleanup__x_y` stands for `ecr-cleanup:x-y`."""
        arn = f"arn:aws:ecr:eu-central-1:111111111111:repository/{self.repository.name}"
        named = {key.replace("__", ":").replace("_", "-"): value for key, value in tags.items()}
        self.ecr.client.tag_resource(
            resourceArn=arn, tags=[{"Key": key, "Value": value} for key, value in named.items()]
        )

    def left(self, *image_ids: ImageId) -> set[ImageId]:
        """Those of the images that are still there."""
        return set(self.ecr.registry.images(image_ids))

    def status(self, image_id: ImageId) -> str:
        return self.ecr.registry.images([image_id])[image_id].status.value

    def record(self, image_id: ImageId) -> ImageRecord:
        return self.ledger.images([image_id])[image_id]

    def configure(self, **changes: str) -> None:
        self.settings = CheckSettings.from_environment(self.environment | changes)

    def ask_accounts(self, **changes: str) -> None:
        """Switch live usage on: the accounts are asked what runs, and nothing does unless a test says so."""
        self.configure(READER_ROLE_NAME=ROLE, READER_EXTERNAL_ID=EXTERNAL_ID, **changes)

    def run(self) -> CheckRun:
        return CheckRun(
            self.settings,
            registry=self.ecr.registry,
            ledger=self.ledger,
            inventory_taker=self.inventory_taker(),
            schedules=self.schedules,
            event_bus=self.bus,
            clock=self.clock,
            time_left=lambda: self.time_left,
            live_usage=self.live_usage(),
        )

    def inventory_taker(self) -> InventoryTaker:
        return InventoryTaker(
            self.settings,
            self.aggregator,  # type: ignore[arg-type]
            self.ledger,
            self.ecr.registry,
            self.organization,
        )

    def live_usage(self) -> LiveUsage | None:
        """None where live usage is off."""
        if (role := self.settings.reader_role) is None:
            return None
        accounts = self.accounts
        return LiveUsage(self.settings, role, accounts.sts_client(), accounts.place_client, self.ledger)

    def check(self, *image_ids: ImageId, attempt: int = 0) -> list[Answer]:
        checks = [Check(image_id, "test", attempt) for image_id in image_ids or (self.image_id,)]
        run = self.run()
        run.prepare(checks)
        return [run.answer(check) for check in checks]

    def answer(self) -> Answer:
        (answer,) = self.check()
        return answer

    def due(self) -> datetime | None:
        return self.schedules._due(Check(self.image_id, "test").schedule_name)

    @contextmanager
    def _ago(self, days: float) -> Iterator[None]:
        self.clock.advance(days=-days)
        try:
            yield
        finally:
            self.clock.advance(days=days)


@pytest.fixture(name="bench")
def make_bench(
    ecr: Pushed,
    ledger: Ledger,
    aggregator: FakeAggregator,
    schedules: CheckSchedules,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    return Bench(ecr, ledger, aggregator, schedules, clock, monkeypatch)


def aws_error(code: str = "ThrottlingException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Something")


def raises(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


def register(
    bench: Bench,
    *,
    arn: str = ARN,
    minutes_ago: float = 5,
    reference: str = REFERENCE,
    handled_at: datetime | None = None,
) -> None:
    at = bench.clock.now - timedelta(minutes=minutes_ago)
    bench.ledger.record_registration(arn, PROD, at=at, references=[reference], image_ids=[], now=handled_at or at)
