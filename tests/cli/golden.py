"""Expected output in files. `RENEW=1 pytest tests/cli` writes them anew, to be read before they are committed."""

from __future__ import annotations

import os
from pathlib import Path

DIRECTORY = Path(__file__).parent / "golden"
RENEW = bool(os.environ.get("RENEW"))


def assert_golden(name: str, text: str) -> None:
    """Compare a text with the file of this name."""
    path = DIRECTORY / name
    if RENEW:
        path.write_text(text)
    assert text == path.read_text(), f"if it should be so: RENEW=1 pytest {Path(__file__).parent.name}"
