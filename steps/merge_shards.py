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
    shards: list[Evaluation],
    evaluation: EvaluationSettings,
) -> Annotated[Evaluation, "tuned"]:
    """Return the same evaluation as a single `evaluate` step."""
    from review_sentiment.evaluation import evaluate as evaluations
    from review_sentiment.evaluation.result import with_calibration
    from review_sentiment.training.checkpoints import clear_checkpoints
    from steps.mlflow_connection import connect_to_run

    connect_to_run(adapter)
    found = evaluations.merge_shards(shards, evaluation_chats, evaluation.sample_predictions)
    result = with_calibration(found, adapter.validation)
    clear_checkpoints(adapter.checkpoints)  # the adapter that was evaluated came from the artifact store
    return result
