"""Train and evaluate the classical model that the tuned model must beat."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import DecisionSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_classical", packages=("scikit-learn",))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_classical(
    train: ChatDataset,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    decision: DecisionSettings,
    seed: int,
) -> Annotated[Evaluation, "classical"]:
    """Return the evaluation of logistic regression on TF-IDF features, under a rule of its own."""
    from review_sentiment.evaluation.classical import evaluate_classical as fit_and_evaluate
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.evaluation.result import fitted_rule

    found = fit_and_evaluate(train, HeldOut(evaluation_chats, decision_chats), seed)
    shares = evaluation_chats.natural_shares()
    rule = fitted_rule(found.decision, found.metrics.labels, shares, decision)
    return found.under(rule, shares)
