"""Reviews that may be trained on, but that the splits left over: the teacher answers them for its student."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.student import UnlabelledMaterializer
from review_sentiment.arms.teacher import Unlabelled
from review_sentiment.config import Composition, SplitSettings
from review_sentiment.data.review_table import Reviews
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "unused_reviews", packages=("pandas", "scikit-learn"))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=UnlabelledMaterializer)
def unused_reviews(
    reviews: list[Reviews],
    split: SplitSettings,
    composition: Composition,
    natural_interval: float,
    seed: int,
    most: int,
) -> Annotated[Unlabelled, "unlabelled"]:
    """Return a random sample of at most `most` reviews, topped up with training reviews; without labels."""
    from review_sentiment.arms.teacher import sampled
    from review_sentiment.data.splits import SplitRules, split_reviews

    rules = SplitRules(**split.model_dump(), composition=composition, natural_interval=natural_interval)
    parts = split_reviews(reviews, rules, seed)
    return sampled(parts.unused.sample(most, seed), parts.train.frame, most, seed)
