"""IAM policies: parsing, matching and the decision AWS would take.

Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html. Whatever a document holds
that is not understood here raises `PolicyError`: a policy is never read more generously than AWS reads it.
"""

from __future__ import annotations

import enum
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any


class PolicyError(ValueError):
    """A policy document, or a request judged by it, that this module does not understand."""


class Decision(enum.Enum):
    """What one side (the identity's policies, or a resource's policy) says about a request."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"


@dataclass(frozen=True)
class Request:
    """One action on one resource by one principal, in IAM's terms.

    `principal_arn` is the ARN of the user or role, or of a role's session; for an AWS service
    `principal_service` names it (`events.amazonaws.com`) and `principal_arn` may be empty. `resource` is an
    ARN, or `*` for an action that has none. `context` maps condition keys to their values; what follows from
    the principal is added when left out.
    """

    principal_arn: str
    principal_account: str
    principal_service: str | None
    action: str
    resource: str
    context: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Principals:
    """The content of Principal or NotPrincipal: accounts and ARNs (`*` for everybody), and AWS services."""

    aws: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """One operator applied to one condition key."""

    operator: str
    quantifier: str | None
    if_exists: bool
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement; of each pair (Action and NotAction, and so on) at most one side is set."""

    sid: str | None
    allows: bool
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Principals | None
    not_principals: Principals | None
    conditions: tuple[Condition, ...]
    has_variables: bool

    def __str__(self) -> str:
        return self.sid or "a statement without a Sid"


@dataclass(frozen=True)
class Policy:
    """A policy document that was understood completely."""

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: str | Mapping[str, Any]) -> Policy:
        """Read a policy from JSON text or from the decoded document; raises PolicyError."""
        if isinstance(document, str):
            return _parse_text(document)
        return _parse_document(document)


@dataclass(frozen=True)
class Outcome:
    """The decision on a request: whether it is allowed, why, and the statements that decided it."""

    allowed: bool
    reason: str
    matched: tuple[Statement, ...] = ()


def evaluate_identity(policies: Iterable[Policy], request: Request) -> Decision:
    """What identity policies (or a permissions boundary, which has the same form) say about the request."""
    return _decision(_identity_matches(policies, request))


def evaluate_resource(policy: Policy, request: Request) -> Decision:
    """What a resource's policy says about the request.

    ALLOW includes a grant to the principal's whole account, which within one account only admits what the
    identity's own policies allow; `is_allowed` makes that difference.
    """
    return _decision(_resource_matches(policy, request))


def is_allowed(
    request: Request,
    *,
    identity: Iterable[Policy],
    boundary: Policy | None,
    resource: Policy | None,
    resource_account: str,
    trust: bool = False,
) -> Outcome:
    """Decide a request as AWS does.

    Within one account either side is enough, across accounts both are needed, and an AWS service is allowed
    only by the resource's policy. With `trust` (a role's trust policy as `resource`) the resource's side is
    always needed.
    """
    by_identity = [] if request.principal_service else _identity_matches(identity, request)
    by_boundary = None if boundary is None else _identity_matches([boundary], request)
    by_resource = [] if resource is None else _resource_matches(resource, request)

    for side, statements in (
        ("an identity-based policy", by_identity),
        ("a permissions boundary", by_boundary or []),
        ("a resource-based policy", by_resource),
    ):
        denying = tuple(statement for statement in statements if not statement.allows)
        if denying:
            reason = _refusal(request, f"with an explicit deny in {side} ({denying[0]})")
            return Outcome(False, reason, denying)

    bounded = by_boundary is None or bool(by_boundary)
    identity_allows = bool(by_identity) and bounded
    directly = bounded and any(_grants_directly(statement, request) for statement in by_resource)
    if request.principal_service:
        allowed = bool(by_resource)
    elif request.principal_account != resource_account:
        allowed = identity_allows and bool(by_resource)
    elif trust:
        allowed = bool(by_resource) and (identity_allows or directly)
    else:
        allowed = identity_allows or directly
    if allowed:
        return Outcome(True, "allowed", tuple(by_identity + by_resource))

    needs_resource = trust or request.principal_service or request.principal_account != resource_account
    if needs_resource and not by_resource:
        missing = "trust policy" if trust else "resource-based policy"
    elif by_identity and not bounded:
        missing = "permissions boundary"
    else:
        missing = "identity-based policy"
    return Outcome(False, _refusal(request, f"because no {missing} allows the {request.action} action"))


def _refusal(request: Request, why: str) -> str:
    who = request.principal_service or request.principal_arn
    return f"User: {who} is not authorized to perform: {request.action} on resource: {request.resource} {why}"


def _decision(matched: Sequence[Statement]) -> Decision:
    if not matched:
        return Decision.NONE
    return Decision.ALLOW if all(statement.allows for statement in matched) else Decision.DENY


