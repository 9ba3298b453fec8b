"""The digest of removals: what went in some hours, for people to read. It is of bounded length, however much went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.report import dollars_a_month
from ecr_cleanup.settings import Action
from ecr_cleanup.texts import dollars, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# A message of SNS has room for 256 KB: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
_REPOSITORIES, _IMAGES, _LINE = 50, 100, 600
_SUBJECT = 100
# What was decided in the last minutes of an hour may not be written down yet.
_WRITTEN_AFTER = timedelta(minutes=5)
_FIRST, _MOST = timedelta(days=1), timedelta(days=31)
_DONE = {Action.DELETE.value: "deleted", Action.ARCHIVE.value: "archived"}


def hours_to_tell_of(sent_until: datetime | None, now: datetime) -> list[datetime]:
    """The beginnings of the hours that are over and that no digest told of, a month of them at most.

    The first digest tells of the last day.
    """
    until = (now - _WRITTEN_AFTER).replace(minute=0, second=0, microsecond=0)
    since = max(sent_until or until - _FIRST, until - _MOST)
    return [since + timedelta(hours=n) for n in range(round((until - since) / timedelta(hours=1)))]


@dataclass
class Digest:
    """What was removed from `since` until `until`; the images are given one by one to `add`."""

    installation: str
    account: str
    since: datetime
    until: datetime
    _seen: set[tuple[str, str, str, str]] = field(default_factory=set, repr=False)
    _images: Counter[str] = field(default_factory=Counter, repr=False)
    _bytes: Counter[str] = field(default_factory=Counter, repr=False)
    _repositories: dict[str, Counter[str]] = field(default_factory=dict, repr=False)
    _lines: list[str] = field(default_factory=list, repr=False)

    @property
    def images(self) -> int:
        """How many were removed."""
        return self._images.total()

    def add(self, facts: Mapping[str, Any]) -> None:
        """Take one removal, as the ledger has it; what is there twice is one."""
        repository = f"{facts['region']}/{facts['repository']}"
        done = _DONE[facts["action"]]
        key = (facts["region"], facts["repository"], facts["digest"], done)
        if key in self._seen:
            return
        self._seen.add(key)
        self._images[done] += 1
        self._bytes[done] += facts["sizeBytes"]
        self._repositories.setdefault(repository, Counter())[done] += 1
        if len(self._lines) < _IMAGES:
            tags = ", ".join(facts["tags"]) or "no tag"
            line = f"{done} {repository} ({tags}) {facts['digest']}, {size(facts['sizeBytes'])}: {facts['reason']}"
            self._lines.append(_one_line(line))

    @property
    def subject(self) -> str:
        """The subject of the message: ASCII, in one line, up to 100 characters."""
        return f"{self.installation}: {self._counted(self._images) or 'nothing was removed'}"[:_SUBJECT]

    @property
    def text(self) -> str:
        """The message."""
        window = f"from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        parts = [f"What {self.installation} removed in account {self.account} {window}: "]
        if not self.images:
            return f"{parts[0]}nothing.\n"
        deleted = self._bytes["deleted"]
        parts[0] += f"{self._counted(self._images)}."
        if deleted:
            parts[0] += (
                f" The deleted ones had {size(deleted)}, at most {dollars(dollars_a_month(deleted))} a month; layers "
                "that others share are counted in."
            )
        most = sorted(self._repositories.items(), key=lambda each: (-each[1].total(), each[0]))
        repositories = [f"{name}: {self._counted(counts)}" for name, counts in most[:_REPOSITORIES]]
        parts.append("By repository\n" + "\n".join(repositories + _and_more(len(most) - _REPOSITORIES)))
        parts.append("Images\n" + "\n".join(self._lines + _and_more(self.images - len(self._lines))))
        parts.append(
            f"All of them, with who had used them and how to restore what was archived: the saved query "
            f'{self.installation}/removals in CloudWatch Logs Insights. To stop all removals: action = "report".'
        )
        return "\n\n".join(parts) + "\n"

    def _counted(self, counts: Counter[str]) -> str:
        return ", ".join(
            f"{count:,} {'image' if count == 1 else 'images'} {done}" for done, count in sorted(counts.items()) if count
        )


def _and_more(count: int) -> list[str]:
    return [f"and {count:,} more"] if count > 0 else []


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LINE]
