"""Register a candidate: the MLflow run of its evaluation, a version that links to it, alias, card and tags.

Only the artifacts and the run of the training are used, not the present pipeline run, so it works when all
other steps came from the cache.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.data.chats import REVIEW_COLUMNS
from review_sentiment.data.data_report import reference_of
from review_sentiment.registry.gate import Evaluations, Verdict, still_against
from review_sentiment.registry.model_card import (
    CardFacts,
    CardIdentity,
    RegisteredVersion,
    concerns,
    write_card,
)
from review_sentiment.scoring.scorer import REFERENCE_FILE, Serving
from review_sentiment.tracking import candidate, mlflow_store, model_versions, recorded_runs
from review_sentiment.tracking.evaluation_run import (
    IDENTITY_TAG,
    EvaluationRecord,
    describe_evaluation,
    identity_of,
    record_evaluation,
)
from review_sentiment.tracking.evidence import (
    GATE_FILE,
    SETTINGS_FILE,
    card_of,
    gate_of,
    log_card,
    log_evidence,
)
from review_sentiment.tracking.mlflow_store import EVALUATION_RUN_TAG
from review_sentiment.tracking.provenance import software_here, trained_with
from review_sentiment.tracking.served_model import log_served_model

if TYPE_CHECKING:
    from review_sentiment.evaluation.metrics import Metrics
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.tracking.model_versions import ModelVersion


@dataclass(frozen=True)
class Judged:
    """A candidate: its evaluations, the gate's verdict on them, the facts of its card, and its reports.

    `reports` maps files to HTML pages.
    """

    verdict: Verdict
    evaluations: Evaluations
    facts: CardFacts
    reports: Mapping[str, str]

    def identity(self) -> str:
        """Return the identity of the evaluation: an evaluation is recorded and registered once."""
        robustness = self.evaluations.robustness
        return identity_of(
            self.facts.evaluation.frame,
            self.evaluations.of_models(),
            json.dumps(asdict(self.verdict)),
            robustness.csv() if robustness else "",
            "",  # the decision rule
        )


def register(name: str, experiment: str, judged: Judged) -> RegisteredVersion:
    """Record the evaluation in MLflow, register a version that links to it, and give it its alias.

    The version becomes the champion if it passed the gate and was compared with the present champion. It gets
    no alias if its adapter is the champion's. Otherwise it becomes the challenger. If the same evaluation of
    the adapter is registered already, that version is returned.

    Raises:
        TrackingError: MLflow does not know the candidate's run.
    """
    run_id = judged.facts.adapter.run_id
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
        return _link_again(known, experiment, judged)
    warnings = concerns(judged.evaluations.tuned, judged.facts.adapter.proof)
    if champion is not None and own:
        judged = replace(judged, verdict=replace(judged.verdict, same_adapter_as=champion.version))
    elif same:
        earlier = ", ".join(found.version for found in reversed(same))
        warnings.append(
            f"The adapter is that of version {earlier}, evaluated again. The gate did not compare it with "
            "that version."
        )
    alias = "" if own else model_versions.CHAMPION if judged.verdict.passed else model_versions.CHALLENGER
    evaluation_run = record_evaluation(_record(judged, identity))
    links = {EVALUATION_RUN_TAG: evaluation_run, IDENTITY_TAG: identity}
    version, card = _register_new(name, judged, links, warnings, alias)
    return _registered(model_versions.get_version(name, version), experiment, card)


def _link_again(known: ModelVersion, experiment: str, judged: Judged) -> RegisteredVersion:
    """Return the version of an evaluation that is registered already; write its run if that was deleted."""
    judged = replace(judged, verdict=recorded_verdict(known))
    evaluation_run = record_evaluation(_record(judged, known.tags[IDENTITY_TAG]))
    card = card_of(known)
    if evaluation_run != known.evaluation_run:
        describe_evaluation(evaluation_run, card)
        model_versions.set_version_tag(known.name, known.version, EVALUATION_RUN_TAG, evaluation_run)
        known = model_versions.get_version(known.name, known.version)
    return _registered(known, experiment, card)


def _register_new(
    name: str, judged: Judged, links: dict[str, str], warnings: list[str], alias: str
) -> tuple[str, str]:
    """Register a version and give it its card and its alias; return its number and the card."""
    verdict, evaluations, facts = judged.verdict, judged.evaluations, judged.facts
    run_id, evaluation_run = facts.adapter.run_id, links[EVALUATION_RUN_TAG]
    tags = _tags(facts.adapter.base, evaluations.tuned.metrics, verdict) | facts.lineage.tags() | links
    tags |= {model_versions.WARNINGS_TAG: "\n".join(warnings)} if warnings else {}
    model_id = _log_model(judged)
    version = model_versions.register_version(name, run_id, model_id, tags)
    with model_versions.deleted_on_failure(name, version):
        software = trained_with(recorded_runs.recorded_tags(run_id)) | software_here()
        identity = CardIdentity(name, version, evaluation_run, tuple(warnings), software)
        card = write_card(identity, verdict, evaluations, facts)
        log_card(model_id, card)
        model_versions.describe_version(name, version, card)
        describe_evaluation(evaluation_run, card)
        candidate.link_version(run_id, f"version {version} of {name}: evaluation `{evaluation_run}`")
        if alias == model_versions.CHAMPION:
            model_versions.make_champion(name, version)
        elif alias:
            model_versions.set_alias(name, version, alias)
    return version, card


def _registered(version: ModelVersion, experiment: str, card: str) -> RegisteredVersion:
    return RegisteredVersion(
        name=version.name,
        version=version.version,
        alias=", ".join(version.aliases),
        uri=version.uri,
        run_id=version.run_id,
        evaluation_run=version.evaluation_run,
        tracking_uri=mlflow_store.current_uri(),
        experiment=experiment,
        card=card,
    )


def recorded_verdict(version: ModelVersion) -> Verdict:
    """Return the gate's verdict in a version's evidence."""
    from pydantic import TypeAdapter

    return TypeAdapter(Verdict).validate_python(gate_of(version))


def _record(judged: Judged, identity: str) -> EvaluationRecord:
    """Return what the evaluation's run holds, apart from the card."""
    verdict, evaluations, facts = judged.verdict, judged.evaluations, judged.facts
    files = {GATE_FILE: _gate_json(verdict), **judged.reports}
    robustness = evaluations.robustness
    if robustness is not None:
        files["robustness/probes.csv"] = robustness.csv()
    outcome = {model_versions.GATE_TAG: verdict.outcome, model_versions.GATE_REASON_TAG: verdict.reason()}
    trained = facts.adapter.settings
    return EvaluationRecord(
        training_run=facts.adapter.run_id,
        identity=identity,
        reviews=facts.evaluation.frame,
        evaluations=evaluations.of_models(),
        settings={key: value for key, value in facts.settings.items() if key not in trained},
        files=files,
        metrics=robustness.metrics() if robustness else {},
        tags=facts.lineage.tags() | outcome,
    )


def _gate_json(verdict: Verdict) -> str:
    return json.dumps(asdict(verdict), indent=2)


def _log_model(judged: Judged) -> str:
    """Log the version's files, and the evidence behind it; return the model's id."""
    evaluations, facts = judged.evaluations, judged.facts
    adapter = facts.adapter
    with mlflow_store.temporary_directory() as scratch:
        files = Path(shutil.copytree(adapter.directory, Path(scratch) / "adapter"))
        Serving(adapter.base, evaluations.tuned.metrics.labels, adapter.max_tokens).save(files)
        reference_of(facts.train).to_parquet(files / REFERENCE_FILE, index=False)
        model_id = log_served_model(adapter.run_id, files)
    compute = {f"compute.{key}": value for key, value in adapter.compute.items()}
    texts = {
        SETTINGS_FILE: json.dumps({**facts.settings, **adapter.settings, **compute}, indent=2),
        GATE_FILE: _gate_json(judged.verdict),
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
        model_versions.GATE_TAG: verdict.outcome,
        model_versions.GATE_REASON_TAG: verdict.reason(),
    }
