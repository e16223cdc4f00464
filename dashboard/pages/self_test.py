"""Checks of the data that the dashboard shows, against what it can be computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import marimo as mo
import numpy as np

from dashboard.runs.process import list_runs
from dashboard.runs.progress import RunFollower
from dashboard.settings_form import DEFAULT_CONFIG, as_yaml, config_names, from_address, read_form, to_address
from dashboard.widgets.layout import badge, column, said, table
from front_door.stack.configs import DEFAULT_STACK
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.scoring.answers import labels_of, probability_columns

if TYPE_CHECKING:
    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion


ROUNDING = 1e-6
VERSIONS_CHECKED = 3


@dataclass(frozen=True)
class Finding:
    """One check: what it is about, whether it holds, and what was found."""

    name: str
    ok: bool
    found: str


def self_test(registry: Registry) -> Iterator[Finding]:
    """Yield the findings, one after the other."""
    yield _check("settings come back from their address", _settings_round_trip)
    yield _check("runs can be read from their events", _runs_can_be_read)
    yield _check("the champion is one of the versions", lambda: _champion(registry))
    for version in registry.versions[:VERSIONS_CHECKED]:
        run_id, number = version.run_id, version.version
        yield _check(
            f"version {number}: recorded figures follow from its predictions", partial(_figures, run_id)
        )
        yield _check(f"version {number}: probabilities sum to one", partial(_probabilities, run_id))
    for version in registry.versions[:1]:
        yield _check(
            f"version {version.version}: singular values follow from its adapter",
            partial(_singular_values, version),
        )


def _check(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except Exception as error:  # noqa: BLE001 - whatever fails here is the finding
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return Finding(name, False, f"{type(error).__name__}: {first_line}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _settings_round_trip() -> str:
    for name in config_names():
        form = read_form(name, DEFAULT_STACK, {"lora.rank": "3", "training.epochs": "0.5"})
        config, stack, typed = from_address(to_address(form))
        _require(read_form(config, stack, typed) == form, f"configs/{name}.yaml comes back changed")
        _require(
            form.settings is not None and "rank: 3" in as_yaml(form.settings), f"{name}: not in the file"
        )
    return f"{len(config_names())} configurations, {DEFAULT_CONFIG} first"


def _runs_can_be_read() -> str:
    runs = list_runs()
    for record in runs:
        state = RunFollower(record.event_file).read(alive=False)
        _require(state.ended, f"{record.name} has no end")
        for step in state.steps.values():
            _require(step.status != "running", f"{record.name}: {step.name} runs after its end")
    return f"{len(runs)} runs"


def _champion(registry: Registry) -> str:
    champions = [version for version in registry.versions if "champion" in version.aliases]
    _require(len(champions) <= 1, f"{len(champions)} champions")
    return f"version {champions[0].version}" if champions else "there is none yet"


def _figures(run_id: str) -> str:
    from review_sentiment.tracking import recorded_runs
    from review_sentiment.tracking.recorded_runs import recorded_json

    recorded, predictions = (
        recorded_json(run_id, "tuned/metrics.json"),
        recorded_runs.recorded_predictions(run_id),
    )
    if recorded is None or predictions is None:
        raise ValueError("its run has no evaluation")
    metrics = compute_metrics(predictions, labels_of(predictions))
    for name in ("accuracy", "f1", "roc_auc", "calibration_error"):
        found = getattr(metrics, name)
        _require(
            abs(recorded[name] - found) < ROUNDING, f"{name}: {recorded[name]} recorded, {found} computed"
        )
    _require(
        sum(map(sum, recorded["confusion"])) == len(predictions), "the confusion matrix has other reviews"
    )
    return f"accuracy {metrics.accuracy:.4f} on {metrics.n} reviews"


def _probabilities(run_id: str) -> str:
    from review_sentiment.tracking import recorded_runs

    predictions = recorded_runs.recorded_predictions(run_id)
    if predictions is None:
        raise ValueError("its run has no predictions")
    p = predictions[probability_columns(labels_of(predictions))].to_numpy()
    worst = float(np.abs(p.sum(axis=1) - 1).max())
    _require(worst < ROUNDING, f"off by {worst:.2g}")
    return f"{len(p)} reviews"


def _singular_values(version: ModelVersion) -> str:
    from dashboard.explain.low_rank import updates_of

    updates = updates_of(version)
    update = updates[len(updates) // 2]
    whole = np.linalg.svd(update.full, compute_uv=False)[: len(update.a)]
    apart = float(np.abs(whole - update.singular_values()).max() / whole[0])
    _require(apart < ROUNDING, f"off by {apart:.2g}")
    return f"{len(updates)} layers, one compared with the product of full size"


def self_test_view(registry: Registry) -> mo.Html:
    """Run the checks and show what they found."""
    findings = list(self_test(registry))
    failed = sum(not finding.ok for finding in findings)
    rows = [
        (finding.name, badge("holds", "good") if finding.ok else badge("fails", "bad"), finding.found)
        for finding in findings
    ]
    total = badge(f"{len(findings) - failed} of {len(findings)} checks hold", "bad" if failed else "good")
    return column(
        [said("Checks of the data on these pages, made now."), total, table(("check", "", "found"), rows)]
    )
