from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws import request_iam
from local_aws.request_iam import ApiRequest, Permission, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ACCOUNT = "111111111111"
OTHER = "222222222222"
REGION = "eu-central-1"
AGGREGATOR = f"arn:aws:config:{REGION}:{ACCOUNT}:config-aggregator/config-aggregator-abc123"
DIGEST = "sha256:" + "0" * 64
TAGS = {f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/web": {"ecr-cleanup": "enabled"}}


class Raw:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self) -> Iterator[bytes]:
        yield self.body


class Wire:
    """Real boto3 clients whose requests are described here and answered with an error instead of being sent."""

    def __init__(self) -> None:
        self.session: Any = boto3.Session("AKIDEXAMPLE", "secret", region_name=REGION)
        self.clients: dict[str, Any] = {}
        self.reply: Callable[[ApiRequest], request_iam.Response] = denied
        self.api: ApiRequest | None = None

    def client(self, service: str) -> Any:
        if service not in self.clients:
            config = Config(retries={"total_max_attempts": 1})
            client = self.session.client(service, endpoint_url="http://127.0.0.1:5000", config=config)
            client.meta.events.register("before-send", self.answer)
            self.clients[service] = client
        return self.clients[service]

    def answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.api = describe(request)
        assert self.api is not None
        status, headers, body = self.reply(self.api)
        like_urllib3 = HTTPHeaders()
        for name, value in headers:
            like_urllib3[name] = value
        return AWSResponse(request.url, status, like_urllib3, Raw(body))

    def call(
        self,
        service: str,
        operation: str,
        params: Mapping[str, object],
        reply: Callable[[ApiRequest], request_iam.Response],
    ) -> tuple[ApiRequest, dict[str, Any]]:
        """What was asked, and the error that the client saw."""
        self.reply = reply
        with pytest.raises(ClientError) as caught:
            getattr(self.client(service), operation)(**params)
        assert self.api is not None
        return self.api, dict(caught.value.response)


def denied(api: ApiRequest) -> request_iam.Response:
    return request_iam.access_denied(api, "User: x is not authorized")


def describe(request: AWSPreparedRequest) -> ApiRequest | None:
    parts = urlsplit(request.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    raw: Mapping[str, Any] = dict(request.headers)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in raw.items()}
    body: Any = request.body or b""
    encoded = body if isinstance(body, bytes) else str(body).encode()
    return request_iam.describe(request.method, parts.path, query, headers, encoded)


WIRE = Wire()


def ask(service: str, operation: str, **params: object) -> ApiRequest:
    return WIRE.call(service, operation, params, denied)[0]


def needed(api: ApiRequest, account: str = ACCOUNT) -> list[Permission]:
    return request_iam.permissions(
        api,
        account=account,
        region=REGION,
        tags_of=lambda arn: TAGS.get(arn, {}),
        aggregator_arn={"main": AGGREGATOR}.get,
    )


def actions(api: ApiRequest, account: str = ACCOUNT) -> list[tuple[str, str]]:
    return [(permission.action, permission.resource) for permission in needed(api, account)]


