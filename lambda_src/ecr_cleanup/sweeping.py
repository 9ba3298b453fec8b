"""The sweep: looks at every image of the opted-in repositories, and makes a check of each that looks unused.

It removes nothing and changes no check that is pending, so that no image goes without having been watched for a grace
period. It keeps one page of images at a time. Where its time is up, it goes on in another run from where it was.
"""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from boto3.exceptions import Boto3Error

from ecr_cleanup.aws import AWS_ERRORS
from ecr_cleanup.check import Check
from ecr_cleanup.errors import StalePlaceError
from ecr_cleanup.evidence import is_surely_an_image
from ecr_cleanup.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from ecr_cleanup.aws.ecr import Registry
    from ecr_cleanup.aws.ledger import Ledger
    from ecr_cleanup.aws.scheduler import CheckSchedules
    from ecr_cleanup.aws.sweep_ledger import SweepLedger, SweepPlace
    from ecr_cleanup.image import Image, Repository
    from ecr_cleanup.report import Totals
    from ecr_cleanup.settings import CheckSettings
    from ecr_cleanup.survey import Judged, Survey
    from ecr_cleanup.sweep_report import SweepReport

# A page of images, all of which may need a check, and the report take less than this.
_TIME_AFTER_LAST_PAGE = timedelta(minutes=2)
_SAVED_EVERY = timedelta(minutes=1)
# Two calls for each check, of which the scheduler takes 250 to 1,000 in a second:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html
_PARALLEL_CALLS = 16
# The ledger has room for 400 KB an item, in which the place is, too.
_FAILURES_KEPT, _FAILURE_LENGTH = 100, 300


class SweepOutcome(NamedTuple):
    """How far a run of the sweep came. `repositories` has what was counted, and is None where more is to be done."""

    place: SweepPlace
    repositories: Mapping[Repository, Totals] | None = None


class Newest:
    """The newest images of a repository that is read page by page.

    An image is held back while fewer than `count` that are surely images are known to be newer. Memory is for so many
    images, not for all. `times` are the push times of the newest images of pages that were read before.
    """

    def __init__(self, count: int, times: Iterable[datetime] = ()) -> None:
        self._count = count
        # What comes second tells apart what was pushed at the same moment.
        self._heap: list[tuple[datetime, str, Image | None]] = [(at, str(n), None) for n, at in enumerate(times)]
        heapq.heapify(self._heap)

    def take(self, images: Iterable[Image]) -> list[Image]:
        """Look at more images, and return those that are surely not among the newest, or do not count."""
        ready = []
        for image in images:
            if self._count == 0 or not is_surely_an_image(image):
                ready.append(image)
                continue
            entry = (image.pushed_at, image.id.digest, image)
            if len(self._heap) < self._count:
                heapq.heappush(self._heap, entry)
                continue
            _, _, older = heapq.heappushpop(self._heap, entry)
            if older:
                ready.append(older)
        return ready

    def held_back(self) -> list[Image]:
        """The images that are still held back, which are not any more after this."""
        images = [image for _, _, image in self._heap if image]
        self._heap = [(at, order, None) for at, order, _ in self._heap]
        return images

    @property
    def times(self) -> tuple[datetime, ...]:
        """The push times of the newest images so far."""
        return tuple(at for at, _, _ in self._heap)


