"""From an HTTP request to an AWS service to the terms of IAM: which actions on which resources it needs.

Follows the Service Authorization Reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html. An operation that is not
described here needs the action of its own name on the resource `*`, so that only a policy on `*` allows it.
"""

from __future__ import annotations

import enum
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4
from xml.sax.saxutils import escape

import botocore.session
from botocore.loaders import Loader

from local_aws.topics import KEY_ACTIONS, context_of_key, topic_key

if TYPE_CHECKING:
    from botocore.model import OperationModel

Params = Mapping[str, Any]


class Protocol(enum.Enum):
    """How a request is put into HTTP, and hence what an error answer looks like."""

    JSON = "json"
    REST_JSON = "rest-json"
    REST_XML = "rest-xml"
    QUERY = "query"
    CBOR = "smithy-rpc-v2-cbor"


@dataclass(frozen=True)
class ApiRequest:
    """One call of one operation.

    `service` is botocore's name of the service, `access_key` and `region` are those of the signature. `params`
    are the operation's input under its own member names; of a query request they are flat
    (`Tags.member.1.Key`), of a rest-xml request those of path and query string, and a CBOR body is not read.
    """

    service: str
    operation: str
    params: Params
    protocol: Protocol
    access_key: str
    region: str


@dataclass(frozen=True)
class Permission:
    """An action on a resource (an ARN or `*`) that a request needs, with the condition keys that go with it.

    `account` owns the resource; where it is not the caller's, the resource's policy has to agree.
    """

    action: str
    resource: str
    account: str
    context: Mapping[str, list[str]] = field(default_factory=dict)


