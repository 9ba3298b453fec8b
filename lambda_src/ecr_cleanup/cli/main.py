"""The commands of `ecr-cleanup`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn
from rich.table import Table

from ecr_cleanup.check import Check
from ecr_cleanup.cli.explaining import UnknownImageError, explain, find_image
from ecr_cleanup.cli.installation import Installation
from ecr_cleanup.cli.output import as_csv, show_plan, size
from ecr_cleanup.cli.planning import Planner, Progress
from ecr_cleanup.errors import EcrCleanupError
from ecr_cleanup.page import render
from ecr_cleanup.report import image_row, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

# Wide enough for a line of anything where nobody looks at a terminal.
_PIPED_WIDTH = 200
AWS_FAILED, NOT_TRUSTED = 3, 4

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Look into an installation of terraform-aws-ecr-cleanup: what would go, what stays, and why.\n\n"
    "Uses your own AWS credentials, for the shared account. Nothing is changed but by `check`.",
    epilog="Exit codes: 0 all is well; 2 wrong usage; 3 AWS or the installation did not answer; "
    "4 the inventory cannot be trusted.",
)

Prefix = Annotated[
    str, typer.Option("--name-prefix", envvar="ECR_CLEANUP_NAME_PREFIX", help="The installation's name_prefix.")
]
Region = Annotated[str | None, typer.Option("--region", help="The installation's region. Default: your AWS settings'.")]
Profile = Annotated[str | None, typer.Option("--profile", help="A profile of your AWS settings.")]
Image = Annotated[
    str, typer.Argument(help="repository:tag, repository@sha256:..., or a whole reference.", show_default=False)
]


class Output(StrEnum):
    """How something is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


class TableOrJson(StrEnum):
    """How something is printed that is no report."""

    TABLE = "table"
    JSON = "json"


