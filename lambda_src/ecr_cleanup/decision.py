"""The rules: one pure function from what is known about an image to a verdict with a reason.

The first rule that speaks wins. A further rule is a function and its place in `RULES`. A rule that needs to know what
nobody looked up yet asks a question; whoever decides finds the answer and decides again. So what costs calls is read
only for images that come as far as needing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.image import ImageStatus
from ecr_cleanup.manifest import REFERRER_TAG, Manifest, ManifestKind, is_image_configuration
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from ecr_cleanup.image import Image, ImageId
    from ecr_cleanup.inventory import TrustProblem, Usage
    from ecr_cleanup.policy import Policy

_NAMED = 3
_FIRST_RETRY = timedelta(minutes=15)
_LONGEST_RETRY = timedelta(hours=24)
# How often to ask again about a use of whose end no event tells.
_HOLDING_INTERVAL = timedelta(days=1)


class Verdict(Enum):
    """The answer for one image."""

    REMOVE = "remove"
    KEEP = "keep"
    POSTPONE = "postpone"
    GONE = "gone"


class Question(Enum):
    """What a rule needs to know before it can speak."""

    USERS = "who uses the image?"
    RUNNING = "what runs right now in the accounts?"
    PINS = "which usages may run it under a tag that has moved?"
    NEWER_IMAGES = "how many images of the repository are newer?"
    MANIFEST = "what is it, and which indexes hold it?"
    REMOVALS_LEFT = "how many more images may go today?"


class Evidence(NamedTuple):
    """All that the rules may look at.

    `image` is None if the registry has it no more, `repository_tags` is None if it has the repository no more.
    `last_used_at` is None where no use is known; `watched_since` is when somebody first asked about such an image.
    `last_pulled_at` leaves out our own reads. `archived_at` is when this installation archived it. `attempt` counts
    the postponements for trouble before this one.

    The others are None until somebody looked: `users` are those that the inventory names, less those that the ledger
    knows to be inactive, with `problems` of the inventory; both have what the accounts themselves said where they were
    `asked`. `pins` are usages that may run the image under a tag that has moved since; `newer_images` counts; `parents`
    are the digests of indexes that hold it, as far as that matters.
    """

    image_id: ImageId
    image: Image | None
    repository_tags: Mapping[str, str] | None
    attempt: int
    now: datetime
    last_used_at: datetime | None = None
    watched_since: datetime | None = None
    last_pulled_at: datetime | None = None
    archived_at: datetime | None = None
    users: tuple[Usage, ...] | None = None
    problems: tuple[TrustProblem, ...] = ()
    asked: bool = False
    pins: tuple[Usage, ...] | None = None
    newer_images: int | None = None
    manifest: Manifest | None = None
    parents: tuple[str, ...] = ()
    removals_left: int | None = None


class Decision(NamedTuple):
    """A verdict, the rule that gave it, and the reason in words.

    `until` is when to ask again. `attempt` is what the check carries then.
    """

    verdict: Verdict
    rule: str
    why: str | Callable[[], str]
    """The reason, or what puts it into words: a sweep gives millions of verdicts whose reasons nobody asks for."""
    until: datetime | None = None
    attempt: int = 0

    @property
    def reason(self) -> str:
        """Why, for people."""
        return self.why if isinstance(self.why, str) else self.why()


Rule = Callable[["Image", Evidence, "Policy"], Decision | Question | None]


def _keep(rule: str, why: str | Callable[[], str], until: datetime | None = None) -> Decision:
    return Decision(Verdict.KEEP, rule, why, until)


def _wait(rule: str, why: Callable[[], str], until: datetime, evidence: Evidence) -> Decision | None:
    return Decision(Verdict.POSTPONE, rule, why, until) if until > evidence.now else None


def not_opted_in(_: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """The owner of the repository did not ask for clean-up."""
    tag = policy.opt_in_tag
    value = (evidence.repository_tags or {}).get(tag.key)
    if value == tag.value:
        return None
    found = "it has no such tag" if value is None else f"its value is {value}"
    reason = f"the repository is not opted in with the tag {tag.key} = {tag.value}: {found}"
    return _keep("not_opted_in", reason)


def repository_settings_invalid(_: Image, __: Evidence, policy: Policy) -> Decision | None:
    """The owner asked for something that cannot be understood."""
    if not policy.complaints:
        return None
    return _keep("repository_settings_invalid", f"tags of the repository make no sense: {'; '.join(policy.complaints)}")


def not_an_image(image: Image, evidence: Evidence, _: Policy) -> Decision | None:
    """It is a chart, a cache or a signature, as far as that can be seen without reading its manifest."""
    if image.subject:
        return _keep("not_an_image", f"it refers to {image.subject}, and goes with it")
    if image.tags and all(map(REFERRER_TAG.fullmatch, image.tags)):
        return _keep("not_an_image", f"its tag {min(image.tags)} is one of signatures, which go with what they are for")
    # An index has no configuration; what it is, its manifest says.
    if image.artifact_type and not image.is_index and not is_image_configuration(image.artifact_type):
        return _keep("not_an_image", f"it is an artifact of the type {image.artifact_type}, not an image")
    if evidence.manifest and evidence.manifest.kind is ManifestKind.ARTIFACT:
        return _keep(
            "not_an_image", f"its manifest is one of an artifact ({evidence.manifest.artifact_type}), not an image"
        )
    return None


def in_use(image: Image, evidence: Evidence, _: Policy) -> Decision | Question | None:
    """Somebody refers to the image."""
    users = evidence.users
    if users is None:
        return Question.USERS
    if not users:
        return None
    # Events tell only of task definitions: whatever else uses it must be watched.
    told = any(usage.kind == "task definition" for usage in users)
    archived = " although it is archived and cannot be pulled" if image.status is not ImageStatus.ACTIVE else ""
    until = None if told else evidence.now + _HOLDING_INTERVAL
    return _keep("in_use", lambda: f"used{archived} by {_named(users)}", until)


def inventory_not_trusted(_: Image, evidence: Evidence, __: Policy) -> Decision | None:
    """Nobody refers to the image, but not everybody was asked."""
    if not evidence.problems:
        return None
    named = "; ".join(map(str, evidence.problems[:_NAMED]))
    more = f"; and {len(evidence.problems) - _NAMED} more" if len(evidence.problems) > _NAMED else ""
    return postponed_for_trouble(
        "inventory_not_trusted",
        f"the inventory cannot be trusted: {named}{more}",
        attempt=evidence.attempt,
        now=evidence.now,
    )


def may_be_running(_: Image, evidence: Evidence, policy: Policy) -> Question | None:
    """Nothing else keeps it: ask the accounts what runs, upon which `in_use` or `inventory_not_trusted` may speak."""
    return Question.RUNNING if policy.live_usage and not evidence.asked else None


def may_be_pinned(image: Image, evidence: Evidence, policy: Policy) -> Decision | Question | None:
    """A task can run the image under a tag that has moved: Amazon ECS resolves tags once per deployment.

    Of usages that live usage answered for, only those count whose digest it could not tell.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html#deployment-container-image-stability
    """
    if policy.protections.tags_never_move:
        return None
    if evidence.pins is None:
        return Question.PINS
    if not evidence.pins:
        return None
    why = "tags of the repository can move" if image.tags else "it has lost its tag"
    if policy.live_usage:
        # No event tells when a task that is starting, or a deployment, knows its images.
        return _keep(
            "may_be_pinned",
            f"{why}, and the accounts do not say which image runs, so that it may run under a tag of "
            f"{_named(evidence.pins)}; deploy that anew with the deployment controller ECS, make the repository's tags "
            "IMMUTABLE, or declare that they never move (protections.tags_never_move, or the repository's tag "
            "ecr-cleanup:tags-move = never)",
            evidence.now + _HOLDING_INTERVAL,
        )
    return _keep(
        "may_be_pinned",
        f"{why}, so that it may run under a tag of {_named(evidence.pins)}; ask the accounts "
        "what runs (live usage), make the repository's tags IMMUTABLE, or declare that they never move "
        "(protections.tags_never_move, or the repository's tag ecr-cleanup:tags-move = never)",
    )


def untagged(image: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """An untagged image may be part of another, or run under a tag that has moved."""
    if image.tags:
        return None
    if policy.live_usage:
        age = policy.protections.untagged_minimum_age
        times = [(image.pushed_at, "pushed"), *([(at, "pulled")] if (at := evidence.last_pulled_at) else [])]
        since, what = max(times)
        return _wait(
            "untagged",
            lambda: f"it is untagged, and was {what} at {_text(since)}, less than {age} ago",
            since + age,
            evidence,
        )
    reason = "it is untagged: it can be part of an index, or run under a tag that it had, and nobody asked what runs"
    return _keep("untagged", reason)


def protected_tag(image: Image, _: Evidence, policy: Policy) -> Decision | None:
    """One of its tags is protected, and with it the image, whatever its other tags are."""
    for pattern in policy.protections.tag_patterns:
        for tag in sorted(image.tags):
            if matches(tag, pattern):
                return _keep("protected_tag", f"its tag {tag} is protected by the pattern {pattern}")
    return None


def newest(_: Image, evidence: Evidence, policy: Policy) -> Decision | Question | None:
    """It is among the newest images of its repository."""
    count = policy.protections.newest
    if count == 0:
        return None
    if evidence.newer_images is None:
        return Question.NEWER_IMAGES
    if evidence.newer_images >= count:
        return None
    return _keep("newest", f"it is among the newest {count} of its repository: {evidence.newer_images} are newer")


def within_grace_period(image: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """The image was used so recently that a rollback may still want it."""
    known = evidence.last_used_at or evidence.watched_since or evidence.now
    # The same image can have been removed and pushed again since; and an event can come late, and be about a tag that
    # has moved to a new image.
    since = max(known, image.pushed_at)
    until = since + policy.grace_period
    if until <= evidence.now:
        return None
    return Decision(Verdict.POSTPONE, "within_grace_period", partial(_since, since, image, evidence, policy), until)


def _since(since: datetime, image: Image, evidence: Evidence, policy: Policy) -> str:
    """What a grace period counts from."""
    pushed = since == image.pushed_at
    if evidence.last_used_at:
        what = "pushed" if pushed else "last used"
        return f"{what} at {_text(since)}, less than the grace period of {policy.grace_period} ago"
    what = "it was pushed at" if pushed else "it is watched since"
    return f"no use of it is known, and {what} {_text(since)}, less than the grace period of {policy.grace_period}"


def too_young(image: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """No use is known: it may be waiting for its first deployment, or be what builds start from."""
    if evidence.last_used_at is not None:
        return None
    age, pulled_within = policy.protections.minimum_age, policy.protections.never_used_pulled_within
    waits = _wait(
        "too_young",
        lambda: f"no use of it is known, and it was pushed at {_text(image.pushed_at)}, less than {age} ago",
        image.pushed_at + age,
        evidence,
    )
    pulled_at = evidence.last_pulled_at
    if waits or pulled_at is None:
        return waits
    return _wait(
        "too_young",
        lambda: f"no use of it is known, but it was pulled at {_text(pulled_at)}, less than {pulled_within} ago",
        pulled_at + pulled_within,
        evidence,
    )


def pulled_recently(_: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """Somebody pulled it whom nobody knows."""
    pulled_at = evidence.last_pulled_at
    if pulled_at is None:
        return None
    return _wait(
        "pulled_recently",
        lambda: f"pulled at {_text(pulled_at)}, less than {policy.pulled_within} ago",
        pulled_at + policy.pulled_within,
        evidence,
    )


def archived(image: Image, evidence: Evidence, policy: Policy) -> Decision | None:
    """It is in the archive, from where it goes for good after a while."""
    if image.status is ImageStatus.ACTIVE:
        return None
    if image.status is ImageStatus.ACTIVATING:
        return postponed_for_trouble(
            "archived", "it is being restored from the archive", attempt=evidence.attempt, now=evidence.now
        )
    if evidence.archived_at is None:
        return _keep("archived", "somebody else put it into the archive")
    archived_at = evidence.archived_at
    return _wait(
        "archived",
        lambda: f"archived at {_text(archived_at)}, less than {policy.archive_period} ago",
        archived_at + policy.archive_period,
        evidence,
    )


def held_by_an_index(_: Image, evidence: Evidence, policy: Policy) -> Decision | Question | None:
    """An index that lives contains it. Its manifest, which may say that it is no image at all, is read here."""
    if policy.action is Action.REPORT:
        return None  # reading a manifest counts as a pull
    if evidence.manifest is None:
        return Question.MANIFEST
    if not evidence.parents:
        return None
    return _keep("held_by_an_index", f"the index {evidence.parents[0]} of the repository contains it")


def cap_reached(_: Image, evidence: Evidence, policy: Policy) -> Decision | Question | None:
    """As many images were removed in the last 24 hours as may be."""
    if policy.action is Action.REPORT:
        return None
    if evidence.removals_left is None:
        return Question.REMOVALS_LEFT
    if evidence.removals_left > 0:
        return None
    return capped(evidence.now)


RULES: tuple[Rule, ...] = (
    not_opted_in,
    repository_settings_invalid,
    not_an_image,
    in_use,
    inventory_not_trusted,
    protected_tag,
    newest,
    within_grace_period,
    too_young,
    pulled_recently,
    archived,
    may_be_running,
    may_be_pinned,
    untagged,
    held_by_an_index,
    cap_reached,
)


def decide(evidence: Evidence, policy: Policy) -> Decision | Question:
    """Judge one image: the first rule that speaks or asks, `gone` where there is none to judge, else `remove`."""
    image = evidence.image
    if image is None or evidence.repository_tags is None:
        return Decision(Verdict.GONE, "gone", "the image is not in the registry any more")
    for rule in RULES:
        answer = rule(image, evidence, policy)
        if answer:
            return answer
    return Decision(Verdict.REMOVE, "unused", lambda: _unused(image, evidence))


def _unused(image: Image, evidence: Evidence) -> str:
    """What is said of an image of which no rule speaks."""
    if evidence.last_used_at is None:
        known = f"no use of it was ever known, and it was pushed at {_text(image.pushed_at)}"
    else:
        known = f"nobody uses it, and its last known use was at {_text(evidence.last_used_at)}"
    if not image.tags and evidence.manifest is None:
        known += "; whether an index contains it is looked at before it is removed"
    return known


def in_use_by_part(users: Mapping[str, tuple[Usage, ...]], now: datetime) -> Decision:
    """What belongs to an image runs right now; `users` are those of each part, by its digest, and there is one."""
    part = min(users)
    return _keep("in_use", f"its part {part} is used by {_named(users[part])}", now + _HOLDING_INTERVAL)


def postponed_for_trouble(rule: str, reason: str, *, attempt: int, now: datetime) -> Decision:
    """A postponement because something does not work: after 15 minutes first, and at growing intervals up to a day."""
    # A count from a message is not to be trusted with an exponent.
    wait = min(_FIRST_RETRY * 2 ** min(attempt, 10), _LONGEST_RETRY)
    return Decision(Verdict.POSTPONE, rule, reason, now + wait, attempt + 1)


def capped(now: datetime) -> Decision:
    """A postponement because enough was removed for one day. It is counted by the hour."""
    next_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    reason = "the cap on removals of the last 24 hours is reached (protections.removals_per_day)"
    return Decision(Verdict.POSTPONE, "cap_reached", reason, next_hour)


def matches(tag: str, pattern: str) -> bool:
    """Whether a tag matches a pattern in which `*` stands for any characters, and nothing else for anything."""
    return fnmatchcase(tag, pattern)


def _named(usages: tuple[Usage, ...]) -> str:
    """The first few consumers: one can hold an image by several references, and be known from several sources."""
    by_arn = {usage.arn: usage for usage in usages}
    more = f" and {len(by_arn) - _NAMED} more" if len(by_arn) > _NAMED else ""
    return ", ".join(str(usage) for usage in list(by_arn.values())[:_NAMED]) + more


def _text(time: datetime) -> str:
    # Several times as fast as strftime(), and a report of a sweep has one for each image.
    return f"{time.isoformat()[:19]}Z"
