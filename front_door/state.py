"""Where a run keeps its state, and what is switched off: decided before ZenML is imported.

Each place is moved by its usual variable, so that two checkouts or a test
share nothing: `ZENML_CONFIG_PATH`, `MLFLOW_TRACKING_URI`, `XDG_CACHE_HOME`, `HF_HOME`.
"""

import os
from datetime import datetime
from pathlib import Path

import click

from review_sentiment.cache import cache_directory
from review_sentiment.errors import ReviewSentimentError

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
"""No analytics or telemetry unless the user asks for it in the environment."""


def prepare_environment() -> None:
    """Set the defaults that the user's environment leaves open."""
    for variable, value in OPT_OUTS.items():
        os.environ.setdefault(variable, value)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{zenml_directory() / 'mlflow' / 'mlflow.db'}")


def zenml_directory() -> Path:
    """Return the directory of ZenML's own state."""
    return Path(os.environ.get("ZENML_CONFIG_PATH") or click.get_app_dir("zenml")).resolve()


def tracking_uri() -> str:
    """Return the address of the MLflow store."""
    return os.environ["MLFLOW_TRACKING_URI"]


def new_log_file() -> Path:
    """Return the path of this run's log file, in a directory that exists.

    Raises:
        ReviewSentimentError: the cache directory cannot be written.
    """
    directory = cache_directory() / "logs"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{os.getpid()}.log"
        file.touch()
    except OSError as error:
        raise ReviewSentimentError(
            f"The log file cannot be written to {directory}: {error.strerror}. Free some room, or set "
            "XDG_CACHE_HOME to a directory that can be written."
        ) from error
    return file
