"""Read, clean, label and sample the reviews of one category."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.reviews import ReviewTableMaterializer
from review_sentiment.config import CleaningSettings
from review_sentiment.data.review_table import ReviewTable
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "ingest_reviews", packages=("pandas", "pyarrow", "pydantic"))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=ReviewTableMaterializer)
def ingest_reviews(
    source: str,
    category: str,
    labels: str,
    revision: str,
    cleaning: CleaningSettings,
    needed_per_class: int,
    seed: int,
) -> Annotated[ReviewTable, "reviews"]:
    """Return a category's clean reviews.

    `labels` names a label scheme. `needed_per_class` is the number of reviews per class if `cleaning` sets
    none. `revision` is that of the source's data when the run started.
    """
    from review_sentiment.data.cleaning import CleaningRules, clean_category
    from review_sentiment.data.labels import LABEL_SCHEMES
    from review_sentiment.data.sources.catalogue import open_source
    from review_sentiment.data.sources.local import LocalFiles

    wanted = cleaning.max_per_class or needed_per_class
    rules = CleaningRules(LABEL_SCHEMES[labels], wanted, cleaning.max_broken_share)
    reviews = open_source(source)
    if isinstance(reviews, LocalFiles):
        reviews.require_revision(category, revision)
    return clean_category(category, reviews.read(category, seed), rules, seed)
