"""How TRL's trainer is configured for a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trl import SFTConfig

if TYPE_CHECKING:
    from review_sentiment.models.recipe import Recipe


def trainer_arguments(recipe: Recipe, scratch: Path) -> SFTConfig:
    """Return the arguments of TRL's trainer for a recipe; `scratch` takes its checkpoints."""
    plan, training = recipe.plan, recipe.training
    arguments = SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=training.epochs,
        max_steps=training.max_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup_share,
        weight_decay=training.weight_decay,
        # The sampler yields whole batches, and each process gets its part. Accumulation by a fixed
        # number of rows would bound neither memory nor time, so AnswerTrainer accumulates by tokens.
        per_device_train_batch_size=training.batch_size // training.processes,
        gradient_accumulation_steps=1,
        max_grad_norm=training.max_grad_norm,
        optim=plan.optimizer,
        activation_checkpointing=recipe.checkpoints_activations,
        activation_checkpointing_kwargs={
            "use_reentrant": False,
            "every_n_layers": max(1, recipe.checkpointing),
        },
        use_cpu=plan.device == "cpu",
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        # The rows are tokenised already, and truncated by `format_chats`, which never cuts the answer off.
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # a loss that is NaN must stop the run, not be filtered out of its log
        save_strategy="no",  # TrainingCallback decides when to save
        report_to="none",
        disable_tqdm=True,
        seed=recipe.seed,
        data_seed=recipe.seed,
        # AnswerTrainer exchanges the gradients itself, so DDP must not start an exchange of its own.
        ddp_broadcast_buffers=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=plan.device == "cuda",
    )
    # transformers counts the visible GPUs and would copy the model to all of them (`nn.DataParallel`), which
    # TRL refuses. One process computes on one GPU, that of `arguments.device`. Asking for it first matters:
    # the count is taken when the device is set up.
    if arguments.device.type == "cuda":
        arguments._n_gpu = 1
    return arguments
