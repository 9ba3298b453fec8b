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
from ecr_cleanup.report_page import filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO

    from _typeshed import WriteableBuffer

    from ecr_cleanup.aws.report_bucket import ReportBucket
    from ecr_cleanup.aws.sweep_ledger import SweepPlace
    from ecr_cleanup.survey import Judged

ON_THE_PAGE = 50_000
BYTES_ON_THE_PAGE = 32_000_000
"""So many images are on the page, and no more than so many bytes of them: those first that look unused, the largest of
them first. An image with many users takes two kilobytes, and a browser, like the function, has to hold them all."""


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
        as_json = self._put("report.json", _document(head, self._all_rows(head, place)), "application/json")
        largest = _largest(self._all_rows(head, place))
        left_out = head["totals"]["images"] - len(largest)
        page = filled(self._bucket.page(), _document({**head, "images_left_out": left_out}, largest))
        return [as_json, self._put("report.html", page, "text/html; charset=utf-8")]

    def _put(self, name: str, pieces: Iterator[bytes], content_type: str) -> str:
        return self._bucket.put(name, io.BufferedReader(_Stream(pieces)), content_type)

    def _all_rows(self, head: Mapping[str, Any], place: SweepPlace) -> Iterator[bytes]:
        """Every image once, as JSON, of those repositories that the report has.

        The others opted out while they were being read.
        """
        there = {_name(head, each) for each in head["repositories"]}
        for number in range(place.part):
            known = there - {repository for repository, first in place.begun_anew.items() if number < first}
            with tempfile.TemporaryFile() as part:
                self._bucket.get_part(number, part)
                part.seek(0)
                for row in gzip.GzipFile(fileobj=part):
                    if _name(head, json.loads(row)) in known:
                        yield row.rstrip()


def _name(head: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The name of the repository that a row of images or of repositories is about."""
    return str(Repository(head["registry"], row["region"], row["repository"]))


def _largest(rows: Iterable[bytes]) -> list[bytes]:
    """As many rows as the page can have, those with the largest gain, and the largest first."""
    heap: list[tuple[tuple[bool, int], int, bytes]] = []
    size = 0
    for number, row in enumerate(rows):
        heapq.heappush(heap, (_gain(row), -number, row))
        size += len(row)
        while len(heap) > ON_THE_PAGE or size > BYTES_ON_THE_PAGE:
            size -= len(heapq.heappop(heap)[2])
    return [row for _, _, row in sorted(heap, reverse=True)]


def _gain(row: bytes) -> tuple[bool, int]:
    image = json.loads(row)
    return image["verdict"] == "remove", image["bytes"]


def _document(head: Mapping[str, Any], rows: Iterable[bytes]) -> Iterator[bytes]:
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
