"""AWS Lambda: runs functions from the zip that was uploaded, in warm processes, under their own role.

The layer of Powertools that AWS publishes exists in every region; what a layer holds is whatever packages the running
interpreter has. Reserved variable names, the size of the environment and the readability of the zip's files are
checked as AWS does.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.awslambda.models import LambdaBackend, LambdaFunction, LayerStorage, LayerVersion, lambda_backends
from moto.core.exceptions import JsonRESTError
from moto.logs.models import logs_backends

from local_aws.identity import Credentials, Principal, RoleError
from local_aws.lambda_images import emulate_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from local_aws.world import World

_POWERTOOLS_LAYER = re.compile(
    r"arn:aws:lambda:([a-z0-9-]+):017000801446:layer:AWSLambdaPowertoolsPythonV3-python3\d\d-(x86_64|arm64):(\d+)"
)
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_RESERVED_VARIABLES = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)
_MAX_ENVIRONMENT = 4096
_UNIX = 3
_READABLE_BY_ALL = 0o004


@dataclass(frozen=True)
class Invocation:
    """One run of a function.

    `records` is the number of records in the payload. `error` is None, or an object with errorType and errorMessage.
    `log` holds the lines that are JSON objects, parsed; `log_lines` all lines. Both are empty where the role could not
    write to its log group.
    """

    function: str
    request_id: str
    time: datetime
    duration: float
    records: int
    result: Any
    error: dict[str, Any] | None
    log_lines: tuple[str, ...]
    log: tuple[dict[str, Any], ...] = field(default=())


class Functions:
    """The functions of all accounts, and the record of their runs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._workers: dict[str, _Worker] = {}
        self.invocations: list[Invocation] = []
        self.throttles: list[tuple[datetime, str]] = []
        patches = world.patches
        emulate_images(world)
        patches.wrap(LambdaBackend, "create_function", self._create_function)
        patches.wrap(LambdaBackend, "update_function_configuration", self._update_configuration)
        patches.wrap(LambdaFunction, "update_function_code", _update_code)
        patches.wrap(LayerStorage, "get_layer_version_by_arn", _layer_version)
        patches.set(LambdaBackend, "invoke", self._invoke_request())

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()

    def kill(self, name: str) -> None:
        """End the process of a function at once, as when its host fails."""
        for worker in self._workers.values():
            if worker.function.function_name == name:
                worker.kill()

    def throttle(self, function: LambdaFunction) -> None:
        """Write down that a function was not let run, because of its reserved concurrency."""
        self.throttles.append((self._world.clock.now(), function.function_name))

    def find(self, arn: str) -> LambdaFunction | None:
        """The function with this ARN; a qualifier is not taken into account."""
        _, _, _, region, account, _, name = arn.split(":")[:7]
        functions = lambda_backends[account][region].list_functions()
        return next((function for function in functions if function.function_name == name), None)

    def session(self, function: LambdaFunction) -> Principal:
        """The session that the function's calls, and the service's calls on its behalf, are made in."""
        return self._worker(function).principal

    def invoke(self, function: LambdaFunction, event: dict[str, Any]) -> Invocation:
        """Run the function and wait for its answer; its log goes to its log group."""
        started = self._world.clock.now()
        begin = time.monotonic()
        request_id = str(uuid4())
        try:
            worker = self._worker(function)
        except (RoleError, _PackageError) as error:
            answer = {"error": {"errorType": type(error).__name__.strip("_"), "errorMessage": str(error)}}
            lines: list[str] = []
        else:
            answer, lines = worker.run(event, request_id, started)
            lines = self._write_log(worker, request_id, lines)
            self._trace(worker)
        records = event.get("Records", []) if isinstance(event, dict) else []
        invocation = Invocation(
            function.function_name,
            request_id,
            started,
            time.monotonic() - begin,
            len(records),
            answer.get("result"),
            answer.get("error"),
            tuple(lines),
            tuple(parsed for line in lines if (parsed := _json_object(line)) is not None),
        )
        self.invocations.append(invocation)
        return invocation

    def _worker(self, function: LambdaFunction) -> _Worker:
        version = _version(function)
        worker = self._workers.get(function.function_arn)
        if worker and worker.version == version and worker.alive:
            return worker
        if worker:
            worker.stop()
            self._world.identity.forget(worker.principal.access_key)
        principal, credentials = self._world.identity.function_session(function.role, function.function_name)
        worker = _Worker(function, version, principal, credentials, self._world.endpoint_url)
        self._workers[function.function_arn] = worker
        return worker

    def _write_log(self, worker: _Worker, request_id: str, lines: list[str]) -> list[str]:
        """Write to the log group what the role may write; gives the lines that arrived there."""
        function, group, stream = worker.function, worker.log_group, worker.log_stream
        backend = logs_backends[function.account_id][function.region]
        arn = f"arn:aws:logs:{function.region}:{function.account_id}:log-group:{group}:log-stream:{stream}"
        call = self._world.identity.call_as_service
        if group not in backend.groups:
            return []
        if stream not in backend.groups[group].streams:
            if not call(worker.principal, "logs", "CreateLogStream", arn, function.region):
                return []
            backend.create_log_stream(group, stream)
        if not call(worker.principal, "logs", "PutLogEvents", arn, function.region):
            return []
        now = int(self._world.clock.now().timestamp() * 1000)
        texts = [f"START RequestId: {request_id} Version: $LATEST", *lines, f"END RequestId: {request_id}"]
        with self._world.lock:
            backend.put_log_events(group, stream, [{"timestamp": now, "message": text} for text in texts])
        return lines

    def _trace(self, worker: _Worker) -> None:
        if worker.function.tracing_config.get("Mode") == "Active":
            for operation in ("PutTraceSegments", "PutTelemetryRecords"):
                self._world.identity.call_as_service(worker.principal, "xray", operation, "*", worker.function.region)

    def _create_function(self, original: Callable[..., LambdaFunction]) -> Callable[..., LambdaFunction]:
        def create_function(backend: LambdaBackend, spec: dict[str, Any]) -> LambdaFunction:
            self._check(spec)
            return original(backend, spec)

        return create_function

    def _update_configuration(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def update_function_configuration(
            backend: LambdaBackend, function_name: str, qualifier: str | None, body: dict[str, Any]
        ) -> Any:
            self._check(body)
            function = backend.get_function(function_name, qualifier)
            if "TracingConfig" in body:
                function.tracing_config = body["TracingConfig"]
            if "KMSKeyArn" in body:
                function.kms_key_arn = body["KMSKeyArn"]
            return original(backend, function_name, qualifier, body)

        return update_function_configuration

    def _check(self, spec: dict[str, Any]) -> None:
        variables = (spec.get("Environment") or {}).get("Variables") or {}
        if reserved := sorted(_RESERVED_VARIABLES.intersection(variables)):
            raise _invalid(f"Environment variables that are reserved and cannot be set: {', '.join(reserved)}")
        if len(json.dumps(variables, separators=(",", ":"))) > _MAX_ENVIRONMENT:
            raise _invalid("Lambda was unable to configure your environment variables because they exceed 4KB")
        if "Role" in spec:
            try:
                self._world.identity.assume_as_service(spec["Role"], "lambda.amazonaws.com", {}, "check")
            except RoleError as error:
                raise _invalid("The role defined for the function cannot be assumed by Lambda.") from error

    def _invoke_request(self) -> Callable[..., bytes]:
        def invoke(
            backend: LambdaBackend,
            function_name: str,
            qualifier: str | None,
            body: Any,
            headers: Any,
            response_headers: Any,
        ) -> bytes:
            function = backend.get_function(function_name, qualifier)
            invocation = self.invoke(function, json.loads(body or b"{}"))
            if invocation.error:
                response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps(invocation.error or invocation.result).encode()

        return invoke


class _PackageError(Exception):
    """A zip that Lambda could not run."""


class _Worker:
    """A process that runs one version of a function."""

    def __init__(
        self,
        function: LambdaFunction,
        version: str,
        principal: Principal,
        credentials: Credentials,
        endpoint_url: str,
    ) -> None:
        self.function = function
        self.version = version
        self.principal = principal
        self.log_group = f"/aws/lambda/{function.function_name}"
        self.log_stream = f"[$LATEST]{secrets.token_hex(16)}"
        if function.package_type == "Image":
            raise _PackageError("functions of an image are not run here")
        archive = _readable(function.code_bytes)
        self._directory = tempfile.TemporaryDirectory(prefix="local-aws-")
        root = Path(self._directory.name)
        archive.extractall(root / "task")
        self._log = (root / "log").open("ab")
        self._log_read = (root / "log").open("rb")
        answers, write_end = os.pipe()
        self._answers = os.fdopen(answers, "rb")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("function_worker.py")), str(write_end)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=self._environment(credentials, endpoint_url, root),
            cwd=root / "task",
            pass_fds=(write_end,),
        )
        os.close(write_end)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def run(self, event: Any, request_id: str, now: datetime) -> tuple[dict[str, Any], list[str]]:
        """The answer (`result` or `error`) and the lines of the log."""
        request = {
            "event": event,
            "time": now.timestamp(),
            "timeout": self.function.timeout,
            "trace": _trace_header(now),
            "context": {
                "function_name": self.function.function_name,
                "function_version": "$LATEST",
                "invoked_function_arn": self.function.function_arn,
                "memory_limit_in_mb": str(self.function.memory_size),
                "aws_request_id": request_id,
                "log_group_name": self.log_group,
                "log_stream_name": self.log_stream,
            },
        }
        answer = self._exchange(json.dumps(request).encode() + b"\n", request_id)
        lines = self._log_read.read().decode(errors="replace").splitlines()
        if answer.get("fatal") or "timedOut" in answer:
            self.kill()
        return answer, lines

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process and remove its files."""
        self.kill()
        if self._process.stdin:
            self._process.stdin.close()
        for stream in (self._answers, self._log, self._log_read):
            stream.close()
        self._directory.cleanup()

    def _exchange(self, line: bytes, request_id: str) -> dict[str, Any]:
        died = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: Runtime exited"}
        try:
            if self._process.stdin:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except BrokenPipeError:
            return {"error": died}
        if not select.select([self._answers], [], [], self.function.timeout)[0]:
            message = f"{request_id} Task timed out after {self.function.timeout:.2f} seconds"
            return {"error": {"errorType": "Sandbox.Timedout", "errorMessage": message}, "timedOut": True}
        answer = self._answers.readline()
        if not answer:
            self._process.wait()
            return {"error": died}
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    def _environment(self, credentials: Credentials, endpoint_url: str, root: Path) -> dict[str, str]:
        function = self.function
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
        return {
            **inherited,
            **function.environment_vars,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_REGION": function.region,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_TASK_ROOT": str(root / "task"),
            "LANG": "en_US.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "TZ": ":UTC",
            "_HANDLER": str(function.handler),
        }


def _readable(code: bytes) -> zipfile.ZipFile:
    """The zip, if Lambda could run what is in it."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(code))
    except zipfile.BadZipFile as error:
        raise _PackageError("the package is not a zip file") from error
    for entry in archive.infolist():
        # Lambda runs the code as another user than the one that unpacked it.
        if entry.create_system == _UNIX and not entry.is_dir() and not entry.external_attr >> 16 & _READABLE_BY_ALL:
            raise _PackageError(f"[Errno 13] Permission denied: '/var/task/{entry.filename}'")
    return archive


