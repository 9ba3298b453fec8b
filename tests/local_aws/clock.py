"""The clock of a local AWS, and the list of what is due when."""

from __future__ import annotations

import heapq
import itertools
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import time_machine

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """The time of the whole process. It ticks, and it can be moved, but only forwards."""

    def __init__(self, start: datetime | None = None) -> None:
        self._travel = time_machine.travel(start or datetime.now(UTC), tick=True)
        self._traveller: time_machine.Traveller | None = None

    def start(self) -> None:
        """Take over the time of this process."""
        self._traveller = self._travel.start()

    def stop(self) -> None:
        """Give the process its own time back."""
        self._travel.stop()
        self._traveller = None

    def now(self) -> datetime:
        """The time in UTC, aware."""
        return datetime.now(UTC)

    def move_to(self, moment: datetime) -> None:
        """Move to `moment` unless it has passed."""
        if self._traveller and moment > self.now():
            self._traveller.move_to(moment)


@dataclass(order=True)
class Item:
    """Something that happens at `due`, unless it is cancelled before."""

    due: datetime
    sequence: int
    action: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Keep it from happening."""
        self.cancelled = True


class Agenda:
    """What is going to happen, in the order of time and, at the same time, in the order of adding."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: list[Item] = []
        self._sequence = itertools.count()
        self._lock = threading.Lock()

    def at(self, due: datetime, action: Callable[[], None]) -> Item:
        """Let `action` happen at `due`."""
        item = Item(due, next(self._sequence), action)
        with self._lock:
            heapq.heappush(self._items, item)
        return item

    def after(self, delay: timedelta, action: Callable[[], None]) -> Item:
        """Let `action` happen `delay` from now."""
        return self.at(self._clock.now() + delay, action)

    def next_due(self) -> datetime | None:
        """When the next item is due; None if there is none."""
        with self._lock:
            while self._items and self._items[0].cancelled:
                heapq.heappop(self._items)
            return self._items[0].due if self._items else None

    def pop_due(self) -> Item | None:
        """Take the next item that is due by now."""
        due = self.next_due()
        if due is None or due > self._clock.now():
            return None
        with self._lock:
            return heapq.heappop(self._items)
