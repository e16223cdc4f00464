"""The scored chunks of an output, in a directory beside it, until they are joined."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from review_sentiment.data.files.review_file import TEXT, TITLE, Added, ReviewFile, ReviewRow
from review_sentiment.data.files.text_lines import append_files
from review_sentiment.scoring.output_files import failed_file

SAMPLED_PER_CHUNK = 20
"""Rows per chunk that are kept for the drift report."""
IDENTITY_FILE = "identity.json"


@dataclass(frozen=True)
class Part:
    """The record of a scored chunk; `sample` holds (label, words in the text, words in the title)."""

    rows: int
    failed: int
    labels: dict[str, int]
    sample: list[tuple[str, int, int]]


class PartFiles:
    """The parts of an output. Those of another `identity` must not end up in it: they are removed."""

    def __init__(self, output: Path, file: ReviewFile, identity: Mapping[str, Any]) -> None:
        self._output = output
        self._file = file
        self._directory = output.with_name(f"{output.name}.parts")
        self._identity = json.dumps(identity)
        known = self._directory / IDENTITY_FILE
        if not known.is_file() or known.read_text() != self._identity:
            shutil.rmtree(self._directory, ignore_errors=True)

    def has(self, number: int) -> bool:
        """Return whether a chunk has been scored; its record is written last."""
        return self._record(number).is_file()

    def write(
        self, number: int, rows: Sequence[ReviewRow], added: Sequence[Added], failed: Sequence[ReviewRow]
    ) -> None:
        """Write a chunk's rows, its failed rows, and its record."""
        if not self._directory.is_dir():
            self._directory.mkdir()
            (self._directory / IDENTITY_FILE).write_text(self._identity)
        if rows:
            self._file.write(self._rows(number), rows, added)
        if failed:
            lines = (json.dumps(self._shown(row), ensure_ascii=False) + "\n" for row in failed)
            self._failed(number).write_text("".join(lines), encoding="utf-8")
        labels = [str(more["label"]) for more in added]
        every = max(1, len(rows) // SAMPLED_PER_CHUNK)
        part = Part(
            rows=len(rows),
            failed=len(failed),
            labels=dict(Counter(labels)),
            sample=[
                (label, len(row.values[TEXT].split()), len((row.values.get(TITLE) or "").split()))
                for label, row in list(zip(labels, rows, strict=True))[::every][:SAMPLED_PER_CHUNK]
            ],
        )
        unfinished = self._record(number).with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(part)))
        unfinished.rename(self._record(number))

    def records(self) -> list[Part]:
        """Return the records of all chunks."""
        return [Part(**json.loads(self._record(number).read_text())) for number in self._numbers()]

    def join(self, columns: Sequence[str]) -> None:
        """Replace the output and its failed rows by the joined chunks, and remove the chunks.

        `columns` are those that were added. Without a row to score, an earlier output stays.
        """
        rows, failed = (
            [path for number in self._numbers() if (path := name(number)).is_file()]
            for name in (self._rows, self._failed)
        )
        joined = self._directory / "joined"
        failed_file(self._output).unlink(missing_ok=True)
        if failed:
            append_files(failed, failed_file(self._output))
        if rows:
            self._file.join(rows, joined, columns)
            joined.replace(self._output)
        shutil.rmtree(self._directory)

    def _shown(self, row: ReviewRow) -> dict[str, Any]:
        """Return what a failed row's line has: its place, the reason, and its values, or else its text."""
        shown: dict[str, Any] = {"number": row.number, "line": row.line, "problem": row.problem}
        shown |= {"raw": row.raw} if row.raw else {"values": self._file.values_of(row)}
        # Parquet has types that JSON lacks; NaN would not be JSON.
        plain: dict[str, Any] = json.loads(json.dumps(shown, default=str), parse_constant=lambda _: None)
        return plain

    def _numbers(self) -> list[int]:
        return sorted(int(file.stem) for file in self._directory.glob("*.json") if file.stem.isdigit())

    def _record(self, number: int) -> Path:
        return self._directory / f"{number:08d}.json"

    def _rows(self, number: int) -> Path:
        return self._directory / f"{number:08d}.rows"

    def _failed(self, number: int) -> Path:
        return self._directory / f"{number:08d}.failed.jsonl"
