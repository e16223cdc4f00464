"""Writes to an MLflow run by its id."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.tracking.mlflow_store import client, current_uri, temporary_directory

if TYPE_CHECKING:
    import pandas as pd

SOURCE_TAGS = {"mlflow.source.name": "run_pipeline.py", "mlflow.source.type": "LOCAL"}
"""What MLflow's pages show as the source of a run."""


def open_run(experiment: str, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Start a run with its parameters and tags; return its id."""
    return _open(experiment_id(experiment), name, parameters, tags)


def open_child(parent: str, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Start a run below another one, in the same experiment; return its id."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiment = client().get_run(parent).info.experiment_id
    return _open(experiment, name, parameters, {**tags, MLFLOW_PARENT_RUN_ID: parent})


def _open(experiment: str, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
    from mlflow.entities import Param

    run = client().create_run(experiment, run_name=name, tags={**SOURCE_TAGS, **tags})
    run_id = str(run.info.run_id)
    client().log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])
    return run_id


@contextmanager
def recording(run_id: str) -> Iterator[None]:
    """End the run as finished, failed or killed, however the block ends."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        finish(run_id, "KILLED")
        raise
    except BaseException:
        finish(run_id, "FAILED")
        raise
    finish(run_id)


def experiment_id(name: str) -> str:
    """Return the id of an experiment, which is created if it does not exist."""
    found = client().get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client().create_experiment(name, artifact_location=_artifact_location(current_uri())))


def finish(run_id: str, status: str = "FINISHED") -> None:
    """End the run; `status` is FINISHED, FAILED or KILLED. Later steps may still write to it."""
    client().set_terminated(run_id, status)


def log_metrics(run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Log the metrics of one step."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client().log_batch(
        run_id, metrics=[Metric(key, float(value), now, step) for key, value in metrics.items()]
    )


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags."""
    from mlflow.entities import RunTag

    client().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def log_text(run_id: str, text: str, file: str) -> None:
    """Log a text or an HTML page."""
    client().log_text(run_id, text, file)


def log_json(run_id: str, value: dict[str, Any], file: str) -> None:
    """Log a record as JSON."""
    client().log_dict(run_id, value, file)


def log_parquet(run_id: str, table: pd.DataFrame, file: str) -> None:
    """Log a table as parquet, which keeps the types of its columns."""
    directory, _, name = file.rpartition("/")
    with temporary_directory() as scratch:
        local = Path(scratch) / name
        table.to_parquet(local, index=False)
        client().log_artifact(run_id, str(local), directory)


def log_dataset(run_id: str, reviews: pd.DataFrame, name: str, context: str) -> None:
    """Record which reviews were used, as an input of the run: digest, schema and size."""
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import DatasetInput, InputTag

    dataset = mlflow.data.from_pandas(
        reviews[["review_id", "category", "label", "title", "text"]].astype(object),
        source=CodeDatasetSource(tags={}),
        name=name,
        targets="label",
    )
    context_tag = InputTag("mlflow.data.context", context)
    client().log_inputs(run_id, datasets=[DatasetInput(dataset._to_mlflow_entity(), [context_tag])])


def _artifact_location(tracking_uri: str) -> str | None:
    """Keep the artifacts of a sqlite store beside its database; a server chooses its own place."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    database = Path(tracking_uri.removeprefix("sqlite:///")).absolute()
    return (database.parent / "artifacts").as_uri()
