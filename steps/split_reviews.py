"""Split the reviews of all categories into parts that share no product, user or text."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.reviews import ReviewTableMaterializer
from review_sentiment.config import Composition, SplitSettings
from review_sentiment.data.review_table import Reviews, ReviewTable
from steps.source_fingerprint import fingerprint

PARTS = ("train", "validation", "decision", "evaluation")


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "split_reviews", packages=("pandas", "scikit-learn"))


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    # With one materializer for all outputs, ZenML 0.98 would order them like a set: the order is part of
    # the cache key and differs from process to process.
    output_materializers=dict.fromkeys(PARTS, ReviewTableMaterializer),
)
def split_reviews(
    reviews: list[Reviews],
    split: SplitSettings,
    composition: Composition,
    natural_interval: float,
    seed: int,
) -> tuple[
    Annotated[ReviewTable, "train"],
    Annotated[ReviewTable, "validation"],
    Annotated[ReviewTable, "decision"],
    Annotated[ReviewTable, "evaluation"],
]:
    """Return training, validation and evaluation reviews, and those that the decision rule is fitted on."""
    from review_sentiment.data.splits import SplitRules
    from review_sentiment.data.splits import split_reviews as divide

    rules = SplitRules(**split.model_dump(), composition=composition, natural_interval=natural_interval)
    parts = divide(reviews, rules, seed)
    return parts.train, parts.validation, parts.decision, parts.evaluation
