"""Runs terraform-compliance over many plans: forks what takes a second to import, and keeps all processors busy.

Reads a JSON list of `{"features": directory, "plan": file}` and writes the list of `{"exit_code": n, "output": text}`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
from typing import BinaryIO

with contextlib.redirect_stdout(sys.stderr):  # it greets when imported
    from terraform_compliance.common.defaults import Defaults  # type: ignore[import-untyped]
    from terraform_compliance.main import cli  # type: ignore[import-untyped]

importlib.import_module("IPython.terminal.embed")  # a part of its steps, which it reads anew in every run


def start(features: str, plan: str) -> tuple[int, BinaryIO]:
    """Start to run the features of a directory over a plan; gives the process and where it writes to."""
    output = tempfile.TemporaryFile()  # noqa: SIM115  (closed when it ended)
    child = os.fork()
    if child == 0:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
        Defaults.cache_dir = tempfile.mkdtemp()
        sys.argv = ["terraform-compliance", "--features", features, "--planfile", plan]
        sys.exit(cli())
    return child, output


def finish(child: int, output: BinaryIO) -> dict[str, int | str]:
    """Wait for its end."""
    _, status = os.waitpid(child, 0)
    with output:
        output.seek(0)
        return {"exit_code": os.waitstatus_to_exitcode(status), "output": output.read().decode()}


if __name__ == "__main__":
    jobs = json.load(sys.stdin)
    at_once = os.cpu_count() or 1
    results = []
    for first in range(0, len(jobs), at_once):
        results += [finish(*started) for started in [start(**job) for job in jobs[first : first + at_once]]]
    print(json.dumps(results))
