"""What the environment variables of the functions say, validated once at start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ecr_cleanup.errors import SettingsError
from ecr_cleanup.image import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecr_cleanup.image import Repository

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+")
_NAME = re.compile(r"[0-9A-Za-z._/-]{1,256}")
_ROLE_NAME = re.compile(r"[0-9A-Za-z+=,.@_-]{1,48}")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_EXTERNAL_ID = re.compile(r"[0-9A-Za-z+=,.@:/_-]{2,1224}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[0-9A-Za-z!_.*'()/-]{1,500}")
_RESOURCE_TYPE = re.compile(r"[A-Za-z0-9]+::[A-Za-z0-9]+::[A-Za-z0-9]+")
# Tags as ECR allows them, and its wildcard:
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
TAG_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,128}")
ECS_TYPES = ("AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ECS::TaskSet")


class Action(Enum):
    """What is done with an image that the verdict `remove` is for."""

    REPORT = "report"
    ARCHIVE = "archive"
    DELETE = "delete"


class OptInTag(NamedTuple):
    """The tag with which the owner of a repository opts in."""

    key: str
    value: str


class Place(NamedTuple):
    """An account and one region of it."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclass(frozen=True, eq=False)
class Settings:
    """What every function needs to know."""

    registry_id: str
    registry_regions: frozenset[str]
    opt_in_tag: OptInTag
    grace_period: timedelta
    ledger_table_name: str
    schedule_group_name: str
    schedule_role_arn: str
    check_queue_arn: str
    schedule_dead_letter_queue_arn: str
    aggregator_name: str

    @property
    def partition(self) -> str:
        """The partition (`aws`, `aws-cn`, ...) that all of the installation is in."""
        return self.schedule_role_arn.split(":")[1]

    def in_charge_of(self, repository: Repository) -> bool:
        """Whether the repository is in the registry and the regions that this installation cleans up."""
        return repository.registry_id == self.registry_id and repository.region in self.registry_regions

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and validate the environment.

        Raises:
            SettingsError: names the variable, its value and what is allowed.
        """
        return cls(**cls._arguments(_Environment(environment)))

    @classmethod
    def _arguments(cls, env: _Environment) -> dict[str, Any]:
        return {
            "registry_id": env.matching("REGISTRY_ID", ACCOUNT_ID, "an AWS account id such as 123456789012"),
            "registry_regions": frozenset(env.list_of("REGISTRY_REGIONS", REGION, "eu-central-1,eu-west-1")),
            "opt_in_tag": OptInTag(env.text("OPT_IN_TAG_KEY"), env.text("OPT_IN_TAG_VALUE")),
            "grace_period": timedelta(hours=env.number("GRACE_PERIOD_HOURS", 1, 8760)),
            "ledger_table_name": env.matching("LEDGER_TABLE_NAME", _NAME, "the name of a DynamoDB table"),
            "schedule_group_name": env.matching("SCHEDULE_GROUP_NAME", _NAME, "the name of a schedule group"),
            "schedule_role_arn": env.matching("SCHEDULE_ROLE_ARN", _ARN, "the ARN of an IAM role"),
            "check_queue_arn": env.matching("CHECK_QUEUE_ARN", _ARN, "the ARN of an SQS queue"),
            "schedule_dead_letter_queue_arn": env.matching(
                "SCHEDULE_DEAD_LETTER_QUEUE_ARN", _ARN, "the ARN of an SQS queue"
            ),
            "aggregator_name": env.matching("AGGREGATOR_NAME", _NAME, "the name of a Config aggregator"),
        }


class Protections(NamedTuple):
    """What protects images that nobody uses.

    `tag_patterns` have ECR's wildcard `*`. `minimum_age` (since push) and `never_used_pulled_within` are for images
    without a known use. `pulled_within` is None for a grace period and a day. `newest` counts images of a repository.
    `untagged_minimum_age` counts from the later of push and last recorded pull.
    """

    tag_patterns: tuple[str, ...] = ()
    minimum_age: timedelta = timedelta(days=14)
    pulled_within: timedelta | None = None
    never_used_pulled_within: timedelta = timedelta(days=90)
    newest: int = 1
    tags_never_move: bool = False
    untagged_minimum_age: timedelta = timedelta(days=30)


class ReaderRole(NamedTuple):
    """The role that the functions assume in each place to see what runs there: its name there and the external id."""

    name: str
    external_id: str

    def arn(self, place: Place, partition: str) -> str:
        """The role of one place. Roles are global, so that the region is in the name."""
        return f"arn:{partition}:iam::{place.account}:role/{self.name}-{place.region}"


@dataclass(frozen=True, eq=False)
class CheckSettings(Settings):
    """What `run_checks` needs to know on top.

    `workload_account_ids` is None where every active account of the organisation is expected, and `reader_role` where
    nobody asks the accounts what runs. Of each family, only the `newest_revisions` count as use; None means all.
    """

    action: Action
    workload_account_ids: frozenset[str] | None
    workload_regions: frozenset[str]
    exempt: frozenset[str]
    resource_types: frozenset[str]
    max_registration_lag: timedelta
    event_bus_name: str
    function_role_arn: str
    protections: Protections
    removals_per_day: int
    archive_period: timedelta
    reader_role: ReaderRole | None = None
    newest_revisions: int | None = None

    def is_exempt(self, place: Place, arn: str | None = None) -> bool:
        """Whether the account, this region of it or this one resource was exempted from having to be known."""
        return place.account in self.exempt or str(place) in self.exempt or arn in self.exempt

    @classmethod
    def _arguments(cls, env: _Environment) -> dict[str, Any]:
        organization = env.choice("WORKLOAD_ORGANIZATION", ("true", "false"), default="false") == "true"
        account_ids = env.list_of("WORKLOAD_ACCOUNT_IDS", ACCOUNT_ID, "123456789012,210987654321", empty=True)
        if organization == bool(account_ids):
            raise SettingsError(
                "exactly one of WORKLOAD_ACCOUNT_IDS (such as 123456789012,210987654321) and "
                'WORKLOAD_ORGANIZATION ("true") must be given: which accounts are expected to use the registry?'
            )
        exempt = re.compile(rf"{ACCOUNT_ID.pattern}(?:/{REGION.pattern})?|{_ARN.pattern}")
        types = env.list_of("RESOURCE_TYPES", _RESOURCE_TYPE, ",".join(ECS_TYPES))
        if missing := set(ECS_TYPES) - set(types):
            raise SettingsError(f"environment variable RESOURCE_TYPES lacks {', '.join(sorted(missing))}")
        pulled_within = env.optional_number("PULLED_WITHIN_HOURS", 0, 8760)
        reader_role, newest_revisions = _reader_role(env), env.optional_number("NEWEST_REVISIONS", 1, 1000)
        if newest_revisions and not reader_role:
            raise SettingsError(
                "environment variable NEWEST_REVISIONS needs READER_ROLE_NAME: only the accounts themselves know which "
                "older revisions run, or are started by schedules"
            )
        return {
            **super()._arguments(env),
            "action": Action(env.choice("ACTION", tuple(action.value for action in Action))),
            "workload_account_ids": None if organization else frozenset(account_ids),
            "workload_regions": frozenset(env.list_of("WORKLOAD_REGIONS", REGION, "eu-central-1,eu-west-1")),
            "exempt": frozenset(
                env.list_of("EXEMPT_ACCOUNTS", exempt, "123456789012,210987654321/eu-central-1", empty=True)
            ),
            "resource_types": frozenset(types),
            "max_registration_lag": timedelta(minutes=env.number("MAX_REGISTRATION_LAG_MINUTES", 5, 1440)),
            "event_bus_name": env.matching("EVENT_BUS_NAME", _NAME, "the name of an event bus"),
            "function_role_arn": env.matching("FUNCTION_ROLE_ARN", _ARN, "the ARN of an IAM role"),
            "protections": Protections(
                tag_patterns=tuple(env.list_of("PROTECTED_TAG_PATTERNS", TAG_PATTERN, "release-*,v1.*", empty=True)),
                minimum_age=timedelta(days=env.number("MINIMUM_AGE_DAYS", 0, 3650)),
                pulled_within=None if pulled_within is None else timedelta(hours=pulled_within),
                never_used_pulled_within=timedelta(days=env.number("NEVER_USED_PULLED_WITHIN_DAYS", 0, 3650)),
                newest=env.number("NEWEST_IMAGES", 0, 10000),
                tags_never_move=env.choice("TAGS_NEVER_MOVE", ("true", "false")) == "true",
                untagged_minimum_age=timedelta(days=env.number("UNTAGGED_MINIMUM_AGE_DAYS", 0, 3650)),
            ),
            "removals_per_day": env.number("REMOVALS_PER_DAY", 1, 100_000),
            "archive_period": timedelta(days=env.number("ARCHIVE_DAYS", 1, 3650)),
            "reader_role": reader_role,
            "newest_revisions": newest_revisions,
        }


@dataclass(frozen=True, eq=False)
class SweepSettings(CheckSettings):
    """What `sweep` needs to know on top. `report_bucket` is None where nobody wants reports.

    Of `quiet_accounts` it is known that they hardly ever deploy.
    """

    sweep_queue_arn: str = ""
    report_bucket: str | None = None
    report_prefix: str = ""
    repository_metrics: bool = True
    quiet_accounts: frozenset[str] = frozenset()

    @classmethod
    def _arguments(cls, env: _Environment) -> dict[str, Any]:
        bucket = (
            env.matching("REPORT_BUCKET", _BUCKET, "the name of an S3 bucket") if env.given("REPORT_BUCKET") else None
        )
        prefix = (
            env.matching("REPORT_PREFIX", _PREFIX, "a prefix such as ecr-cleanup/")
            if env.given("REPORT_PREFIX")
            else ""
        )
        return {
            **super()._arguments(env),
            "sweep_queue_arn": env.matching("SWEEP_QUEUE_ARN", _ARN, "the ARN of an SQS queue"),
            "report_bucket": bucket,
            "report_prefix": prefix,
            "repository_metrics": env.choice("REPOSITORY_METRICS", ("true", "false")) == "true",
            "quiet_accounts": frozenset(env.list_of("QUIET_ACCOUNTS", ACCOUNT_ID, "123456789012", empty=True)),
        }


@dataclass(frozen=True)
class DigestSettings(Settings):
    """What `digest` needs to know on top."""

    topic_arn: str
    when_nothing_was_removed: bool

    @classmethod
    def _arguments(cls, env: _Environment) -> dict[str, Any]:
        return {
            **super()._arguments(env),
            "topic_arn": env.matching("TOPIC_ARN", _ARN, "the ARN of an SNS topic"),
            "when_nothing_was_removed": env.choice("WHEN_NOTHING_WAS_REMOVED", ("true", "false")) == "true",
        }


def _reader_role(env: _Environment) -> ReaderRole | None:
    if not env.given("READER_ROLE_NAME"):
        return None
    return ReaderRole(
        env.matching("READER_ROLE_NAME", _ROLE_NAME, "the name of an IAM role without the region at its end"),
        env.matching("READER_EXTERNAL_ID", _EXTERNAL_ID, "an external id, such as the ARN of the event bus"),
    )


class _Environment:
    """Reads single variables, and says what is wrong with them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str | None = None) -> str:
        value = self._variables.get(name, default or "").strip()
        if not value:
            raise SettingsError(f"environment variable {name} is missing or empty")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], allowed: str) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise SettingsError(f"environment variable {name} is {value!r}, but must be {allowed}")
        return value

    def given(self, name: str) -> bool:
        return bool(self._variables.get(name, "").strip())

    def list_of(self, name: str, item: re.Pattern[str], example: str, *, empty: bool = False) -> list[str]:
        values = [value.strip() for value in self._variables.get(name, "").split(",") if value.strip()]
        if not values and not empty:
            raise SettingsError(f"environment variable {name} is missing or empty, but must be like {example}")
        for value in values:
            if not item.fullmatch(value):
                raise SettingsError(f"environment variable {name} has {value!r} in it, but must be like {example}")
        return values

    def number(self, name: str, lowest: int, highest: int) -> int:
        value = self.text(name)
        # ASCII digits only, and few: int() would also take "1_0", digits of other scripts and numbers of any size.
        if not re.fullmatch(r"[0-9]{1,6}", value) or not lowest <= int(value) <= highest:
            raise SettingsError(
                f"environment variable {name} is {value[:50]!r}, but must be a whole number from {lowest} to {highest}"
            )
        return int(value)

    def optional_number(self, name: str, lowest: int, highest: int) -> int | None:
        return self.number(name, lowest, highest) if self.given(name) else None

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"environment variable {name} is {value!r}, but must be {' or '.join(allowed)}")
        return value
