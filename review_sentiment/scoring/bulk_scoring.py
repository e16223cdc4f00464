"""Score a file of any size, chunk by chunk. An interrupted run resumes.

The result is the labels' log-probabilities and which model gave them: 17 bytes a row with two labels, so
those of a million rows fit into memory. `answered_file.py` turns them into the output. It needs no model, so
other class shares do not cost another scoring, and shares can be estimated from all rows before the first one
is answered.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import ReviewColumns, ReviewFile, ReviewRow
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.progress import Progress
from review_sentiment.scoring.answers import doubt_columns, probability_columns
from review_sentiment.scoring.column_choice import ColumnChoice
from review_sentiment.scoring.output_files import check_output, failed_file, parts_directory
from review_sentiment.scoring.part_files import PartFiles
from review_sentiment.scoring.row_lists import append_failed
from review_sentiment.scoring.scoreable import problem_of
from review_sentiment.scoring.scores import RowScores, Scores

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.scoring.scorer import Scorer

ROWS_PER_CHUNK = 1_000
VERSION_COLUMN = "model_version"
BY_STUDENT, PLACE = "by_student", "place"


@dataclass(frozen=True)
class ScoringJob:
    """What to score, and with which version; `rule` decides, `columns` matter for scoring only.

    `student` is the name in the output of the model that answers some rows in the version's place, if any.
    """

    source: Path
    output: Path
    version: str
    rule: DecisionRule
    columns: ColumnChoice = field(default_factory=ColumnChoice)
    rows_per_chunk: int = ROWS_PER_CHUNK
    student: str = ""

    @property
    def added(self) -> tuple[str, ...]:
        """Return the columns that scoring adds."""
        doubts = doubt_columns(self.rule)
        return ("label", *probability_columns(self.rule.labels), *doubts, VERSION_COLUMN)


@dataclass(frozen=True)
class FileScores:
    """The log-probability of each label, a column each, for the rows of a file that can be scored.

    `content` is the file's fingerprint, `columns` are those that were scored. `by_student` has one column,
    whether a student gave the row's scores; it is empty if there is no student. `failed` has one column, the
    places (from 0) of the rows that cannot be scored.
    """

    content: str
    columns: ReviewColumns
    log_probs: pd.DataFrame
    by_student: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({PLACE: []}, dtype=np.int64))

    @property
    def scores(self) -> Scores:
        """Return the scores of the rows as arrays."""
        log_probs = self.log_probs.to_numpy()
        if self.by_student.empty:
            return Scores.of_version(log_probs)
        return Scores(log_probs, self.by_student[BY_STUDENT].to_numpy(dtype=bool))

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Return of each row of the file whether it was scored."""
        return RowScores(self.scores, self.failed[PLACE].to_numpy()).good


def score_file(job: ScoringJob, model: str, load_scorer: Callable[[], Scorer]) -> FileScores:
    """Score the rows of a file that can be scored, in their order.

    `model` identifies the model and how it is computed, for resuming. `load_scorer` loads it, and is only
    called if there is something to score.

    Raises:
        UsageError: the file or the output cannot be used as they are.
        DataError: the file is damaged or changed while it was scored, or no row could be scored.
    """
    file = open_reviews(job.source)
    check_output(job.source, job.output, file.ending)
    total, columns = check_rows(file, job)
    content = file_fingerprint(job.source)
    labels = job.rule.labels
    parts = PartFiles(job.output, identity_of(job, columns, content, model))
    scorer: Scorer | None = None
    with Progress(f"scoring {job.source.name}", total) as progress:
        for number, chunk in enumerate(chunks_of(file, columns, job.rows_per_chunk)):
            if parts.has(number):
                progress.skip(len(chunk))
                continue
            rows = [row for row in chunk if not row.problem]
            found = Scores.of_version(np.empty((0, len(labels))))
            if rows:
                scorer = scorer or load_scorer()
                found = scorer.scores(*reviews_of(columns, rows))
            parts.write(number, RowScores(found, failed_places(chunk)))
            progress.advance(len(chunk))
    if file_fingerprint(job.source) != content:
        raise changed(job.source)
    scores = parts.joined()
    if not len(scores.scores.log_probs):
        raise _all_failed(file, columns, job, total)
    return file_scores(job, columns, content, scores)


