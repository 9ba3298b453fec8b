"""The main job on local AWS, told as a story: `make demo`.

Applies `examples/local` with the real provider into three accounts, deploys and retires images as a pipeline would,
moves the clock by a day, and shows what became of every image and why.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from ecr_cleanup.check import Check
from ecr_cleanup.cli.calls import READS
from ecr_cleanup.cli.installation import Where, find_installation
from ecr_cleanup.cli.output import Printer, Steps
from ecr_cleanup.cli.plan import Planner, show
from ecr_cleanup.cli.session import AwsSession
from ecr_cleanup.image import ImageId, Repository
from ecr_cleanup.page import render
from local_aws import LocalAws
from local_aws.images import StoredBefore, push_build, push_image, push_signature, put_many
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ecr_cleanup.cli.plan import Plan

SHARED, PRODUCTION, DEVELOPMENT = "111111111111", "222222222222", "333333333333"
ACCOUNTS = {SHARED: "shared", PRODUCTION: "production", DEVELOPMENT: "development"}
REGION = "eu-central-1"
HOST = f"{SHARED}.dkr.ecr.{REGION}.amazonaws.com"


@dataclass(frozen=True)
class Story:
    """What happens to one image, and whether it should be there in the end."""

    repository: str
    tag: str
    text: str
    survives: bool

    @property
    def image(self) -> str:
        """The image as people write it."""
        return f"{self.repository}:{self.tag}"


API = Story("api", "1.0", "replaced in production, and deregistered", survives=False)
WEB = Story("web", "1.0", "deregistered in development; production still runs it", survives=True)
ARCHIVE = Story("archive", "1.0", "deregistered; nobody opted the repository in", survives=True)
WORKER = Story("worker", "1.0", "deregistered, and rolled back to a minute before its check", survives=True)
BILLING = Story("billing", "1.0", "deregistered, but a service in production still runs it", survives=True)
GATEWAY = Story("gateway", "1.0", "for two platforms, with attestations and a signature; replaced", survives=False)
REPORTS = Story(
    "reports", "1.0", "replaced; when its time came, nobody could say what development runs", survives=False
)
SHOP = Story("shop", "sha-4f2a", "was latest when production deployed latest, which has moved on since", survives=True)
STORIES = (API, WEB, ARCHIVE, WORKER, BILLING, GATEWAY, REPORTS, SHOP)
_COLUMNS = 120
# Of an image, in bytes.
_SIZE = 1_400_000_000
REPORT = Path(__file__).resolve().parents[1] / "build" / "demo-report.html"
# Of a repository that has been there for long; nobody deploys it, so that no event will ever tell of it.
LEFT_OVER = ("web", "0.9", timedelta(days=200))
# Deregistered three hours later than the others.
LATER = timedelta(hours=3)


class Demo:
    """One run of the demo."""

    def __init__(self, console: Console, aws: LocalAws, directory: Path, picture: Path | None = None) -> None:
        self._console = console
        self._picture = picture
        self._aws = aws
        self._directory = directory
        self._began = perf_counter()
        self._digests: dict[Story, str] = {}
        self._parts: set[str] = set()
        self._left_over = ""

    def run(self) -> int:
        """Tell the story; 0 if every image ended as it should and the second plan shows no changes."""
        self._console.print(
            Panel.fit(
                "[bold]ecr-cleanup[/] on a local AWS: three accounts, the real Terraform provider,\n"
                "the functions from the zip that Terraform uploads. No AWS account is touched.",
                border_style="cyan",
            )
        )
        for account in ACCOUNTS:
            self._aws.create_account(account)
        terraform = self._apply()
        self._deploy()
        self._let_a_day_pass()
        everything_as_expected = self._show()
        everything_as_expected &= self._plan()
        with self._step("terraform plan, a second time"):
            changes = terraform.plan()
        if changes:
            self._console.print("  [red]There are changes.[/]")
        else:
            self._console.print("  [green]No changes.[/] The infrastructure matches the configuration.")
        self._console.print(
            f"\nDone in {perf_counter() - self._began:.0f} s. Everything else was temporary and is gone now."
        )
        return 0 if everything_as_expected and not changes else 1

    @contextmanager
    def _step(self, text: str) -> Iterator[Callable[[float, float], None]]:
        """Show that something goes on, how far it is, and how long it took."""
        began = perf_counter()
        if not self._console.is_terminal:
            self._console.print(f"… {text}", highlight=False)
        with ProgressBar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[seconds]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            get_time=perf_counter,
        ) as progress:
            task = progress.add_task(text, total=None, seconds="")

            def advance(done: float, total: float) -> None:
                progress.update(task, completed=done, total=total, seconds=f"{perf_counter() - began:.0f} s")

            yield advance
        self._console.print(f"[green]✓[/] {text} [dim]({perf_counter() - began:.0f} s)[/]", highlight=False)

    def _apply(self) -> Terraform:
        environment = terraform_environment(self._directory, self._aws.terraform_environment(SHARED))
        terraform = Terraform(copy_of_tree(self._directory / "tree") / "examples/local", environment)
        with self._step("terraform init"):
            terraform.init()
        plan = self._directory / "plan"
        with self._step("terraform plan"):
            terraform.plan(out=plan)
        resources = [
            change
            for change in terraform.show_json(plan)["resource_changes"]
            if change["change"]["actions"] == ["create"]
        ]
        with self._step(f"terraform apply: {len(resources)} resources in three accounts") as advance:
            created = 0

            def count(line: str) -> None:
                nonlocal created
                created += "Creation complete" in line
                advance(created, len(resources))

            terraform.watched_by(count).apply(str(plan))
        return terraform

    def _deploy(self) -> None:
        with self._step("images pushed, and deployed to ECS"):
            registry = self._aws.session(SHARED).client("ecr")
            for story in STORIES:
                if story is GATEWAY:
                    self._digests[story] = push_build(registry, story.repository, [story.tag])
                    push_signature(registry, story.repository, self._digests[story])
                else:
                    tags = [story.tag, *(["latest"] if story is SHOP else [])]
                    self._digests[story] = push_image(registry, story.repository, tags, content=story.image, size=_SIZE)
            self._parts = self._images(GATEWAY.repository)
            repository, tag, age = LEFT_OVER
            left_over = StoredBefore([tag], _SIZE, self._aws.clock.now() - age)
            (self._left_over,) = put_many(SHARED, REGION, repository, [left_over])
            self._aws.advance(timedelta(minutes=1))
            old = {
                (account, story): self._register(account, story.repository, story.tag)
                for account, story in (
                    (PRODUCTION, API),
                    (PRODUCTION, WEB),
                    (DEVELOPMENT, WEB),
                    (DEVELOPMENT, ARCHIVE),
                    (PRODUCTION, WORKER),
                    (PRODUCTION, BILLING),
                    (PRODUCTION, GATEWAY),
                    (DEVELOPMENT, REPORTS),
                    (DEVELOPMENT, SHOP),
                )
            }
            by_tag = self._register(PRODUCTION, SHOP.repository, "latest")
            ecs = self._aws.session(PRODUCTION).client("ecs")
            ecs.create_cluster(clusterName="production")
            ecs.create_service(
                cluster="production", serviceName="billing", taskDefinition=old[PRODUCTION, BILLING], desiredCount=2
            )
            ecs.create_service(cluster="production", serviceName="shop", taskDefinition=by_tag, desiredCount=2)
            self._aws.advance(timedelta(minutes=10))
        with self._step("new versions deployed, old task definitions deregistered"):
            replaced = (API, WORKER, ARCHIVE, GATEWAY, REPORTS)
            later = ((DEVELOPMENT, REPORTS), (DEVELOPMENT, SHOP))
            for story in replaced:
                push_image(registry, story.repository, ["1.1"], content=f"{story.repository}:1.1", size=_SIZE)
            push_image(registry, SHOP.repository, ["latest"], content="shop, the next one", size=_SIZE)
            self._aws.advance(timedelta(minutes=1))
            for account, story in old:
                if story in replaced:
                    self._register(account, story.repository, "1.1")
            for (account, story), arn in old.items():
                if (account, story) not in ((PRODUCTION, WEB), *later):
                    self._aws.session(account).client("ecs").deregister_task_definition(taskDefinition=arn)
            self._aws.run_until_idle()
        with self._step("three hours later, reports:1.0 and shop:sha-4f2a follow"):
            self._aws.advance(LATER)
            for account, story in later:
                ecs = self._aws.session(account).client("ecs")
                ecs.deregister_task_definition(taskDefinition=old[account, story])
            self._aws.run_until_idle()

    def _let_a_day_pass(self) -> None:
        with self._step("23 hours and 59 minutes are over"):
            self._aws.advance(timedelta(hours=23, minutes=59) - LATER)
        with self._step("production rolls back to worker:1.0"):
            self._register(PRODUCTION, "worker", "1.0")
            self._aws.run_until_idle()
        with self._step("the 24 hours are over: the checks run"):
            self._aws.advance(timedelta(minutes=10))
        with self._step("AWS Config loses sight of development; the check of reports:1.0 runs"):
            self._aws.faults.fail_source(DEVELOPMENT, REGION)
            self._aws.advance(LATER)
        with self._step("it sees development again, and the check runs again"):
            self._aws.faults.heal_source(DEVELOPMENT, REGION)
            self._aws.advance(timedelta(hours=1))
        with self._step("the host of production's shop fails: its tasks start anew, and pull their image again"):
            self._aws.replace_tasks(PRODUCTION, service="shop")
            self._aws.advance(timedelta(minutes=10))

    def _register(self, account: str, repository: str, tag: str) -> str:
        ecs = self._aws.session(account).client("ecs")
        containers: Any = [{"name": repository, "image": f"{HOST}/{repository}:{tag}", "memory": 128}]
        answer = ecs.register_task_definition(family=repository, containerDefinitions=containers)
        return answer["taskDefinition"]["taskDefinitionArn"]

    def _show(self) -> bool:
        table = Table(box=box.ROUNDED, title="What became of every image", title_style="bold", show_lines=True)
        for column, ratio in (("Image", 2), ("What happened", 4), ("Outcome", 2), ("Why", 7)):
            table.add_column(column, ratio=ratio)
        expected = True
        for story in STORIES:
            survived = self._digests[story] in self._images(story.repository)
            expected = expected and survived is story.survives
            outcome = Text("kept", style="bold green") if survived else Text("removed", style="bold magenta")
            if survived is not story.survives:
                outcome = Text(f"{outcome} (wrong!)", style="bold red")
            image = Group(Text(story.image, style="bold cyan"), Text(f"{self._digests[story][7:19]}…", style="dim"))
            table.add_row(image, story.text, outcome, self._reason(story))
        self._console.print(table)
        left = self._parts & self._images(GATEWAY.repository)
        self._console.print(f"Of the {len(self._parts)} manifests of {GATEWAY.image}, {len(left) or 'none'} is left.")
        failed = self._aws.failed_pulls
        self._console.print(f"Of the images that tasks pulled, {len(failed) or 'none'} was missing.")
        return expected and not left and not failed

    def _plan(self) -> bool:
        """What a person sees who looks into the installation: `ecr-cleanup plan --html FILE`.

        Whether it finds the one image that is left to go, of which the daily sweep made a check.
        """
        with self._step("ecr-cleanup plan"), _environment(self._aws.terraform_environment(SHARED)):
            installation = find_installation(AwsSession(None, REGION, READS), Where())
            found = Planner(installation, Steps()).plan([])
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(render(found.report), encoding="utf-8")
        show(found, Printer(), everything=False)
        if self._picture:
            _draw(found, self._picture)
        self._console.print(f"The same as a page: {REPORT}", highlight=False)
        repository, tag, age = LEFT_OVER
        check = Check(ImageId(Repository(SHARED, REGION, repository), self._left_over), "")
        schedules = self._aws.session(SHARED).client("scheduler").list_schedules(GroupName="ecr-cleanup")["Schedules"]
        if check.schedule_name not in {schedule["Name"] for schedule in schedules}:
            self._console.print(f"[red]The sweep made no check of {repository}:{tag}.[/]")
            return False
        self._console.print(
            f"{repository}:{tag} was there {age.days} days before the installation, and nobody ever deployed it: "
            "the daily sweep found it, and its check is pending."
        )
        return [image["digest"] for image in found.report["images"] if image["verdict"] == "remove"] == [
            self._left_over
        ]

    def _images(self, repository: str) -> set[str]:
        """The digests of all images of a repository."""
        registry = self._aws.session(SHARED).client("ecr")
        return {
            detail["imageDigest"]
            for page in registry.get_paginator("describe_images").paginate(repositoryName=repository)
            for detail in page["imageDetails"]
        }

    def _reason(self, story: Story) -> str:
        """What the functions themselves say, in their own words."""
        digest = self._digests[story]
        lines = [line for invocation in self._aws.invocations() for line in invocation.log]
        reasons = [line["reason"] for line in lines if line.get("digest") == digest and "verdict" in line]
        reasons += [
            "its repository is not opted in, so no check was scheduled"
            for line in lines
            if any(image.endswith(digest) for image in line.get("not_opted_in", ()))
        ]
        if story is REPORTS:
            reasons = [" … then: ".join(dict.fromkeys(reasons))]
        reason: str = reasons[-1] if reasons else "the functions said nothing about it"
        for account, name in ACCOUNTS.items():
            reason = reason.replace(f"arn:aws:ecs:{REGION}:{account}:", f"{name}: ")
        return reason.replace(f"{HOST}/", "")


class _Screen(io.StringIO):
    """What a picture is drawn of."""

    def isatty(self) -> bool:
        return True


def _draw(plan: Plan, picture: Path) -> None:
    """What `ecr-cleanup plan` shows on a terminal, as a picture that needs no fonts from elsewhere."""
    screen = Console(
        record=True, file=_Screen(), force_terminal=True, color_system="truecolor", width=_COLUMNS, highlight=False
    )
    screen.print("$ ecr-cleanup plan\n", style="bold")
    show(plan, Printer(screen), everything=False)
    drawn = screen.export_svg(title="ecr-cleanup")
    picture.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL), encoding="utf-8")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what ecr-cleanup plan shows, as an SVG")
    picture = parser.parse_args(arguments).picture
    console = Console()
    # Whoever stops it, by Ctrl-C or otherwise, gets the same clean end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ecr-cleanup-demo-") as directory, LocalAws(region=REGION) as aws:
            return Demo(console, aws, Path(directory), picture).run()
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything was temporary and is gone now.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
