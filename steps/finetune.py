"""Fine-tune the model with QLoRA: opens the candidate's MLflow run."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.adapter import TrainedAdapterMaterializer
from review_sentiment.adapters import TrainedAdapter
from review_sentiment.chats import ChatDataset
from review_sentiment.config import (
    LoraSettings,
    ModelSettings,
    PromptSettings,
    TrackingSettings,
    TrainingSettings,
)
from steps.source_fingerprint import fingerprint

PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate")
"""Packages whose version changes what is trained."""


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "finetune", packages=PACKAGES)


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=TrainedAdapterMaterializer,
)
def finetune(
    train: ChatDataset,
    model: ModelSettings,
    prompt: PromptSettings,
    lora: LoraSettings,
    training: TrainingSettings,
    tracking: TrackingSettings,
    seed: int,
) -> Annotated[TrainedAdapter, "adapter"]:
    """Return the trained adapter, which names its MLflow run."""
    import atexit
    import shutil
    import tempfile
    from pathlib import Path

    from zenml import get_step_context

    from review_sentiment.candidate import Candidate
    from review_sentiment.models import free_memory, identify, plan_compute
    from review_sentiment.settings_files import flat
    from review_sentiment.training import finetune as train_adapter
    from steps.mlflow_joint import connect

    base = identify(model)
    plan = plan_compute(model.device, model.precision)
    settings = {
        name: str(value)
        for section, values in (
            ("model", model),
            ("prompt", prompt),
            ("lora", lora),
            ("training", training),
        )
        for name, value in flat(values, f"{section}.").items()
    } | {"seed": str(seed)}
    # ZenML saves the adapter after the step has returned, so its files live until the process ends.
    directory = Path(tempfile.mkdtemp(prefix="review-sentiment-adapter-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    connect()
    candidate = Candidate.open(
        experiment=tracking.experiment,
        name=get_step_context().pipeline_run.name,
        base=base,
        compute=plan.describe(),
        settings=settings,
        packages=PACKAGES,
        train=train,
    )
    with candidate.recording():
        trained = train_adapter(
            base,
            plan,
            train,
            lora,
            training,
            seed,
            adapter=directory,
            observers=(candidate.log_step,),
        )
        candidate.log_training(trained)
    free_memory()
    return TrainedAdapter(
        directory=trained.adapter,
        base=base,
        run_id=candidate.run_id,
        proof=trained.proof,
        summary=trained.summary,
        max_tokens=prompt.max_tokens,
        compute=plan.describe(),
        settings=settings,
    )
