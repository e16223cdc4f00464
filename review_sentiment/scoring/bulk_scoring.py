"""Scoring a file of any size: a chunk at a time, in constant memory, going on where it was interrupted.

Every chunk is a file of its own beside the output until all are there; what is there is not scored again.
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
    Row,
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
"""Rows of a chunk that are remembered for the drift report."""
VERSION_COLUMN = "model_version"
IDENTITY_FILE = "identity.json"


@dataclass(frozen=True)
class Part:
    """What is known of a chunk that has been scored; `sample` has [label, words of text, words of title]."""

    rows: int
    failed: int
    labels: dict[str, int]
    sample: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class BulkResult:
    """What became of a file: rows answered by label, rows that failed and where they are."""

    output: str
    rows: int
    failed: int
    labels: dict[str, int]
    failed_file: str | None
    model_version: str
    sample: list[tuple[str, int, int]]


def score_file(
    scorer: Callable[[], Scorer],
    version: str,
    source: Path,
    output: Path,
    rows_per_chunk: int = ROWS_PER_CHUNK,
) -> BulkResult:
    """Score the file `source` into `output`: its columns, label, p_<label> and the model's version.

    `scorer` loads the model; it is called when there is something to score. Rows that cannot be scored go
    to OUTPUT.failed.jsonl with their number and the reason.

    Raises:
        UsageError: the formats differ, `text` is missing, or a column would be written over.
        DataError: no row of the file could be scored.
    """
    columns = columns_of(source)
    if format_of(source) != format_of(output):
        raise UsageError(f"{output.name}: the output has the format of the input, {source.suffix}.")
    if source.resolve() == output.resolve():
        raise UsageError(f"{output.name} is the input itself.")
    if not output.parent.is_dir():
        raise UsageError(f"There is no directory {output.parent}.")
    total = sum(1 for _ in read_rows(source))  # a wrong encoding shows here, before anything is scored
    parts = _PartFiles(output, source, version, rows_per_chunk)
    loaded: Scorer | None = None
    with Progress(f"scoring {source.name}", total) as progress:
        for number, chunk in enumerate(read_chunks(source, rows_per_chunk)):
            if not parts.is_there(number):
                loaded = loaded or scorer()
                _score_chunk(loaded, version, chunk, columns, source, parts, number)
            progress.advance(len(chunk))
    return parts.join()


def drift_of(result: BulkResult, adapter: Path) -> DataReport:
    """Compare a sample of the scored rows with the training reviews that the version remembers."""
    from review_sentiment.data.data_report import SCORED_COLUMNS, drift_report
    from review_sentiment.scoring.scorer import REFERENCE_FILE

    sample = pd.DataFrame(result.sample, columns=list(SCORED_COLUMNS))
    return drift_report(pd.read_parquet(adapter / REFERENCE_FILE), sample)


def _score_chunk(
    scorer: Scorer,
    version: str,
    chunk: Sequence[Row],
    columns: list[str],
    source: Path,
    parts: _PartFiles,
    number: int,
) -> None:
    added = [name for name in scorer.columns if name != "probability"] + [VERSION_COLUMN]
    taken = sorted(set(added) & set(columns))
    if taken:
        raise UsageError(
            f"{source.name} has a column {', '.join(taken)} already, which would be written over. Rename it."
        )
    good = [row for row in chunk if not row.problem]
    answers = scorer.answer(
        [str(row.values.get(TITLE) or "") for row in good], [str(row.values[TEXT]) for row in good]
    ).assign(**{VERSION_COLUMN: version})
    rows = [
        {**row.values, **answer} for row, answer in zip(good, answers[added].to_dict("records"), strict=True)
    ]
    schema = scored_schema(
        source, [name for name in added if name.startswith("p_")], ["label", VERSION_COLUMN]
    )
    parts.write(number, rows, [*columns, *added], schema, [row for row in chunk if row.problem])


class _PartFiles:
    """The chunks of an output that are there, in a directory beside it."""

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
        known = self._directory / IDENTITY_FILE
        if not known.is_file() or json.loads(known.read_text()) != identity:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)
            known.write_text(json.dumps(identity))

    def is_there(self, number: int) -> bool:
        """Tell whether a chunk has been scored: its record is written last."""
        return self._record(number).is_file()

    def write(
        self,
        number: int,
        rows: list[dict[str, Any]],
        columns: list[str],
        schema: Any,
        failed: Sequence[Row],
    ) -> None:
        """Write a chunk's rows, those that failed, and its record."""
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
        """Put the chunks together and remove their directory."""
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
