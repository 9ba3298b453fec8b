"""Draws the dashboard as a picture, from its JSON, with the metrics and logs of a local AWS.

`make dashboard` applies `examples/local`, lets two weeks of
deployments, removals and troubles pass, and draws what CloudWatch would show then.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from documentation.logs_insights import evaluate
from end_to_end.installation import DEVELOPMENT, HOST, PREFIX, PRODUCTION, REGION, SHARED, Installation
from local_aws import LocalAws
from local_aws.alarms import Metric
from terraform_tools import Terraform, copy_of_tree, terraform_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

_DAYS = 14
_COLUMN, _LINE = 50, 34
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")
_STATES = {"OK": "#1d8102", "ALARM": "#d13212", "INSUFFICIENT_DATA": "#879596"}
_STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max}


class Picture:
    """Shapes on a page of fixed width."""

    def __init__(self) -> None:
        self._shapes: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, colour: str = "white") -> None:
        self._shapes.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" fill="{colour}"/>'
        )

    def text(self, x: float, y: float, text: str, size: int = 12, colour: str = "#16191f") -> None:
        self._shapes.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}">{escape(text)}</text>')

    def line(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')

    def svg(self, width: float, height: float) -> str:
        page = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#eaeded"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'font-family="Helvetica, Arial, sans-serif">{page}{"".join(self._shapes)}</svg>\n'
        )


class Dashboard:
    """A dashboard's widgets, and what they show at one moment."""

    def __init__(self, aws: LocalAws, body: Mapping[str, Any], end: datetime) -> None:
        self._aws = aws
        self._widgets: list[dict[str, Any]] = body["widgets"]
        self._start, self._end = end - timedelta(days=_DAYS), end
        self._picture = Picture()

    def draw(self) -> str:
        """The picture, as SVG. Widgets move up as far as there is room."""
        bottoms = [0] * 24
        for widget in sorted(self._widgets, key=lambda each: (each["y"], each["x"])):
            columns = range(widget["x"], widget["x"] + widget["width"])
            top = max(bottoms[column] for column in columns)
            for column in columns:
                bottoms[column] = top + widget["height"]
            place = (widget["x"] * _COLUMN + 4, top * _LINE + 4)
            room = (widget["width"] * _COLUMN - 8, widget["height"] * _LINE - 8)
            self._widget(widget["type"], widget["properties"], place, room)
        return self._picture.svg(24 * _COLUMN, max(bottoms) * _LINE)

    def _widget(
        self, kind: str, properties: dict[str, Any], place: tuple[float, float], room: tuple[float, float]
    ) -> None:
        (x, y), (width, height) = place, room
        if kind == "text":
            self._picture.text(x + 4, y + 20, properties["markdown"].lstrip("# "), 18)
            return
        self._picture.box(x, y, width, height)
        self._picture.text(x + 10, y + 18, properties["title"], 13)
        inner = (x + 10, y + 28), (width - 20, height - 38)
        match kind, properties.get("view"):
            case "alarm", _:
                self._alarms(properties["alarms"], *inner)
            case "log", _:
                self._log(properties["query"], *inner)
            case _, "singleValue":
                total = sum(value for metric in properties["metrics"] for _, value in self._data(metric))
                self._picture.text(x + 20, y + height / 2 + 14, _short(total), 40)
            case _:
                self._series(properties, *inner)

    def _alarms(self, arns: Sequence[str], place: tuple[float, float], room: tuple[float, float]) -> None:
        states = self._aws.alarms.states(SHARED, REGION)
        for number, arn in enumerate(arns):
            name = arn.rpartition(":")[2]
            x, y = place[0] + number % 7 * room[0] / 7, place[1] + number // 7 * 15
            self._picture.box(x, y, 9, 9, _STATES[states[name]])
            self._picture.text(x + 13, y + 9, name.removeprefix(f"{PREFIX}-"), 11)

    def _log(self, query: str, place: tuple[float, float], room: tuple[float, float]) -> None:
        groups = re.findall(r"SOURCE '/aws/lambda/([^']+)' \| ", query)
        query = re.sub(r"SOURCE '[^']+' \| ", "", query)
        lines = [line for run in self._aws.invocations() if run.function in groups for line in run.log]
        for number, row in enumerate(evaluate(query, lines)[: int(room[1] // 15)]):
            row.pop("@timestamp")
            text = "  ·  ".join(str(value) for value in row.values())
            self._picture.text(place[0], place[1] + 12 + 15 * number, text[: int(room[0] / 5.6)], 11)

    def _series(self, properties: Mapping[str, Any], place: tuple[float, float], room: tuple[float, float]) -> None:
        (x, y), (width, height) = place, (room[0], room[1] - 15 * len(properties["metrics"]))
        series = [list(self._points(metric, properties)) for metric in properties["metrics"]]
        top = max((value for points in series for _, value in points), default=0) or 1
        self._picture.text(x, y + 8, _short(top), 10, "#687078")
        self._picture.line([(x, y + height), (x + width, y + height)], "#d5dbdb")
        for number, (metric, points) in enumerate(zip(properties["metrics"], series, strict=True)):
            colour = _COLOURS[number % len(_COLOURS)]
            places = [
                (x + width * ((time - self._start) / (self._end - self._start)), y + height - height * value / top)
                for time, value in points
            ]
            self._picture.line(places, colour)
            for place_of_point in places:
                self._picture.dot(*place_of_point, colour)
            name = metric[1] if metric[0] == "EcrCleanup" else metric[-1]
            self._picture.dot(x + 5, y + height + 11 + 15 * number, colour)
            self._picture.text(x + 13, y + height + 15 + 15 * number, name, 11)

    def _points(self, metric: Sequence[str], properties: Mapping[str, Any]) -> Iterator[tuple[datetime, float]]:
        """One value of each period that has data."""
        period = timedelta(seconds=max(properties["period"], 4 * 3600))
        time = self._start
        data = self._data(metric)
        while time < self._end:
            if values := [value for moment, value in data if time <= moment < time + period]:
                yield time, _STATISTICS[properties["stat"]](values)
            time += period

    def _data(self, metric: Sequence[str]) -> list[tuple[datetime, float]]:
        dimensions = dict(zip(metric[2::2], metric[3::2], strict=True))
        data = self._aws.alarms.data.get(Metric.of(metric[0], metric[1], dimensions), [])
        return [(time, value) for time, value in data if self._start <= time < self._end]


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.3g}"


def live(installation: Installation) -> None:
    """Two weeks: some deployments each day, two days in which an account cannot be read, and one bad message."""
    aws = installation.aws
    names = [installation.repository() for _ in range(4)]
    running: dict[str, str] = {}
    for day in range(_DAYS):
        for number, name in enumerate(names):
            if (day + number) % (number + 1):
                continue
            tag = f"1.{day}"
            installation.push(name, tag)
            account = (PRODUCTION, DEVELOPMENT)[number % 2]
            arn = installation.register(account, f"{HOST}/{name}:{tag}")
            if name in running:
                aws.advance(timedelta(hours=1))
                installation.deregister(running[name])
            running[name] = arn
        if day == 8:
            aws.faults.fail_source(DEVELOPMENT, REGION)
        if day == 10:
            aws.faults.heal_source(DEVELOPMENT, REGION)
        if day == _DAYS - 1:
            url = installation.queue_url("events")
            installation.client("sqs").send_message(QueueUrl=url, MessageBody="no event")
        aws.watch(timedelta(hours=22), every=timedelta(hours=1))


def main(file: Path) -> None:
    """Draw the dashboard into a file."""
    with tempfile.TemporaryDirectory() as name, LocalAws(region=REGION) as aws:
        for account in (SHARED, PRODUCTION, DEVELOPMENT):
            aws.create_account(account)
        directory = Path(name)
        environment = terraform_environment(directory, aws.terraform_environment(SHARED))
        terraform = Terraform(copy_of_tree(directory / "tree") / "examples/local", environment)
        terraform.init()
        terraform.apply()
        live(Installation(aws, terraform))
        client = aws.session(SHARED).client("cloudwatch")
        body = json.loads(client.get_dashboard(DashboardName=PREFIX)["DashboardBody"])
        file.write_text(Dashboard(aws, body, aws.clock.now()).draw(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
