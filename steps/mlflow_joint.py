"""Where ZenML and MLflow meet: the stack's experiment tracker says which store to write to."""

from review_sentiment.data.chats import ChatDataset
from review_sentiment.errors import UsageError
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.tracking import candidate, mlflow_store
from review_sentiment.training.checkpoints import clear_checkpoints
from review_sentiment.training.trained_adapter import TrainedAdapter


def connect() -> None:
    """Point MLflow to the active stack's experiment tracker.

    No step lets ZenML open an MLflow run (it would open one for every pipeline
    run, with nothing in it where steps are cached); the candidate's run is ours.

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


def record_evaluation(adapter: TrainedAdapter, chats: ChatDataset, result: Evaluation) -> None:
    """Write the tuned model's evaluation to the candidate's run.

    The checkpoints of its training go: the adapter came from the artifact store.
    """
    candidate.log_dataset(adapter.run_id, chats, "evaluation", context="evaluation")
    candidate.log_reviews(adapter.run_id, chats)
    candidate.log_evaluation(adapter.run_id, result)
    clear_checkpoints(adapter.checkpoints)
