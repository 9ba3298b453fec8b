"""The page that shows a report: one file, which needs no network.

Its template is `page.html`; charts are drawn by Chart.js (https://www.chartjs.org, MIT licence), as its authors publish
it. The functions do not have it in their package: Terraform puts the template where they find it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ecr_cleanup.report_page import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHART_LIBRARY = '"CHART_LIBRARY"'


@cache
def template() -> str:
    """The page without a report in it."""
    here = files(__name__)
    page = here.joinpath("page.html").read_text(encoding="utf-8")
    return page.replace(_CHART_LIBRARY, here.joinpath("chart.umd.min.js").read_text(encoding="utf-8"))


def render(report: Mapping[str, Any]) -> str:
    """The page with a report, as docs/report.md describes it."""
    return fill(template(), json.dumps(report))
