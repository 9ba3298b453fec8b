"""Lists in pieces, for calls that take so many entries and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items in their order, in lists of at most `size`. (`itertools.batched` came with Python 3.12.)"""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
