"""The command line `ecr-cleanup`: for people, and not in the package of the functions.

It judges by the very same rules as the functions, with the caller's own credentials, and writes nothing but what
`check` is asked to. What it needs beyond the functions is in the extra `cli`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as with >&-
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the program runs
    try:
        from ecr_cleanup.cli.app import app
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.exit(f"ecr-cleanup: {error.name} is missing; install with pip install 'ecr-cleanup[cli]'")
    app(prog_name="ecr-cleanup")
