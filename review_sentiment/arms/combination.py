"""A version and its student answer together: as a cascade or as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from review_sentiment.decision.cascade import NEVER, as_of_teacher, confidence_of
from review_sentiment.decision.ensemble import mean_log_probs
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.scoring.scorer import Scorer
from review_sentiment.scoring.scores import Scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.scoring.bulk_scoring import ScoringJob


class Combination(BaseModel, frozen=True):
    """How a student, a registered version, answers with its teacher, and the rule that decides.

    `threshold` is the confidence with which the student answers in the teacher's place. Without one, both
    answer every review (an ensemble).
    """

    student_name: str
    student_version: str
    student_run: str
    threshold: float | None
    rule: DecisionRule

    @property
    def student(self) -> str:
        """Return the student as outputs name it."""
        return f"{self.student_name}/{self.student_version}"

    def applied_to(self, job: ScoringJob) -> ScoringJob:
        """Return a job of the teacher as a job of both: the rule of both, and who answered a row."""
        if self.threshold is None:
            return replace(job, rule=self.rule, version=f"{job.version} and {self.student}")
        return replace(job, rule=self.rule, student=self.student)

    @property
    def identity(self) -> str:
        """Return what scores depend on besides the teacher."""
        return f"student {self.student}, run {self.student_run}, threshold {self.threshold}"

    def scorer(self, teacher: Scorer, student: Scorer) -> Scorer:
        """Return the scorer of both."""
        if self.threshold is None:
            return EnsembleScorer(teacher, student, self.rule)
        return CascadeScorer(teacher, student, self)


class CascadeScorer(Scorer):
    """A teacher whose student answers the reviews that it is sure of.

    Each model gets the texts cleaned and cut as it needs them, so it scores them as it would alone. The
    student's scores are on the teacher's scale, so that the teacher's rule decides on all.
    """

    def __init__(self, teacher: Scorer, student: Scorer, combination: Combination) -> None:
        super().__init__(teacher.model, combination.rule)
        self._teacher, self._student = teacher, student
        self._threshold = NEVER if combination.threshold is None else combination.threshold

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for at least one review, on the teacher's scale."""
        return self.scores(titles, texts).log_probs

    def scores(self, titles: Sequence[str], texts: Sequence[str]) -> Scores:
        """Return the scores of at least one review, and whether the student gave them."""
        if self._threshold >= NEVER:
            return self._teacher.scores(titles, texts)
        found = self._student.log_probs(titles, texts)
        by_student = confidence_of(self._student.rule, found) >= self._threshold
        log_probs = as_of_teacher(self._student.rule, found, self._teacher.rule)
        others = np.flatnonzero(~by_student).tolist()
        if others:
            log_probs[others] = self._teacher.log_probs(
                [titles[row] for row in others], [texts[row] for row in others]
            )
        return Scores(log_probs, by_student)


class EnsembleScorer(Scorer):
    """The mean of a teacher's and its student's calibrated scores, with a rule of its own."""

    def __init__(self, teacher: Scorer, student: Scorer, rule: DecisionRule) -> None:
        super().__init__(teacher.model, rule)
        self._both = (teacher, student)

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the mean calibrated log-probabilities [n, c] for at least one review."""
        found = [scorer.log_probs(titles, texts) for scorer in self._both]
        return mean_log_probs([scorer.rule for scorer in self._both], found)
