"""The rows of a query from a real PostgreSQL, which asks for a password."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import DataError, UsageError
from tests.ports import free_ports
from tests.remote.engines import Login, postgres_engine
from tests.remote.server import Server

psycopg = pytest.importorskip("psycopg", reason="the extra `sql` is not installed")
pytestmark = [
    pytest.mark.remote,
    pytest.mark.skipif(
        not list(Path("/usr/lib/postgresql").glob("*/bin")),
        reason="PostgreSQL is not installed: tests/remote/install.sh",
    ),
]

ROWS = 50_000
LOGIN = Login("reader", secrets.token_urlsafe())
QUERY = """
select body, topic, at, price::numeric, '{"a": 1}'::json as more
from tickets where body like '%o%' order by id -- two colons, percent signs, lines
"""


@pytest.fixture(scope="module")
def address(directory: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    own = directory / "query"  # the engines of the other tests have a PostgreSQL too
    own.mkdir()
    server: Server = postgres_engine(own, port, LOGIN)
    server.start()
    try:
        with psycopg.connect(
            host="127.0.0.1", port=port, user=LOGIN.user, password=LOGIN.password, dbname="postgres"
        ) as connection:
            connection.execute(
                "create table tickets (id int, body text, topic text, at timestamptz, price text)"
            )
            connection.execute("create sequence numbers")
            connection.execute(
                "insert into tickets select i, 'no ' || i, case i % 2 when 0 then 'bug' else 'praise' end, "
                f"'2026-01-02 03:04:05+00', '1.50' from generate_series(1, {ROWS}) i"
            )
        yield f"postgresql+psycopg://{LOGIN.user}@127.0.0.1:{port}/postgres"
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PGPASSWORD", LOGIN.password)


def settings_of(address: str, query: str = QUERY) -> DataSettings:
    columns = {"text": "body", "label": "topic", "time": "at", "group": "price"}
    return DataSettings.model_validate(
        {"source": address, "query": query, "columns": columns, "labels": ["bug", "praise"]}
    )


def test_the_rows_are_those_of_the_query_and_equal_ones_are_the_same_revision(address: str) -> None:
    source = open_source(settings_of(address))
    assert source.categories() == ("postgres",)
    found = [record for chunk in source.read("postgres", seed=1).chunks for record in chunk.rows]
    assert len(found) == ROWS
    first = found[0]
    assert isinstance(first, ReviewRecord)
    assert (first.text, first.label, first.group) == ("no 1", "praise", "1.50")
    assert open_source(settings_of(address)).revision("postgres") == source.revision("postgres")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select body from ticket", 'relation "ticket" does not exist'),
        ("select bodi from tickets", 'column "bodi" does not exist'),
        ("select body, topic into other from tickets", "INTO is not allowed here"),
        ("with gone as (delete from tickets returning *) select * from gone", "DECLARE CURSOR must not"),
        ("select nextval('numbers') as body, 'bug' as topic", "read-only transaction"),
    ],
)
def test_the_database_says_what_is_wrong_and_is_not_written(address: str, query: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.query: the database says: .*({message})"):
        open_source(settings_of(address, query))


def test_a_wrong_password_is_named_with_where_it_is_read(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "sesame")
    with pytest.raises(DataError, match=r"password authentication failed.*PGPASSWORD or ~/\.pgpass") as error:
        open_source(settings_of(address))
    assert "sesame" not in str(error.value)
