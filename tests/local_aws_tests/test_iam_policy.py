from __future__ import annotations

from typing import Any

import pytest

from local_aws.iam_policy import (
    Decision,
    Outcome,
    Policy,
    PolicyError,
    Request,
    evaluate_identity,
    evaluate_resource,
    is_allowed,
)

ACCOUNT = "111111111111"
OTHER = "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
REPOSITORY = f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/web"
QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:checks"


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    return Policy.parse({"Version": version, "Statement": list(statements)})


def allow(**elements: object) -> dict[str, Any]:
    return {"Effect": "Allow", **elements}


def deny(**elements: object) -> dict[str, Any]:
    return {"Effect": "Deny", **elements}


def request(action: str = "ecr:BatchDeleteImage", resource: str = REPOSITORY, **context: list[str]) -> Request:
    return Request(ROLE, ACCOUNT, None, action, resource, context)


def of_context(context: dict[str, list[str]]) -> Request:
    return Request(ROLE, ACCOUNT, None, "ecr:BatchDeleteImage", REPOSITORY, context)


def identity(statement: dict[str, Any], asked: Request, version: str = "2012-10-17") -> Decision:
    return evaluate_identity([policy(statement, version=version)], asked)


def condition(block: dict[str, Any], context: dict[str, list[str]]) -> bool:
    decision = identity(allow(Action="*", Resource="*", Condition=block), of_context(context))
    return decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("ecr:BatchDeleteImage", True),
        ("ECR:batchdeleteimage", True),
        ("ecr:Batch*", True),
        ("ecr:BatchDelete?mage", True),
        ("*", True),
        ("ecr:*Get*", False),
        ("ecr-public:BatchDeleteImage", False),
        ("ecr:BatchDelete", False),
    ],
)
def test_action_patterns(pattern: str, matches: bool) -> None:
    decision = identity(allow(Action=pattern, Resource="*"), request())
    assert decision is (Decision.ALLOW if matches else Decision.NONE)


