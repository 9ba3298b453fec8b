"""A local AWS for tests and the demonstration: see `LocalAws`."""

from __future__ import annotations

from local_aws.aws import LocalAws
from local_aws.behaviour import Behaviour, Faults
from local_aws.calls import ApiCall, Grant
from local_aws.ecs_tasks import FailedPull
from local_aws.functions import Invocation
from local_aws.world import LostEvent

__all__ = ["ApiCall", "Behaviour", "FailedPull", "Faults", "Grant", "Invocation", "LocalAws", "LostEvent"]
