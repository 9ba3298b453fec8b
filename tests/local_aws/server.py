"""The HTTP side: a threaded server, and the gate that every request passes before moto sees it.

The gate finds out who calls, lets faults strike, asks IAM, passes the request on to moto in the account it is meant
for, records the call, and tells the emulated services about it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from moto.config.models import config_backends
from moto.ecr.models import ecr_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local_aws import request_iam
from local_aws.calls import ApiCall, Grant
from local_aws.identity import Principal, sids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_aws.request_iam import ApiRequest, Response
    from local_aws.world import World

# These wait inside moto, or run what calls back: they must not hold the lock.
_UNLOCKED = {
    ("sqs", "ReceiveMessage"),
    ("lambda", "Invoke"),
    ("cloudformation", "CreateStackInstances"),
    ("cloudformation", "DeleteStackInstances"),
    ("cloudformation", "UpdateStackSet"),
}
_LOG = logging.getLogger("local_aws")
_PLAIN_REFUSAL: Response = (
    403,
    [("Content-Type", "application/json"), ("x-amzn-ErrorType", "MissingAuthenticationTokenException")],
    b'{"__type": "MissingAuthenticationTokenException", "message": "Not a signed request to an AWS API"}',
)


@dataclass(frozen=True)
class Exchange:
    """An API call that moto answered."""

    principal: Principal
    account: str
    api: ApiRequest
    status: int
    body: bytes
    error_code: str | None

    @property
    def answer(self) -> dict[str, Any]:
        """The decoded answer of a service that speaks JSON."""
        answer: dict[str, Any] = json.loads(self.body) if self.body else {}
        return answer


class Gate:
    """The WSGI application around moto's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.observers: list[Callable[[Exchange], None]] = []
        self.kill_function: Callable[[str], None] = lambda _: None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self._answer(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> Response:
        headers = _request_headers(environ)
        # S3's bodies are large and say nothing about what is asked.
        body = b"" if "/s3/aws4_request" in headers.get("authorization", "") else _take_body(environ)
        # As it was sent: a slash within a part of the path is still escaped.
        path = urlsplit(environ["REQUEST_URI"]).path
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        api = request_iam.describe(environ["REQUEST_METHOD"], path, query, headers, body)
        if api is None:
            return _PLAIN_REFUSAL
        principal = self._world.identity.principal(api.access_key)
        if principal is None:
            code = "InvalidClientTokenId" if api.service in ("sts", "iam") else "UnrecognizedClientException"
            return request_iam.error(api, code, "The security token included is invalid.", status=403)
        if principal.expires and principal.expires < self._world.clock.now():
            return request_iam.error(api, "ExpiredTokenException", "The security token is expired", status=403)
        return self._serve(environ, principal, api)

    def _serve(self, environ: dict[str, Any], principal: Principal, api: ApiRequest) -> Response:
        function = principal.function
        if function:
            self._act_before(api, function)
        kill = self._world.faults.kill(function) if function else None
        if function and kill and not kill.after:
            self.kill_function(function)
            return _PLAIN_REFUSAL

        account = _target_account(api, principal)
        grants, denial = self._permissions(principal, api)
        subject = _role_account(api) or account
        if seconds := self._world.faults.slowness(api.service, api.operation, subject, api.region):
            time.sleep(seconds)
        refusal = (
            None if denial else self._world.faults.refusal(api.service, api.operation, function, subject, api.region)
        )
        if denial:
            status, headers, body = request_iam.access_denied(api, denial)
        elif refusal:
            status, headers, body = request_iam.error(
                api, refusal.code, "Switched on as a fault", status=refusal.status
            )
        else:
            status, headers, body = self._forward(environ, api, account)
        code = _error_code(headers, body) if status >= HTTPStatus.BAD_REQUEST else None
        self._world.calls.append(
            ApiCall(
                self._world.clock.now(),
                account,
                api.region,
                principal.arn,
                function,
                api.service,
                api.operation,
                grants,
                not denial,
                code,
            )
        )
        exchange = Exchange(principal, account, api, status, body, code)
        for observe in self.observers:
            observe(exchange)
        if function and kill:
            self.kill_function(function)
        if function and self._world.faults.loses_answer(api.service, api.operation, function):
            return request_iam.error(api, "InternalFailure", "The answer was lost", status=500)
        return status, headers, body

    def _act_before(self, api: ApiRequest, function: str) -> None:
        for action in self._world.faults.actions_before(api.service, api.operation, function):
            try:
                action()
            except Exception as error:  # noqa: BLE001 - it is the test's, and goes to the test's own thread
                self._world.errors.append(error)

    def _permissions(self, principal: Principal, api: ApiRequest) -> tuple[tuple[Grant, ...], str | None]:
        """The permissions that were given, and why not all were."""
        needed = request_iam.permissions(
            api,
            account=principal.account,
            region=api.region,
            tags_of=_tags_of,
            aggregator_arn=lambda name: _aggregator_arn(principal.account, api.region, name),
        )
        grants = []
        for permission in needed:
            outcome = self._world.identity.decide(
                principal, permission.action, permission.resource, permission.context, api.region
            )
            if not outcome.allowed:
                return (Grant(permission.action, permission.resource, sids(outcome)),), outcome.reason
            grants.append(Grant(permission.action, permission.resource, sids(outcome)))
        return tuple(grants), None

    def _forward(self, environ: dict[str, Any], api: ApiRequest, account: str) -> Response:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        captured: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
            captured[:] = [int(status.split()[0]), headers]
            return lambda _: None

        unlocked = (api.service, api.operation) in _UNLOCKED
        with contextlib.nullcontext() if unlocked else self._world.lock:
            try:
                body = b"".join(self._moto(environ, start_response))
            except Exception as error:  # noqa: BLE001 - whatever moto cannot do, the client gets an answer
                _LOG.exception("%s %s", api.service, api.operation)
                return request_iam.error(api, "InternalFailure", str(error), status=501)
        status, headers = captured
        return status, headers, body


class Server:
    """Serves a gate on a free port of 127.0.0.1, in threads."""

    def __init__(self, gate: Gate, port: int = 0) -> None:
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", port, gate, threaded=True, request_handler=_QuietRequestHandler
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where to send requests to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Serve requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _QuietRequestHandler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: `LocalAws.calls` is the record."""


def _request_headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return headers


def _take_body(environ: dict[str, Any]) -> bytes:
    """The request's body, which stays readable for moto."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _error_code(headers: list[tuple[str, str]], body: bytes) -> str:
    for name, value in headers:
        if name.lower() == "x-amzn-errortype":
            return value.split(":")[0].rpartition("#")[2]
    text = body.decode(errors="replace")
    if "<Code>" in text:
        return text.partition("<Code>")[2].partition("</Code>")[0]
    try:
        answer = json.loads(text)
    except ValueError:
        return "Unknown"
    return str(answer.get("__type", "Unknown")).rpartition("#")[2] if isinstance(answer, dict) else "Unknown"


def _target_account(api: ApiRequest, principal: Principal) -> str:
    """The account that owns what the request is about, where the request can name another one."""
    if api.service == "ecr":
        return str(api.params.get("registryId") or principal.account)
    if api.service == "sqs" and "QueueUrl" in api.params:
        return str(api.params["QueueUrl"]).rstrip("/").split("/")[-2]
    return principal.account


def _role_account(api: ApiRequest) -> str | None:
    """The account of the role that is to be assumed."""
    if (api.service, api.operation) != ("sts", "AssumeRole"):
        return None
    parts = str(api.params.get("RoleArn", "")).split(":")
    return parts[4] if len(parts) > 4 else None


def _tags_of(arn: str) -> dict[str, str]:
    """The tags of an ECR repository."""
    _, _, _, region, account, _ = arn.split(":", 5)
    tags: dict[str, str] = ecr_backends[account][region].tagger.get_tag_dict_for_resource(arn)
    return tags


def _aggregator_arn(account: str, region: str, name: str) -> str | None:
    aggregator = config_backends[account][region].config_aggregators.get(name)
    return aggregator.configuration_aggregator_arn if aggregator else None
