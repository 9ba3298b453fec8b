"""Puts a report into the page that shows it (ecr_cleanup/page, which is not in the package of the functions)."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACEHOLDER = '"REPORT"'


def fill(template: str, report_json: str) -> str:
    """The page with a report, given as JSON, in place of the placeholder.

    Raises:
        ValueError: the template is not the page, or the JSON is not in ASCII.
    """
    return b"".join(filled(template, [report_json.encode("ascii")])).decode()


def filled(template: str, report_json: Iterable[bytes]) -> Iterator[bytes]:
    """The same in pieces, of a report that comes in pieces: ASCII, as `json.dumps` writes it.

    Raises:
        ValueError: the template is not the page.
    """
    if template.count(PLACEHOLDER) != 1:
        raise ValueError(f"the template of the report page must have {PLACEHOLDER} in it once")
    before, after = template.split(PLACEHOLDER)
    # Nothing in it may end the element, or begin a comment.
    safe = (piece.replace(b"<", b"\\u003c") for piece in report_json)
    return chain([before.encode()], safe, [after.encode()])
