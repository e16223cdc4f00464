"""Read, clean, label and sample the reviews of one category."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.reviews import ReviewTableMaterializer
from review_sentiment.config import CleaningSettings, ColumnSettings, DataSettings, Labels
from review_sentiment.data.review_table import ReviewTable
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "ingest_reviews", packages=("pandas", "pyarrow", "pydantic"))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=ReviewTableMaterializer)
def ingest_reviews(
    source: str,
    query: str | None,
    columns: ColumnSettings,
    category: str,
    labels: Labels,
    revision: str,
    cleaning: CleaningSettings,
    needed_per_class: int,
    kept_per_class: int,
    needs_time: bool,
    seed: int,
) -> Annotated[ReviewTable, "reviews"]:
    """Return a category's clean reviews.

    The splits need `needed_per_class` reviews of the rarest class, and keep
    `kept_per_class` of the others. `revision` is that of the source's data when the run started.
    """
    from review_sentiment.data.cleaning import CleaningRules, clean_category
    from review_sentiment.data.labels import scheme_of
    from review_sentiment.data.sources.catalogue import open_at_revision

    scheme = scheme_of(labels)
    rules = CleaningRules.of(scheme, cleaning, needed_per_class, kept_per_class, needs_time=needs_time)
    data = DataSettings(source=source, query=query, columns=columns, labels=labels)
    reviews = open_at_revision(data, category, revision)
    return clean_category(category, reviews.read(category, seed), rules, seed)
