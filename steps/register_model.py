"""Register the candidate in MLflow: champion when the gate is passed, else challenger."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.decisions import RegisteredVersionMaterializer
from review_sentiment.config import DataSettings, RegistrySettings, TrackingSettings
from review_sentiment.data.data_report import DataReport
from review_sentiment.data.review_table import ReviewTable
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Robustness
from review_sentiment.registry.gate import Verdict
from review_sentiment.registry.model_card import RegisteredVersion
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "register_model", packages=("mlflow",))


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=RegisteredVersionMaterializer,
)
def register_model(
    adapter: TrainedAdapter,
    verdict: Verdict,
    tuned: Evaluation,
    classical: Evaluation,
    reviews: list[ReviewTable],
    train: ReviewTable,
    evaluation: ReviewTable,
    report: DataReport,
    data: DataSettings,
    tracking: TrackingSettings,
    registry: RegistrySettings,
    *,
    baseline: Evaluation | None = None,
    robustness: Robustness | None = None,
) -> Annotated[RegisteredVersion, "registered"]:
    """Return the new version, with a card that says why it has its alias."""
    from zenml import get_step_context

    from review_sentiment.data.labels import LABEL_SCHEMES
    from review_sentiment.data.review_table import ingested
    from review_sentiment.registry.licences import data_licence, model_licence
    from review_sentiment.registry.model_card import CardFacts
    from review_sentiment.registry.registration import register
    from steps.lineage import lineage_of, tell_runs
    from steps.mlflow_joint import connect

    connect()
    lineage = lineage_of(get_step_context(), data.source, reviews, train, evaluation)
    facts = CardFacts(
        base=adapter.base,
        base_licence=model_licence(adapter.base),
        run_id=adapter.run_id,
        lineage=lineage,
        data_licence=data_licence(data.source),
        train_counts=train.class_counts(),
        evaluation_counts=evaluation.class_counts(),
        ingested=tuple(ingested(table) for table in reviews),
        summary=adapter.summary,
        proof=adapter.proof,
        settings=adapter.settings,
        max_tokens=adapter.max_tokens,
    )
    version = register(
        registry.model_name,
        tracking.experiment,
        adapter,
        LABEL_SCHEMES[data.labels].names,
        verdict,
        tuned,
        baseline,
        classical,
        facts,
        report,
        train,
        robustness,
    )
    tell_runs(version, lineage)
    return version
