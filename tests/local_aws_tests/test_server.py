from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.ecs.models import EC2ContainerServiceBackend
from moto.sqs.models import sqs_backends

from local_aws import LocalAws
from local_aws_tests.stack import PRODUCTION, SHARED, function, policy, queue, role, statement, trust

if TYPE_CHECKING:
    from collections.abc import Callable

ADMIN_ROLE = "arn:aws:iam::{}:role/OrganizationAccountAccessRole"
NO_RETRIES = Config(retries={"total_max_attempts": 1})


def assume(session: boto3.Session, role_arn: str, **options: str) -> boto3.Session:
    """A session of the role, whose clients use the same endpoint."""
    sts: Any = session.client("sts")
    keys = sts.assume_role(RoleArn=role_arn, RoleSessionName="test", **options)["Credentials"]
    assumed = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="eu-central-1"
    )
    store: Any = assumed._session.get_component("config_store")
    store.set_config_variable("endpoint_url", sts.meta.endpoint_url)
    return assumed


def trusting(principal: str, condition: dict[str, Any] | None = None) -> str:
    entry: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}
    return policy(entry | ({"Condition": condition} if condition else {}))


def test_administrators_assume_the_role_of_other_accounts(shared: boto3.Session) -> None:
    assumed = assume(shared, ADMIN_ROLE.format(PRODUCTION))
    identity = assumed.client("sts").get_caller_identity()
    assert identity["Account"] == PRODUCTION
    assert identity["Arn"].endswith(":assumed-role/OrganizationAccountAccessRole/test")
    assumed.client("ecs").create_cluster(clusterName="main")


@pytest.mark.parametrize("name", ["missing", "services-only"])
def test_role_must_exist_and_trust_the_caller(shared: boto3.Session, production: boto3.Session, name: str) -> None:
    role(production, "services-only", trust("lambda.amazonaws.com"))
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(shared, f"arn:aws:iam::{PRODUCTION}:role/{name}")


def test_external_id_is_checked(shared: boto3.Session, production: boto3.Session) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    arn = role(production, "reader", trusting(f"arn:aws:iam::{SHARED}:root", condition))
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(shared, arn)
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(shared, arn, ExternalId="wrong")
    assert assume(shared, arn, ExternalId="secret")


READER_TRUST = {
    "StringEquals": {"sts:ExternalId": "arn:aws:events:eu-central-1:111111111111:event-bus/bus"},
    "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{SHARED}:role/service/run-checks"},
}
READER = f"arn:aws:iam::{PRODUCTION}:role/reader"
EXTERNAL_ID = READER_TRUST["StringEquals"]["sts:ExternalId"]


@pytest.fixture
def run_checks(shared: boto3.Session, production: boto3.Session) -> boto3.Session:
    """A role of the shared account, with a path, that a role of the other account trusts by conditions."""
    iam = shared.client("iam")
    trusted = trusting(f"arn:aws:iam::{SHARED}:root")
    arn = iam.create_role(RoleName="run-checks", Path="/service/", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    allowed = policy(
        statement("sts:AssumeRole", "arn:aws:iam::*:role/reader*")
        | {"Condition": {"StringEquals": {"aws:ResourceAccount": [PRODUCTION]}}}
    )
    iam.put_role_policy(RoleName="run-checks", PolicyName="inline", PolicyDocument=allowed)
    reads = statement("ecs:ListClusters") | {
        "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-central-1"}},
    }
    role(production, "reader", trusting(f"arn:aws:iam::{SHARED}:root", READER_TRUST), reads)
    return assume(shared, arn)


def test_reader_acts_in_its_own_account_and_region(
    aws: LocalAws, run_checks: boto3.Session, production: boto3.Session
) -> None:
    production.client("ecs").create_cluster(clusterName="main")
    reader = assume(run_checks, READER, ExternalId=EXTERNAL_ID)
    assert len(reader.client("ecs").list_clusters()["clusterArns"]) == 1
    call = aws.calls[-1]
    assert (call.account, call.region, call.allowed) == (PRODUCTION, "eu-central-1", True)
    assert call.principal_arn == f"arn:aws:sts::{PRODUCTION}:assumed-role/reader/test"
    for client in (reader.client("ecs", region_name="eu-west-1"), reader.client("ecs")):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            client.list_clusters() if client.meta.region_name == "eu-west-1" else client.list_task_definitions()


