"""Fit the decision rule, which turns probabilities into answers, and evaluate the tuned model under it."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.decisions import DecisionRuleMaterializer
from materializers.evaluation import EvaluationMaterializer
from review_sentiment.config import DecisionSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.result import Evaluation
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "fit_decision", packages=("scikit-learn", "scipy"))


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers={"rule": DecisionRuleMaterializer, "tuned": EvaluationMaterializer},
)
def fit_decision(
    scored: Evaluation,
    evaluation_chats: ChatDataset,
    decision: DecisionSettings,
) -> tuple[Annotated[DecisionRule, "rule"], Annotated[Evaluation, "tuned"]]:
    """Return the rule and the evaluation under it. No model is loaded."""
    from review_sentiment.evaluation.result import fitted_rule

    shares = evaluation_chats.natural_shares()
    rule = fitted_rule(scored.decision, scored.metrics.labels, shares, decision)
    return rule, scored.under(rule, shares)
