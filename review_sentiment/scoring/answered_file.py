"""From the scores of a file to the same file with answers. No model is needed.

Every row of the file ends up in the output, or with its reason in OUTPUT.failed.jsonl. Rows that the version
does not answer are also in OUTPUT.unsure.jsonl, least certain first.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import ReviewColumns, ReviewFile, ReviewRow
from review_sentiment.data.languages import language_of
from review_sentiment.decision.prior_choice import VERSION, parse_prior
from review_sentiment.decision.share_estimate import ShareEstimate, estimate_shares
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.scoring.answers import UNSURE, answer_table
from review_sentiment.scoring.bulk_scoring import (
    VERSION_COLUMN,
    FileScores,
    ScoringJob,
    changed,
    chunks_of,
)
from review_sentiment.scoring.output_files import failed_file, parts_directory, unsure_file
from review_sentiment.scoring.row_lists import UnsureRow, UnsureRows, append_failed
from review_sentiment.scoring.scores import Scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.data.data_report import DataReport
    from review_sentiment.decision.rule import DecisionRule

CHUNKS_AT_ONCE = 4
"""Chunks that are answered together: pandas takes 3.3 microseconds a row for 1,000 rows, 1.1 for 4,000."""
SAMPLED_ROWS, SAMPLE_EVERY = 20, 50
"""Kept for the drift report: every 50th row, or of few rows so many that there are at least 20."""
SampledRow = tuple[str, str, int, int]
"""Label, language, and the number of words in text and title: `SCORED_COLUMNS`."""


@dataclass(frozen=True)
class LabelShare:
    """A label's share of a file: estimated, with the 95 % interval; of the version; used for the answers."""

    estimate: float
    low: float
    high: float
    version: float
    used: float

    @property
    def is_plausible(self) -> bool:
        """Return whether the share that the answers are for is in the interval."""
        return self.low <= self.used <= self.high


@dataclass(frozen=True)
class Shares:
    """Class shares: the choice (`--prior`), the rule that answers for it, and all shares by label."""

    prior: str
    rule: DecisionRule
    by_label: dict[str, LabelShare]


@dataclass(frozen=True)
class Unsure:
    """The rows that are not answered: how many, the list of them if there are any, and the first few."""

    rows: int
    file: str | None
    least_certain: list[UnsureRow]


@dataclass(frozen=True)
class BulkResult:
    """The result of scoring a file: rows by label, and the rows that failed with the file that lists them.

    `answered_by` has the number of rows that each model answered, by its name in the output. `columns` had
    the reviews. `prior` says which class shares the answers are for (`--prior`), `shares` which these are.
    `unsure` is None if the version answers every review. `sample` has rows for the drift report.
    """

    source: str
    output: str
    columns: ReviewColumns
    rows: int
    failed: int
    labels: dict[str, int]
    answered_by: dict[str, int]
    failed_file: str | None
    model_version: str
    prior: str
    shares: dict[str, LabelShare]
    unsure: Unsure | None
    sample: list[SampledRow]

    @property
    def total(self) -> int:
        """Return the rows of the file."""
        return self.rows + self.failed


def answer_file(job: ScoringJob, scores: FileScores, prior: str = VERSION) -> BulkResult:
    """Write the output: the file's columns, label, p_<label>, `unsure` if there is a band, and the version.

    `prior` says which class shares the answers are for, as `parse_prior` reads it.

    Raises:
        UsageError: the prior cannot be used.
        DataError: the file is not the one that was scored.
    """
    return answer_rows(job, scores, decide_shares(scores.scores.log_probs, job.rule, prior))


def decide_shares(log_probs: npt.NDArray[np.float64], rule: DecisionRule, prior: str) -> Shares:
    """Estimate the class shares of reviews with log-probabilities [n, c], and return the rule to answer by.

    Raises:
        UsageError: the prior cannot be used.
    """
    choice = parse_prior(prior, rule.labels)
    estimate = estimate_shares(log_probs, rule)
    used = choice.resolve(rule, estimate)
    return Shares(prior, used, _shares(rule, used, estimate))


def answer_rows(job: ScoringJob, scores: FileScores, shares: Shares) -> BulkResult:
    """Write the output as `answer_file` does, for class shares that are decided.

    Raises:
        DataError: the file is not the one that was scored.
    """
    found = scores.scores
    file = open_reviews(job.source)
    writer = _Writer(file, job, scores.columns, shares.rule)
    start = 0
    chunks = chunks_of(file, scores.columns, job.rows_per_chunk * CHUNKS_AT_ONCE, scores.good)
    for number, chunk in enumerate(chunks):
        rows = [row for row in chunk if not row.problem]
        end = start + len(rows)
        if end > len(found.log_probs):
            raise changed(job.source)
        writer.add(number, rows, found.rows(start, end))
        writer.add_failed([row for row in chunk if row.problem])
        start = end
    if start < len(found.log_probs) or file_fingerprint(job.source) != scores.content:
        raise changed(job.source)
    return writer.finish(shares.prior, shares.by_label)


