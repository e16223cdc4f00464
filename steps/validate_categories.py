"""Check the category names against the source before anything is loaded."""

from zenml import log_metadata, step
from zenml.config.cache_policy import CachePolicy

from review_sentiment.config import DataSettings
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "validate_categories")


@step(cache_policy=CachePolicy(cache_func=depends_on), enable_cache=False)
def validate_categories(data: DataSettings) -> list[str]:
    """Return the categories, or fail with every wrong name and the nearest right one.

    It is never cached: it takes milliseconds, and the source may have changed.
    """
    from review_sentiment.categories import validate_categories as validate
    from review_sentiment.sources import open_source

    source = open_source(data.source)
    categories = validate(data.categories, source.categories(), source.name)
    log_metadata({"source": source.name, "categories": list(categories)})
    return list(categories)
