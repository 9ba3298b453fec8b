from __future__ import annotations

from datetime import timedelta

import pytest

from ecr_cleanup.errors import SettingsError
from ecr_cleanup.image import Repository
from ecr_cleanup.settings import Action, CheckSettings, OptInTag, Place, Settings
from function_environment import ENVIRONMENT


def test_reads_all_variables() -> None:
    settings = CheckSettings.from_environment(ENVIRONMENT)
    assert settings.registry_id == "111111111111"
    assert settings.registry_regions == {"eu-central-1", "eu-west-1"}
    assert settings.opt_in_tag == OptInTag("ecr-cleanup", "enabled")
    assert settings.grace_period == timedelta(hours=24)
    assert settings.action is Action.DELETE
    assert settings.workload_account_ids == frozenset({"222222222222", "333333333333"})
    assert settings.workload_regions == {"eu-central-1"}
    assert settings.max_registration_lag == timedelta(hours=1)
    assert settings.partition == "aws"


def test_scheduling_needs_less() -> None:
    needed = {
        name: value for name, value in ENVIRONMENT.items() if not name.startswith(("WORKLOAD", "ACTION", "EVENT"))
    }
    assert Settings.from_environment(needed).aggregator_name == "ecr-cleanup"


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("REGISTRY_ID", "", "REGISTRY_ID is missing or empty"),
        ("REGISTRY_ID", "12345", "REGISTRY_ID is '12345', but must be an AWS account id such as 123456789012"),
        ("REGISTRY_REGIONS", "", "REGISTRY_REGIONS is missing or empty, but must be like eu-central-1,eu-west-1"),
        ("REGISTRY_REGIONS", "eu-central-1,Europe", "REGISTRY_REGIONS has 'Europe' in it"),
        ("OPT_IN_TAG_KEY", " ", "OPT_IN_TAG_KEY is missing or empty"),
        ("OPT_IN_TAG_VALUE", "", "OPT_IN_TAG_VALUE is missing or empty"),
        ("GRACE_PERIOD_HOURS", "0", "GRACE_PERIOD_HOURS is '0', but must be a whole number from 1 to 8760"),
        ("GRACE_PERIOD_HOURS", "8761", "from 1 to 8760"),
        ("GRACE_PERIOD_HOURS", "-24", "from 1 to 8760"),
        ("GRACE_PERIOD_HOURS", "24h", "from 1 to 8760"),
        ("GRACE_PERIOD_HOURS", "1_0", "from 1 to 8760"),
        ("GRACE_PERIOD_HOURS", "9" * 400, "from 1 to 8760"),
        ("LEDGER_TABLE_NAME", "a b", "must be the name of a DynamoDB table"),
        ("SCHEDULE_ROLE_ARN", "role", "must be the ARN of an IAM role"),
        ("CHECK_QUEUE_ARN", "queue", "must be the ARN of an SQS queue"),
        ("SCHEDULE_DEAD_LETTER_QUEUE_ARN", "", "is missing"),
        ("AGGREGATOR_NAME", "", "is missing"),
        ("ACTION", "purge", "ACTION is 'purge', but must be report or archive or delete"),
        ("ACTION", "", "ACTION is missing"),
        ("WORKLOAD_ACCOUNT_IDS", "22", "WORKLOAD_ACCOUNT_IDS has '22' in it"),
        ("WORKLOAD_ACCOUNT_IDS", "", "exactly one of WORKLOAD_ACCOUNT_IDS"),
        ("WORKLOAD_ORGANIZATION", "true", "exactly one of WORKLOAD_ACCOUNT_IDS"),
        ("WORKLOAD_ORGANIZATION", "yes", "must be true or false"),
        ("WORKLOAD_REGIONS", "", "WORKLOAD_REGIONS is missing"),
        ("EXEMPT_ACCOUNTS", "222222222222/nowhere", "EXEMPT_ACCOUNTS has"),
        ("MAX_REGISTRATION_LAG_MINUTES", "4", "from 5 to 1440"),
        ("EVENT_BUS_NAME", "", "is missing"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint.replace("(", r"\(")):
        CheckSettings.from_environment({**ENVIRONMENT, name: value})


def test_the_organisation_instead_of_a_list() -> None:
    settings = CheckSettings.from_environment(
        {**ENVIRONMENT, "WORKLOAD_ACCOUNT_IDS": "", "WORKLOAD_ORGANIZATION": "true"}
    )
    assert settings.workload_account_ids is None


def test_exemptions_name_an_account_or_one_region_of_it() -> None:
    settings = CheckSettings.from_environment(
        {**ENVIRONMENT, "EXEMPT_ACCOUNTS": "222222222222, 333333333333/eu-central-1"}
    )
    assert settings.is_exempt(Place("222222222222", "eu-west-1"))
    assert settings.is_exempt(Place("333333333333", "eu-central-1"))
    assert not settings.is_exempt(Place("333333333333", "eu-west-1"))


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        (Repository("111111111111", "eu-central-1", "app"), True),
        (Repository("111111111111", "us-east-1", "app"), False),
        (Repository("222222222222", "eu-central-1", "app"), False),
    ],
)
def test_in_charge_of_its_own_registry_and_regions_only(repository: Repository, expected: bool) -> None:
    assert CheckSettings.from_environment(ENVIRONMENT).in_charge_of(repository) is expected
