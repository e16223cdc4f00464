"""Compressed files on a web server, with faults of the connection."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources import lines, retries
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import DataError
from tests.unit.review_sentiment.data.sources.test_lines import skewed_file
from tests.web_server import WebServer, serving

CONTENT = skewed_file(2_000, seed=1)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(lines, "RANGE_BYTES", 1_000)
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    (tmp_path / "Software.jsonl.gz").write_bytes(gzip.compress(CONTENT))
    with serving(tmp_path) as running:
        yield running


def texts(server: WebServer) -> list[str]:
    reading = open_source(DataSettings(source=f"{server.url}/files")).read("Software", seed=1)
    assert not reading.shuffled
    return [row.text for chunk in reading.chunks for row in chunk.rows if isinstance(row, ReviewRecord)]


EXPECTED = [json.loads(line)["text"] for line in CONTENT.splitlines()]


@pytest.mark.parametrize("fault", [None, 503, "drop", "truncate"])
def test_all_rows_arrive_in_order_despite_faults(server: WebServer, fault: int | str | None) -> None:
    server.fault = lambda number: fault if number % 10 == 0 else None
    assert texts(server) == EXPECTED


def test_a_file_of_several_members_is_read_to_its_end(server: WebServer) -> None:
    half = len(CONTENT) // 2
    members = gzip.compress(CONTENT[:half]) + gzip.compress(b"") + gzip.compress(CONTENT[half:])
    (server.directory / "Software.jsonl.gz").write_bytes(members)
    assert texts(server) == EXPECTED


def test_a_truncated_file_is_an_error(server: WebServer) -> None:
    path = server.directory / "Software.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        texts(server)


def test_a_file_that_is_not_gzip_is_an_error(server: WebServer) -> None:
    (server.directory / "Software.jsonl.gz").write_bytes(CONTENT)
    with pytest.raises(DataError, match="not gzip or is damaged"):
        texts(server)


def test_the_revision_changes_with_the_file(server: WebServer) -> None:
    source = open_source(DataSettings(source=f"{server.url}/files"))
    assert len(source.categories()) == 33
    first = source.revision("Software")
    server.etag_salt = "changed"
    assert source.revision("Software") != first
    with pytest.raises(DataError, match=r"Books\.jsonl\.gz cannot be read: it does not exist \(404\)"):
        source.revision("Books")
