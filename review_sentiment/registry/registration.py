"""Register a candidate: the MLflow run of its evaluation, a version that links to it, alias, card and tags.

Only the artifacts and the run of the training are used, not the present pipeline run, so it works when all
other steps came from the cache.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.chats import REVIEW_COLUMNS
from review_sentiment.data.data_report import reference_of
from review_sentiment.evaluation.tradeoff import tradeoffs_json, tradeoffs_of
from review_sentiment.registry.gate import still_against
from review_sentiment.registry.judged import Judged, recorded_verdict
from review_sentiment.registry.model_card import CardIdentity, RegisteredVersion
from review_sentiment.scoring.version_files import REFERENCE_FILE, save_columns, save_rule
from review_sentiment.tracking import (
    aliases,
    candidate,
    mlflow_store,
    model_versions,
    new_version,
    recorded_runs,
)
from review_sentiment.tracking.evaluation_run import (
    IDENTITY_TAG,
    describe_evaluation,
    record_evaluation,
)
from review_sentiment.tracking.evidence import (
    GATE_FILE,
    SETTINGS_FILE,
    card_of,
    log_card,
    log_evidence,
)
from review_sentiment.tracking.mlflow_store import (
    EVALUATION_RUN_TAG,
    GATE_REASON_TAG,
    GATE_TAG,
    TRADEOFFS_FILE,
)
from review_sentiment.tracking.provenance import software_here, trained_with
from review_sentiment.tracking.served_model import FILES_DIRECTORY, log_served_model

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Verdict
    from review_sentiment.tracking.model_versions import ModelVersion


def register(name: str, experiment: str, judged: Judged) -> RegisteredVersion:
    """Record the evaluation in MLflow, register a version that links to it, and give it its alias.

    The version becomes the champion if it passed the gate and was compared with the present champion. It gets
    no alias if its adapter is the champion's. Otherwise it becomes the challenger. If the same evaluation of
    the adapter is registered already, that version is returned.

    Raises:
        TrackingError: MLflow does not know the candidate's run.
    """
    run_id = judged.model.run_id
    candidate.require_run(run_id)
    versions = model_versions.list_versions(name)
    champion = next((found for found in versions if model_versions.CHAMPION in found.aliases), None)
    own = champion is not None and champion.run_id == run_id
    if not own:
        verdict = still_against(judged.verdict, champion.version if champion else None)
        judged = replace(judged, verdict=verdict)
    identity = judged.identity()
    same = [found for found in versions if found.run_id == run_id]
    known = next((found for found in same if found.tags.get(IDENTITY_TAG) == identity), None)
    if known is not None:
        judged = replace(judged, verdict=recorded_verdict(known))
    elif champion is not None and own:
        judged = replace(judged, verdict=replace(judged.verdict, same_adapter_as=champion.version))
    evaluation_run = record_evaluation(judged.record(identity))
    if known is None:
        warnings = judged.model.concerns(judged.evaluations.tuned)
        warnings += [] if own else _evaluated_before(same)
        links = {EVALUATION_RUN_TAG: evaluation_run, IDENTITY_TAG: identity}
        number = _register_new(name, judged, links, warnings)
    else:
        number = known.version
        new_version.set_version_tag(name, number, EVALUATION_RUN_TAG, evaluation_run)
    version = model_versions.get_version(name, number)
    card = card_of(version)
    describe_evaluation(evaluation_run, card)
    candidate.link_version(run_id, f"version {number} of {name}", evaluation_run)
    return RegisteredVersion(
        name=name,
        version=number,
        alias=", ".join(version.aliases),
        uri=version.uri,
        run_id=run_id,
        evaluation_run=evaluation_run,
        tracking_uri=mlflow_store.current_uri(),
        experiment=experiment,
        card=card,
    )


def _evaluated_before(versions: Sequence[ModelVersion]) -> list[str]:
    """Return a warning if there are versions of the same adapter, the newest first."""
    earlier = ", ".join(found.version for found in reversed(versions))
    warning = (
        f"The adapter is that of version {earlier}, evaluated again. The gate did not compare it with that "
        "version."
    )
    return [warning] if versions else []


def _register_new(name: str, judged: Judged, links: dict[str, str], warnings: list[str]) -> str:
    """Register a version and give it its card and its alias; return its number."""
    verdict, evaluations, model = judged.verdict, judged.evaluations, judged.model
    run_id = model.run_id
    tags = _tags(evaluations.tuned, verdict) | model.tags() | model.lineage.tags() | links
    tags[model_versions.COMPARED_TAG] = " ".join(found.model for found in evaluations.beside())
    tags |= {model_versions.WARNINGS_TAG: "\n".join(warnings)} if warnings else {}
    model_id = _log_model(judged)
    version = new_version.register_version(name, run_id, model_id, tags)
    with new_version.deleted_on_failure(name, version):
        software = trained_with(recorded_runs.recorded_tags(run_id)) | software_here()
        identity = CardIdentity(name, version, links[EVALUATION_RUN_TAG], tuple(warnings), software)
        card = model.card(identity, verdict, evaluations)
        log_card(model_id, card)
        new_version.describe_version(name, version, card)
        if verdict.passed:
            aliases.make_champion(name, version)
        elif verdict.same_adapter_as is None:
            aliases.set_alias(name, version, model_versions.CHALLENGER)
    return version


def _log_model(judged: Judged) -> str:
    """Log the version's files, and the evidence behind it; return the model's id."""
    evaluations, model = judged.evaluations, judged.model
    with mlflow_store.temporary_directory() as scratch:
        files = Path(scratch) / FILES_DIRECTORY
        files.mkdir()
        model.write_files(files)
        save_columns(model.columns, files)
        save_rule(model.rule, files)
        reference_of(model.train).to_parquet(files / REFERENCE_FILE, index=False)
        model_id = log_served_model(model.run_id, files)
    settings = {**model.settings, **model.training_settings(), **model.description()}
    texts = {
        SETTINGS_FILE: json.dumps(settings, indent=2),
        GATE_FILE: judged.gate_json(),
        TRADEOFFS_FILE: tradeoffs_json(tradeoffs_of(evaluations.of_models())),
    }
    evaluated = [*evaluations.beside(), evaluations.tuned]
    log_evidence(model_id, texts, evaluated, model.evaluation.frame[REVIEW_COLUMNS])
    return model_id


def _tags(tuned: Evaluation, verdict: Verdict) -> dict[str, str]:
    metrics = tuned.metrics
    natural = new_version.natural_tags(tuned.natural) if tuned.natural else {}
    return natural | {
        model_versions.ACCURACY_TAG: f"{metrics.accuracy:.6f}",
        "accuracy_interval": "{:.3f}-{:.3f}".format(*metrics.intervals["accuracy"]),
        "f1": f"{metrics.f1:.6f}",
        "roc_auc": f"{metrics.roc_auc:.6f}",
        "calibration_error": f"{metrics.calibration_error:.6f}",
        "evaluation_reviews": str(metrics.n),
        GATE_TAG: verdict.outcome,
        GATE_REASON_TAG: verdict.reason(),
    }
