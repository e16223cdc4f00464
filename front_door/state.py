"""Where a run keeps its state, and which telemetry is off. Both must be set before ZenML is imported.

Each location has its usual variable, so that checkouts and tests can be isolated:
`ZENML_CONFIG_PATH`, `MLFLOW_TRACKING_URI`, `XDG_CACHE_HOME`, `HF_HOME`.
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
"""No analytics or telemetry, unless the user's environment enables it."""


def prepare_environment() -> None:
    """Set the variables that the user's environment does not."""
    for variable, value in OPT_OUTS.items():
        os.environ.setdefault(variable, value)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{zenml_directory() / 'mlflow' / 'mlflow.db'}")


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
