"""Data: a table is uploaded or named, inspected, and leads to the settings that train on it."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from dashboard.pages import data
from dashboard.queries import tables
from dashboard.settings_form import DEFAULT_CONFIG, base_settings
from review_sentiment.data.inspection.inspection import Tokens, inspect_table
from review_sentiment.data.sources.catalogue import table_of
from review_sentiment.settings_files import load_settings, with_overrides
from tests.unit.dashboard.pages import client

CSV = "text;stars\n" + "".join(f"The shirt number {n} is soft and fits;{1 + n % 5}\n" for n in range(400))


@pytest.fixture(autouse=True)
def without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a token per word, and keep uploads in the test's directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tokens = Tokens("model", 192, lambda _labels: lambda title, text: len(f"{title} {text}".split()))

    def inspect(table, given, settings):  # type: ignore[no-untyped-def]
        return inspect_table(table_of(table), settings.seed, given, tokens, table.source)

    monkeypatch.setattr(tables, "inspect_source", inspect)


def uploaded(name: str, content: bytes) -> str:
    """Upload a file, and return the address that the answer leads to."""
    answer = client().post("/data", files={"table": (name, content)})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_an_uploaded_table_is_kept_and_inspected() -> None:
    address = uploaded("my reviews.csv", CSV.encode())
    (path,) = parse_qs(urlsplit(address).query)["source"]
    assert Path(path).name == "my-reviews.csv"
    assert Path(path).read_text() == CSV
    assert uploaded("my reviews.csv", CSV.encode()) == address  # the same content is kept once
    page = unescape(client().get(address).text)
    for text in ("400", "Ready for training", "English", "stars", "data.columns.text="):
        assert text in page


def test_the_link_to_a_run_has_the_settings_of_the_configuration(tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text(CSV)
    found = tables.inspect_reviews(str(table), {})
    assert found.parameters is not None
    file = tmp_path / "found.yaml"
    file.write_text(found.configuration)
    typed = [f"{key}={text}" for key, text in found.parameters.items()]
    assert with_overrides(base_settings(DEFAULT_CONFIG), typed) == load_settings(file)
    assert found.parameters["data.source"] == str(table)


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    table = tmp_path / "reviews.parquet"
    pd.DataFrame({"a": [f"soft shirt {n}" for n in range(99)], "b": ["x", "y", "z"] * 33}).to_parquet(table)
    page = unescape(client().get("/data", params={"source": str(table), "text": "a", "label": "b"}).text)
    assert "<option selected>a</option>" in page
    assert "<option selected>b</option>" in page


def test_a_table_that_cannot_be_used_shows_why(tmp_path: Path) -> None:
    table = tmp_path / "numbers.csv"
    table.write_text("x,y\n" + "1,2\n" * 60)
    page = unescape(client().get("/data", params={"source": str(table)}).text)
    assert "Not usable yet" in page
    assert "Configure a run" not in page


@pytest.mark.parametrize("source", ["/nowhere/reviews.csv", "postgresql://me:secret@host/db", "\0"])
def test_a_source_that_cannot_be_read_is_a_problem_on_the_page(source: str) -> None:
    answer = client().get("/data", params={"source": source})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text


def test_a_changed_file_is_inspected_again(tmp_path: Path) -> None:
    table, browser = tmp_path / "reviews.csv", client()
    for rows in (60, 90):
        table.write_text("text,label\n" + "".join(f"The shirt {n} is soft,{n % 2}\n" for n in range(rows)))
        shown = browser.get("/data", params={"source": str(table)}).text
        assert f'<div class="card-figure">{rows}</div>' in shown


def test_an_upload_without_a_file_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client().post("/data", files={"other": ("", b"")})
    assert answer.status_code == 422
    assert "Choose a file first." in answer.text
    monkeypatch.setattr(data, "MAX_MEGABYTES", 0)
    answer = client().post("/data", files={"table": ("reviews.csv", CSV.encode())})
    assert answer.status_code == 413
    assert "larger than 0 MB" in answer.text


def test_a_name_cannot_leave_the_directory_of_uploads() -> None:
    (path,) = parse_qs(urlsplit(uploaded("../../.ssh/keys", CSV.encode())).query)["source"]
    assert Path(path).name == "keys"
    assert Path(path).parents[1].name == "uploads"


def test_the_default_reviews_are_counted() -> None:
    page = client().get("/data").text
    assert "Dresses" in page
    assert "4,792" in page
