"""Fine-tune the model with QLoRA: opens the MLflow run of the candidate."""

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


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "finetune", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=TrainedAdapterMaterializer)
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
    from zenml import get_step_context

    from review_sentiment.data.prompt_format import prompt_format
    from review_sentiment.models.base_model import identify
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.settings_files import flat
    from review_sentiment.tracking.candidate import Candidate, RunDetails
    from review_sentiment.tracking.provenance import SOURCE_COMMIT, package_versions
    from review_sentiment.training.checkpoints import CheckpointStore, default_address
    from review_sentiment.training.job import TrainingContext, TrainingJob, identity_of
    from review_sentiment.training.processes import finetune_in_processes
    from review_sentiment.training.qlora import finetune as finetune_here
    from steps.directory_until_exit import directory_until_exit
    from steps.mlflow_connection import connect

    plan = plan_compute(model.device, model.precision).without(training.disable)
    recipe = Recipe(identify(model), plan, lora, training, seed, model.head)
    job = TrainingJob(recipe, train, directory_until_exit("adapter"), validation)
    sections = {"model": model, "prompt": prompt, "lora": lora, "training": training}
    settings = {"seed": str(seed)} | {
        name: str(value)
        for section, values in sections.items()
        for name, value in flat(values, f"{section}.").items()
    }
    compute = recipe.plan.describe()
    connect()
    # If training was interrupted, its newest checkpoint names the MLflow run to continue.
    checkpoints = CheckpointStore(
        training.checkpoint_dir or _beside_the_artifacts() or default_address(),
        identity_of(job, settings, package_versions(PACKAGES)),
    )
    interrupted = checkpoints.newest_notes().get("run_id")
    if interrupted and _is_saved(interrupted):  # it had finished, so this is a new training
        checkpoints.clear()
        interrupted = None
    run = get_step_context().pipeline_run
    details = RunDetails(
        experiment=tracking.experiment,
        name=run.name,
        base=recipe.base,
        compute=compute,
        settings=settings,
        packages=PACKAGES,
        commit=run.config.extra[SOURCE_COMMIT],
    )
    candidate = Candidate.reopen(interrupted) if interrupted else None
    candidate = candidate or Candidate.open(details, train)
    with candidate.recording():
        train_adapter = finetune_in_processes if training.processes > 1 else finetune_here
        notes = {"run_id": candidate.run_id}
        finished = train_adapter(job, TrainingContext((candidate.log_step,), checkpoints, notes))
        candidate.log_training(finished)
    return TrainedAdapter(
        directory=finished.adapter,
        base=recipe.base,
        run_id=candidate.run_id,
        proof=finished.proof,
        summary=finished.summary,
        prompt=prompt_format(prompt, train.labels),
        compute=compute,
        settings=settings,
        checkpoints=checkpoints.address,
    )


def _is_saved(run_id: str) -> bool:
    """Return whether the adapter that was trained in an MLflow run is in the artifact store."""
    from zenml.client import Client

    return bool(Client().list_artifact_versions(run_metadata=f"{MLFLOW_RUN_ID}:{run_id}", size=1).total)


def _beside_the_artifacts() -> str | None:
    """Return a place for checkpoints in a remote artifact store, which outlives the machine of the step."""
    from zenml.client import Client

    store = Client().active_stack.artifact_store
    return None if store.config.is_local else f"{store.path}/checkpoints"
