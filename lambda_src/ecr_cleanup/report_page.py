"""Puts a report into the page that shows it (ecr_cleanup/page, which is not in the package of the functions)."""

from __future__ import annotations

PLACEHOLDER = '"REPORT"'


def fill(template: str, report_json: str) -> str:
    """The page with a report, given as JSON, in place of the placeholder.

    Raises:
        ValueError: the template is not the page.
    """
    if template.count(PLACEHOLDER) != 1:
        raise ValueError(f"the template of the report page must have {PLACEHOLDER} in it once")
    # Nothing in it may end the element, or begin a comment.
    safe = report_json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return template.replace(PLACEHOLDER, safe)
