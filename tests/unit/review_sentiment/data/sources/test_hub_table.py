"""Any data set of the Hub by its name, with `datasets`, a real client and a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources import retries
from review_sentiment.data.sources.catalogue import open_at_revision, open_source, with_categories
from review_sentiment.data.sources.hub import HubDataset
from review_sentiment.errors import DataError, UsageError
from review_sentiment.settings_files import load_settings
from tests.web_server import COMMIT, TABLES, WebServer, serving

ADDRESS = f"hf://datasets/{TABLES}"
NAMED_LABELS = """---
configs:
- config_name: default
  data_files: [{split: train, path: data/train-*}, {split: test, path: data/test-*}]
- config_name: german
  data_files: de.parquet
dataset_info:
- config_name: default
  features:
  - {name: body, dtype: string}
  - {name: topic, dtype: {class_label: {names: {'0': bug, '1': praise}}}}
---
"""
COLUMNS = {"text": "body", "label": "topic"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    for cache in ("HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.setattr(f"huggingface_hub.constants.{cache}", str(tmp_path / "hf" / cache))
    files = tmp_path / "files"
    (files / "data").mkdir(parents=True)
    for split in ("train", "test"):
        table = pd.DataFrame({"body": [f"{split} {number}" for number in range(3)], "topic": [0, 1, -1]})
        table.to_parquet(files / "data" / f"{split}-00000-of-00001.parquet")
    pd.DataFrame({"body": ["Größer bitte"], "topic": ["Lob"]}).to_parquet(files / "de.parquet")
    (files / "README.md").write_text(NAMED_LABELS)
    with serving(files) as running:
        template = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", running.url)
        yield running


def settings_of(address: str) -> DataSettings:
    return DataSettings.model_validate({"source": address, "columns": COLUMNS, "labels": ["bug", "praise"]})


def clear(directory: Path) -> None:
    for file in [file for file in directory.rglob("*") if file.is_file()]:
        file.unlink()


def read(address: str) -> list[tuple[str, str]]:
    source = open_source(settings_of(address))
    source.require_columns()
    found = [record for chunk in source.read("tickets", seed=1).chunks for record in chunk.rows]
    return [(record.text, record.label) for record in found if isinstance(record, ReviewRecord)]


def test_the_rows_are_those_of_the_training_split_with_the_names_of_labels(server: WebServer) -> None:
    assert read(ADDRESS) == [("train 0", "bug"), ("train 1", "praise"), ("train 2", "")]
    assert read(f"{ADDRESS}?split=test")[0] == ("test 0", "bug")
    assert read(f"{ADDRESS}?config=german") == [("Größer bitte", "Lob")]


def test_without_a_card_the_files_say_what_there_is(server: WebServer) -> None:
    (server.directory / "README.md").unlink()
    (server.directory / "de.parquet").unlink()
    assert read(f"{ADDRESS}?split=test") == [("test 0", "0"), ("test 1", "1"), ("test 2", "-1")]
    assert read(f"{ADDRESS}/data") == [("train 0", "0"), ("train 1", "1"), ("train 2", "-1")]


def test_a_repository_of_csv_files_is_read_too(server: WebServer) -> None:
    clear(server.directory)
    (server.directory / "train.csv").write_text('body,topic\n"Größer,\nbitte",Lob\n')
    assert read(ADDRESS) == [("Größer,\nbitte", "Lob")]


def test_the_data_set_names_the_category(server: WebServer) -> None:
    settings = load_settings(None).model_copy(update={"data": settings_of(ADDRESS)})
    assert with_categories(settings).data.categories == ("tickets",)


def test_a_directory_with_a_file_per_category_is_read_as_before(server: WebServer) -> None:
    (server.directory / "data" / "Tops.jsonl").write_text('{"body": "x", "topic": "bug"}\n')
    source = open_source(settings_of(f"{ADDRESS}/data"))
    assert isinstance(source, HubDataset)
    assert source.categories() == ("Tops",)


def test_a_commit_is_downloaded_once_and_needs_no_network_afterwards(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = f"{ADDRESS}@{COMMIT[:7]}?split=train"
    rows = read(pinned)
    revision = open_source(settings_of(pinned)).revision("tickets")
    before = server.traffic.requests.total()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert read(pinned) == rows
    assert open_at_revision(settings_of(pinned), "tickets", revision).revision("tickets") == revision
    assert server.traffic.requests.total() == before
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        read(ADDRESS)


def test_without_a_network_a_branch_is_the_last_download(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read(ADDRESS)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert read(ADDRESS) == rows
    assert "cannot be reached; using what was downloaded before" in caplog.text


def test_a_gated_data_set_explains_how_to_get_access(server: WebServer) -> None:
    server.gated, server.token = True, "hf_right"
    with pytest.raises(DataError, match=r"gated. Accept its terms on .*hf auth login.*HF_TOKEN"):
        read(ADDRESS)


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        (
            "?config=germn",
            UsageError,
            r"no configuration 'germn'\. Did you mean 'german'\? It has: default, german",
        ),
        ("?split=tst", UsageError, r"no split 'tst'\. Did you mean 'test'\? It has: train, test"),
        ("?splits=test", UsageError, r"write config=NAME, split=NAME, or both.* Did you mean 'split'\?"),
        ("@abcdef0", DataError, "the revision 'abcdef0' does not exist"),
        ("/elsewhere", DataError, "the directory 'elsewhere' does not exist"),
    ],
)
def test_the_error_names_what_does_not_exist(
    server: WebServer, end: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read(f"{ADDRESS}{end}")


def test_several_configurations_without_a_default_must_be_chosen_from(server: WebServer) -> None:
    configurations = NAMED_LABELS.partition("dataset_info")[0].replace("default", "english")
    (server.directory / "README.md").write_text(f"{configurations}---\n")
    with pytest.raises(UsageError, match=r"several configurations: name one with \?config=NAME\. It has: "):
        read(ADDRESS)


def test_a_data_set_without_tables_is_an_error(server: WebServer) -> None:
    clear(server.directory)
    (server.directory / "notes.bin").write_bytes(b"\0")
    with pytest.raises(DataError, match=f"{ADDRESS} cannot be read: "):
        read(ADDRESS)
