"""Evaluate the untuned model."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import EvaluationSettings, ModelSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    packages = ("torch", "transformers", "bitsandbytes", "scikit-learn")
    return fingerprint(__name__, "evaluate_baseline", packages)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_baseline(
    evaluation_chats: ChatDataset, model: ModelSettings, evaluation: EvaluationSettings
) -> Annotated[Evaluation, "baseline"]:
    """Return the evaluation of the untuned model on the first `baseline_samples` reviews."""
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
    from review_sentiment.models.base_model import identify
    from review_sentiment.models.compute import plan_compute

    chats = HeldOut(evaluation_chats.balanced().head(evaluation.baseline_samples))
    plan = plan_compute(model.device, model.precision)
    found = evaluate_model(identify(model), None, chats, plan, evaluation)
    # No validation reviews are spent on a model that nobody will use: only the shares are corrected.
    shares = evaluation_chats.natural_shares()
    return found.under(DecisionRule.raw(evaluation_chats.labels, shares), shares)
