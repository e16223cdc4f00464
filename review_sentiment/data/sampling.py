"""Uniform samples of a stream in constant memory, independent of the order of the rows."""

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

DUPLICATE = "same text"
BEYOND_CAP = "beyond the cap"


class BottomK(Generic[T]):
    """The `size` rows with the smallest keys ("bottom-k sampling").

    The keys are hashes of the content. Hashes are as good as random numbers, so the rows with the smallest
    ones are a uniform sample without replacement. Unlike random numbers they belong to the row: the sample is
    the same for every order of the rows, and samples of the parts of a stream can be merged. E. Cohen and H.
    Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # A heap of negated keys has the largest key on top: the next to go if a smaller one arrives.
        self._largest_first: list[int] = []
        self._rows: dict[int, tuple[str, T]] = {}

    def add(self, key: int, tie_break: str, row: T) -> str | None:
        """Offer a row. Return the reason if a row was dropped, this one or one that was kept before.

        Of several rows with the same key, the one with the smallest `tie_break` is kept.
        """
        if key in self._rows:
            # A tie must not depend on the order either: the first to arrive has no advantage.
            if tie_break < self._rows[key][0]:
                self._rows[key] = (tie_break, row)
            return DUPLICATE
        # Until the sample is full, every row is in it: a rare class may have fewer rows than asked for.
        if len(self._rows) < self._size:
            heapq.heappush(self._largest_first, -key)
            self._rows[key] = (tie_break, row)
            return None
        # The sample is full, so the row with the largest key goes: a kept one if the new key is smaller.
        if key < -self._largest_first[0]:
            del self._rows[-heapq.heapreplace(self._largest_first, -key)]
            self._rows[key] = (tie_break, row)
        # One row went in both cases: memory stays at `size` rows, whether it is 16,000 reviews or 67 million.
        return BEYOND_CAP

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        """Yield the sample in no particular order."""
        return (row for _, row in self._rows.values())
