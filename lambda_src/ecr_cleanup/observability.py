"""Logs, metrics and traces. Names of metrics and log fields are an interface: alarms and saved queries use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ecr_cleanup.decision import Verdict
from ecr_cleanup.image import ImageStatus
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ecr_cleanup.aws.sweep_ledger import SweepPlace
    from ecr_cleanup.checking import Answer
    from ecr_cleanup.events import PushEvent, TaskDefinitionEvent
    from ecr_cleanup.image import Repository
    from ecr_cleanup.inventory import TrustProblem
    from ecr_cleanup.report import Totals
    from ecr_cleanup.scheduling import Outcome
    from ecr_cleanup.silence import Silence

_METRICS = {Action.DELETE: "ImagesRemoved", Action.ARCHIVE: "ImagesArchived"}
_VERDICT_METRICS = {
    Verdict.REMOVE: "ImagesReported",
    Verdict.KEEP: "ImagesKept",
    Verdict.POSTPONE: "ChecksPostponed",
    Verdict.GONE: "ImagesGone",
}

_NAMESPACE = "EcrCleanup"
# Of an organisation with thousands of accounts, those that were silent for longest.
_SILENT_ACCOUNTS = 100

logger = Logger()
metrics = Metrics(namespace=_NAMESPACE)
tracer = Tracer()


def count(name: str, value: int = 1) -> None:
    """Add to a metric that counts."""
    metrics.add_metric(name, MetricUnit.Count, value)


def report_event(event: TaskDefinitionEvent, outcome: Outcome) -> None:
    """One line per event, without anything of its container definitions but digests."""
    scheduled = {str(image_id): due.isoformat() for image_id, due in outcome.images.items() if due}
    count("ChecksScheduled", len(scheduled))
    logger.info(
        "task definition %s",
        outcome.change.value,
        extra={
            "task_definition": event.arn or event.family_arn,
            "account": event.place.account,
            "account_region": event.place.region,
            "occurred_at": event.occurred_at.isoformat(),
            "images": [str(image_id) for image_id in outcome.images],
            "scheduled": scheduled,
            "not_opted_in": [str(image_id) for image_id in outcome.not_opted_in],
        },
    )
    # An event can come twice, and such a line say the same again: rather than never.
    for image_id in outcome.archived:
        count("ArchivedImagesUsed")
        repository = image_id.repository
        logger.warning(
            "archived image used",
            extra={
                "task_definition": event.arn or event.family_arn,
                "account": event.place.account,
                "account_region": event.place.region,
                "registry": repository.registry_id,
                "registry_region": repository.region,
                "repository": repository.name,
                "digest": image_id.digest,
                "reason": "a task definition was registered with an image that is in the archive and cannot be pulled",
                "repair": f"aws ecr update-image-storage-class --region {repository.region} "
                f"--registry-id {repository.registry_id} --repository-name {repository.name} "
                f"--image-id imageDigest={image_id.digest} --target-storage-class STANDARD",
            },
        )


def report_push(event: PushEvent) -> None:
    """One line per tag that was given to an image."""
    logger.info(
        "image pushed",
        extra={
            "registry": event.repository.registry_id,
            "registry_region": event.repository.region,
            "repository": event.repository.name,
            "digest": event.digest,
            "tags": [event.tag],
            "occurred_at": event.occurred_at.isoformat(),
        },
    )


def report_problems(problems: Sequence[TrustProblem]) -> None:
    """One line per reason not to trust the inventory, and a metric that is there whenever that was found out."""
    count("InventoryProblems", len(problems))
    for problem in problems:
        logger.warning(
            "inventory not trusted",
            extra={
                "account": problem.place.account if problem.place else None,
                "account_region": problem.place.region if problem.place else None,
                "reason": problem.reason,
                "repair": problem.repair,
            },
        )


def report_answer(answer: Answer) -> None:
    """One line per verdict; of a removal, it has all that is on record."""
    decision, image, image_id = answer.decision, answer.image, answer.check.image_id
    count(_METRICS[answer.done] if answer.done else _VERDICT_METRICS[decision.verdict])
    if decision.attempt:
        # A batch has many checks, and the one that waits for longest is to be seen.
        count("CheckAttempts", decision.attempt)
    if decision.rule == "cap_reached":
        count("RemovalsCapped")
    if decision.rule == "in_use" and image and image.status is not ImageStatus.ACTIVE:
        count("ArchivedImagesUsed")
    if answer.done is Action.DELETE and image:
        metrics.add_metric("BytesRemoved", MetricUnit.Bytes, image.size_bytes)
    removal = answer.removal or {}
    logger.info(
        "verdict %s",
        decision.verdict.value,
        extra={
            "verdict": decision.verdict.value,
            "removed": answer.done is not None,
            "action": answer.done.value if answer.done else None,
            "rule": decision.rule,
            "reason": removal.get("reason", decision.reason),
            "registry": image_id.repository.registry_id,
            "registry_region": image_id.repository.region,
            "repository": image_id.repository.name,
            "digest": image_id.digest,
            "tags": removal.get("tags", sorted(image.tags) if image else []),
            "bytes": removal.get("sizeBytes", image.size_bytes if image else None),
            "pushed_at": removal.get("pushedAt", image.pushed_at.isoformat() if image else None),
            "pulled_at": removal.get("lastPulledAt", _iso(image.last_pulled_at) if image else None),
            "last_used_at": removal.get("lastUsedAt"),
            "used_by": removal.get("usedBy", []),
            "parts": removal.get("parts", []),
            "restore": removal.get("restore"),
            "inventory_age_seconds": removal.get("inventoryAgeSeconds"),
            "inventory_usages": removal.get("inventoryUsages"),
            "inventory_places": removal.get("inventoryPlaces"),
            "users": sorted({usage.arn for usage in answer.users}),
            "user_sources": sorted({usage.source.value for usage in answer.users}),
            "cause": answer.check.cause,
            "attempt": answer.check.attempt,
            "next_check_at": _iso(answer.next_check_at),
        },
    )


def report_sweep(
    place: SweepPlace, repositories: Mapping[Repository, Totals], published: Sequence[str], *, per_repository: bool
) -> None:
    """One line for a sweep that is finished, and one for each of its repositories; what it counted, as metrics."""
    from ecr_cleanup.report import total  # the other functions make no reports

    everything = total(repositories.values())
    count("RepositoriesSwept", len(repositories))
    count("RepositoriesFailed", len(place.failures))
    count("ChecksScheduled", place.checks)
    _stored(everything, {})
    for rule, kept in everything.kept.items():
        own = _with_dimensions({"rule": rule})
        own.add_metric("SweptImagesKept", MetricUnit.Count, kept.images)
        own.flush_metrics()
    for repository, totals in repositories.items():
        names = {"registry_region": repository.region, "repository": repository.name}
        logger.info(
            "repository swept",
            extra={**names, **totals.figures(), "kept_by_rule": totals.kept_by_rule()},
        )
        if per_repository:
            _stored(totals, names)
    for failure in place.failures:
        logger.error("repository not swept", extra={"reason": failure})
    logger.info(
        "sweep finished",
        extra={
            "sweep": place.sweep,
            "runs": place.runs,
            "repositories": len(repositories),
            "checks": place.checks,
            **everything.figures(),
            "kept_by_rule": everything.kept_by_rule(),
            "reports": list(published),
        },
    )


def report_silence(silences: Sequence[Silence]) -> None:
    """How long the account was silent of which nothing was heard for longest, and one line for each that is silent."""
    count("DaysSinceLastEvent", max((silence.days for silence in silences), default=0))
    for silence in silences[:_SILENT_ACCOUNTS]:
        logger.info(
            "account heard of",
            extra={
                "account": silence.account,
                "days": silence.days,
                "last_event_at": _iso(silence.last_event_at),
                "expected_since": _iso(silence.expected_since),
            },
        )


def _stored(totals: Totals, dimensions: Mapping[str, str]) -> None:
    own = _with_dimensions(dimensions)
    own.add_metric("ImagesStored", MetricUnit.Count, totals.all.images)
    own.add_metric("BytesStored", MetricUnit.Bytes, totals.all.bytes)
    own.add_metric("ImagesReclaimable", MetricUnit.Count, totals.reclaimable.images)
    own.add_metric("BytesReclaimable", MetricUnit.Bytes, totals.reclaimable.bytes)
    own.flush_metrics()


def _with_dimensions(dimensions: Mapping[str, str]) -> EphemeralMetrics:
    """Metrics under dimensions of their own; the name of the service is one of them by itself."""
    own = EphemeralMetrics(namespace=_NAMESPACE)
    for name, value in dimensions.items():
        own.add_dimension(name, value)
    return own


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
