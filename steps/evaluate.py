"""Score the held-out reviews with the tuned model: those to evaluate, and those that a rule is fitted on."""

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
"""Packages whose versions may change a tuned model's answers."""


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate", packages=PACKAGES)


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=EvaluationMaterializer,
    enable_artifact_visualization=False,  # fit_decision shows the same figures, and those of the rule
)
def evaluate(
    adapter: TrainedAdapter,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    model: ModelSettings,
    evaluation: EvaluationSettings,
) -> Annotated[Evaluation, "scored"]:
    """Return the evaluation of the saved adapter, which has no decision rule yet."""
    from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.training.checkpoints import clear_checkpoints
    from steps.mlflow_connection import connect_to_run

    plan = plan_compute(model.device, model.precision)
    connect_to_run(adapter)
    chats = HeldOut(evaluation_chats, decision_chats)
    result = evaluate_model(adapter.base, adapter.directory, chats, plan, evaluation, adapter.summary.seconds)
    clear_checkpoints(adapter.checkpoints)  # the adapter that was evaluated came from the artifact store
    return result
