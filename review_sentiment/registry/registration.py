"""Register a candidate: version, alias, card, tags and reports.

Only the artifacts and the candidate's run are used, not the present pipeline run, so it works when training
came from the cache.
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
from review_sentiment.tracking.provenance import software_here, trained_with
from review_sentiment.tracking.run_log import log_json, set_tags

if TYPE_CHECKING:
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.evaluation.metrics import Metrics
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.registry.gate import Evaluations, Verdict


def register(
    name: str,
    experiment: str,
    verdict: Verdict,
    evaluations: Evaluations,
    facts: CardFacts,
    report: DataReport,
) -> RegisteredVersion:
    """Register a version and give it its alias.

    It becomes the champion if it passed the gate and was compared with the present champion. Otherwise it
    becomes the challenger.

    Raises:
        TrackingError: MLflow does not know the candidate's run.
    """
    adapter, metrics = facts.adapter, evaluations.tuned.metrics
    run_id = adapter.run_id
    candidate.require_run(run_id)
    champion = model_versions.find_version(name, model_versions.CHAMPION)
    if champion is None or champion.run_id != run_id:
        verdict = still_against(verdict, champion.version if champion else None)
    alias = model_versions.CHAMPION if verdict.passed else model_versions.CHALLENGER
    software = trained_with(recorded_runs.recorded_tags(run_id)) | software_here()
    card = write_card(name, alias, verdict, evaluations, facts, software)
    log_verdict(run_id, verdict)
    reports = {
        "reports/data_report.html": report.html,
        "settings.json": json.dumps(adapter.settings, indent=2),
    }
    lineage = facts.lineage.tags()
    candidate.record_registration(run_id, card, reports, lineage)
    with mlflow_store.temporary_directory() as scratch:
        files = Path(shutil.copytree(adapter.directory, Path(scratch) / "adapter"))
        Serving(adapter.base, metrics.labels, adapter.max_tokens).save(files)
        reference_of(facts.train).to_parquet(files / REFERENCE_FILE, index=False)
        tags = _tags(adapter.base, metrics, verdict) | lineage
        version = model_versions.register_version(name, run_id, files, card, tags)
    with model_versions.deleted_on_failure(name, version):
        if alias == model_versions.CHAMPION:
            model_versions.make_champion(name, version)
        else:
            model_versions.set_alias(name, version, alias)
    set_tags(run_id, {"alias": alias})  # last, so that no run shows an alias that its version does not have
    return RegisteredVersion(
        name=name,
        version=version,
        alias=alias,
        uri=f"models:/{name}/{version}",
        run_id=run_id,
        tracking_uri=mlflow_store.current_uri(),
        experiment=experiment,
        card=card,
    )


def _tags(base: ModelIdentity, metrics: Metrics, verdict: Verdict) -> dict[str, str]:
    return {
        model_versions.ACCURACY_TAG: f"{metrics.accuracy:.6f}",
        "accuracy_interval": "{:.3f}-{:.3f}".format(*metrics.intervals["accuracy"]),
        "f1": f"{metrics.f1:.6f}",
        "roc_auc": f"{metrics.roc_auc:.6f}",
        "calibration_error": f"{metrics.calibration_error:.6f}",
        "evaluation_reviews": str(metrics.n),
        "base_model": base.title,
        "base_revision": base.revision or "newest",
        "quantization": base.quantization,
        "gate": verdict.outcome,
    }


def log_verdict(run_id: str, verdict: Verdict) -> None:
    """Log the gate's decision: every check with its figures, and tags."""
    log_json(run_id, asdict(verdict), "gate.json")
    set_tags(run_id, {"gate": verdict.outcome, "gate.reason": verdict.reason()})