# Where the name a signature is made for is not botocore's name of the service.
_SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
# Where IAM's prefix of a service is not botocore's name of it.
_PREFIXES = {"resourcegroupstaggingapi": "tag"}
_CREDENTIAL = re.compile(r"(?:Credential=|^)([^/\s,]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


def describe(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> ApiRequest | None:
    """Understand a signed request to an AWS API; None if it is not one (or not one of a known protocol)."""
    lowered = {name.lower(): value for name, value in headers.items()}
    credential = _CREDENTIAL.search(lowered.get("authorization", "") or query.get("X-Amz-Credential", ""))
    if credential is None:
        return None
    access_key, region, signed_as = credential.groups()
    service = _SIGNED_AS.get(signed_as, signed_as)
    if lowered.get("content-encoding") == "gzip":
        body = gzip.decompress(body)

    def request(operation: str, params: Params, protocol: Protocol) -> ApiRequest:
        return ApiRequest(service, operation, params, protocol, access_key, region)

    if target := lowered.get("x-amz-target"):
        document = _json_object(body)
        return None if document is None else request(target.rpartition(".")[2], document, Protocol.JSON)
    if called := re.fullmatch(r"/service/\w+/operation/(\w+)", path):
        return request(called[1], {}, Protocol.CBOR)
    form = dict(query)
    if lowered.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    if "Action" in form:
        return request(form["Action"], form, Protocol.QUERY)
    return _rest_request(request, service, method, path, query, lowered, body)


def _rest_request(
    request: Callable[[str, Params, Protocol], ApiRequest],
    service: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> ApiRequest | None:
    routes = _routes(service)
    if routes is None:
        return None
    for route in routes.entries:
        labels = route.labels(method, path, query, headers)
        if labels is None:
            continue
        params: dict[str, Any] = {}
        if routes.protocol is Protocol.REST_JSON and not route.has_payload:
            document = _json_object(body)
            if document is None:
                return None
            params |= document
        params |= {route.query_members[name]: query[name] for name in route.query_members if name in query}
        return request(route.operation, params | labels, routes.protocol)
    return None


def _json_object(body: bytes) -> dict[str, Any] | None:
    if not body:
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


# Paths of REST services


@dataclass(frozen=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    fixed_query: Mapping[str, str | None]
    needed_headers: tuple[str, ...]
    label_members: Mapping[str, str]
    query_members: Mapping[str, str]
    has_payload: bool

    def labels(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, str] | None:
        """The members that the path holds; None if the request is not of this operation."""
        if method != self.method or not all(name in headers for name in self.needed_headers):
            return None
        for name, value in self.fixed_query.items():
            if name not in query or (value is not None and query[name] != value):
                return None
        match = self.path.fullmatch(path)
        if match is None:
            return None
        return {member: unquote(match[group]) for group, member in self.label_members.items()}


@dataclass(frozen=True)
class _Routes:
    protocol: Protocol
    entries: tuple[_Route, ...]


@lru_cache
def _routes(service: str) -> _Routes | None:
    session = botocore.session.get_session()
    # Models of its own: a client of S3 takes the bucket out of the paths in its model.
    session.register_component("data_loader", Loader())
    if service not in session.get_available_services():
        return None
    model = session.get_service_model(service)
    protocol = model.metadata["protocol"]
    if protocol not in (Protocol.REST_JSON.value, Protocol.REST_XML.value):
        return None
    routes = [_route(model.operation_model(name)) for name in model.operation_names]
    # The most particular first: what has fewer labels, or more that must be in query string and headers.
    routes.sort(
        key=lambda route: (
            len(route.label_members),
            -len(route.path.pattern),
            -len(route.fixed_query) - len(route.needed_headers),
        )
    )
    return _Routes(Protocol(protocol), tuple(routes))


def _route(operation: OperationModel) -> _Route:
    uri, _, fixed = operation.http["requestUri"].partition("?")
    members = operation.input_shape.members if operation.input_shape else {}
    required = set(operation.input_shape.required_members) if operation.input_shape else set()
    fixed_query = {name: value or None for name, _, value in (pair.partition("=") for pair in fixed.split("&"))}
    fixed_query.pop("", None)
    labels = {}
    queries = {}
    needed_headers = []
    for name, member in members.items():
        location = member.serialization.get("location")
        written = member.serialization.get("name", name)
        if location == "uri":
            labels[written] = name
        elif location == "querystring":
            queries[written] = name
            if name in required:
                fixed_query[written] = None
        elif location == "header" and name in required:
            needed_headers.append(written.lower())

    groups: dict[str, str] = {}
    pattern = ""
    for part in re.split(r"(\{[^}]+\})", uri):
        if part.startswith("{"):
            group = f"label{len(groups)}"
            groups[group] = labels[part.strip("{}+")]
            # The server has decoded the path already, and an ARN may have slashes.
            greedy = part.endswith(("+}", "Arn}"))
            pattern += f"(?P<{group}>{'.+' if greedy else '[^/]+'})"
        else:
            pattern += re.escape(part)
    return _Route(
        operation=operation.name,
        method=operation.http["method"],
        path=re.compile(pattern),
        fixed_query=fixed_query,
        needed_headers=tuple(needed_headers),
        label_members=groups,
        query_members=queries,
        has_payload=bool(operation.input_shape and operation.input_shape.serialization.get("payload")),
    )


# Permissions


@dataclass(frozen=True)
class _Scope:
    """Whose call it is and where, and what has to be looked up to name its resources."""

    account: str
    region: str
    partition: str
    tags_of: Callable[[str], Mapping[str, str]]
    aggregator_arn: Callable[[str], str | None]

    def arn(self, service: str, resource: str, account: str | None = None) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{account or self.account}:{resource}"


def permissions(
    api: ApiRequest,
    *,
    account: str,
    region: str,
    partition: str = "aws",
    tags_of: Callable[[str], Mapping[str, str]],
    aggregator_arn: Callable[[str], str | None],
) -> list[Permission]:
    """Everything the caller, of `account`, must be allowed to do for this request to be answered.

    `tags_of` gives the tags of an ECR repository by its ARN (none if it does not exist). `aggregator_arn` gives
    the ARN of the account's Config aggregator of that name, which is not made from the name; None if it does
    not exist. An empty list means that the call needs no permission.
    """
    scope = _Scope(account, region, partition, tags_of, aggregator_arn)
    needed = _SERVICES.get(api.service, _anything)(api, scope)
    # Clients of AWS always speak TLS; the local endpoint stands for a secure one.
    general = {"aws:SecureTransport": ["true"], "aws:RequestedRegion": [region]}
    return [Permission(each.action, each.resource, each.account, {**general, **each.context}) for each in needed]


def _on(
    action: str, arns: Iterable[str], scope: _Scope, context: Mapping[str, list[str]] | None = None
) -> list[Permission]:
    return [Permission(action, arn, _account_of(arn) or scope.account, context or {}) for arn in dict.fromkeys(arns)]


def _account_of(arn: str) -> str:
    return arn.split(":")[4] if arn.startswith("arn:") else ""


def _action(api: ApiRequest) -> str:
    return f"{_PREFIXES.get(api.service, api.service)}:{api.operation}"


def _anything(api: ApiRequest, scope: _Scope) -> list[Permission]:
    return _on(_action(api), ["*"], scope)


def _ecr(api: ApiRequest, scope: _Scope) -> list[Permission]:
    params = api.params
    # There is no action of its own for reading referrers:
    # https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
    action = "ecr:BatchGetImage" if api.operation == "ListImageReferrers" else _action(api)
    if "resourceArn" in params:
        arns = [params["resourceArn"]]
    else:
        single = [params["repositoryName"]] if "repositoryName" in params else []
        names = params.get("repositoryNames") or single
        arns = [scope.arn("ecr", f"repository/{name}", params.get("registryId")) for name in names] or ["*"]
    needed = []
    for arn in arns:
        tags = {} if arn == "*" else scope.tags_of(arn)
        context = {f"{prefix}:ResourceTag/{key}": [value] for prefix in ("aws", "ecr") for key, value in tags.items()}
        needed += _on(action, [arn], scope, context)
    return needed


def _dynamodb(api: ApiRequest, scope: _Scope) -> list[Permission]:
    def table(name: str, index: str | None = None) -> str:
        arn = name if name.startswith("arn:") else scope.arn("dynamodb", f"table/{name}")
        return f"{arn}/index/{index}" if index else arn

    params = api.params
    if api.operation in ("TransactWriteItems", "TransactGetItems"):
        actions = {
            "Put": "PutItem",
            "Update": "UpdateItem",
            "Delete": "DeleteItem",
            "ConditionCheck": "ConditionCheckItem",
            "Get": "GetItem",
        }
        needed = [
            permission
            for item in params.get("TransactItems", ())
            for kind, member in item.items()
            for permission in _on(f"dynamodb:{actions[kind]}", [table(member["TableName"])], scope)
        ]
        return _distinct(needed) or _anything(api, scope)
    if "RequestItems" in params:
        return _on(_action(api), [table(name) for name in params["RequestItems"]] or ["*"], scope)
    if "TableName" in params:
        return _on(_action(api), [table(params["TableName"], params.get("IndexName"))], scope)
    return _on(_action(api), [params.get("ResourceArn", "*")], scope)


def _scheduler(api: ApiRequest, scope: _Scope) -> list[Permission]:
    params = api.params
    if not api.operation.endswith("Schedule"):
        return _anything(api, scope)
    needed = _on(
        _action(api),
        [scope.arn("scheduler", f"schedule/{params.get('GroupName', 'default')}/{params.get('Name', '')}")],
        scope,
    )
    role = params.get("Target", {}).get("RoleArn")
    if role:
        needed += _on("iam:PassRole", [role], scope, {"iam:PassedToService": ["scheduler.amazonaws.com"]})
    return needed


def _config(api: ApiRequest, scope: _Scope) -> list[Permission]:
    name = api.params.get("ConfigurationAggregatorName")
    if name is None:
        return _anything(api, scope)
    arn = scope.aggregator_arn(name) or scope.arn("config", f"config-aggregator/{name}")
    return _on(_action(api), [arn], scope)


def _sqs(api: ApiRequest, scope: _Scope) -> list[Permission]:
    params = api.params
    action = _action(api).removesuffix("Batch")
    if url := params.get("QueueUrl"):
        owner, _, name = urlsplit(url).path.strip("/").partition("/")
        return _on(action, [scope.arn("sqs", name, owner)], scope)
    if "QueueName" in params:
        arn = scope.arn("sqs", params["QueueName"], params.get("QueueOwnerAWSAccountId"))
        return _on(action, [arn], scope)
    return _on(action, ["*"], scope)


def _events(api: ApiRequest, scope: _Scope) -> list[Permission]:
    named_by = {"DescribeRule": "Name", "ListTargetsByRule": "Rule"}
    if api.operation in named_by:
        bus = str(api.params.get("EventBusName", "default")).rpartition("/")[2]
        rule = api.params.get(named_by[api.operation], "")
        return _on(_action(api), [scope.arn("events", f"rule/{rule if bus == 'default' else f'{bus}/{rule}'}")], scope)
    if api.operation != "PutEvents":
        return _anything(api, scope)
    needed = []
    for entry in api.params.get("Entries", ()):
        bus = entry.get("EventBusName", "default")
        arn = bus if bus.startswith("arn:") else scope.arn("events", f"event-bus/{bus}")
        context = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
        present = {key: [value] for key, value in context.items() if value}
        needed += _on("events:PutEvents", [arn], scope, present)
    return _distinct(needed) or _anything(api, scope)


def _sns(api: ApiRequest, scope: _Scope) -> list[Permission]:
    topic = api.params.get("TopicArn")
    if topic is None:
        return _on(_action(api), [api.params.get("ResourceArn", "*")], scope)
    # There is no action of its own for batches.
    needed = _on(_action(api).removesuffix("Batch"), [topic], scope)
    if needed[0].action == "sns:Publish" and (key := topic_key(topic)):
        for action in KEY_ACTIONS:
            needed += _on(action, [key.arn], scope, context_of_key(key, scope.region))
    return needed


def _sts(api: ApiRequest, scope: _Scope) -> list[Permission]:
    params = api.params
    if api.operation == "GetCallerIdentity":
        return []
    if api.operation != "AssumeRole":
        return _anything(api, scope)
    keys = {"sts:ExternalId": "ExternalId", "sts:RoleSessionName": "RoleSessionName"}
    context = {key: [params[name]] for key, name in keys.items() if params.get(name)}
    role = [params.get("RoleArn", "*")]
    needed = _on("sts:AssumeRole", role, scope, context)
    if any(name.startswith("Tags.") for name in params):
        needed += _on("sts:TagSession", role, scope, context)
    return needed


def _lambda(api: ApiRequest, scope: _Scope) -> list[Permission]:
    actions = {
        "Invoke": "lambda:InvokeFunction",
        "GetFunction": "lambda:GetFunction",
        "GetFunctionConfiguration": "lambda:GetFunctionConfiguration",
    }
    if api.operation not in actions:
        return _anything(api, scope)
    name = api.params["FunctionName"]
    arn = name if name.startswith("arn:") else scope.arn("lambda", f"function:{name}")
    qualifier = api.params.get("Qualifier")
    return _on(actions[api.operation], [f"{arn}:{qualifier}" if qualifier else arn], scope)


# Of ECS's reads those whose resources the request itself names: by which member, and the kind of the resource that a
# short name stands for. https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
_ECS_READS = {
    "DescribeDaemon": ("daemonArn", None),
    "DescribeDaemonDeployments": ("daemonDeploymentArns", None),
    "DescribeDaemonRevisions": ("daemonRevisionArns", None),
    "DescribeServiceDeployments": ("serviceDeploymentArns", None),
    "DescribeServiceRevisions": ("serviceRevisionArns", None),
    "DescribeServices": ("services", "service"),
    "DescribeTasks": ("tasks", "task"),
}


def _ecs(api: ApiRequest, scope: _Scope) -> list[Permission]:
    cluster = str(api.params.get("cluster") or api.params.get("clusterArn") or "default")
    cluster_arn = cluster if cluster.startswith("arn:") else scope.arn("ecs", f"cluster/{cluster}")
    context = {}
    if api.operation in ("DescribeServices", "DescribeTasks", "ListServices", "ListTasks"):
        context = {"ecs:cluster": [cluster_arn]}
    if api.operation not in _ECS_READS:
        return _on(_action(api), ["*"], scope, context)
    member, kind = _ECS_READS[api.operation]
    given = api.params.get(member) or ["*"]
    names = [given] if isinstance(given, str) else given
    prefix = f"{kind}/{cluster_arn.rpartition('/')[2]}"
    arns = [
        str(name) if kind is None or str(name).startswith("arn:") else scope.arn("ecs", f"{prefix}/{name}")
        for name in names
    ]
    return _on(_action(api), arns, scope, context)


def _logs(api: ApiRequest, scope: _Scope) -> list[Permission]:
    # The form of the resource in CloudWatch Logs' own refusals; a group alone has an empty stream:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    group = api.params.get("logGroupName")
    if not group:
        return _anything(api, scope)
    stream = api.params.get("logStreamName", "")
    return _on(_action(api), [scope.arn("logs", f"log-group:{group}:log-stream:{stream}")], scope)


# Of S3 what reads and writes objects, by the permission that it takes; parts of an upload are written likewise.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_S3_OBJECTS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
}


def _s3(api: ApiRequest, scope: _Scope) -> list[Permission]:
    if api.operation not in _S3_OBJECTS:
        return _anything(api, scope)
    # The ARN of an object has neither account nor region.
    arn = f"arn:{scope.partition}:s3:::{api.params.get('Bucket', '')}/{api.params.get('Key', '')}"
    return [Permission(_S3_OBJECTS[api.operation], arn, scope.account)]


def _distinct(needed: list[Permission]) -> list[Permission]:
    return [each for position, each in enumerate(needed) if each not in needed[:position]]


_SERVICES: dict[str, Callable[[ApiRequest, _Scope], list[Permission]]] = {
    "config": _config,
    "dynamodb": _dynamodb,
    "ecr": _ecr,
    "ecs": _ecs,
    "events": _events,
    "lambda": _lambda,
    "logs": _logs,
    "s3": _s3,
    "scheduler": _scheduler,
    "sns": _sns,
    "sqs": _sqs,
    "sts": _sts,
}

# Errors

# Services whose clients see the code of the older query protocol:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-faqs.html
_QUERY_COMPATIBLE = frozenset({"sqs", "cloudwatch"})

Response = tuple[int, list[tuple[str, str]], bytes]


def access_denied(api: ApiRequest, message: str) -> Response:
    """AWS's answer to a call that is not allowed: status, headers, body."""
    older = api.protocol in (Protocol.QUERY, Protocol.REST_XML) or api.service in _QUERY_COMPATIBLE
    code = "AccessDenied" if older else "AccessDeniedException"
    return error(api, code, message, status=400 if api.protocol is Protocol.JSON else 403)


def error(api: ApiRequest, code: str, message: str, *, status: int = 400) -> Response:
    """An error answer in the form of the request's protocol: status, headers, body."""
    request_id = str(uuid4())
    if api.protocol in (Protocol.QUERY, Protocol.REST_XML):
        fault = "Receiver" if status >= 500 else "Sender"
        content = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        if api.protocol is Protocol.QUERY:
            content = f"<Error><Type>{fault}</Type>{content}</Error><RequestId>{request_id}</RequestId>"
            body = f"<ErrorResponse>{content}</ErrorResponse>"
        else:
            body = f"<Error>{content}<RequestId>{request_id}</RequestId></Error>"
        return status, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)], body.encode()
    headers = [("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", code)]
    if api.service in _QUERY_COMPATIBLE:
        headers.append(("x-amzn-query-error", f"{code};{'Receiver' if status >= 500 else 'Sender'}"))
    if api.protocol is Protocol.CBOR:
        headers += [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        return status, headers, _cbor_map({"__type": code, "message": message})
    headers.append(("Content-Type", "application/json"))
    return status, headers, json.dumps({"__type": code, "message": message}).encode()


def _cbor_map(texts: Mapping[str, str]) -> bytes:
    """A small map of texts in CBOR (RFC 8949): major type 5 of major type 3 items."""
    encoded = bytes([0xA0 + len(texts)])
    for text in (part for pair in texts.items() for part in pair):
        raw = text.encode()
        encoded += b"\x7a" + len(raw).to_bytes(4, "big") + raw
    return encoded
