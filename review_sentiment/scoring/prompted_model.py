"""A language model that answers reviews in prompts, as in its training: with its adapter, or without one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.scored_model import load_scored_model
from review_sentiment.scoring.scorer import Scorer
from review_sentiment.scoring.version_files import Serving, load_rule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

TOKENS_PER_BATCH = 4_096
CHARACTERS_PER_TOKEN = 40
"""Characters per token of the maximum prompt length that are read; longer reviews are truncated anyway."""


class PromptedModel:
    """A loaded language model; one request at a time."""

    def __init__(self, serving: Serving, model: PreTrainedModel, plan: ComputePlan) -> None:
        """Use a loaded model; `tuned_scorer` and `untuned_scorer` load one."""
        self._serving = serving
        self._model = model
        self._plan = plan
        self._tokenizer = load_tokenizer(serving.base)
        self._builder = PromptBuilder(self._tokenizer, serving.prompt)
        # Scoring hooks into the model and replaces its attention: two threads would mix up their answers.
        self._lock = threading.Lock()

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels."""
        return self._serving.labels

    @property
    def max_characters(self) -> int:
        """Return how many characters of a review can fit into a prompt."""
        return CHARACTERS_PER_TOKEN * self._serving.prompt.max_tokens

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for at least one clean title and text."""
        prompts = [self._builder.prompt(title, text) for title, text in zip(titles, texts, strict=True)]
        with self._lock:
            scores = score_labels(
                self._model, self._tokenizer, prompts, self.labels, self._plan, TOKENS_PER_BATCH
            )
        return scores.label_log_probs


def tuned_scorer(adapter: Path, plan: ComputePlan) -> Scorer:
    """Load the base model, the adapter and the rule from the directory of a version's files.

    Raises:
        ModelUnavailableError: the base model cannot be loaded, or there is no rule.
    """
    serving, rule = Serving.load(adapter), load_rule(adapter)
    return Scorer(PromptedModel(serving, load_scored_model(serving.base, adapter, plan), plan), rule)


def untuned_scorer(serving: Serving, prior: tuple[float, ...], plan: ComputePlan) -> Scorer:
    """Load the base model without an adapter; it gets the same prompts as the version.

    Its probabilities are not calibrated, only corrected for the labels' natural shares, `prior`.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    rule = DecisionRule.raw(serving.labels, prior)
    return Scorer(PromptedModel(serving, load_scored_model(serving.base, None, plan), plan), rule)
