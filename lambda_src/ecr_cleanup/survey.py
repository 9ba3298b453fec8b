"""Looks at images as a check would look at them now, and changes nothing.

The sweep and the command line judge by it, so that both go by the very same rules as the checks. It reads no manifests,
since ECR takes that for a pull, and does not mind the cap on removals.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ecr_cleanup.decision import Decision, Evidence, Question, Verdict, decide
from ecr_cleanup.policy import Policy
from ecr_cleanup.settings import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ecr_cleanup.evidence import Finder
    from ecr_cleanup.image import Image
    from ecr_cleanup.inventory import Usage
    from ecr_cleanup.settings import CheckSettings

# What a check found to be part of an index is left alone for so long: asking again reads manifests.
_HELD_FOR = timedelta(days=7)

ACCOUNTS_NOT_ASKED = "unless it runs: the accounts were not asked"
MANIFESTS_NOT_READ = "unless an index contains it: manifests were not read"


class Judged(NamedTuple):
    """One image with the decision that a check would come to by what is known now.

    `remove` means that the image looks unused: once it was watched for a grace period, it would go. `doubts` say what
    could still keep it then, as nobody looked. `evidence` has what was found out on the way.
    """

    image: Image
    decision: Decision
    evidence: Evidence
    doubts: tuple[str, ...] = ()

    @property
    def users(self) -> tuple[Usage, ...]:
        """Who uses the image, as far as anybody needed to know."""
        return self.evidence.users or ()

    @property
    def looks_unused(self) -> bool:
        """Whether it would go once its grace period is over."""
        return self.decision.verdict is Verdict.REMOVE

    @property
    def needs_check(self) -> bool:
        """Whether a check should be pending: it looks unused, or was used so lately that a check has to wait."""
        return self.looks_unused or self.decision.rule == "within_grace_period"


class Survey:
    """Judges the images of one repository after the other.

    `asks_accounts` says whether the workload accounts can be asked what runs. Where they should be and cannot, an image
    that would be kept for that alone is one to remove, with a doubt. With `names_each_user`, all of the first hundred
    users of an image are looked up and not only the first: of no other does the decision depend.

    Raises botocore's errors where something cannot be read.
    """

    def __init__(
        self,
        settings: CheckSettings,
        finder: Finder,
        *,
        clock: Callable[[], datetime],
        asks_accounts: bool,
        names_each_user: bool = False,
    ) -> None:
        self._settings = settings
        self._finder = finder
        self._clock = clock
        self._asks_accounts = asks_accounts
        self._names_each_user = names_each_user

    def judge(
        self, tags: Mapping[str, str], images: Sequence[Image], newer_images: Callable[[Image], int]
    ) -> list[Judged]:
        """Judge images of a repository that has these resource tags, in their order.

        `newer_images` says of an image how many of the repository are newer, or are so at least.
        """
        # Checks know for themselves how to remove, and which manifest to read.
        policy = Policy.of(self._settings, tags)._replace(action=Action.REPORT)
        self._finder.look_up_users(images, each=self._names_each_user)
        # First without the ledger, which only has to be asked about those that nothing else keeps.
        judged = {image.id: self._judge(self._evidence(image, tags), policy, newer_images) for image in images}
        unused = [image for image in images if judged[image.id].decision.rule == "within_grace_period"]
        if unused:
            self._finder.take_records(image.id for image in unused)
            for image in unused:
                evidence = self._with_record(judged[image.id].evidence, image, policy)
                judged[image.id] = self._judge(evidence, policy, newer_images)
        return [judged[image.id] for image in images]

    def _evidence(self, image: Image, tags: Mapping[str, str]) -> Evidence:
        now = self._clock()
        return Evidence(image_id=image.id, image=image, repository_tags=tags, attempt=0, now=now, watched_since=now)

    def _with_record(self, evidence: Evidence, image: Image, policy: Policy) -> Evidence:
        known = self._finder.look(image, evidence.repository_tags)
        # That it was not watched for long enough yet is what a check is made for.
        watched_since = evidence.now - policy.grace_period
        return known._replace(watched_since=watched_since, users=evidence.users, problems=evidence.problems)

    def _judge(self, evidence: Evidence, policy: Policy, newer_images: Callable[[Image], int]) -> Judged:
        image = evidence.image
        if image is None:
            raise ValueError("only images that were listed are judged")
        doubts: list[str] = []
        while isinstance(answer := decide(evidence, policy), Question):
            match answer:
                case Question.USERS:
                    users, problems = self._finder.users(image), self._finder.inventory.problems
                    evidence = evidence._replace(users=users, problems=problems)
                case Question.NEWER_IMAGES:
                    evidence = evidence._replace(newer_images=newer_images(image))
                case Question.RUNNING if not self._asks_accounts:
                    evidence = evidence._replace(asked=True, pins=())
                    doubts.append(ACCOUNTS_NOT_ASKED)
                case _:
                    evidence = self._finder.answer(answer, evidence, policy)
        if answer.verdict is not Verdict.REMOVE:
            return Judged(image, answer, evidence)
        if not image.tags:
            held_at = self._finder.record(image.id).held_by_index_at
            if held_at and evidence.now - held_at < _HELD_FOR:
                reason = f"an index of the repository contained it at {held_at:%Y-%m-%dT%H:%M:%SZ}"
                return Judged(image, Decision(Verdict.KEEP, "held_by_an_index", reason), evidence)
            doubts.append(MANIFESTS_NOT_READ)
        return Judged(image, answer, evidence, tuple(doubts))
