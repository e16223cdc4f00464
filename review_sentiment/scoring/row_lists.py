"""The lists of rows beside an output, as JSON lines: those that failed, and those that are not answered."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from review_sentiment.data.files.review_file import ReviewFile, ReviewRow

SHOWN = 5
"""Unsure rows that the result of scoring names."""


@dataclass(frozen=True)
class UnsureRow:
    """A row that is not answered: its number (from 1), the label in question, and its probability."""

    number: int
    label: str
    confidence: float


def append_failed(file: ReviewFile, rows: Sequence[ReviewRow], path: Path) -> None:
    """Append rows that could not be scored, if any, to their list, with the reason of each."""
    if not rows:
        return
    with path.open("ab") as lines:
        lines.writelines(_line(file, row, {"problem": row.problem}) for row in rows)


class UnsureRows:
    """Collects the rows that are not answered, and sorts them by certainty.

    Their lines are in a file, in the order of the rows. Only confidences and places stay in memory.
    """

    def __init__(self, file: ReviewFile, collected: Path) -> None:
        self._file = file
        self._collected = collected
        self._confidences = array("d")
        self._ends = array("q", [0])

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return len(self._confidences)

    def add(self, rows: Iterable[tuple[ReviewRow, Mapping[str, Any], float]]) -> None:
        """Collect rows with their answers and the probability of each answer."""
        with self._collected.open("ab" if self.count else "wb") as lines:
            for row, answer, confidence in rows:
                size = lines.write(_line(self._file, row, {"confidence": confidence, **answer}))
                self._ends.append(self._ends[-1] + size)
                self._confidences.append(confidence)

    def write(self, path: Path) -> list[UnsureRow]:
        """Write at least one row, the least certain first; return the first few."""
        first: list[UnsureRow] = []
        with self._collected.open("rb") as lines, path.open("wb") as sorted_lines:
            # A stable sort: equally uncertain rows stay in the order of the file.
            for place in np.argsort(self._confidences, kind="stable").tolist():
                lines.seek(self._ends[place])
                line = lines.read(self._ends[place + 1] - self._ends[place])
                sorted_lines.write(line)
                if len(first) < SHOWN:
                    row = json.loads(line)
                    first.append(UnsureRow(row["number"], row["label"], row["confidence"]))
        return first


def _line(file: ReviewFile, row: ReviewRow, more: Mapping[str, Any]) -> bytes:
    """Return what a list has for a row: its place, `more`, and its values, or else its text."""
    shown: dict[str, Any] = {"number": row.number, "line": row.line, **more}
    shown |= {"raw": row.raw} if row.raw else {"values": file.values_of(row)}
    # Parquet has types that JSON lacks; NaN would not be JSON.
    plain = json.loads(json.dumps(shown, default=str), parse_constant=lambda _: None)
    return (json.dumps(plain, ensure_ascii=False) + "\n").encode()
