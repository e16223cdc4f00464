"""evidently's classification report has the same metrics as ours, and loads nothing."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from review_sentiment.data.labels import STAR_SCHEMES
from review_sentiment.evaluation.classification_report import classification_report
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.scoring.answers import probability_columns


def evaluation(model: str, labels: tuple[str, ...], count: int, unparsed: int) -> Evaluation:
    """Return made answers, of which the first ones are none of the labels."""
    random = np.random.default_rng(count)
    gold = np.arange(count) % len(labels)
    weights = random.random((count, len(labels))) + np.eye(len(labels))[gold] * 0.5
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    answered = probabilities.argmax(axis=1)
    answered[:unparsed] = -1
    reviews = pd.DataFrame(
        {
            "review_id": [str(row) for row in range(count)],
            "category": "Tops",
            "label": np.array(labels)[gold],
        }
    )
    table = prediction_table(reviews, labels, probabilities, answered, np.ones(count))
    return Evaluation(model, compute_metrics(table, labels), table, pd.DataFrame(), pd.DataFrame())


@pytest.mark.parametrize("scheme", ["binary", "neutral", "stars"])
def test_evidentlys_metrics_are_ours_for_the_likeliest_label(scheme: str) -> None:
    labels = STAR_SCHEMES[scheme].names
    tuned, baseline = evaluation("tuned", labels, 90, 9), evaluation("baseline", labels, 40, 40)
    report = classification_report(tuned, baseline)
    assert report.figures["Accuracy"] == pytest.approx(tuned.metrics.constrained_accuracy)
    assert report.figures["RocAuc"] == pytest.approx(tuned.metrics.roc_auc)
    assert report.figures["LogLoss"] == pytest.approx(
        log_loss(tuned.predictions["gold"], tuned.predictions[probability_columns(labels)], labels=labels)
    )
    ours = report.html[report.html.index("<div class='ours'>") :].split("</div>")[0]
    for shown in (tuned.metrics.shown("accuracy"), baseline.metrics.shown("constrained_accuracy"), "100.0%"):
        assert shown in ours
    assert ("its precision, recall and F1 are those of" in ours) == (scheme == "binary")


def test_without_a_baseline_the_tuned_model_is_shown_alone() -> None:
    report = classification_report(evaluation("tuned", ("negative", "positive"), 90, 0), None)
    assert "untuned (reference)" not in report.html
    assert "reference" not in re.sub(r"<script.*?</script>", "", report.html, flags=re.DOTALL).lower()
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", report.html)
