"""Uniform samples in constant memory that do not depend on the order of the rows."""

import heapq
from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]

DUPLICATE = "same text"
BEYOND_CAP = "beyond the cap"


class BottomK:
    """The k rows with the smallest keys ("bottom-k sampling").

    With keys that are hashes of the content this is a uniform sample without
    replacement; it is the same for every order of the rows, and samples of
    parts can be merged. E. Cohen and H. Kaplan, "Summarizing data using
    bottom-k sketches", PODC 2007.
    """

    def __init__(self, size: int) -> None:
        """Keep at most `size` rows."""
        self._size = size
        self._largest_first: list[int] = []
        self._rows: dict[int, tuple[str, Row]] = {}

    def add(self, key: int, tie_break: str, row: Row) -> str | None:
        """Offer a row; return why a row was dropped for it, or None when none was.

        Of rows with the same key the one with the smallest `tie_break` stays.
        """
        if key in self._rows:
            if tie_break < self._rows[key][0]:
                self._rows[key] = (tie_break, row)
            return DUPLICATE
        if len(self._rows) < self._size:
            heapq.heappush(self._largest_first, -key)
            self._rows[key] = (tie_break, row)
            return None
        if key < -self._largest_first[0]:
            del self._rows[-heapq.heapreplace(self._largest_first, -key)]
            self._rows[key] = (tie_break, row)
        return BEYOND_CAP

    def __len__(self) -> int:
        """Return the number of rows kept."""
        return len(self._rows)

    def rows(self) -> Iterator[Row]:
        """Yield the sample in no particular order."""
        return (row for _, row in self._rows.values())
