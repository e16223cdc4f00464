"""The trials of a hyperparameter search: one MLflow run each, below the run of their sweep."""

from __future__ import annotations

from collections.abc import Mapping

from review_sentiment.tracking.mlflow_store import client
from review_sentiment.tracking.run_log import experiment_id, finish, log_metrics, open_child, open_run


def log_trial(
    experiment: str, sweep: str, name: str, parameters: Mapping[str, str], metrics: Mapping[str, float]
) -> None:
    """Log a trial as a child of its sweep's run, which the first trial opens."""
    found = client().search_runs([experiment_id(experiment)], f"tags.sweep = '{sweep}'", max_results=1)
    parent = (
        found[0].info.run_id if found else open_run(experiment, f"sweep-{sweep[:8]}", {}, {"sweep": sweep})
    )
    child = open_child(parent, name, parameters, {})
    log_metrics(child, metrics)
    finish(child)
    finish(parent)
