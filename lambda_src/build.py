"""Builds the package of the Lambda functions: python build.py OUTPUT_ZIP.

The same sources give the same bytes, on every machine and with every Python. So names are sorted, times and
permissions fixed, and both the zip and its compression are written here: what zlib makes of the same input
depends on which zlib a Python was built with. Needs nothing but the standard library.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "ecr_cleanup"

# The command line is for people, not for Lambda.
LEFT_OUT = PACKAGE / "cli"


def sources() -> dict[str, Path]:
    """The Python files of the package by their names in the zip, sorted."""
    files = {path.relative_to(PACKAGE.parent).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return {name: path for name, path in sorted(files.items()) if LEFT_OUT not in path.parents}


def build(output: Path) -> int:
    """Write the package to `output`, atomically: nobody ever sees half a zip.

    Returns:
        Its size in bytes.

    Raises:
        FileNotFoundError: there are no sources.
        OSError: a source cannot be read, or the output cannot be written.
    """
    files = sources()
    if not files:
        raise FileNotFoundError(f"there are no Python files in {PACKAGE}")
    package = zipped({name: path.read_bytes() for name, path in files.items()})
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=output.parent, prefix=output.name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(package)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(output)
    except OSError:
        Path(temporary).unlink()
        raise
    return len(package)


# The zip format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.

VERSION = 20
MADE_ON_UNIX = 3 << 8
UTF8_NAMES = 1 << 11
DEFLATED = 8
TIME, DATE = 0, 1 << 5 | 1  # 1980-01-01, the earliest that a zip can hold
READABLE_BY_ALL = 0o100644 << 16  # Lambda does not run as the user that the files belong to


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of the files, each given by its name and content, in the order given."""
    contents, directory = bytearray(), bytearray()
    for name, content in files.items():
        path, compressed = name.encode(), deflated(content)
        sizes = (zlib.crc32(content), len(compressed), len(content), len(path), 0)
        entry = struct.pack("<5H3L2H", VERSION, UTF8_NAMES, DEFLATED, TIME, DATE, *sizes)
        directory += b"PK\x01\x02" + struct.pack("<H", MADE_ON_UNIX | VERSION) + entry
        directory += struct.pack("<3H2L", 0, 0, 0, READABLE_BY_ALL, len(contents)) + path
        contents += b"PK\x03\x04" + entry + path + compressed
    end = struct.pack("<4H2LH", 0, 0, len(files), len(files), len(directory), len(contents), 0)
    return bytes(contents + directory + b"PK\x05\x06" + end)


# The compression: https://www.rfc-editor.org/rfc/rfc1951, one block with fixed codes.

LENGTH_EXTRA_BITS = [0] * 8 + [bits for bits in range(1, 6) for _ in range(4)]
DISTANCE_EXTRA_BITS = [0] * 4 + [bits for bits in range(1, 14) for _ in range(2)]
LENGTH_STARTS = list(accumulate((1 << bits for bits in LENGTH_EXTRA_BITS[:-1]), initial=3))
DISTANCE_STARTS = list(accumulate((1 << bits for bits in DISTANCE_EXTRA_BITS[:-1]), initial=1))
SHORTEST, LONGEST, FARTHEST = 3, 257, 32768
END_OF_BLOCK, FIRST_LENGTH = 256, 257
CANDIDATES = 32  # how many earlier places are tried for the longest match


def deflated(data: bytes) -> bytes:
    """The data, compressed: longest matches first come, fixed codes."""
    bits = _Bits()
    bits.add(0b011, 3)  # the last block, fixed codes
    seen: dict[bytes, list[int]] = {}
    position = 0
    while position < len(data):
        length, distance = _longest_match(data, position, seen)
        if length:
            code = bisect_right(LENGTH_STARTS, length) - 1
            bits.add_symbol(FIRST_LENGTH + code)
            bits.add(length - LENGTH_STARTS[code], LENGTH_EXTRA_BITS[code])
            code = bisect_right(DISTANCE_STARTS, distance) - 1
            bits.add_code(code, 5)
            bits.add(distance - DISTANCE_STARTS[code], DISTANCE_EXTRA_BITS[code])
        else:
            bits.add_symbol(data[position])
        following = position + (length or 1)
        for place in range(position, following):
            seen.setdefault(data[place : place + SHORTEST], []).append(place)
        position = following
    bits.add_symbol(END_OF_BLOCK)
    return bits.to_bytes()


def _longest_match(data: bytes, position: int, seen: dict[bytes, list[int]]) -> tuple[int, int]:
    """Length and distance of what came before and comes again here; (0, 0) if nothing does."""
    best = (0, 0)
    limit = min(LONGEST, len(data) - position)
    if limit < SHORTEST:
        return best
    for place in reversed(seen.get(data[position : position + SHORTEST], [])[-CANDIDATES:]):
        if position - place > FARTHEST:
            break
        length = SHORTEST
        while length < limit and data[place + length] == data[position + length]:
            length += 1
        if length > best[0]:
            best = (length, position - place)
    return best


class _Bits:
    """Bits in the order of RFC 1951: numbers from their lowest bit, codes from their highest."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._pending = 0
        self._count = 0

    def add(self, number: int, width: int) -> None:
        self._pending |= number << self._count
        self._count += width
        while self._count >= 8:
            self._bytes.append(self._pending & 0xFF)
            self._pending >>= 8
            self._count -= 8

    def add_code(self, code: int, width: int) -> None:
        self.add(int(f"{code:0{width}b}"[::-1], 2), width)

    def add_symbol(self, symbol: int) -> None:
        """A literal, the end of the block or a length, by the fixed code of section 3.2.6."""
        if symbol < 144:
            self.add_code(0b00110000 + symbol, 8)
        elif symbol < 256:
            self.add_code(0b110010000 + symbol - 144, 9)
        elif symbol < 280:
            self.add_code(symbol - 256, 7)
        else:
            self.add_code(0b11000000 + symbol - 280, 8)

    def to_bytes(self) -> bytes:
        return bytes(self._bytes) + (bytes([self._pending]) if self._count else b"")


def main(arguments: list[str]) -> int:
    """Build to the path given; the exit code says whether it worked."""
    if len(arguments) != 1:
        print("usage: python build.py OUTPUT_ZIP", file=sys.stderr)
        return 2
    output = Path(arguments[0])
    try:
        size = build(output)
    except OSError as error:
        print(f"The package of the Lambda functions could not be built as {output}: {error}", file=sys.stderr)
        return 1
    print(f"Built {output} ({size / 1000:.0f} KB)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
