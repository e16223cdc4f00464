"""Check the category names against the source before anything is downloaded."""

from typing import Annotated

from zenml import log_metadata, step
from zenml.config.cache_policy import CachePolicy

from review_sentiment.config import DataSettings
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "validate_categories")


@step(cache_policy=CachePolicy(cache_func=depends_on))
def validate_categories(data: DataSettings, available: list[str]) -> Annotated[list[str], "categories"]:
    """Return the categories, or fail with each unknown name and the closest known one.

    `available` are the source's categories at the start of the run: as a parameter they are part of the
    cache key, so that a cached result is never outdated.
    """
    from review_sentiment.data.categories import validate_categories as validate

    categories = validate(data.categories, available, data.source)
    log_metadata({"source": data.source, "categories": list(categories)})
    return list(categories)
