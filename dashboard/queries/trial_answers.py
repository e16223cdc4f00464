"""Answers to a review that somebody types: of a registered version, and of its untuned base model."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from review_sentiment.scoring.answers import labels_of

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.tracking.model_versions import ModelVersion

MAX_CHARACTERS = 20_000
MODELS_KEPT = 2
"""Pairs of models in memory: the version asked last, and the one before."""
_LOADING = threading.Lock()


class Answers(Protocol):
    """Answers reviews with a label, its probability and p_<label>."""

    def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
        """Return a row a review."""


@dataclass(frozen=True)
class Answer:
    """A label and its probability, and the labels' probabilities by name."""

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class ModelPair:
    """A version and its base model, ready to answer."""

    tuned: Answers
    baseline: Answers


def load_model_pair(version: ModelVersion) -> ModelPair:
    """Return a version and its base model; what was loaded last is kept.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    with _LOADING:  # two tabs that ask at once load once
        return _load_rivals(version.uri, version.name, version.version)


def ask(rival: Answers, title: str, text: str) -> Answer:
    """Return the answer to one review."""
    found = rival.answer([title], [text[:MAX_CHARACTERS]])
    row = found.iloc[0]
    return Answer(
        label=str(row["label"]),
        probability=float(row["probability"]),
        probabilities={label: float(row[f"p_{label}"]) for label in labels_of(found)},
    )


def probabilities_of(rival: Answers, label: str, titles: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Return the probability of a label for each review."""
    return [float(p) for p in rival.answer(titles, texts)[f"p_{label}"]]


@lru_cache(maxsize=MODELS_KEPT)
def _load_rivals(uri: str, name: str, number: str) -> ModelPair:
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.scoring.scorer import tuned_scorer, untuned_scorer
    from review_sentiment.tracking import model_versions

    version = model_versions.get_version(name, number)
    assert version.uri == uri
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        serving, adapter = model_versions.download_adapter(version, Path(scratch))
        plan = plan_compute()
        return ModelPair(tuned_scorer(adapter, plan), untuned_scorer(serving, plan))
