"""Reading a directory of `.jsonl` files."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.data.sources.local import LocalFiles
from review_sentiment.errors import DataError, UsageError
from tests.tiny import AMAZON_ROWS


def lines(count: int) -> bytes:
    """Return this many valid lines, each with its own text."""
    rows = ({"rating": 5, "text": f"Number {number}", "parent_asin": "P"} for number in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def texts(source: LocalFiles, category: str) -> list[str]:
    """Return the texts of the category's rows."""
    return [row.text for row in rows(source, category) if isinstance(row, ReviewRecord)]


def rows(source: LocalFiles, category: str) -> Iterator[ReviewRecord | BrokenRecord]:
    """Yield the category's rows."""
    for chunk in source.read(category, seed=1).chunks:
        yield from chunk.rows


def test_categories_are_the_sorted_names_of_the_files(tmp_path: Path) -> None:
    for name in ("Tops.jsonl", "All_Beauty.csv.gz", "v1.5_Books.parquet", "notes.txt", "README.md"):
        (tmp_path / name).write_bytes(b"")
    assert LocalFiles(str(tmp_path), AMAZON_ROWS).categories() == ("All_Beauty", "Tops", "v1.5_Books")


def test_a_compressed_file_has_the_rows_of_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "Plain.jsonl").write_bytes(lines(3))
    (tmp_path / "Packed.jsonl.gz").write_bytes(gzip.compress(lines(3)))
    (tmp_path / "Dense.jsonl.zst").write_bytes(pa.compress(lines(3), "zstd", asbytes=True))
    source = LocalFiles(str(tmp_path), AMAZON_ROWS)
    for category in ("Plain", "Packed", "Dense"):
        assert texts(source, category) == ["Number 0", "Number 1", "Number 2"]


def test_blank_lines_are_skipped_but_counted_in_the_line_numbers(tmp_path: Path) -> None:
    (tmp_path / "Tops.jsonl").write_bytes(lines(1) + b"\n  \n{broken\n" + lines(1).rstrip())
    first, broken, last = rows(LocalFiles(str(tmp_path), AMAZON_ROWS), "Tops")
    assert broken == BrokenRecord("Tops.jsonl line 4", "not JSON")
    assert isinstance(first, ReviewRecord)
    assert first == last


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "Tops.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(2))
    assert len(texts(LocalFiles(str(tmp_path), AMAZON_ROWS), "Tops")) == 2


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str) -> None:
    content = lines(20_000)
    packed = gzip.compress(content) if suffix == ".gz" else pa.compress(content, "zstd", asbytes=True)
    (tmp_path / f"Tops.jsonl{suffix}").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=rf"Tops\.jsonl\{suffix} is damaged or truncated"):
        list(rows(LocalFiles(str(tmp_path), AMAZON_ROWS), "Tops"))


def test_a_damaged_file_is_an_error_and_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "Tops.jsonl.gz").write_bytes(gzip.compress(b"")[:10] + b"\x07" * 40)
    (tmp_path / "Plain.jsonl.gz").write_bytes(lines(1))
    source = LocalFiles(str(tmp_path), AMAZON_ROWS)
    assert texts(source, "Plain") == ["Number 0"]
    with pytest.raises(DataError, match=r"Tops\.jsonl\.gz is damaged or truncated"):
        list(rows(source, "Tops"))


def test_a_file_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "Tops.jsonl"
    path.write_bytes(lines(1))
    source = LocalFiles(str(tmp_path), AMAZON_ROWS)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"Tops\.jsonl cannot be read"):
        list(rows(source, "Tops"))


def test_a_directory_is_opened_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "Tops.jsonl").write_bytes(lines(1))
    source = open_source(DataSettings(source=str(tmp_path)))
    assert source.name == str(tmp_path)
    assert source.categories() == ("Tops",)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "Tops.jsonl").write_bytes(lines(1))
    assert open_source(DataSettings(source="~/reviews")).categories() == ("Tops",)


def test_a_glob_selects_files(tmp_path: Path) -> None:
    for name in ("Tops.jsonl", "Topics.jsonl", "Books.jsonl"):
        (tmp_path / name).write_bytes(lines(1))
    assert open_source(DataSettings(source=f"{tmp_path}/Top*.jsonl")).categories() == ("Topics", "Tops")


@pytest.mark.parametrize("name", ["no/such/directory", "no/such/*.jsonl"])
def test_a_name_that_is_not_a_source_is_a_usage_error_that_lists_the_sources(name: str) -> None:
    with pytest.raises(UsageError, match=r"data\.source.*'embedded'.*directory of tables"):
        open_source(DataSettings(source=name))


@pytest.mark.parametrize("other", ["Tops.jsonl.gz", "Tops.jsonl.zst", "Tops.JSONL"])
def test_two_files_of_a_category_are_refused_and_named(tmp_path: Path, other: str) -> None:
    for name in ("Tops.jsonl", "Shoes.jsonl", other):
        (tmp_path / name).write_bytes(lines(3))
    source = LocalFiles(str(tmp_path), AMAZON_ROWS)
    assert source.categories() == ("Shoes", "Tops")
    for use in (source.revision, lambda name: source.read(name, seed=1)):
        use("Shoes")
        with pytest.raises(UsageError, match="several files for the category 'Tops'") as refused:
            use("Tops")
        assert re.search(rf"'Tops': (Tops\.jsonl and {other}|{other} and Tops\.jsonl)\. ", str(refused.value))
    assert LocalFiles(str(tmp_path / "*.jsonl"), AMAZON_ROWS).revision("Tops")


def test_the_revision_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "Tops.jsonl"
    path.write_bytes(lines(3))
    source, times = LocalFiles(str(tmp_path), AMAZON_ROWS), path.stat()
    before = source.revision("Tops")
    os.utime(path)
    assert source.revision("Tops") == before
    path.write_bytes(lines(3).replace(b"Number 2", b"Number 7"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert source.revision("Tops") != before
    with pytest.raises(DataError, match=r"Tops\.jsonl changed after the start of the run"):
        source.require_revision("Tops", before)
