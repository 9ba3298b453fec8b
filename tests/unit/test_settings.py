from __future__ import annotations

from datetime import timedelta

import pytest

from ecr_cleanup.errors import SettingsError
from ecr_cleanup.image import Repository
from ecr_cleanup.settings import Action, CheckSettings, OptInTag, Place, ReaderRole, Settings
from function_environment import ENVIRONMENT

READER = ENVIRONMENT | {
    "READER_ROLE_NAME": "ecr-cleanup-reader",
    "READER_EXTERNAL_ID": "arn:aws:events:eu-central-1:111111111111:event-bus/ecr-cleanup",
}


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
        ("UNTAGGED_MINIMUM_AGE_DAYS", "", "UNTAGGED_MINIMUM_AGE_DAYS is missing or empty"),
        ("UNTAGGED_MINIMUM_AGE_DAYS", "-1", "must be a whole number from 0 to 3650"),
        ("UNTAGGED_MINIMUM_AGE_DAYS", "3651", "from 0 to 3650"),
        ("UNTAGGED_MINIMUM_AGE_DAYS", "30 days", "UNTAGGED_MINIMUM_AGE_DAYS is '30 days', but must be"),
        ("READER_ROLE_NAME", "role/reader", "READER_ROLE_NAME is 'role/reader', but must be the name of an IAM role"),
        ("READER_ROLE_NAME", "a reader", "without the region at its end"),
        ("READER_ROLE_NAME", "r" * 49, "must be the name of an IAM role"),
        ("READER_ROLE_NAME", "ecr-cleanup-reader", "READER_EXTERNAL_ID is missing or empty"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint.replace("(", r"\(")):
        CheckSettings.from_environment({**ENVIRONMENT, name: value})


@pytest.mark.parametrize("external_id", ["", " ", "x", "a b", "arn:aws:events:*", "e" * 1225])
def test_a_reader_role_needs_an_external_id_that_sts_takes(external_id: str) -> None:
    with pytest.raises(SettingsError, match="environment variable READER_EXTERNAL_ID is"):
        CheckSettings.from_environment({**READER, "READER_EXTERNAL_ID": external_id})


def test_the_role_of_each_account_and_region() -> None:
    role = CheckSettings.from_environment(READER).reader_role
    assert role == ReaderRole("ecr-cleanup-reader", READER["READER_EXTERNAL_ID"])
    place = Place("222222222222", "cn-north-1")
    assert role.arn(place, "aws-cn") == "arn:aws-cn:iam::222222222222:role/ecr-cleanup-reader-cn-north-1"


def test_the_longest_name_of_a_role_has_room_for_every_region() -> None:
    role = CheckSettings.from_environment({**READER, "READER_ROLE_NAME": "r" * 48}).reader_role
    assert role
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(role.arn(Place("222222222222", "ap-southeast-1"), "aws").rpartition("/")[2]) <= 64


@pytest.mark.parametrize("name", ["", "  ", None])
def test_without_a_reader_role_nobody_asks_the_accounts(name: str | None) -> None:
    environment = {key: value for key, value in READER.items() if key != "READER_ROLE_NAME"}
    given = {} if name is None else {"READER_ROLE_NAME": name}
    assert CheckSettings.from_environment(environment | given).reader_role is None


@pytest.mark.parametrize("days", [0, 3650])
def test_untagged_images_have_a_minimum_age_of_their_own(days: int) -> None:
    settings = CheckSettings.from_environment({**ENVIRONMENT, "UNTAGGED_MINIMUM_AGE_DAYS": str(days)})
    assert settings.protections.untagged_minimum_age == timedelta(days=days)
    assert settings.protections.minimum_age == timedelta(days=14)


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
