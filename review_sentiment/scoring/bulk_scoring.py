"""Score a file of any size, chunk by chunk. An interrupted run resumes.

The result is the labels' log-probabilities only: 16 bytes a row with two labels, so those of a million rows
fit into memory. `answered_file.py` turns them into the output. It needs no model, so other class shares do
not cost another scoring, and shares can be estimated from all rows before the first one is answered.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import TEXT, TITLE, ReviewFile, ReviewRow
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.progress import Progress
from review_sentiment.scoring.answers import doubt_columns, probability_columns
from review_sentiment.scoring.output_files import check_output, failed_file, parts_directory
from review_sentiment.scoring.part_files import PartFiles
from review_sentiment.scoring.row_lists import append_failed
from review_sentiment.scoring.scoreable import problem_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.scoring.scorer import Scorer

ROWS_PER_CHUNK = 1_000
VERSION_COLUMN = "model_version"


@dataclass(frozen=True)
class ScoringJob:
    """What to score, and with which version; `rule` is the version's."""

    source: Path
    output: Path
    version: str
    rule: DecisionRule
    rows_per_chunk: int = ROWS_PER_CHUNK

    @property
    def added(self) -> tuple[str, ...]:
        """Return the columns that scoring adds."""
        doubts = doubt_columns(self.rule)
        return ("label", *probability_columns(self.rule.labels), *doubts, VERSION_COLUMN)


@dataclass(frozen=True)
class FileScores:
    """The log-probability of each label, a column each, for the rows of a file that can be scored.

    `content` is the file's fingerprint.
    """

    content: str
    log_probs: pd.DataFrame


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
    total = _check_rows(file, job)
    content = file_fingerprint(job.source)
    labels = job.rule.labels
    identity = {
        "content": content,
        "model": model,
        "version": job.version,
        "labels": list(labels),
        "rows_per_chunk": job.rows_per_chunk,
    }
    parts = PartFiles(job.output, identity)
    scorer: Scorer | None = None
    with Progress(f"scoring {job.source.name}", total) as progress:
        for number, chunk in enumerate(chunks_of(file, job.rows_per_chunk)):
            if parts.has(number):
                progress.skip(len(chunk))
                continue
            rows = [row for row in chunk if not row.problem]
            if rows:
                scorer = scorer or load_scorer()
            parts.write(number, _scores(scorer, rows) if scorer and rows else np.empty((0, len(labels))))
            progress.advance(len(chunk))
    if file_fingerprint(job.source) != content:
        raise changed(job.source)
    log_probs = parts.joined()
    if not len(log_probs):
        raise _all_failed(file, job, total)
    return FileScores(content, pd.DataFrame(log_probs, columns=list(labels)))


def chunks_of(file: ReviewFile, size: int) -> Iterator[list[ReviewRow]]:
    """Yield the rows in lists of at most `size`; a row whose review cannot be scored has a problem."""
    rows = file.rows()
    while chunk := list(islice(rows, size)):
        yield [row if row.problem else replace(row, problem=_problem_of(row)) for row in chunk]


def changed(source: Path) -> DataError:
    """Return the error for a file that changed between the reading of its rows."""
    return DataError(f"{source.name} changed while it was scored. Run again.")


def _check_rows(file: ReviewFile, job: ScoringJob) -> int:
    """Read the whole file before anything is scored; return its number of rows.

    Raises:
        UsageError: it has no rows or no column `text`, or a column would be overwritten.
        DataError: it is damaged or not in UTF-8, or rows were lost in reading it.
    """
    name = job.source.name
    count = file.count()
    columns = dict.fromkeys(file.columns or ())
    rows = units = 0
    for row in file.rows():
        rows, units = rows + 1, units + row.units
        if file.columns is None:
            columns.update(dict.fromkeys(row.values))
    if not rows:
        raise UsageError(f"{name} has no rows.")
    if TEXT not in columns and columns:
        raise UsageError(
            f"{name} has no column '{TEXT}'; it has: {', '.join(map(repr, columns))[:300]}. Rename the "
            f"column with the reviews to '{TEXT}' and the one with their titles, if any, to '{TITLE}'."
        )
    if taken := [column for column in job.added if column in columns]:
        raise UsageError(
            f"{name} already has a column {', '.join(taken)}, which would be overwritten. "
            "Rename or remove it."
        )
    if units != count:
        raise DataError(f"{units:,} of {count:,} rows of {name} were read. This is a bug. Please report it.")
    return rows


def _all_failed(file: ReviewFile, job: ScoringJob, total: int) -> DataError:
    """Return the error for a file of which no row can be scored; list the rows. An earlier output stays."""
    failed = failed_file(job.output)
    failed.unlink(missing_ok=True)
    for chunk in chunks_of(file, job.rows_per_chunk):
        append_failed(file, chunk, failed)
    shutil.rmtree(parts_directory(job.output))
    return DataError(f"None of the {total:,} rows could be scored. {failed.name} has the reasons.")


def _problem_of(row: ReviewRow) -> str:
    return problem_of(row.values.get(TEXT), row.values.get(TITLE))


def _scores(scorer: Scorer, rows: Sequence[ReviewRow]) -> npt.NDArray[np.float64]:
    titles = [row.values.get(TITLE) for row in rows]
    return scorer.log_probs(
        [title if isinstance(title, str) else "" for title in titles], [row.values[TEXT] for row in rows]
    )
