"""Checkpoints of one training in a durable place: a path, or an address that fsspec understands.

A checkpoint is a directory of files and, written last, a manifest with the hash
of each: a process can be killed at any moment, and what it has half written is
told from what is whole. Checkpoints stand under the identity of their training
(model, settings, data, packages), so that none of another training is resumed.
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
"""Whole checkpoints that stay: the newest, and the one before it in case the newest is damaged."""
_NAME = re.compile(r"step-(\d{8})")

logger = logging.getLogger(__name__)


class Manifest(BaseModel):
    """What a whole checkpoint consists of, and what is to be known of it without reading its files."""

    step: int
    files: dict[str, str]
    notes: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: its optimiser step, its address and the notes that were left with it."""

    step: int
    address: str
    notes: Mapping[str, str]


def training_identity(**parts: Any) -> str:
    """Return a hash of everything that a training's course depends on; the parts are written as JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def default_address() -> str:
    """Return where checkpoints go unless the settings say otherwise: this machine's cache directory."""
    return str(cache_directory() / "checkpoints")


def clear_checkpoints(address: str) -> None:
    """Remove the checkpoints of the training whose address, `CheckpointStore.address`, this is."""
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
        """Keep a text beside the checkpoints; return its address."""
        self._files.makedirs(self._root, exist_ok=True)
        self._files.pipe_file(f"{self._root}/{name}", content.encode())
        return f"{self.address}/{name}"

    def save(self, directory: Path, step: int, notes: Mapping[str, str]) -> None:
        """Keep the files of a directory as the checkpoint of a step; of older ones the last stays."""
        place = f"{self._root}/step-{step:08d}"
        if self._files.exists(place):  # what a killed process left
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
        """Return what was noted with the newest checkpoint; nothing where there is none."""
        manifests = (self._manifest(place) for _, place in self._steps())
        return next((manifest.notes for manifest in manifests if manifest is not None), {})

    def fetch_newest(self, directory: Path) -> Checkpoint | None:
        """Copy the newest whole checkpoint into a directory; torn ones are passed over with a warning."""
        for step, place in self._steps():
            manifest = self._manifest(place)
            if manifest is not None and self._fetch(place, manifest, directory):
                return Checkpoint(step, place, manifest.notes)
            logger.warning("The checkpoint of step %d is not whole (%s): passed over", step, place)
        return None

    def clear(self) -> None:
        """Remove the checkpoints of this training."""
        if self._files.exists(self._root):
            self._files.rm(self._root, recursive=True)

    def _steps(self) -> list[tuple[int, str]]:
        """Return the checkpoints that were begun, newest first."""
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
        """Copy a checkpoint; return whether all of it arrived as it was written."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        try:
            for name in manifest.files:
                self._files.get_file(f"{place}/{name}", str(directory / name))
        except FileNotFoundError:
            return False
        return all(file_hash(directory / name) == known for name, known in manifest.files.items())
