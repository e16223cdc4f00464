"""Ask the tuned model again with changed reviews and prompts, and write what changed to its run."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.robustness import RobustnessMaterializer
from review_sentiment.config import ModelSettings, RobustnessSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.evaluation.robustness import Robustness
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "probe_robustness", packages=PACKAGES)


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=RobustnessMaterializer,
)
def probe_robustness(
    adapter: TrainedAdapter,
    tuned: Evaluation,
    evaluation_chats: ChatDataset,
    model: ModelSettings,
    settings: RobustnessSettings,
) -> Annotated[Robustness, "robustness"]:
    """Return accuracy before and after each change, on the first `samples` reviews."""
    from review_sentiment.evaluation import robustness
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.tracking import candidate
    from steps.mlflow_joint import connect

    connect()
    candidate.require_run(adapter.run_id)
    found = robustness.probe_robustness(
        adapter.base,
        adapter.directory,
        adapter.max_tokens,
        evaluation_chats,
        tuned,
        plan_compute(model.device, model.precision),
        settings.samples,
    )
    candidate.log_metrics(adapter.run_id, found.metrics())
    candidate.log_text(adapter.run_id, found.csv(), "robustness/probes.csv")
    return found