def drift_of(result: BulkResult, adapter: Path) -> DataReport:
    """Compare a sample of the scored rows with the training reviews stored with the version."""
    from review_sentiment.data.data_report import SCORED_COLUMNS, drift_report
    from review_sentiment.scoring.version_files import REFERENCE_FILE

    sample = pd.DataFrame(result.sample, columns=list(SCORED_COLUMNS))
    return drift_report(pd.read_parquet(adapter / REFERENCE_FILE), sample)


def _shares(version: DecisionRule, used: DecisionRule, found: ShareEstimate) -> dict[str, LabelShare]:
    columns = zip(found.shares, found.low, found.high, version.prior, used.prior, strict=True)
    return {label: LabelShare(*shares) for label, shares in zip(version.labels, columns, strict=True)}


class _Writer:
    """Writes answered chunks into the directory of the parts, and puts them in the place of the output."""

    def __init__(self, file: ReviewFile, job: ScoringJob, columns: ReviewColumns, rule: DecisionRule) -> None:
        self._file = file
        self._job = job
        self._columns = columns
        self._rule = rule
        self._directory = parts_directory(job.output)
        self._directory.mkdir(exist_ok=True)
        self._failures = self._directory / "failed"
        self._failures.unlink(missing_ok=True)  # a killed process may have left it
        self._unsure = UnsureRows(file, self._directory / "unsure")
        self._parts: list[Path] = []
        self._labels: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._sample: list[SampledRow] = []
        self._failed = 0

    def add(self, number: int, rows: Sequence[ReviewRow], scores: Scores) -> None:
        """Answer rows by their scores and write them."""
        if not rows:
            return
        models = np.where(scores.by_student, self._job.student, self._job.version)
        answers = answer_table(self._rule, scores.log_probs).assign(**{VERSION_COLUMN: models})
        added = {name: answers[name].tolist() for name in self._job.added}
        self._parts.append(self._directory / f"{number:08d}.rows")
        self._file.write(self._parts[-1], rows, added)
        self._labels.update(added["label"])
        self._models.update(added[VERSION_COLUMN])
        self._sample += self._sampled(rows, added["label"])
        if UNSURE in answers:
            self._unsure.add(
                (rows[place], {name: values[place] for name, values in added.items()}, certain)
                for place, certain in answers.loc[answers[UNSURE], "probability"].items()
            )

    def add_failed(self, rows: Sequence[ReviewRow]) -> None:
        """Write rows that could not be scored."""
        append_failed(self._file, rows, self._failures)
        self._failed += len(rows)

    def finish(self, prior: str, shares: dict[str, LabelShare]) -> BulkResult:
        """Replace the output and its lists, and remove the parts."""
        output = self._job.output
        unsure = self._finish_unsure()
        failed = failed_file(output)
        failed.unlink(missing_ok=True)
        if self._failed:
            self._failures.replace(failed)
        if self._parts:  # in a set of files, one may have no row that could be scored
            joined = self._directory / "joined"
            self._file.join(self._parts, joined, self._job.added)
            joined.replace(output)
        shutil.rmtree(self._directory)
        return BulkResult(
            source=str(self._job.source),
            output=str(output),
            columns=self._columns,
            rows=self._labels.total(),
            failed=self._failed,
            labels=dict(self._labels),
            answered_by=dict(self._models),
            failed_file=str(failed) if self._failed else None,
            model_version=self._job.version,
            prior=prior,
            shares=shares,
            unsure=unsure,
            sample=self._sample,
        )

    def _sampled(self, rows: Sequence[ReviewRow], labels: Sequence[str]) -> Iterator[SampledRow]:
        every = max(1, min(len(rows) // SAMPLED_ROWS, SAMPLE_EVERY))
        for row, label in zip(rows[::every], labels[::every], strict=True):
            values = self._file.values_of(row)
            yield _sampled_row(label, self._columns.text_of(values), self._columns.title_of(values) or "")

    def _finish_unsure(self) -> Unsure | None:
        path = unsure_file(self._job.output)
        path.unlink(missing_ok=True)
        if self._rule.band is None:
            return None
        if not self._unsure.count:
            return Unsure(0, None, [])
        return Unsure(self._unsure.count, str(path), self._unsure.write(path))


def _sampled_row(label: str, text: str, title: str) -> SampledRow:
    return label, language_of(f"{title} {text}"), len(text.split()), len(title.split())
