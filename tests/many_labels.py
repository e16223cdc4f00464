"""Evaluations with 3 to 50 labels whose names users might choose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from review_sentiment.config import DecisionSettings
from review_sentiment.evaluation.examples import example_table, sample_table
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import prediction_table, slice_table
from review_sentiment.evaluation.result import Evaluation, fitted_rule

AWKWARD = (
    "Very negative", "Very positive", "C++", "C#", "größer", "grosser", "a/b", "A, B or C", "low_x", "x", "1",
    "label", "gold label", "unsure", "100 %", "<b>bold</b>", "$x$", "a|b", "Ärger & Frust", "日本語",
)  # fmt: skip
STARS = ("1", "2", "3", "4", "5")


def names(count: int) -> tuple[str, ...]:
    """Return so many labels, the awkward ones first."""
    return (*AWKWARD, *(f"A long name of class number {number}" for number in range(count)))[:count]


def reviews(labels: tuple[str, ...], per_label: int) -> pd.DataFrame:
    """Return reviews of each label; the first label is the rarest in production."""
    gold = np.tile(labels, per_label)
    n = len(gold)
    return pd.DataFrame(
        {
            "review_id": [f"r{number}" for number in range(n)],
            "category": np.where(np.arange(n) < n // 2, "Home & Garden", "Books"),
            "source_label": gold,
            "language": "en",
            "verified_purchase": None,
            "label": gold,
            "title": [f"title {number}" for number in range(n)],
            "text": [f"text {number}" for number in range(n)],
            "weight": 1.0 + pd.Index(labels).get_indexer(gold),
            "balanced": True,
            "prompt_tokens": 10 + np.arange(n) % 7,
            "truncated": False,
        }
    )


def evaluation(model: str, labels: tuple[str, ...], per_label: int = 8, sure: float = 3.0) -> Evaluation:
    """Return an evaluation with a rule that was fitted on its own reviews."""
    table = reviews(labels, per_label)
    rng = np.random.default_rng(len(labels))
    gold = pd.Index(labels).get_indexer(table["label"])
    scores = rng.normal(size=(len(table), len(labels))) + sure * np.eye(len(labels))[gold]
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    answered = np.where(rng.random(len(table)) < 0.02, -1, p.argmax(-1))
    predictions = prediction_table(table, labels, p, answered, np.full(len(table), 0.9))
    samples = sample_table(table, predictions, range(3), ["x"] * 3)
    found = Evaluation(
        model=model,
        metrics=compute_metrics(predictions, labels),
        predictions=predictions,
        samples=samples,
        slices=slice_table(table, predictions),
        examples=example_table(table, predictions, samples),
        stratified=predictions,
        decision=predictions,
    )
    shares = np.arange(1.0, len(labels) + 1)
    prior = tuple((shares / shares.sum()).tolist())
    return found.under(fitted_rule(predictions, labels, prior, DecisionSettings()), prior)
