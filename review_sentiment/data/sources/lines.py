"""Lines of a file as chunks of rows: a fair sample of a large file, or all of a small one.

A category can have 22 GB, of which a training needs a few thousand reviews. The first ones are not a
fair sample, because the file is grouped by user and changes along the way. Random lines cannot be looked up,
because the position of a line depends on the lengths of all lines before it. So we draw random blocks of
bytes and take all lines of each: a cluster sample. It is fair if every line has the same chance to be drawn,
which depends on the lines that belong to a block (`lines_of_block`) and on the order of the blocks
(`random_blocks`).

For the theory see W. G. Cochran, "Sampling Techniques", 1977: chapter 9A on clusters, 2.11 on ratio
estimates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, count, islice
from typing import Protocol, TypeVar

from review_sentiment.data.records import BrokenRecord, ReviewRecord, RowFormat
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash

T = TypeVar("T")

BLOCK_BYTES = 16 * 2**10
"""About fifteen reviews. Each block costs a request, and a request costs a round trip whatever its size:
blocks of 4 KiB would take four times as many. Larger blocks make a poorer sample, because neighbours resemble
each other: blocks of 1 MiB would take 11,000 rows from 12 places of the file, these take them from 700."""
TAIL_BYTES = 2**10
"""Read after a block in the same request, since its last line usually ends there: 6 % more bytes complete the
line in 85 % of the blocks (benchmarks/ingestion.py, 900 bytes a line). The others need a second request."""
WHOLE_BYTES = 64 * 2**20
"""Files up to this size are read whole. A large sample (configs/gpu.yaml) takes 63-67 MB of blocks, so blocks
would save nothing here, and the whole file has every review of the rare class."""
RANGE_BYTES = 2**20
"""Size of the ranges in which a whole file is read."""
MAX_LINE_BYTES = 2**20
CONNECTIONS = 16
"""Ranges that are read at the same time."""


class RangeFile(Protocol):
    """A file from which several threads can read any range of bytes."""

    name: str
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes from `start` to before `stop`."""


def read_lines(file: RangeFile, rows: RowFormat, seed: int, connections: int = CONNECTIONS) -> Reading:
    """Read a file of JSON lines: a large file in random blocks, a small one from start to end."""
    if file.size <= WHOLE_BYTES:
        ranges = ((data, len(data)) for data in read_ranges(file, connections))
        return Reading(numbered_chunks(file.name, ranges, rows), shuffled=False, size=file.size)
    return Reading(_random_chunks(file, rows, seed, connections), shuffled=True, size=file.size)


def random_blocks(blocks: int, seed: int, name: str) -> Iterator[int]:
    """Yield each number below `blocks` once, in a random order that depends on the seed and the name."""
    # Every block has the same chance to come next, so whatever has been read is a fair sample, and the reader
    # can stop as soon as it has enough rows. The order is a sequence of hashes, not the output of a random
    # number generator: it is the same on every machine and for every version of Python and NumPy, so that a
    # second run draws the blocks that are in its cache. The remainder favours no block: 2**64 hashes for a
    # million blocks.
    #
    # A byte per block marks those drawn: 1.3 MB for 22 GB, where a shuffled list would take 50 MB. Draws that
    # hit one of them are repeated; they are rare, since a sample of 22 GB takes less than 1 % of the blocks.
    drawn = bytearray(blocks)
    left = blocks
    for draw in count():
        if not left:
            return
        block = stable_hash(str(seed), name, str(draw)) % blocks
        if not drawn[block]:
            drawn[block] = True
            left -= 1
            yield block


