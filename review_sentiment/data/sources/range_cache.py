"""A cache on disk for ranges of remote files, so that no range is downloaded twice.

Each state of a remote file has an SQLite file of its own. A process can be killed at any moment; the next one
finds what it had downloaded.
"""

from __future__ import annotations

import sqlite3
import threading

from review_sentiment.cache import cache_directory
from review_sentiment.hashing import stable_hash


class RangeCache:
    """Byte ranges of one file; several threads may use it."""

    def __init__(self, name: str, state: str) -> None:
        """Open the cache of a file; `state` changes if its content does."""
        directory = cache_directory() / "ranges"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{stable_hash(name, state):016x}.sqlite"
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=60)
        # WAL without a sync per range: a killed process loses nothing; a power cut loses the last ranges,
        # which are downloaded again.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS ranges "
            "(start INTEGER, stop INTEGER, body BLOB, PRIMARY KEY (start, stop))"
        )

    def get(self, start: int, stop: int) -> bytes | None:
        """Return a cached range, or None."""
        with self._lock:
            found = self._database.execute(
                "SELECT body FROM ranges WHERE start = ? AND stop = ?", (start, stop)
            ).fetchone()
        return found[0] if found else None

    def put(self, start: int, stop: int, body: bytes) -> None:
        """Store a range."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?)", (start, stop, body))
