"""When the checks of `preflight.py` are made: all of them before a run that loads a model, and only once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from front_door.run.forecast import CACHED, Forecast, cache_exists, forecast_steps
from front_door.run.preflight import Preflight
from front_door.run.training_data import TrainingData, assumed
from front_door.stack.configs import DEFAULT_STACK
from pipelines.step_names import gpu_steps
from review_sentiment.cache import cache_directory
from review_sentiment.errors import DataError, ModelUnavailableError
from review_sentiment.hashing import stable_hash
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED

if TYPE_CHECKING:
    from pathlib import Path

    from review_sentiment.config import Settings

logger = logging.getLogger("review_sentiment.run")
"""The console shows what this package logs."""


def training_data(settings: Settings) -> TrainingData:
    """Return the training reviews of the cached split, or else counted or assumed ones."""
    from front_door.stack.active import active_stack
    from front_door.stack.files import read_stack

    file = read_stack(DEFAULT_STACK)
    ready = Preflight(settings, file)
    try:
        if not cache_exists():
            return ready.reviews
        ready = ready.pinned()
        with active_stack(file):
            found = forecast_steps(ready.settings, ready.source, ())
            return found.training_data(ready.settings) or ready.reviews
    except (DataError, ModelUnavailableError):  # out of reach, so nobody knows whether the split is cached
        return assumed(settings)


def examine(ready: Preflight, rerun: Sequence[str]) -> tuple[TrainingData | None, Forecast]:
    """Make all checks if the run would run a model; return its cached reviews, and what else is cached.

    The settings must be pinned, and ZenML's stack active.

    Raises:
        ReviewSentimentError: a check failed.
    """
    found = forecast_steps(ready.settings, ready.source, rerun)
    if all(found.steps[step] == CACHED for step in gpu_steps(ready.settings)):
        return None, found
    data = found.training_data(ready.settings)
    replace(ready, data=data).require(trains=found.steps["finetune"] != CACHED)
    return data, found


def check_reviews_once(ready: Preflight) -> None:
    """Check columns and labels before anything is loaded; the same data and settings are checked once.

    Raises:
        UsageError: they cannot be used.
        DataError: the reviews cannot be read.
    """
    settings = ready.settings
    sections = (settings.data, settings.cleaning, settings.split, settings.training)
    content = (section.model_dump_json() for section in sections)
    key = stable_hash("reviews", *content, *ready.source.revisions.values())
    passed = _passed(f"reviews-{key:016x}")
    if not passed.exists():
        ready.probes()["reviews"]()
        _remember(passed)


def examine_once(ready: Preflight, rerun: Sequence[str]) -> None:
    """Examine a run that may start; the same settings and data are examined once, unless steps run again.

    A cached run takes a few seconds, and the forecast alone would be two more.

    Raises:
        ReviewSentimentError: a check failed.
    """
    passed = _passed(ready.identity)
    if passed.exists() and not rerun:
        return
    if ready.settings.model.name == EMBEDDED:
        embedded_model.model_directory()
    data, found = examine(ready, rerun)
    if found.steps["finetune"] != CACHED:
        logger.info("%s", replace(ready, data=data).training_text)
    _remember(passed)


def _passed(name: str) -> Path:
    """Return the file that says that checks of this name were passed."""
    return cache_directory() / "preflight" / name


def _remember(passed: Path) -> None:
    with suppress(OSError):  # the log file, which comes next, reports a directory that cannot be written
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()
