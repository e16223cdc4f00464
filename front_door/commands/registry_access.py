"""What the commands that use the registry share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet, without_garbage_collection
from review_sentiment.settings_files import load_settings


@contextmanager
def mlflow_ready() -> Iterator[Path]:
    """Configure MLflow and redirect its output to a new log file, whose path is yielded."""
    log_file = new_log_file()
    with quiet(log_file), without_garbage_collection():
        from review_sentiment.tracking import mlflow_store

        mlflow_store.configure(tracking_uri())
        with mlflow_store.reaching(tracking_uri()):
            yield log_file


def model_name(name: str | None) -> str:
    """Return the given name, or the one in the default settings."""
    return name or load_settings(default_config()).registry.model_name
