"""Mutation testing of the modules that decide: how many small changes to them the tests notice.

Every mutant runs in a process of its own, forked from one that has imported everything but the package, and meets the
fast tests of its module first. Those that survive meet the slow ones. Prints the score and every survivor.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import boto3  # noqa: F401 - so that no mutant has to import it
import hypothesis  # noqa: F401
import moto  # noqa: F401
import pytest

from mutation.mutate import Mutant, diff, mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "lambda_src" / "ecr_cleanup"
ENOUGH = 95
READERS = [f"readers/{path.stem}" for path in sorted((PACKAGE / "readers").glob("[a-z]*.py"))]
COUNTED = "integration/test_live_usage_calls.py::test_no_more_calls_than_pages_and_batches_need"
# The fast tests of each module, and the slow ones, in the order in which they are most likely to notice.
TESTS = {
    "decision": (
        ["unit/test_decision.py", "unit/test_reasons.py"],
        ["integration/test_checking.py", "integration/test_pins.py", "integration/test_pains.py"],
    ),
    "inventory": (
        ["unit/test_inventory.py", "unit/test_reasons.py"],
        ["integration/test_taking_inventory.py", "integration/test_checking.py", "integration/test_pins.py"],
    ),
    "removal": (
        ["unit/test_removal.py"],
        ["integration/test_removing.py", "integration/test_pains.py", "integration/test_checking.py"],
    ),
    "image_reference": (["unit/test_image_reference.py", "unit/test_inventory.py"], []),
    "live_usage": (["integration/test_readers.py"], ["integration/test_live_usage.py", COUNTED]),
    **dict.fromkeys(READERS, (["integration/test_readers.py"], [COUNTED])),
}
_MOST_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Mutated:
    """Finds the package's modules as usual, and one of them changed."""

    name: str
    code: CodeType

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec and spec.origin:
            spec.loader = _Loader(name, spec.origin, self.code)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


def main() -> int:
    """0 if enough mutants were noticed."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)}")
    parser.add_argument("--lines", default="1-", help="only mutants in these lines, such as 40-55")
    arguments = parser.parse_args()
    first, _, last = arguments.lines.partition("-")
    lines = range(int(first), int(last or (first if "-" not in arguments.lines else sys.maxsize)) + 1)
    os.chdir(REPOSITORY)
    began = time.monotonic()
    killed = total = 0
    for module in arguments.modules:
        of_module = _run_module(module, lines)
        killed += of_module[0]
        total += of_module[1]
    score = 100 * killed / total if total else 100.0
    minutes = (time.monotonic() - began) / 60
    print(f"Mutation score: {score:.1f}% ({killed} of {total} mutants noticed), {minutes:.0f} minutes,", end=" ")
    print(f"Python {platform.python_version()}")
    return 0 if score >= ENOUGH else 1


def _run_module(module: str, lines: range) -> tuple[int, int]:
    path = PACKAGE / f"{module}.py"
    tree = ast.parse(path.read_text("utf-8"))
    fast, slow = TESTS[module]
    if not _passes(fast + slow, None):
        sys.exit(f"The tests of {path.name} fail without any mutant: {' '.join(fast + slow)}")
    every = [mutant for mutant in mutants(tree) if mutant.line in lines]
    survivors = []
    for mutant in every:
        mutated = _mutated(module, path, tree, mutant)
        if mutated and all(_passes([tests], mutated) for tests in fast + slow):
            survivors.append(mutant)
            print(f"{path.relative_to(REPOSITORY)}:{mutant.line}: {mutant.what}")
            print("\n".join(f"    {line}" for line in diff(tree, mutant)), flush=True)
    killed = len(every) - len(survivors)
    print(f"{path.name}: {killed} of {len(every)} mutants noticed", flush=True)
    return killed, len(every)


def _mutated(module: str, path: Path, tree: ast.Module, mutant: Mutant) -> _Mutated | None:
    undo = mutant.apply()
    try:
        return _Mutated(f"ecr_cleanup.{module.replace('/', '.')}", compile(tree, str(path), "exec"))
    except (SyntaxError, TypeError, ValueError):
        return None  # nobody could import it
    finally:
        undo()


def _passes(tests: list[str], mutated: _Mutated | None) -> bool:
    """Run tests in a process of their own, in which one module may be changed."""

    def run() -> int:
        # A mutant may never end, or eat all memory.
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        # Examples that fail now are none to remember.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.gettempdir()
        if mutated:
            sys.meta_path.insert(0, mutated)
        options = ["-x", "-q", "--assert=plain", "--hypothesis-seed=0", "--timeout=60"]
        options += ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
        return int(pytest.main([*options, *(f"tests/{each}" for each in tests)]))

    return _in_a_fork(run) == 0


def _in_a_fork(run: Callable[[], int]) -> int:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            code = run()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
