"""The gate: compare the tuned model with the untuned one, the arms and the champion."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.decisions import VerdictMaterializer
from review_sentiment.config import GateSettings
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Champion, Verdict
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "compare")


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=VerdictMaterializer)
def compare(
    adapter: TrainedAdapter,
    tuned: Evaluation,
    arms: list[Evaluation],
    champion: Champion,
    gate: GateSettings,
    baseline: Evaluation | None = None,
) -> Annotated[Verdict, "verdict"]:
    """Return every gate check with its figures."""
    from review_sentiment.registry.gate import Evaluations, judge

    return judge(Evaluations(tuned, tuple(arms), baseline), champion, adapter.proof, gate)
