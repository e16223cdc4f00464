"""Lines of a file as chunks of rows: a fair sample of a large file, or all of a small one.

A large file is read as a cluster sample. It is divided into blocks of equal
size, a line belongs to the block that its first byte lies in, and blocks are
drawn at random without replacement, each with all of its lines. So every line
has the same chance, however long it is, and the share of any kind of review
among the lines drawn is the ratio estimate of its share in the file (W. G.
Cochran, "Sampling Techniques", 1977, chapters 9A and 2.11: consistent, its bias
of the order of one over the number of blocks). Taking the line *around* a
random byte instead would draw long lines more often, and long reviews are not
rated as short ones are.

Lines of one block are not independent, since the files are grouped by user: the
spread of an estimate is that of fewer independent rows. Most users have few
reviews, so that blocks of fifteen reviews lose little more than blocks of four,
and take a quarter of the requests.

The order of the blocks is a sequence of hashes of the seed and the file's
name: the same on every machine and for any number of connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Protocol

from review_sentiment.data.records import BrokenRecord, ReviewRecord, parse_json_line
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash

BLOCK_BYTES = 16_384
TAIL_BYTES = 1_024
"""Read beyond a block for its last line; longer lines take a second read."""
WHOLE_BYTES = 64 * 2**20
"""Files up to this size are read whole: in the small categories a class is scarce."""
WHOLE_RANGE_BYTES = 2**20
LONGEST_LINE_BYTES = 2**20
CONNECTIONS = 16
"""Ranges that are read at the same time."""


class RangeFile(Protocol):
    """A file of which any range of bytes can be read, from several threads."""

    name: str
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes from `start` to before `stop`."""


def read_lines(file: RangeFile, seed: int, connections: int = CONNECTIONS) -> Reading:
    """Read a file of JSON lines: in random blocks where it is large, else whole."""
    if file.size <= WHOLE_BYTES:
        pieces = ((data, len(data)) for data in whole_ranges(file, connections))
        return Reading(in_order(file.name, pieces), shuffled=False, size=file.size)
    return Reading(_sampled(file, seed, connections), shuffled=True, size=file.size)


def random_blocks(blocks: int, seed: int, name: str) -> Iterator[int]:
    """Yield every number below `blocks` once, in a random order."""
    seen = bytearray(blocks // 8 + 1)
    left = blocks
    for draw in count():
        if not left:
            return
        block = stable_hash(str(seed), name, str(draw)) % blocks
        byte, bit = divmod(block, 8)
        if not seen[byte] >> bit & 1:
            seen[byte] |= 1 << bit
            left -= 1
            yield block


def lines_of_block(file: RangeFile, block: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the lines that start in a block, each with the byte it starts at, and the bytes read.

    Raises:
        DataError: a line is longer than `LONGEST_LINE_BYTES`: this is no file of JSON lines.
    """
    start, stop = block * BLOCK_BYTES, min((block + 1) * BLOCK_BYTES, file.size)
    origin = max(0, start - 1)  # the byte before tells whether a line starts at `start`
    data = file.read(origin, min(stop + TAIL_BYTES, file.size))
    first = data.find(b"\n") + 1 if start else 0
    if (start and not first) or origin + first >= stop:
        return [], len(data)
    # The first line break from the last byte of the block on ends its last line.
    end = data.find(b"\n", stop - 1 - origin)
    while end < 0 and origin + len(data) < file.size:
        if len(data) > LONGEST_LINE_BYTES:
            raise DataError(
                f"{file.name}: the line at byte {origin + first} is longer than "
                f"{LONGEST_LINE_BYTES // 2**20} MB. This is not a file of JSON lines."
            )
        read_to = origin + len(data)
        data += file.read(read_to, min(read_to + max(TAIL_BYTES, len(data)), file.size))
        end = data.find(b"\n", stop - 1 - origin)
    own = data[first : end if end >= 0 else len(data)]
    lines, place = [], origin + first
    for line in own.split(b"\n"):
        lines.append((place, line))
        place += len(line) + 1
    return lines, len(data)


def _sampled(file: RangeFile, seed: int, connections: int) -> Iterator[Chunk]:
    blocks = random_blocks(-(-file.size // BLOCK_BYTES), seed, file.name)
    with ThreadPoolExecutor(connections) as pool:
        waiting: deque[Future[tuple[list[tuple[int, bytes]], int]]] = deque(
            pool.submit(lines_of_block, file, block) for block in islice(blocks, 2 * connections)
        )
        try:
            while waiting:
                lines, size = waiting.popleft().result()
                waiting.extend(pool.submit(lines_of_block, file, block) for block in islice(blocks, 1))
                rows = [parse_json_line(line, f"{file.name} byte {at}") for at, line in lines if line.strip()]
                yield Chunk(rows, size)
        finally:
            pool.shutdown(cancel_futures=True)


def in_order(name: str, pieces: Iterable[tuple[bytes, int]]) -> Iterator[Chunk]:
    """Yield a chunk for each piece of a text, given with the bytes that were read for it."""
    number, rest = 0, b""
    for data, size in pieces:
        *lines, rest = (rest + data).split(b"\n")
        yield Chunk(parse_numbered(name, lines, number), size)
        number += len(lines)
    yield Chunk(parse_numbered(name, [rest], number), 0)


def whole_ranges(file: RangeFile, connections: int) -> Iterator[bytes]:
    """Yield the file's bytes in order; some ranges are read ahead."""
    starts = iter(range(0, file.size, WHOLE_RANGE_BYTES))
    with ThreadPoolExecutor(connections) as pool:

        def submit(places: Iterator[int]) -> list[Future[bytes]]:
            return [pool.submit(file.read, at, min(at + WHOLE_RANGE_BYTES, file.size)) for at in places]

        waiting = deque(submit(islice(starts, connections)))
        try:
            while waiting:
                data = waiting.popleft().result()
                waiting.extend(submit(islice(starts, 1)))
                yield data
        finally:
            pool.shutdown(cancel_futures=True)


def parse_numbered(name: str, lines: list[bytes], before: int) -> list[ReviewRecord | BrokenRecord]:
    """Parse lines that `before` others stand before; empty ones are passed over."""
    return [
        parse_json_line(line, f"{name} line {number}")
        for number, line in enumerate(lines, start=before + 1)
        if line.strip()
    ]
