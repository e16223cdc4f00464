"""A version's lineage as ZenML recorded it, and the version in the metadata of its ZenML runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.registry.lineage import UNKNOWN, UNKNOWN_RUN, Lineage, PipelineRun
from review_sentiment.tracking.provenance import COMMAND, SOURCE_COMMIT, without_secrets

if TYPE_CHECKING:
    from uuid import UUID

    from zenml import StepContext
    from zenml.models import PipelineRunResponse

    from review_sentiment.data.review_table import Reviews, ReviewTable
    from review_sentiment.registry.model_card import RegisteredVersion


def lineage_of(
    context: StepContext,
    trained: str,
    source: str,
    reviews: list[Reviews],
    train: ReviewTable,
    evaluation: ReviewTable,
) -> Lineage:
    """Return the lineage of the version that this step registers.

    `reviews` is an input of the step, and `trained` the name of the input that is the trained model.
    """
    inputs = context.step_run.inputs
    revisions = [_revision(artifact.producer_step_run_id) for artifact in inputs["reviews"]]
    categories = [table.counts[0].category for table in reviews]
    return Lineage(
        training=_run_of(inputs[trained][0].producer_pipeline_run_id),
        registering=_described(context.pipeline_run),
        source=without_secrets(source),
        revisions=dict(zip(categories, revisions, strict=True)),
        training_rows=train.fingerprint(),
        evaluation_rows=evaluation.fingerprint(),
    )


def record_version(version: RegisteredVersion, lineage: Lineage) -> None:
    """Add the version to the metadata of the runs that trained and registered it."""
    from zenml import log_metadata

    metadata = {
        "model": version.name,
        "model_version": version.version,
        "model_uri": version.uri,
        "mlflow_run_id": version.run_id,
        "mlflow_evaluation_run_id": version.evaluation_run,
        "commit": lineage.training.commit,
        "training_rows": lineage.training_rows,
        "evaluation_rows": lineage.evaluation_rows,
    }
    for run_id in {lineage.registering.run_id, lineage.training.run_id} - {UNKNOWN}:
        log_metadata(metadata=metadata, run_id_name_or_prefix=run_id)


def _run_of(run_id: UUID | None) -> PipelineRun:
    """Return a run by its id, or `UNKNOWN_RUN` if it has been deleted."""
    from zenml.client import Client

    if run_id is None:
        return UNKNOWN_RUN
    try:
        return _described(Client().get_pipeline_run(run_id))
    except KeyError:
        return UNKNOWN_RUN


def _described(run: PipelineRunResponse) -> PipelineRun:
    extra = run.config.extra
    return PipelineRun(
        name=run.name,
        run_id=str(run.id),
        commit=str(extra.get(SOURCE_COMMIT, UNKNOWN)),
        command=str(extra.get(COMMAND, UNKNOWN)),
        stack=run.stack.name if run.stack else UNKNOWN,
    )


def _revision(step_run_id: UUID | None) -> str:
    """Return the data revision in the parameters of an ingestion step."""
    from zenml.client import Client

    if step_run_id is None:  # --only saved the list again as an artifact of its own
        return UNKNOWN
    try:
        return str(Client().get_run_step(step_run_id).config.parameters.get("revision", UNKNOWN))
    except KeyError:
        return UNKNOWN