def test_not_action_matches_everything_else() -> None:
    statement = allow(NotAction=["ecr:Batch*", "iam:*"], Resource="*")
    assert identity(statement, request("ecr:BatchDeleteImage")) is Decision.NONE
    assert identity(statement, request("ecr:DescribeImages")) is Decision.ALLOW


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (REPOSITORY, True),
        ("*", True),
        (f"arn:aws:ecr:*:{ACCOUNT}:repository/*", True),
        ("arn:aws:ecr:eu-central-1:111111111111:repository/we?", True),
        ("arn:aws:ecr:*", True),
        (f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/web", False),
        (f"arn:aws:ecr:*:{OTHER}:repository/*", False),
        # A wildcard inside a pattern stays within its segment.
        ("arn:aws:ecr:*:repository/web", False),
        (f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/WEB", False),
        (f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository", False),
    ],
)
def test_resource_patterns(pattern: str, matches: bool) -> None:
    decision = identity(allow(Action="*", Resource=pattern), request())
    assert decision is (Decision.ALLOW if matches else Decision.NONE)


def test_action_without_resource_needs_a_star() -> None:
    asked = request("xray:PutTraceSegments", "*")
    assert identity(allow(Action="xray:*", Resource="*"), asked) is Decision.ALLOW
    assert identity(allow(Action="xray:*", Resource="arn:aws:xray:*:*:*"), asked) is Decision.NONE


def test_not_resource_matches_everything_else() -> None:
    statement = allow(Action="*", NotResource=[REPOSITORY])
    assert identity(statement, request()) is Decision.NONE
    assert identity(statement, request(resource=REPOSITORY + "2")) is Decision.ALLOW


def test_explicit_deny_wins_over_allow() -> None:
    both = [policy(allow(Action="*", Resource="*")), policy(deny(Action="ecr:*", Resource="*"))]
    assert evaluate_identity(both, request()) is Decision.DENY
    assert evaluate_identity(both, request("sqs:SendMessage")) is Decision.ALLOW


def test_opt_in_tag_condition() -> None:
    block = {"StringEquals": {"aws:ResourceTag/ecr-cleanup": "enabled"}}
    assert condition(block, {"aws:ResourceTag/ecr-cleanup": ["enabled"]})
    assert condition(block, {"aws:resourcetag/ECR-cleanup": ["enabled"]})
    assert not condition(block, {"aws:ResourceTag/ecr-cleanup": ["Enabled"]})
    assert not condition(block, {"aws:ResourceTag/other": ["enabled"]})
    assert not condition(block, {})


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "holds"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a*", "ab", False),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEqualsIgnoreCase", "AbC", "aBc", True),
        ("StringNotEqualsIgnoreCase", "AbC", "aBc", False),
        ("StringLike", "a*c?", "abbcd", True),
        ("StringLike", "a.c", "abc", False),
        ("StringNotLike", "a*", "abc", False),
        ("ArnEquals", "arn:aws:events:*:111111111111:rule/x", "arn:aws:events:e:111111111111:rule/x", True),
        ("ArnLike", "arn:aws:events:*:rule/x", "arn:aws:events:e:111111111111:rule/x", False),
        ("ArnLike", "*", "arn:aws:events:e:111111111111:rule/x", False),
        ("ArnNotLike", "arn:aws:events:*:*:rule/x", "arn:aws:events:e:111111111111:rule/x", False),
        ("Bool", "true", "TRUE", True),
        ("Bool", False, "true", False),
        ("NumericEquals", 3, "3.0", True),
        ("NumericNotEquals", "3", "4", True),
        ("NumericLessThan", "3", "2", True),
        ("NumericLessThanEquals", "3", "3", True),
        ("NumericGreaterThan", "3", "3", False),
        ("NumericGreaterThanEquals", "3", "nonsense", False),
        ("DateLessThan", "2025-01-02T00:00:00Z", "2025-01-01T00:00:00Z", True),
        ("DateGreaterThan", "2025-01-02T00:00:00Z", "1735689600", False),
        ("DateNotEquals", "2025-01-01", "1735689600", False),
        ("DateLessThanEquals", "2025-01-01", "2025-01-01T00:00:00+00:00", True),
        ("DateGreaterThanEquals", "nonsense", "2025-01-01", False),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
        ("IpAddress", "10.0.0.0/8", "nonsense", False),
    ],
)
def test_condition_operators(operator: str, wanted: object, given: str, holds: bool) -> None:
    assert condition({operator: {"aws:key": wanted}}, {"aws:key": [given]}) is holds


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("ArnLike", False),
        ("ArnNotLike", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringLikeIfExists", True),
    ],
)
def test_conditions_on_a_missing_key(operator: str, holds: bool) -> None:
    assert condition({operator: {"aws:key": "arn:aws:sqs:a:b:c"}}, {}) is holds


