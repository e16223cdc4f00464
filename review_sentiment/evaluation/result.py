"""The result of an evaluation: predictions, the metrics computed from them, and examples to read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.audit import Audit
from review_sentiment.evaluation.cost import Cost
from review_sentiment.evaluation.examples import example_table, sample_table
from review_sentiment.evaluation.metrics import Metrics, compute_metrics
from review_sentiment.evaluation.natural import NaturalMetrics, natural_metrics
from review_sentiment.evaluation.predictions import answers_of, slice_table

if TYPE_CHECKING:
    from review_sentiment.config import DecisionSettings
    from review_sentiment.data.chats import ChatDataset


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions with their metrics and examples.

    `metrics`, `predictions` and `slices` are those of the balanced evaluation reviews; `stratified` has the
    predictions of all of them, more of the frequent labels included, and `natural` the metrics at the natural
    share, once there is a decision rule. `decision` has the predictions that a rule can be fitted on. The
    tables are those of `predictions.py`, `samples` and `examples` those of `examples.py`.
    """

    model: str
    metrics: Metrics
    predictions: pd.DataFrame
    samples: pd.DataFrame
    slices: pd.DataFrame
    audit: Audit = field(default_factory=Audit)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Empty if the evaluation was read from a run, which stores no texts beside the answers."""
    stratified: pd.DataFrame = field(default_factory=pd.DataFrame)
    decision: pd.DataFrame = field(default_factory=pd.DataFrame)
    natural: NaturalMetrics | None = None
    rule: DecisionRule | None = None
    """The rule that `natural` and the answers in `stratified` follow from."""
    cost: Cost | None = None
    """None for a champion, whose evaluation here is not its own."""

    def under(self, rule: DecisionRule, shares: tuple[float, ...]) -> Evaluation:
        """Return the evaluation under a rule: what it answers, and the metrics at the natural shares."""
        return replace(
            self,
            stratified=decided(self.stratified, rule),
            natural=natural_metrics(self.stratified, rule, shares),
            rule=rule,
        )


def decided(predictions: pd.DataFrame, rule: DecisionRule) -> pd.DataFrame:
    """Return a table of predictions with the answers of a rule in the column `decided`."""
    probabilities = rule.probabilities(answers_of(predictions, rule.labels).log_probs)
    answers = np.array(rule.labels, dtype=object)[rule.answers(probabilities)]
    return predictions.assign(decided=pd.Series(answers, dtype="str"))


def fitted_rule(
    predictions: pd.DataFrame,
    labels: tuple[str, ...],
    shares: tuple[float, ...],
    settings: DecisionSettings,
) -> DecisionRule:
    """Fit a rule for these natural shares on a table of predictions on the decision reviews.

    Raises:
        DataError: the reviews are too few for what the settings ask for.
    """
    from review_sentiment.decision.fit import fit_rule
    from review_sentiment.decision.labelled_scores import LabelledScores

    answers = answers_of(predictions, labels)
    scores = LabelledScores(answers.log_probs, answers.gold, predictions["weight"].to_numpy())
    return fit_rule(scores, labels, shares, settings)


def under_own_rule(found: Evaluation, chats: ChatDataset, settings: DecisionSettings) -> Evaluation:
    """Return an evaluation on chats under a rule that is fitted on its own decision reviews.

    Raises:
        DataError: the reviews are too few for what the settings ask for.
    """
    shares = chats.natural_shares()
    return found.under(fitted_rule(found.decision, chats.labels, shares, settings), shares)


def evaluation_of(
    model: str,
    chats: ChatDataset,
    predictions: pd.DataFrame,
    samples: pd.DataFrame | None = None,
    audit: Audit | None = None,
) -> Evaluation:
    """Compute an evaluation from a table of predictions, which has the rows of the chats."""
    if samples is None:
        samples = sample_table(chats.frame, predictions, [], [])
    core = chats.balanced()
    balanced = predictions[chats.frame["balanced"].to_numpy()].reset_index(drop=True)
    return Evaluation(
        model=model,
        metrics=compute_metrics(balanced, chats.labels),
        predictions=balanced,
        samples=samples,
        slices=slice_table(core.frame, balanced),
        audit=audit or Audit(),
        examples=example_table(core.frame, balanced, samples),
        stratified=predictions,
    )