def test_refusals_to_assume_look_all_the_same(
    shared: boto3.Session, run_checks: boto3.Session, production: boto3.Session
) -> None:
    role(production, "reader-other", trusting(f"arn:aws:iam::{PRODUCTION}:root"))
    account = f"arn:aws:iam::{SHARED}:root"
    other = assume(shared, role(shared, "other", trusting(account), statement("sts:AssumeRole")))
    attempts = [
        (run_checks, f"{READER}-missing", {"ExternalId": EXTERNAL_ID}),
        (run_checks, f"{READER}-other", {"ExternalId": EXTERNAL_ID}),
        (run_checks, READER, {}),
        (run_checks, READER, {"ExternalId": "another"}),
        (run_checks, f"arn:aws:iam::{SHARED}:role/reader", {"ExternalId": EXTERNAL_ID}),
        (other, READER, {"ExternalId": EXTERNAL_ID}),
        (shared, READER, {"ExternalId": EXTERNAL_ID}),
    ]
    for session, arn, options in attempts:
        caller = session.client("sts").get_caller_identity()["Arn"]
        with pytest.raises(ClientError) as refused:
            assume(session, arn, **options)
        error = refused.value.response["Error"]
        assert error["Code"] == "AccessDenied"
        expected = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        assert error["Message"] == expected


def test_organization_of_the_resource_is_a_condition_key(
    aws: LocalAws, shared: boto3.Session, run_checks: boto3.Session
) -> None:
    def allow(organization: str) -> None:
        condition = {"StringEquals": {"aws:ResourceOrgID": organization}}
        document = policy(statement("sts:AssumeRole") | {"Condition": condition})
        shared.client("iam").put_role_policy(RoleName="run-checks", PolicyName="inline", PolicyDocument=document)

    allow("o-other")
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(run_checks, READER, ExternalId=EXTERNAL_ID)
    allow(aws.organization_id)
    assert assume(run_checks, READER, ExternalId=EXTERNAL_ID)


@pytest.mark.parametrize(
    "options",
    [
        {"DurationSeconds": 7200},
        {"RoleSessionName": "not/a/name"},
        {"ExternalId": "no blanks"},
        {"Policy": policy(statement("ecs:*"))},
        {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]},
    ],
)
def test_assume_role_takes_only_what_sts_takes(
    production: boto3.Session, run_checks: boto3.Session, options: dict[str, Any]
) -> None:
    trusted = trusting(f"arn:aws:iam::{SHARED}:root")
    production.client("iam").update_assume_role_policy(RoleName="reader", PolicyDocument=trusted)
    sts: Any = run_checks.client("sts")
    with pytest.raises(ClientError) as refused:
        sts.assume_role(**({"RoleArn": READER, "RoleSessionName": "test"} | options))
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_chained_session_ends_after_its_duration(aws: LocalAws, run_checks: boto3.Session) -> None:
    sts: Any = run_checks.client("sts")
    options = {"ExternalId": EXTERNAL_ID, "DurationSeconds": 900}
    keys = sts.assume_role(RoleArn=READER, RoleSessionName="test", **options)["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    ecs = session.client("ecs", region_name="eu-central-1", endpoint_url=aws.endpoint_url)
    assert ecs.list_clusters()["clusterArns"] == []
    aws.advance(timedelta(seconds=901))
    with pytest.raises(ClientError, match="ExpiredToken"):
        ecs.list_clusters()


def test_faults_strike_one_account_and_region(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session, run_checks: boto3.Session
) -> None:
    aws.faults.throttle("ecs", "ListClusters", account=PRODUCTION, region="eu-central-1")
    shared.client("ecs").list_clusters()
    production.client("ecs").list_task_definitions()
    production.client("ecs", region_name="eu-west-1").list_clusters()
    with pytest.raises(ClientError, match="ThrottlingException"):
        production.client("ecs", config=NO_RETRIES).list_clusters()
    aws.faults.clear()
    aws.faults.deny("ecs", account=PRODUCTION)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        production.client("ecs").list_clusters()
    aws.faults.deny("sts", "AssumeRole", account=PRODUCTION)
    assert assume(shared, f"arn:aws:iam::{SHARED}:role/service/run-checks")
    with pytest.raises(ClientError, match=r"\(AccessDenied\)"):
        assume(run_checks, READER, ExternalId=EXTERNAL_ID)


ASSUME = """
    import boto3
    def handler(event, context):
        keys = boto3.client("sts").assume_role(**event)["Credentials"]
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        ecs = boto3.client("ecs", **dict(zip(
            ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), map(keys.get, names))))
        return len(ecs.list_clusters()["clusterArns"])
"""


def test_what_a_function_does_under_another_role_is_its_own(
    aws: LocalAws, shared: boto3.Session, production: boto3.Session
) -> None:
    role(production, "reader", trusting(f"arn:aws:iam::{SHARED}:root"), statement("ecs:ListClusters"))
    function(shared, ASSUME, statement("sts:AssumeRole"))
    payload = json.dumps({"RoleArn": READER, "RoleSessionName": "worker"})
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=payload)
    assert json.loads(answer["Payload"].read()) == 0
    calls = [call for call in aws.calls if call.function == "worker" and call.service in ("sts", "ecs")]
    assert [(call.operation, call.account) for call in calls] == [("AssumeRole", SHARED), ("ListClusters", PRODUCTION)]
    assert calls[1].principal_arn == f"arn:aws:sts::{PRODUCTION}:assumed-role/reader/worker"
    aws.faults.deny("ecs", account=PRODUCTION)
    answer = shared.client("lambda").invoke(FunctionName="worker", Payload=payload)
    assert "AccessDenied" in json.loads(answer["Payload"].read())["errorMessage"]


