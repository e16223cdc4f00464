"""From titles and texts to answers: clean them, ask a model, and decide by the version's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from review_sentiment.data.cleaning import clean_text, mask_title
from review_sentiment.data.files.review_file import TEXT, TITLE
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.scoring.answers import answer_columns, answer_table
from review_sentiment.scoring.scoreable import problem_of
from review_sentiment.scoring.scores import Scores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Row = tuple[Mapping[str, Any], str]
"""A review by its columns, and why it could not be read, if so."""


class AnsweringModel(Protocol):
    """What every kind of model can do that answers reviews."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels, in the order of the class index."""
        ...

    @property
    def max_characters(self) -> int:
        """Return how many characters of a title or text the model can make use of."""
        ...

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for at least one clean title and text."""
        ...


class Scorer:
    """A model that answers reviews, cleaned as in its training, by a decision rule."""

    def __init__(self, model: AnsweringModel, rule: DecisionRule) -> None:
        self.model = model
        self.rule = rule

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels."""
        return self.model.labels

    @property
    def columns(self) -> list[str]:
        """Return the columns of an answer."""
        return answer_columns(self.rule)

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for at least one review."""
        limit = self.model.max_characters
        return self.model.log_probs(
            [mask_title(_cleaned(title, limit)) for title in titles],
            [_cleaned(text, limit) for text in texts],
        )

    def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
        """Return the scores of at least one review, and whether a student gave them."""
        return Scores.of_version(self.log_probs(titles, texts))

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
