"""The image deletion check: one scheduled question about one image."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from ecr_cleanup.errors import CheckError
from ecr_cleanup.image import ImageId

_VERSION = 1


class Check(NamedTuple):
    """Is this image still used?

    `cause` is for people: what made somebody ask. `attempt` counts the postponements in a row for one and the same
    trouble, and spaces them out.
    """

    image_id: ImageId
    cause: str
    attempt: int = 0

    @property
    def schedule_name(self) -> str:
        """One name per image, whatever tag or spelling led to it: 64 characters, all that a schedule may have."""
        return hashlib.sha256(str(self.image_id).encode()).hexdigest()

    def again(self, *, attempt: int) -> Check:
        """The same check as it is put back."""
        return self._replace(attempt=attempt)

    def to_json(self) -> str:
        """The message as it travels through the schedule and the queue."""
        return json.dumps(
            {"version": _VERSION, "image": str(self.image_id), "cause": self.cause, "attempt": self.attempt}
        )

    @classmethod
    def from_json(cls, text: str) -> Check:
        """Read a message of the check queue.

        Raises:
            CheckError: the message is not a check.
        """
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckError(f"the message is not JSON: {error}") from None
        if not isinstance(message, dict) or message.get("version") != _VERSION:
            raise CheckError(f'the message is not an image deletion check: it has no "version": {_VERSION}')
        image, cause, attempt = message.get("image"), message.get("cause"), message.get("attempt")
        if not isinstance(image, str) or not isinstance(cause, str):
            raise CheckError('the check lacks "image" or "cause", or one of them is not text')
        if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 0:
            raise CheckError('the check\'s "attempt" is not a count (0, 1, 2 ...)')
        try:
            return cls(ImageId.parse(image), cause, attempt)
        except ValueError as error:
            raise CheckError(f'the check\'s "image" is wrong: {error}') from None
