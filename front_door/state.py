"""Where a run keeps its state, and which telemetry is off. Both must be set before ZenML is imported.

Each location has its usual variable, so that checkouts and tests can be isolated:
`ZENML_CONFIG_PATH`, `MLFLOW_TRACKING_URI`, `XDG_CACHE_HOME`, `HF_HOME`.
"""

import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from getpass import getuser
from pathlib import Path

import click

from review_sentiment.cache import cache_directory
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.models.compute import prepare_allocation

OPT_OUTS = {
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_ENABLE_RICH_TRACEBACK": "false",
    "ZENML_LOGGING_COLORS_DISABLED": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""No analytics or telemetry, unless the user's environment enables it."""
SQLITE = "sqlite:///"
DATABASE_OPTIONS = re.compile(r"\w+=[^/&=]*(&\w+=[^/&=]*)*")
"""What may follow a question mark, such as `timeout=30`."""


def existing_parent(directory: Path) -> Path:
    """Return the directory, or the nearest parent that exists: a run creates the rest."""
    return next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())


def prepare_environment() -> None:
    """Set the variables that the user's environment does not.

    Raises:
        UsageError: file names are not UTF-8, the state has no directory that can hold it, or
            MLFLOW_TRACKING_URI names another file than it seems to.
    """
    _require_utf8()
    _require_home()
    _require_place(zenml_directory(), "ZENML_CONFIG_PATH")
    if stores := os.environ.get("ZENML_LOCAL_STORES_PATH"):
        _require_place(Path(stores), "ZENML_LOCAL_STORES_PATH")
    for variable, value in OPT_OUTS.items():
        os.environ.setdefault(variable, value)
    prepare_allocation(os.environ)
    os.environ["MLFLOW_TRACKING_URI"] = _checked_tracking_uri()


def _require_utf8() -> None:
    if sys.getfilesystemencoding() != "utf-8":
        raise UsageError(
            f"Python reads and writes names as {sys.getfilesystemencoding()} in this locale, but reviews, "
            "categories and settings are UTF-8. Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8."
        )


def _require_home() -> None:
    """Require HOME, unless every place that would be in it is set; `~` would become a directory's name."""
    unset = [name for name in ("ZENML_CONFIG_PATH", "XDG_CACHE_HOME") if not os.environ.get(name)]
    if unset and not _found(Path.home):
        raise UsageError(
            f"HOME is not set, and the user {os.getuid()} has no entry in the password file, so there is no "
            f"place for state and cache. Set HOME, or {' and '.join(unset)}."
        )
    if not _found(getuser):  # libraries ask for the user's name too
        os.environ["USER"] = f"user-{os.getuid()}"


def _found(look_up: Callable[[], object]) -> bool:
    try:
        look_up()
    except (RuntimeError, KeyError, OSError):
        return False
    return True


def _require_place(directory: Path, variable: str) -> None:
    """Refuse a directory whose databases would be written elsewhere, or not at all."""
    try:
        encodable = bool(str(directory).encode())
    except UnicodeEncodeError:
        encodable = False
    if "?" in str(directory) or not encodable:
        raise UsageError(
            f"{variable}: {str(directory)!r} cannot hold databases: in the address of a database, a question "
            "mark ends the path, and the path must be UTF-8. Use another directory."
        )


def _checked_tracking_uri() -> str:
    """Return the address of the MLflow store; that of a database has an absolute path, as steps need it.

    Raises:
        UsageError: it does not name a file, or a question mark ends the file's name too early.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{zenml_directory() / 'mlflow' / 'mlflow.db'}"
    if not uri.startswith("sqlite:"):
        return uri
    file, mark, options = uri.partition("?")
    if not file.removeprefix(SQLITE) or not file.startswith(SQLITE):
        raise UsageError(f"MLFLOW_TRACKING_URI: {uri!r} does not name a file. Use {SQLITE}FILE.")
    if mark and not DATABASE_OPTIONS.fullmatch(options):
        raise UsageError(
            f"MLFLOW_TRACKING_URI: in {uri!r}, the question mark ends the file's name: the database would be "
            f"{file.removeprefix(SQLITE)}. Use a path without a question mark."
        )
    return f"{SQLITE}{Path(file.removeprefix(SQLITE)).absolute()}{mark}{options}"


def zenml_directory() -> Path:
    """Return the directory of ZenML's state."""
    return Path(os.environ.get("ZENML_CONFIG_PATH") or click.get_app_dir("zenml")).resolve()


def tracking_uri() -> str:
    """Return the address of the MLflow store."""
    return os.environ["MLFLOW_TRACKING_URI"]


def new_log_file() -> Path:
    """Create the log file of this process and return its path.

    Raises:
        ReviewSentimentError: the cache directory is not writable.
    """
    directory = cache_directory() / "logs"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{os.getpid()}.log"
        file.touch()
    except OSError as error:
        raise ReviewSentimentError(
            f"The log file cannot be written to {directory}: {error.strerror}. Free some space, or set "
            "XDG_CACHE_HOME to a writable directory."
        ) from error
    return file
