"""Evaluate the champion on the reviews that the candidate was evaluated on."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.champion import ChampionMaterializer
from review_sentiment.config import EvaluationSettings, ModelSettings, RegistrySettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Champion
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale.

    A new champion does not change it: a candidate is judged once.
    """
    return fingerprint(__name__, "evaluate_champion", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=ChampionMaterializer)
def evaluate_champion(
    adapter: TrainedAdapter,
    tuned: Evaluation,  # noqa: ARG001 - makes the candidate's evaluation run first
    evaluation_chats: ChatDataset,
    model: ModelSettings,
    evaluation: EvaluationSettings,
    registry: RegistrySettings,
) -> Annotated[Champion, "champion"]:
    """Return the champion's evaluation, or an empty `Champion` if there is none yet."""
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.registry.champion import evaluate_champion as evaluate_current
    from steps.mlflow_connection import connect

    connect()
    return evaluate_current(
        registry.model_name,
        adapter.run_id,
        evaluation_chats,
        plan_compute(model.device, model.precision),
        evaluation,
    )
