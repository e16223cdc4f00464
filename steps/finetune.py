"""Fine-tune the model with QLoRA: opens the candidate's MLflow run."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.adapter import MLFLOW_RUN_ID, TrainedAdapterMaterializer
from review_sentiment.config import (
    LoraSettings,
    ModelSettings,
    PromptSettings,
    TrackingSettings,
    TrainingSettings,
)
from review_sentiment.data.chats import ChatDataset
from review_sentiment.training.trained_adapter import TrainedAdapter
from steps.source_fingerprint import fingerprint

PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate")
"""Packages whose version changes what is trained."""


WITHOUT_CONSEQUENCE = frozenset(
    f"training.{name}"
    for name in (
        "fit",
        "tokens_per_pass",
        "gradient_checkpointing",
        "dequantise_once",
        "checkpoint_dir",
        "checkpoint_minutes",
        "checkpoint_steps",
    )
)
"""Settings that leave the result as it is: a checkpoint made with others can be gone on from."""


def depends_on() -> str:
    """Return what makes an earlier result stale."""
    return fingerprint(__name__, "finetune", packages=PACKAGES)


@step(
    cache_policy=CachePolicy(cache_func=depends_on),
    output_materializers=TrainedAdapterMaterializer,
)
def finetune(
    train: ChatDataset,
    validation: ChatDataset,
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

    from review_sentiment.models.base_model import identify
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.settings_files import flat
    from review_sentiment.tracking.candidate import Candidate
    from review_sentiment.tracking.provenance import SOURCE_COMMIT, package_versions
    from review_sentiment.training.checkpoints import CheckpointStore, default_address, training_identity
    from review_sentiment.training.processes import finetune_in_processes
    from review_sentiment.training.qlora import TrainingContext
    from review_sentiment.training.qlora import finetune as finetune_here
    from steps.mlflow_joint import connect

    context = get_step_context()
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
    checkpoints = CheckpointStore(
        training.checkpoint_dir or _beside_the_artifacts() or default_address(),
        training_identity(
            base=base,
            data=train.fingerprint(),
            validation=validation.fingerprint(),
            settings={key: value for key, value in settings.items() if key not in WITHOUT_CONSEQUENCE},
            precision=plan.precision,
            packages=package_versions(PACKAGES),
        ),
    )
    earlier = checkpoints.newest_notes().get("run_id")
    if earlier and _is_saved(earlier):  # it had finished: this is to be another training
        checkpoints.clear()
        earlier = None
    candidate = (Candidate.reopen(earlier) if earlier else None) or Candidate.open(
        experiment=tracking.experiment,
        name=context.pipeline_run.name,
        base=base,
        compute=plan.describe(),
        settings=settings,
        packages=PACKAGES,
        commit=context.pipeline_run.config.extra[SOURCE_COMMIT],
        train=train,
    )
    with candidate.recording():
        train_adapter = finetune_in_processes if training.processes > 1 else finetune_here
        trained = train_adapter(
            base,
            plan,
            train,
            lora,
            training,
            seed,
            directory,
            TrainingContext((candidate.log_step,), checkpoints, {"run_id": candidate.run_id}, validation),
        )
        candidate.log_training(trained)
    return TrainedAdapter(
        directory=trained.adapter,
        base=base,
        run_id=candidate.run_id,
        proof=trained.proof,
        summary=trained.summary,
        max_tokens=prompt.max_tokens,
        compute=plan.describe(),
        settings=settings,
        checkpoints=checkpoints.address,
        validation=trained.validation_answers,
    )


def _is_saved(run_id: str) -> bool:
    """Tell whether the adapter that was trained in an MLflow run is in the artifact store."""
    from zenml.client import Client

    return bool(Client().list_artifact_versions(run_metadata=f"{MLFLOW_RUN_ID}:{run_id}", size=1).total)


def _beside_the_artifacts() -> str | None:
    """Return where checkpoints outlive the step's machine: in a remote artifact store, where there is one."""
    from zenml.client import Client

    store = Client().active_stack.artifact_store
    return None if store.config.is_local else f"{store.path}/checkpoints"
