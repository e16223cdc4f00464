"""Score a file of any size, chunk by chunk in constant memory. An interrupted run resumes.

Each scored chunk is saved in a directory beside the output. When all of them exist, they are joined.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from review_sentiment.errors import DataError, UsageError
from review_sentiment.progress import Progress
from review_sentiment.scoring.review_files import (
    TEXT,
    TITLE,
    ReviewRow,
    columns_of,
    format_of,
    join_files,
    read_chunks,
    read_rows,
    scored_schema,
    write_rows,
)

if TYPE_CHECKING:
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.scoring.scorer import Scorer

ROWS_PER_CHUNK = 1_000
SAMPLED_PER_CHUNK = 20
"""Rows per chunk that are kept for the drift report."""
VERSION_COLUMN = "model_version"
IDENTITY_FILE = "identity.json"


@dataclass(frozen=True)
class Part:
    """The record of a scored chunk; `sample` holds (label, words in the text, words in the title)."""

    rows: int
    failed: int
    labels: dict[str, int]
    sample: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class BulkResult:
    """The result of scoring a file: rows by label, and the rows that failed with the file that lists them."""

    output: str
    rows: int
    failed: int
    labels: dict[str, int]
    failed_file: str | None
    model_version: str
    sample: list[tuple[str, int, int]]


def score_file(
    load_scorer: Callable[[], Scorer],
    version: str,
    source: Path,
    output: Path,
    rows_per_chunk: int = ROWS_PER_CHUNK,
) -> BulkResult:
    """Score the file `source` into `output`: its columns, label, p_<label> and the model's version.

    `load_scorer` loads the model; it is only called if there is something to score. Rows that cannot be
    scored go to OUTPUT.failed.jsonl with their number and the reason.

    Raises:
        UsageError: the formats differ, `text` is missing, or a column would be overwritten.
        DataError: no row of the file could be scored.
    """
    columns_of(source)
    if format_of(source) != format_of(output):
        raise UsageError(f"{output.name}: the output must have the format of the input, {source.suffix}.")
    if source.resolve() == output.resolve():
        raise UsageError(f"{output.name} is the input itself.")
    if not output.parent.is_dir():
        raise UsageError(f"There is no directory {output.parent}.")
    total = sum(1 for _ in read_rows(source))  # also finds a wrong encoding before anything is scored
    parts = _PartFiles(output, source, version, rows_per_chunk)
    scorer: _ChunkScorer | None = None
    with Progress(f"scoring {source.name}", total) as progress:
        for number, chunk in enumerate(read_chunks(source, rows_per_chunk)):
            if not parts.has(number):
                scorer = scorer or _ChunkScorer(load_scorer(), version, source)
                rows = scorer.score([row for row in chunk if not row.problem])
                failed = [row for row in chunk if row.problem]
                parts.write(number, rows, scorer.columns, scorer.schema, failed)
            progress.advance(len(chunk))
    return parts.join()


def drift_of(result: BulkResult, adapter: Path) -> DataReport:
    """Compare a sample of the scored rows with the training reviews stored with the version."""
    from review_sentiment.data.data_report import SCORED_COLUMNS, drift_report
    from review_sentiment.scoring.scorer import REFERENCE_FILE

    sample = pd.DataFrame(result.sample, columns=list(SCORED_COLUMNS))
    return drift_report(pd.read_parquet(adapter / REFERENCE_FILE), sample)


class _ChunkScorer:
    """Adds a version's answers to the rows of a file; `columns` and `schema` are those of the result."""

    def __init__(self, scorer: Scorer, version: str, source: Path) -> None:
        self._scorer = scorer
        self._version = version
        self._added = [name for name in scorer.columns if name != "probability"] + [VERSION_COLUMN]
        columns = columns_of(source)
        taken = sorted(set(self._added) & set(columns))
        if taken:
            raise UsageError(
                f"{source.name} already has a column {', '.join(taken)}, which would be overwritten. "
                "Rename it."
            )
        self.columns = [*columns, *self._added]
        probabilities = [name for name in self._added if name.startswith("p_")]
        self.schema = scored_schema(source, probabilities, ["label", VERSION_COLUMN])

    def score(self, rows: Sequence[ReviewRow]) -> list[dict[str, Any]]:
        """Return the values of the rows with the added columns."""
        titles = [str(row.values.get(TITLE) or "") for row in rows]
        answers = self._scorer.answer(titles, [str(row.values[TEXT]) for row in rows])
        added: Any = answers.assign(**{VERSION_COLUMN: self._version})[self._added].to_dict("records")
        return [{**row.values, **answer} for row, answer in zip(rows, added, strict=True)]


