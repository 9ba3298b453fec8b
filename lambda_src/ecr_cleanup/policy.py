"""What applies to one repository: the settings of the installation, as the repository's owner changed them.

Owners steer with tags on the repository, so that they need not ask whoever runs the installation. They can make the
action more careful, not less. https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html#tag-conventions
says what a tag's value may hold: `*` is not among it, so `@` stands for it here.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.errors import RepositoryTagError
from ecr_cleanup.settings import TAG_PATTERN, Action, OptInTag, Protections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ecr_cleanup.settings import CheckSettings

PREFIX = "ecr-cleanup:"
# From harmless to final.
_ACTIONS = (Action.REPORT, Action.ARCHIVE, Action.DELETE)
# As for the installation: ECR's own record of pulls lags by up to a day
# (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html).
_PULL_RECORD_LAG = timedelta(hours=24)


class Policy(NamedTuple):
    """What the rules go by. `live_usage` says whether the accounts can be asked what runs.

    `complaints` say which tags of the repository make no sense.
    """

    opt_in_tag: OptInTag
    grace_period: timedelta
    action: Action
    protections: Protections
    archive_period: timedelta
    live_usage: bool = False
    complaints: tuple[str, ...] = ()

    @property
    def pulled_within(self) -> timedelta:
        """How long ago the last pull must be."""
        own = self.protections.pulled_within
        return self.grace_period + _PULL_RECORD_LAG if own is None else own

    @classmethod
    def of(cls, settings: CheckSettings, repository_tags: Mapping[str, str]) -> Policy:
        """The policy of a repository with these tags."""
        policy = cls(
            opt_in_tag=settings.opt_in_tag,
            grace_period=settings.grace_period,
            action=settings.action,
            protections=settings.protections,
            archive_period=settings.archive_period,
            live_usage=settings.reader_role is not None,
        )
        for key, value in sorted(repository_tags.items()):
            if not key.startswith(PREFIX) or key == settings.opt_in_tag.key:
                continue
            try:
                policy = _changed(policy, key, value.strip())
            except RepositoryTagError as error:
                policy = policy._replace(complaints=(*policy.complaints, str(error)))
        return policy


def _changed(policy: Policy, key: str, value: str) -> Policy:
    if key not in _CHANGES:
        raise RepositoryTagError(f"the tag {key} is none that is understood; those are {', '.join(_CHANGES)}")
    return _CHANGES[key](policy, value)


def _grace_hours(policy: Policy, value: str) -> Policy:
    return policy._replace(grace_period=timedelta(hours=_number("grace-hours", value, 1, 8760)))


def _keep_newest(policy: Policy, value: str) -> Policy:
    return _protected(policy, newest=_number("keep-newest", value, 0, 10_000))


def _protect(policy: Policy, value: str) -> Policy:
    patterns = tuple(value.replace("@", "*").split())
    if not patterns or not all(map(TAG_PATTERN.fullmatch, patterns)):
        raise RepositoryTagError(
            f"{PREFIX}protect is {value[:100]!r}, but must be image tags separated by spaces, with @ for any "
            "characters, such as 'stable release-@'"
        )
    return _protected(policy, tag_patterns=(*policy.protections.tag_patterns, *patterns))


def _action(policy: Policy, value: str) -> Policy:
    names = [action.value for action in _ACTIONS]
    if value not in names:
        raise RepositoryTagError(
            f"{PREFIX}action is {value[:100]!r}, but must be {', '.join(names[:-1])} or {names[-1]}"
        )
    return policy._replace(action=min(policy.action, Action(value), key=_ACTIONS.index))


def _tags_move(policy: Policy, value: str) -> Policy:
    if value not in ("never", "sometimes"):
        raise RepositoryTagError(f"{PREFIX}tags-move is {value[:100]!r}, but must be never or sometimes")
    return _protected(policy, tags_never_move=value == "never")


def _protected(policy: Policy, **changes: object) -> Policy:
    return policy._replace(protections=policy.protections._replace(**changes))  # type: ignore[arg-type]


def _number(name: str, value: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value) or not lowest <= int(value) <= highest:
        raise RepositoryTagError(
            f"{PREFIX}{name} is {value[:100]!r}, but must be a whole number from {lowest} to {highest}"
        )
    return int(value)


_CHANGES: Mapping[str, Callable[[Policy, str], Policy]] = {
    f"{PREFIX}action": _action,
    f"{PREFIX}grace-hours": _grace_hours,
    f"{PREFIX}keep-newest": _keep_newest,
    f"{PREFIX}protect": _protect,
    f"{PREFIX}tags-move": _tags_move,
}
