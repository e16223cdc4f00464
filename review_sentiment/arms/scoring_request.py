"""What reviews to score, and with which version."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from review_sentiment.arms.combination import Combination
from review_sentiment.config import ModelSettings
from review_sentiment.scoring.bulk_scoring import ScoringJob
from review_sentiment.scoring.column_choice import ColumnChoice
from review_sentiment.scoring.version_files import load_columns, load_rule


class ScoringRequest(BaseModel, frozen=True):
    """The parameters that the steps of scoring share.

    `source` is a file, or several for Ray (a pattern or a prefix). `run_id` is that of the version, because
    another registry gives the same numbers. The columns are those asked for; None for those of the version's
    training. `combination` says how a student answers with the version, if one does.
    """

    source: str
    output: str
    name: str
    version: str
    run_id: str
    model: ModelSettings
    text_column: str | None = None
    title_column: str | None = None
    combination: Combination | None = None

    def job(self, files: Path) -> ScoringJob:
        """Return the job of the version with these files, and of its student if there is one."""
        columns = ColumnChoice(self.text_column, self.title_column, load_columns(files))
        job = ScoringJob(Path(self.source), Path(self.output), self.version, load_rule(files), columns)
        return self.combination.applied_to(job) if self.combination else job

    def identity(self, compute: str) -> str:
        """Return what the scores depend on besides the reviews; `compute` names device and precision."""
        alone = f"{self.name}, run {self.run_id}, {compute}"
        return f"{alone}, {self.combination.identity}" if self.combination else alone
