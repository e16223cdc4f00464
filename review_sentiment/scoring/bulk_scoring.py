"""Score a file of any size, chunk by chunk in constant memory. An interrupted run resumes.

Every row of the file ends up in the output, or with its reason in OUTPUT.failed.jsonl.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import TEXT, TITLE, Added, ReviewFile, ReviewRow
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.progress import Progress
from review_sentiment.scoring.answers import UNSURE, probability_columns
from review_sentiment.scoring.output_files import check_output, content_hashes, failed_file
from review_sentiment.scoring.part_files import PartFiles
from review_sentiment.scoring.scoreable import problem_of

if TYPE_CHECKING:
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.scoring.scorer import Scorer

ROWS_PER_CHUNK = 1_000
VERSION_COLUMN = "model_version"


@dataclass(frozen=True)
class ScoringJob:
    """What to score with what. `model` identifies the model and how it is computed, for resuming.

    `may_be_unsure`: the version's rule does not answer every review.
    """

    source: Path
    output: Path
    version: str
    labels: tuple[str, ...]
    model: str
    rows_per_chunk: int = ROWS_PER_CHUNK
    may_be_unsure: bool = False

    @property
    def added(self) -> tuple[str, ...]:
        """Return the columns that scoring adds."""
        unsure = (UNSURE,) if self.may_be_unsure else ()
        return ("label", *probability_columns(self.labels), *unsure, VERSION_COLUMN)


@dataclass(frozen=True)
class BulkResult:
    """The result of scoring a file: rows by label, and the rows that failed with the file that lists them.

    `hashes` are those of the output and of the failed rows, by which a later run knows them again.
    """

    source: str
    output: str
    rows: int
    failed: int
    labels: dict[str, int]
    failed_file: str | None
    model_version: str
    sample: list[tuple[str, int, int]]
    hashes: tuple[str, ...]

    @property
    def total(self) -> int:
        """Return the rows of the file."""
        return self.rows + self.failed


def score_file(job: ScoringJob, load_scorer: Callable[[], Scorer]) -> BulkResult:
    """Score a file: its columns, label, p_<label> and the model's version.

    `load_scorer` loads the model; it is only called if there is something to score.

    Raises:
        UsageError: the file or the output cannot be used as they are.
        DataError: the file is damaged, or no row could be scored.
    """
    file = open_reviews(job.source)
    check_output(job.source, job.output, file.ending)
    total = _check_rows(file, job)
    content = file_fingerprint(job.source)
    identity = {
        "content": content,
        "model": job.model,
        "version": job.version,
        "added": list(job.added),
        "rows_per_chunk": job.rows_per_chunk,
    }
    parts = PartFiles(job.output, file, identity)
    scorer: Scorer | None = None
    with Progress(f"scoring {job.source.name}", total) as progress:
        for number, chunk in enumerate(_chunks(file, job.rows_per_chunk)):
            if parts.has(number):
                progress.skip(len(chunk))
                continue
            rows = [row for row in chunk if not row.problem]
            if rows:
                scorer = scorer or load_scorer()
            answers = _answers(scorer, rows, job) if scorer and rows else []
            parts.write(number, rows, answers, [row for row in chunk if row.problem])
            progress.advance(len(chunk))
    if file_fingerprint(job.source) != content:
        raise DataError(f"{job.source.name} changed while it was scored. Run again.")
    return _joined(parts, job, total)


def drift_of(result: BulkResult, adapter: Path) -> DataReport:
    """Compare a sample of the scored rows with the training reviews stored with the version."""
    from review_sentiment.data.data_report import SCORED_COLUMNS, drift_report
    from review_sentiment.scoring.version_files import REFERENCE_FILE

    sample = pd.DataFrame(result.sample, columns=list(SCORED_COLUMNS))
    return drift_report(pd.read_parquet(adapter / REFERENCE_FILE), sample)


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


def _chunks(file: ReviewFile, size: int) -> Iterator[list[ReviewRow]]:
    """Yield the rows in lists of at most `size`; a row whose review cannot be scored has a problem."""
    rows = file.rows()
    while chunk := list(islice(rows, size)):
        yield [row if row.problem else replace(row, problem=_problem_of(row)) for row in chunk]


def _problem_of(row: ReviewRow) -> str:
    return problem_of(row.values.get(TEXT), row.values.get(TITLE))


def _answers(scorer: Scorer, rows: Sequence[ReviewRow], job: ScoringJob) -> list[Added]:
    titles = [row.values.get(TITLE) for row in rows]
    answers = scorer.answer(
        [title if isinstance(title, str) else "" for title in titles], [row.values[TEXT] for row in rows]
    )
    records: Any = answers.assign(**{VERSION_COLUMN: job.version})[list(job.added)].to_dict("records")
    return list(records)


def _joined(parts: PartFiles, job: ScoringJob, total: int) -> BulkResult:
    """Join the parts.

    Raises:
        DataError: no row could be scored, or the parts do not have all rows.
    """
    records = parts.records()
    labels: Counter[str] = Counter()
    for record in records:
        labels.update(record.labels)
    rows, failed = (sum(getattr(one, name) for one in records) for name in ("rows", "failed"))
    if rows + failed != total:
        raise DataError(
            f"{rows:,} rows scored and {failed:,} failed, but {job.source.name} has {total:,} rows. "
            "This is a bug. Please report it."
        )
    parts.join(job.added)
    failures = failed_file(job.output)
    if not rows:
        raise DataError(f"None of the {failed:,} rows could be scored. {failures.name} has the reasons.")
    return BulkResult(
        source=str(job.source),
        output=str(job.output),
        rows=rows,
        failed=failed,
        labels=dict(labels),
        failed_file=str(failures) if failed else None,
        model_version=job.version,
        sample=[entry for record in records for entry in record.sample],
        hashes=content_hashes(job.output),
    )
