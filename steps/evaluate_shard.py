"""Evaluate the tuned model on one shard of the reviews, in parallel with the other shards."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import EvaluationSettings, ModelSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_shard", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_shard(
    adapter: TrainedAdapter,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    model: ModelSettings,
    evaluation: EvaluationSettings,
    shard: int,
) -> Annotated[Evaluation, "shard"]:
    """Return the evaluation of every `evaluation.shards`-th review, starting at index `shard`."""
    from review_sentiment.evaluation import evaluate as evaluations
    from review_sentiment.models.compute import plan_compute

    return evaluations.evaluate_shard(
        adapter.base,
        adapter.directory,
        evaluations.HeldOut(evaluation_chats, decision_chats),
        plan_compute(model.device, model.precision),
        evaluation,
        shard,
        adapter.summary.seconds,
    )
