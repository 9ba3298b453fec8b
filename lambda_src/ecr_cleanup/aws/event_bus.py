"""The central event bus, on which others hear of removals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecr_cleanup.errors import AnnouncementError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "ecr-cleanup"
DETAIL_TYPE = "ECR Image Removed"


class EventBus:
    """Puts events on one bus."""

    def __init__(self, client: EventBridgeClient, name: str) -> None:
        self._client = client
        self._name = name

    def announce_removal(self, detail: str) -> None:
        """Tell everybody who listens that an image was removed; `detail` is JSON.

        Raises:
            AnnouncementError: the bus did not take the event.
        """
        answer = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._name,
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "Detail": detail,
                }
            ]
        )
        # The call succeeds even where it refused the event.
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise AnnouncementError(f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
