from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from local_aws.cheap_calls import make_calls_cheap
from local_aws.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

# Powertools reads it when it is imported.
os.environ["POWERTOOLS_SERVICE_NAME"] = "ecr-cleanup"

# How fast an example runs says nothing here; a busy machine must not fail a test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(autouse=True, scope="session")
def cheap_calls() -> Iterator[None]:
    patches = Patches()
    make_calls_cheap(patches)
    yield
    patches.undo()
