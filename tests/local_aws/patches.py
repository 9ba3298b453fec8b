"""Replaces attributes of moto's classes while a local AWS runs, and puts the originals back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT = object()


class Patches:
    """Changes to moto's classes that `undo` takes back, the last one first."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Give `owner` (a class, module or object) the attribute `name`; it may be new."""
        self._originals.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)

    def wrap(self, owner: type, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace a method by what `wrapper` makes of the original one."""
        self.set(owner, name, wrapper(getattr(owner, name)))

    def undo(self) -> None:
        """Restore every attribute as it was."""
        while self._originals:
            owner, name, original = self._originals.pop()
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
