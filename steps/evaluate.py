"""Evaluate the tuned model and write the result to the candidate's run."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import EvaluationSettings, ModelSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "scikit-learn")
"""Packages whose version changes what a tuned model answers."""


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "evaluate", packages=PACKAGES)


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=EvaluationMaterializer,
)
def evaluate(
    adapter: TrainedAdapter,
    evaluation_chats: ChatDataset,
    model: ModelSettings,
    evaluation: EvaluationSettings,
) -> Annotated[Evaluation, "tuned"]:
    """Return the evaluation of the adapter as it was saved."""
    from review_sentiment.evaluation.evaluate import evaluate_model
    from review_sentiment.evaluation.result import with_calibration
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.tracking import candidate
    from steps.mlflow_joint import connect, record_evaluation

    connect()
    candidate.require_run(adapter.run_id)
    plan = plan_compute(model.device, model.precision)
    found = evaluate_model(adapter.base, adapter.directory, evaluation_chats, plan, evaluation)
    result = with_calibration(found, adapter.validation)
    record_evaluation(adapter, evaluation_chats, result)
    return result
