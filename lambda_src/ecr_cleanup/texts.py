"""How sizes and money are written for people."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(size_bytes: int) -> str:
    """A size as ECR's prices count it, a kilobyte having 1000 bytes."""
    value, unit = float(size_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def dollars(amount: float) -> str:
    """An amount of dollars."""
    return f"${amount:,.2f}"
