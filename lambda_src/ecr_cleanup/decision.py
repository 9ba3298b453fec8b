"""The rules: one pure function from what is known about an image to a verdict with a reason.

The first rule that speaks wins. A further rule is a function and its place in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecr_cleanup.image import Image, ImageId
    from ecr_cleanup.inventory import TrustProblem, Usage
    from ecr_cleanup.settings import OptInTag

_NAMED = 3
_FIRST_RETRY = timedelta(minutes=15)
_LONGEST_RETRY = timedelta(hours=24)


class Verdict(Enum):
    """The answer for one image."""

    REMOVE = "remove"
    KEEP = "keep"
    POSTPONE = "postpone"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rules may look at.

    `image` is None if the registry has it no more, `repository_tags` is None if it has the repository no more.
    `users` are those that the inventory names, less those that the ledger knows to be inactive. `last_used_at` is
    None where no use is known. `attempt` counts the postponements before this one.
    """

    image_id: ImageId
    image: Image | None
    repository_tags: Mapping[str, str] | None
    users: tuple[Usage, ...]
    problems: tuple[TrustProblem, ...]
    last_used_at: datetime | None
    attempt: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner of the installation set."""

    opt_in_tag: OptInTag
    grace_period: timedelta


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, the rule that gave it, and the reason in words.

    `until` is when to ask again, for `postpone`. `attempt` is what the check carries then.
    """

    verdict: Verdict
    rule: str
    reason: str
    until: datetime | None = None
    attempt: int = 0


Rule = Callable[[Evidence, Policy], Decision | None]


def gone(evidence: Evidence, _: Policy) -> Decision | None:
    """The image is not there any more."""
    if evidence.image is None or evidence.repository_tags is None:
        return Decision(Verdict.GONE, "gone", "the image is not in the registry any more")
    return None


def not_opted_in(evidence: Evidence, policy: Policy) -> Decision | None:
    """The owner of the repository did not ask for clean-up."""
    tag = policy.opt_in_tag
    value = (evidence.repository_tags or {}).get(tag.key)
    if value == tag.value:
        return None
    found = "it has no such tag" if value is None else f"its value is {value}"
    return Decision(
        Verdict.KEEP,
        "not_opted_in",
        f"the repository is not opted in with the tag {tag.key} = {tag.value}: {found}",
    )


def in_use(evidence: Evidence, _: Policy) -> Decision | None:
    """Somebody refers to the image."""
    if not evidence.users:
        return None
    # One consumer can hold the image by several references, and be known from several sources.
    by_arn = {usage.arn: usage for usage in evidence.users}
    named = ", ".join(str(usage) for usage in list(by_arn.values())[:_NAMED])
    more = f" and {len(by_arn) - _NAMED} more" if len(by_arn) > _NAMED else ""
    return Decision(Verdict.KEEP, "in_use", f"used by {named}{more}")


def inventory_not_trusted(evidence: Evidence, _: Policy) -> Decision | None:
    """Nobody refers to the image, but not everybody was asked."""
    if not evidence.problems:
        return None
    named = "; ".join(str(problem) for problem in evidence.problems[:_NAMED])
    more = f"; and {len(evidence.problems) - _NAMED} more" if len(evidence.problems) > _NAMED else ""
    return postponed_for_trouble(
        "inventory_not_trusted",
        f"the inventory cannot be trusted: {named}{more}",
        attempt=evidence.attempt,
        now=evidence.now,
    )


def within_grace_period(evidence: Evidence, policy: Policy) -> Decision | None:
    """The image was used so recently that a rollback may still want it."""
    if evidence.last_used_at is None or evidence.image is None:
        # The image has been watched for no time at all.
        reason = f"no use of it is known; it is watched for the grace period of {policy.grace_period} from now"
        return Decision(Verdict.POSTPONE, "within_grace_period", reason, evidence.now + policy.grace_period)
    # An event can come late, and be about a tag that has moved to a new image since.
    since, what = max((evidence.last_used_at, "last used"), (evidence.image.pushed_at, "pushed"))
    until = since + policy.grace_period
    if until <= evidence.now:
        return None
    reason = f"{what} at {since:%Y-%m-%dT%H:%M:%SZ}, less than the grace period of {policy.grace_period} ago"
    return Decision(Verdict.POSTPONE, "within_grace_period", reason, until)


RULES: tuple[Rule, ...] = (gone, not_opted_in, in_use, inventory_not_trusted, within_grace_period)


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Judge one image: the first rule that speaks, or `remove` where none does."""
    for rule in RULES:
        decision = rule(evidence, policy)
        if decision:
            return decision
    return Decision(
        Verdict.REMOVE,
        "unused",
        f"no usage is known, and none was since {evidence.last_used_at:%Y-%m-%dT%H:%M:%SZ}",
    )


def postponed_for_trouble(rule: str, reason: str, *, attempt: int, now: datetime) -> Decision:
    """A postponement because something does not work: after 15 minutes first, and at growing intervals up to a day."""
    # A count from a message is not to be trusted with an exponent.
    wait = min(_FIRST_RETRY * 2 ** min(attempt, 10), _LONGEST_RETRY)
    return Decision(Verdict.POSTPONE, rule, reason, now + wait, attempt + 1)
