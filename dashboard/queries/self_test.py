"""Self-test: recompute figures that the pages show from the data that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dashboard.queries.versions import read_registry
from dashboard.runs.local import local_runs
from dashboard.settings_form import as_yaml, config_names, from_address, read_form, to_address
from front_door.doctor.checks import Check, run_check
from front_door.stack.configs import DEFAULT_STACK
from review_sentiment.errors import TrackingError
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.natural import natural_metrics
from review_sentiment.scoring.answers import labels_of, probability_columns

if TYPE_CHECKING:
    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion

TOLERANCE = 1e-6
VERSIONS_CHECKED = 3


def run_self_test(model: str) -> list[Check]:
    """Return the results of the checks on a model's newest versions.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    return list(self_test(read_registry(model)))


def self_test(registry: Registry) -> Iterator[Check]:
    """Yield the result of each check."""
    yield run_check("settings survive the round trip through the page's address", _settings_round_trip)
    yield run_check("the events of all runs can be read", _runs_can_be_read)
    yield run_check("there is at most one champion", partial(_champion, registry))
    for version in registry.versions[:VERSIONS_CHECKED]:
        name = f"version {version.version}"
        yield run_check(f"{name}: recorded metrics match its predictions", partial(_metrics, version))
        yield run_check(f"{name}: figures in production follow from its rule", partial(_natural, version))
        yield run_check(f"{name}: probabilities sum to one", partial(_probabilities, version))
        yield run_check(f"{name}: its tags match its evidence", partial(_tags, version))
        yield run_check(f"{name}: its evaluation run is its own", partial(_evaluation_run, version))
    for version in registry.versions[:1]:
        name = f"version {version.version}: singular values match the full-size update"
        yield run_check(name, partial(_singular_values, version))


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise TrackingError(problem)


def _settings_round_trip() -> str:
    for name in config_names():
        form = read_form(name, DEFAULT_STACK, {"lora.rank": "3", "training.epochs": "0.5"})
        _require(
            read_form(*from_address(to_address(form))) == form, f"configs/{name}.yaml comes back changed"
        )
        written = form.settings is not None and "rank: 3" in as_yaml(form.settings)
        _require(written, f"{name}: lora.rank is missing from the file")
    return f"{len(config_names())} configurations"


def _runs_can_be_read() -> str:
    runs = [run for run in local_runs().values() if run.process is None]
    for run in runs:
        state = run.read()
        _require(state.ended, f"{run.name} has no end")
        for step in state.steps.values():
            _require(step.status != "running", f"{run.name}: {step.name} is running after the run's end")
    return f"{len(runs)} runs that have ended"


def _champion(registry: Registry) -> str:
    champions = [version for version in registry.versions if "champion" in version.aliases]
    _require(len(champions) <= 1, f"{len(champions)} champions")
    return f"version {champions[0].version}" if champions else "no champion yet"


def _metrics(version: ModelVersion) -> str:
    from review_sentiment.tracking.evidence import metrics_of, predictions_of

    predictions, recorded = predictions_of(version), metrics_of(version)
    metrics = compute_metrics(predictions, labels_of(predictions))
    for name in ("accuracy", "f1", "roc_auc", "calibration_error"):
        computed = getattr(metrics, name)
        same = abs(recorded[name] - computed) < TOLERANCE
        _require(same, f"{name}: {recorded[name]} recorded, {computed} computed")
    counted = sum(map(sum, recorded["confusion"]))
    _require(counted == len(predictions), "the confusion matrix has another number of reviews")
    return f"accuracy {metrics.accuracy:.3f} on {metrics.n} reviews"


def _natural(version: ModelVersion) -> str:
    """Compute the figures at the natural share again, by the version's own rule."""
    from review_sentiment.tracking import evidence

    recorded, rule = evidence.natural_of(version), evidence.rule_of(version)
    shares = tuple(recorded.share[label] for label in rule.labels)
    computed = natural_metrics(evidence.stratified_of(version), rule, shares)
    for title, figure in recorded.rows().items():
        values = recorded.shown(*figure), computed.shown(*figure)
        _require(values[0] == values[1], f"{title}: {values[0]} recorded, {values[1]} computed")
    return f"accuracy {recorded.shown('accuracy')} on {recorded.n:,} reviews, {recorded.share_text()}"


def _tags(version: ModelVersion) -> str:
    """Compare the tags that lists show with the evidence, which nothing changes."""
    from review_sentiment.registry.judged import recorded_verdict
    from review_sentiment.tracking import evidence
    from review_sentiment.tracking.new_version import natural_tags

    metrics, verdict = evidence.metrics_of(version), recorded_verdict(version)
    expected = {
        **{name: f"{metrics[name]:.6f}" for name in ("accuracy", "f1", "roc_auc", "calibration_error")},
        **natural_tags(evidence.natural_of(version)),
        "evaluation_reviews": str(metrics["n"]),
        "gate": verdict.outcome,
    }
    if verdict.same_adapter_as is None:  # a new rule for a version has a reason of its own
        expected["gate.reason"] = verdict.reason()
    for name, recorded in expected.items():
        listed = version.tags.get(name, "none")
        _require(listed == recorded, f"{name}: the tag is {listed}, the evidence has {recorded}")
    reviews, answers = evidence.reviews_of(version), evidence.stratified_of(version)
    same = set(reviews["review_id"]) == set(answers["review_id"])
    _require(same, "the evaluation reviews are not those that were answered")
    return f"accuracy, evaluation reviews and gate: {verdict.outcome}"


def _evaluation_run(version: ModelVersion) -> str:
    """Compare the MLflow run that a version links to with the version's tags."""
    from review_sentiment.tracking.evaluation_run import IDENTITY_TAG, read_evaluation_run

    found = read_evaluation_run(version.evaluation_run)
    _require(found.training_run == version.run_id, f"it belongs to the training {found.training_run}")
    _require(found.identity == version.tags.get(IDENTITY_TAG), "it is of another evaluation")
    accuracy = f"{found.metrics['tuned/accuracy']:.6f}"
    listed = version.tags["accuracy"]
    _require(accuracy == listed, f"accuracy: {accuracy} in the run, {listed} listed")
    return f"run {version.evaluation_run}, a child of {version.run_id}"


def _probabilities(version: ModelVersion) -> str:
    from review_sentiment.tracking.evidence import predictions_of

    predictions = predictions_of(version)
    p = predictions[probability_columns(labels_of(predictions))].to_numpy()
    error = float(np.abs(p.sum(axis=1) - 1).max())
    _require(error < TOLERANCE, f"off by {error:.2g}")
    return f"{len(p)} reviews"


def _singular_values(version: ModelVersion) -> str:
    from dashboard.explain.low_rank import updates_of

    updates = updates_of(version.name, version.version)
    update = updates[len(updates) // 2]
    expected = np.linalg.svd(update.full, compute_uv=False)[: len(update.a)]
    error = float(np.abs(expected - update.singular_values()).max() / expected[0])
    _require(error < TOLERANCE, f"off by {error:.2g}")
    return f"{len(updates)} layers, one of them compared with its full-size product"
