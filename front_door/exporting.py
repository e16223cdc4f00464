"""Export from the front door: a version out of the registry, compared on the validation reviews."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.models.compute import plan_compute
from review_sentiment.registry.export import ExportReport, export
from review_sentiment.tracking import mlflow_store, model_versions
from review_sentiment.training.preparation import prepare

if TYPE_CHECKING:
    from review_sentiment.config import Settings

COMPARED_REVIEWS = 200


def export_version(name: str, version: str, settings: Settings, directory: Path, store: str) -> ExportReport:
    """Fetch the version, merge it and write it to the directory.

    Raises:
        UsageError: there is no such version, or the directory is not empty.
        TrackingError: MLflow cannot be reached.
    """
    mlflow_store.configure(store)
    found = model_versions.get_version(name, version)
    plan = plan_compute(settings.model.device, settings.model.precision)
    chats = prepare(settings).validation.head(COMPARED_REVIEWS)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-export-") as scratch:
        serving, adapter = model_versions.download_adapter(found, Path(scratch))
        return export(serving.base, adapter, plan, chats, directory)
