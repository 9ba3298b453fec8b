"""The commands and their options. Each builds what it needs, calls the domain, and shows the outcome."""

import os
import sys
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.core import TyperGroup

from ecr_cleanup.cli import asking, doctor, explain, pending, plan
from ecr_cleanup.cli.calls import PULLS, READS, WRITES
from ecr_cleanup.cli.failures import (
    FAILED,
    INTERRUPTED,
    NOT_READ,
    NOT_TRUSTED,
    USAGE,
    CliError,
    UsageError,
    error_of_sdk,
)
from ecr_cleanup.cli.installation import Installation, Where, find_installation
from ecr_cleanup.cli.output import Printer
from ecr_cleanup.cli.session import AwsSession
from ecr_cleanup.errors import EcrCleanupError

_HELP = """Look at what ecr-cleanup does with the images of a registry, and why.

Everything is read with your own AWS credentials; only `check` changes anything.
"""
_EXIT_CODES = """Exit codes: 0 done, 1 doctor found a failure or you said no, 2 the command line is wrong,
3 AWS could not be asked, 4 the inventory is not trusted (plan), 5 no such image or repository,
130 you stopped it, 141 nobody read all of its output.
"""
_PLAN_EXAMPLES = """\b
Examples:
  ecr-cleanup plan
  ecr-cleanup plan team/app --all
  ecr-cleanup plan team/app --assume-opted-in
  ecr-cleanup plan --html report.html
  ecr-cleanup plan --json > report.json
  ecr-cleanup plan --aggregator my-aggregator --account-id 222222222222 --assume-opted-in
"""
_EXPLAIN_EXAMPLES = """\b
Examples:
  ecr-cleanup explain team/app:1.2
  ecr-cleanup explain 111111111111.dkr.ecr.eu-central-1.amazonaws.com/team/app:1.2
  ecr-cleanup explain team/app@sha256:<64 hex>
"""
_PENDING_EXAMPLES = """\b
Examples:
  ecr-cleanup pending
  ecr-cleanup pending --json
"""
_DOCTOR_EXAMPLES = """\b
Examples:
  ecr-cleanup doctor
  ecr-cleanup doctor --region eu-west-1 --profile shared
"""
_CHECK_EXAMPLES = """\b
Examples:
  ecr-cleanup check team/app:1.2
  ecr-cleanup check team/app:1.2 --now --yes
"""


