"""Train and evaluate an arm: a model that is trained on the same reviews, to compare with."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import DecisionSettings, TrainedArm
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint

PACKAGES = ("scikit-learn", "torch", "transformers", "model2vec")
"""Packages whose versions may change an arm's answers."""


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_arm", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_arm(
    train: ChatDataset,
    validation: ChatDataset,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    *,
    arm: TrainedArm,
    encoder: str | None,
    encoder_revision: str | None,
    decision: DecisionSettings,
    seed: int,
) -> Annotated[Evaluation, "arm"]:
    """Return the evaluation of an arm, under a rule of its own; `encoder` is None for arms without one."""
    from review_sentiment.arms.encoder_source import identify_encoder
    from review_sentiment.evaluation.arms import ArmTraining
    from review_sentiment.evaluation.arms import evaluate_arm as fit_and_evaluate
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.evaluation.result import under_own_rule

    base = identify_encoder(encoder, encoder_revision) if encoder else None
    training = ArmTraining(arm, train, validation, seed, base)
    found = fit_and_evaluate(training, HeldOut(evaluation_chats, decision_chats))
    return under_own_rule(found, evaluation_chats, decision)
