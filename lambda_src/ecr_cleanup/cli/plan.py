"""`plan`: what would go, what would stay, and why."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecr_cleanup.aws.tagging import opted_in_repositories
from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import NotFoundError, ThrottledError
from ecr_cleanup.cli.judging import judge, with_indexes
from ecr_cleanup.cli.layers import Freed, freed_by, read_contents
from ecr_cleanup.cli.references import repositories_of
from ecr_cleanup.image import ImageStatus, Repository
from ecr_cleanup.page import render
from ecr_cleanup.report import Totals, dollars_a_month, image_row, report_head
from ecr_cleanup.texts import dollars, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ecr_cleanup.cli.installation import Installation
    from ecr_cleanup.cli.output import Printer, Steps
    from ecr_cleanup.image import Image
    from ecr_cleanup.survey import Judged

COLUMNS = (
    "repository",
    "region",
    "digest",
    "tags",
    "bytes",
    "pushed_at",
    "pulled_at",
    "last_used_at",
    "archived",
    "verdict",
    "rule",
    "reason",
    "certain",
    "users",
    "accounts",
)
"""What an image has in a report, in this order."""


@dataclass
class Plan:
    """What was found: `judged` has every image, `report` all of it in the format of docs/report.md."""

    report: dict[str, Any]
    judged: list[Judged]
    totals: dict[Repository, Totals] = field(default_factory=dict)
    freed: Freed | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether the functions would remove anything at all."""
        return bool(self.report["trusted"])


@dataclass(frozen=True)
class Planner:
    """Looks at repositories: at those named, or at all that opted in.

    With `assume_opted_in`, as if they all had. With `layers`, manifests are read, which ECR takes for pulls.
    """

    installation: Installation
    steps: Steps
    assume_opted_in: bool = False
    layers: bool = False

    def plan(self, names: Sequence[str]) -> Plan:
        """Judge every image.

        Raises:
            CliError: a repository does not exist, or AWS cannot be asked.
        """
        repositories = self._repositories(names)
        totals: dict[Repository, Totals] = {}
        judged: list[Judged] = []
        freed = Freed() if self.layers else None
        with self.steps.step("Repositories", len(repositories)) as step:
            for repository, tags in repositories.items():
                step.advance(repository.name, by=0)
                try:
                    some, in_truth = self._judge(repository, tags)
                except ThrottledError as error:
                    raise ThrottledError(
                        f"{error} ({len(totals)} of {len(repositories)} repositories were read)"
                    ) from None
                totals[repository] = Totals()
                for each in some:
                    totals[repository].take(each)
                judged += some
                if freed and in_truth:
                    freed.add(in_truth)
                step.advance()
        return Plan(self._report(totals, judged, freed), judged, totals, freed)

    def _repositories(self, names: Sequence[str]) -> dict[Repository, Mapping[str, str]]:
        """With their resource tags, as if the owners had opted in if that is to be assumed."""
        settings, found = self.installation.settings, dict[Repository, "Mapping[str, str]"]()
        with self.steps.step("Repositories"):
            if names:
                for name in names:
                    found |= self._named(name)
            elif self.assume_opted_in:
                found |= self._tagged(self._all())
            else:
                tagging = self.installation.session
                found |= opted_in_repositories(
                    lambda region: tagging.client("resourcegroupstaggingapi", region), settings
                )
        if self.assume_opted_in:
            tag = settings.opt_in_tag
            found = {repository: {**tags, tag.key: tag.value} for repository, tags in found.items()}
        return dict(sorted(found.items()))

    def _named(self, name: str) -> dict[Repository, Mapping[str, str]]:
        settings, session = self.installation.settings, self.installation.session
        found = self._tagged(repositories_of(name, settings, session.region))
        if not found:
            regions = ", ".join(sorted(settings.registry_regions))
            raise NotFoundError(f"there is no repository {name} in the registry {settings.registry_id} ({regions})")
        return found

    def _all(self) -> Iterable[Repository]:
        settings = self.installation.settings
        for region in sorted(settings.registry_regions):
            client = self.installation.session.client("ecr", region)
            for page in client.get_paginator("describe_repositories").paginate(registryId=settings.registry_id):
                for each in page["repositories"]:
                    yield Repository(settings.registry_id, region, each["repositoryName"])

    def _tagged(self, repositories: Iterable[Repository]) -> dict[Repository, Mapping[str, str]]:
        """Those that exist, with their tags."""
        found = {repository: self.installation.registry.repository_tags(repository) for repository in repositories}
        return {repository: tags for repository, tags in found.items() if tags is not None}

    def _judge(self, repository: Repository, tags: Mapping[str, str]) -> tuple[list[Judged], Freed | None]:
        listing: list[Image] = []
        with self.steps.step(f"{repository.name}: images") as step:
            for page in self.installation.registry.pages(repository):
                listing += page.images
                step.advance(by=len(page.images))
        with self.steps.step(f"{repository.name}: who uses them"):
            judged = judge(self.installation, repository, tags, listing)
        if not self.layers or not any(each.looks_unused for each in judged):
            return judged, None
        digests = [image.id.digest for image in listing if image.status is ImageStatus.ACTIVE]
        with self.steps.step(f"{repository.name}: manifests", len(digests)) as step:
            client = self.installation.session.client("ecr", repository.region)
            contents = read_contents(client, repository, digests, lambda by: step.advance(by=by))
        indexes = {image.id.digest for image in listing if image.is_index}
        judged = with_indexes(judged, contents.parents(), indexes - contents.by_digest.keys())
        return judged, freed_by(judged, contents)

    def _report(
        self, totals: Mapping[Repository, Totals], judged: Sequence[Judged], freed: Freed | None
    ) -> dict[str, Any]:
        head = report_head(
            self.installation.settings,
            installation=self.installation.name,
            generated_at=clock.now(),
            problems=self.installation.finder.problems_if_read,
            asked_what_runs=False,
            repositories=totals,
            assumed_opted_in=self.assume_opted_in,
        )
        if freed:
            head["freed"] = {"images": freed.images, "bytes": freed.bytes, "unread_images": freed.unread}
        return {**head, "images": [image_row(each) for each in judged]}


