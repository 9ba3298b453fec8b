"""What ends a command: one line that a person can act on, and an exit code.

CliError
├── UsageError             something given cannot be understood (2)
├── AwsError               AWS could not be asked: credentials, region, installation, aggregator (3)
│   ├── DeniedError        a permission is missing (3)
│   └── ThrottledError     AWS wants fewer calls (3)
├── NotFoundError          the image or the repository does not exist (5)
└── NotAllowedError        a command wanted to make a call that is none of its own; a mistake in this program
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore import exceptions as botocore_errors

from ecr_cleanup.cli.calls import permission_for
from ecr_cleanup.errors import EcrCleanupError

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = 1
USAGE = 2
AWS = 3
NOT_TRUSTED = 4
NOT_FOUND = 5
# As shells have it for what a signal ended: 128 and its number.
INTERRUPTED = 130
NOT_READ = 141

_DENIED = frozenset(
    ["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "KMSAccessDeniedException"]
)
_EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
_INVALID = frozenset(
    ["InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch"]
)
_THROTTLED = frozenset(
    [
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ]
)
_RENEW = "sign in anew (aws sso login, or whatever gives you credentials), or choose others with --profile"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_NAMED_ACTION = re.compile(r"not authorized to perform: (?P<action>[a-z0-9-]+:[A-Za-z]+)")


class CliError(EcrCleanupError):
    """Ends the command. The message says what is wrong and what to do."""

    exit_code = FAILED


class UsageError(CliError):
    """Something that was given cannot be understood."""

    exit_code = USAGE


class AwsError(CliError):
    """AWS cannot be asked, or not where it should be."""

    exit_code = AWS


class DeniedError(AwsError):
    """The caller lacks a permission. `permission` is the IAM action."""

    def __init__(self, permission: str, message: str) -> None:
        super().__init__(message)
        self.permission = permission


class ThrottledError(AwsError):
    """AWS wants fewer calls than are made, repetitions included."""


class NotFoundError(CliError):
    """What was asked about does not exist."""

    exit_code = NOT_FOUND


class NotAllowedError(CliError):
    """The command has no business to make this call."""


def error_of_answer(call: str, parsed: Mapping[str, Any]) -> AwsError | None:
    """What ends the command in an error that AWS answered; None for those that callers know how to handle.

    `call` is a service and an operation, such as `ecr:DescribeImages`.
    """
    code, message = parsed["Error"].get("Code", ""), " ".join(str(parsed["Error"].get("Message", "")).split())
    if code in _DENIED:
        named = _NAMED_ACTION.search(message)
        permission = named["action"] if named else permission_for(call)
        return DeniedError(permission, f"you may not call {permission}: {message or code}")
    if code in _EXPIRED:
        return AwsError(f"your AWS credentials have expired: {_RENEW}")
    if code in _INVALID:
        return AwsError(f"AWS does not accept your credentials ({code}): {_RENEW}")
    if code in _THROTTLED:
        return ThrottledError(f"AWS throttles {call}: try again later, or let other tools pause meanwhile")
    return None


def error_of_sdk(error: Exception) -> AwsError:
    """An error that the SDK raised, as one that ends the command."""
    match error:
        case botocore_errors.NoCredentialsError() | botocore_errors.PartialCredentialsError():
            text = "there are no AWS credentials: sign in (aws configure, aws sso login), or give --profile"
        case botocore_errors.NoRegionError():
            text = "no region is configured: give --region, or set AWS_REGION"
        case botocore_errors.ProfileNotFound():
            text = f"{error}: see aws configure list-profiles"
        case (
            botocore_errors.SSOError()
            | botocore_errors.TokenRetrievalError()
            | botocore_errors.CredentialRetrievalError()
        ):
            text = f"credentials could not be had: {_one_line(error)}; {_RENEW}"
        case botocore_errors.ConnectionError() | botocore_errors.HTTPClientError():
            text = f"AWS cannot be reached: {_one_line(error)}; check the network, and the region"
        case botocore_errors.ClientError():
            text = f"AWS refused {error.operation_name}: {error.response['Error'].get('Code')}: " + _one_line(
                Exception(error.response["Error"].get("Message", ""))
            )
        case _:
            text = f"AWS cannot be asked: {_one_line(error)}"
    return AwsError(text)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