def _identity_matches(policies: Iterable[Policy], request: Request) -> list[Statement]:
    matched = []
    for policy in policies:
        for statement in policy.statements:
            if statement.principals or statement.not_principals:
                raise PolicyError(f"{statement}: an identity-based policy cannot have a Principal")
            if statement.resources is None and statement.not_resources is None:
                raise PolicyError(f"{statement}: an identity-based policy needs a Resource or NotResource")
            if _applies(statement, request):
                matched.append(statement)
    return matched


def _resource_matches(policy: Policy, request: Request) -> list[Statement]:
    matched = []
    for statement in policy.statements:
        if statement.principals is None and statement.not_principals is None:
            raise PolicyError(f"{statement}: a resource-based policy needs a Principal or NotPrincipal")
        if _principal_matches(statement, request) and _applies(statement, request):
            matched.append(statement)
    return matched


def _applies(statement: Statement, request: Request) -> bool:
    return (
        _action_matches(statement, request.action)
        and _resource_element_matches(statement, request)
        and all(_holds(condition, request, statement.has_variables) for condition in statement.conditions)
    )


def _action_matches(statement: Statement, action: str) -> bool:
    lowered = action.lower()
    if statement.actions is not None:
        return any(_wildcard(pattern).fullmatch(lowered) for pattern in statement.actions)
    return not any(_wildcard(pattern).fullmatch(lowered) for pattern in statement.not_actions or ())


def _resource_element_matches(statement: Statement, request: Request) -> bool:
    def any_of(patterns: tuple[str, ...]) -> bool:
        resolved = (_resolved(pattern, request, statement.has_variables) for pattern in patterns)
        return any(pattern is not None and _arn_matches(pattern, request.resource) for pattern in resolved)

    if statement.resources is not None:
        return any_of(statement.resources)
    if statement.not_resources is not None:
        return not any_of(statement.not_resources)
    return True  # A resource's own policy (a repository's, a role's trust) need not name the resource.


# Principals


def _principal_matches(statement: Statement, request: Request) -> bool:
    if statement.principals is not None:
        return _names_principal(statement.principals, request)
    excepted = statement.not_principals or Principals()
    if request.principal_service:
        return request.principal_service not in excepted.services
    # Only a principal whose account, role and session are all listed is excepted from the deny.
    accounts = [name for name in excepted.aws if _is_account(name)]
    return not (
        "*" in excepted.aws or (any(_is(name, request) for name in accounts) and _arns(request) <= set(excepted.aws))
    )


def _names_principal(principals: Principals, request: Request) -> bool:
    if "*" in principals.aws:
        return True
    if request.principal_service:
        return request.principal_service in principals.services
    return any(_is(name, request) for name in principals.aws)


def _grants_directly(statement: Statement, request: Request) -> bool:
    """Whether a statement names the principal (or everybody), and not only its account."""
    names = statement.principals.aws if statement.principals else ()
    return "*" in names or any(not _is_account(name) and _is(name, request) for name in names)


def _is(name: str, request: Request) -> bool:
    if _is_account(name):
        return request.principal_account in name.split(":")
    return name in _arns(request)


def _is_account(name: str) -> bool:
    return name.isdigit() or name.endswith(":root")


def _arns(request: Request) -> set[str]:
    return {request.principal_arn, _role_of(request.principal_arn)}


def _role_of(arn: str) -> str:
    """The role behind `arn:aws:sts::<account>:assumed-role/<role>/<session>`; any other ARN unchanged."""
    session = re.fullmatch(r"arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/[^/]+", arn)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else arn


# Patterns and variables

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# A star or question mark that came out of a variable is an ordinary character, not a wildcard.
_LITERAL = {"*": "\ue000", "?": "\ue001", "$": "$"}
_UNLITERAL = str.maketrans({"\ue000": "*", "\ue001": "?"})


@lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": ".", "\ue000": r"\*", "\ue001": r"\?"}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def _resolved(text: str, request: Request, has_variables: bool) -> str | None:
    """The text with its policy variables filled in; None if one of them has no single value."""
    if not has_variables or "${" not in text:
        return text
    values = [_variable(match[1], request) for match in _VARIABLE.finditer(text)]
    if any(value is None for value in values):
        return None
    filled = iter(value or "" for value in values)
    return _VARIABLE.sub(lambda _: next(filled), text)


def _variable(name: str, request: Request) -> str | None:
    if name in _LITERAL:
        return _LITERAL[name]
    key, _, default = name.partition(",")
    values = _context_values(key.strip(), request)
    if len(values) > 1:
        return None
    value = values[0] if values else default.strip().strip("'")
    return "".join(_LITERAL.get(char, char) for char in value) or None


