"""The sources that `data.source` can name."""

from review_sentiment.config import DataSettings, Settings
from review_sentiment.data.columns import AMAZON, Columns, columns_of
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.source import EMBEDDED, HUB, UCSD, ReviewSource
from review_sentiment.errors import UsageError


def open_source(data: DataSettings) -> ReviewSource:
    """Return the source that `data.source` names; `data.categories` is not used.

    Raises:
        UsageError: the name is not a source.
        DataError: the package with the embedded reviews is missing.
    """
    name = data.source

    def rows(own: Columns) -> RowFormat:
        return RowFormat(columns_of(data.columns, own), scheme_of(data.labels).has_stars)

    if name == EMBEDDED:
        from review_sentiment.data.sources.embedded import COLUMNS, EmbeddedReviews

        return EmbeddedReviews(rows(COLUMNS))
    if name == HUB or name.startswith("hf://"):
        from review_sentiment.data.sources.hub import HubDataset

        return HubDataset(name, rows(AMAZON))
    if name == UCSD or name.startswith(("http://", "https://")):
        from review_sentiment.data.sources.web import WebDirectory

        return WebDirectory(name, rows(AMAZON))
    if "://" in name:
        raise UsageError(
            f"data.source: '{name}' is not a source. Use '{EMBEDDED}', '{HUB}', '{UCSD}', "
            "hf://datasets/OWNER/NAME, an http(s) address, or a file, pattern or directory of tables."
        )
    from review_sentiment.data.sources.local import LocalFiles

    return LocalFiles(name, rows(AMAZON))


def is_remote(name: str) -> bool:
    """Return whether a source is on the network, where listing or reading all categories is expensive."""
    return name in (HUB, UCSD) or "://" in name


def with_categories(settings: Settings) -> Settings:
    """Return the settings that name all categories of the source if they name none.

    Raises:
        UsageError: the source is on the network, where its categories must be named, or it does not exist.
        DataError: its tables cannot be read.
    """
    data = settings.data
    if data.categories:
        return settings
    if is_remote(data.source):
        raise UsageError(
            f"data.categories: name the categories to read from '{data.source}', which may have many large "
            "ones, such as data.categories=All_Beauty,Software (docs/data.md)."
        )
    named = data.model_copy(update={"categories": open_source(data).categories()})
    return settings.model_copy(update={"data": named})
