"""What the environment variables of the functions say, validated once at start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from ecr_cleanup.errors import SettingsError
from ecr_cleanup.image import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecr_cleanup.image import Repository

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+")
_NAME = re.compile(r"[0-9A-Za-z._/-]{1,256}")


class Action(Enum):
    """What is done with an image that the verdict `remove` is for."""

    REPORT = "report"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class OptInTag:
    """The tag with which the owner of a repository opts in."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An account and one region of it."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class CheckSettings(Settings):
    """What `run_checks` needs to know on top.

    `workload_account_ids` is None where every active account of the organisation is expected.
    """

    action: Action
    workload_account_ids: frozenset[str] | None
    workload_regions: frozenset[str]
    exempt: frozenset[str]
    max_registration_lag: timedelta
    event_bus_name: str

    def is_exempt(self, place: Place) -> bool:
        """Whether the account, or this region of it, was exempted from having to be trusted."""
        return place.account in self.exempt or str(place) in self.exempt

    @classmethod
    def _arguments(cls, env: _Environment) -> dict[str, Any]:
        organization = env.choice("WORKLOAD_ORGANIZATION", ("true", "false"), default="false") == "true"
        account_ids = env.list_of("WORKLOAD_ACCOUNT_IDS", ACCOUNT_ID, "123456789012,210987654321", empty=True)
        if organization == bool(account_ids):
            raise SettingsError(
                "exactly one of WORKLOAD_ACCOUNT_IDS (such as 123456789012,210987654321) and "
                'WORKLOAD_ORGANIZATION ("true") must be given: which accounts are expected to use the registry?'
            )
        exempt = re.compile(rf"{ACCOUNT_ID.pattern}(?:/{REGION.pattern})?")
        return {
            **super()._arguments(env),
            "action": Action(env.choice("ACTION", tuple(action.value for action in Action))),
            "workload_account_ids": None if organization else frozenset(account_ids),
            "workload_regions": frozenset(env.list_of("WORKLOAD_REGIONS", REGION, "eu-central-1,eu-west-1")),
            "exempt": frozenset(
                env.list_of("EXEMPT_ACCOUNTS", exempt, "123456789012,210987654321/eu-central-1", empty=True)
            ),
            "max_registration_lag": timedelta(minutes=env.number("MAX_REGISTRATION_LAG_MINUTES", 5, 1440)),
            "event_bus_name": env.matching("EVENT_BUS_NAME", _NAME, "the name of an event bus"),
        }


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

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"environment variable {name} is {value!r}, but must be {' or '.join(allowed)}")
        return value
