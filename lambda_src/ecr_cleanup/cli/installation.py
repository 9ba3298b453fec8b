"""Finds the installation that a command is about, and gives what the domain needs to look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ecr_cleanup.aws.config import Aggregator
from ecr_cleanup.aws.ecr import Registry
from ecr_cleanup.aws.organizations import active_account_ids
from ecr_cleanup.aws.sweep_ledger import SweepLedger
from ecr_cleanup.cli import clock
from ecr_cleanup.cli.failures import AwsError, DeniedError, UsageError
from ecr_cleanup.cli.read_only import NoLedger, ReadOnlyLedger
from ecr_cleanup.errors import SettingsError
from ecr_cleanup.evidence import Finder
from ecr_cleanup.image import ACCOUNT_ID, REGION
from ecr_cleanup.settings import ECS_TYPES, CheckSettings
from ecr_cleanup.survey import Survey
from ecr_cleanup.taking_inventory import InventoryTaker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ecr_cleanup.cli.session import AwsSession
    from ecr_cleanup.inventory import SourceStatus
    from ecr_cleanup.settings import Place

# As the Terraform module has it.
_NAME_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
_AGGREGATOR = re.compile(r"[\w-]{1,256}", re.ASCII)
# A person can wait, or stop it.
_TIME_LEFT = timedelta(days=1)
# The defaults of the Terraform module, for where there is no installation to ask.
_DEFAULTS = {
    "GRACE_PERIOD_HOURS": "24",
    "ACTION": "report",
    "EXEMPT_ACCOUNTS": "",
    "MAX_REGISTRATION_LAG_MINUTES": "60",
    "PROTECTED_TAG_PATTERNS": "",
    "MINIMUM_AGE_DAYS": "14",
    "PULLED_WITHIN_HOURS": "",
    "NEVER_USED_PULLED_WITHIN_DAYS": "90",
    "UNTAGGED_MINIMUM_AGE_DAYS": "30",
    "NEWEST_IMAGES": "1",
    "TAGS_NEVER_MOVE": "false",
    "REMOVALS_PER_DAY": "500",
    "ARCHIVE_DAYS": "90",
    "RESOURCE_TYPES": ",".join(
        [*ECS_TYPES, "AWS::AppRunner::Service", "AWS::CodeBuild::Project", "AWS::SageMaker::Model"]
    ),
}


@dataclass(frozen=True, slots=True)
class Where:
    """How the caller names the installation, or the settings that it would have.

    With `settings_file`, the settings are read from there. With `aggregator`, there is no installation: `account_ids`
    are the accounts that use the registry of the caller's own account.
    """

    name_prefix: str = "ecr-cleanup"
    settings_file: Path | None = None
    aggregator: str | None = None
    account_ids: tuple[str, ...] = ()
    registry_regions: tuple[str, ...] = ()
    opt_in_tag: str = "ecr-cleanup=enabled"


class _Aggregator(Aggregator):
    """One that says which aggregators there are where it is none of them."""

    def source_statuses(self) -> dict[Place, SourceStatus]:
        try:
            return super().source_statuses()
        except self._client.exceptions.NoSuchConfigurationAggregatorException:
            raise AwsError(
                f"there is no aggregator {self._name}: {self._others()}; check --aggregator, --region"
            ) from None

    def _others(self) -> str:
        try:
            pages = self._client.get_paginator("describe_configuration_aggregators").paginate()
            names = sorted(
                each["ConfigurationAggregatorName"] for page in pages for each in page["ConfigurationAggregators"]
            )
        except DeniedError as error:
            return f"which there are, you may not ask ({error.permission})"
        return f"those of this account and region are {', '.join(names)}" if names else "there is none here"


@dataclass
class Installation:
    """An installation, or one that could be (`is_deployed` is False).

    What it gives reads only: the ledger drops what is written into it.
    """

    name: str
    settings: CheckSettings
    session: AwsSession
    is_deployed: bool = True

    @cached_property
    def registry(self) -> Registry:
        """The registry that it cleans up."""
        return Registry(lambda region: self.session.client("ecr", region), self.settings.partition)

    @cached_property
    def ledger(self) -> ReadOnlyLedger | NoLedger:
        """What events told and what was done."""
        kind = ReadOnlyLedger if self.is_deployed else NoLedger
        return kind(self.session.client("dynamodb"), self.settings.ledger_table_name)

    @cached_property
    def sweeps(self) -> SweepLedger:
        """What the last sweep found."""
        return SweepLedger(self.session.client("dynamodb"), self.settings.ledger_table_name)

    @cached_property
    def inventory_taker(self) -> InventoryTaker:
        """Who uses which image."""
        return InventoryTaker(
            self.settings,
            _Aggregator(self.session.client("config"), self.settings.aggregator_name),
            self.ledger,
            self.registry,
            lambda: active_account_ids(self.session.client("organizations")),
        )

    @cached_property
    def finder(self) -> Finder:
        """What the rules ask. The accounts are not asked: their roles trust the functions only."""
        return Finder(
            self.settings,
            registry=self.registry,
            ledger=self.ledger,
            inventory_taker=self.inventory_taker,
            live_usage=None,
            clock=clock.now,
            time_left=lambda: _TIME_LEFT,
        )

    @cached_property
    def survey(self) -> Survey:
        """Judges images."""
        return Survey(self.settings, self.finder, clock=clock.now, asks_accounts=False, names_each_user=True)


def find_installation(session: AwsSession, where: Where) -> Installation:
    """The installation that the caller means.

    Raises:
        UsageError: the settings given make no sense.
        AwsError: there is no such installation, or its settings cannot be read.
    """
    if where.settings_file:
        variables = _variables_of_file(where.settings_file)
        return Installation(where.name_prefix, _settings(variables, str(where.settings_file), UsageError), session)
    if where.aggregator:
        settings = _settings(_variables_without_installation(session, where), "the command line", UsageError)
        return Installation("none", settings, session, is_deployed=False)
    if where.account_ids or where.registry_regions:
        raise UsageError(
            "--account-id and --registry-region are for where nothing is installed: give --aggregator, too"
        )
    _must_match("--name-prefix", where.name_prefix, _NAME_PREFIX, "1 to 24 lower-case letters, digits and hyphens")
    name = f"{where.name_prefix}-run-checks"
    return Installation(where.name_prefix, _settings(_variables_of_function(session, name), name, AwsError), session)


def _must_match(option: str, value: str, pattern: re.Pattern[str], allowed: str) -> None:
    if not pattern.fullmatch(value):
        raise UsageError(f"{option} is {value[:50]!r}, but must be {allowed}")


def _settings(variables: Mapping[str, str], source: str, kind: type[UsageError | AwsError]) -> CheckSettings:
    try:
        return CheckSettings.from_environment(variables)
    except SettingsError as error:
        raise kind(f"the settings of {source} make no sense to this version of ecr-cleanup: {error}") from None


def _variables_of_function(session: AwsSession, name: str) -> Mapping[str, str]:
    client = session.client("lambda")
    try:
        environment = client.get_function_configuration(FunctionName=name).get("Environment", {})
    except client.exceptions.ResourceNotFoundException:
        raise AwsError(
            f"there is no function {name} in the account {session.account_id()} and region {session.region}: choose "
            "another with --profile, --region or --name-prefix; where nothing is installed, give --aggregator and "
            "--account-id"
        ) from None
    # https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentResponse.html
    if trouble := environment.get("Error"):
        raise AwsError(
            f"the settings of {name} cannot be read, which takes kms:Decrypt with the function's key: "
            f"{trouble.get('Message') or trouble.get('ErrorCode')}"
        )
    variables: Mapping[str, str] = environment.get("Variables", {})
    return variables


def _variables_of_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    variables = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise UsageError(f"line {number} of {path} is not of the form REGISTRY_ID=123456789012")
        variables[key.strip()] = value.strip()
    return variables


def _variables_without_installation(session: AwsSession, where: Where) -> dict[str, str]:
    key, equals, value = where.opt_in_tag.partition("=")
    if not (key and equals and value):
        raise UsageError(f"--opt-in-tag is {where.opt_in_tag!r}, but must be like ecr-cleanup=enabled")
    if not where.account_ids:
        raise UsageError("--aggregator needs --account-id, once for each account that uses the registry")
    _must_match("--aggregator", where.aggregator or "", _AGGREGATOR, "letters, digits, _ and -")
    for account_id in where.account_ids:
        _must_match("--account-id", account_id, ACCOUNT_ID, "12 digits, such as 123456789012")
    for each in where.registry_regions:
        _must_match("--registry-region", each, REGION, "one such as eu-central-1")
    account, region, partition = session.account_id(), session.region, session.partition
    queue = f"arn:{partition}:sqs:{region}:{account}:none"
    role = f"arn:{partition}:iam::{account}:role/none"
    return {
        **_DEFAULTS,
        "REGISTRY_ID": account,
        "REGISTRY_REGIONS": ",".join(where.registry_regions or (region,)),
        "OPT_IN_TAG_KEY": key,
        "OPT_IN_TAG_VALUE": value,
        "WORKLOAD_ACCOUNT_IDS": ",".join(where.account_ids),
        "WORKLOAD_REGIONS": ",".join(where.registry_regions or (region,)),
        "AGGREGATOR_NAME": where.aggregator or "",
        "LEDGER_TABLE_NAME": "none",
        "SCHEDULE_GROUP_NAME": "none",
        "EVENT_BUS_NAME": "none",
        "SCHEDULE_ROLE_ARN": role,
        "FUNCTION_ROLE_ARN": role,
        "CHECK_QUEUE_ARN": queue,
        "SCHEDULE_DEAD_LETTER_QUEUE_ARN": queue,
        # As the module's default: that they would be asked makes images in repositories whose tags can move candidates.
        "READER_ROLE_NAME": "none",
        "READER_EXTERNAL_ID": "none",
    }