def test_slow_calls_are_late(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    aws.faults.slow("ecs", "ListClusters", seconds=0.3, times=1, account=PRODUCTION)
    took = []
    for session in (shared, production, production):
        client = session.client("ecs")
        begin = time.monotonic()
        client.list_clusters()
        took.append(time.monotonic() - begin >= 0.3)
    assert took == [False, True, False]


def test_caller_needs_permission_to_assume(shared: boto3.Session, production: boto3.Session) -> None:
    target = role(production, "target", trusting(f"arn:aws:iam::{SHARED}:root"))
    account = f"arn:aws:iam::{SHARED}:root"
    assert assume(assume(shared, role(shared, "may", trusting(account), statement("sts:AssumeRole", target))), target)
    with pytest.raises(ClientError, match="sts:AssumeRole"):
        assume(assume(shared, role(shared, "may-not", trusting(account))), target)


def test_role_does_only_what_its_policies_allow(shared: boto3.Session) -> None:
    arn = queue(shared, "one")
    queue(shared, "two")
    reader = role(shared, "reader", trusting(f"arn:aws:iam::{SHARED}:root"), statement("sqs:GetQueueUrl", arn))
    sqs = assume(shared, reader).client("sqs")
    assert sqs.get_queue_url(QueueName="one")["QueueUrl"]
    with pytest.raises(ClientError, match="no identity-based policy allows the sqs:GetQueueUrl action"):
        sqs.get_queue_url(QueueName="two")


def test_permissions_boundary_and_managed_policies_count(shared: boto3.Session) -> None:
    iam = shared.client("iam")
    queue(shared, "one")
    everything = iam.create_policy(PolicyName="all", PolicyDocument=policy(statement("sqs:*")))["Policy"]["Arn"]
    narrow = iam.create_policy(PolicyName="narrow", PolicyDocument=policy(statement("sqs:List*")))["Policy"]["Arn"]
    arn = role(shared, "bounded", trusting(f"arn:aws:iam::{SHARED}:root"))
    iam.attach_role_policy(RoleName="bounded", PolicyArn=everything)
    sqs = assume(shared, arn).client("sqs")
    assert sqs.get_queue_url(QueueName="one")["QueueUrl"]
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=narrow)
    assert sqs.list_queues()["QueueUrls"]
    with pytest.raises(ClientError, match="permissions boundary"):
        sqs.get_queue_url(QueueName="one")


def test_deny_of_a_queue_policy_counts(shared: boto3.Session) -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*", "Condition": insecure}
    queue(shared, "secure", deny)
    queue(shared, "closed", {key: value for key, value in deny.items() if key != "Condition"})
    sqs = assume(shared, role(shared, "any", trusting(f"arn:aws:iam::{SHARED}:root"), statement("sqs:*"))).client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="secure")["QueueUrl"], MessageBody="x")
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        sqs.get_queue_url(QueueName="closed")


def test_queue_of_another_account_needs_its_policy(shared: boto3.Session, production: boto3.Session) -> None:
    queue(shared, "closed")
    url = shared.client("sqs").get_queue_url(QueueName="closed")["QueueUrl"]
    with pytest.raises(ClientError, match="AccessDenied"):
        production.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    allow = {"Effect": "Allow", "Principal": {"AWS": PRODUCTION}, "Action": "sqs:SendMessage", "Resource": "*"}
    shared.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(allow)})
    production.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    assert len(shared.client("sqs").receive_message(QueueUrl=url)["Messages"]) == 1


