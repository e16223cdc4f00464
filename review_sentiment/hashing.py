"""Hashes that are the same on every machine and in every Python process."""

import hashlib
from pathlib import Path


def stable_hash(*parts: str) -> int:
    """Return a 64-bit hash of the parts. Unlike `hash()`, it has no salt that differs between processes."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode()
        # The length keeps ("a", "bc") and ("ab", "c") apart.
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little")


def file_hash(path: Path) -> str:
    """Return a hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def unit_interval(*parts: str) -> float:
    """Return a hash of the parts as a number in [0, 1)."""
    # A float holds 53 bits: all 64 would round the largest hashes up to 1.
    return (stable_hash(*parts) >> 64 - 53) / float(1 << 53)
