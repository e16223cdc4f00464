"""Train and evaluate an arm: a model that is trained on the same reviews, to compare with."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import DecisionSettings, TrainedArm
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint

PACKAGES = ("scikit-learn", "torch", "transformers")
"""Packages whose versions may change an arm's answers."""


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_arm", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_arm(
    train: ChatDataset,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    arm: TrainedArm,
    decision: DecisionSettings,
    seed: int,
) -> Annotated[Evaluation, "arm"]:
    """Return the evaluation of an arm, under a rule of its own."""
    from review_sentiment.evaluation.arms import evaluate_arm as fit_and_evaluate
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.evaluation.result import fitted_rule

    found = fit_and_evaluate(arm, train, HeldOut(evaluation_chats, decision_chats), seed)
    shares = evaluation_chats.natural_shares()
    rule = fitted_rule(found.decision, found.metrics.labels, shares, decision)
    return found.under(rule, shares)
