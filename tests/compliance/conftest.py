"""Plans to hold against the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from terraform_tools import TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Json = dict[str, Any]

EXAMPLES = [path.parent for path in sorted(TREE.glob("examples/*/main.tf"))]
# What no example shows.
OTHERS = [path.parent for path in sorted(Path(__file__).resolve().parent.glob("configurations/*/main.tf"))]


@pytest.fixture(scope="package")
def plans(plan_of: Callable[[Path], Json]) -> Mapping[str, Json]:
    """The plans of all configurations, by name."""
    return {directory.name: plan_of(directory) for directory in (*EXAMPLES, *OTHERS)}
