"""Ranges of remote files on this machine's disk, so that none is fetched twice.

One SQLite file for each remote file in one state: a process can be killed at
any moment and finds at its next start what it had fetched.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading

from review_sentiment.cache import cache_directory


class KeptRanges:
    """Byte ranges of one file; may be used from several threads."""

    def __init__(self, name: str, state: str) -> None:
        """Open the ranges of a file; `state` changes when its content does."""
        directory = cache_directory() / "ranges"
        directory.mkdir(parents=True, exist_ok=True)
        key = hashlib.blake2b(f"{name}\0{state}".encode(), digest_size=16).hexdigest()
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            directory / f"{key}.sqlite", check_same_thread=False, isolation_level=None, timeout=60
        )
        # WAL without a sync for each range: a killed process loses nothing, a
        # power cut the last ranges, which are fetched again.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS ranges "
            "(start INTEGER, stop INTEGER, body BLOB, PRIMARY KEY (start, stop))"
        )

    def get(self, start: int, stop: int) -> bytes | None:
        """Return a range that was kept, or None."""
        with self._lock:
            found = self._database.execute(
                "SELECT body FROM ranges WHERE start = ? AND stop = ?", (start, stop)
            ).fetchone()
        return found[0] if found else None

    def put(self, start: int, stop: int, body: bytes) -> None:
        """Keep a range."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?)", (start, stop, body))
