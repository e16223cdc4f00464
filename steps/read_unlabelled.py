"""Read a file of reviews without labels, which the teacher answers for its student."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.student import UnlabelledMaterializer
from review_sentiment.arms.teacher import Unlabelled
from review_sentiment.data.review_table import ReviewTable
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "read_unlabelled", packages=("pandas", "pyarrow", "scikit-learn"))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=UnlabelledMaterializer)
def read_unlabelled(
    decision: ReviewTable,
    evaluation: ReviewTable,
    source: str,
    content: str,  # noqa: ARG001 - part of the cache key
    text_column: str | None,
    title_column: str | None,
    seed: int,
    most: int,
) -> Annotated[Unlabelled, "unlabelled"]:
    """Return a random sample of at most `most` reviews, none of which is nearly a held-out one."""
    from pathlib import Path

    import pandas as pd

    from review_sentiment.arms import teacher
    from review_sentiment.scoring.column_choice import ColumnChoice

    held_out = pd.concat([decision.frame, evaluation.frame])
    return teacher.read_unlabelled(
        Path(source), ColumnChoice(text_column, title_column), held_out, most, seed
    )