@app.command(epilog="Example: ecr-cleanup plan team/api team/web --html plan.html")
def plan(
    repositories: Annotated[
        list[str] | None, typer.Argument(help="Names of repositories. Default: all that opted in.", show_default=False)
    ] = None,
    output: Annotated[Output, typer.Option(help="How to print it.")] = Output.TABLE,
    html: Annotated[Path | None, typer.Option(help="Write the report page to this file, too.")] = None,
    assume_opted_in: Annotated[
        bool, typer.Option("--assume-opted-in", help="As if the repositories had opted in; without names, all of them.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="So many images are in the table.")] = 20,
    name_prefix: Prefix = "ecr-cleanup",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """What would go, what would stay and why, with sizes and dollars a month. Changes nothing."""
    installation = Installation.find(name_prefix, region=region, profile=profile)
    planner = Planner(installation, assume_opted_in=assume_opted_in)
    errors = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Bar(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        report = planner.report(repositories or (), _progress(bar))
    if html:
        _write_page(html, report)
    match output:
        case Output.JSON:
            print(json.dumps(report, indent=2))
        case Output.CSV:
            print(as_csv(report), end="")
        case Output.HTML:
            print(render(report))
        case Output.TABLE:
            show_plan(_console(), report, limit=limit)
    if not report["trusted"]:
        raise typer.Exit(NOT_TRUSTED)


@app.command("explain", epilog="Example: ecr-cleanup explain team/api:1.4.2")
def explain_image(
    image: Image,
    output: Annotated[TableOrJson, typer.Option(help="How to print it.")] = TableOrJson.TABLE,
    name_prefix: Prefix = "ecr-cleanup",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Everything that is known about one image: who uses it, what each rule says, and when it is checked."""
    installation = Installation.find(name_prefix, region=region, profile=profile)
    image_id = find_image(installation, image)
    found = explain(installation, Planner(installation), image_id)
    record = found.record
    document: dict[str, Any] = {
        "image": str(image_id),
        "found": image_row(found.judged) if found.judged else None,
        "users": [
            {"arn": it.arn, "account": it.place.account, "kind": it.kind, "source": it.source.value, "as": it.reference}
            for it in (found.judged.users if found.judged else ())
        ],
        "rules": [{"rule": name, "says": says} for name, says in found.rules],
        "next_check_at": iso(found.due),
        "referrers": None if found.referrers is None else list(found.referrers),
        "used_by": sorted(record.used_by),
        "watched_since": iso(record.watched_since),
        "removed_at": iso(record.removed_at),
        "removal": json.loads(record.removal)["facts"] if record.removal else None,
    }
    if output is TableOrJson.JSON:
        print(json.dumps(document, indent=2))
        return
    console = _console()
    for line in _explained(document):
        console.print(line, highlight=False, markup=False)


@app.command(epilog="Example: ecr-cleanup pending --output json")
def pending(
    output: Annotated[TableOrJson, typer.Option(help="How to print it.")] = TableOrJson.TABLE,
    name_prefix: Prefix = "ecr-cleanup",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """The scheduled checks: when, of which image, and why."""
    installation = Installation.find(name_prefix, region=region, profile=profile)
    checks = sorted(installation.adapters.schedules.pending(), key=lambda it: (it[1], it[0].image_id))
    if output is TableOrJson.JSON:
        rows = [{"due_at": iso(due), "image": str(it.image_id), "cause": it.cause} for it, due in checks]
        print(json.dumps(rows, indent=2))
        return
    table = Table("Due", "Image", "Cause", box=None)
    for check, due in checks:
        name = f"{check.image_id.repository.name}@{check.image_id.digest[:19]}"
        table.add_row(iso(due), name, check.cause)
    console = _console()
    console.print(table if checks else "No check is pending.")


@app.command(epilog="Example: ecr-cleanup check team/api:1.4.2 --now")
def check(
    image: Image,
    now: Annotated[bool, typer.Option("--now", help="At once, rather than after a grace period.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to.")] = False,
    name_prefix: Prefix = "ecr-cleanup",
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Have one image checked. It is removed if it is unused, as after any check."""
    installation = Installation.find(name_prefix, region=region, profile=profile)
    image_id = find_image(installation, image)
    if image_id not in installation.adapters.registry.images([image_id]):
        raise UnknownImageError(f"there is no image {image} any more")
    when = "now" if now else f"after its grace period of {installation.settings.grace_period}"
    if not yes and sys.stdin.isatty():
        action = installation.settings.action.value
        typer.confirm(f"Check {image_id} {when}? If nobody uses it, the action is: {action}", abort=True)
    asked = Check(image_id, "asked for by a person")
    if now:
        sqs = boto3.client("sqs")
        _, _, _, _, account, name = installation.settings.check_queue_arn.split(":")
        url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=asked.to_json())
        print(f"{image_id} is checked within minutes; the log of {installation.prefix}-run-checks says how it ends.")
        return
    at = datetime.now(UTC)
    due = installation.adapters.schedules.put(asked, at + installation.settings.grace_period, now=at)
    print(f"{image_id} is checked at {iso(due)}.")


def _explained(document: dict[str, Any]) -> Iterator[str]:
    found = document["found"]
    yield f"Image       {document['image']}"
    if found is None:
        yield "            is not in the registry (any more)"
    else:
        yield f"Tags        {', '.join(found['tags']) or 'none'}"
        yield f"Size        {size(found['bytes'])}{', archived' if found['archived'] else ''}"
        yield f"Pushed      {found['pushed_at']}"
        yield f"Pulled      {found['pulled_at'] or 'never, as far as ECR knows'}"
        yield f"Last used   {found['last_used_at'] or 'no use is known that has ended'}"
    if document["referrers"] is None:
        yield "Referrers   not known: ecr:BatchGetImage is not allowed"
    else:
        yield f"Referrers   {', '.join(document['referrers']) or 'none'}"
    for user in document["users"]:
        yield f"Used by     {user['arn']} ({user['source']}: {user['as']})"
    for arn in document["used_by"]:
        yield f"Was used by {arn}"
    if document["watched_since"]:
        yield f"Watched     since {document['watched_since']}"
    if document["removal"]:
        yield f"Removal     {document['removal']['removedAt']}: {document['removal']['reason']}"
    yield f"Next check  {document['next_check_at'] or 'none is pending'}"
    if found:
        yield f"Verdict     {found['verdict']} ({found['rule']}): {found['reason']}"
    for rule in document["rules"]:
        says = "passed" if rule["says"] is None else rule["says"] or "not reached"
        yield f"  {rule['rule']:<28}{says}"


def _progress(bar: Bar) -> Progress:
    task = bar.add_task("Reading", total=None)
    place, number, read = "", 0, 0

    def show() -> None:
        bar.update(task, description=f"{place}: {read:,} images read")

    def repository(name: str, of: int) -> None:
        nonlocal place, number
        number += 1
        place = f"{name} ({number} of {of})"
        show()

    def images(count: int) -> None:
        nonlocal read
        read += count
        show()

    return Progress(repository, images)


def _write_page(file: Path, report: dict[str, Any]) -> None:
    try:
        file.write_text(render(report), encoding="utf-8")
    except OSError as error:
        raise EcrCleanupError(f"{file} cannot be written: {error.strerror}") from error


def _console() -> Console:
    """Standard output, which is not broken into lines where it is piped."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def one_line(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    match error:
        case NoCredentialsError():
            return "no AWS credentials: set AWS_PROFILE, or give --profile"
        case NoRegionError():
            return "no AWS region: set AWS_REGION, or give --region"
        case ProfileNotFound():
            return f"{error}: give another with --profile"
        case ClientError():
            code = error.response["Error"]["Code"]
            message = error.response["Error"].get("Message", "")
            call = error.operation_name
            if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
                return "the AWS credentials have expired: sign in again"
            if code in ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"):
                return "the AWS credentials are not valid: sign in again, or give another --profile"
            if "AccessDenied" in code:
                return f"not allowed to call {call}: {message}"
            if "Throttl" in code or code == "TooManyRequestsException":
                return f"AWS throttled {call} until the last attempt: try again later"
            return f"{call} failed: {code}: {message}"
        case _:
            return str(error)


def main() -> None:
    """Run a command; what goes wrong is said in one line."""
    try:
        app()
    except (BotoCoreError, ClientError, EcrCleanupError) as error:
        print(f"ecr-cleanup: {' '.join(one_line(error).split())}", file=sys.stderr)
        sys.exit(AWS_FAILED)


if __name__ == "__main__":
    main()
