"""Service-managed StackSets of AWS CloudFormation, which deploy a stack into the accounts of organizational units.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-manage-auto-deployment.html says what
happens to accounts that join and leave: here at once, when the clock next moves. An operation is finished when its
call returns. Self-managed StackSets are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.organizations.models import OrganizationsBackend

from local_aws.stacks import Stack, TemplateError, check_parameters, load, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3

    from local_aws.world import World

    Json = dict[str, Any]

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_MOST_BYTES = 51_200
_SERVICE = "member.org.stacksets.cloudformation.amazonaws.com"
_OPERATIONS = (
    "create_stack_set",
    "describe_stack_set",
    "update_stack_set",
    "delete_stack_set",
    "create_stack_instances",
    "list_stack_instances",
    "delete_stack_instances",
    "describe_stack_set_operation",
    "list_stack_set_operation_results",
)


class _NotFoundError(ServiceException):
    code = "StackSetNotFoundException"


class _NotEmptyError(ServiceException):
    code = "StackSetNotEmptyException"


class _InsufficientCapabilitiesError(ServiceException):
    code = "InsufficientCapabilitiesException"


@dataclass(frozen=True)
class _Target:
    """What one call of CreateStackInstances asked for, in one region."""

    units: frozenset[str]
    region: str
    excluded: frozenset[str]


@dataclass
class _Instance:
    """A stack in an account and region, of the unit that was asked for; `reason` says why it failed."""

    unit: str
    stack: Stack
    reason: str = ""
    name: str = field(default_factory=lambda: f"stackset-{uuid4().hex[:12]}")


@dataclass
class _StackSet:
    """What is known of a StackSet; `given` are the parameters of its request."""

    identifier: str
    owner: str
    region: str
    given: Json
    targets: list[_Target] = field(default_factory=list)
    instances: dict[tuple[str, str], _Instance] = field(default_factory=dict)
    operations: dict[str, Json] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        return {it["ParameterKey"]: it["ParameterValue"] for it in self.given.get("Parameters") or []}

    @property
    def tags(self) -> dict[str, str]:
        return {it["Key"]: it["Value"] for it in self.given.get("Tags") or []}


class StackSets:
    """The StackSets of the organization."""

    def __init__(self, world: World, session: Callable[[str, str | None], boto3.Session]) -> None:
        self._world = world
        self._session = session
        self._known: dict[tuple[str, str, str], _StackSet] = {}
        for operation in _OPERATIONS:
            world.patches.set(CloudFormationResponse, operation, self._method(getattr(self, f"_{operation}")))
        world.patches.wrap(OrganizationsBackend, "move_account", self._move_account)

    def _method(self, answer: Callable[[str, str, Json], Json]) -> Any:
        def method(request: CloudFormationResponse) -> ActionResult:
            given = request._get_params()
            self._check_caller(request.current_account, given.get("CallAs", "SELF"))
            return ActionResult(answer(request.current_account, request.region, given))

        return method

    def _check_caller(self, account: str, call_as: str) -> None:
        management = self._world.identity.accounts[0]
        if call_as == "SELF" and account == management:
            return
        administrators = (
            self._session(management, None)
            .client("organizations")
            .list_delegated_administrators(ServicePrincipal=_SERVICE)["DelegatedAdministrators"]
            if call_as == "DELEGATED_ADMIN"
            else []
        )
        if account not in {each["Id"] for each in administrators}:
            raise ValidationError(
                message="You must be the management account or delegated admin account of an organization before "
                "operating a SERVICE_MANAGED stack set"
            )

    def _find(self, account: str, region: str, given: Json) -> _StackSet:
        name = given["StackSetName"].partition(":")[0]
        if (account, region, name) not in self._known:
            raise _NotFoundError(f"StackSet {name} not found")
        return self._known[account, region, name]

    def _create_stack_set(self, account: str, region: str, given: Json) -> Json:
        name = given["StackSetName"]
        if given.get("PermissionModel") != "SERVICE_MANAGED":
            raise ValidationError(message="only SERVICE_MANAGED StackSets are emulated")
        if "AutoDeployment" not in given:
            raise ValidationError(message="AutoDeployment is required for a SERVICE_MANAGED stack set")
        if "AdministrationRoleARN" in given or "ExecutionRoleName" in given:
            raise ValidationError(message="a SERVICE_MANAGED stack set takes no roles")
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            raise ValidationError(message=f"Value '{name}' at 'stackSetName' failed to satisfy constraint")
        if (account, region, name) in self._known:
            raise ValidationError(message=f"StackSet {name} already exists")
        _check(given)
        stack_set = _StackSet(f"{name}:{uuid4()}", account, region, given)
        self._known[account, region, name] = stack_set
        return {"StackSetId": stack_set.identifier}

    def _describe_stack_set(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        known = stack_set.given
        shown = ("StackSetName", "Description", "TemplateBody", "Capabilities", "PermissionModel")
        described: Json = {key: known[key] for key in shown if key in known}
        return {
            "StackSet": {
                **described,
                # moto makes lists of these.
                "Parameters": stack_set.parameters,
                "Tags": stack_set.tags,
                "StackSetId": stack_set.identifier,
                "StackSetARN": f"arn:aws:cloudformation:{region}:{account}:stackset/{stack_set.identifier}",
                "Status": "ACTIVE",
                "AutoDeployment": _typed(known["AutoDeployment"]),
                "ManagedExecution": _typed(known.get("ManagedExecution") or {"Active": False}),
                # Nobody gave it: https://github.com/hashicorp/terraform-provider-aws/pull/45992
                "AdministrationRoleARN": f"arn:aws:iam::{account}:role/aws-service-role/"
                "stacksets.cloudformation.amazonaws.com/AWSServiceRoleForCloudFormationStackSetsOrgAdmin",
                "OrganizationalUnitIds": sorted({unit for target in stack_set.targets for unit in target.units}),
            }
        }

    def _update_stack_set(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        previous = stack_set.given
        changed = {
            **given,
            "StackSetName": previous["StackSetName"],
            "PermissionModel": previous["PermissionModel"],
            "TemplateBody": given.get("TemplateBody") or previous["TemplateBody"],
        }
        changed.setdefault("AutoDeployment", previous["AutoDeployment"])
        _check(changed)
        stack_set.given = changed
        for (member, where), instance in stack_set.instances.items():
            template, parameters = changed["TemplateBody"], stack_set.parameters
            resources = resolve(template, parameters, member, where, name=instance.name)
            _attempt(instance, partial(instance.stack.update, resources))
        return _operation(stack_set, "UPDATE", list(stack_set.instances))

    def _delete_stack_set(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        if stack_set.instances:
            raise _NotEmptyError("StackSet is not empty")
        del self._known[account, region, stack_set.given["StackSetName"]]
        return {}

    def _create_stack_instances(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        asked = _targets(given)
        stack_set.targets += asked
        made = [key for target in asked for key in self._deploy(stack_set, target)]
        return _operation(stack_set, "CREATE", made)

    def _list_stack_instances(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        wanted_region, wanted_account = given.get("StackInstanceRegion"), given.get("StackInstanceAccount")
        return {
            "Summaries": [
                {
                    "StackSetId": stack_set.identifier,
                    "Region": where,
                    "Account": member,
                    "StackId": f"arn:aws:cloudformation:{where}:{member}:stack/StackSet-{stack_set.identifier}",
                    "Status": "OUTDATED" if instance.reason else "CURRENT",
                    "StatusReason": instance.reason,
                    "StackInstanceStatus": {"DetailedStatus": "FAILED" if instance.reason else "SUCCEEDED"},
                    "OrganizationalUnitId": instance.unit,
                }
                for (member, where), instance in sorted(stack_set.instances.items())
                if wanted_region in (None, where) and wanted_account in (None, member)
            ]
        }

    def _delete_stack_instances(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        gone = []
        for target in _targets(given):
            stack_set.targets = [
                it for it in stack_set.targets if it.region != target.region or it.units.isdisjoint(target.units)
            ]
            gone += [
                key for key, it in stack_set.instances.items() if key[1] == target.region and it.unit in target.units
            ]
        retain = str(given.get("RetainStacks")).lower() == "true"
        for key in gone:
            self._remove(stack_set, key, retain=retain)
        return _operation(stack_set, "DELETE", gone)

    def _describe_stack_set_operation(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        operation = {**stack_set.operations[given["OperationId"]], "StackSetId": stack_set.identifier}
        return {"StackSetOperation": {key: value for key, value in operation.items() if key != "Results"}}

    def _list_stack_set_operation_results(self, account: str, region: str, given: Json) -> Json:
        stack_set = self._find(account, region, given)
        return {"Summaries": stack_set.operations[given["OperationId"]]["Results"]}

    def _deploy(self, stack_set: _StackSet, target: _Target) -> list[tuple[str, str]]:
        made = []
        for unit in sorted(target.units):
            for member in self._members(unit) - target.excluded:
                key = (member, target.region)
                if key in stack_set.instances:
                    continue
                instance = _Instance(unit, Stack(self._session(member, target.region), stack_set.tags))
                template, parameters = stack_set.given["TemplateBody"], stack_set.parameters
                resources = resolve(template, parameters, member, target.region, name=instance.name)
                _attempt(instance, partial(instance.stack.create, resources))
                stack_set.instances[key] = instance
                made.append(key)
        return made

    def _remove(self, stack_set: _StackSet, key: tuple[str, str], *, retain: bool) -> None:
        instance = stack_set.instances.pop(key)
        if not retain:
            instance.stack.delete()

    def _members(self, unit: str) -> set[str]:
        """The accounts in a unit and in those below it, without the management account, which StackSets leave out."""
        organizations = self._session(self._world.identity.accounts[0], None).client("organizations")
        members = {it["Id"] for it in organizations.list_accounts_for_parent(ParentId=unit)["Accounts"]}
        for below in organizations.list_organizational_units_for_parent(ParentId=unit)["OrganizationalUnits"]:
            members |= self._members(below["Id"])
        return members - {self._world.identity.accounts[0]}

    def _move_account(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def move_account(backend: OrganizationsBackend, **arguments: Any) -> Any:
            answer = original(backend, **arguments)
            self._world.agenda.after(self._world.behaviour.event_delay, self._follow_the_units)
            return answer

        return move_account

    def _follow_the_units(self) -> None:
        """Deploy to the accounts that have joined, and delete where they have left."""
        for stack_set in self._known.values():
            automatic = _typed(stack_set.given["AutoDeployment"])
            if not automatic["Enabled"]:
                continue
            for target in stack_set.targets:
                self._deploy(stack_set, target)
            left = [key for key, it in stack_set.instances.items() if key[0] not in self._members(it.unit)]
            for key in left:
                self._remove(stack_set, key, retain=automatic["RetainStacksOnAccountRemoval"])


def _check(given: Json) -> None:
    template = given.get("TemplateBody") or ""
    if len(template.encode()) > _MOST_BYTES:
        raise ValidationError(message=f"'templateBody' must be at most {_MOST_BYTES} bytes long")
    try:
        loaded = load(template)
        parameters = {it["ParameterKey"]: it["ParameterValue"] for it in given.get("Parameters") or []}
        check_parameters(loaded, parameters)
    except TemplateError as error:
        raise ValidationError(message=str(error)) from error
    named = [it for it in loaded["Resources"].values() if it["Type"] == "AWS::IAM::Role"]
    if named and "CAPABILITY_NAMED_IAM" not in (given.get("Capabilities") or []):
        raise _InsufficientCapabilitiesError("Requires capabilities : [CAPABILITY_NAMED_IAM]")


def _targets(given: Json) -> list[_Target]:
    asked = given.get("DeploymentTargets") or {}
    units = frozenset(asked.get("OrganizationalUnitIds") or [])
    if not units:
        raise ValidationError(
            message="StackSets with SERVICE_MANAGED permission model can only have OrganizationalUnit as target"
        )
    accounts, filtered = frozenset(asked.get("Accounts") or []), asked.get("AccountFilterType", "NONE")
    if filtered not in ("NONE", "DIFFERENCE") or bool(accounts) != (filtered == "DIFFERENCE"):
        raise ValidationError(message="only DIFFERENCE is emulated, and it needs accounts")
    return [_Target(units, region, accounts) for region in given["Regions"]]


def _attempt(instance: _Instance, action: Callable[[], None]) -> None:
    instance.reason = ""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - a stack that fails says why, whatever that is
        instance.reason = str(error) or type(error).__name__


def _operation(stack_set: _StackSet, action: str, keys: list[tuple[str, str]]) -> Json:
    """Write down an operation; it fails where a stack failed, since what may fail is not emulated."""
    reasons = {key: stack_set.instances[key].reason for key in keys if key in stack_set.instances}
    identifier = str(uuid4())
    stack_set.operations[identifier] = {
        "OperationId": identifier,
        "Action": action,
        "Status": "FAILED" if any(reasons.values()) else "SUCCEEDED",
        "Results": [
            {
                "Account": account,
                "Region": region,
                "Status": "FAILED" if reasons.get((account, region)) else "SUCCEEDED",
                "StatusReason": reasons.get((account, region), ""),
            }
            for account, region in keys
        ],
    }
    return {"OperationId": identifier}


def _typed(flags: Json) -> dict[str, bool]:
    return {key: str(value).lower() == "true" for key, value in flags.items()}