def arn(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


TABLE = arn("dynamodb", "table/ledger")
OTHER_TABLE = arn("dynamodb", "table/other")
SCHEDULE: dict[str, object] = {
    "Name": "one",
    "GroupName": "checks",
    "ScheduleExpression": "at(2030-01-01T00:00:00)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": arn("sqs", "checks"), "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler"},
}
CLUSTER = arn("ecs", "cluster/main")
PASS_ROLE = ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/scheduler")
QUEUE_URL = f"http://127.0.0.1:5000/{ACCOUNT}/checks"
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"),
    [
        (
            "ecr",
            "describe_images",
            {"repositoryName": "team/web"},
            [("ecr:DescribeImages", arn("ecr", "repository/team/web"))],
        ),
        (
            "ecr",
            "batch_delete_image",
            {"repositoryName": "web", "imageIds": [{"imageDigest": DIGEST}], "registryId": OTHER},
            [("ecr:BatchDeleteImage", arn("ecr", "repository/web", OTHER))],
        ),
        (
            "ecr",
            "list_tags_for_resource",
            {"resourceArn": arn("ecr", "repository/web")},
            [("ecr:ListTagsForResource", arn("ecr", "repository/web"))],
        ),
        (
            "ecr",
            "list_image_referrers",
            {"repositoryName": "web", "subjectId": {"imageDigest": DIGEST}},
            [("ecr:BatchGetImage", arn("ecr", "repository/web"))],
        ),
        (
            "ecr",
            "describe_repositories",
            {"repositoryNames": ["web", "api"]},
            [
                ("ecr:DescribeRepositories", arn("ecr", "repository/web")),
                ("ecr:DescribeRepositories", arn("ecr", "repository/api")),
            ],
        ),
        (
            "ecr",
            "batch_get_image",
            {"repositoryName": "web", "imageIds": [{"imageDigest": DIGEST}], "registryId": OTHER},
            [("ecr:BatchGetImage", arn("ecr", "repository/web", OTHER))],
        ),
        (
            "ecr",
            "update_image_storage_class",
            {"repositoryName": "web", "imageId": {"imageDigest": DIGEST}, "targetStorageClass": "ARCHIVE"},
            [("ecr:UpdateImageStorageClass", arn("ecr", "repository/web"))],
        ),
        (
            "ecr",
            "register_pull_time_update_exclusion",
            {"principalArn": f"arn:aws:iam::{ACCOUNT}:role/run"},
            [("ecr:RegisterPullTimeUpdateExclusion", "*")],
        ),
        ("ecr", "describe_repositories", {}, [("ecr:DescribeRepositories", "*")]),
        ("ecr", "get_authorization_token", {}, [("ecr:GetAuthorizationToken", "*")]),
        ("dynamodb", "get_item", {"TableName": "ledger", "Key": KEY}, [("dynamodb:GetItem", TABLE)]),
        ("dynamodb", "get_item", {"TableName": TABLE, "Key": KEY}, [("dynamodb:GetItem", TABLE)]),
        (
            "dynamodb",
            "query",
            {"TableName": "ledger", "IndexName": "by-time", "KeyConditionExpression": "a = b"},
            [("dynamodb:Query", f"{TABLE}/index/by-time")],
        ),
        (
            "dynamodb",
            "batch_get_item",
            {"RequestItems": {"ledger": {"Keys": [KEY]}, "other": {"Keys": [KEY]}}},
            [("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", OTHER_TABLE)],
        ),
        (
            "dynamodb",
            "transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": "ledger", "Item": KEY}},
                    {"Put": {"TableName": "ledger", "Item": KEY}},
                    {"Update": {"TableName": "ledger", "Key": KEY, "UpdateExpression": "SET a = b"}},
                    {"Delete": {"TableName": "other", "Key": KEY}},
                    {"ConditionCheck": {"TableName": "other", "Key": KEY, "ConditionExpression": "a = b"}},
                ]
            },
            [
                ("dynamodb:PutItem", TABLE),
                ("dynamodb:UpdateItem", TABLE),
                ("dynamodb:DeleteItem", OTHER_TABLE),
                ("dynamodb:ConditionCheckItem", OTHER_TABLE),
            ],
        ),
        ("dynamodb", "list_tables", {}, [("dynamodb:ListTables", "*")]),
        (
            "scheduler",
            "create_schedule",
            SCHEDULE,
            [("scheduler:CreateSchedule", arn("scheduler", "schedule/checks/one")), PASS_ROLE],
        ),
        (
            "scheduler",
            "update_schedule",
            {name: value for name, value in SCHEDULE.items() if name != "GroupName"},
            [("scheduler:UpdateSchedule", arn("scheduler", "schedule/default/one")), PASS_ROLE],
        ),
        (
            "scheduler",
            "get_schedule",
            {"Name": "one", "GroupName": "checks"},
            [("scheduler:GetSchedule", arn("scheduler", "schedule/checks/one"))],
        ),
        (
            "scheduler",
            "delete_schedule",
            {"Name": "one", "GroupName": "checks"},
            [("scheduler:DeleteSchedule", arn("scheduler", "schedule/checks/one"))],
        ),
        ("scheduler", "list_schedules", {"GroupName": "checks"}, [("scheduler:ListSchedules", "*")]),
        (
            "config",
            "select_aggregate_resource_config",
            {"ConfigurationAggregatorName": "main", "Expression": "SELECT arn"},
            [("config:SelectAggregateResourceConfig", AGGREGATOR)],
        ),
        (
            "config",
            "describe_configuration_aggregator_sources_status",
            {"ConfigurationAggregatorName": "other"},
            [("config:DescribeConfigurationAggregatorSourcesStatus", arn("config", "config-aggregator/other"))],
        ),
        (
            "config",
            "describe_configuration_recorders",
            {},
            [("config:DescribeConfigurationRecorders", "*")],
        ),
        (
            "sqs",
            "send_message",
            {"QueueUrl": QUEUE_URL, "MessageBody": "x"},
            [("sqs:SendMessage", arn("sqs", "checks"))],
        ),
        (
            "sqs",
            "send_message_batch",
            {"QueueUrl": QUEUE_URL, "Entries": [{"Id": "1", "MessageBody": "x"}]},
            [("sqs:SendMessage", arn("sqs", "checks"))],
        ),
        (
            "sqs",
            "get_queue_url",
            {"QueueName": "checks", "QueueOwnerAWSAccountId": OTHER},
            [("sqs:GetQueueUrl", arn("sqs", "checks", OTHER))],
        ),
        ("sqs", "list_queues", {}, [("sqs:ListQueues", "*")]),
        (
            "events",
            "put_events",
            {
                "Entries": [
                    {"EventBusName": "bus", "Source": "a", "DetailType": "d", "Detail": "{}"},
                    {"EventBusName": "bus", "Source": "a", "DetailType": "d", "Detail": "{}"},
                    {"EventBusName": arn("events", "event-bus/far", OTHER), "Detail": "{}"},
                    {"Detail": "{}"},
                ]
            },
            [
                ("events:PutEvents", arn("events", "event-bus/bus")),
                ("events:PutEvents", arn("events", "event-bus/far", OTHER)),
                ("events:PutEvents", arn("events", "event-bus/default")),
            ],
        ),
        ("events", "list_rules", {}, [("events:ListRules", "*")]),
        ("sts", "get_session_token", {}, [("sts:GetSessionToken", "*")]),
        ("logs", "describe_log_groups", {}, [("logs:DescribeLogGroups", "*")]),
        ("sts", "get_caller_identity", {}, []),
        (
            "sts",
            "assume_role",
            {"RoleArn": "arn:aws:iam::222222222222:role/reader", "RoleSessionName": "me"},
            [("sts:AssumeRole", "arn:aws:iam::222222222222:role/reader")],
        ),
        (
            "sts",
            "assume_role",
            {
                "RoleArn": "arn:aws:iam::222222222222:role/reader",
                "RoleSessionName": "me",
                "Tags": [{"Key": "a", "Value": "b"}],
            },
            [
                ("sts:AssumeRole", "arn:aws:iam::222222222222:role/reader"),
                ("sts:TagSession", "arn:aws:iam::222222222222:role/reader"),
            ],
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": "run", "Qualifier": "1", "Payload": b"not json"},
            [("lambda:InvokeFunction", arn("lambda", "function:run:1"))],
        ),
        ("lambda", "get_function", {"FunctionName": "run"}, [("lambda:GetFunction", arn("lambda", "function:run"))]),
        (
            "lambda",
            "get_function",
            {"FunctionName": arn("lambda", "function:run"), "Qualifier": "3"},
            [("lambda:GetFunction", arn("lambda", "function:run:3"))],
        ),
        (
            "lambda",
            "get_function_configuration",
            {"FunctionName": "run"},
            [("lambda:GetFunctionConfiguration", arn("lambda", "function:run"))],
        ),
        (
            "events",
            "describe_rule",
            {"Name": "nightly", "EventBusName": "bus"},
            [("events:DescribeRule", arn("events", "rule/bus/nightly"))],
        ),
        ("lambda", "list_functions", {"FunctionVersion": "ALL"}, [("lambda:ListFunctions", "*")]),
        ("batch", "describe_job_definitions", {"status": "ACTIVE"}, [("batch:DescribeJobDefinitions", "*")]),
        ("scheduler", "list_schedule_groups", {"MaxResults": 100}, [("scheduler:ListScheduleGroups", "*")]),
        ("events", "list_event_buses", {}, [("events:ListEventBuses", "*")]),
        (
            "events",
            "list_rule_names_by_target",
            {"TargetArn": CLUSTER, "EventBusName": "bus"},
            [("events:ListRuleNamesByTarget", "*")],
        ),
        (
            "events",
            "list_targets_by_rule",
            {"Rule": "nightly"},
            [("events:ListTargetsByRule", arn("events", "rule/nightly"))],
        ),
        (
            "events",
            "list_targets_by_rule",
            {"Rule": "nightly", "EventBusName": arn("events", "event-bus/bus")},
            [("events:ListTargetsByRule", arn("events", "rule/bus/nightly"))],
        ),
        (
            "config",
            "describe_configuration_recorder_status",
            {},
            [("config:DescribeConfigurationRecorderStatus", "*")],
        ),
        ("ecs", "list_clusters", {}, [("ecs:ListClusters", "*")]),
        ("ecs", "list_services", {"cluster": CLUSTER}, [("ecs:ListServices", "*")]),
        ("ecs", "list_tasks", {"cluster": "main"}, [("ecs:ListTasks", "*")]),
        ("ecs", "list_task_definitions", {"status": "ACTIVE"}, [("ecs:ListTaskDefinitions", "*")]),
        ("ecs", "describe_task_definition", {"taskDefinition": "web:1"}, [("ecs:DescribeTaskDefinition", "*")]),
        ("ecs", "list_daemons", {"clusterArn": CLUSTER}, [("ecs:ListDaemons", "*")]),
        ("ecs", "list_daemon_task_definitions", {}, [("ecs:ListDaemonTaskDefinitions", "*")]),
        (
            "ecs",
            "describe_daemon_task_definition",
            {"daemonTaskDefinition": "agent:1"},
            [("ecs:DescribeDaemonTaskDefinition", "*")],
        ),
        (
            "ecs",
            "describe_services",
            {"cluster": CLUSTER, "services": ["web", arn("ecs", "service/main/api")]},
            [
                ("ecs:DescribeServices", arn("ecs", "service/main/web")),
                ("ecs:DescribeServices", arn("ecs", "service/main/api")),
            ],
        ),
        ("ecs", "describe_tasks", {"tasks": ["1"]}, [("ecs:DescribeTasks", arn("ecs", "task/default/1"))]),
        *[
            ("ecs", operation, {member: [of]}, [(f"ecs:{action}", of)])
            for operation, action, member, of in (
                (
                    "describe_service_revisions",
                    "DescribeServiceRevisions",
                    "serviceRevisionArns",
                    arn("ecs", "service-revision/main/web/1"),
                ),
                (
                    "describe_service_deployments",
                    "DescribeServiceDeployments",
                    "serviceDeploymentArns",
                    arn("ecs", "service-deployment/main/web/1"),
                ),
                (
                    "describe_daemon_revisions",
                    "DescribeDaemonRevisions",
                    "daemonRevisionArns",
                    arn("ecs", "daemon-revision/main/agent/1"),
                ),
                (
                    "describe_daemon_deployments",
                    "DescribeDaemonDeployments",
                    "daemonDeploymentArns",
                    arn("ecs", "daemon-deployment/main/agent/1"),
                ),
            )
        ],
        (
            "ecs",
            "describe_daemon",
            {"daemonArn": arn("ecs", "daemon/main/agent")},
            [("ecs:DescribeDaemon", arn("ecs", "daemon/main/agent"))],
        ),
        (
            "logs",
            "put_log_events",
            {
                "logGroupName": "/aws/lambda/run",
                "logStreamName": "2025/[$LATEST]a",
                "logEvents": [{"timestamp": 1, "message": "x"}],
            },
            [
                (
                    "logs:PutLogEvents",
                    arn("logs", "log-group:/aws/lambda/run:log-stream:2025/[$LATEST]a"),
                )
            ],
        ),
        (
            "logs",
            "create_log_group",
            {"logGroupName": "/aws/lambda/run"},
            [("logs:CreateLogGroup", arn("logs", "log-group:/aws/lambda/run:log-stream:"))],
        ),
        ("organizations", "list_accounts", {}, [("organizations:ListAccounts", "*")]),
        (
            "xray",
            "put_trace_segments",
            {"TraceSegmentDocuments": ["{}"]},
            [("xray:PutTraceSegments", "*")],
        ),
        ("iam", "get_role", {"RoleName": "x"}, [("iam:GetRole", "*")]),
        ("resourcegroupstaggingapi", "get_resources", {}, [("tag:GetResources", "*")]),
        ("cloudwatch", "list_metrics", {}, [("cloudwatch:ListMetrics", "*")]),
        ("s3", "get_bucket_policy", {"Bucket": "b"}, [("s3:GetBucketPolicy", "*")]),
        ("s3", "get_object", {"Bucket": "b", "Key": "a/c"}, [("s3:GetObject", "arn:aws:s3:::b/a/c")]),
        ("s3", "head_object", {"Bucket": "b", "Key": "a/c"}, [("s3:GetObject", "arn:aws:s3:::b/a/c")]),
        ("s3", "put_object", {"Bucket": "b", "Key": "a/c", "Body": b"x"}, [("s3:PutObject", "arn:aws:s3:::b/a/c")]),
    ],
)
def test_actions_and_resources(
    service: str, operation: str, params: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    assert actions(ask(service, operation, **params)) == expected


def test_request_carries_access_key_and_region() -> None:
    api = ask("ecr", "describe_images", repositoryName="web", maxResults=7)
    assert (api.access_key, api.region, api.protocol) == ("AKIDEXAMPLE", REGION, Protocol.JSON)
    assert api.params == {"repositoryName": "web", "maxResults": 7}


def test_rest_request_has_its_members_from_path_query_and_body() -> None:
    deleted = ask("scheduler", "delete_schedule", Name="one", GroupName="checks", ClientToken="t")
    assert deleted.params == {"Name": "one", "GroupName": "checks", "ClientToken": "t"}
    created = ask("scheduler", "create_schedule", **SCHEDULE)
    assert {name: created.params[name] for name in SCHEDULE} == SCHEDULE


def test_rest_path_may_hold_an_arn() -> None:
    group = arn("scheduler", "schedule-group/checks")
    api = ask("scheduler", "list_tags_for_resource", ResourceArn=group)
    assert (api.operation, api.params) == ("ListTagsForResource", {"ResourceArn": group})


@pytest.mark.parametrize(
    ("operation", "params", "name"),
    [
        ("put_object", {"Bucket": "b", "Key": "k/l", "Body": "x"}, "PutObject"),
        ("copy_object", {"Bucket": "b", "Key": "k", "CopySource": "b/l"}, "CopyObject"),
        ("list_parts", {"Bucket": "b", "Key": "k", "UploadId": "u"}, "ListParts"),
        ("get_bucket_tagging", {"Bucket": "b"}, "GetBucketTagging"),
        ("list_objects_v2", {"Bucket": "b"}, "ListObjectsV2"),
        ("list_buckets", {}, "ListBuckets"),
    ],
)
def test_operations_of_a_rest_xml_service(operation: str, params: dict[str, object], name: str) -> None:
    api = ask("s3", operation, **params)
    assert (api.operation, api.protocol) == (name, Protocol.REST_XML)


def test_repository_tags_are_condition_keys() -> None:
    (permission,) = needed(ask("ecr", "describe_images", repositoryName="web"))
    assert permission.context["aws:ResourceTag/ecr-cleanup"] == ["enabled"]
    assert permission.context["aws:SecureTransport"] == ["true"]
    assert permission.context["aws:RequestedRegion"] == [REGION]
    (untagged,) = needed(ask("ecr", "describe_images", repositoryName="api"))
    assert not any("ResourceTag" in key for key in untagged.context)


def test_passed_role_names_the_service_it_is_passed_to() -> None:
    _, passed = needed(ask("scheduler", "create_schedule", **SCHEDULE))
    assert passed.context["iam:PassedToService"] == ["scheduler.amazonaws.com"]


def test_external_id_is_a_condition_key() -> None:
    role = f"arn:aws:iam::{OTHER}:role/reader"
    (permission,) = needed(ask("sts", "assume_role", RoleArn=role, RoleSessionName="me", ExternalId="secret"))
    assert permission.context["sts:ExternalId"] == ["secret"]
    assert permission.account == OTHER


@pytest.mark.parametrize(("operation", "named"), [("list_tasks", {}), ("describe_services", {"services": ["web"]})])
def test_cluster_is_a_condition_key(operation: str, named: dict[str, object]) -> None:
    (permission,) = needed(ask("ecs", operation, cluster="main", **named))
    assert permission.context["ecs:cluster"] == [CLUSTER]
    assert permission.context["aws:RequestedRegion"] == [REGION]


def test_event_entries_carry_source_and_detail_type() -> None:
    entries = [{"Source": source, "DetailType": "d", "Detail": "{}"} for source in ("a", "b", "a")]
    found = needed(ask("events", "put_events", Entries=entries))
    assert [permission.context["events:source"] for permission in found] == [["a"], ["b"]]


def test_owner_of_the_resource() -> None:
    api = ask("sqs", "send_message", QueueUrl=QUEUE_URL, MessageBody="x")
    assert [permission.account for permission in needed(api, OTHER)] == [ACCOUNT]
    anything = ask("organizations", "list_accounts")
    assert [permission.account for permission in needed(anything, OTHER)] == [OTHER]


@pytest.mark.parametrize(
    ("service", "operation", "params", "status", "code"),
    [
        ("ecr", "describe_images", {"repositoryName": "web"}, 400, "AccessDeniedException"),
        ("dynamodb", "list_tables", {}, 400, "AccessDeniedException"),
        ("events", "list_rules", {}, 400, "AccessDeniedException"),
        ("config", "describe_configuration_recorders", {}, 400, "AccessDeniedException"),
        ("logs", "describe_log_groups", {}, 400, "AccessDeniedException"),
        ("organizations", "list_accounts", {}, 400, "AccessDeniedException"),
        ("ecs", "list_clusters", {}, 400, "AccessDeniedException"),
        ("sqs", "list_queues", {}, 400, "AccessDenied"),
        ("cloudwatch", "list_metrics", {}, 400, "AccessDenied"),
        ("scheduler", "list_schedules", {}, 403, "AccessDeniedException"),
        ("lambda", "list_functions", {}, 403, "AccessDeniedException"),
        ("xray", "get_groups", {}, 403, "AccessDeniedException"),
        ("sts", "get_session_token", {}, 403, "AccessDenied"),
        ("iam", "list_roles", {}, 403, "AccessDenied"),
        ("s3", "list_buckets", {}, 403, "AccessDenied"),
    ],
)
def test_clients_see_a_denial(service: str, operation: str, params: dict[str, object], status: int, code: str) -> None:
    _, response = WIRE.call(service, operation, params, denied)
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"] == "User: x is not authorized"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("service", ["ecr", "sqs", "scheduler", "sts", "s3"])
def test_clients_see_other_errors(service: str) -> None:
    operations = {
        "ecr": "describe_repositories",
        "sqs": "list_queues",
        "scheduler": "list_schedules",
        "sts": "get_caller_identity",
        "s3": "list_buckets",
    }

    def unavailable(api: ApiRequest) -> request_iam.Response:
        return request_iam.error(api, "Unavailable", "a <b>", status=503)

    _, response = WIRE.call(service, operations[service], {}, unavailable)
    assert response["Error"]["Code"] == "Unavailable"
    assert response["Error"]["Message"] == "a <b>"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=AK/20250101/eu-central-1/monitoring/aws4_request, X"}


def test_cbor_request_and_its_error() -> None:
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    api = request_iam.describe("POST", path, {}, SIGNED, b"\xbf\xff")
    assert api is not None
    assert (api.service, api.operation, api.protocol) == ("cloudwatch", "PutMetricData", Protocol.CBOR)
    status, headers, body = request_iam.access_denied(api, "no")
    assert status == 403
    assert ("smithy-protocol", "rpc-v2-cbor") in headers
    assert body == (
        b"\xa2\x7a\x00\x00\x00\x06__type\x7a\x00\x00\x00\x0cAccessDenied"
        b"\x7a\x00\x00\x00\x07message\x7a\x00\x00\x00\x02no"
    )


def test_compressed_request() -> None:
    headers = {
        **SIGNED,
        "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData",
        "Content-Encoding": "gzip",
    }
    api = request_iam.describe("POST", "/", {}, headers, gzip.compress(b'{"Namespace": "x"}'))
    assert api is not None
    assert api.params == {"Namespace": "x"}


def test_presigned_request() -> None:
    query = {"Action": "GetCallerIdentity", "X-Amz-Credential": "AK/20250101/eu-central-1/sts/aws4_request"}
    api = request_iam.describe("GET", "/", query, {}, b"")
    assert api is not None
    assert (api.service, api.operation, api.access_key) == ("sts", "GetCallerIdentity", "AK")


def test_rest_request_with_a_broken_body_is_not_described() -> None:
    headers = {"Authorization": SIGNED["Authorization"].replace("monitoring", "scheduler")}
    assert request_iam.describe("POST", "/schedules/one", {}, headers, b"{}") is not None
    assert request_iam.describe("POST", "/schedules/one", {}, headers, b"[") is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"Authorization": "Bearer token"}, b""),
        ({**SIGNED, "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData"}, b"not json"),
        ({**SIGNED, "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData"}, b"[]"),
        (SIGNED, b""),
        ({"Authorization": SIGNED["Authorization"].replace("monitoring", "unknown")}, b""),
        ({"Authorization": SIGNED["Authorization"].replace("monitoring", "scheduler")}, b""),
    ],
)
def test_what_is_not_understood_is_not_described(headers: dict[str, str], body: bytes) -> None:
    assert request_iam.describe("POST", "/unknown", {}, headers, body) is None
