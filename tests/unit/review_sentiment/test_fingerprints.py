"""Fingerprints change with the content, and with nothing else."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from review_sentiment import fingerprints
from review_sentiment.errors import DataError
from review_sentiment.fingerprints import file_fingerprint

LARGE = 3 * 2**20


@pytest.fixture(autouse=True)
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of its own, which also remembers files that have just been written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "SETTLED_NS", -(10**18))


def large_file(path: Path, last: bytes = b"a") -> Path:
    path.write_bytes(b"x" * (LARGE - 1) + last)
    return path


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = large_file(tmp_path / "weights")
    found = file_fingerprint(path)
    monkeypatch.delattr(fingerprints, "_hash")
    assert file_fingerprint(path) == found
    link = tmp_path / "link"
    link.symlink_to(path)
    assert file_fingerprint(link) == found


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_rewrite_of_the_same_size_with_the_old_time_is_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a" * size)
    before, times = file_fingerprint(path), path.stat()
    path.write_bytes(b"a" * (size - 1) + b"b")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert file_fingerprint(path) != before


def test_a_link_to_another_file_is_noticed(tmp_path: Path) -> None:
    first, second = large_file(tmp_path / "first"), large_file(tmp_path / "second", b"b")
    link = tmp_path / "link"
    link.symlink_to(first)
    before = file_fingerprint(link)
    link.unlink()
    link.symlink_to(second)
    assert file_fingerprint(link) == file_fingerprint(second) != before


def test_a_file_that_has_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writes within one tick of the file system's clock look the same to `stat`."""
    monkeypatch.setattr(fingerprints, "SETTLED_NS", 3 * 10**9)
    file_fingerprint(large_file(tmp_path / "weights"))
    assert not (tmp_path / "cache").exists()


def test_pieces_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "PIECE_BYTES", 2**20)
    halves = (b"a" * 2**20, b"b" * 2**20)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"".join(halves))
    second.write_bytes(b"".join(reversed(halves)))
    assert file_fingerprint(first) != file_fingerprint(second)


def test_a_damaged_memory_is_not_believed(tmp_path: Path) -> None:
    path = large_file(tmp_path / "weights")
    found = file_fingerprint(path)
    (remembered,) = (tmp_path / "cache" / "review-sentiment" / "fingerprints").iterdir()
    remembered.write_text(found[:20])
    assert file_fingerprint(path) == found


def test_two_processes_may_fingerprint_at_once(tmp_path: Path) -> None:
    path = large_file(tmp_path / "weights")
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = set(pool.map(file_fingerprint, [path] * 4))
    assert found == {file_fingerprint(path)}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing cannot be read: No such file"):
        file_fingerprint(tmp_path / "nothing")
