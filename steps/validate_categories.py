"""Check the category names against the source before anything is loaded."""

from typing import Annotated

from zenml import log_metadata, step
from zenml.config.cache_policy import CachePolicy

from review_sentiment.config import DataSettings
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "validate_categories")


@step(cache_policy=CachePolicy(cache_func=depends_on))
def validate_categories(data: DataSettings, available: list[str]) -> Annotated[list[str], "categories"]:
    """Return the categories, or fail with every wrong name and the nearest right one.

    `available` are the names that the source has now, so that a result from the
    cache is never older than they are.
    """
    from review_sentiment.data.categories import validate_categories as validate

    categories = validate(data.categories, available, data.source)
    log_metadata({"source": data.source, "categories": list(categories)})
    return list(categories)
