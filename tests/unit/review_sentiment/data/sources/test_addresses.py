"""Files at an address: on a web server, and in a file system that fsspec has a client for."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import httpx2
import pytest

from review_sentiment.cache import cache_directory
from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources import addresses, retries
from review_sentiment.data.sources.catalogue import open_source, with_categories
from review_sentiment.errors import DataError, UsageError
from review_sentiment.settings_files import load_settings
from tests.web_server import WebServer, serving

TABLE = "body,topic\nIt fails,bug\nI love it,praise\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(addresses, "TIMEOUT", httpx2.Timeout(0.5))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tickets.csv").write_text(TABLE)
    with serving(tmp_path / "files") as running:
        yield running


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def settings_of(address: str) -> DataSettings:
    columns = {"text": "body", "label": "topic"}
    return DataSettings.model_validate({"source": address, "columns": columns, "labels": ["bug", "praise"]})


def texts(address: str, category: str = "tickets") -> list[str]:
    source = open_source(settings_of(address))
    source.require_columns()
    found = [record for chunk in source.read(category, seed=1).chunks for record in chunk.rows]
    return [record.text for record in found if isinstance(record, ReviewRecord)]


def test_a_file_on_the_web_is_downloaded_once_until_it_changes(server: WebServer) -> None:
    address = f"{server.url}/files/tickets.csv"
    assert texts(address) == texts(address) == ["It fails", "I love it"]
    assert server.traffic.requests["content"] == 1
    first = open_source(settings_of(address)).revision("tickets")
    server.etag_salt = "touched"
    assert open_source(settings_of(address)).revision("tickets") == first, "the content is the same"
    assert server.traffic.requests["content"] == 2
    (server.directory / "tickets.csv").write_text(f"{TABLE}More,bug\n")
    assert texts(address)[-1] == "More"


def test_a_compressed_file_on_the_web_is_a_table_too(server: WebServer) -> None:
    (server.directory / "tickets.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    assert texts(f"{server.url}/files/tickets.csv.gz") == ["It fails", "I love it"]


def test_the_file_names_the_category(server: WebServer) -> None:
    data = settings_of(f"{server.url}/files/tickets.csv")
    settings = load_settings(None).model_copy(update={"data": data})
    assert with_categories(settings).data.categories == ("tickets",)


@pytest.mark.parametrize("fault", [503, "drop", "truncate", "hang"])
def test_a_lost_connection_is_tried_again(server: WebServer, fault: int | str) -> None:
    server.fault = lambda number: fault if number == 1 else None
    assert texts(f"{server.url}/files/tickets.csv") == ["It fails", "I love it"]


def test_a_file_that_changes_while_it_is_read_leaves_nothing(server: WebServer) -> None:
    def change(number: int) -> None:
        server.etag_salt = "new"

    server.fault = change
    with pytest.raises(DataError, match=r"tickets\.csv changed while it was read"):
        texts(f"{server.url}/files/tickets.csv")
    assert not list((cache_directory() / "copies").iterdir())


def test_without_a_network_the_last_download_is_used_with_a_warning(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{server.url}/files/tickets.csv"
    texts(address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert texts(address) == ["It fails", "I love it"]
    assert "cannot be reached; using what was downloaded before" in caplog.text
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        texts(f"{server.url}/files/other.csv")


def test_a_missing_file_on_the_web_is_an_error(server: WebServer) -> None:
    with pytest.raises(DataError, match=r"other\.csv cannot be read: the server answered 404"):
        texts(f"{server.url}/files/other.csv")


def test_a_file_of_a_file_system_is_downloaded_once_until_it_changes(memory: Any) -> None:
    memory.pipe("/bucket/tickets.csv", TABLE.encode())
    assert texts("memory://bucket/tickets.csv") == texts("memory://bucket/tickets.csv")
    assert len(list((cache_directory() / "copies").iterdir())) == 1
    memory.pipe("/bucket/tickets.csv", f"{TABLE}More,bug\n".encode())
    assert texts("memory://bucket/tickets.csv")[-1] == "More"


def test_the_tables_of_a_prefix_are_categories_and_a_pattern_chooses(memory: Any) -> None:
    for name in ("May.csv", "June.csv", "notes.txt"):
        memory.pipe(f"/bucket/months/{name}", TABLE.encode())
    assert open_source(settings_of("memory://bucket/months")).categories() == ("June", "May")
    assert open_source(settings_of("memory://bucket/months/M*.csv")).categories() == ("May",)
    with pytest.raises(UsageError, match="there is no table at memory://bucket/years"):
        open_source(settings_of("memory://bucket/years"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="needs a package that is not installed: Install s3fs"):
        open_source(settings_of("s3://bucket/tickets.csv"))


def test_an_unknown_address_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"'s4://bucket/x' is not a source.*s3://BUCKET/PREFIX"):
        open_source(settings_of("s4://bucket/x"))
