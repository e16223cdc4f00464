"""A new decision rule for a registered version, from the answers kept with it. No model is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.evaluation.natural import NaturalMetrics, natural_metrics
from review_sentiment.evaluation.result import decided, fitted_rule
from review_sentiment.names import in_markdown
from review_sentiment.registry.category_table import category_table
from review_sentiment.registry.judged import recorded_verdict
from review_sentiment.registry.label_table import label_table
from review_sentiment.scoring.version_files import RULE_FILE, load_rule, rule_json, save_rule
from review_sentiment.settings_files import flat
from review_sentiment.tracking import downloads, evidence, model_versions, new_version
from review_sentiment.tracking.evaluation_run import (
    IDENTITY_TAG,
    EvaluationRecord,
    describe_evaluation,
    identity_of,
    read_evaluation_run,
    record_evaluation,
)
from review_sentiment.tracking.mlflow_store import (
    EVALUATION_RUN_TAG,
    GATE_REASON_TAG,
    GATE_TAG,
    NATURAL_FILE,
    TUNED,
    temporary_directory,
)
from review_sentiment.tracking.served_model import log_served_model

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.config import DecisionSettings
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.tracking.model_versions import ModelVersion


@dataclass(frozen=True)
class Redecided:
    """The version with the new rule, whether it is new, and its metrics at the natural share."""

    version: str
    is_new: bool
    rule: DecisionRule
    natural: NaturalMetrics


def decide(name: str, version: str, settings: DecisionSettings) -> Redecided:
    """Register a version with another's adapter and a new rule, or return the one that has this rule.

    It gets no alias: `promote` makes it the champion.

    Raises:
        UsageError: the version does not exist, or a setting names something that is not a label.
        DataError: the validation reviews cannot prove what the settings ask for.
        ModelUnavailableError: the version's files are not available, or it has no rule.
        TrackingError: its answers are no longer in the artifact store.
    """
    source = model_versions.get_version(name, version)
    with temporary_directory() as scratch:
        files = downloads.download_files(source, Path(scratch))
        before = load_rule(files)
        rule = fitted_rule(evidence.decision_of(source), before.labels, before.prior, settings)
        answers = evidence.stratified_of(source)
        natural = natural_metrics(answers, rule, rule.prior)
        if rule == before:
            return Redecided(source.version, False, rule, natural)
        identity = _identity(answers, rule)
        for known in model_versions.versions_of(source.name):
            if known.tags.get(IDENTITY_TAG) == identity:
                return Redecided(known.version, False, rule, natural)
        save_rule(rule, files)
        found = Redecided("", True, rule, natural)
        version = _register(source, files, found, decided(answers, rule), settings, identity)
        return replace(found, version=version)


def _identity(answers: pd.DataFrame, rule: DecisionRule) -> str:
    """Return the identity of a version's answers under the rule."""
    answers = answers.drop(columns="decided", errors="ignore")
    return identity_of(answers.rename(columns={"gold": "label"}), [], json.dumps(asdict(rule)))


def _register(
    source: ModelVersion,
    files: Path,
    found: Redecided,
    answers: pd.DataFrame,
    settings: DecisionSettings,
    identity: str,
) -> str:
    """Register the version with its evidence, the run of its evaluation and its card; return its number."""
    natural, rule = found.natural, found.rule
    verdict = replace(recorded_verdict(source), same_adapter_as=source.version)
    reason = f"A new decision rule for version {source.version}; the gate did not judge it."
    chosen = {f"decision.{key}": str(value) for key, value in flat(settings).items()}
    figures = {f"{TUNED}/natural_{key}": value for key, value in natural.headline().items()}
    tags = {GATE_TAG: verdict.outcome, GATE_REASON_TAG: reason}
    evaluation_run = record_evaluation(
        EvaluationRecord(
            training_run=source.run_id,
            identity=identity,
            reviews=evidence.reviews_of(source),
            evaluations=[],
            settings=chosen,
            files={RULE_FILE: rule_json(rule)},
            metrics={**read_evaluation_run(source.evaluation_run).metrics, **figures},
            tags=tags,
        )
    )
    model_id = log_served_model(source.run_id, files)
    evidence.copy_evidence(
        source,
        model_id,
        {
            evidence.GATE_FILE: json.dumps(asdict(verdict), indent=2),
            evidence.SETTINGS_FILE: json.dumps(evidence.settings_of(source) | chosen, indent=2),
            f"{TUNED}/{RULE_FILE}": rule_json(rule),
            f"{TUNED}/{NATURAL_FILE}": json.dumps(natural.as_json(), indent=2),
        },
        answers,
    )
    tags = {**source.tags, **tags, **new_version.natural_tags(natural)}
    tags |= {EVALUATION_RUN_TAG: evaluation_run, IDENTITY_TAG: identity}
    number = new_version.register_version(source.name, source.run_id, model_id, tags)
    with new_version.deleted_on_failure(source.name, number):
        card = _card(source, number, found)
        evidence.log_card(model_id, card)
        new_version.describe_version(source.name, number, card)
        describe_evaluation(evaluation_run, card)
    return number


def _card(source: ModelVersion, number: str, found: Redecided) -> str:
    """Return the card: what the new rule does, and then the card of the version with the same adapter."""
    natural = found.natural
    rows = [("accuracy", natural.shown("accuracy")), ("macro-F1", natural.shown("macro_f1"))]
    if found.rule.band:
        rows += [(name, natural.shown(name)) for name in ("coverage", "risk")]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    rule = in_markdown(found.rule.described)
    return (
        f"# {source.name} version {number}\n\n"
        f"The adapter of version {source.version} with a new decision rule: {rule}. "
        f"On the evaluation reviews, at the natural share:\n\n| metric | value |\n|---|---|\n{table}\n\n"
        f"{label_table(natural)}\n\n{category_table(natural, found.rule)}\n\n"
        f"The card of version {source.version} follows; its figures under a rule are those of the earlier "
        f"rule.\n\n---\n\n{evidence.card_of(source)}"
    )
