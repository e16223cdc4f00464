"""The sources that `data.source` can name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.config import DataSettings, Settings
from review_sentiment.data.columns import AMAZON, Columns, columns_of
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.source import EMBEDDED, HUB, UCSD, ReviewSource
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.data.sources.copies import Origin
    from review_sentiment.data.sources.local import LocalFiles

ON_THE_HUB = "hf://"
ON_THE_WEB = ("http://", "https://")


def open_source(data: DataSettings) -> ReviewSource:
    """Return the source that `data.source` names, as it is now; `data.categories` is not used.

    A table that is elsewhere is copied to the cache.

    Raises:
        UsageError: the name is not a source.
        DataError: it cannot be read, or the package with the embedded reviews is missing.
    """
    name = data.source
    origin = origin_of(name, data.query)
    if origin is not None:
        from review_sentiment.data.sources.copies import copy_of

        return _copied(data, copy_of(origin))
    if name == EMBEDDED:
        from review_sentiment.data.sources.embedded import COLUMNS, EmbeddedReviews

        return EmbeddedReviews(_rows(data, COLUMNS))
    if name == HUB or name.startswith(ON_THE_HUB):
        from review_sentiment.data.sources.hub import HubDataset

        return HubDataset(name, _rows(data))
    if name == UCSD or name.startswith(ON_THE_WEB):
        from review_sentiment.data.sources.web import WebDirectory

        return WebDirectory(name, _rows(data))
    from review_sentiment.data.sources.local import LocalFiles

    return LocalFiles(name, _rows(data))


def open_at_revision(data: DataSettings, category: str, revision: str) -> ReviewSource:
    """Return the source with the rows of a category that it had when the run started.

    Raises:
        DataError: they have changed.
    """
    from review_sentiment.data.sources.copies import kept_copies
    from review_sentiment.data.sources.local import LocalFiles

    origin = origin_of(data.source, data.query)
    for copy in kept_copies(origin) if origin else ():
        kept = _copied(data, copy)
        if category in kept.categories() and kept.revision(category) == revision:
            return kept
    source = open_source(data)
    if isinstance(source, LocalFiles):
        source.require_revision(category, revision)
    return source


def origin_of(name: str, query: str | None) -> Origin | None:
    """Return the table that is elsewhere and named by an address, or None for another source.

    Raises:
        UsageError: the address is none.
    """
    if "://" not in name and query is None:
        return None  # a cached run imports no more than that
    from review_sentiment.data.sources.sql import DATABASES, SqlQuery, is_database

    if is_database(name):
        return SqlQuery(name, query)
    if query is not None:
        raise UsageError(
            f"data.query: '{name}' is not a database. Leave the query out, or set data.source to an address "
            "such as sqlite:///FILE."
        )
    if name.startswith(ON_THE_HUB):
        from review_sentiment.data.sources.hub_table import hub_table

        return hub_table(name)
    from review_sentiment.data.sources.addresses import (
        FileSystemTables,
        WebTable,
        is_file_on_the_web,
        is_file_system,
    )

    if name.startswith(ON_THE_WEB):
        return WebTable(name) if is_file_on_the_web(name) else None
    if is_file_system(name):
        return FileSystemTables(name)
    raise UsageError(
        f"data.source: '{name}' is not a source.{did_you_mean(name.partition('://')[0], DATABASES)} Use "
        f"'{EMBEDDED}', '{HUB}', '{UCSD}', a file, pattern or directory of tables, or an address: "
        "hf://datasets/OWNER/NAME, https://HOST/FILE, s3://BUCKET/PREFIX or another file system of fsspec's, "
        "sqlite:///FILE or another database."
    )


def table_of(data: DataSettings) -> Path:
    """Return the file or directory on this machine with the rows of a table, a copy if it is elsewhere.

    Raises:
        UsageError: the source is not one table.
        DataError: it cannot be read.
    """
    origin = origin_of(data.source, data.query)
    if origin is not None:
        from review_sentiment.data.sources.copies import copy_of

        copy = copy_of(origin)
        files = list(copy.iterdir())
        return files[0] if len(files) == 1 else copy
    path = Path(data.source).expanduser()
    if "://" in data.source or (data.source in (EMBEDDED, HUB, UCSD) and not path.exists()):
        raise UsageError(
            f"'{data.source}' is not one table: its categories are files of their own. Name a file on this "
            "machine, or the address of one."
        )
    return path


def _copied(data: DataSettings, copy: Path) -> LocalFiles:
    from review_sentiment.data.sources.local import LocalFiles

    return LocalFiles(str(copy), _rows(data), copied_from=data.source)


def _rows(data: DataSettings, own: Columns = AMAZON) -> RowFormat:
    return RowFormat(columns_of(data.columns, own), scheme_of(data.labels).has_stars)


def is_elsewhere(name: str) -> bool:
    """Return whether opening a source takes a network, or running a query."""
    return name in (HUB, UCSD) or "://" in name


def with_categories(settings: Settings, source: ReviewSource | None = None) -> Settings:
    """Return the settings that name all categories of the source if they name none; it may be open already.

    Raises:
        UsageError: the source is on the network, where its categories must be named, or it does not exist.
        DataError: its tables cannot be read.
    """
    data = settings.data
    if data.categories:
        return settings
    source = source or open_source(data)
    if source.needs_names:
        raise UsageError(
            f"data.categories: name the categories to read from '{data.source}', which may have many large "
            "ones, such as data.categories=All_Beauty,Software (docs/data.md)."
        )
    named = data.model_copy(update={"categories": source.categories()})
    return settings.model_copy(update={"data": named})
