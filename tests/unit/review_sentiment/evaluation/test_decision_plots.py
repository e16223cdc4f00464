"""The figure of a decision rule shows the figures of the evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from review_sentiment.decision.rule import Band, DecisionRule, Threshold
from review_sentiment.evaluation.decision_curves import THRESHOLDS
from review_sentiment.evaluation.decision_plots import decision_figure
from review_sentiment.evaluation.natural import natural_metrics
from tests.unit.review_sentiment.evaluation.test_natural import LABELS, SHARES, table


def test_the_curves_meet_the_metrics_at_the_rule() -> None:
    rng = np.random.default_rng(3)
    gold = np.repeat([0, 1], [60, 140])
    p = np.clip(rng.normal(0.3 + 0.5 * gold, 0.2), 0.01, 0.99)
    predictions = table(gold.tolist(), p.tolist(), rng.uniform(1, 3, 200).tolist())
    rule = replace(
        DecisionRule.raw(LABELS, SHARES),
        threshold=Threshold(0, float(THRESHOLDS[40])),
        band=Band(0.7, risk=0.1, confidence=0.9),
    )
    found = natural_metrics(predictions, rule, SHARES)
    _, threshold, risk = decision_figure(predictions, rule).axes
    curves = {line.get_label(): line for line in (*threshold.lines, *risk.lines)}
    assert curves["precision"].get_ydata()[40] == pytest.approx(found.precision["negative"])
    assert curves["recall"].get_ydata()[40] == pytest.approx(found.recall["negative"])
    assert curves["risk"].get_ydata()[-1] == pytest.approx(1 - found.accuracy)
    assert curves["risk"].get_xdata()[-1] == pytest.approx(1)
    assert curves[f"the rule: {THRESHOLDS[40]:.2f}"].get_xdata()[0] == THRESHOLDS[40]
    assert curves["requested"].get_ydata()[0] == 0.1
