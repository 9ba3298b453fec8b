"""What a look at the registry found, counted and as JSON: the format of reports, described in docs/report.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ecr_cleanup.decision import Verdict
from ecr_cleanup.image import ImageStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ecr_cleanup.image import Repository
    from ecr_cleanup.inventory import TrustProblem
    from ecr_cleanup.settings import CheckSettings
    from ecr_cleanup.survey import Judged

VERSION = 1
DOLLARS_PER_GB_MONTH = 0.1
"""https://aws.amazon.com/ecr/pricing/ (storage of private repositories, the same for the archive below 150 TB)."""
_BYTES_PER_GB = 1_000_000_000
# An image can have thousands of users, and a report thousands of images.
_USERS_NAMED = 20


@dataclass
class Count:
    """Images, and how much ECR says they store: shared layers with each, so that the sum is at most that."""

    images: int = 0
    bytes: int = 0

    def add(self, images: int, size_bytes: int) -> None:
        """Count more."""
        self.images += images
        self.bytes += size_bytes


@dataclass
class Totals:
    """What was found in one repository, or in all.

    `reclaimable` are images that look unused, `archived` those in ECR's archive. `kept` is by the rule that keeps an
    image or makes it wait.
    """

    all: Count = field(default_factory=Count)
    reclaimable: Count = field(default_factory=Count)
    archived: Count = field(default_factory=Count)
    kept: dict[str, Count] = field(default_factory=dict)

    def take(self, judged: Judged) -> None:
        """Count one image."""
        size = judged.image.size_bytes
        self.all.add(1, size)
        if judged.image.status is ImageStatus.ARCHIVED:
            self.archived.add(1, size)
        if judged.looks_unused:
            self.reclaimable.add(1, size)
        else:
            self.kept.setdefault(judged.decision.rule, Count()).add(1, size)

    def add(self, other: Totals) -> None:
        """Count what another repository has."""
        for own, more in (
            (self.all, other.all),
            (self.reclaimable, other.reclaimable),
            (self.archived, other.archived),
        ):
            own.add(more.images, more.bytes)
        for rule, more in other.kept.items():
            self.kept.setdefault(rule, Count()).add(more.images, more.bytes)

    def figures(self) -> dict[str, int]:
        """The counts as reports name them."""
        return {
            "images": self.all.images,
            "bytes": self.all.bytes,
            "reclaimable_images": self.reclaimable.images,
            "reclaimable_bytes": self.reclaimable.bytes,
            "archived_images": self.archived.images,
            "archived_bytes": self.archived.bytes,
        }

    def kept_by_rule(self) -> list[dict[str, Any]]:
        """What keeps images, the most of them first."""
        kept = sorted(self.kept.items(), key=lambda each: (-each[1].bytes, each[0]))
        return [{"rule": rule, "images": count.images, "bytes": count.bytes} for rule, count in kept]

    def to_json(self) -> dict[str, Any]:
        """All of it, as `from_json` takes it."""
        return {**self.figures(), "kept_by_rule": self.kept_by_rule()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            Count(document["images"], document["bytes"]),
            Count(document["reclaimable_images"], document["reclaimable_bytes"]),
            Count(document["archived_images"], document["archived_bytes"]),
            {each["rule"]: Count(each["images"], each["bytes"]) for each in document["kept_by_rule"]},
        )


def total(some: Iterable[Totals]) -> Totals:
    """What several repositories have together."""
    together = Totals()
    for each in some:
        together.add(each)
    return together


def dollars_a_month(size_bytes: int) -> float:
    """What so much storage costs."""
    return size_bytes / _BYTES_PER_GB * DOLLARS_PER_GB_MONTH


def image_row(judged: Judged) -> dict[str, Any]:
    """One image as a report has it."""
    image, evidence = judged.image, judged.evidence
    users = {usage.arn: usage for usage in judged.users}
    reason = "; ".join((judged.decision.reason, *judged.doubts))
    return {
        "repository": image.id.repository.name,
        "region": image.id.repository.region,
        "digest": image.id.digest,
        "tags": sorted(image.tags),
        "bytes": image.size_bytes,
        "pushed_at": iso(image.pushed_at),
        "pulled_at": iso(image.last_pulled_at),
        "last_used_at": iso(evidence.last_used_at),
        "archived": image.status is ImageStatus.ARCHIVED,
        "verdict": judged.decision.verdict.value,
        "rule": judged.decision.rule,
        "reason": reason,
        "certain": judged.decision.verdict is not Verdict.REMOVE or not judged.doubts,
        "users": sorted(users)[:_USERS_NAMED],
        "accounts": sorted({usage.place.account for usage in users.values()}),
    }


def report_head(
    settings: CheckSettings,
    *,
    installation: str,
    generated_at: datetime,
    problems: Iterable[TrustProblem],
    asked_what_runs: bool,
    repositories: Mapping[Repository, Totals],
    failures: Iterable[str] = (),
    assumed_opted_in: bool = False,
    images_left_out: int = 0,
) -> dict[str, Any]:
    """A report but for its `images`."""
    trouble = [
        {
            "account": problem.place.account if problem.place else None,
            "region": problem.place.region if problem.place else None,
            "reason": problem.reason,
            "repair": problem.repair,
        }
        for problem in problems
    ]
    together = total(repositories.values())
    return {
        "version": VERSION,
        "generated_at": iso(generated_at),
        "installation": installation,
        "registry": settings.registry_id,
        "action": settings.action.value,
        "dollars_per_gb_month": DOLLARS_PER_GB_MONTH,
        "trusted": not trouble,
        "problems": trouble,
        "failures": list(failures),
        "asked_what_runs": asked_what_runs,
        "assumed_opted_in": assumed_opted_in,
        "totals": together.figures(),
        "kept_by_rule": together.kept_by_rule(),
        "repositories": [
            {"repository": repository.name, "region": repository.region, **totals.figures()}
            for repository, totals in sorted(repositories.items())
        ],
        "images_left_out": images_left_out,
    }


def iso(time: datetime | None) -> str | None:
    """A time in UTC as reports write it."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else None
