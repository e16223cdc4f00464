"""What commands that ask the registry share: the model's name, and an MLflow that is ready and quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet
from review_sentiment.settings_files import load_settings

NAME = click.option("--name", default=None, help="Registered model. Default: registry.model_name.")


@contextmanager
def mlflow_ready() -> Iterator[Path]:
    """Let MLflow and what it prints be used within the block; yield the log file that takes the latter."""
    log_file = new_log_file()
    with quiet(log_file):
        from review_sentiment.tracking import mlflow_store

        mlflow_store.configure(tracking_uri())
        with mlflow_store.reaching(tracking_uri()):
            yield log_file


def model_name(name: str | None) -> str:
    """Return the name that was given, or that of the default settings."""
    return name or load_settings(default_config()).registry.model_name
