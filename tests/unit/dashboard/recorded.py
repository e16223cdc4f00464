"""Evaluations and versions as they are recorded, for the tests of the pages that show them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from dashboard.queries.comparison import Choice, RecordedEvaluation
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import decided
from review_sentiment.tracking.model_versions import ModelVersion

LABELS = ("negative", "positive")


def version(number: str, *aliases: str, **tags: str) -> ModelVersion:
    """Return a version whose tags say that it passed the gate, unless other tags are given."""
    return ModelVersion(
        "m",
        number,
        aliases,
        f"models:/m/{number}",
        "run",
        datetime.now(UTC),
        {"gate": "passed"} | tags,
        f"m-{number}",
    )


def recorded(model: str, p_positive: list[float], first: int = 0) -> RecordedEvaluation:
    """Return the evaluation of a model that answers so to reviews that are negative and positive in turn.

    The reviews are numbered from `first`, which is even.
    """
    n = len(p_positive)
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{number}" for number in range(first, first + n)],
            "category": ["Tops", "Shoes"] * (n // 2),
            "label": list(LABELS) * (n // 2),
        }
    )
    p = np.array([[1 - value, value] for value in p_positive])
    frame = prediction_table(reviews, LABELS, p, p.argmax(1), np.ones(n))
    choice, rule = Choice(model, model, version(model), model), DecisionRule.raw(LABELS, (0.5, 0.5))
    shares = dict(zip(LABELS, rule.prior, strict=True))
    return RecordedEvaluation(choice, frame, decided(frame, rule), rule, shares)


def two() -> tuple[RecordedEvaluation, RecordedEvaluation]:
    """Return two models: the second wins an answer, loses one, and both get one wrong."""
    first = recorded("tfidf", [0.1, 0.9, 0.8, 0.9, 0.1, 0.2])  # r2 and r5 wrong
    second = recorded("tuned", [0.1, 0.9, 0.1, 0.9, 0.7, 0.3])  # r4 and r5 wrong
    return first, second


def texts(n: int) -> pd.DataFrame:
    """Return the reviews r0 to r(n-1) as a version keeps them."""
    return pd.DataFrame(
        {
            "review_id": [f"r{number}" for number in range(n)],
            "category": ["Tops", "Shoes"] * (n // 2),
            "source_label": list(LABELS) * (n // 2),
            "language": "en",
            "verified_purchase": [True, False] * (n // 2),
            "label": list(LABELS) * (n // 2),
            "title": "T",
            "text": list("abcdefghijkl"[:n]),
        }
    )