@pytest.mark.parametrize(
    ("operator", "given", "holds"),
    [
        ("ForAnyValue:StringEquals", ["a", "z"], True),
        ("ForAnyValue:StringEquals", ["y", "z"], False),
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "z"], False),
        ("ForAnyValue:StringNotEquals", ["a", "z"], True),
        ("ForAllValues:StringNotEquals", ["a", "z"], False),
    ],
)
def test_conditions_on_several_values(operator: str, given: list[str], holds: bool) -> None:
    assert condition({operator: {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": given}) is holds


def test_several_values_need_a_quantifier() -> None:
    with pytest.raises(PolicyError, match="ForAnyValue or ForAllValues"):
        condition({"StringEquals": {"aws:TagKeys": "a"}}, {"aws:TagKeys": ["a", "b"]})


def test_null_condition() -> None:
    assert condition({"Null": {"aws:key": "true"}}, {})
    assert not condition({"Null": {"aws:key": "true"}}, {"aws:key": ["a"]})
    assert condition({"Null": {"aws:key": "false"}}, {"aws:key": ["a"]})
    assert not condition({"Null": {"aws:key": "false"}}, {"aws:key": []})


def test_every_operator_and_key_must_hold() -> None:
    block = {"StringEquals": {"aws:one": "1", "aws:two": "2"}, "Bool": {"aws:three": "true"}}
    complete = {"aws:one": ["1"], "aws:two": ["2"], "aws:three": ["true"]}
    assert condition(block, complete)
    for key in complete:
        assert not condition(block, {name: values for name, values in complete.items() if name != key})


def test_variables_in_resource_and_condition() -> None:
    statement = allow(
        Action="*",
        Resource="arn:aws:ecr:*:${aws:PrincipalAccount}:repository/${aws:PrincipalTag/team, 'web'}",
        Condition={"StringEquals": {"aws:SourceAccount": "${aws:PrincipalAccount}"}},
    )
    source = {"aws:SourceAccount": [ACCOUNT]}
    assert identity(statement, of_context(source)) is Decision.ALLOW
    assert identity(statement, of_context({"aws:SourceAccount": [OTHER]})) is Decision.NONE
    other_team = {**source, "aws:PrincipalTag/team": ["api"]}
    assert identity(statement, of_context(other_team)) is Decision.NONE
    assert identity(statement, of_context(source), version="2008-10-17") is Decision.NONE


def test_variable_without_a_value_matches_nothing() -> None:
    statement = allow(Action="*", Resource="arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}*")
    assert identity(statement, request()) is Decision.NONE


def test_wildcard_that_comes_out_of_a_variable_is_literal() -> None:
    statement = allow(Action="*", Resource="arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}")
    assert identity(statement, of_context({"aws:PrincipalTag/team": ["*"]})) is Decision.NONE
    block = {"StringLike": {"aws:key": "${aws:PrincipalTag/team}"}}
    assert condition(block, {"aws:PrincipalTag/team": ["a*"], "aws:key": ["a*"]})
    assert not condition(block, {"aws:PrincipalTag/team": ["a*"], "aws:key": ["ab"]})
    assert not condition({"StringLike": {"aws:key": "${*}"}}, {"aws:key": ["ab"]})


def test_keys_that_follow_from_the_principal() -> None:
    assert condition({"ArnEquals": {"aws:PrincipalArn": ROLE}}, {})
    assert condition({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, {})
    assert condition({"Bool": {"aws:PrincipalIsAWSService": "false"}}, {})
    session = Request(SESSION, ACCOUNT, None, "ecr:BatchDeleteImage", REPOSITORY)
    by_role = allow(Action="*", Resource="*", Condition={"StringEquals": {"aws:PrincipalArn": ROLE}})
    assert identity(by_role, session) is Decision.ALLOW


# Resource policies


def queue_policy(**elements: object) -> Policy:
    return policy(allow(Action="sqs:SendMessage", Resource=QUEUE, **elements))


def send(arn: str = ROLE, account: str = ACCOUNT, service: str | None = None, **context: list[str]) -> Request:
    return Request(arn, account, service, "sqs:SendMessage", QUEUE, context)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": ACCOUNT},
        {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        {"AWS": [OTHER, ROLE]},
        {"AWS": SESSION},
    ],
)
def test_principals_that_match_a_role_session(principal: object) -> None:
    assert evaluate_resource(queue_policy(Principal=principal), send(SESSION)) is Decision.ALLOW


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": OTHER},
        {"AWS": f"arn:aws:iam::{OTHER}:root"},
        {"AWS": f"arn:aws:iam::{ACCOUNT}:role/application"},
        {"Service": "events.amazonaws.com"},
        {"Federated": "accounts.google.com"},
    ],
)
def test_principals_that_do_not_match_a_role_session(principal: object) -> None:
    assert evaluate_resource(queue_policy(Principal=principal), send(SESSION)) is Decision.NONE


def test_service_principal() -> None:
    guarded = queue_policy(
        Principal={"Service": "events.amazonaws.com"},
        Condition={"ArnEquals": {"aws:SourceArn": "arn:aws:events:eu-central-1:111111111111:rule/x"}},
    )
    rule = ["arn:aws:events:eu-central-1:111111111111:rule/x"]
    by_rule = Request("", ACCOUNT, "events.amazonaws.com", "sqs:SendMessage", QUEUE, {"aws:SourceArn": rule})
    assert is_allowed(by_rule, identity=(), boundary=None, resource=guarded, resource_account=ACCOUNT).allowed
    other_rule = Request(
        "", ACCOUNT, "events.amazonaws.com", "sqs:SendMessage", QUEUE, {"aws:SourceArn": [rule[0] + "y"]}
    )
    refused = is_allowed(other_rule, identity=(), boundary=None, resource=guarded, resource_account=ACCOUNT)
    assert not refused.allowed
    assert "events.amazonaws.com is not authorized to perform: sqs:SendMessage" in refused.reason
    other_service = Request("", ACCOUNT, "scheduler.amazonaws.com", "sqs:SendMessage", QUEUE, {})
    assert evaluate_resource(guarded, other_service) is Decision.NONE


def test_keys_of_a_service() -> None:
    by_name = queue_policy(
        Principal="*", Condition={"StringEquals": {"aws:PrincipalServiceName": "events.amazonaws.com"}}
    )
    assert evaluate_resource(by_name, send("", service="events.amazonaws.com")) is Decision.ALLOW
    assert evaluate_resource(by_name, send("", service="scheduler.amazonaws.com")) is Decision.NONE
    assert evaluate_resource(by_name, send()) is Decision.NONE


def test_service_is_not_allowed_by_an_identity_policy() -> None:
    everything = [policy(allow(Action="*", Resource="*"))]
    asked = send("", service="events.amazonaws.com")
    assert not is_allowed(asked, identity=everything, boundary=None, resource=None, resource_account=ACCOUNT).allowed


def test_deny_of_insecure_transport_binds_everybody() -> None:
    tls_only = policy(
        allow(Principal={"AWS": ROLE}, Action="sqs:*", Resource=QUEUE),
        deny(
            Principal="*",
            Action="sqs:*",
            Resource=QUEUE,
            Condition={"Bool": {"aws:SecureTransport": "false"}},
        ),
    )
    secure = Request(ROLE, ACCOUNT, None, "sqs:SendMessage", QUEUE, {"aws:SecureTransport": ["true"]})
    insecure = Request(ROLE, ACCOUNT, None, "sqs:SendMessage", QUEUE, {"aws:SecureTransport": ["false"]})
    assert evaluate_resource(tls_only, secure) is Decision.ALLOW
    assert evaluate_resource(tls_only, insecure) is Decision.DENY


def test_not_principal_excepts_only_who_is_listed_completely() -> None:
    root = f"arn:aws:iam::{ACCOUNT}:root"

    def excepting(*names: str) -> Policy:
        return policy(deny(NotPrincipal={"AWS": list(names)}, Action="*", Resource=QUEUE))

    assert evaluate_resource(excepting(ROLE, root), send()) is Decision.NONE
    assert evaluate_resource(excepting(ROLE), send()) is Decision.DENY
    assert evaluate_resource(excepting(root), send()) is Decision.DENY
    assert evaluate_resource(excepting(ROLE, root), send(SESSION)) is Decision.DENY
    assert evaluate_resource(excepting(ROLE, SESSION, root), send(SESSION)) is Decision.NONE
    assert evaluate_resource(excepting(ROLE, root), send("", service="events.amazonaws.com")) is Decision.DENY


# The whole decision


def decide(
    asked: Request,
    *,
    by_identity: Policy | None = None,
    boundary: Policy | None = None,
    resource: Policy | None = None,
    resource_account: str = ACCOUNT,
    trust: bool = False,
) -> tuple[bool, str]:
    outcome = is_allowed(
        asked,
        identity=[by_identity] if by_identity else [],
        boundary=boundary,
        resource=resource,
        resource_account=resource_account,
        trust=trust,
    )
    return outcome.allowed, outcome.reason


MAY_SEND = policy(allow(Sid="Send", Action="sqs:SendMessage", Resource=QUEUE))
MAY_READ = policy(allow(Action="sqs:ReceiveMessage", Resource="*"))


def test_nothing_is_allowed_by_default() -> None:
    allowed, reason = decide(send())
    assert not allowed
    assert reason == (
        f"User: {ROLE} is not authorized to perform: sqs:SendMessage on resource: {QUEUE} "
        "because no identity-based policy allows the sqs:SendMessage action"
    )


def test_within_one_account_either_side_is_enough() -> None:
    assert decide(send(), by_identity=MAY_SEND)[0]
    assert decide(send(), resource=queue_policy(Principal={"AWS": ROLE}))[0]
    assert decide(send(), resource=queue_policy(Principal="*"))[0]


def test_grant_to_the_own_account_does_not_replace_the_identitys_policy() -> None:
    to_account = queue_policy(Principal={"AWS": ACCOUNT})
    assert not decide(send(), resource=to_account)[0]
    assert decide(send(), by_identity=MAY_SEND, resource=to_account)[0]


def test_across_accounts_both_sides_are_needed() -> None:
    foreign = f"arn:aws:iam::{OTHER}:role/app"
    asked = send(foreign, OTHER)
    to_account = queue_policy(Principal={"AWS": OTHER})
    assert decide(asked, by_identity=MAY_SEND, resource=to_account)[0]
    assert decide(asked, by_identity=MAY_SEND, resource=queue_policy(Principal={"AWS": foreign}))[0]
    allowed, reason = decide(asked, by_identity=MAY_SEND)
    assert not allowed
    assert "no resource-based policy" in reason
    allowed, reason = decide(asked, resource=to_account)
    assert not allowed
    assert "no identity-based policy" in reason


def test_boundary_limits_both_sides() -> None:
    allowed, reason = decide(send(), by_identity=MAY_SEND, boundary=MAY_READ)
    assert not allowed
    assert "no permissions boundary" in reason
    assert not decide(send(), resource=queue_policy(Principal={"AWS": ROLE}), boundary=MAY_READ)[0]
    assert decide(send(), by_identity=MAY_SEND, boundary=MAY_SEND)[0]


def test_boundary_alone_allows_nothing() -> None:
    assert not decide(send(), boundary=MAY_SEND)[0]


@pytest.mark.parametrize("side", ["by_identity", "boundary", "resource"])
def test_deny_on_any_side_wins(side: str) -> None:
    denial = deny(Sid="Never", Action="sqs:*", Resource=QUEUE)
    if side == "resource":
        denial["Principal"] = "*"
    grants = {
        "by_identity": MAY_SEND,
        "boundary": MAY_SEND,
        "resource": queue_policy(Principal={"AWS": ROLE}),
    }

    def decision() -> Outcome:
        return is_allowed(
            send(),
            identity=[grants["by_identity"]],
            boundary=grants["boundary"],
            resource=grants["resource"],
            resource_account=ACCOUNT,
        )

    assert decision().allowed
    grants[side] = Policy((*grants[side].statements, *policy(denial).statements))
    refused = decision()
    assert not refused.allowed
    assert "explicit deny" in refused.reason
    assert [statement.sid for statement in refused.matched] == ["Never"]


def test_trust_is_needed_even_within_one_account() -> None:
    target = f"arn:aws:iam::{ACCOUNT}:role/target"
    assume = Request(ROLE, ACCOUNT, None, "sts:AssumeRole", target, {"sts:ExternalId": ["x"]})
    may_assume = policy(allow(Action="sts:AssumeRole", Resource=target))
    trusts_account = policy(allow(Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole"))
    trusts_role = policy(allow(Principal={"AWS": ROLE}, Action="sts:AssumeRole"))
    allowed, reason = decide(assume, by_identity=may_assume, trust=True)
    assert not allowed
    assert "no trust policy" in reason
    assert decide(assume, by_identity=may_assume, resource=trusts_account, trust=True)[0]
    assert not decide(assume, resource=trusts_account, trust=True)[0]
    assert decide(assume, resource=trusts_role, trust=True)[0]


def test_external_id_in_a_trust_policy() -> None:
    trusts = policy(
        allow(
            Principal={"AWS": ACCOUNT},
            Action="sts:AssumeRole",
            Condition={"StringEquals": {"sts:ExternalId": "right"}},
        )
    )

    def trusted(context: dict[str, list[str]]) -> bool:
        asked = Request(ROLE, ACCOUNT, None, "sts:AssumeRole", "arn:aws:iam::1:role/x", context)
        return evaluate_resource(trusts, asked) is Decision.ALLOW

    assert trusted({"sts:ExternalId": ["right"]})
    assert not trusted({"sts:ExternalId": ["wrong"]})
    assert not trusted({})


def test_outcome_names_the_statements_that_allowed() -> None:
    outcome = is_allowed(send(), identity=[MAY_READ, MAY_SEND], boundary=None, resource=None, resource_account=ACCOUNT)
    assert [statement.sid for statement in outcome.matched] == ["Send"]


# What is refused rather than guessed

PERFECT: dict[str, Any] = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Effect": "allow"}, "Effect is Allow or Deny"),
        ({"Effect": None}, "Effect is Allow or Deny"),
        ({"Actions": "sqs:*"}, "unknown element Actions"),
        ({"Action": "SendMessage"}, "not of a form"),
        ({"Action": []}, "string or a list"),
        ({"Action": [1]}, "not of a form"),
        ({"NotAction": "sqs:*"}, "exclude each other"),
        ({"NotResource": "*"}, "exclude each other"),
        ({"Resource": "my-queue"}, "not of a form"),
        ({"Principal": "everybody"}, "is \\* or an object"),
        ({"Principal": {"CanonicalUser": "1"}}, "unknown element CanonicalUser"),
        ({"Principal": {"AWS": "arn:aws:iam::111111111111:role/*"}}, "not of a form"),
        ({"Principal": {"Service": "events"}}, "not of a form"),
        ({"NotPrincipal": {"AWS": ACCOUNT}}, "NotPrincipal is for Deny only"),
        ({"Condition": []}, "Condition is an object"),
        ({"Condition": {"StringMatches": {"a:b": "c"}}}, "unknown condition operator StringMatches"),
        ({"Condition": {"ForSomeValues:StringEquals": {"a:b": "c"}}}, "unknown condition operator"),
        ({"Condition": {"NullIfExists": {"a:b": "true"}}}, "unknown condition operator"),
        ({"Condition": {"BinaryEquals": {"a:b": "c"}}}, "unknown condition operator"),
        ({"Condition": {"StringEquals": {}}}, "needs condition keys"),
        ({"Condition": {"StringEquals": {"a:b": []}}}, "has no value"),
        ({"Condition": {"StringEquals": {"a:b": {"c": "d"}}}}, "string, a number or a boolean"),
        ({"Condition": {"Bool": {"a:b": "yes"}}}, "is true or false"),
    ],
)
def test_refuses_what_it_does_not_understand(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        policy({**PERFECT, **change})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"Statement": []}', "at least one Statement"),
        ('{"Statement": ["x"]}', "Statement is a JSON object"),
        ('{"Version": "2020-01-01", "Statement": []}', "Version"),
        ('{"Statement": [], "Rules": []}', "unknown element Rules"),
        ('{"Statement": [], "Statement": []}', "given twice"),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "Action or NotAction is needed"),
    ],
)
def test_refuses_a_malformed_document(document: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy.parse(document)


def test_policy_of_the_wrong_kind_is_refused() -> None:
    of_resource = queue_policy(Principal="*")
    with pytest.raises(PolicyError, match="cannot have a Principal"):
        evaluate_identity([of_resource], send())
    with pytest.raises(PolicyError, match="needs a Principal"):
        evaluate_resource(MAY_SEND, send())
    with pytest.raises(PolicyError, match="needs a Resource"):
        identity(allow(Action="*"), send())


def test_text_and_document_give_the_same_policy() -> None:
    text = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    assert Policy.parse(text) == policy(allow(Action="*", Resource="*"))
