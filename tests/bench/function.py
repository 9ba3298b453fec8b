"""Runs one function, or the handler of another tool, in a process of its own, and tells what that cost.

`python -m bench.function sweep|check|other` reads its input (JSON) from the standard input, and writes one line:
`{"calls": {"ecr.DescribeImages": 3}, "questions": 5, "seconds": 1.2, "peak_mb": 80.1}`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from invocations import Context, batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TESTS = Path(__file__).resolve().parents[1]
_ASKING = "config.SelectAggregateResourceConfig"
# Of what a check waits for: a grace period after the sweep.
_LATER = timedelta(hours=25)


class FunctionError(Exception):
    """The function failed; the text is what it printed."""


def run_function(name: str, given: Any, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run it, and return what it tells.

    Raises:
        FunctionError: it did not come to its end, or a message failed.
    """
    run = subprocess.run(
        [sys.executable, "-m", "bench.function", name],
        env={**os.environ, "PYTHONPATH": str(_TESTS), **environment},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise FunctionError(f"{name}: {run.stderr[-2000:] or run.stdout[-2000:]}")
    told: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return told


class _Calls:
    """Counts the calls of the default session."""

    def __init__(self) -> None:
        self.by_operation: Counter[str] = Counter()
        self.questions: set[str] = set()
        boto3.setup_default_session()
        session = boto3._get_default_session()
        session.events.register("provide-client-params", self._take)

    def _take(self, params: dict[str, Any], model: Any, **_: object) -> None:
        operation = f"{model.service_model.service_name}.{model.name}"
        self.by_operation[operation] += 1
        if operation == _ASKING:
            self.questions.add(params["Expression"])


def _sweep(_: Any) -> None:
    from ecr_cleanup.handlers import sweep

    _must_succeed(sweep.handler(batch('{"version": 1, "sweep": "start"}', sent_at=datetime.now(UTC)), Context()))


def _check(batches: list[list[str]]) -> None:
    from ecr_cleanup.handlers import run_checks

    run_checks._now = lambda: datetime.now(UTC) + _LATER
    for bodies in batches:
        _must_succeed(run_checks.handler(batch(*bodies), Context()))


def _other(path: str) -> None:
    """The handler of a checkout of awslabs/ecr-cleanup-lambda, which is told where by its environment."""
    spec = importlib.util.spec_from_file_location("other_tool", path)
    if not spec or not spec.loader:
        raise FunctionError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.handler({}, None)


_FUNCTIONS: dict[str, Callable[[Any], None]] = {"sweep": _sweep, "check": _check, "other": _other}


def _must_succeed(response: Mapping[str, Any]) -> None:
    if response["batchItemFailures"]:
        raise FunctionError(f"messages failed: {response['batchItemFailures']}")


def peak_mb() -> float:
    """Megabytes of memory at most: what the kernel counts since this program was loaded, not what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def _main() -> None:
    given = json.load(sys.stdin)
    calls = _Calls()
    said = io.StringIO()
    started = time.perf_counter()
    try:
        with contextlib.redirect_stdout(said):
            _FUNCTIONS[sys.argv[1]](given)
    except FunctionError as error:
        sys.exit(f"{error}\n{said.getvalue()[-1500:]}")
    told = {
        "calls": dict(calls.by_operation),
        "questions": len(calls.questions),
        "seconds": time.perf_counter() - started,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    _main()
