"""What the emulated services share."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_aws.behaviour import Behaviour, Faults
from local_aws.clock import Agenda, Clock
from local_aws.identity import Identity
from local_aws.patches import Patches

if TYPE_CHECKING:
    from datetime import datetime

    from local_aws.calls import ApiCall


@dataclass(frozen=True)
class LostEvent:
    """An event, or a schedule's payload, that reached neither its target nor a dead-letter queue."""

    time: datetime
    source_arn: str
    target_arn: str
    reason: str
    body: Any


class World:
    """The clock, the agenda, the switches, the identities and the records of one local AWS.

    `lock` guards moto's state: requests hold it, and so does whatever changes that state beside them. `errors` are
    those of the test's own actions on other threads.
    """

    def __init__(self, region: str, behaviour: Behaviour, start: datetime | None) -> None:
        self.region = region
        self.behaviour = behaviour
        self.clock = Clock(start)
        self.agenda = Agenda(self.clock)
        self.faults = Faults(self.clock.now)
        self.patches = Patches()
        self.lock = threading.RLock()
        self.calls: list[ApiCall] = []
        self.lost_events: list[LostEvent] = []
        self.errors: list[Exception] = []
        self.organization_id = ""
        self.endpoint_url = ""
        self.identity = Identity(self)

    def lose(self, source_arn: str, target_arn: str, reason: str, body: Any) -> None:
        """Write down what could not be delivered."""
        self.lost_events.append(LostEvent(self.clock.now(), source_arn, target_arn, reason, body))
