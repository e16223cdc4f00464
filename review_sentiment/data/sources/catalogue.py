"""The sources that `data.source` can name."""

from review_sentiment.data.sources.source import EMBEDDED, HUB, UCSD, ReviewSource
from review_sentiment.errors import UsageError


def open_source(name: str) -> ReviewSource:
    """Return the source that `data.source` names.

    Raises:
        UsageError: the name is not a source.
        DataError: the package with the embedded reviews is missing.
    """
    if name == EMBEDDED:
        from review_sentiment.data.sources.embedded import EmbeddedReviews

        return EmbeddedReviews()
    if name == HUB or name.startswith("hf://"):
        from review_sentiment.data.sources.hub import HubDataset

        return HubDataset(name)
    if name == UCSD or name.startswith(("http://", "https://")):
        from review_sentiment.data.sources.web import WebDirectory

        return WebDirectory(name)
    if "://" in name:
        raise UsageError(
            f"data.source: '{name}' is not a source. Use '{EMBEDDED}', '{HUB}', '{UCSD}', "
            "hf://datasets/OWNER/NAME, an http(s) address, or a directory of .jsonl files."
        )
    from review_sentiment.data.sources.local import LocalFiles

    return LocalFiles(name)
