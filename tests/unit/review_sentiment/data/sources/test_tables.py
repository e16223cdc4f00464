"""Training on tables of any format, with columns of any name, and with a column of categories."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from review_sentiment.cache import cache_directory
from review_sentiment.config import DataSettings
from review_sentiment.data.cleaning import CleaningRules, clean_category
from review_sentiment.data.labels import STARS
from review_sentiment.data.records import UNREADABLE, BrokenRecord, ReviewRecord
from review_sentiment.data.sources import category_files
from review_sentiment.data.sources.catalogue import open_source, with_categories
from review_sentiment.data.sources.source import ReviewSource
from review_sentiment.errors import DataError, UsageError
from review_sentiment.settings_files import load_settings

COLUMNS = {"text": "Message", "label": "Topic"}
ROWS: list[dict[str, Any]] = [
    {"Message": "It fails\non start", "Topic": "bug report", "Team": "Web", "Customer": 7},
    {"Message": "Größer, please", "Topic": "open question", "Team": "App", "Customer": 8},
    {"Message": "I love it", "Topic": "praise", "Team": "Web", "Customer": 9},
    {"Message": "Again", "Topic": None, "Team": None, "Customer": 9},
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(directory: Path, ending: str) -> Path:
    """Write the rows to a file of a format."""
    path = directory / f"tickets.{ending}"
    frame = pd.DataFrame(ROWS)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending.startswith("json"):
        text = (
            "\n".join(map(json.dumps, ROWS))
            if "l" in ending.partition(".")[0]
            else json.dumps(ROWS, indent=1)
        )
        path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    else:
        frame.to_csv(path, index=False, sep=";" if "csv" in ending else "\t")
    return path


def source_of(path: Path | str, columns: dict[str, str] = COLUMNS, **more: Any) -> ReviewSource:
    settings = {"source": str(path), "columns": columns, "labels": ["bug report", "praise"]} | more
    return open_source(DataSettings.model_validate(settings))


def records(source: ReviewSource, category: str) -> list[ReviewRecord | BrokenRecord]:
    return [record for chunk in source.read(category, seed=1).chunks for record in chunk.rows]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "json", "parquet"])
def test_a_table_has_the_same_records_in_every_format(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, ending)
    source = source_of(path, COLUMNS | {"user": "Customer"})
    source.require_columns()
    assert source.categories() == ("tickets",)
    found = records(source, "tickets")
    assert all(isinstance(record, ReviewRecord) for record in found)
    assert [record.model_dump(include={"text", "label", "user"}) for record in found] == [  # type: ignore[union-attr]
        {"text": row["Message"], "label": row["Topic"] or "", "user": str(row["Customer"])} for row in ROWS
    ]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_a_column_has_the_categories(tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    source = source_of(written(tmp_path, ending), COLUMNS | {"category": "Team"})
    assert source.categories() == ("App", "Web")
    assert [record.text for record in records(source, "Web")] == ["It fails\non start", "I love it"]  # type: ignore[union-attr]
    assert "1 rows have no 'Team' and are left out" in caplog.text
    assert not any(row["Message"] in caplog.text for row in ROWS)


def test_the_files_of_the_categories_are_private_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "csv")
    columns = COLUMNS | {"category": "Team"}
    first = source_of(path, columns)
    revisions = {name: first.revision(name) for name in first.categories()}
    (directory,) = (cache_directory() / "tables").iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IRWXU
    with monkeypatch.context() as patch:
        patch.setattr(category_files, "table_rows", None)
        assert source_of(path, columns).categories() == ("App", "Web")
    path.write_text(f"{path.read_text()}New;praise;App;1\n")
    later = source_of(path, columns)
    assert later.revision("Web") == revisions["Web"], "only the category with a new row is read again"
    assert later.revision("App") != revisions["App"]


def test_two_processes_may_split_a_table_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, columns = written(tmp_path, "csv"), COLUMNS | {"category": "Team"}
    rows = category_files.table_rows

    def while_another_splits(*arguments: Any) -> Any:
        monkeypatch.setattr(category_files, "table_rows", rows)
        assert source_of(path, columns).categories() == ("App", "Web")
        return rows(*arguments)

    monkeypatch.setattr(category_files, "table_rows", while_another_splits)
    assert source_of(path, columns).categories() == ("App", "Web")
    assert len(list((cache_directory() / "tables").iterdir())) == 1


def test_a_row_that_cannot_be_read_counts_for_the_category_before_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Message,Topic,Team\ntoo,few\nfine,praise,Web\nalso,praise,App\nnot,praise,Web,this\n")
    source = source_of(path, COLUMNS | {"category": "Team"})
    assert records(source, "Web")[0] == BrokenRecord("t.csv line 2", UNREADABLE, "expected 3 fields, got 2")
    assert records(source, "App")[1] == BrokenRecord("t.csv line 5", UNREADABLE, "expected 3 fields, got 4")


def test_several_files_are_one_table_if_a_column_has_the_categories(tmp_path: Path) -> None:
    for month in ("may", "june"):
        (tmp_path / f"{month}.csv").write_text(f"Message,Topic,Team\nin {month},praise,Web\n")
    assert source_of(tmp_path).categories() == ("june", "may")
    found = records(source_of(tmp_path, COLUMNS | {"category": "Team"}), "Web")
    assert [record.text for record in found] == ["in june", "in may"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "topic"}, "data.columns.label: {path} has no column 'topic'. Did you mean 'Topic'?"),
        (
            {"group": "Order"},
            "data.columns.group: {path} has no column 'Order'. It has: Message, Topic, Team",
        ),
        ({"category": "Teams"}, "data.columns.category: {path} has no column 'Teams'. Did you mean 'Team'?"),
        ({"category": "Message"}, "a text and no category"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_wrong_column_is_refused(
    tmp_path: Path, ending: str, columns: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(category_files, "LONGEST_CATEGORY", 13)
    path = written(tmp_path, ending)
    source = source_of(path, COLUMNS | columns)
    with pytest.raises(UsageError) as error:
        source.categories() if "category" in columns else source.require_columns()
    assert message.format(path=path) in str(error.value)
    assert not list((tmp_path / "cache").rglob("index.json"))


def test_too_many_categories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(category_files, "MAX_CATEGORIES", 1)
    with pytest.raises(UsageError, match="more than 1 different values"):
        source_of(written(tmp_path, "csv"), COLUMNS | {"category": "Team"}).categories()
    assert not list((cache_directory() / "tables").iterdir())


def test_another_encoding_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("Message,Topic\nGrößer,praise\nÄlter,praise\n".encode("latin1"))
    with pytest.raises(DataError, match="iconv -f latin1 -t utf-8"):
        source_of(path).read("t", seed=1)


def test_the_embedded_reviews_have_other_labels_by_other_columns() -> None:
    columns = {"text": "Review Text", "title": "Title", "label": "Class Name", "group": "Clothing ID"}
    source = source_of("embedded", columns, labels=["Knits", "Dresses"])
    source.require_columns()
    assert source.categories() == ("embedded",)
    assert {"Knits", "Dresses", "Chemises"} <= {record.label for record in records(source, "embedded")}  # type: ignore[union-attr]
    by_division = source_of("embedded", columns | {"category": "Division Name"})
    assert by_division.categories() == ("General", "General Petite", "Initmates")
    with pytest.raises(UsageError, match=r"'embedded' has no column 'Class'. Did you mean 'Class Name'\?"):
        source_of("embedded", columns | {"label": "Class"}).require_columns()


def test_all_categories_are_taken_if_none_is_named_except_from_the_network(tmp_path: Path) -> None:
    columns = ["data.columns.text=Message", "data.columns.label=Topic", "data.columns.category=Team"]
    settings = load_settings(None, [f"data.source={written(tmp_path, 'csv')}", *columns])
    assert with_categories(settings).data.categories == ("App", "Web")
    assert with_categories(load_settings(None)).data.categories == (
        *("Bottoms", "Dresses", "Intimate"),
        *("Jackets", "Tops", "Trend"),
    )
    for source in ("hub", "ucsd", "https://example.org/reviews"):
        with pytest.raises(UsageError, match=r"data\.categories: name the categories to read from"):
            with_categories(load_settings(None, [f"data.source={source}"]))


def test_the_text_and_the_label_must_be_named_together() -> None:
    with pytest.raises(UsageError, match=r"data\.columns\.text must be set too"):
        with_categories(load_settings(None, ["data.columns.label=Topic"]))


@pytest.mark.parametrize("heading", ["Rating (1-5)", "# votes", "Review #1", "Text: English", "[x]", "a, b"])
def test_any_heading_can_be_named_on_the_command_line(heading: str) -> None:
    columns = load_settings(None, ["data.columns.label=L", f"data.columns.text={heading}"]).data.columns
    assert columns.text == heading


def test_the_embedded_reviews_are_the_same_from_a_table_of_their_own(tmp_path: Path) -> None:
    columns = {"text": "Review Text", "label": "Rating", "title": "Title", "group": "Clothing ID"}
    given = source_of("embedded", columns | {"category": "Department Name"}, labels="stars")
    path = tmp_path / "Jackets.jsonl"
    rows = [
        {"Review Text": one.text, "Rating": one.label, "Title": one.title or "", "Clothing ID": one.group}
        for one in records(given, "Jackets")
        if isinstance(one, ReviewRecord)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "Jackets.csv", index=False)
    frame.to_parquet(tmp_path / "Jackets.parquet")
    rules = CleaningRules(STARS, 10_000, 10_000, 0.0)
    expected = clean_category("Jackets", given.read("Jackets", seed=1), rules, seed=1)
    for ending in ("jsonl", "csv", "parquet"):
        reading = source_of(tmp_path / f"Jackets.{ending}", columns, labels="stars").read("Jackets", seed=1)
        assert clean_category("Jackets", reading, rules, seed=1).fingerprint() == expected.fingerprint()
