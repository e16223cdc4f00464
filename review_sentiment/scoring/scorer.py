"""A registered version at work: reviews in, labels and probabilities out."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.data.cleaning import clean_text, mask_title
from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.scoring.answers import probability_columns
from review_sentiment.scoring.label_scoring import score_labels

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SERVING_FILE = "serving.json"
REFERENCE_FILE = "reference.parquet"
"""Beside it: what later inputs are compared with (`reports.reference_of`)."""
TOKENS_PER_BATCH = 4_096
CHARACTERS_PER_TOKEN = 40
"""Characters of a review that are looked at for each token of a chat: the rest is cut anyway, unread."""


@dataclass(frozen=True)
class Serving:
    """What a version needs besides its adapter to read reviews as it did in training."""

    base: ModelIdentity
    labels: tuple[str, ...]
    max_tokens: int

    def save(self, directory: Path) -> None:
        """Write to the adapter's directory."""
        (directory / SERVING_FILE).write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def load(cls, directory: Path) -> Serving:
        """Read from the adapter's directory."""
        values = json.loads((directory / SERVING_FILE).read_text())
        return cls(ModelIdentity(**values["base"]), tuple(values["labels"]), values["max_tokens"])


class Scorer:
    """A loaded model that answers reviews as a version was trained to read them."""

    def __init__(self, serving: Serving, model: PreTrainedModel, plan: ComputePlan) -> None:
        """Take a loaded model; `tuned_scorer` and `untuned_scorer` load one."""
        self.serving = serving
        self._plan = plan
        self._tokenizer = load_tokenizer(serving.base)
        self._model = model
        # Scoring puts hooks on the model and exchanges its attention: two threads would mix their answers.
        self._one_at_a_time = threading.Lock()
        self._builder = PromptBuilder(self._tokenizer, self.labels, self.serving.max_tokens)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels that are answered."""
        return self.serving.labels

    @property
    def columns(self) -> list[str]:
        """Return the columns of an answer."""
        return ["label", "probability", *probability_columns(self.labels)]

    def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
        """Return label, its probability, and p_<label> of each review."""
        if not texts:
            return pd.DataFrame(columns=self.columns)
        most = CHARACTERS_PER_TOKEN * self.serving.max_tokens
        prompts = [
            self._builder.prompt(mask_title(clean_text(title[:most])), clean_text(text[:most]))
            for title, text in zip(titles, texts, strict=True)
        ]
        with self._one_at_a_time:
            scores = score_labels(
                self._model, self._tokenizer, prompts, self.labels, self._plan, TOKENS_PER_BATCH
            )
        probabilities = scores.probabilities
        answers = {
            "label": [self.labels[index] for index in scores.constrained],
            "probability": probabilities.max(axis=1),
            **dict(zip(probability_columns(self.labels), probabilities.T, strict=True)),
        }
        return pd.DataFrame(answers, columns=self.columns)


def tuned_scorer(adapter: Path, plan: ComputePlan) -> Scorer:
    """Load the base model and the adapter from a directory that `Serving.save` has written to.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    serving = Serving.load(adapter)
    return Scorer(serving, load_adapted_model(serving.base, adapter, plan), plan)


def untuned_scorer(serving: Serving, plan: ComputePlan) -> Scorer:
    """Load the base model without an adapter, to be asked in the words that the version was trained with.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    return Scorer(serving, load_model(serving.base, plan).eval(), plan)