def as_json(report: Mapping[str, Any]) -> str:
    """The report of docs/report.md."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def as_csv(report: Mapping[str, Any]) -> str:
    """One line per image; lists are separated by spaces."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in report["images"]:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return file.getvalue()


def _cell(value: object) -> object:
    match value:
        case list():
            return " ".join(value)
        case bool():
            return "true" if value else "false"
        case _:
            return value


def as_html(report: Mapping[str, Any]) -> str:
    """A page that shows the report in a browser."""
    return render(report)


def show(plan: Plan, printer: Printer, *, everything: bool) -> None:
    """Print it for people; with `everything`, each image that stays, too."""
    report = plan.report
    printer.line(
        f"Registry {report['registry']}, at {report['generated_at']}. Nothing is changed. "
        f"The functions {_ACTIONS[report['action']]}."
    )
    if report["assumed_opted_in"]:
        printer.line("As if all of these repositories had opted in.")
    printer.line()
    if not plan.totals:
        printer.line("No repository has opted in: tag one, or give names, or --assume-opted-in.")
        return
    _show_repositories(plan, printer)
    goes = [each for each in plan.judged if each.looks_unused]
    printer.line()
    if goes:
        printer.line(f"Would go{_amount(sum(each.image.size_bytes for each in goes), len(goes))}:")
        _show_images(goes, printer)
    else:
        printer.line("Nothing would go.")
    _show_what_stays(plan, printer, everything=everything)
    if freed := plan.freed:
        unread = f"; {freed.unread} manifests could not be read" if freed.unread else ""
        printer.line()
        printer.line(
            f"With their parts, {_images(freed.images)} would go. Shared layers counted once, that frees "
            f"{size(freed.bytes)}, {dollars(dollars_a_month(freed.bytes))} a month{unread}."
        )
    elif goes:
        printer.line()
        printer.line("These are at most: images share layers, which go with the last image. --layers counts them once.")
        if indexes := sum(each.image.is_index for each in goes):
            what = "1 is an index" if indexes == 1 else f"{indexes} are indexes"
            printer.line(
                f"{what}, of which ECR gives the size of the largest part; what else belongs to it goes with it."
            )


_ACTIONS = {
    "report": "remove nothing, and report what they would remove",
    "archive": "move unused images to the archive",
    "delete": "delete unused images",
}


def _show_repositories(plan: Plan, printer: Printer) -> None:
    rows = []
    for repository, totals in plan.totals.items():
        goes = totals.reclaimable
        rows.append(
            [
                repository.name,
                repository.region,
                str(totals.all.images),
                size(totals.all.bytes),
                str(goes.images),
                size(goes.bytes),
                dollars(dollars_a_month(goes.bytes)),
            ]
        )
    columns = ["Repository", "Region", "Images", "Size", "Would go", "At most", "A month"]
    printer.table(columns, rows, right=columns[2:])


def _show_images(some: Sequence[Judged], printer: Printer) -> None:
    rows = []
    for each in sorted(some, key=lambda each: (each.image.id.repository, -each.image.size_bytes, each.image.id.digest)):
        row = image_row(each)
        rows.append(
            [
                row["repository"],
                " ".join(row["tags"]) or "-",
                printer.digest(row["digest"]),
                size(row["bytes"]),
                row["pushed_at"],
                row["rule"],
                row["reason"],
            ]
        )
    printer.table(["Repository", "Tags", "Digest", "Size", "Pushed", "Rule", "Why"], rows, right=["Size"])


def _show_what_stays(plan: Plan, printer: Printer, *, everything: bool) -> None:
    stays = [each for each in plan.judged if not each.looks_unused]
    if not stays:
        return
    printer.line()
    if everything:
        printer.line(f"Would stay{_amount(sum(each.image.size_bytes for each in stays), len(stays))}:")
        _show_images(stays, printer)
        return
    printer.line("Would stay (--all shows each with its reason):")
    rows = [[kept["rule"], str(kept["images"]), size(kept["bytes"])] for kept in plan.report["kept_by_rule"]]
    printer.table(["Rule", "Images", "Size"], rows, right=["Images", "Size"])


def _amount(size_bytes: int, images: int) -> str:
    return f" ({_images(images)}, at most {size(size_bytes)} and {dollars(dollars_a_month(size_bytes))} a month)"


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"
