"""Register a candidate: alias, card, tags and reports, from the artifacts alone.

Nothing here looks for the present run, so it works when training came from the cache.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.data_report import reference_of
from review_sentiment.registry.gate import still_against
from review_sentiment.registry.model_card import CardFacts, RegisteredVersion, write_card
from review_sentiment.scoring.scorer import REFERENCE_FILE, Serving
from review_sentiment.tracking import candidate, mlflow_store, model_versions, recorded_runs
from review_sentiment.tracking.candidate import set_tags
from review_sentiment.tracking.mlflow_store import client
from review_sentiment.tracking.provenance import software_here, trained_with

if TYPE_CHECKING:
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.data.review_table import ReviewTable
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.evaluation.robustness import Robustness
    from review_sentiment.registry.gate import Verdict
    from review_sentiment.training.trained_adapter import TrainedAdapter


def register(
    name: str,
    experiment: str,
    adapter: TrainedAdapter,
    labels: tuple[str, ...],
    verdict: Verdict,
    tuned: Evaluation,
    baseline: Evaluation | None,
    classical: Evaluation,
    facts: CardFacts,
    report: DataReport,
    train: ReviewTable,
    robustness: Robustness | None = None,
) -> RegisteredVersion:
    """Register a version and give it its alias.

    The champion's alias moves when the gate is passed and the present champion is the one that the
    candidate was compared with; else the version becomes the challenger.

    Raises:
        TrackingError: MLflow does not know the candidate's run.
    """
    candidate.require_run(adapter.run_id)
    champion = model_versions.find_version(name, model_versions.CHAMPION)
    if champion is None or champion.run_id != adapter.run_id:
        verdict = still_against(verdict, champion.version if champion else None)
    alias = model_versions.CHAMPION if verdict.passed else model_versions.CHALLENGER
    software = trained_with(recorded_runs.recorded_tags(adapter.run_id)) | software_here()
    card = write_card(name, alias, verdict, tuned, baseline, classical, facts, software, robustness)
    log_verdict(adapter.run_id, verdict)
    candidate.log_text(adapter.run_id, report.html, "reports/data_report.html")
    candidate.log_text(adapter.run_id, card, "model_card.md")
    candidate.log_text(adapter.run_id, json.dumps(adapter.settings, indent=2), "settings.json")
    tags = _tags(adapter, tuned, verdict) | facts.lineage.tags()
    shown_by_mlflow = {"mlflow.note.content": card, **candidate.SOURCE_TAGS}
    candidate.set_tags(adapter.run_id, {**shown_by_mlflow, **facts.lineage.tags()})
    with mlflow_store.temporary_directory() as scratch:
        files = Path(shutil.copytree(adapter.directory, Path(scratch) / "adapter"))
        Serving(adapter.base, labels, adapter.max_tokens).save(files)
        reference_of(train).to_parquet(files / REFERENCE_FILE, index=False)
        version = model_versions.register_version(name, adapter.run_id, files, card, tags)
    with model_versions.taken_back_on_failure(name, version):
        if alias == model_versions.CHAMPION:
            model_versions.make_champion(name, version)
        else:
            model_versions.set_alias(name, version, alias)
    candidate.set_tags(adapter.run_id, {"alias": alias})  # last: a run never says what is not so
    return RegisteredVersion(
        name=name,
        version=version,
        alias=alias,
        uri=f"models:/{name}/{version}",
        run_id=adapter.run_id,
        tracking_uri=mlflow_store.current_uri(),
        experiment=experiment,
        card=card,
    )


def _tags(adapter: TrainedAdapter, tuned: Evaluation, verdict: Verdict) -> dict[str, str]:
    metrics = tuned.metrics
    return {
        model_versions.ACCURACY_TAG: f"{metrics.accuracy:.6f}",
        "accuracy_interval": "{:.3f}-{:.3f}".format(*metrics.intervals["accuracy"]),
        "f1": f"{metrics.f1:.6f}",
        "roc_auc": f"{metrics.roc_auc:.6f}",
        "calibration_error": f"{metrics.calibration_error:.6f}",
        "evaluation_reviews": str(metrics.n),
        "base_model": adapter.base.title,
        "quantization": adapter.base.quantization,
        "gate": "passed" if verdict.passed else "not passed",
    }


def log_verdict(run_id: str, verdict: Verdict) -> None:
    """Log the gate's decision: every rule with its figure, and tags."""
    client().log_dict(run_id, asdict(verdict), "gate.json")
    set_tags(
        run_id,
        {"gate": "passed" if verdict.passed else "not passed", "gate.reason": verdict.reason()},
    )
