"""Register the candidate in MLflow: as champion if it passed the gate, otherwise as challenger."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.decisions import RegisteredVersionMaterializer
from review_sentiment.config import DataSettings, RegistrySettings, TrackingSettings
from review_sentiment.data.data_report import DataReport
from review_sentiment.data.review_table import Reviews, ReviewTable
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.classification_report import ClassificationReport
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Robustness
from review_sentiment.registry.gate import Champion, Verdict
from review_sentiment.registry.model_card import TEMPLATE, RegisteredVersion
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "register_model", packages=("mlflow",), files=(TEMPLATE,))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=RegisteredVersionMaterializer)
def register_model(
    adapter: TrainedAdapter,
    verdict: Verdict,
    tuned: Evaluation,
    arms: list[Evaluation],
    champion: Champion,
    classification: ClassificationReport,
    rule: DecisionRule,
    *,
    reviews: list[Reviews],
    train: ReviewTable,
    decision: ReviewTable,
    evaluation: ReviewTable,
    report: DataReport,
    data: DataSettings,
    tracking: TrackingSettings,
    registry: RegistrySettings,
    baseline: Evaluation | None = None,
    robustness: Robustness | None = None,
) -> Annotated[RegisteredVersion, "registered"]:
    """Return the version, with a card that explains its gate; its evaluation has an MLflow run of its own.

    ZenML passes each artifact as a parameter of its own, hence the long signature.
    """
    from zenml import get_step_context

    from review_sentiment.data.columns import review_columns
    from review_sentiment.data.labels import scheme_of
    from review_sentiment.data.review_table import whole_counts
    from review_sentiment.registry.gate import Evaluations
    from review_sentiment.registry.judged import Judged
    from review_sentiment.registry.licences import data_licence, model_licence
    from review_sentiment.registry.registration import register
    from review_sentiment.registry.tuned_model import TunedModel
    from review_sentiment.tracking.provenance import SETTINGS
    from steps.lineage import lineage_of, record_version
    from steps.mlflow_connection import connect

    connect()
    context = get_step_context()
    lineage = lineage_of(context, "adapter", data.source, reviews, train, evaluation)
    model = TunedModel(
        adapter=adapter,
        settings=context.pipeline_run.config.extra[SETTINGS],
        lineage=lineage,
        base_licence=model_licence(adapter.base),
        data_licence=data_licence(data.source),
        scheme=scheme_of(data.labels),
        train=train,
        evaluation=evaluation,
        rule=rule,
        categories=whole_counts(reviews, (train, decision, evaluation)),
        columns=review_columns(data.columns),
    )
    evaluations = Evaluations(tuned, tuple(arms), baseline, robustness, champion.evaluation)
    reports = {
        "reports/data_report.html": report.html,
        "tuned/classification_report.html": classification.html,
    }
    judged = Judged(verdict, evaluations, model, reports)
    version = register(registry.model_name, tracking.experiment, judged)
    record_version(version, lineage)
    return version
