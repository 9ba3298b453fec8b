"""Builds the package of the Lambda functions: python build.py OUTPUT_ZIP.

The same sources give the same bytes, on every machine and with every Python. So names are sorted, times and
permissions fixed, and both the zip and its compression are written here: what zlib makes of the same input
depends on which zlib a Python was built with. Needs nothing but the standard library.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import tempfile
import tokenize
import zlib
from bisect import bisect_right
from collections import Counter
from heapq import heapify, heappop, heappush
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE = Path(__file__).resolve().parent / "ecr_cleanup"

# The command line is for people, not for Lambda, and the report's page comes to it from S3.
LEFT_OUT = {PACKAGE / "cli", PACKAGE / "page"}


def sources() -> dict[str, Path]:
    """The Python files of the package by their names in the zip, sorted."""
    files = {path.relative_to(PACKAGE.parent).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return {name: path for name, path in sorted(files.items()) if LEFT_OUT.isdisjoint(path.parents)}


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
    package = zipped({name: bare(path.read_bytes()) for name, path in files.items()})
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


def bare(source: bytes) -> bytes:
    """The source without comments and docstrings; all else keeps its place, so that tracebacks name the right lines."""
    lines = source.decode().splitlines()
    for token in reversed(list(_explanations(source))):
        (first, start), (last, end) = token.start, token.end
        instead, rest = '""' if token.type == tokenize.STRING else "", lines[last - 1][end:]
        lines[first - 1 : last] = [lines[first - 1][:start] + instead + rest, *[""] * (last - first)]
    return "".join(f"{line.rstrip()}\n" for line in lines).encode()


def _explanations(source: bytes) -> Iterator[tokenize.TokenInfo]:
    """Comments, and strings that are a statement. Only tokens are read, as the syntax may be newer than this Python."""
    tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    begins = True
    for place, token in enumerate(tokens[:-1], start=1):
        is_statement = begins and tokens[place].type in (tokenize.NEWLINE, tokenize.COMMENT)
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and is_statement):
            yield token
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


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


# The compression: https://www.rfc-editor.org/rfc/rfc1951, one block with codes of its own (section 3.2.7).

LENGTH_EXTRA_BITS = [0] * 8 + [bits for bits in range(1, 6) for _ in range(4)]
DISTANCE_EXTRA_BITS = [0] * 4 + [bits for bits in range(1, 14) for _ in range(2)]
LENGTH_STARTS = list(accumulate((1 << bits for bits in LENGTH_EXTRA_BITS[:-1]), initial=3))
DISTANCE_STARTS = list(accumulate((1 << bits for bits in DISTANCE_EXTRA_BITS[:-1]), initial=1))
SHORTEST, LONGEST, FARTHEST = 3, 257, 32768
END_OF_BLOCK, FIRST_LENGTH = 256, 257
SYMBOLS, DISTANCES = FIRST_LENGTH + len(LENGTH_STARTS), len(DISTANCE_STARTS)
LONGEST_CODE, LONGEST_CODE_OF_LENGTHS = 15, 7
# Lengths of codes are given by codes, too, whose own lengths come in this order.
REPEAT, FEW_ZEROS, MANY_ZEROS = 16, 17, 18
ORDER = [REPEAT, FEW_ZEROS, MANY_ZEROS, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
CANDIDATES = 128  # how many earlier places are tried for the longest match


def deflated(data: bytes) -> bytes:
    """The data, compressed: longest matches first come, the codes that suit them."""
    tokens = list(_tokens(data))
    symbols = _Code((symbol for symbol, *_ in tokens), SYMBOLS, LONGEST_CODE)
    distances = _Code((match[2] for _, *match in tokens if match), DISTANCES, LONGEST_CODE)
    runs = list(_runs(symbols.lengths + distances.lengths))
    lengths = _Code((symbol for symbol, _, _ in runs), len(ORDER), LONGEST_CODE_OF_LENGTHS)
    bits = _Bits()
    bits.add(0b101, 3)  # the last block, codes of its own
    bits.add(SYMBOLS - 257, 5)
    bits.add(DISTANCES - 1, 5)
    bits.add(len(ORDER) - 4, 4)
    for symbol in ORDER:
        bits.add(lengths.lengths[symbol], 3)
    for symbol, count, width in runs:
        bits.add_code(*lengths.codes[symbol])
        bits.add(count, width)
    for symbol, *match in tokens:
        bits.add_code(*symbols.codes[symbol])
        if match:
            extra, width, distance, extra_distance, distance_width = match
            bits.add(extra, width)
            bits.add_code(*distances.codes[distance])
            bits.add(extra_distance, distance_width)
    return bits.to_bytes()


def _tokens(data: bytes) -> Iterator[tuple[int, ...]]:
    """Literals and the end of the block as symbols; matches as symbol and extra bits, of length and of distance."""
    seen: dict[bytes, list[int]] = {}
    position = 0
    match = (0, 0)
    while position < len(data):
        length, distance = match
        seen.setdefault(data[position : position + SHORTEST], []).append(position)
        next_match = _longest_match(data, position + 1, seen)
        # A byte by itself is worth it where a longer match follows.
        if length > 0 and length >= next_match[0]:
            code = bisect_right(LENGTH_STARTS, length) - 1
            far = bisect_right(DISTANCE_STARTS, distance) - 1
            yield (
                FIRST_LENGTH + code,
                length - LENGTH_STARTS[code],
                LENGTH_EXTRA_BITS[code],
                far,
                distance - DISTANCE_STARTS[far],
                DISTANCE_EXTRA_BITS[far],
            )
            for place in range(position + 1, position + length):
                seen.setdefault(data[place : place + SHORTEST], []).append(place)
            position += length
            match = _longest_match(data, position, seen)
        else:
            yield (data[position],)
            position += 1
            match = next_match
    yield (END_OF_BLOCK,)


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


class _Code:
    """A Huffman code for symbols below `size`, none longer than `longest` bits; the more frequent, the shorter."""

    def __init__(self, symbols: Iterable[int], size: int, longest: int) -> None:
        frequencies = Counter(symbols)
        # With fewer than two, there would be a code of no bits.
        for symbol in range(2):
            frequencies[symbol] = max(frequencies[symbol], 1)
        self.lengths = self._lengths(frequencies, size)
        while max(self.lengths) > longest:
            frequencies = Counter({symbol: (count + 1) // 2 for symbol, count in frequencies.items()})
            self.lengths = self._lengths(frequencies, size)
        self.codes = self._codes()

    @staticmethod
    def _lengths(frequencies: Mapping[int, int], size: int) -> list[int]:
        """How many bits each symbol gets: 0 for those that do not occur."""
        lengths = [0] * size
        heap = [(count, symbol, [symbol]) for symbol, count in frequencies.items()]
        heapify(heap)
        while len(heap) > 1:
            count, _, some = heappop(heap)
            more_count, tie, more = heappop(heap)
            for symbol in some + more:
                lengths[symbol] += 1
            heappush(heap, (count + more_count, tie, some + more))
        return lengths

    def _codes(self) -> dict[int, tuple[int, int]]:
        """Code and length of each symbol, by section 3.2.2."""
        codes, code, before = {}, 0, 0
        for length, symbol in sorted((length, symbol) for symbol, length in enumerate(self.lengths) if length):
            code <<= length - before
            codes[symbol] = (code, length)
            code, before = code + 1, length
        return codes


def _runs(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Lengths of codes as symbols, each with a number that says how often, and the width of that number."""
    for length, group in groupby(lengths):
        left = len(list(group))
        if length:
            yield length, 0, 0
            left -= 1
        while left:
            if left < 3:
                yield length, 0, 0
                left -= 1
                continue
            symbol, least, width = (REPEAT, 3, 2) if length else (FEW_ZEROS, 3, 3) if left < 11 else (MANY_ZEROS, 11, 7)
            count = min(left, least + (1 << width) - 1)
            yield symbol, count - least, width
            left -= count


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
