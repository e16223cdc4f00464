"""Score reviews with a registered version: titles and texts in, labels and probabilities out."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from review_sentiment.data.cleaning import clean_text, mask_title
from review_sentiment.data.files.review_file import TEXT, TITLE
from review_sentiment.data.prompts import PromptBuilder
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.scoring.answers import answer_columns, answer_table
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.scoreable import problem_of
from review_sentiment.scoring.scored_model import load_scored_model
from review_sentiment.scoring.version_files import Serving, load_rule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

Row = tuple[Mapping[str, Any], str]
"""A review by its columns, and why it could not be read, if so."""
TOKENS_PER_BATCH = 4_096
CHARACTERS_PER_TOKEN = 40
"""Characters per token of the maximum prompt length that are read; longer reviews are truncated anyway."""


class Scorer:
    """A loaded model that answers reviews, formatted as in its training, by a decision rule."""

    def __init__(
        self, serving: Serving, rule: DecisionRule, model: PreTrainedModel, plan: ComputePlan
    ) -> None:
        """Use a loaded model; `tuned_scorer` and `untuned_scorer` load one."""
        self.serving = serving
        self.rule = rule
        self._plan = plan
        self._tokenizer = load_tokenizer(serving.base)
        self._model = model
        # Scoring hooks into the model and replaces its attention: two threads would mix up their answers.
        self._lock = threading.Lock()
        self._builder = PromptBuilder(self._tokenizer, serving.prompt)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels."""
        return self.serving.labels

    @property
    def columns(self) -> list[str]:
        """Return the columns of an answer."""
        return answer_columns(self.rule)

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for at least one review."""
        limit = CHARACTERS_PER_TOKEN * self.serving.prompt.max_tokens
        prompts = [
            self._builder.prompt(mask_title(_cleaned(title, limit)), _cleaned(text, limit))
            for title, text in zip(titles, texts, strict=True)
        ]
        with self._lock:
            scores = score_labels(
                self._model, self._tokenizer, prompts, self.labels, self._plan, TOKENS_PER_BATCH
            )
        return scores.label_log_probs

    def answer(self, titles: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
        """Return the answers to reviews, as `answer_table` does."""
        if not texts:
            return pd.DataFrame(columns=self.columns)
        return answer_table(self.rule, self.log_probs(titles, texts))

    def answer_each(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the answer to each row, or its problem as `error` if it cannot be scored, in order."""
        problems = [problem or problem_of(row.get(TEXT), row.get(TITLE)) for row, problem in rows]
        good = [row for (row, _), problem in zip(rows, problems, strict=True) if not problem]
        titles = [title if isinstance(title := row.get(TITLE), str) else "" for row in good]
        records: Any = self.answer(titles, [row[TEXT] for row in good]).to_dict("records")
        answers = iter(records)
        return [{"error": problem} if problem else dict(next(answers)) for problem in problems]


def _cleaned(text: str, limit: int) -> str:
    """Return the clean start of a text; its first `limit` characters may all be tags or white space."""
    return clean_text(text[:limit]) or clean_text(text)[:limit]


def tuned_scorer(adapter: Path, plan: ComputePlan) -> Scorer:
    """Load the base model, the adapter and the rule from the directory of a version's files.

    Raises:
        ModelUnavailableError: the base model cannot be loaded, or there is no rule.
    """
    serving, rule = Serving.load(adapter), load_rule(adapter)
    return Scorer(serving, rule, load_scored_model(serving.base, adapter, plan), plan)


def untuned_scorer(serving: Serving, prior: tuple[float, ...], plan: ComputePlan) -> Scorer:
    """Load the base model without an adapter; it gets the same prompts as the version.

    Its probabilities are not calibrated, only corrected for the labels' natural shares, `prior`.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
    """
    rule = DecisionRule.raw(serving.labels, prior)
    return Scorer(serving, rule, load_scored_model(serving.base, None, plan), plan)
