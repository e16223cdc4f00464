"""Report how the tuned and the untuned model classify, with evidently."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.report import ClassificationReportMaterializer
from review_sentiment.evaluation.classification_report import ClassificationReport
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "classification_report", packages=("evidently",))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=ClassificationReportMaterializer)
def classification_report(
    tuned: Evaluation, baseline: Evaluation | None = None
) -> Annotated[ClassificationReport, "classification_report"]:
    """Return the page."""
    from review_sentiment.evaluation.classification_report import classification_report as report_on

    return report_on(tuned, baseline)
