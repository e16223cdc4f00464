"""Fingerprints of files by their content. A large file is read once, and remembered until it changes."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from review_sentiment.cache import cache_directory, write_whole
from review_sentiment.errors import DataError

PIECE_BYTES = 64 * 2**20
"""A file is hashed in pieces of this size at the same time: SHA-256 takes 1.6 GB/s on a core with SHA
instructions and 2.8 GB/s on two (BLAKE2b 0.8 and 1.6), so 16 GB of weights take about 6 s on two cores."""
BLOCK_BYTES = 2**20
REMEMBERED_BYTES = 2**20
"""Smaller files are hashed each time, in about a millisecond."""
ANNOUNCED_BYTES = 2 * 10**9
SETTLED_NS = 3 * 10**9
"""File systems keep times in steps of up to 2 s. A file that changed so recently may change again without a
new time, so it is not remembered yet."""
SHORT_DIGITS = 16
"""Digits of a fingerprint that people see and settings name."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

logger = logging.getLogger(__name__)


def file_fingerprint(path: Path) -> str:
    """Return a hash of a file's content, 64 hexadecimal digits.

    Raises:
        DataError: the file cannot be read, or changed while it was read.
    """
    try:
        before = _state(path)
        if path.stat().st_size < REMEMBERED_BYTES:
            return _hash(path)
        remembered = cache_directory() / "fingerprints" / hashlib.sha256(before.encode()).hexdigest()
        if remembered.is_file() and _FINGERPRINT.fullmatch(known := remembered.read_text(encoding="ascii")):
            return known
        found = _hash(path)
        if _state(path) != before:
            raise DataError(f"{path} changed while it was read. Run again when it is complete.")
        settled = time.time_ns() - max(path.stat().st_mtime_ns, path.stat().st_ctime_ns) > SETTLED_NS
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if settled:
        _remember(remembered, found)
    return found


def combined(fingerprints: tuple[tuple[str, str], ...]) -> str:
    """Return a hash of names and their fingerprints, `SHORT_DIGITS` hexadecimal digits."""
    return hashlib.sha256(repr(sorted(fingerprints)).encode()).hexdigest()[:SHORT_DIGITS]


def _state(path: Path) -> str:
    """Return what changes with the file: writing it again sets ctime, also where mtime is restored."""
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return repr((os.fsencode(path.resolve()), status.st_dev, status.st_ino, status.st_size, *times))


def _hash(path: Path) -> str:
    size = path.stat().st_size
    starts = range(0, size, PIECE_BYTES)
    if len(starts) <= 1:
        return hashlib.sha256(_hash_piece(path, 0)).hexdigest()
    if size >= ANNOUNCED_BYTES:
        logger.info("Reading %s once for its fingerprint (%.1f GB)", path.name, size / 1e9)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pieces = pool.map(lambda start: _hash_piece(path, start), starts)
        return hashlib.sha256(b"".join(pieces)).hexdigest()


def _hash_piece(path: Path, start: int) -> bytes:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        left = PIECE_BYTES
        while left and (count := file.readinto(buffer[: min(left, BLOCK_BYTES)])):
            digest.update(buffer[:count])
            left -= count
    return digest.digest()


def _remember(place: Path, fingerprint: str) -> None:
    try:
        write_whole(place, fingerprint)
    except OSError as error:  # the result is right without it, and only slower
        logger.info("The fingerprint of a file could not be kept in %s: %s", place.parent, error)
