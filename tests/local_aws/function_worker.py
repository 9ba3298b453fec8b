"""Runs a Lambda function's handler in a process of its own, one invocation after the other.

Started by `functions.py` with the function's environment. Reads one JSON line per invocation from standard input and
writes one JSON line per answer to the file descriptor given as argument; standard output and standard error are the
function's log. Like AWS's runtime, it loads the handler first and adds a handler to the root logger.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import time_machine


@dataclass
class Context:
    """What a handler gets as its second argument; see
    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    aws_request_id: str
    log_group_name: str
    log_stream_name: str
    deadline: float
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """The time left until the function is stopped, in milliseconds."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class _RootLogHandler(logging.StreamHandler[TextIO]):
    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s\t%(message)s"))


def _load(handler: str) -> Any:
    module, _, function = handler.rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), function)


def _failure(error: BaseException) -> dict[str, Any]:
    lines = traceback.format_exception(error)
    print(f"[ERROR] {type(error).__name__}: {error}\n{''.join(lines)}", flush=True)
    return {"error": {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": lines}}


def main() -> None:
    """Serve invocations until standard input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    first = json.loads(sys.stdin.readline())
    traveller = time_machine.travel(datetime.fromtimestamp(first["time"], UTC), tick=True).start()
    logging.getLogger().addHandler(_RootLogHandler())
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    try:
        handler = _load(os.environ["_HANDLER"])
    except BaseException as error:  # noqa: BLE001 - also an exit during the import is a failure to start
        json.dump({**_failure(error), "fatal": True}, answers)
        answers.write("\n")
        return
    request = first
    while True:
        traveller.move_to(datetime.fromtimestamp(request["time"], UTC))
        os.environ["_X_AMZN_TRACE_ID"] = request["trace"]
        context = Context(**request["context"], deadline=time.monotonic() + request["timeout"])
        try:
            answer = {"result": handler(request["event"], context)}
            line = json.dumps(answer)
        except Exception as error:  # noqa: BLE001 - every failure of the handler is an answer
            line = json.dumps(_failure(error))
        sys.stdout.flush()
        sys.stderr.flush()
        answers.write(line + "\n")
        answers.flush()
        if not (text := sys.stdin.readline()):
            return
        request = json.loads(text)


if __name__ == "__main__":
    main()
