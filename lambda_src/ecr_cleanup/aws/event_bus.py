"""The central event bus, on which others hear of removals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ecr_cleanup.errors import AnnouncementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_events import EventBridgeClient

SOURCE = "ecr-cleanup"
DETAIL_TYPE = "ECR Image Removed"
"""Of an image that was deleted or archived; `action` in its detail says which."""


class EventBus:
    """Puts events on one bus."""

    def __init__(self, client: EventBridgeClient, name: str) -> None:
        self._client = client
        self._name = name

    def announce_removal(self, facts: Mapping[str, Any]) -> None:
        """Tell everybody who listens that an image was removed.

        Raises:
            AnnouncementError: the bus did not take the event.
        """
        answer = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._name,
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "Detail": json.dumps(facts),
                }
            ]
        )
        # The call succeeds even where it refused the event.
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise AnnouncementError(f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