def _trace_header(now: datetime) -> str:
    root = f"1-{int(now.timestamp()):08x}-{secrets.token_hex(12)}"
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=1"


def _version(function: LambdaFunction) -> str:
    """Changes with everything that needs a new process."""
    configuration = [
        function.code_sha_256,
        function.environment_vars,
        function.handler,
        function.memory_size,
        function.timeout,
        function.role,
        function.run_time,
        function.layers,
    ]
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def _update_code(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def update_function_code(function: LambdaFunction, updated_spec: dict[str, Any]) -> dict[str, Any]:
        if updated_spec.get("Architectures"):
            function.architectures = updated_spec["Architectures"]
        return original(function, updated_spec)

    return update_function_code


def _layer_version(original: Callable[..., LayerVersion | None]) -> Callable[..., Any]:
    def get_layer_version_by_arn(storage: LayerStorage, layer_version_arn: str) -> Any:
        if not _POWERTOOLS_LAYER.fullmatch(layer_version_arn):
            return original(storage, layer_version_arn)
        return _PublicLayer(layer_version_arn)

    return get_layer_version_by_arn


@dataclass(frozen=True)
class _PublicLayer:
    """All that a function's configuration needs of a layer."""

    arn: str
    code_size: int = 0


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _invalid(message: str) -> JsonRESTError:
    return JsonRESTError("InvalidParameterValueException", message)
