"""How a step reaches MLflow: the stack's experiment tracker says which store to write to."""

from review_sentiment.errors import UsageError
from review_sentiment.tracking import candidate, mlflow_store
from review_sentiment.training.trained_adapter import TrainedAdapter


def connect() -> None:
    """Point MLflow to the active stack's experiment tracker.

    No step lets ZenML open an MLflow run: it would open one for every pipeline run, an empty one if all
    steps are cached. We open the candidate's run ourselves.

    Raises:
        UsageError: the stack has no MLflow experiment tracker.
        TrackingError: MLflow cannot be reached.
    """
    from zenml.client import Client
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker

    stack = Client().active_stack
    tracker = stack.experiment_tracker
    if not isinstance(tracker, MLFlowExperimentTracker):
        raise UsageError(
            f"The stack '{stack.name}' has no MLflow experiment tracker. Add one to its file in stacks/."
        )
    tracker.configure_mlflow()
    mlflow_store.configure(tracker.get_tracking_uri())


def connect_to_run(adapter: TrainedAdapter) -> None:
    """Connect, and check that the run of the adapter's training exists.

    Raises:
        UsageError: the stack has no MLflow experiment tracker.
        TrackingError: MLflow cannot be reached, or does not know the run.
    """
    connect()
    candidate.require_run(adapter.run_id)