def file_scores(job: ScoringJob, columns: ReviewColumns, content: str, rows: RowScores) -> FileScores:
    """Return the scores of a file as tables."""
    by_student = pd.DataFrame({BY_STUDENT: rows.scores.by_student}) if job.student else pd.DataFrame()
    log_probs = pd.DataFrame(rows.scores.log_probs, columns=list(job.rule.labels))
    return FileScores(content, columns, log_probs, by_student, pd.DataFrame({PLACE: rows.failed}))


def identity_of(job: ScoringJob, columns: ReviewColumns, content: str, model: str) -> Mapping[str, Any]:
    """Return what scores depend on: those of another identity are not used to resume."""
    return {
        "content": content,
        "model": model,
        "version": job.version,
        "labels": list(job.rule.labels),
        "columns": columns.names(),
        "rows_per_chunk": job.rows_per_chunk,
    }


def chunks_of(
    file: ReviewFile, columns: ReviewColumns, size: int, good: npt.NDArray[np.bool_] | None = None
) -> Iterator[list[ReviewRow]]:
    """Yield the rows in lists of at most `size`; a row whose review cannot be scored has a problem.

    `good` says of each row whether an earlier reading of the file found no problem. Such rows are neither
    parsed nor judged again, so that they may have no values.
    """
    known = np.zeros(0, dtype=bool) if good is None else good
    rows = file.rows(columns.names(), chain.from_iterable(_lists(known, size)))
    marks = chain(_lists(known, size), repeat([]))
    while chunk := list(islice(rows, size)):
        known_good = next(marks)
        if len(known_good) < len(chunk) or not all(known_good):
            marked = zip(chunk, chain(known_good, repeat(False)), strict=False)
            chunk = [row if is_good else _judged(row, columns) for row, is_good in marked]
        yield chunk


def _lists(marks: npt.NDArray[np.bool_], size: int) -> Iterator[list[bool]]:
    """Yield marks in lists: Python's are small only for a few rows at a time."""
    for start in range(0, len(marks), size):
        yield marks[start : start + size].tolist()


def failed_places(chunk: Sequence[ReviewRow]) -> npt.NDArray[np.int64]:
    """Return the places of the rows in a chunk that have a problem."""
    return np.array([place for place, row in enumerate(chunk) if row.problem], dtype=np.int64)


def changed(source: Path) -> DataError:
    """Return the error for a file that changed between the reading of its rows."""
    return DataError(f"{source.name} changed while it was scored. Run again.")


def check_rows(file: ReviewFile, job: ScoringJob) -> tuple[int, ReviewColumns]:
    """Read the whole file before anything is scored; return its number of rows and the columns to score.

    Raises:
        UsageError: it has no rows or no column with texts, or a column would be overwritten.
        DataError: it is damaged or not in UTF-8, or rows were lost in reading it.
    """
    name = job.source.name
    count = file.count()
    survey = file.survey()
    present = survey.columns
    if not survey.rows:
        raise UsageError(f"{name} has no rows.")
    # JSON of which no row can be read has no columns; the list of the rows that failed says why.
    columns = job.columns.among(present, name) if present else ReviewColumns()
    if taken := [column for column in job.added if column in present]:
        raise UsageError(
            f"{name} already has a column {', '.join(taken)}, which would be overwritten. "
            "Rename or remove it."
        )
    if survey.units != count:
        raise DataError(
            f"{survey.units:,} of {count:,} rows of {name} were read. This is a bug. Please report it."
        )
    return survey.rows, columns


def _all_failed(file: ReviewFile, columns: ReviewColumns, job: ScoringJob, total: int) -> DataError:
    """Return the error for a file of which no row can be scored; list the rows. An earlier output stays."""
    failed = failed_file(job.output)
    failed.unlink(missing_ok=True)
    for chunk in chunks_of(file, columns, job.rows_per_chunk):
        append_failed(file, chunk, failed)
    shutil.rmtree(parts_directory(job.output))
    return DataError(f"None of the {total:,} rows could be scored. {failed.name} has the reasons.")


def _judged(row: ReviewRow, columns: ReviewColumns) -> ReviewRow:
    if row.problem:
        return row
    problem = problem_of(columns.text_of(row.values), columns.title_of(row.values))
    return row._replace(problem=problem) if problem else row


def reviews_of(columns: ReviewColumns, rows: Sequence[ReviewRow]) -> tuple[list[str], list[str]]:
    """Return the titles and the texts of rows that can be scored."""
    titles = [columns.title_of(row.values) for row in rows]
    return (
        [title if isinstance(title, str) else "" for title in titles],
        [columns.text_of(row.values) for row in rows],
    )
