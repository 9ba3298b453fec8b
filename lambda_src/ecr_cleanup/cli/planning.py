"""What would go and what would stay, as a report: the same rules as the checks, and nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecr_cleanup.aws import clients
from ecr_cleanup.aws.tagging import opted_in_repositories
from ecr_cleanup.decision import Decision, Verdict
from ecr_cleanup.errors import EcrCleanupError
from ecr_cleanup.evidence import Finder
from ecr_cleanup.image import Repository
from ecr_cleanup.report import Totals, image_row, report_head
from ecr_cleanup.survey import UNKNOWN_INDEX, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.image import Image
    from ecr_cleanup.survey import Judged

_PLENTY = timedelta(hours=1)


class NoRepositoryError(EcrCleanupError):
    """A repository that was asked for does not exist."""


@dataclass(frozen=True)
class Progress:
    """Is told of each repository, and of the images read in it."""

    repository: Callable[[str, int], None] = lambda _, __: None
    images: Callable[[int], None] = lambda _: None


class Planner:
    """Judges whole repositories of an installation as a check would now, in memory."""

    def __init__(self, installation: Installation, *, assume_opted_in: bool = False) -> None:
        self._installation = installation
        self._assume_opted_in = assume_opted_in
        adapters = installation.adapters
        self.finder = Finder(
            installation.settings,
            registry=adapters.registry,
            ledger=adapters.ledger,
            inventory_taker=adapters.inventory_taker,
            # Only the functions can get into the accounts.
            live_usage=None,
            clock=_now,
            time_left=lambda: _PLENTY,
        )
        self._survey = Survey(installation.settings, self.finder, clock=_now, asks_accounts=False)

    def report(self, names: Iterable[str], progress: Progress) -> dict[str, Any]:
        """The report about repositories of these names, or about all that opted in where there are none.

        Raises:
            NoRepositoryError: there is no repository of some name.
        """
        rows: list[dict[str, Any]] = []
        counted: dict[Repository, Totals] = {}
        repositories = self._repositories(list(names))
        for repository, tags in repositories.items():
            progress.repository(str(repository.name), len(repositories))
            totals = counted[repository] = Totals()
            for judged in self.judge(repository, tags, progress):
                totals.take(judged)
                rows.append(image_row(judged))
        return {
            **report_head(
                self._installation.settings,
                installation=self._installation.prefix,
                generated_at=_now(),
                problems=self.finder.problems_if_read,
                asked_what_runs=self._installation.settings.reader_role is None,
                repositories=counted,
                assumed_opted_in=self._assume_opted_in,
            ),
            "images": rows,
        }

    def judge(self, repository: Repository, tags: Mapping[str, str], progress: Progress | None = None) -> list[Judged]:
        """All images of a repository with these resource tags, the largest gains first."""
        images: list[Image] = []
        for page in self._installation.adapters.registry.pages(repository):
            images += page.images
            if progress:
                progress.images(len(page.images))
        self.finder.take_listing(repository, images)
        judged = self._survey.judge(tags, images, self.finder.newer_images)
        judged = self._with_parts(repository, judged)
        return sorted(judged, key=lambda each: (not each.looks_unused, -each.image.size_bytes, each.image.id))

    def _with_parts(self, repository: Repository, judged: list[Judged]) -> list[Judged]:
        """What the ledger knows of indexes: their parts stay with them, and go with them."""
        unused = {each.image.id.digest for each in judged if each.looks_unused}
        if not any(each.looks_unused and not each.image.tags for each in judged):
            return judged
        parents = self.finder.known_parents(repository)
        if parents is None:
            return judged
        return [self._as_part(each, parents, unused) for each in judged]

    def _as_part(self, judged: Judged, parents: Mapping[str, set[str]], unused: set[str]) -> Judged:
        if judged.image.tags or not judged.looks_unused:
            return judged
        if kept := sorted(parents.get(judged.image.id.digest, set()) - unused):
            reason = f"the index {kept[0]} of the repository contains it"
            return replace(judged, decision=Decision(Verdict.KEEP, "held_by_an_index", reason), doubts=())
        return replace(judged, doubts=tuple(doubt for doubt in judged.doubts if doubt != UNKNOWN_INDEX))

    def _repositories(self, names: list[str]) -> dict[Repository, Mapping[str, str]]:
        settings, registry = self._installation.settings, self._installation.adapters.registry
        if not names and not self._assume_opted_in:
            return dict(opted_in_repositories(clients.tagging_client, settings))
        found: dict[Repository, Mapping[str, str]] = {}
        for region in sorted(settings.registry_regions):
            for name in names or registry.repository_names(settings.registry_id, region):
                repository = Repository(settings.registry_id, region, name)
                tags = registry.repository_tags(repository)
                if tags is not None:
                    found[repository] = {**tags, **self._assumed()}
        if missing := set(names) - {repository.name for repository in found}:
            regions = ", ".join(sorted(settings.registry_regions))
            raise NoRepositoryError(f"there is no repository {', '.join(sorted(missing))} in {regions}")
        return found

    def _assumed(self) -> dict[str, str]:
        tag = self._installation.settings.opt_in_tag
        return {tag.key: tag.value} if self._assume_opted_in else {}


def _now() -> datetime:
    return datetime.now(UTC)