def _arn_matches(pattern: str, arn: str) -> bool:
    """Match an ARN: a wildcard stays within its segment, unless it is the pattern's last character."""
    wanted = pattern.split(":", 5)
    given = arn.split(":", 5)
    if len(wanted) > len(given):
        return False
    if len(wanted) < len(given):
        if not pattern.endswith("*"):
            return False
        given = [*given[: len(wanted) - 1], ":".join(given[len(wanted) - 1 :])]
    return all(_wildcard(want).fullmatch(got) for want, got in zip(wanted, given, strict=True))


# Conditions


def _context_values(key: str, request: Request) -> list[str]:
    lowered = key.lower()
    for name, values in request.context.items():
        if name.lower() == lowered:
            return list(values)
    if lowered == "aws:principalarn" and request.principal_arn:
        return [_role_of(request.principal_arn)]
    if lowered == "aws:principalaccount" and not request.principal_service:
        return [request.principal_account]
    if lowered == "aws:principalisawsservice":
        return ["true" if request.principal_service else "false"]
    if lowered == "aws:principalservicename" and request.principal_service:
        return [request.principal_service]
    return []


def _holds(condition: Condition, request: Request, has_variables: bool) -> bool:
    given = _context_values(condition.key, request)
    if condition.operator == "Null":
        return any((value.lower() == "true") == (not given) for value in condition.values)

    negated = condition.operator in _NEGATED
    compare = _COMPARISONS[_NEGATED.get(condition.operator, condition.operator)]
    resolved = (_resolved(value, request, has_variables) for value in condition.values)
    wanted = [value for value in resolved if value is not None]

    def accepted(value: str) -> bool:
        return any(compare(want, value) for want in wanted) != negated

    if condition.quantifier == "ForAllValues":
        return all(accepted(value) for value in given)
    if not given:
        return condition.if_exists or (negated and condition.quantifier is None)
    if condition.quantifier is None and len(given) > 1:
        raise PolicyError(f"{condition.key} holds several values: use ForAnyValue or ForAllValues")
    return any(accepted(value) for value in given)


def _plain(value: str) -> str:
    return value.translate(_UNLITERAL)


def _numeric(test: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def compare(want: str, got: str) -> bool:
        try:
            return test(float(got), float(want))
        except ValueError:
            return False

    return compare


def _date(test: Callable[[datetime, datetime], bool]) -> Callable[[str, str], bool]:
    def compare(want: str, got: str) -> bool:
        try:
            return test(_moment(got), _moment(want))
        except ValueError:
            return False

    return compare


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _in_network(want: str, got: str) -> bool:
    try:
        return ipaddress.ip_address(got) in ipaddress.ip_network(want, strict=False)
    except ValueError:
        return False


def _arn_like(want: str, got: str) -> bool:
    return want.count(":") >= 5 and got.count(":") >= 5 and _arn_matches(want, got)


# Each takes the policy's value first and the request's second.
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda want, got: _plain(want) == got,
    "StringEqualsIgnoreCase": lambda want, got: _plain(want).lower() == got.lower(),
    "StringLike": lambda want, got: _wildcard(want).fullmatch(got) is not None,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda want, got: want.lower() == got.lower(),
    "NumericEquals": _numeric(lambda got, want: got == want),
    "NumericLessThan": _numeric(lambda got, want: got < want),
    "NumericLessThanEquals": _numeric(lambda got, want: got <= want),
    "NumericGreaterThan": _numeric(lambda got, want: got > want),
    "NumericGreaterThanEquals": _numeric(lambda got, want: got >= want),
    "DateEquals": _date(lambda got, want: got == want),
    "DateLessThan": _date(lambda got, want: got < want),
    "DateLessThanEquals": _date(lambda got, want: got <= want),
    "DateGreaterThan": _date(lambda got, want: got > want),
    "DateGreaterThanEquals": _date(lambda got, want: got >= want),
    "IpAddress": _in_network,
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}

# Parsing

_ELEMENTS = frozenset({"Sid", "Effect", "Condition"})
_PAIRS = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
_VERSIONS = ("2012-10-17", "2008-10-17")
_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", re.IGNORECASE)
_RESOURCE = re.compile(r"\*|arn:[^:]+:.*", re.DOTALL)
_AWS_PRINCIPAL = re.compile(r"\*|\d{12}|arn:[a-z-]+:(iam|sts)::\d{12}:[^*?]+")
_CONDITION = re.compile(r"(?:(ForAnyValue|ForAllValues):)?([A-Za-z]+?)(IfExists)?")


@lru_cache(maxsize=1024)
def _parse_text(text: str) -> Policy:
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise PolicyError(f"not JSON: {error}") from error
    return _parse_document(document)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise PolicyError(f"an element is given twice among {sorted(name for name, _ in pairs)}")
    return document