def test_sessions_expire(aws: LocalAws, shared: boto3.Session) -> None:
    assumed = assume(shared, ADMIN_ROLE.format(PRODUCTION))
    aws.advance(timedelta(hours=2))
    with pytest.raises(ClientError, match="ExpiredToken"):
        assumed.client("sqs").list_queues()


def test_unknown_keys_and_unsigned_requests_are_refused(aws: LocalAws) -> None:
    stranger = boto3.client(
        "ecr",
        endpoint_url=aws.endpoint_url,
        region_name="eu-central-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="x",
    )
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        stranger.describe_repositories()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{aws.endpoint_url}/moto-api/reset")  # noqa: S310 - a server of this test
    with refused.value:
        assert refused.value.code == 403


def test_calls_are_recorded(aws: LocalAws, shared: boto3.Session) -> None:
    with pytest.raises(ClientError):
        shared.client("sqs").get_queue_url(QueueName="missing")
    call = aws.calls[-1]
    assert (call.service, call.operation, call.account) == ("sqs", "GetQueueUrl", SHARED)
    assert call.principal_arn == f"arn:aws:iam::{SHARED}:user/admin"
    assert call.resources == (f"arn:aws:sqs:eu-central-1:{SHARED}:missing",)
    assert call.allowed
    assert call.error_code == "QueueDoesNotExist"


