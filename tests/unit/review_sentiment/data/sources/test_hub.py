"""Reading a data set of the Hub, with a real client, a real server and faults between them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.sources import lines, retries, web_file
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.data.sources.hub import HubDataset
from review_sentiment.errors import DataError, UsageError
from tests.tiny import AMAZON_ROWS
from tests.unit.review_sentiment.data.sources.test_lines import skewed_file
from tests.web_server import DATA_SET, REPOSITORY, WebServer, serving

ROWS = 3_000
BLOCK_BYTES = 2_048


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(lines, "WHOLE_BYTES", 1_000)
    monkeypatch.setattr(lines, "BLOCK_BYTES", BLOCK_BYTES)
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(web_file, "TIMEOUT", httpx2.Timeout(0.5))
    files = tmp_path / "files"
    files.mkdir()
    for category in ("All_Beauty", "Software"):
        (files / f"{category}.jsonl").write_bytes(skewed_file(ROWS, seed=len(category)))
    with serving(files) as running:
        yield running


def rows(
    server: WebServer, category: str = "Software", chunks: int | None = None
) -> list[ReviewRecord | BrokenRecord]:
    """Return the rows of the first chunks, or of all."""
    found: list[ReviewRecord | BrokenRecord] = []
    reading = HubDataset(DATA_SET, AMAZON_ROWS, server.url).read(category, seed=1)
    for number, chunk in enumerate(reading.chunks, start=1):
        found += chunk.rows
        if number == chunks:
            break
    return found


def test_categories_are_the_files_and_revisions_their_content(server: WebServer) -> None:
    source = HubDataset(DATA_SET, AMAZON_ROWS, server.url)
    assert source.categories() == ("All_Beauty", "Software")
    assert len({source.revision(category) for category in source.categories()}) == 2
    assert source.revision("Software") == HubDataset(DATA_SET, AMAZON_ROWS, server.url).revision("Software")
    assert server.traffic.requests["api"] == 2  # a commit is listed once


def test_the_rows_are_those_of_the_file(server: WebServer) -> None:
    found = rows(server)
    expected = (server.directory / "Software.jsonl").read_bytes().splitlines()
    assert len(found) == len(expected) == ROWS
    texts = sorted(row.text for row in found if isinstance(row, ReviewRecord))
    assert texts == sorted(json.loads(line)["text"] for line in expected)
    assert server.traffic.requests["resolve"] == 1  # the signed address serves all ranges


@pytest.mark.parametrize("fault", [500, 503, 429, "drop", "truncate"])
def test_a_fault_in_every_tenth_request_changes_no_row(server: WebServer, fault: int | str) -> None:
    expected = rows(server)
    _clear_cache(server)
    server.fault = lambda number: fault if number % 10 == 0 else None
    assert rows(server) == expected


def test_a_request_without_a_response_is_repeated(server: WebServer) -> None:
    expected = rows(server, chunks=5)
    _clear_cache(server)
    server.fault = lambda number: "hang" if number == 2 else None
    assert rows(server, chunks=5) == expected


def test_retry_after_is_a_number_or_a_date_and_has_a_limit() -> None:
    assert retries.retry_after({"retry-after": "7"}) == 7
    assert retries.retry_after({"retry-after": "99999"}) == retries.MAX_RETRY_AFTER_SECONDS
    assert retries.retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retries.retry_after({"retry-after": "Wed, 21 Oct 2999 07:28:00 GMT"}) == 300
    assert retries.retry_after({"retry-after": "soon"}) == retries.retry_after({}) == 0


def test_the_error_after_the_last_attempt_names_the_file_and_the_attempt(server: WebServer) -> None:
    server.fault = lambda _: 503
    with pytest.raises(DataError, match=r"Software\.jsonl bytes \d+-\d+ .*503 \(attempt 8 of 8\).*kept"):
        rows(server)


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://hub.invalid", "the name of its server could not be resolved"),
        ("http://127.0.0.1:9", "Connection refused"),
    ],
)
def test_a_machine_without_a_network_is_told_so_at_once(endpoint: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match=f"cannot be reached: .*{reason}.*data.source=embedded"):
        HubDataset(DATA_SET, AMAZON_ROWS, endpoint).categories()
    assert time.monotonic() - started < 5  # eight attempts take 26 s


def test_an_expired_signed_address_is_replaced(server: WebServer) -> None:
    expected = rows(server)
    _clear_cache(server)

    def expire(number: int) -> None:
        server.signature = f"signature-{number // 100}"

    server.fault = expire
    assert rows(server) == expected
    assert server.traffic.requests["resolve"] > 2


def test_a_file_that_changes_while_it_is_read_is_an_error(server: WebServer) -> None:
    def change(number: int) -> None:
        server.etag_salt = "new" if number > 40 else ""

    server.fault = change
    with pytest.raises(DataError, match=r"Software\.jsonl changed on the server while it was read"):
        rows(server)


def test_ranges_are_downloaded_once_even_if_reading_is_interrupted(server: WebServer) -> None:
    uninterrupted = rows(server)
    _clear_cache(server)
    for chunks in (3, 11, 40):
        rows(server, chunks=chunks)
    server.fault = lambda number: 404 if number > 60 else None
    with pytest.raises(DataError, match="404"):
        rows(server)
    server.fault = lambda _: None
    assert rows(server) == uninterrupted
    assert len(server.traffic.ranges) == len(set(server.traffic.ranges))


def test_the_next_process_uses_the_ranges_of_a_killed_one(server: WebServer) -> None:
    expected = rows(server)
    _clear_cache(server)
    code = (
        "from review_sentiment.data.sources import lines\n"
        "from review_sentiment.data.sources.hub import HubDataset\n"
        f"lines.WHOLE_BYTES, lines.BLOCK_BYTES = 1_000, {BLOCK_BYTES}\n"
        "from tests.tiny import AMAZON_ROWS\n"
        f"source = HubDataset({DATA_SET!r}, AMAZON_ROWS, {server.url!r})\n"
        "for chunk in source.read('Software', seed=1).chunks: pass\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[5])
    server.fault = lambda number: process.kill() if number == 100 else None
    assert process.wait(timeout=60) == -signal.SIGKILL
    server.fault = lambda _: None
    fetched = set(server.traffic.ranges)
    assert len(fetched) >= 90
    server.traffic.ranges.clear()
    assert rows(server) == expected
    # Downloads in progress when it was killed are lost.
    assert len(fetched & set(server.traffic.ranges)) <= lines.CONNECTIONS


def test_without_a_network_a_cached_sample_can_be_read_again(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows(server, chunks=20)
    before = server.traffic.requests.total()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert rows(server, chunks=20) == expected
    assert server.traffic.requests.total() == before
    with pytest.raises(DataError, match="not on this machine, and HF_HUB_OFFLINE is set"):
        rows(server, "All_Beauty")


def test_without_a_network_a_branch_has_the_files_of_its_last_listing(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = DATA_SET.replace("@2b6d039", "@main")
    listed = HubDataset(branch, AMAZON_ROWS, server.url).categories()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert HubDataset(branch, AMAZON_ROWS, server.url).categories() == listed
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        HubDataset(f"hf://datasets/{REPOSITORY}", AMAZON_ROWS, server.url).categories()


def test_a_gated_data_set_explains_how_to_get_access_and_opens_with_a_token(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated, server.token = True, "hf_right"
    with pytest.raises(DataError, match=r"gated. Accept its terms on .*hf auth login.*HF_TOKEN"):
        rows(server)
    assert server.traffic.requests["api"] == 1  # no second try
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert len(rows(server, chunks=2)) > 0


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"hf://datasets/{REPOSITORY}@abcdef0/raw/review_categories", "revision 'abcdef0' does not exist"),
        ("hf://datasets/nobody/nothing", "does not exist, or is private"),
        (f"hf://datasets/{REPOSITORY}/raw/elsewhere", "'raw/elsewhere' does not exist"),
    ],
)
def test_the_error_names_what_does_not_exist(server: WebServer, address: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        HubDataset(address, AMAZON_ROWS, server.url).categories()


@pytest.mark.parametrize("address", ["hf://models/a/b", "hf://datasets/a", "hf://"])
def test_an_address_in_another_format_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError, match=r"hf://datasets/OWNER/NAME\[@REVISION\]"):
        open_source(DataSettings(source=address))


def _clear_cache(server: WebServer) -> None:
    for file in (server.directory.parent / "cache").rglob("*.sqlite*"):
        file.unlink()
    server.traffic.ranges.clear()
    server.traffic.requests["content"] = 0
