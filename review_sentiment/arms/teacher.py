"""A teacher answers reviews that have no label, and its probabilities train a student.

What a student learns from are the teacher's probabilities at equal class shares. Shares of production would
pull the student towards the frequent label twice, because its own decision rule corrects for them again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.arms.arm import LabelledDocuments, documents
from review_sentiment.data.cleaning import clean_text, mask_title, normalised
from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.near_duplicates import near_duplicates
from review_sentiment.errors import UsageError
from review_sentiment.scoring.answers import probability_columns
from review_sentiment.scoring.bulk_scoring import chunks_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from review_sentiment.scoring.column_choice import ColumnChoice
    from review_sentiment.scoring.scorer import Scorer

ROWS_PER_CHUNK = 5_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unlabelled:
    """Clean reviews without labels: a table of `title` and `text`."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class TeacherAnswers:
    """Reviews (`title`, `text`) with the probability that a teacher gives to each label (p_<label>)."""

    frame: pd.DataFrame
    labels: tuple[str, ...]
    teacher: str

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the probabilities [n, c]."""
        return self.frame[probability_columns(self.labels)].to_numpy(np.float64)

    def documents(self) -> LabelledDocuments:
        """Return the reviews with the teacher's probabilities as their targets."""
        found = documents(list(self.frame["title"]), list(self.frame["text"]))
        return LabelledDocuments(found, self.probabilities, self.labels)


def sampled(unused: pd.DataFrame, train: pd.DataFrame, most: int, seed: int) -> Unlabelled:
    """Return a random sample of at most `most` reviews for the teacher to answer.

    Both tables have `review_id`, `title` and `text`. `unused` is a sample already, of reviews that nothing
    was trained on: they come first. If they are too few, training reviews follow: the teacher is surer of
    these than it should be, but its probabilities still tell more than their labels alone.
    """
    in_order = train.sort_values("review_id")
    second = in_order.sample(min(most - len(unused), len(train)), random_state=seed)
    logger.info("%s reviews beyond the splits and %s training reviews are answered", len(unused), len(second))
    return Unlabelled(pd.concat([unused, second])[["title", "text"]].reset_index(drop=True))


def read_unlabelled(
    source: Path, columns: ColumnChoice, held_out: pd.DataFrame, most: int, seed: int
) -> Unlabelled:
    """Return a random sample of the reviews in a file, without those that are nearly a held-out one.

    A student that had learned from a held-out review would look better than it is.

    Raises:
        UsageError: the file or its columns cannot be used, or no review is left.
        DataError: the file is damaged.
    """
    file = open_reviews(source)
    present: dict[str, None] = dict.fromkeys(file.columns or ())
    if file.columns is None:
        for row in file.rows():
            present.update(dict.fromkeys(row.values))
    chosen = columns.among(present, source.name)
    rows = [row for chunk in chunks_of(file, chosen, ROWS_PER_CHUNK) for row in chunk if not row.problem]
    order = np.random.default_rng(seed).permutation(len(rows))[:most]
    values = [rows[place].values for place in order]
    found = pd.DataFrame(
        {
            "title": [mask_title(clean_text(_text(chosen.title_of(row)))) for row in values],
            "text": [clean_text(chosen.text_of(row)) for row in values],
        }
    )
    left = _without_held_out(found[found["text"] != ""].drop_duplicates("text"), held_out)
    removed = f"{len(found) - len(left):,} are repeated, or nearly held-out reviews"
    logger.info("%s of %s rows of %s are used; %s", f"{len(left):,}", f"{len(rows):,}", source.name, removed)
    if left.empty:
        raise UsageError(
            f"No review of {source.name} can be used: of {len(found):,} rows with a text, {removed}."
        )
    return Unlabelled(left)


def ask_teacher(teacher: Scorer, title: str, reviews: Unlabelled) -> TeacherAnswers:
    """Return the teacher's calibrated probabilities at equal class shares; `title` names the teacher."""
    frame, labels = reviews.frame, teacher.labels
    # They are clean, so they go to the model itself.
    found = teacher.model.log_probs(list(frame["title"]), list(frame["text"]))
    equal = [1 / len(labels)] * len(labels)
    probabilities = teacher.rule.probabilities(found, equal)
    columns = dict(zip(probability_columns(labels), probabilities.T, strict=True))
    return TeacherAnswers(frame.assign(**columns), labels, title)


def _without_held_out(reviews: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    known = [normalised(text) for text in held_out["text"]]
    plain = [normalised(text) for text in reviews["text"]]
    same = near_duplicates([plain], [known]) | np.isin(plain, known)
    return reviews[~same].reset_index(drop=True)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
