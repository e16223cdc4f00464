"""The champion, evaluated on the same reviews as the candidate that may replace it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import DataError, ModelUnavailableError, TrackingError
from review_sentiment.evaluation.result import Evaluation, evaluation_of
from review_sentiment.registry.gate import Champion
from review_sentiment.scoring.answers import labels_of

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.config import EvaluationSettings
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.models.compute import ComputePlan
    from review_sentiment.scoring.version_files import Serving
    from review_sentiment.tracking.model_versions import ModelVersion


def evaluate_champion(
    name: str,
    candidate_run: str,
    chats: ChatDataset,
    plan: ComputePlan,
    settings: EvaluationSettings,
) -> Champion:
    """Return the champion's evaluation on the chats' reviews.

    The champion's own evaluation is reused if it was on the same reviews. Otherwise the champion is evaluated
    now, with reviews formatted as in its own training. A candidate need not beat its own version.

    Raises:
        DataError: the champion has other labels.
        ModelUnavailableError: its files or its base model are not available.
    """
    from review_sentiment.scoring.version_files import load_rule
    from review_sentiment.tracking import downloads, evidence, model_versions

    version = model_versions.find_version(name, model_versions.CHAMPION)
    if version is None or version.run_id == candidate_run:
        return Champion()
    try:
        recorded = evidence.stratified_of(version)
        shares = chats.natural_shares()
        with tempfile.TemporaryDirectory(prefix="review-sentiment-champion-") as scratch:
            serving, adapter = downloads.download_adapter(version, Path(scratch))
            if is_of(recorded, chats):
                found = recorded_evaluation("champion", recorded, chats)
            else:
                _require_labels(version, serving.labels, chats.labels)
                found = _evaluate_again(serving, adapter, chats, plan, settings)
            return Champion(version.version, found.under(load_rule(adapter), shares))
    except (ModelUnavailableError, TrackingError) as error:
        raise ModelUnavailableError(
            f"The champion of '{name}', version {version.version}, cannot be evaluated: {error} "
            "Make it available again. Or make another version the champion: "
            "`python run_pipeline.py rollback` or `promote VERSION`. Or register under another "
            "registry.model_name. The training is kept: the next run resumes from the cache."
        ) from error


def evaluate_student_champion(name: str, student_run: str, chats: ChatDataset) -> Champion:
    """Return the evaluation of the champion among the students on the chats' reviews.

    Raises:
        DataError: it has other labels.
        ModelUnavailableError: its files are not available.
    """
    from review_sentiment.evaluation.arms import evaluate_saved
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.scoring.version_files import load_rule
    from review_sentiment.tracking import downloads, model_versions

    version = model_versions.find_version(name, model_versions.CHAMPION)
    if version is None or version.run_id == student_run:
        return Champion()
    with tempfile.TemporaryDirectory(prefix="review-sentiment-champion-") as scratch:
        files = downloads.download_files(version, Path(scratch))
        rule = load_rule(files)
        _require_labels(version, rule.labels, chats.labels)
        found = evaluate_saved("champion", files, HeldOut(chats), training_seconds=None)
    return Champion(version.version, replace(found, cost=None).under(rule, chats.natural_shares()))


def evaluation_of_teacher(version: ModelVersion, chats: ChatDataset) -> Evaluation:
    """Return a version's recorded evaluation, under its own rule, beside that of its student.

    Raises:
        DataError: it was evaluated on other reviews.
        TrackingError: its answers are no longer in the artifact store.
    """
    from review_sentiment.tracking import evidence
    from review_sentiment.tracking.mlflow_store import TUNED

    recorded = evidence.stratified_of(version)
    if not is_of(recorded, chats):
        raise DataError(f"Version {version.version} of '{version.name}' was evaluated on other reviews.")
    found = recorded_evaluation("teacher", recorded, chats)
    found = found.under(evidence.rule_of(version), chats.natural_shares())
    costs = [one.cost for one in evidence.tradeoffs_of(version) if one.model == TUNED]
    return replace(found, cost=costs[0] if costs else None)


def is_of(recorded: pd.DataFrame, chats: ChatDataset) -> bool:
    """Return whether a version's recorded predictions are those of the reviews and labels of chats."""
    same_labels = labels_of(recorded) == list(chats.labels)
    return same_labels and set(recorded["review_id"]) == set(chats.frame["review_id"])


def recorded_evaluation(model: str, recorded: pd.DataFrame, chats: ChatDataset) -> Evaluation:
    """Return the evaluation of recorded predictions on the reviews of chats, as they weigh there."""
    in_order = recorded.set_index("review_id").loc[chats.frame["review_id"]].reset_index()
    return evaluation_of(model, chats, in_order.assign(weight=chats.frame["weight"]))


def _require_labels(version: ModelVersion, own: tuple[str, ...], labels: tuple[str, ...]) -> None:
    if own != labels:
        raise DataError(
            f"The champion of '{version.name}', version {version.version}, answers {', '.join(own)}, but the "
            f"candidate answers {', '.join(labels)}. Register the candidate under another "
            "registry.model_name."
        )


def _evaluate_again(
    serving: Serving, adapter: Path, chats: ChatDataset, plan: ComputePlan, settings: EvaluationSettings
) -> Evaluation:
    """Evaluate a version on the chats' reviews, formatted as in its own training."""
    from review_sentiment.data.chats import format_chats
    from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
    from review_sentiment.models.loading import load_tokenizer

    own_chats = format_chats(chats.frame, load_tokenizer(serving.base), serving.prompt)
    # The champion's samples are not shown anywhere, so none are generated.
    without_samples = settings.model_copy(update={"sample_predictions": 0, "audit_samples": 0})
    found = evaluate_model(serving.base, adapter, HeldOut(own_chats), plan, without_samples)
    return evaluation_of("champion", chats, found.stratified)
