"""Training on the rows of a query, with a real database in a file."""

from __future__ import annotations

import datetime
import logging
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.cache import cache_directory
from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources import copies
from review_sentiment.data.sources.catalogue import open_at_revision, open_source, with_categories
from review_sentiment.data.sources.source import ReviewSource
from review_sentiment.errors import DataError, UsageError
from review_sentiment.settings_files import load_settings

QUERY = "select body, topic, team, price, seen from tickets where body not like '%:spam%' order by id"
ROWS = [
    ("It fails\non start", "bug report", "Web", 1.5, "2026-01-02"),
    ("Größer, 100% please", "open question", "App", None, "2026-01-03"),
    ("I love it", "praise", "Web", 2, b"yes"),
]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "help desk.db"
    execute(path, "create table tickets (id integer primary key, body, topic, team, price, seen)")
    for row in ROWS:
        execute(path, "insert into tickets (body, topic, team, price, seen) values (?, ?, ?, ?, ?)", row)
    return path


def execute(path: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def settings_of(path: Path, query: str | None = QUERY, **columns: str) -> DataSettings:
    return DataSettings.model_validate(
        {
            "source": f"sqlite:///{path}",
            "query": query,
            "columns": {"text": "body", "label": "topic"} | columns,
            "labels": ["bug report", "open question", "praise"],
        }
    )


def texts(source: ReviewSource, category: str) -> list[str]:
    found = [record for chunk in source.read(category, seed=1).chunks for record in chunk.rows]
    return [record.text for record in found if isinstance(record, ReviewRecord)]


def test_the_rows_of_a_query_are_a_table_and_the_database_names_the_category(database: Path) -> None:
    source = open_source(settings_of(database))
    source.require_columns()
    assert source.categories() == ("help_desk",)
    assert texts(source, "help_desk") == [row[0] for row in ROWS]


def test_a_column_of_the_query_has_the_categories(database: Path) -> None:
    source = open_source(settings_of(database, category="team"))
    assert source.categories() == ("App", "Web")
    assert texts(source, "Web") == ["It fails\non start", "I love it"]
    settings = load_settings(None).model_copy(update={"data": settings_of(database, category="team")})
    assert with_categories(settings).data.categories == ("App", "Web")


def test_a_misspelt_column_is_refused_with_the_nearest_one_and_without_the_path_of_the_copy(
    database: Path,
) -> None:
    with pytest.raises(UsageError, match=r"no column 'topics'\. Did you mean 'topic'\?") as error:
        open_source(settings_of(database, label="topics")).require_columns()
    assert f"sqlite:///{database}" in str(error.value)
    assert "cache" not in str(error.value)


def test_values_that_json_does_not_have_become_text(tmp_path: Path) -> None:
    moment, half = datetime.date(2026, 1, 2), "half a pair: \ud83d"
    copies.write_rows(tmp_path, "a/b", [{"at": moment, "bytes": b"\xfc yes", "text": half}], "it")
    assert (tmp_path / "a_b.jsonl").read_text() == (
        '{"at": "2026-01-02", "bytes": "\\\\xfc yes", "text": "half a pair: \\ud83d"}\n'
    )


def test_equal_rows_are_the_same_private_copy_and_a_new_row_is_another(database: Path) -> None:
    first = open_source(settings_of(database, category="team"))
    revisions = {name: first.revision(name) for name in first.categories()}
    execute(database, "update tickets set topic = topic")
    assert open_source(settings_of(database, category="team")).revision("Web") == revisions["Web"]
    (directory,) = (cache_directory() / "copies").iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IRWXU
    execute(database, "insert into tickets (body, topic, team) values ('New', 'praise', 'App')")
    later = open_source(settings_of(database, category="team"))
    assert later.revision("Web") == revisions["Web"], "only the category with a new row is read again"
    assert later.revision("App") != revisions["App"]


def test_a_step_reads_the_rows_of_the_start_of_its_run_if_they_are_kept(database: Path) -> None:
    data = settings_of(database)
    revision = open_source(data).revision("help_desk")
    execute(database, "delete from tickets where team = 'App'")
    open_source(data)
    assert len(texts(open_at_revision(data, "help_desk", revision), "help_desk")) == len(ROWS)
    for directory in (cache_directory() / "copies").iterdir():
        (directory / "help_desk.jsonl").unlink()
        directory.rmdir()
    with pytest.raises(DataError, match=r"sqlite:///.*help desk.db changed after the start of the run"):
        open_at_revision(data, "help_desk", revision)


def test_a_step_on_another_machine_runs_the_query(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = settings_of(database)
    revision = open_source(data).revision("help_desk")
    monkeypatch.setenv("XDG_CACHE_HOME", str(database.parent / "other"))
    assert len(texts(open_at_revision(data, "help_desk", revision), "help_desk")) == len(ROWS)


def test_a_copy_that_fails_leaves_nothing(database: Path) -> None:
    broken = "select body, topic from tickets union all select abs(-9223372036854775808), 1"
    with pytest.raises(UsageError, match=r"data\.query: the database says: integer overflow\."):
        open_source(settings_of(database, broken))
    assert not list((cache_directory() / "copies").iterdir())


def test_outdated_copies_are_removed_when_another_is_made(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_source(settings_of(database))
    monkeypatch.setattr(copies, "OUTDATED_SECONDS", -1)
    execute(database, "delete from tickets where team = 'App'")
    open_source(settings_of(database))
    assert len(list((cache_directory() / "copies").iterdir())) == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, r"data\.query: 'sqlite:///.*' is a database\. Set the statement"),
        ("delete from tickets", "this is another statement"),
        ("select 1; drop table tickets", "this is 2 statements"),
        ("-- nothing", "this is no statement"),
        ("select * from ticket", "the database says: no such table: ticket."),
        ("select text from tickets", "the database says: no such column: text."),
        ("select body, topic as body from tickets", "several columns of the same name: 'body'"),
        ("with gone as (select 1) delete from tickets", "this is another statement"),
    ],
)
def test_a_wrong_query_is_refused(database: Path, query: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        open_source(settings_of(database, query))
    assert "Background on this error" not in str(error.value)
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from tickets").fetchone() == (len(ROWS),)


@pytest.mark.parametrize(
    "query",
    ["select 1 as body;", "-- why\nselect 1 as body; -- ;\n", "WITH a AS (SELECT 1 AS body) SELECT * FROM a"],
)
def test_comments_and_a_semicolon_at_the_end_are_allowed(database: Path, query: str) -> None:
    assert open_source(settings_of(database, query)).categories() == ("help_desk",)


def test_a_query_without_rows_is_an_error(database: Path) -> None:
    with pytest.raises(DataError, match=r"The result of data\.query from sqlite:///.* has no rows"):
        open_source(settings_of(database, "select body, topic from tickets where 1 = 2"))


def test_the_database_cannot_be_written(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from review_sentiment.data.sources import sql

    monkeypatch.setattr(sql, "require_one_select", lambda _: None)
    with pytest.raises(UsageError, match="readonly database"):
        open_source(settings_of(database, "delete from tickets returning body, topic"))


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no database '.*missing\.db'"):
        open_source(settings_of(tmp_path / "missing.db"))
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql+nothing://h/d", r"SQLAlchemy has no 'postgresql\+nothing'"),
        ("postgresql+asyncpg://h/d", "asynchronous|is missing"),
        ("postgres://h/d", r"'postgres://h/d' is not a source\. Did you mean 'postgresql'\?"),
        ("mysql+pymysql://h:port/d", "the address of the database cannot be read"),
    ],
)
def test_a_wrong_address_is_refused(address: str, message: str) -> None:
    data = DataSettings(source=address, query=None if address.startswith("postgres:") else "select 1")
    with pytest.raises(UsageError, match=message):
        open_source(data)


def test_a_missing_driver_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"pip install 'psycopg\[binary\]'"):
        open_source(DataSettings(source="postgresql+psycopg://reader@127.0.0.1:9/shop", query="select 1"))


def test_a_server_that_does_not_answer_is_named_with_where_its_password_is_read() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(DataError, match=r"reader@127\.0\.0\.1:9/shop cannot be opened.*efused.*PGPASSWORD"):
        open_source(DataSettings(source="postgresql+psycopg://reader@127.0.0.1:9/shop", query="select 1"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:sesame@h/d",
        "postgresql+psycopg://me:ses/ame@h/d",
        "postgresql+psycopg://h/d?user=me&password=sesame",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UsageError, match="contains a password") as error:
        open_source(load_settings(None, [f"data.source={address}", "data.query=select 1"]).data)
    assert "ame" not in str(error.value).replace("name", "") + caplog.text


@pytest.mark.parametrize("source", ["embedded", "reviews.csv", "hub", "https://example.org/reviews"])
def test_a_query_of_another_source_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.query: '{source}' is not a database"):
        open_source(DataSettings(source=source, query="select 1"))
