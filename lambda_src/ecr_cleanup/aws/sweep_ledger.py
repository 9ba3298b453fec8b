"""What the ledger keeps of sweeps: who is at it, how far it is, and what it has counted.

pk                 sk              what
SWEEP              STATE           place, leased_until, leased_by, and of the last one: summary
SWEPT#<sweep>      <repository>    totals: of a repository that is done
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.aws.ledger_table import STATE, LedgerTable, Update, Value, text, time, time_as_text
from ecr_cleanup.errors import LeasedToSameMessageError, LedgerConflictError
from ecr_cleanup.image import Repository
from ecr_cleanup.report import Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

_SWEEP = "SWEEP"
# Long enough to look into a sweep that went wrong.
_LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SweepPlace:
    """How far a sweep is: the repositories up to `done` are, and of `repository` the pages before `token`.

    `newest` are the push times of its newest images so far, and `totals` what was counted in it. `part` is the number
    of the report's part that comes next; of repositories in `begun_anew`, what is in parts before the given one does
    not count. `checks` were made so far, in `runs` of the function, this one included. `failures` say which
    repositories could not be read, as far as there is room. `report_lost` is why a part of the report is missing.
    """

    sweep: str
    done: Repository | None = None
    repository: Repository | None = None
    token: str | None = None
    newest: tuple[datetime, ...] = ()
    totals: Totals = field(default_factory=Totals)
    part: int = 0
    begun_anew: Mapping[str, int] = field(default_factory=dict)
    checks: int = 0
    runs: int = 0
    failures: tuple[str, ...] = ()
    report_lost: str | None = None

    def entering(self, repository: Repository) -> SweepPlace:
        """Before the first page of a repository."""
        return replace(self, repository=repository, token=None, newest=(), totals=Totals())

    def beginning_anew(self) -> SweepPlace:
        """Before the first page of the same repository once more; what was counted in it does not count."""
        if self.repository is None:
            raise ValueError("no repository was begun")
        begun_anew = {**self.begun_anew, str(self.repository): self.part}
        return replace(self.entering(self.repository), begun_anew=begun_anew)

    def leaving(self) -> SweepPlace:
        """After the last page of the repository."""
        return replace(self, done=self.repository, repository=None, token=None, newest=(), totals=Totals())

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(
            {
                "sweep": self.sweep,
                "done": _text(self.done),
                "repository": _text(self.repository),
                "token": self.token,
                # ECR knows push times to the second; so do we, as there can be 10,000 of them.
                "newest": [int(each.timestamp()) for each in self.newest],
                "totals": self.totals.to_json(),
                "part": self.part,
                "begun_anew": dict(self.begun_anew),
                "checks": self.checks,
                "runs": self.runs,
                "failures": self.failures,
                "report_lost": self.report_lost,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SweepPlace:
        """The inverse of `to_json`."""
        document: dict[str, Any] = json.loads(text)
        return cls(
            sweep=document["sweep"],
            done=_repository(document["done"]),
            repository=_repository(document["repository"]),
            token=document["token"],
            newest=tuple(datetime.fromtimestamp(each, UTC) for each in document["newest"]),
            totals=Totals.from_json(document["totals"]),
            part=document["part"],
            begun_anew=document["begun_anew"],
            checks=document["checks"],
            runs=document["runs"],
            failures=tuple(document["failures"]),
            report_lost=document.get("report_lost"),
        )


class SweepLedger:
    """Lets one function at a time sweep, and remembers how far it came.

    All methods raise botocore's `ClientError` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._table = LedgerTable(client, table_name)

    def claim(
        self, sweep: str | None, *, asked_at: datetime, now: datetime, until: datetime, by: str = ""
    ) -> SweepPlace | None:
        """Take over the sweep that is not finished, or begin one; nobody else gets it before `until`.

        `sweep` is the one to go on with, None any. None is returned where that one is finished, or one was finished
        since `asked_at`: messages can come twice. `by` is the message that asks.

        Raises:
            LeasedToSameMessageError: a function that got the same message is at it.
            LedgerConflictError: another one is.
        """
        item = self._table.get({_SWEEP: _SWEEP})[_SWEEP]
        leased_until, known = time(item, "leased_until"), text(item, "place")
        if leased_until and leased_until > now:
            error = LeasedToSameMessageError if by and by == text(item, "leased_by") else LedgerConflictError
            raise error(f"a sweep is being made, by {leased_until:%Y-%m-%dT%H:%M:%SZ} at the latest")
        finished_at = time(item, "finished_at")
        if not known and finished_at and finished_at >= asked_at:
            return None
        place = SweepPlace.from_json(known) if known else SweepPlace(time_as_text(now))
        if sweep not in (None, place.sweep):
            return None
        place = replace(place, runs=place.runs + 1)
        unchanged = "leased_until = :before" if leased_until else "attribute_not_exists(leased_until)"
        values: dict[str, Value] = {"place": place.to_json(), "until": until, "by": by}
        if leased_until:
            values["before"] = leased_until
        if not self._table.update(
            Update(_SWEEP, "SET place = :place, leased_until = :until, leased_by = :by", values, unchanged)
        ):
            raise LedgerConflictError("another function took the sweep at the same moment")
        return place

    def save(self, place: SweepPlace, *, until: datetime) -> None:
        """Remember how far it is; `until` is what it was claimed with.

        Raises:
            LedgerConflictError: somebody else took over.
        """
        self._change("SET place = :place", {"place": place.to_json()}, until)

    def release(self, *, until: datetime) -> None:
        """Let anybody go on."""
        self._change("REMOVE leased_until, leased_by", {}, until)

    def finish(self, summary: Mapping[str, Any], *, at: datetime, until: datetime) -> None:
        """The sweep is done; the next one begins anew."""
        self._change(
            "SET summary = :summary, finished_at = :at REMOVE leased_until, leased_by, place",
            {"summary": json.dumps(summary), "at": at},
            until,
        )

    def last_summary(self) -> dict[str, Any] | None:
        """What the last sweep that was finished says of itself; None where none was."""
        summary = text(self._table.get({_SWEEP: _SWEEP})[_SWEEP], "summary")
        found: dict[str, Any] | None = json.loads(summary) if summary else None
        return found

    def record_repository(self, sweep: str, repository: Repository, totals: Totals, *, now: datetime) -> None:
        """A repository is done."""
        values: dict[str, Value] = {
            "totals": json.dumps(totals.to_json()),
            "expires_at": int((now + _LIFETIME).timestamp()),
        }
        self._table.put(_swept(sweep), str(repository), values)

    def repositories(self, sweep: str) -> dict[Repository, Totals]:
        """What was counted in each repository that is done."""
        return {
            Repository.parse(item["sk"]["S"]): Totals.from_json(json.loads(item["totals"]["S"]))
            for item in self._table.query(_swept(sweep))
        }

    def _change(self, expression: str, values: Mapping[str, Value], until: datetime) -> None:
        update = Update(_SWEEP, expression, {**values, "until": until}, "leased_until = :until", STATE)
        if not self._table.update(update):
            raise LedgerConflictError("somebody else took over the sweep")


def _text(repository: Repository | None) -> str | None:
    return str(repository) if repository else None


def _repository(text: str | None) -> Repository | None:
    return Repository.parse(text) if text else None


def _swept(sweep: str) -> str:
    return f"SWEPT#{sweep}"
