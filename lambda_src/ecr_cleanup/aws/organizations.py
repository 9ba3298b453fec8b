"""The organisation: which accounts there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_organizations import OrganizationsClient


def active_account_ids(client: OrganizationsClient) -> frozenset[str]:
    """The accounts of the organisation that are ACTIVE.

    Works in the management account and for delegated administrators
    (https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html).
    """
    return frozenset(
        account["Id"]
        for page in client.get_paginator("list_accounts").paginate()
        for account in page["Accounts"]
        # `State` replaces `Status`. An account with neither is expected rather than overlooked.
        if (account.get("State") or account.get("Status") or "ACTIVE") == "ACTIVE"
    )
