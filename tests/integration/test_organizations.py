from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ecr_cleanup.aws.organizations import active_account_ids


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"State": "ACTIVE", "Status": "ACTIVE"}, True),
        ({"State": "ACTIVE"}, True),
        ({"Status": "ACTIVE"}, True),
        ({}, True),
        ({"State": "PENDING_CLOSURE", "Status": "ACTIVE"}, False),
        ({"Status": "SUSPENDED"}, False),
    ],
)
def test_an_account_is_expected_unless_it_is_known_not_to_be_active(states: dict[str, str], expected: bool) -> None:
    client = boto3.client(
        "organizations", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    answer: dict[str, Any] = {"Accounts": [{"Id": "222222222222", **states}]}
    with Stubber(client) as stubber:
        stubber.add_response("list_accounts", answer)
        assert active_account_ids(client) == (frozenset({"222222222222"}) if expected else frozenset())
