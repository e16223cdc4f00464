"""Test the tuned model on changed reviews and prompts."""

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
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "probe_robustness", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=RobustnessMaterializer)
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
    from review_sentiment.scoring.version_files import Serving

    return robustness.probe_robustness(
        Serving(adapter.base, adapter.prompt),
        adapter.directory,
        evaluation_chats,
        tuned,
        plan_compute(model.device, model.precision),
        settings.samples,
    )
