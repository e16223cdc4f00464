"""Random blocks of a large text file, plain or compressed: a fair sample without reading every row."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import BinaryIO

from review_sentiment.data.files.csv_file import CsvFile
from review_sentiment.data.files.json_file import JsonFile
from review_sentiment.data.files.recognition import opened, packing_of
from review_sentiment.data.files.review_file import ReviewRow

BLOCK_BYTES = 1 << 14
"""About 50 short reviews. Neighbours resemble each other, so many small blocks are a better sample than a few
large ones (`data/sources/lines.py`)."""
TAIL_BYTES = 1 << 16
"""Read after each block: the row that starts last usually ends there. A longer one counts as unreadable."""
PIECE_BYTES = 1 << 20
CONTINUED = 0x80
"""The first two bits of all bytes of a character in UTF-8 but the first."""


def unpacked_bytes(path: Path) -> int:
    """Return the size of a file, for a compressed one that of its content, which is read for it."""
    if not packing_of(path):
        return path.stat().st_size
    with opened(path) as file:
        return sum(map(len, iter(lambda: file.read(PIECE_BYTES), b"")))


def rows_of_blocks(file: CsvFile | JsonFile, path: Path, blocks: list[int]) -> Iterator[ReviewRow]:
    """Yield the rows that start in the blocks of these ascending numbers.

    Every row starts in exactly one block, so all rows have the same chance, however long they are. The first
    block has the header of a CSV file as its first row.
    """
    with opened(path) as stream:
        previous, position = b"", 0
        for number in blocks:
            start = max(0, number * BLOCK_BYTES - 1)
            # What the last block's tail read of this one is taken from there: a stream cannot go back.
            kept = previous[len(previous) - (position - start) :] if position > start else b""
            if not kept:
                position = _skip(stream, position, start)
            wanted = BLOCK_BYTES + TAIL_BYTES + (number > 0) - len(kept)
            more = stream.read(max(0, wanted))
            position += len(more)
            previous = kept + more
            yield from _rows_of_block(file, previous, first=number == 0)


def blocks_of(size: int) -> int:
    """Return the number of blocks in `size` bytes."""
    return -(-size // BLOCK_BYTES)


def random_block_numbers(size: int, fraction: float, rng: Random) -> list[int]:
    """Return the ascending numbers of a random fraction of the blocks in `size` bytes, at least one."""
    blocks = blocks_of(size)
    return sorted(rng.sample(range(blocks), max(1, min(blocks, round(fraction * blocks)))))


def _skip(stream: BinaryIO, position: int, start: int) -> int:
    """Move forward to `start`; a compressed stream is read up to there."""
    if stream.seekable():
        return stream.seek(start)
    while position < start and (piece := stream.read(min(PIECE_BYTES, start - position))):
        position += len(piece)
    return position


def _rows_of_block(file: CsvFile | JsonFile, data: bytes, *, first: bool) -> Iterator[ReviewRow]:
    """Yield the rows of a block. Unless it is the first, `data` starts one byte before it."""
    # The line around the start belongs to the block before, unless the byte before ends a line.
    begin = 0 if first else data.find(b"\n") + 1
    within = BLOCK_BYTES + (not first)
    if not first and not 0 < begin < within:
        return
    while data[within : within + 1] and data[within] & 0xC0 == CONTINUED:
        within += 1
    decoded = (data[begin:within], data[within:])
    inside, tail = (part.decode("utf-8-sig" if first else "utf-8", "surrogateescape") for part in decoded)
    rows = file.rows_of_part(io.StringIO(inside + tail, newline=""), len(inside))
    if first and isinstance(file, CsvFile):
        next(rows, None)
    yield from rows
