"""Checkpoints of one training in a durable place: a path, or an address that fsspec understands.

A checkpoint is a directory of files and a manifest with the hash of each. The manifest is written last, so a
checkpoint that a killed process left unfinished is recognised. The checkpoints of a training are stored under
its identity (model, settings, data, packages), so a training never resumes another one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from review_sentiment.cache import cache_directory
from review_sentiment.errors import UsageError
from review_sentiment.hashing import file_hash

MANIFEST = "manifest.json"
KEPT = 2
"""Complete checkpoints to keep: the newest, and the one before it in case the newest is damaged."""
_NAME = re.compile(r"step-(\d{8})")

logger = logging.getLogger(__name__)


class Manifest(BaseModel):
    """The files of a complete checkpoint with their hashes, its step and its notes."""

    step: int
    files: dict[str, str]
    notes: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its optimizer step, its address and its notes."""

    step: int
    address: str
    notes: Mapping[str, str]


def training_identity(**parts: Any) -> str:
    """Return a hash of everything that the result of a training depends on; the parts become JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def default_address() -> str:
    """Return where checkpoints go by default: the cache directory of this machine."""
    return str(cache_directory() / "checkpoints")


def clear_checkpoints(address: str) -> None:
    """Remove the checkpoints at a `CheckpointStore.address`."""
    store, _, identity = address.rpartition("/")
    CheckpointStore(store, identity).clear()


class CheckpointStore:
    """The checkpoints of one training."""

    def __init__(self, address: str, identity: str) -> None:
        """Open a directory or an fsspec address such as s3://bucket/checkpoints.

        Raises:
            UsageError: the address cannot be used.
        """
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        try:
            self._files, root = url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"training.checkpoint_dir: '{address}' cannot be used: {error}. Give a directory, or an "
                "address whose fsspec package is installed (s3fs for s3://, gcsfs for gs://)."
            ) from error
        self.base_address, self.identity = address, identity
        self._root = f"{root.rstrip('/')}/{identity}"
        self.address = f"{address.rstrip('/')}/{identity}"

    def leave(self, name: str, content: str) -> str:
        """Save a text beside the checkpoints; return its address."""
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(f"{self._root}/{name}", content.encode())
        return f"{self.address}/{name}"

    def save(self, directory: Path, step: int, notes: Mapping[str, str]) -> None:
        """Save the files of a directory as the checkpoint of a step; delete all but the last `KEPT`."""
        place = f"{self._root}/step-{step:08d}"
        if self._files.exists(place):  # left by a killed process
            self._files.rm(place, recursive=True)
        self._files.makedirs(place, exist_ok=True)
        hashes = {}
        for path in sorted(directory.iterdir()):
            self._files.put_file(str(path), f"{place}/{path.name}")
            hashes[path.name] = file_hash(path)
        manifest = Manifest(step=step, files=hashes, notes=dict(notes))
        self._files.pipe_file(f"{place}/{MANIFEST}", manifest.model_dump_json().encode())
        for _, old in self._steps()[KEPT:]:
            self._files.rm(old, recursive=True)

    def newest_notes(self) -> Mapping[str, str]:
        """Return the notes of the newest complete checkpoint; empty if there is none."""
        manifests = (self._manifest(place) for _, place in self._steps())
        return next((manifest.notes for manifest in manifests if manifest is not None), {})

    def fetch_newest(self, directory: Path) -> Checkpoint | None:
        """Copy the newest complete checkpoint into a directory; skip incomplete ones with a warning."""
        for step, place in self._steps():
            manifest = self._manifest(place)
            if manifest is not None and self._fetch(place, manifest, directory):
                return Checkpoint(step, place, manifest.notes)
            logger.warning("Skipped the checkpoint of step %d: it is incomplete (%s)", step, place)
        return None

    def clear(self) -> None:
        """Remove the checkpoints of this training."""
        if self._files.exists(self._root):
            self._files.rm(self._root, recursive=True)

    def _steps(self) -> list[tuple[int, str]]:
        """Return the steps and addresses of all checkpoints, complete or not, newest first."""
        self._files.invalidate_cache()
        if not self._files.exists(self._root):
            return []
        found = []
        for entry in self._files.ls(self._root, detail=False):
            name = _NAME.fullmatch(str(entry).rstrip("/").rpartition("/")[2])
            if name:
                found.append((int(name[1]), f"{self._root}/{name[0]}"))
        return sorted(found, reverse=True)

    def _manifest(self, place: str) -> Manifest | None:
        try:
            return Manifest.model_validate_json(self._files.cat_file(f"{place}/{MANIFEST}"))
        except (FileNotFoundError, ValidationError):
            return None

    def _fetch(self, place: str, manifest: Manifest, directory: Path) -> bool:
        """Copy a checkpoint; return whether every file has the hash that the manifest names."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        try:
            for name in manifest.files:
                self._files.get_file(f"{place}/{name}", str(directory / name))
        except FileNotFoundError:
            return False
        return all(file_hash(directory / name) == known for name, known in manifest.files.items())
