"""The progress of reading a category: rows, bytes, rate and time left."""

from __future__ import annotations

import time

from review_sentiment.progress import Progress
from review_sentiment.sources import Reading


class ReadingProgress(Progress):
    """Counts rows of the scarcest class where reading can stop early, else bytes."""

    def __init__(self, category: str, reading: Reading, wanted: int) -> None:
        """Follow a reading that ends with `wanted` rows of every class, or with its last byte."""
        super().__init__(f"reading {category}", wanted if reading.shuffled else reading.size or 1)
        self._shuffled = reading.shuffled
        self._bytes = 0

    def follow(self, rows: int, size: int, scarcest: int) -> None:
        """Tell the rows so far, the bytes of the last chunk, and the rows of the scarcest class so far."""
        self._bytes += size
        seconds = max(time.monotonic() - self._started, 1e-9)
        done = scarcest if self._shuffled else self._bytes
        megabytes = self._bytes / 1e6
        self.advance(done - self._done, f"{rows:,} rows, {megabytes:,.1f} MB, {megabytes / seconds:.1f} MB/s")