def test_organization_has_the_accounts(aws: LocalAws, shared: boto3.Session, production: boto3.Session) -> None:
    accounts = shared.client("organizations").list_accounts()["Accounts"]
    assert [(account["Id"], account["Status"]) for account in accounts] == [(SHARED, "ACTIVE"), (PRODUCTION, "ACTIVE")]
    assert aws.organization_id.startswith("o-")
    with pytest.raises(ClientError):
        production.client("organizations").list_accounts()


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ecr", lambda client: client.describe_repositories(), "ThrottlingException"),
        ("sqs", lambda client: client.list_queues(), "ThrottlingException"),
        ("scheduler", lambda client: client.list_schedules(), "ThrottlingException"),
        ("dynamodb", lambda client: client.list_tables(), "ThrottlingException"),
        ("iam", lambda client: client.list_roles(), "Throttling"),
    ],
)
def test_throttling_counts_down(
    aws: LocalAws, shared: boto3.Session, service: Any, call: Callable[[Any], Any], code: str
) -> None:
    client = shared.client(service, config=NO_RETRIES)
    aws.faults.throttle(service, times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            call(client)
        assert refused.value.response["Error"]["Code"] == code
    call(client)


def test_server_errors_strike_at_a_rate(aws: LocalAws, shared: boto3.Session) -> None:
    client = shared.client("ecr", config=NO_RETRIES)
    aws.faults.server_error("ecr", "DescribeRepositories", rate=0.5, seed=1)
    failures = 0
    for _ in range(20):
        try:
            client.describe_repositories()
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
            failures += 1
    assert 3 < failures < 17
    aws.faults.clear()
    client.describe_repositories()


# Faults of a function's calls

COUNT = """
    import boto3
    def handler(event, context):
        ecr = boto3.client("ecr")
        for call in event:
            if call == "create":
                ecr.create_repository(repositoryName="web")
            else:
                ecr.describe_repositories()
        return len(ecr.describe_repositories()["repositories"])
"""


def run(session: boto3.Session, *calls: str) -> Any:
    answer = session.client("lambda").invoke(FunctionName="worker", Payload=json.dumps(calls))
    return json.loads(answer["Payload"].read())


def ecr_calls(aws: LocalAws) -> list[tuple[str, str | None]]:
    return [(call.operation, call.error_code) for call in aws.calls if call.function and call.service == "ecr"]


def test_lost_answer_is_of_a_call_that_took_effect(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"))
    aws.faults.lose_answer("worker", service="ecr", operation="CreateRepository")
    assert run(shared, "create")["errorType"] == "RepositoryAlreadyExistsException"
    assert ecr_calls(aws) == [
        ("CreateRepository", None),
        ("CreateRepository", "RepositoryAlreadyExistsException"),
    ]


def test_answer_of_the_nth_call_is_lost(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"))
    aws.faults.lose_answer("worker", at_call=2)
    assert run(shared, "describe", "create")["errorType"] == "RepositoryAlreadyExistsException"
    assert run(shared, "describe") == 1


def test_client_gives_up_after_enough_lost_answers(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"), Timeout=60)
    aws.faults.lose_answer("worker", operation="DescribeRepositories", times=5)
    assert "InternalFailure" in run(shared)["errorMessage"]
    assert run(shared) == 0


def test_answers_of_others_are_not_lost(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"))
    aws.faults.lose_answer("other")
    aws.faults.lose_answer("worker", service="dynamodb")
    shared.client("ecr", config=NO_RETRIES).describe_repositories()
    assert run(shared, "create") == 1
    aws.faults.lose_answer("worker")
    aws.faults.clear()
    assert run(shared) == 1


def test_action_comes_right_before_the_nth_call_of_a_function(aws: LocalAws, shared: boto3.Session) -> None:
    ecr = shared.client("ecr")
    function(shared, COUNT, statement("ecr:*"))
    seen: list[int] = []

    def act() -> None:
        seen.append(len(ecr.describe_repositories()["repositories"]))
        ecr.create_repository(repositoryName=f"new-{len(seen)}")

    aws.faults.before_call("ecr", "DescribeRepositories", act, at_call=2, times=2, function="worker")
    aws.faults.before_call("ecr", "DescribeRepositories", act, function="other")
    ecr.describe_repositories()
    assert run(shared, "describe", "create", "describe") == 3
    assert seen == [1, 2]
    assert run(shared, "describe") == 3


def test_call_is_judged_after_the_action(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"))
    iam = shared.client("iam")
    deny = policy({"Effect": "Deny", "Action": "ecr:*", "Resource": "*"})
    aws.faults.before_call(
        "ecr", None, lambda: iam.put_role_policy(RoleName="worker", PolicyName="deny", PolicyDocument=deny), at_call=2
    )
    assert "AccessDenied" in run(shared, "describe")["errorMessage"]
    assert [error for _, error in ecr_calls(aws)] == [None, "AccessDeniedException"]


def test_failing_action_fails_the_test(aws: LocalAws, shared: boto3.Session) -> None:
    function(shared, COUNT, statement("ecr:*"))
    aws.faults.before_call("ecr", None, lambda: int("none"))
    assert run(shared) == 0
    with pytest.raises(ValueError, match="none"):
        aws.run_until_idle()
    aws.run_until_idle()


def test_terraform_environment_is_complete(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.terraform_environment(PRODUCTION).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert boto3.Session().client("sts").get_caller_identity()["Account"] == PRODUCTION
    assert os.environ["AWS_REGION"] == "eu-central-1"


def test_unknown_account_is_an_error(aws: LocalAws) -> None:
    with pytest.raises(ValueError, match="create_account"):
        aws.session("999999999999")
    with pytest.raises(ValueError, match="exists"):
        aws.create_account(SHARED)


def test_time_passes_only_forwards_and_at_once(aws: LocalAws) -> None:
    before, real = aws.clock.now(), time.monotonic()
    aws.advance(timedelta(days=365))
    assert time.monotonic() - real < 1
    assert timedelta(days=365) <= aws.clock.now() - before < timedelta(days=365, seconds=5)
    aws.clock.move_to(before)
    assert aws.clock.now() > before + timedelta(days=364)


def test_everything_is_undone_at_the_end() -> None:
    original = EC2ContainerServiceBackend.run_task
    with LocalAws(start=datetime(2040, 1, 1, tzinfo=UTC)) as aws:
        aws.create_account(SHARED)
        queue(aws.session(SHARED), "one")
        assert aws.clock.now().year == 2040
        assert EC2ContainerServiceBackend.run_task is not original
    assert EC2ContainerServiceBackend.run_task is original
    assert datetime.now(UTC).year < 2040
    assert not sqs_backends[SHARED]["eu-central-1"].queues


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ecr", "describe_repositories", "AccessDeniedException"),
        ("scheduler", "list_schedules", "AccessDeniedException"),
        ("iam", "list_roles", "AccessDenied"),
        ("sqs", "list_queues", "AccessDenied"),
    ],
)
def test_denied_call_speaks_each_protocol(
    aws: LocalAws, shared: boto3.Session, service: Any, operation: str, code: str
) -> None:
    nobody = assume(shared, role(shared, "nobody", trusting(f"arn:aws:iam::{SHARED}:root")))
    with pytest.raises(ClientError) as denied:
        getattr(nobody.client(service), operation)()
    assert denied.value.response["Error"]["Code"] == code
    assert not aws.calls[-1].allowed
    assert aws.calls[-1].resources == ("*",)
