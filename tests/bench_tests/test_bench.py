"""The bench itself: it counts what is called, and fails where an image is lost or left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import __main__ as bench_main
from bench.__main__ import Cost, main, sweep_and_check
from bench.decision import measure
from bench.function import FunctionError, run_function
from bench.place import Size, local_place
from ecr_cleanup.decision import Decision, Verdict

if TYPE_CHECKING:
    from pathlib import Path

SIZE = Size(200, 150)


def test_an_image_that_is_lost_or_left_ends_the_bench() -> None:
    with local_place(SIZE) as place:
        ecr = place.aws.session("111111111111").client("ecr")
        lost = min(place.used)
        ecr.batch_delete_image(repositoryName="bench", imageIds=[{"imageDigest": lost}])
        with pytest.raises(SystemExit, match="1 images are gone that are used"):
            sweep_and_check(place)
    with local_place(SIZE) as place:
        place.environment["ACTION"] = "report"
        with pytest.raises(SystemExit, match="10 images are left that nothing uses"):
            sweep_and_check(place)


def test_a_function_that_fails_is_no_reading() -> None:
    with local_place(SIZE) as place:
        place.environment["LEDGER_TABLE_NAME"] = "another"
        with pytest.raises(FunctionError, match="messages failed"):
            run_function("sweep", None, place.environment)
        with pytest.raises(FunctionError, match=r"another\.py"):
            run_function("other", "another.py", place.environment)


def test_sweep_reads_little_more_than_the_pages_there_are() -> None:
    with local_place(SIZE) as place:
        swept, checked = sweep_and_check(place)
    # Two pages of task definitions, eight questions more, the sources, the repositories, a page of images.
    assert swept.questions == 9
    assert swept.lower_bound(SIZE) == 13
    assert 13 <= swept.reads <= 15
    assert 1 <= swept.further(SIZE) <= 6
    assert checked.calls["ecr.BatchDeleteImage"] == SIZE.removable


def test_further_calls_are_all_that_read_neither_the_inventory_nor_a_listing() -> None:
    cost, size = Cost({"ecr.DescribeImages": 1, "dynamodb.Query": 30}, 9, 1.0, 1.0), Size(1_000, 1_000)
    assert (cost.reads, cost.lower_bound(size), cost.further(size)) == (1, 10 + 8 + 2 + 1, 3.0)


def test_another_tool_is_judged_by_what_is_left(tmp_path: Path) -> None:
    tool = tmp_path / "main.py"
    tool.write_text(
        "import boto3, os\n"
        "def handler(event, context):\n"
        "    ecr = boto3.client('ecr', region_name=os.environ['REGION'])\n"
        "    images = ecr.list_images(repositoryName='bench')['imageIds']\n"
        "    ecr.batch_delete_image(repositoryName='bench', imageIds=images[:7])\n"
    )
    with local_place(SIZE) as place:
        told = run_function("other", str(tool), {**place.environment, "REGION": "eu-central-1"})
        assert told["calls"] == {"ecr.ListImages": 1, "ecr.BatchDeleteImage": 1}
        assert len(place.left()) == SIZE.images - 7


def test_the_decision_is_checked_while_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure(200, 20)["decision_seconds"] > 0
    monkeypatch.setattr("bench.decision._decision", lambda *_: Decision(Verdict.REMOVE, "unused", ""))
    with pytest.raises(SystemExit, match="200 of 200 images looked unused"):
        measure(200, 20)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--awslabs", "nowhere"], "nowhere has no main.py: give the path of a checkout of awslabs/ecr-cleanup-lambda"),
        (["5/5"], "5/5 is no part: those are imports, decisions, comparison, 1000/1000, 1000/10000"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert error in capsys.readouterr().err


def test_parts_that_are_measured_one_by_one_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"inventory_seconds": 1.0, "decision_seconds": 2.0, "worded_seconds": 3.0, "peak_mb": 4.0}
    cost = {"calls": {"ecr.DescribeImages": 100}, "questions": 1, "seconds": 5.0, "peak_mb": 6.0}
    decisions = [{"images": 1, "references": 2} | seconds, {"images": 10, "references": 2} | seconds]
    monkeypatch.setattr(bench_main, "_measure_decisions", lambda: decisions)
    monkeypatch.setattr(bench_main, "_measure_size", lambda _: {"sweep": cost, "checks": cost})
    page = tmp_path / "page.md"
    files = ["--readings", str(tmp_path / "new" / "readings.json"), "--document", str(page)]
    main(["decisions", *files])
    assert "| 10 | 2 | 1.00 | 2.00 | 3.00 | 4 |" in page.read_text()
    main(["comparison", "100000/1000", *files])
    text = page.read_text()
    assert "| 10 | 2 | 1.00 | 2.00 | 3.00 | 4 |" in text
    assert "| 100,000 | 1,000 | 1,000 | 100 | 112 | 0.89 | 0.0 | 5.0 | 6 |" in text
    assert "in at most 11 times the time of 100,000. Reached." in text
    assert "at most 6 further calls for each removable image. Reached." in text
    assert "Not measured: comparison. `make bench` AWSLABS=PATH, the path of a checkout, does it." in text
    assert "Not measured: 1000/1000, 1000/10000, 10000/1000, 10000/10000, 100000/10000." in text


def test_goals_that_are_missed_are_named() -> None:
    of = {"inventory_seconds": 1.0, "decision_seconds": 0.3, "worded_seconds": 1.0, "peak_mb": 1.0}
    sweep = {"calls": {"ecr.DescribeImages": 24, "dynamodb.Query": 61}, "questions": 9, "seconds": 1.0, "peak_mb": 1.0}
    readings = {
        "imports": {"schedule_checks": 0.049, "run_checks": 0.05, "sweep": 0.06, "digest": 0.01, "zip": 1},
        "decisions": [
            {"images": 1, "references": 1} | of,
            {"images": 2, "references": 1} | of | {"decision_seconds": 4.0, "peak_mb": 1024.0},
        ],
        "1000/1000": {"sweep": sweep, "checks": sweep},
    }
    began = {"machine": "here", "load": 2.0}
    text = bench_main.document({part: {**began, "reading": reading} for part, reading in readings.items()})
    assert "Measured here; the load of the machine was 2.0 when it began." in text
    assert "less than 50 ms. Not reached: `run_checks`, `sweep`." in text
    assert "Not reached: seconds, memory, growth." in text
    assert "for each removable image. Not reached: 1,000 / 1,000." in text


# How long things take


@pytest.mark.timed
def test_decisions_grow_with_the_images_and_no_faster() -> None:
    def growth() -> float:
        few = measure(50_000, 5_000)["decision_seconds"]
        return measure(500_000, 50_000)["decision_seconds"] / few

    # Other work on the machine only slows a reading.
    assert any(growth() < 11 for _ in range(3))
