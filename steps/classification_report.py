"""Show how the tuned model classifies beside the untuned one: evidently's report."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.report import ClassificationReportMaterializer
from review_sentiment.evaluation.classification_report import ClassificationReport
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "classification_report", packages=("evidently",))


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=ClassificationReportMaterializer,
)
def classification_report(
    adapter: TrainedAdapter, tuned: Evaluation, baseline: Evaluation | None = None
) -> Annotated[ClassificationReport, "classification_report"]:
    """Return the page, which the candidate's run gets too."""
    from review_sentiment.evaluation.classification_report import classification_report as report_on
    from review_sentiment.tracking import candidate, mlflow_store
    from steps.mlflow_joint import connect

    connect()
    candidate.require_run(adapter.run_id)
    report = report_on(tuned, baseline)
    candidate.log_text(adapter.run_id, report.html, f"{mlflow_store.TUNED}/classification_report.html")
    return report
