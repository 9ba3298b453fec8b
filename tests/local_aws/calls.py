"""The record of every API call that was made, by whomever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Grant:
    """A permission that a call needed, and the Sids of the statements that gave it (empty for an administrator)."""

    action: str
    resource: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class ApiCall:
    """One API call. `service` is the signing name; `account` and `region` are where it was sent to.

    `function` is the Lambda function that made it, under its own role or one that it assumed (`principal_arn` tells),
    or on whose behalf the service made it. `error_code` is None for a call that succeeded.
    """

    time: datetime
    account: str
    region: str
    principal_arn: str
    function: str | None
    service: str
    operation: str
    grants: tuple[Grant, ...]
    allowed: bool
    error_code: str | None

    @property
    def resources(self) -> tuple[str, ...]:
        """The ARNs that the call needed permission for."""
        return tuple(grant.resource for grant in self.grants)
