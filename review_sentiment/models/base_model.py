"""The identity of a base model: its name, revision, quantisation and, for local files, their content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.fingerprints import combined, file_fingerprint
from review_sentiment.models import embedded_model

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings

EMBEDDED = "embedded"
NOT_LOADED = (".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf", ".log")
"""Endings of files that no loader reads: a better README must not cost a training."""
TEMPLATES = "additional_chat_templates"
"""The only directory below a model's own that transformers (5.23) reads."""

Fingerprints = tuple[tuple[str, str], ...]
"""Names of files, sorted, with the hash of their content."""


@dataclass(frozen=True)
class ModelIdentity:
    """What identifies a base model, so that an adapter can find it again on another machine.

    `name` is `embedded`, a directory or a Hub name; `title` is for people. `revision` is the commit of a Hub
    model, and a hash of `files` for a directory. `files` is empty for a Hub model.
    """

    name: str
    revision: str | None
    quantization: str
    title: str
    files: Fingerprints = ()


def identify(settings: ModelSettings) -> ModelIdentity:
    """Return the identity of the model that the settings name.

    Raises:
        ModelUnavailableError: it is on this machine, but `model.revision` is that of other files.
        DataError: one of its files cannot be read.
    """
    name, revision, title = settings.name, settings.revision, settings.name
    files = files_of(name)
    if files:
        revision = combined(files)
    if name == EMBEDDED:
        revision, title = f"{embedded_model.revision()} {revision}", embedded_model.IDENTITY
    if files and settings.revision not in (None, revision):
        raise ModelUnavailableError(
            f"model.revision: the files of the model {title} have the fingerprint '{revision}', not "
            f"'{settings.revision}'. If you did not set it, they changed during the run: run again."
        )
    return ModelIdentity(name, revision, settings.quantization, title, files)


def files_of(name: str) -> Fingerprints:
    """Return the files on this machine that a model is loaded from; none for a Hub model.

    Raises:
        ModelUnavailableError: the package of the embedded model is not installed.
        DataError: a file cannot be read.
    """
    return embedded_model.package_files() if name == EMBEDDED else files_in(name)


def files_in(name: str) -> Fingerprints:
    """Return the files of a directory that a model is loaded from; none if it is not a directory.

    Raises:
        DataError: a file cannot be read.
    """
    directory = Path(name)
    paths = [*directory.glob("*"), *directory.glob(f"{TEMPLATES}/*")] if directory.is_dir() else []
    return tuple(
        sorted(
            (path.relative_to(directory).as_posix(), file_fingerprint(path))
            for path in paths
            if _is_loaded(path)
        )
    )


def require_same_files(base: ModelIdentity) -> None:
    """Check that the model on this machine is still the one that was identified.

    Raises:
        ModelUnavailableError: a file was changed, added or removed, or the package has another version.
        DataError: a file cannot be read.
    """
    before, now = dict(base.files), dict(files_of(base.name)) if base.files else {}
    if before == now:
        return
    if not now:
        raise ModelUnavailableError(
            f"The base model, the directory {base.name}, does not exist any more. Put it back, or a link to "
            f"where it is now (fingerprint {base.revision})."
        )
    changes = {
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name]),
        "added": sorted(now.keys() - before.keys()),
        "missing": sorted(before.keys() - now.keys()),
    }
    found = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in changes.items() if names)
    raise ModelUnavailableError(
        f"The base model {base.title} ({base.name}) has other files than when the adapter was trained "
        f"({found}), so its answers would be different. Put the old files back (fingerprint {base.revision}) "
        "or train a new version: `python run_pipeline.py`."
    )


def _is_loaded(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in NOT_LOADED
