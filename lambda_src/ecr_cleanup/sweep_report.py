"""The report of a sweep, in an S3 bucket: as JSON with all images, and as a page with as many as a browser can show.

Rows are put there in parts, so that a sweep can take several runs, and memory does not grow with the number of images.
"""

from __future__ import annotations

import gzip
import heapq
import io
import json
import tempfile
from typing import TYPE_CHECKING, Any

from ecr_cleanup.image import Repository
from ecr_cleanup.report import image_row
from ecr_cleanup.report_page import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from _typeshed import WriteableBuffer

    from ecr_cleanup.aws.report_bucket import ReportBucket
    from ecr_cleanup.aws.sweep_ledger import SweepPlace
    from ecr_cleanup.survey import Judged

ON_THE_PAGE = 50_000
"""So many images are on the page: those first that look unused, the largest of them first."""


class SweepReport:
    """Collects the rows of one run, and publishes those of all runs.

    All methods raise botocore's errors, and boto3's where an upload fails.
    """

    def __init__(self, bucket: ReportBucket) -> None:
        self._bucket = bucket
        self._part: IO[bytes] | None = None
        self._rows: gzip.GzipFile | None = None

    def add(self, judged: Judged) -> None:
        """Take one image in."""
        if self._rows is None:
            # It lives until the part is saved, which is when it is closed.
            self._part = tempfile.TemporaryFile()  # noqa: SIM115
            self._rows = gzip.GzipFile(fileobj=self._part, mode="wb", compresslevel=1)
        self._rows.write(json.dumps(image_row(judged)).encode() + b"\n")

    def save_part(self, number: int) -> bool:
        """Put what was added since into the bucket; False where that is nothing."""
        if self._part is None or self._rows is None:
            return False
        self._rows.close()
        with self._part as part:
            part.seek(0)
            self._bucket.put_part(number, part)
        self._part = self._rows = None
        return True

    def publish(self, head: Mapping[str, Any], place: SweepPlace) -> list[str]:
        """Put the report of the whole sweep into the bucket, and return where it is: JSON, then the page.

        `head` is the report without its images.
        """
        everything = io.BufferedReader(_Stream(_document(head, self._all_rows(head, place))))
        as_json = self._bucket.put("report.json", everything, "application/json")
        largest = heapq.nlargest(ON_THE_PAGE, self._all_rows(head, place), key=_gain)
        left_out = head["totals"]["images"] - len(largest)
        document = json.dumps({**head, "images_left_out": left_out, "images": [json.loads(row) for row in largest]})
        page = fill(self._bucket.page(), document).encode()
        return [as_json, self._bucket.put("report.html", io.BytesIO(page), "text/html; charset=utf-8")]

    def _all_rows(self, head: Mapping[str, Any], place: SweepPlace) -> Iterator[bytes]:
        """Every image once, as JSON."""
        for number in range(place.part):
            void = {repository for repository, first in place.begun_anew.items() if number < first}
            with tempfile.TemporaryFile() as part:
                self._bucket.get_part(number, part)
                part.seek(0)
                for row in gzip.GzipFile(fileobj=part):
                    if not void or _repository(row, head) not in void:
                        yield row.rstrip()


def _repository(row: bytes, head: Mapping[str, Any]) -> str:
    image = json.loads(row)
    return str(Repository(head["registry"], image["region"], image["repository"]))


def _gain(row: bytes) -> tuple[bool, int]:
    image = json.loads(row)
    return image["verdict"] == "remove", image["bytes"]


def _document(head: Mapping[str, Any], rows: Iterator[bytes]) -> Iterator[bytes]:
    """A report as JSON, a row at a time."""
    yield json.dumps(head).encode()[:-1] + b', "images": ['
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + row
    yield b"\n]}\n"


class _Stream(io.RawIOBase):
    """A file of what an iterator gives."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        target = memoryview(buffer)
        some, self._rest = self._rest[: len(target)], self._rest[len(target) :]
        target[: len(some)] = some
        return len(some)
