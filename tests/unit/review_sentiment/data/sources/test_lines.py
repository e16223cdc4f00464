"""Random blocks of a file are a fair sample of its lines."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources import lines as lines_module
from review_sentiment.data.sources.lines import lines_of_block, random_blocks, read_lines
from review_sentiment.errors import DataError
from tests.tiny import AMAZON_ROWS


@dataclass
class MemoryFile:
    """A file in memory that counts the bytes that are read."""

    content: bytes
    name: str = "Tops.jsonl"
    read_bytes: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= self.size
        self.read_bytes += stop - start
        return self.content[start:stop]


def review_line(text: str, rating: int = 5) -> bytes:
    return json.dumps({"rating": rating, "text": text, "parent_asin": "P"}).encode()


@hypothesis_settings(max_examples=200)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=40),
    block=st.integers(1, 50),
    tail=st.integers(1, 20),
    ends_with_break=st.booleans(),
)
def test_every_line_is_in_exactly_one_block(
    lengths: list[int], block: int, tail: int, ends_with_break: bool
) -> None:
    """For any lengths of lines and blocks, no line is lost, repeated or truncated."""
    texts = [bytes([97 + number % 26]) * length for number, length in enumerate(lengths)]
    content = b"\n".join(texts) + (b"\n" if ends_with_break else b"")
    if not content:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        patch.setattr(lines_module, "TAIL_BYTES", tail)
        file = MemoryFile(content)
        found = [
            item for number in range(-(-len(content) // block)) for item in lines_of_block(file, number)[0]
        ]
    places, place = [], 0
    for text in texts:
        if place < len(content):
            places.append((place, text))
        place += len(text) + 1
    assert found == places


@hypothesis_settings(max_examples=50)
@given(blocks=st.integers(1, 300), seed=st.integers(0, 9))
def test_each_block_is_drawn_once_in_an_order_that_follows_seed_and_name(blocks: int, seed: int) -> None:
    order = list(random_blocks(blocks, seed, "Tops"))
    assert sorted(order) == list(range(blocks))
    assert order == list(random_blocks(blocks, seed, "Tops"))
    if blocks > 20:
        assert order != list(random_blocks(blocks, seed + 1, "Tops"))
        assert order != list(random_blocks(blocks, seed, "Shoes"))


def test_a_file_without_line_breaks_is_not_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 10_000)
    with pytest.raises(DataError, match=r"line at byte 0 is longer.*not a file of JSON lines"):
        lines_of_block(MemoryFile(b"x" * 100_000), 0)


def skewed_file(rows: int, seed: int) -> bytes:
    """Return reviews grouped by user; unhappy reviews are longer, and more frequent towards the end."""
    draw = random.Random(seed)
    lines: list[bytes] = []
    while len(lines) < rows:
        unhappy = draw.random() < 0.01 + 0.5 * len(lines) / rows
        for _ in range(draw.choice([1, 1, 2, 5])):
            rating = draw.choice([1, 1, 2, 3] if unhappy else [3, 4, 5, 5, 5, 5])
            lines.append(review_line("word " * draw.randint(5, 30) * (3 if rating < 3 else 1), rating))
    return b"\n".join(lines[:rows]) + b"\n"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "WHOLE_BYTES", 1_000)
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 1_024)


def drawn(content: bytes, seed: int, count: int, connections: int = 4) -> list[ReviewRecord]:
    reading = read_lines(MemoryFile(content), AMAZON_ROWS, seed, connections)
    assert reading.shuffled
    rows: list[ReviewRecord] = []
    for chunk in reading.chunks:
        rows += [row for row in chunk.rows if isinstance(row, ReviewRecord)]
        if len(rows) >= count:
            break
    return rows


@pytest.mark.usefixtures("small_blocks")
def test_the_fraction_of_unhappy_reviews_is_estimated_without_bias() -> None:
    """The mean of the estimates over many seeds is the true fraction; that of the file's head is far from it.

    A sample of lines around random bytes would be off by 0.15: unhappy reviews are longer.
    """
    content = skewed_file(6_000, seed=3)
    ratings = [json.loads(line)["rating"] for line in content.splitlines()]
    truth = sum(rating < 3 for rating in ratings) / len(ratings)
    estimates = []
    for seed in range(60):
        rows = drawn(content, seed, 300)
        estimates.append(sum(float(row.label) < 3 for row in rows) / len(rows))
    mean = sum(estimates) / len(estimates)
    spread = (sum((value - mean) ** 2 for value in estimates) / (len(estimates) - 1)) ** 0.5
    assert abs(mean - truth) < 3 * spread / len(estimates) ** 0.5
    head = sum(rating < 3 for rating in ratings[:300]) / 300
    assert abs(head - truth) > 3 * spread


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("connections", [1, 16])
def test_the_number_of_connections_does_not_change_the_rows(connections: int) -> None:
    content = skewed_file(2_000, seed=5)
    assert drawn(content, 7, 200, connections) == drawn(content, 7, 200, 3)


@pytest.mark.usefixtures("small_blocks")
def test_little_is_read_beyond_the_rows_that_are_used() -> None:
    file = MemoryFile(skewed_file(20_000, seed=5))
    reading = read_lines(file, AMAZON_ROWS, 1, connections=2)
    taken = sum(chunk.size for chunk, _ in zip(reading.chunks, range(20), strict=False))
    reading.chunks.close()  # type: ignore[attr-defined]
    assert taken <= file.read_bytes < 3 * taken < file.size / 10


def test_a_small_file_is_read_whole_and_in_order() -> None:
    content = skewed_file(5_000, seed=2)
    reading = read_lines(MemoryFile(content), AMAZON_ROWS, 1, connections=2)
    assert not reading.shuffled
    rows = [row for chunk in reading.chunks for row in chunk.rows]
    assert [row.label for row in rows] == [str(json.loads(line)["rating"]) for line in content.splitlines()]