def _parse_document(document: object) -> Policy:
    if not isinstance(document, Mapping):
        raise PolicyError("a policy is a JSON object")
    _only(document, {"Version", "Id", "Statement"}, "the policy")
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise PolicyError(f"Version {version!r} is not one of {', '.join(_VERSIONS)}")
    statements = document.get("Statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise PolicyError("a policy needs at least one Statement")
    return Policy(tuple(_parse_statement(entry, version == "2012-10-17") for entry in statements))


def _parse_statement(entry: object, has_variables: bool) -> Statement:
    if not isinstance(entry, Mapping):
        raise PolicyError("a Statement is a JSON object")
    sid = entry.get("Sid") or None
    name = f"statement {sid or entry!r}"
    _only(entry, _ELEMENTS.union(*_PAIRS), name)
    for one, other in _PAIRS:
        if one in entry and other in entry:
            raise PolicyError(f"{name}: {one} and {other} exclude each other")
    if entry.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{name}: Effect is Allow or Deny")
    allows = entry["Effect"] == "Allow"
    if "Action" not in entry and "NotAction" not in entry:
        raise PolicyError(f"{name}: an Action or NotAction is needed")
    if "NotPrincipal" in entry and allows:
        raise PolicyError(f"{name}: NotPrincipal is for Deny only")
    return Statement(
        sid=sid,
        allows=allows,
        actions=_actions(entry, "Action", name),
        not_actions=_actions(entry, "NotAction", name),
        resources=_strings(entry, "Resource", _RESOURCE, name),
        not_resources=_strings(entry, "NotResource", _RESOURCE, name),
        principals=_principals(entry, "Principal", name),
        not_principals=_principals(entry, "NotPrincipal", name),
        conditions=_conditions(entry.get("Condition", {}), name),
        has_variables=has_variables,
    )


def _only(entry: Mapping[str, Any], known: Iterable[str], name: str) -> None:
    unknown = set(entry) - set(known)
    if unknown:
        raise PolicyError(f"{name}: unknown element {', '.join(sorted(unknown))}")


def _actions(entry: Mapping[str, Any], element: str, name: str) -> tuple[str, ...] | None:
    actions = _strings(entry, element, _ACTION, name)
    return None if actions is None else tuple(action.lower() for action in actions)


def _strings(entry: Mapping[str, Any], element: str, form: re.Pattern[str], name: str) -> tuple[str, ...] | None:
    if element not in entry:
        return None
    values = entry[element]
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, list) or not values:
        raise PolicyError(f"{name}: {element} is a string or a list of strings")
    for value in values:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise PolicyError(f"{name}: {element} {value!r} is not of a form that IAM takes")
    return tuple(values)


def _principals(entry: Mapping[str, Any], element: str, name: str) -> Principals | None:
    if element not in entry:
        return None
    given = entry[element]
    if given == "*":
        return Principals(aws=("*",))
    if not isinstance(given, Mapping) or not given:
        raise PolicyError(f"{name}: {element} is * or an object")
    # Nobody signs in through a federated identity here, so that such a principal never matches.
    _only(given, {"AWS", "Service", "Federated"}, f"{name}: {element}")
    return Principals(
        aws=_strings(given, "AWS", _AWS_PRINCIPAL, name) or (),
        services=_strings(given, "Service", re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?"), name) or (),
    )


def _conditions(block: object, name: str) -> tuple[Condition, ...]:
    if not isinstance(block, Mapping):
        raise PolicyError(f"{name}: Condition is an object")
    conditions = []
    for written, keys in block.items():
        form = _CONDITION.fullmatch(written)
        operator = form[2] if form else ""
        known = operator in _COMPARISONS or operator in _NEGATED or (operator == "Null" and written == "Null")
        if form is None or not known:
            raise PolicyError(f"{name}: unknown condition operator {written}")
        if not isinstance(keys, Mapping) or not keys:
            raise PolicyError(f"{name}: {written} needs condition keys")
        for key, values in keys.items():
            texts = tuple(_text(value, f"{name}: {written} {key}") for value in _listed(values))
            if not texts:
                raise PolicyError(f"{name}: {written} {key} has no value")
            if operator in ("Bool", "Null") and any(
                text.lower() not in ("true", "false") and "${" not in text for text in texts
            ):
                raise PolicyError(f"{name}: {written} {key} is true or false")
            conditions.append(Condition(operator, form[1], form[3] is not None, key, texts))
    return tuple(conditions)


def _listed(values: object) -> list[object]:
    return values if isinstance(values, list) else [values]


def _text(value: object, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise PolicyError(f"{name}: a condition value is a string, a number or a boolean")
