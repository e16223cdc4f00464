"""Answers to a review that somebody types: of a registered version, and of its untuned base model."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.registry import ModelVersion
    from review_sentiment.scorer import Serving

MOST_CHARACTERS = 20_000
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
class Rivals:
    """A version and its base model, ready to answer."""

    tuned: Answers
    baseline: Answers


class UntunedScorer:
    """The base model without its adapter, asked in the words that the version was trained with."""

    def __init__(self, serving: Serving) -> None:
        """Load the base model.

        Raises:
            ModelUnavailableError: it cannot be loaded.
        """
        from review_sentiment.models import load_model, load_tokenizer, plan_compute
        from review_sentiment.prompts import PromptBuilder

        self._serving = serving
        self._plan = plan_compute()
        self._tokenizer = load_tokenizer(serving.base)
        self._model = load_model(serving.base, self._plan).eval()
        self._builder = PromptBuilder(self._tokenizer, serving.labels, serving.max_tokens)
        self._one_at_a_time = threading.Lock()

    def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
        """Return the likeliest label, its probability and p_<label> of each review."""
        import pandas as pd

        from review_sentiment.cleaning import clean_text, mask_title
        from review_sentiment.predictions import probability_columns
        from review_sentiment.scorer import TOKENS_PER_BATCH
        from review_sentiment.scoring import score_labels

        labels = self._serving.labels
        prompts = [
            self._builder.prompt(mask_title(clean_text(title)), clean_text(text))
            for title, text in zip(titles, texts, strict=True)
        ]
        with self._one_at_a_time:
            scores = score_labels(self._model, self._tokenizer, prompts, labels, self._plan, TOKENS_PER_BATCH)
        found = pd.DataFrame(scores.probabilities, columns=probability_columns(labels))
        chosen = [labels[index] for index in scores.constrained]
        return found.assign(label=chosen, probability=scores.probabilities.max(axis=1))


def load_rivals(version: ModelVersion) -> Rivals:
    """Return a version and its base model; what was loaded last is kept.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    with _LOADING:  # two tabs that ask at once load once
        return _load_rivals(version.uri, version.name, version.version)


def ask(rival: Answers, title: str, text: str) -> Answer:
    """Return the answer to one review."""
    row = rival.answer([title], [text[:MOST_CHARACTERS]]).iloc[0]
    names = [str(name) for name in row.index if str(name).startswith("p_")]
    return Answer(
        label=str(row["label"]),
        probability=float(row["probability"]),
        probabilities={name.removeprefix("p_"): float(row[name]) for name in names},
    )


def probabilities_of(rival: Answers, label: str, titles: Sequence[str], texts: Sequence[str]) -> list[float]:
    """Return the probability of a label for each review."""
    return [float(p) for p in rival.answer(titles, texts)[f"p_{label}"]]


@lru_cache(maxsize=MODELS_KEPT)
def _load_rivals(uri: str, name: str, number: str) -> Rivals:
    from review_sentiment import registry
    from review_sentiment.models import plan_compute
    from review_sentiment.scorer import Scorer

    version = registry.get_version(name, number)
    assert version.uri == uri
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        serving, adapter = registry.download_adapter(version, Path(scratch))
        return Rivals(Scorer(adapter, plan_compute()), UntunedScorer(serving))
