"""What a split needs to know of each review, in 27 to 43 bytes instead of a kilobyte with its text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from review_sentiment.data.cleaning import normalised, sample_key
from review_sentiment.data.parts import UNKNOWN, HeldOutShares, parts_by_group, parts_by_time
from review_sentiment.data.review_table import COLUMNS, Reviews

KEY_COLUMNS = ("review_id", "category", "user", "label", "text")
NO_USER = 0
SAME_TEXT = "same text elsewhere"
SAME_USER = "user in another part"
SIMILAR_TEXT = "similar text in another part"
BEYOND = "beyond cap or balance"
ONE_CLASS = "one class only"
KEPT = ""
REASONS = (KEPT, SAME_TEXT, SAME_USER, SIMILAR_TEXT, BEYOND, ONE_CLASS)


@dataclass
class SplitKeys:
    """One element per review, in the order of the tables; a review's number is its place in this order.

    `words` are the hashes of the normalised texts by which categories were sampled: if two are equal, the
    texts are the same. `users` are hashes too, or `NO_USER`. `parts` are places in `PARTS`, and `reasons` are
    places in `REASONS`: why a review was dropped.
    """

    tables: Sequence[Reviews]
    ids: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint64]
    users: npt.NDArray[np.uint64]
    categories: pd.Categorical[str]
    labels: pd.Categorical[str]
    parts: npt.NDArray[np.int8]
    reasons: npt.NDArray[np.int8]

    def left(self, *parts: int) -> npt.NDArray[np.bool_]:
        """Return which reviews are in these parts and not dropped."""
        kept = self.reasons == REASONS.index(KEPT)
        return np.asarray(np.isin(self.parts, parts) & kept, dtype=np.bool_)

    def drop(self, which: npt.NDArray[Any], reason: str) -> None:
        """Drop reviews, given by a mask or by their numbers."""
        self.reasons[which] = REASONS.index(reason)

    def rows(self, numbers: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return the reviews with these numbers, in their order, with the columns of `COLUMNS`."""
        ascending = np.sort(numbers)
        frames, start = [], 0
        for table in self.tables:
            end = start + len(table)
            own = ascending[np.searchsorted(ascending, start) : np.searchsorted(ascending, end)]
            frames.append(table.rows(own - start))
            start = end
        found = pd.concat(frames, ignore_index=True)
        return found[list(COLUMNS)].iloc[np.searchsorted(ascending, numbers)].reset_index(drop=True)

    def texts(self, chosen: npt.NDArray[np.bool_]) -> Iterator[list[str]]:
        """Yield the normalised texts of the chosen reviews in batches."""
        start = 0
        for table in self.tables:
            for batch in table.batches(["text"]):
                end = start + len(batch)
                yield [normalised(text) for text in batch.loc[chosen[start:end], "text"]]
                start = end


def read_keys(
    tables: Sequence[Reviews], by: Literal["group", "time"], shares: HeldOutShares, seed: int
) -> SplitKeys:
    """Read the keys of all reviews; the part is `UNKNOWN` of those with neither group nor user."""
    size = sum(map(len, tables))
    # Filled in place: joining the keys of the batches would hold all of them twice.
    ids, words, users = (np.empty(size, np.uint64) for _ in range(3))
    categories, labels = _Names(size), _Names(size)
    parts, times = np.full(size, UNKNOWN, np.int8), np.empty(size if by == "time" else 0)
    start = 0
    for batch in (batch for table in tables for batch in table.batches([*KEY_COLUMNS, by])):
        rows = slice(start, start + len(batch))
        ids[rows] = np.frombuffer(bytes.fromhex("".join(batch["review_id"])), ">u8")
        words[rows] = [sample_key(normalised(text), seed) for text in batch["text"]]
        hashes = pd.util.hash_pandas_object(batch["user"], index=False)
        users[rows] = hashes.where(batch["user"].notna(), NO_USER)
        categories.add(batch["category"])
        labels.add(batch["label"])
        if by == "time":
            times[rows] = batch["time"]
        else:
            parts[rows] = parts_by_group(batch, shares, seed)
        start = rows.stop
    if by == "time":
        parts = parts_by_time(times, shares)
    reasons = np.zeros(size, np.int8)
    return SplitKeys(tables, ids, words, users, categories.sorted(), labels.sorted(), parts, reasons)


class _Names:
    """Names, by the order in which they came, and the number of each row's."""

    def __init__(self, size: int) -> None:
        self._numbers: dict[str, int] = {}
        self._rows = np.empty(size, np.int16)
        self._end = 0

    def add(self, names: pd.Series) -> None:
        """Add the names of the next rows."""
        numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in names]
        self._rows[self._end : self._end + len(numbers)] = numbers
        self._end += len(numbers)

    def sorted(self) -> pd.Categorical[str]:
        """Return all rows; the names are in alphabetical order."""
        names = sorted(self._numbers)
        ranks = np.argsort([self._numbers[name] for name in names]).astype(np.int16)
        return pd.Categorical.from_codes(ranks[self._rows], pd.Index(names))
