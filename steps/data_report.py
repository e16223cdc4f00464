"""Report what was ingested; compare evaluation with training reviews, and categories with each other."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.report import DataReportMaterializer
from review_sentiment.data.data_report import DataReport
from review_sentiment.data.review_table import Reviews, ReviewTable
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "data_report", packages=("evidently",))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=DataReportMaterializer)
def data_report(
    reviews: list[Reviews], train: ReviewTable, validation: ReviewTable, evaluation: ReviewTable
) -> Annotated[DataReport, "data_report"]:
    """Return the page and each column's distance between evaluation and training reviews."""
    from review_sentiment.data.data_report import data_report as compare
    from review_sentiment.data.review_table import whole_counts

    return compare(whole_counts(reviews, (train, validation, evaluation)), train, evaluation)
