"""What a registered version and its untuned base model answer to a review that somebody types.

The functions run in the process that keeps the loaded models (`dashboard/jobs.py`).
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.explain.occlusion import Part, occlude
from review_sentiment.data.languages import UNKNOWN, language_of
from review_sentiment.errors import TrackingError

if TYPE_CHECKING:
    from review_sentiment.scoring.scorer import Scorer

TUNED, UNTUNED = "tuned", "untuned"
MODELS_KEPT = 2
"""Versions in memory: the last one that was used, and the one before."""
FEWEST_REVIEWS = 20
"""With fewer evaluation reviews in a language, nobody knows how well a version answers in it."""
SHORTEST, SHORT = 12, 60
"""Characters below which no language is detected, and below which English words count more."""
_ENGLISH = re.compile(r"\b(the|this|and|it|with|my|very|they|of|i am|i'm|love|great|fit)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """The most probable label, its probability, and all labels' probabilities by name."""

    label: str
    probability: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """The answers by model, the language of the review, and the evaluation reviews by language."""

    answers: Mapping[str, Answer]
    language: str
    evaluated: Mapping[str, int]

    @property
    def is_known_language(self) -> bool:
        """Return whether the version was evaluated in the review's language, or the language is unclear."""
        if self.language == UNKNOWN or not set(self.evaluated) - {UNKNOWN}:
            return True
        return self.evaluated.get(self.language, 0) >= FEWEST_REVIEWS


@dataclass(frozen=True)
class Words:
    """The parts of a review, with their weights for the label that a model answered."""

    label: str
    parts: Sequence[Part]


def answer(name: str, number: str, title: str, text: str) -> Trial:
    """Return what a version and its base model answer; a student has no base model.

    Raises:
        ModelUnavailableError: the version or its base model cannot be loaded.
    """
    answers = {model: _answer_of(scorer, title, text) for model, scorer in _models(name, number).items()}
    return Trial(answers, detected_language(f"{title} {text}"), _evaluated_languages(name, number))


def influential_words(name: str, number: str, title: str, text: str) -> dict[str, Words]:
    """Return the words that moved the answer of each model.

    Raises:
        ModelUnavailableError: the version or its base model cannot be loaded.
    """
    found = {}
    for model, scorer in _models(name, number).items():
        label = _answer_of(scorer, title, text).label
        found[model] = Words(label, occlude(title, text, partial(_probabilities, scorer, label)))
    return found


def _answer_of(scorer: Scorer, title: str, text: str) -> Answer:
    (row,) = scorer.answer([title], [text]).to_dict("records")
    probabilities = {label: float(row[f"p_{label}"]) for label in scorer.labels}
    return Answer(str(row["label"]), float(row["probability"]), probabilities)


def _probabilities(scorer: Scorer, label: str, titles: Sequence[str], texts: Sequence[str]) -> list[float]:
    return [float(p) for p in scorer.answer(titles, texts)[f"p_{label}"]]


def detected_language(text: str) -> str:
    """Return the language of a review, or `UNKNOWN` if it is unclear.

    Of 3,000 English reviews with a typing error in 40 % of their words, one is taken for another language.
    The detector errs more with short texts ("I love ths shirt" is Spanish): there, English words decide.
    """
    short = text.strip()
    if (len(short) < SHORTEST and short.isascii()) or (len(short) < SHORT and _ENGLISH.search(short)):
        return UNKNOWN
    return language_of(text)


@lru_cache(maxsize=MODELS_KEPT)
def _models(name: str, number: str) -> dict[str, Scorer]:
    """Load a version and, if it is a language model with an adapter, its untuned base model."""
    from dashboard.queries.versions import use_mlflow
    from review_sentiment.arms.catalogue import KIND_FILE
    from review_sentiment.arms.version_scorer import version_scorer
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.scoring.prompted_model import untuned_scorer
    from review_sentiment.scoring.version_files import Serving, load_rule
    from review_sentiment.tracking import downloads, model_versions

    use_mlflow()
    version = model_versions.get_version(name, number)
    plan = plan_compute()
    with tempfile.TemporaryDirectory(prefix="review-sentiment-trial-") as scratch:
        files = downloads.download_files(version, Path(scratch))
        models = {TUNED: version_scorer(files, plan)}
        if not (files / KIND_FILE).is_file():
            models[UNTUNED] = untuned_scorer(Serving.load(files), load_rule(files).prior, plan)
    return models


@lru_cache(maxsize=MODELS_KEPT)
def _evaluated_languages(name: str, number: str) -> dict[str, int]:
    """Return how many evaluation reviews there are in each language; none if they are not recorded."""
    from review_sentiment.tracking import evidence, model_versions

    try:
        return dict(Counter(evidence.reviews_of(model_versions.get_version(name, number))["language"]))
    except (TrackingError, KeyError):
        return {}
