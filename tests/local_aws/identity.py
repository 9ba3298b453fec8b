"""Who makes a call, and whether IAM lets them.

A call is attributed to a principal by its access key. Administrators (the user `admin` and the role
OrganizationAccountAccessRole of every account) may do everything in their own account; everybody else is judged by the
policies of their role and of the resource, as
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html describes.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend, iam_backends
from moto.kms.models import kms_backends
from moto.organizations.models import FakeAccount, OrganizationsBackend, organizations_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.sts.exceptions import STSValidationError
from moto.sts.models import AssumedRole, STSBackend
from moto.sts.responses import TokenResponse

from local_aws.calls import ApiCall, Grant
from local_aws.iam_policy import Outcome, Policy, Request, is_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local_aws.world import World

ADMIN_ROLE = "OrganizationAccountAccessRole"
_ALLOW_ALL = Policy.parse({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
# The policies of AWS's own that a role here may carry.
_AWS_POLICIES = ("AWS_ConfigRole", "AWSConfigRoleForOrganizations", "AWSLambdaBasicExecutionRole")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")
_MIN_DURATION, _MAX_CHAINED_DURATION = 900, 3600


@dataclass(frozen=True)
class Principal:
    """A user, or a session of a role. `function` is set for the session of a Lambda function."""

    account: str
    arn: str
    access_key: str
    role_arn: str | None = None
    admin: bool = False
    expires: datetime | None = None
    function: str | None = None


@dataclass(frozen=True)
class Credentials:
    """What a client signs with."""

    access_key: str
    secret_key: str
    session_token: str


class RoleError(Exception):
    """A role that does not exist, or that may not be assumed; the text says which."""


class Identity:
    """The accounts, their principals, and IAM's decisions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._principals: dict[str, Principal] = {}
        self._admin_keys: dict[str, Credentials] = {}
        world.patches.wrap(STSBackend, "assume_role", self._assume_role)
        world.patches.wrap(TokenResponse, "assume_role", self._assume_role_request)
        for name in ("assume_role_with_web_identity", "assume_role_with_saml"):
            world.patches.set(TokenResponse, name, _refuse_federation)
        world.patches.wrap(OrganizationsBackend, "list_accounts", self._list_accounts)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts in the order of their creation; the first one manages the organization."""
        return tuple(self._admin_keys)

    def create_account(self, account: str) -> None:
        """Create an account of the organization, with the user and the role of an administrator."""
        if account in self._admin_keys:
            raise ValueError(f"account {account} exists")
        iam: IAMBackend = iam_backends[account]["aws"]
        iam.create_role(ADMIN_ROLE, self._admin_trust((account,)), "/", None, "", [], "3600")
        _add_aws_policies(iam)
        iam.create_user(self._world.region, "admin")
        key = iam.create_access_key("admin")
        self._admin_keys[account] = Credentials(key.access_key_id, key.secret_access_key, "")
        self._principals[key.access_key_id] = Principal(
            account, f"arn:aws:iam::{account}:user/admin", key.access_key_id, admin=True
        )
        for other in self.accounts:
            role = iam_backends[other]["aws"].get_role(ADMIN_ROLE)
            role.assume_role_policy_document = self._admin_trust(self.accounts)
        self._join_organization(account)

    def sees_organization(self, account: str) -> bool:
        """Whether an account may read its organization: the management account and delegated administrators may."""
        delegated = organizations_backends[self.accounts[0]]["aws"].admins
        return account in (self.accounts[0], *(each.account.id for each in delegated))

    def admin_credentials(self, account: str) -> Credentials:
        """The keys of the account's administrator."""
        if account not in self._admin_keys:
            raise ValueError(f"account {account} does not exist: create_account makes it")
        return self._admin_keys[account]

    def principal(self, access_key: str) -> Principal | None:
        """Who signs with this key."""
        return self._principals.get(access_key)

    def principal_arn(self, access_key: str) -> str | None:
        """The ARN of the role, or of the user, to whom this key belongs."""
        principal = self.principal(access_key)
        return (principal.role_arn or principal.arn) if principal else None

    def forget(self, access_key: str) -> None:
        """End a session."""
        self._principals.pop(access_key, None)

    def assume_as_service(
        self, role_arn: str, service: str, context: Mapping[str, str], session_name: str
    ) -> Principal:
        """Assume a role as an AWS service does; raises RoleError. The session is not yet usable by a client."""
        account = role_arn.split(":")[4]
        trust = self._trust_policy(role_arn)
        if trust is None:
            raise RoleError(f"{role_arn} does not exist")
        request = Request("", "", service, "sts:AssumeRole", role_arn, {key: [value] for key, value in context.items()})
        outcome = is_allowed(request, identity=(), boundary=None, resource=trust, resource_account=account, trust=True)
        if not outcome.allowed:
            raise RoleError(outcome.reason)
        return Principal(account, _session_arn(role_arn, session_name), "", role_arn=role_arn)

    def function_session(self, role_arn: str, function: str) -> tuple[Principal, Credentials]:
        """Open the session that a Lambda function runs in; raises RoleError."""
        session = self.assume_as_service(role_arn, "lambda.amazonaws.com", {}, function)
        key = iam_backends[session.account]["aws"].create_temp_access_key()
        principal = Principal(session.account, session.arn, key.access_key_id, role_arn=role_arn, function=function)
        self._principals[key.access_key_id] = principal
        return principal, Credentials(key.access_key_id, key.secret_access_key, secrets.token_hex(32))

    def decide(
        self, principal: Principal, action: str, resource: str, context: Mapping[str, Iterable[str]], region: str
    ) -> Outcome:
        """IAM's answer to one permission that a call needs."""
        resource_account = resource.split(":")[4] if resource.count(":") >= 5 else ""
        resource_account = resource_account or principal.account
        trust = action.lower() == "sts:assumerole"
        # Without its key policy's consent, no policy of IAM gives access to a key:
        # https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
        needs_both = trust or action.lower().startswith("kms:")
        if principal.admin and resource_account == principal.account and not trust:
            return Outcome(True, "an administrator")
        request = Request(
            principal.arn,
            principal.account,
            None,
            action,
            resource,
            {**self._context(principal, region, resource_account), **{k: list(v) for k, v in context.items()}},
        )
        outcome = is_allowed(
            request,
            identity=[_ALLOW_ALL] if principal.admin else self._identity_policies(principal),
            boundary=None if principal.admin else self._boundary(principal),
            resource=self._trust_policy(resource) if trust else _resource_policy(resource),
            resource_account=resource_account,
            trust=needs_both,
        )
        if trust and not outcome.allowed:
            # STS does not say whether the role exists, or which side refused.
            reason = f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource}"
            return Outcome(False, reason, outcome.matched)
        return outcome

    def decide_for_service(self, service: str, action: str, resource: str, source_arn: str) -> Outcome:
        """Whether a resource's policy lets an AWS service in, acting for `source_arn`."""
        context = {
            "aws:SourceArn": [source_arn],
            "aws:SourceAccount": [source_arn.split(":")[4]],
            "aws:SecureTransport": ["true"],
        }
        return is_allowed(
            Request("", "", service, action, resource, context),
            identity=(),
            boundary=None,
            resource=_resource_policy(resource),
            resource_account=resource.split(":")[4],
        )

    def call_as_service(self, principal: Principal, service: str, operation: str, resource: str, region: str) -> bool:
        """A call that an AWS service makes under a role: judged and recorded, with the permission of its own name."""
        outcome = self.decide(principal, f"{service}:{operation}", resource, {}, region)
        error_code = None if outcome.allowed else "AccessDeniedException"
        function = principal.function
        owner = resource.split(":")[4] if resource.startswith("arn:") else principal.account
        if outcome.allowed and (refusal := self._world.faults.refusal(service, operation, function, owner, region)):
            error_code = refusal.code
        self._world.calls.append(
            ApiCall(
                self._world.clock.now(),
                principal.account,
                region,
                principal.arn,
                function,
                service,
                operation,
                (Grant(f"{service}:{operation}", resource, sids(outcome)),),
                outcome.allowed,
                error_code,
            )
        )
        return error_code is None

    def _context(self, principal: Principal, region: str, resource_account: str) -> dict[str, list[str]]:
        context = {
            "aws:RequestedRegion": [region],
            "aws:SecureTransport": ["true"],
            "aws:ResourceAccount": [resource_account],
            # The role's own ARN has its path, which that of the session lacks.
            "aws:PrincipalArn": [principal.role_arn or principal.arn],
            "aws:CurrentTime": [self._world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")],
        }
        if principal.account in self._admin_keys:
            context["aws:PrincipalOrgID"] = [self._world.organization_id]
        if resource_account in self._admin_keys:
            context["aws:ResourceOrgID"] = [self._world.organization_id]
        return context

    def _identity_policies(self, principal: Principal) -> list[Policy]:
        role = self._role(principal.role_arn)
        if role is None:
            return []
        documents = [*role.policies.values(), *map(_default_document, role.managed_policies.values())]
        return [Policy.parse(document) for document in documents]

    def _boundary(self, principal: Principal) -> Policy | None:
        role = self._role(principal.role_arn)
        if role is None or not role.permissions_boundary_arn:
            return None
        policies = iam_backends[principal.account]["aws"].managed_policies
        if role.permissions_boundary_arn not in policies:
            return Policy.parse({"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
        return Policy.parse(_default_document(policies[role.permissions_boundary_arn]))

    def _trust_policy(self, role_arn: str) -> Policy | None:
        role = self._role(role_arn)
        return Policy.parse(role.assume_role_policy_document) if role else None

    def _role(self, role_arn: str | None) -> Any:
        if role_arn is None or ":role/" not in role_arn:
            return None
        account = role_arn.split(":")[4]
        if account not in self._admin_keys:
            return None
        roles = iam_backends[account]["aws"].get_roles()
        return next((role for role in roles if role.arn == role_arn), None)

    def _assume_role(self, original: Callable[..., AssumedRole]) -> Callable[..., AssumedRole]:
        def assume_role(backend: STSBackend, **arguments: Any) -> AssumedRole:
            self._check_assumption(**arguments)
            session = original(backend, **arguments)
            name = session.role_arn.rpartition("/")[2]
            self._principals[session.access_key_id] = Principal(
                session.account_id,
                session.arn,
                session.access_key_id,
                role_arn=session.role_arn,
                admin=name == ADMIN_ROLE,
                expires=self._world.clock.now() + timedelta(seconds=arguments["duration"]),
            )
            return session

        return assume_role

    def _assume_role_request(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def assume_role(request: TokenResponse) -> Any:
            caller = self.principal(request.get_access_key())
            if request._get_param("Policy") or request._get_param("PolicyArns"):
                raise STSValidationError("Session policies are not emulated")
            duration = int(request._get_param("DurationSeconds") or 0)
            if caller and caller.role_arn and duration > _MAX_CHAINED_DURATION:
                raise STSValidationError(
                    "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
                )
            result = original(request)
            key = result.result["Credentials"].access_key_id
            if caller and caller.function:
                # What a function does under another role is still done by the function.
                self._principals[key] = replace(self._principals[key], function=caller.function)
            return result

        return assume_role

    def _check_assumption(self, **arguments: Any) -> None:
        """Refuse what AssumeRole does not take."""
        if not _SESSION_NAME.fullmatch(arguments["role_session_name"] or ""):
            raise STSValidationError(f"roleSessionName must satisfy regular expression {_SESSION_NAME.pattern}")
        external_id = arguments["external_id"]
        if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
            raise STSValidationError(f"externalId must satisfy regular expression {_EXTERNAL_ID.pattern}")
        role = self._role(arguments["role_arn"])
        if not _MIN_DURATION <= arguments["duration"] <= int(role.max_session_duration or 3600):
            raise STSValidationError(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role, or is below 900."
            )

    def _list_accounts(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def list_accounts(backend: OrganizationsBackend, **arguments: Any) -> Any:
            if not self.sees_organization(backend.account_id):
                message = "You don't have permissions to access this resource."
                raise JsonRESTError("AccessDeniedException", message)
            return original(organizations_backends[self.accounts[0]]["aws"], **arguments)

        return list_accounts

    def _admin_trust(self, accounts: tuple[str, ...]) -> str:
        principals = [f"arn:aws:iam::{account}:root" for account in accounts]
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def _join_organization(self, account: str) -> None:
        organizations = organizations_backends[self.accounts[0]]["aws"]
        if organizations.org is None:
            created = organizations.create_organization(self._world.region, FeatureSet="ALL")
            self._world.organization_id = created["Organization"]["Id"]
            return
        member = FakeAccount(organizations.org, AccountName=f"account-{account}", Email=f"{account}@example.com")
        member.id = account
        organizations.accounts.append(member)


def _refuse_federation(_: TokenResponse) -> Any:
    raise STSValidationError("Federated identities are not emulated")


def sids(outcome: Outcome) -> tuple[str, ...]:
    """The names of the statements that decided."""
    return tuple(statement.sid or "" for statement in outcome.matched)


def _session_arn(role_arn: str, session_name: str) -> str:
    partition, account, name = role_arn.split(":")[1], role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return f"arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}"


def _default_document(policy: Any) -> str:
    document: str = next(
        version.document for version in policy.versions if version.version_id == policy.default_version_id
    )
    return document


def _resource_policy(arn: str) -> Policy | None:
    """The policy that the owner put on a queue, a bus, a repository, a topic or a key."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    _, _, service, region, account, name = parts
    document: str | None = None
    if service == "sqs" and (queue := sqs_backends[account][region].queues.get(name)):
        document = queue.policy
    elif service == "events" and (
        bus := events_backends[account][region].event_buses.get(name.removeprefix("event-bus/"))
    ):
        document = bus.policy
    elif service == "ecr" and (
        repository := ecr_backends[account][region].repositories.get(name.removeprefix("repository/"))
    ):
        document = repository.policy
    elif service == "sns" and (topic := sns_backends[account][region].topics.get(arn)):
        document = topic.policy
    elif service == "kms" and (key := kms_backends[account][region].keys.get(name.removeprefix("key/"))):
        document = key.policy
    return Policy.parse(document) if document else None


@lru_cache
def _aws_policies() -> dict[str, Any]:
    known = json.loads(aws_managed_policies_data)
    return {name: known[name] for name in _AWS_POLICIES}


def _add_aws_policies(iam: IAMBackend) -> None:
    for name, data in _aws_policies().items():
        policy = AWSManagedPolicy.from_data(name, iam.account_id, iam.region_name, data)
        iam.managed_policies[policy.arn] = policy
