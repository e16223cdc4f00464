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

from review_sentiment.data.chats import REVIEW_COLUMNS
from review_sentiment.data.data_report import reference_of
from review_sentiment.registry.gate import still_against
from review_sentiment.registry.model_card import (
    CardFacts,
    CardIdentity,
    RegisteredVersion,
    concerns,
    write_card,
)
from review_sentiment.scoring.scorer import REFERENCE_FILE, Serving
from review_sentiment.tracking import candidate, mlflow_store, model_versions, recorded_runs
from review_sentiment.tracking.evidence import GATE_FILE, SETTINGS_FILE, log_card, log_evidence
from review_sentiment.tracking.provenance import software_here, trained_with
from review_sentiment.tracking.run_log import log_json, set_tags
from review_sentiment.tracking.served_model import log_served_model

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
    adapter, run_id = facts.adapter, facts.adapter.run_id
    candidate.require_run(run_id)
    versions = model_versions.list_versions(name)
    champion = next((found for found in versions if model_versions.CHAMPION in found.aliases), None)
    if champion is None or champion.run_id != run_id:
        verdict = still_against(verdict, champion.version if champion else None)
    alias = model_versions.CHAMPION if verdict.passed else model_versions.CHALLENGER
    warnings = concerns(evaluations.tuned, adapter.proof)
    same = [found.version for found in versions if found.run_id == run_id]
    if same:
        warnings.append(
            f"The adapter is that of version {', '.join(reversed(same))}, evaluated again. The gate did not "
            "compare it with that version."
        )
    tags = _tags(adapter.base, evaluations.tuned.metrics, verdict) | facts.lineage.tags()
    tags |= {model_versions.WARNINGS_TAG: "\n".join(warnings)} if warnings else {}
    model_id = _log_model(verdict, evaluations, facts)
    version = model_versions.register_version(name, run_id, model_id, tags)
    with model_versions.deleted_on_failure(name, version):
        software = trained_with(recorded_runs.recorded_tags(run_id)) | software_here()
        identity = CardIdentity(name, version, tuple(warnings), software)
        card = write_card(identity, verdict, evaluations, facts)
        log_card(model_id, card)
        model_versions.describe_version(name, version, card)
        log_verdict(run_id, verdict)
        candidate.record_registration(
            run_id, card, {"reports/data_report.html": report.html}, facts.lineage.tags()
        )
        if alias == model_versions.CHAMPION:
            model_versions.make_champion(name, version)
        else:
            model_versions.set_alias(name, version, alias)
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


def _log_model(verdict: Verdict, evaluations: Evaluations, facts: CardFacts) -> str:
    """Log the version's files, and the evidence behind it; return the model's id."""
    adapter = facts.adapter
    with mlflow_store.temporary_directory() as scratch:
        files = Path(shutil.copytree(adapter.directory, Path(scratch) / "adapter"))
        Serving(adapter.base, evaluations.tuned.metrics.labels, adapter.max_tokens).save(files)
        reference_of(facts.train).to_parquet(files / REFERENCE_FILE, index=False)
        model_id = log_served_model(adapter.run_id, files)
    compute = {f"compute.{key}": value for key, value in adapter.compute.items()}
    texts = {
        SETTINGS_FILE: json.dumps({**facts.settings, **adapter.settings, **compute}, indent=2),
        GATE_FILE: json.dumps(asdict(verdict), indent=2),
    }
    beside = (evaluations.baseline, evaluations.classical, evaluations.tuned)
    log_evidence(
        model_id, texts, [found for found in beside if found], facts.evaluation.frame[REVIEW_COLUMNS]
    )
    return model_id


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
        model_versions.GATE_REASON_TAG: verdict.reason(),
    }


def log_verdict(run_id: str, verdict: Verdict) -> None:
    """Log the gate's decision: every check with its figures, and tags."""
    log_json(run_id, asdict(verdict), "gate.json")
    set_tags(run_id, {"gate": verdict.outcome, model_versions.GATE_REASON_TAG: verdict.reason()})
