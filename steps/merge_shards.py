"""Merge the evaluations of the shards."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import EvaluationSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "merge_shards", packages=("scikit-learn",))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def merge_shards(
    adapter: TrainedAdapter,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    shards: list[Evaluation],
    evaluation: EvaluationSettings,
) -> Annotated[Evaluation, "scored"]:
    """Return the same evaluation as a single `evaluate` step."""
    from review_sentiment.evaluation import evaluate as evaluations
    from review_sentiment.training.checkpoints import clear_checkpoints
    from steps.mlflow_connection import connect_to_run

    connect_to_run(adapter)
    chats = evaluations.HeldOut(evaluation_chats, decision_chats)
    result = evaluations.merge_shards(shards, chats, evaluation.sample_predictions)
    clear_checkpoints(adapter.checkpoints)  # the adapter that was evaluated came from the artifact store
    return result