@dataclass(eq=False)
class SweepRun:
    """One run of the sweep: from where the one before came to, as far as the time goes.

    `repositories` are those that opted in, with their resource tags; `unreadable` says of which regions nobody knows
    any.

    Raises botocore's errors where the place cannot be saved, so that the message comes back and another run goes on
    from the last place that was. A repository that cannot be read, or whose checks cannot be made, does not hold up
    the others.
    """

    settings: CheckSettings
    registry: Registry
    repositories: Mapping[Repository, Mapping[str, str]]
    survey: Survey
    ledger: Ledger
    sweeps: SweepLedger
    schedules: CheckSchedules
    report: SweepReport | None
    clock: Callable[[], datetime]
    time_left: Callable[[], timedelta]
    unreadable: Sequence[str] = ()

    def run(
        self, sweep: str | None = None, *, asked_at: datetime | None = None, asked_by: str = ""
    ) -> SweepOutcome | None:
        """Begin, or go on with, a sweep: with the one of this name, or any. None where there is nothing more to do.

        `asked_at` is when somebody wished for it; a sweep that was finished since then has been made. `asked_by` is the
        message that says so.

        Raises:
            LeasedToSameMessageError: another function that got the same message is at it.
            LedgerConflictError: another one is.
        """
        now = self._saved_at = self.clock()
        self._lease = now + self.time_left()
        place = self.sweeps.claim(sweep, asked_at=asked_at or now, now=now, until=self._lease, by=asked_by)
        if place is None:
            return None
        self._place = place
        self._has_read = False
        for failure in self.unreadable:
            self._fail(failure)
        done = self._place.done
        for repository, tags in sorted(self.repositories.items()):
            if done and repository <= done:
                continue
            if self._time_is_up() or not self._sweep(repository, tags):
                self._save()
                return SweepOutcome(self._place)
            if self.clock() - self._saved_at >= _SAVED_EVERY:
                self._save()
        self._save()
        return SweepOutcome(self._place, self.sweeps.repositories(self._place.sweep))

    def leave(self) -> None:
        """Let another run go on."""
        self.sweeps.release(until=self._lease)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Close the sweep, of which this is to be remembered."""
        self.sweeps.finish(summary, at=self.clock(), until=self._lease)

    def _sweep(self, repository: Repository, tags: Mapping[str, str]) -> bool:
        """Sweep a repository; False where the time was up before its end."""
        if repository != self._place.repository:
            self._place = self._place.entering(repository)
        try:
            if not self._read(repository, tags):
                return False
        except StalePlaceError:
            self._place = self._place.beginning_anew()
            return self._sweep(repository, tags)
        except AWS_ERRORS as error:
            self._fail(f"{repository}: {error}")
        self.sweeps.record_repository(self._place.sweep, repository, self._place.totals, now=self.clock())
        self._place = self._place.leaving()
        return True

    def _read(self, repository: Repository, tags: Mapping[str, str]) -> bool:
        """Look at all pages that are left; False where the time was up before the last one."""
        policy = Policy.of(self.settings, tags)
        count = policy.protections.newest
        newest = Newest(count, self._place.newest)
        for page in self.registry.pages(repository, self._place.token):
            self._has_read = True
            self._take(newest.take(page.images), tags, policy, newer_images=count)
            if page.next_token and self._time_is_up():
                # The next run knows only when the newest were pushed. A check tells whether they still are, and until
                # then they count as such.
                self._take(newest.held_back(), tags, policy, newer_images=count, counted_as_newest=True)
                self._place = replace(self._place, token=page.next_token, newest=newest.times)
                return False
        self._take(newest.held_back(), tags, policy, newer_images=0)
        return True

    def _take(
        self,
        images: Sequence[Image],
        tags: Mapping[str, str],
        policy: Policy,
        *,
        newer_images: int,
        counted_as_newest: bool = False,
    ) -> None:
        """Judge images, of each of which so many are newer, count them, and make the checks that are missing."""
        if not images:
            return
        judged = self.survey.judge(tags, images, lambda _: newer_images)
        due = self.clock() + policy.grace_period
        with ThreadPoolExecutor(max_workers=_PARALLEL_CALLS, thread_name_prefix="sweep") as pool:
            made = pool.map(lambda each: self._make_check(each, due), [each for each in judged if each.needs_check])
            self._place = replace(self._place, checks=self._place.checks + sum(made))
        for each in self.survey.judge(tags, images, lambda _: 0) if counted_as_newest else judged:
            self._place.totals.take(each)
            if self.report:
                self.report.add(each)

    def _make_check(self, judged: Judged, due: datetime) -> bool:
        """See to it that a check of the image is pending; False where one was."""
        image_id = judged.image.id
        if judged.evidence.last_used_at is None:
            # From now on: with the check, a whole grace period has passed.
            self.ledger.record_watch(image_id, at=self.clock())
        return self.schedules.put_if_none(Check(image_id, f"the sweep of {self._place.sweep} found it unused"), due)

    def _fail(self, failure: str) -> None:
        """Remember what failed, as far as the ledger has room for it."""
        known = self._place.failures
        if len(known) < _FAILURES_KEPT and failure[:_FAILURE_LENGTH] not in known:
            self._place = replace(self._place, failures=(*known, failure[:_FAILURE_LENGTH]))

    def _time_is_up(self) -> bool:
        # Each run gets somewhere, however short it is.
        return self._has_read and self.time_left() < _TIME_AFTER_LAST_PAGE

    def _save(self) -> None:
        """Remember the place, and with it what the report has so far."""
        try:
            if self.report and self.report.save_part(self._place.part):
                self._place = replace(self._place, part=self._place.part + 1)
        except (*AWS_ERRORS, Boto3Error) as error:
            # Nobody would rather have no clean-up than no report.
            self._place = replace(self._place, report_lost=str(error)[:_FAILURE_LENGTH])
            self.report = None
        self.sweeps.save(self._place, until=self._lease)
        self._saved_at = self.clock()
