"""A registered version's and its untuned base model's answers to a review that somebody types."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from review_sentiment.scoring.scorer import Scorer
    from review_sentiment.tracking.model_versions import ModelVersion

MAX_CHARACTERS = 20_000
PAIRS_KEPT = 2
"""Pairs of models in memory: the last version that was used, and the one before."""
_LOADING = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """The most probable label, its probability, and all labels' probabilities by name."""

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class ModelPair:
    """A version and its base model, both loaded."""

    tuned: Scorer
    baseline: Scorer


def load_model_pair(version: ModelVersion) -> ModelPair:
    """Return a version and its base model, from memory if they were used recently.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    with _LOADING:  # two tabs that need the same version load it once
        return _load_model_pair(version.name, version.version)


def ask(scorer: Scorer, title: str, text: str) -> Answer:
    """Return the answer to one review."""
    (row,) = scorer.answer([title], [text[:MAX_CHARACTERS]]).to_dict("records")
    return Answer(
        label=str(row["label"]),
        probability=float(row["probability"]),
        probabilities={label: float(row[f"p_{label}"]) for label in scorer.labels},
    )


def probabilities_of(scorer: Scorer, label: str, titles: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Return the probability of a label for each review."""
    return [float(p) for p in scorer.answer(titles, texts)[f"p_{label}"]]


@lru_cache(maxsize=PAIRS_KEPT)
def _load_model_pair(name: str, number: str) -> ModelPair:
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.scoring.prompted_model import tuned_scorer, untuned_scorer
    from review_sentiment.scoring.version_files import load_rule
    from review_sentiment.tracking import model_versions

    version = model_versions.get_version(name, number)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        serving, adapter = model_versions.download_adapter(version, Path(scratch))
        plan = plan_compute()
        untuned = untuned_scorer(serving, load_rule(adapter).prior, plan)
        return ModelPair(tuned_scorer(adapter, plan), untuned)