class Output(StrEnum):
    """How a plan is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


class TextOrJson(StrEnum):
    """How other results are written."""

    TABLE = "table"
    JSON = "json"


# Of Click, or of the copy of it that newer versions of Typer bring along.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """Ends in one line and an exit code where something goes wrong."""

    # Each version of Typer has types of its own for all this.
    def main(self, *arguments: Any, **more: Any) -> NoReturn:  # noqa: ANN401
        try:
            sys.exit(super().main(*arguments, **more | {"standalone_mode": False}))
        except typer.Abort:
            _end("not done", FAILED)
        except _UsageError as error:
            _end_with_hint(error)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except CliError as error:
            _end(str(error), error.exit_code)
        except (BotoCoreError, ClientError) as error:
            _end(str(error_of_sdk(error)), error_of_sdk(error).exit_code)
        except EcrCleanupError as error:
            _end(str(error), FAILED)
        except KeyboardInterrupt:
            _end("stopped", INTERRUPTED)
        except BrokenPipeError:
            # Nobody reads on, as with `| head`. Python would complain when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(NOT_READ)
        except OSError as error:
            # The output cannot be written, say, or the AWS configuration not be read.
            where = f": {error.filename}" if error.filename else ""
            _end(f"the system refused: {error.strerror or error}{where}", FAILED)


def _end(message: str, exit_code: int) -> NoReturn:
    typer.echo(f"ecr-cleanup: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


def _end_with_hint(error: Any) -> NoReturn:  # noqa: ANN401 - as above
    """Where the command line is wrong; without any argument, the help is the answer."""
    message, context = error.format_message().replace("Value error, ", ""), error.ctx
    if context and message == context.get_help():
        typer.echo(message, err=True)
        sys.exit(USAGE)
    command = context.command_path if context else "ecr-cleanup"
    _end(f"{message[:1].lower()}{message[1:].rstrip('.')}; see {command} --help", USAGE)


app = typer.Typer(
    cls=_Commands,
    help=_HELP,
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help is the same on every terminal, and in pipes.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

AsJson = Annotated[bool, typer.Option("--json", help="The same as --output json.")]
Profile = Annotated[str | None, typer.Option(help="A profile of your AWS configuration.", metavar="NAME")]
Region = Annotated[
    str | None,
    typer.Option(help="The region of the functions. Default: that of your AWS configuration.", metavar="NAME"),
]
NamePrefix = Annotated[
    str,
    typer.Option(help="The name_prefix of the installation.", envvar="ECR_CLEANUP_NAME_PREFIX", metavar="TEXT"),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="Take the settings from a file with the environment variables of run_checks, as KEY=VALUE.",
        metavar="FILE",
    ),
]
Aggregator = Annotated[
    str | None,
    typer.Option(help="Where nothing is installed: the AWS Config aggregator to ask, and no ledger.", metavar="NAME"),
]
AccountIds = Annotated[
    list[str] | None,
    typer.Option("--account-id", help="With --aggregator: an account that uses the registry. Repeat it.", metavar="ID"),
]
RegistryRegions = Annotated[
    list[str] | None,
    typer.Option("--registry-region", help="With --aggregator: a region of the registry. Repeat it.", metavar="NAME"),
]
OptInTag = Annotated[
    str, typer.Option(help="With --aggregator: the tag of repositories that opted in.", metavar="KEY=VALUE")
]
Image = Annotated[
    str,
    typer.Argument(help="In any spelling: repository:tag, repository@digest, or a full reference.", metavar="IMAGE"),
]


def _installation(
    profile: str | None, region: str | None, where: Where, allowed: Collection[str] = READS
) -> Installation:
    return find_installation(AwsSession(profile, region, allowed), where)


@app.command("plan", epilog=_PLAN_EXAMPLES)
def plan_command(
    repositories: Annotated[
        list[str] | None,
        typer.Argument(help="Names of repositories. Default: all that opted in.", metavar="REPOSITORY"),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show each image that would stay, too.")] = False,
    assume_opted_in: Annotated[
        bool, typer.Option("--assume-opted-in", help="Judge as if the repositories had opted in: without names, all.")
    ] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Count shared layers once. Reads manifests, which ECR takes for a PULL of every image."
        ),
    ] = False,
    output: Annotated[Output, typer.Option(help="How to print it.")] = Output.TABLE,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page for the browser, too.", metavar="FILE")] = None,
    profile: Profile = None,
    region: Region = None,
    name_prefix: NamePrefix = "ecr-cleanup",
    settings: SettingsFile = None,
    aggregator: Aggregator = None,
    account_ids: AccountIds = None,
    registry_regions: RegistryRegions = None,
    opt_in_tag: OptInTag = "ecr-cleanup=enabled",
) -> None:
    """Show which images would go, and why.

    And which would stay, and what it all costs. Changes nothing. Images that look unused go only after they were
    watched for a grace period, and unless something runs them, which only the functions can ask.
    """
    where = Where(
        name_prefix, settings, aggregator, tuple(account_ids or ()), tuple(registry_regions or ()), opt_in_tag
    )
    if as_json and output not in (Output.TABLE, Output.JSON):
        raise UsageError(f"--json and --output {output} contradict each other: give one of them")
    printer = Printer()
    if layers:
        printer.note("Manifests are read, which ECR takes for a pull of every image: it may protect them for a while.")
    installation = _installation(profile, region, where, READS | PULLS if layers else READS)
    with printer.progress() as steps:
        made = plan.Planner(installation, steps, assume_opted_in=assume_opted_in, layers=layers).plan(
            repositories or []
        )
    match Output.JSON if as_json else output:
        case Output.TABLE:
            plan.show(made, printer, everything=everything)
        case Output.JSON:
            printer.raw(plan.as_json(made.report))
        case Output.CSV:
            printer.raw(plan.as_csv(made.report))
        case Output.HTML:
            printer.raw(plan.as_html(made.report))
    if html:
        _write(html, plan.as_html(made.report))
        printer.note(f"The page is in {html}.")
    if not made.is_trusted:
        for problem in installation.finder.problems_if_read:
            printer.note(f"Not trusted: {problem}")
        printer.note("The inventory is not trusted, so that nothing is removed. ecr-cleanup doctor says more.")
        raise typer.Exit(NOT_TRUSTED)


@app.command("explain", epilog=_EXPLAIN_EXAMPLES)
def explain_command(
    image: Image,
    *,
    output: Annotated[TextOrJson, typer.Option(help="How to print it.")] = TextOrJson.TABLE,
    as_json: AsJson = False,
    profile: Profile = None,
    region: Region = None,
    name_prefix: NamePrefix = "ecr-cleanup",
    settings: SettingsFile = None,
    aggregator: Aggregator = None,
    account_ids: AccountIds = None,
    registry_regions: RegistryRegions = None,
    opt_in_tag: OptInTag = "ecr-cleanup=enabled",
) -> None:
    """Tell all that is known about one image.

    Who uses it, what each rule says of it, when it is checked, and what was done with it.
    """
    where = Where(
        name_prefix, settings, aggregator, tuple(account_ids or ()), tuple(registry_regions or ()), opt_in_tag
    )
    printer = Printer()
    installation = _installation(profile, region, where)
    with printer.progress() as steps:
        document = explain.Explainer(installation, steps).explain(image)
    if as_json or output is TextOrJson.JSON:
        printer.raw(explain.as_json(document))
    else:
        explain.show(document, printer)


@app.command("pending", epilog=_PENDING_EXAMPLES)
def pending_command(
    *,
    output: Annotated[TextOrJson, typer.Option(help="How to print it.")] = TextOrJson.TABLE,
    as_json: AsJson = False,
    profile: Profile = None,
    region: Region = None,
    name_prefix: NamePrefix = "ecr-cleanup",
    settings: SettingsFile = None,
) -> None:
    """List the checks that are scheduled.

    When each is due, of which image it is, and what asked for it.
    """
    printer = Printer()
    installation = _installation(profile, region, Where(name_prefix, settings))
    with printer.progress() as steps:
        checks = pending.pending_checks(installation, steps)
    if as_json or output is TextOrJson.JSON:
        printer.raw(pending.as_json(installation, checks))
    else:
        pending.show(checks, printer)


@app.command("doctor", epilog=_DOCTOR_EXAMPLES)
def doctor_command(
    *,
    output: Annotated[TextOrJson, typer.Option(help="How to print it.")] = TextOrJson.TABLE,
    as_json: AsJson = False,
    profile: Profile = None,
    region: Region = None,
    name_prefix: NamePrefix = "ecr-cleanup",
    settings: SettingsFile = None,
) -> None:
    """Look whether the installation is sound.

    And say what repairs what is not. What you may not read is a warning that names the permission. Ends with 1 if
    there is any failure.
    """
    printer = Printer()
    installation = _installation(profile, region, Where(name_prefix, settings))
    with printer.progress() as steps:
        findings = doctor.Doctor(installation, steps).findings()
    if as_json or output is TextOrJson.JSON:
        printer.raw(doctor.as_json(installation, findings))
    else:
        doctor.show(findings, printer)
    if any(each.status == doctor.FAILURE for each in findings):
        raise typer.Exit(FAILED)


@app.command("check", epilog=_CHECK_EXAMPLES)
def check_command(
    image: Image,
    *,
    now: Annotated[bool, typer.Option("--now", help="Ask at once, and not after a grace period.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to do it.")] = False,
    profile: Profile = None,
    region: Region = None,
    name_prefix: NamePrefix = "ecr-cleanup",
    settings: SettingsFile = None,
) -> None:
    """Ask for a check of one image. Writes.

    The functions make it a grace period from now, by all rules: an image that is used stays. One that is not may be
    removed, as the action of the installation says.
    """
    printer = Printer()
    installation = _installation(profile, region, Where(name_prefix, settings), READS | WRITES)
    asker = asking.Asker(installation)
    found = asker.find(image)
    if note := asker.note(found):
        printer.note(note)
    action = installation.settings.action.value
    when = "at once" if now else "after a grace period"
    if not yes and is_interactive():
        typer.confirm(f"Check {found.id} {when} (action {action})?", abort=True, err=True)
    printer.line(asker.send(found) if now else asker.schedule(found))


def is_interactive() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from None