class _PartFiles:
    """The scored chunks of an output, in a directory beside it."""

    def __init__(self, output: Path, source: Path, version: str, rows_per_chunk: int) -> None:
        self._output = output
        self._version = version
        self._directory = output.with_name(f"{output.name}.parts")
        status = source.stat()
        identity = {
            "source": str(source.resolve()),
            "bytes": status.st_size,
            "modified": status.st_mtime_ns,
            "version": version,
            "rows_per_chunk": rows_per_chunk,
        }
        # Chunks of another file or version must not end up in this output: start again.
        known = self._directory / IDENTITY_FILE
        if not known.is_file() or json.loads(known.read_text()) != identity:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)
            known.write_text(json.dumps(identity))

    def has(self, number: int) -> bool:
        """Return whether a chunk has been scored; its record is written last."""
        return self._record(number).is_file()

    def write(
        self,
        number: int,
        rows: list[dict[str, Any]],
        columns: list[str],
        schema: Any,
        failed: Sequence[ReviewRow],
    ) -> None:
        """Write a chunk's rows, its failed rows, and its record."""
        if rows:
            write_rows(self._rows(number), rows, columns, schema)
        if failed:
            lines = (json.dumps(asdict(row), ensure_ascii=False, default=str) + "\n" for row in failed)
            self._failed(number).write_text("".join(lines), encoding="utf-8")
        every = max(1, len(rows) // SAMPLED_PER_CHUNK)
        part = Part(
            rows=len(rows),
            failed=len(failed),
            labels=dict(Counter(str(row["label"]) for row in rows)),
            sample=[
                (str(row["label"]), len(str(row[TEXT]).split()), len(str(row.get(TITLE) or "").split()))
                for row in rows[::every][:SAMPLED_PER_CHUNK]
            ],
        )
        unfinished = self._record(number).with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(part)))
        unfinished.rename(self._record(number))

    def join(self) -> BulkResult:
        """Join the chunks and remove their directory."""
        numbers = sorted(int(file.stem) for file in self._directory.glob("*.json") if file.stem.isdigit())
        records = [Part(**json.loads(self._record(number).read_text())) for number in numbers]
        labels: Counter[str] = Counter()
        for record in records:
            labels.update(record.labels)
        rows, failed = (sum(getattr(one, name) for one in records) for name in ("rows", "failed"))
        failed_file = self._output.with_name(f"{self._output.name}.failed.jsonl")
        failed_file.unlink(missing_ok=True)
        if failed:
            join_files([path for number in numbers if (path := self._failed(number)).is_file()], failed_file)
        if not rows:
            raise DataError(
                f"No row could be scored. {failed_file.name} has the reasons." if failed else "No rows."
            )
        unfinished = self._output.with_name(f"unfinished-{self._output.name}")
        join_files([path for number in numbers if (path := self._rows(number)).is_file()], unfinished)
        unfinished.rename(self._output)
        shutil.rmtree(self._directory)
        return BulkResult(
            output=str(self._output),
            rows=rows,
            failed=failed,
            labels=dict(labels),
            failed_file=str(failed_file) if failed else None,
            model_version=self._version,
            sample=[entry for record in records for entry in record.sample],
        )

    def _record(self, number: int) -> Path:
        return self._directory / f"{number:08d}.json"

    def _rows(self, number: int) -> Path:
        return self._directory / f"{number:08d}{self._output.suffix}"

    def _failed(self, number: int) -> Path:
        return self._directory / f"{number:08d}.failed.jsonl"