def lines_of_block(file: RangeFile, block: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the lines of a block, each with the position of its first byte, and the number of bytes read.

    Raises:
        DataError: a line is longer than `MAX_LINE_BYTES`, so this is not a file of JSON lines.
    """
    # A line belongs to the block that contains its first byte: every line to exactly one, so its chance is
    # that of its block, however long it is. Taking the line around a random byte would be simpler, but would
    # draw a line of 2,000 bytes ten times as often as one of 200, and unhappy reviews are longer: a sample of
    # the file in our test would have 15 points too many.
    #
    # Blocks hold different numbers of lines, so a fraction of the sample is a ratio of two random sums. Its
    # bias is of the order of one over the number of blocks drawn, and a sample takes thousands.
    start, stop = block * BLOCK_BYTES, min((block + 1) * BLOCK_BYTES, file.size)
    origin = max(0, start - 1)  # a line starts at `start` only if the byte before it ends a line
    data = file.read(origin, min(stop + TAIL_BYTES, file.size))
    first = data.find(b"\n") + 1 if start else 0
    if (start and not first) or origin + first >= stop:
        return [], len(data)  # one long line, which started in an earlier block, covers this block
    # The last line may end with the last byte of the block or after it, so the search starts at that byte.
    while (end := data.find(b"\n", stop - 1 - origin)) < 0 and origin + len(data) < file.size:
        if len(data) > MAX_LINE_BYTES:
            raise DataError(
                f"{file.name}: the line at byte {origin + first} is longer than "
                f"{MAX_LINE_BYTES // 2**20} MB. This is not a file of JSON lines."
            )
        # Doubling reaches the end of a line of 1 MB in 6 requests; tails of 1 KiB would take a thousand.
        position = origin + len(data)
        data += file.read(position, min(position + max(TAIL_BYTES, len(data)), file.size))
    lines = (data[first:end] if end >= 0 else data[first:]).split(b"\n")
    positions = accumulate((len(line) + 1 for line in lines[:-1]), initial=origin + first)
    return list(zip(positions, lines, strict=True)), len(data)


def _random_chunks(file: RangeFile, rows: RowFormat, seed: int, connections: int) -> Iterator[Chunk]:
    blocks = random_blocks(-(-file.size // BLOCK_BYTES), seed, file.name)
    for lines, size in _read_ahead(lambda block: lines_of_block(file, block), blocks, connections):
        yield Chunk(
            [rows.json_line(line, f"{file.name} byte {at}") for at, line in lines if line.strip()], size
        )


def read_ranges(file: RangeFile, connections: int) -> Iterator[bytes]:
    """Yield the file's bytes in order."""
    starts = iter(range(0, file.size, RANGE_BYTES))
    return _read_ahead(lambda at: file.read(at, min(at + RANGE_BYTES, file.size)), starts, connections)


def _read_ahead(read: Callable[[int], T], places: Iterator[int], connections: int) -> Iterator[T]:
    """Yield `read(place)` for each place in order, while threads read the places that come next."""
    with ThreadPoolExecutor(connections) as pool:
        # The results keep the order of the places, so the sample does not depend on which connection is fast.
        # Twice as many reads as connections: a fast one has its next place before its result is taken.
        waiting = deque(pool.submit(read, place) for place in islice(places, 2 * connections))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(read, place) for place in islice(places, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def numbered_chunks(name: str, pieces: Iterable[tuple[bytes, int]], rows: RowFormat) -> Iterator[Chunk]:
    """Yield a chunk for each piece of a text; each comes with the number of bytes that were read for it."""
    number, rest = 0, b""
    for data, size in pieces:
        *lines, rest = (rest + data).split(b"\n")
        yield Chunk(_parsed(name, lines, number, rows), size)
        number += len(lines)
    yield Chunk(_parsed(name, [rest], number, rows), 0)


def _parsed(name: str, lines: list[bytes], before: int, rows: RowFormat) -> list[ReviewRecord | BrokenRecord]:
    """Parse lines that follow `before` others; blank lines are skipped but have a number."""
    return [
        rows.json_line(line, f"{name} line {number}")
        for number, line in enumerate(lines, start=before + 1)
        if line.strip()
    ]
