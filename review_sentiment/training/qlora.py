"""QLoRA fine-tuning: TRL's SFTTrainer, with the loss of the answer only.

The same code trains on a CPU and on a GPU; what differs is in the `ComputePlan`.
"""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import set_seed
from trl import SFTConfig

from review_sentiment.errors import TrainingError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, put_adapter, save_adapter, train_adapters_in_fp32
from review_sentiment.models.packing import can_pack, use_packed_attention
from review_sentiment.resources import memory_fit
from review_sentiment.resources.device import free_memory, peak_memory_gb
from review_sentiment.scoring.answers import Answers, KeptAnswers
from review_sentiment.training.callback import Checkpointing, Observer, TrainingCallback, Validation
from review_sentiment.training.lora_proof import LoraProof, LoraWatcher
from review_sentiment.training.sampler import heaviest_batch
from review_sentiment.training.trained_adapter import TrainingSummary
from review_sentiment.training.trainer import (
    AnswerTrainer,
    NonFiniteError,
    OutOfMemoryError,
    is_out_of_memory,
    tokenise,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.config import LoraSettings, TrainingSettings
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.training.checkpoints import CheckpointStore

RELOAD_PROMPTS = 16
"""Prompts that the trained model and the one loaded from its files answer alike."""
SCORING_TOKENS = 2_048
"""Tokens of a scoring batch while the model is trained."""


@dataclass(frozen=True)
class FineTuned:
    """A trained adapter on disk, with its proof, its curve, its validations and its answers to the last."""

    adapter: Path
    proof: LoraProof
    summary: TrainingSummary
    curve: tuple[dict[str, float], ...]
    validations: tuple[dict[str, float], ...] = ()
    validation_answers: KeptAnswers | None = None


@dataclass(frozen=True)
class TrainingContext:
    """What a training may be given besides its data: who is told, where checkpoints go, what validates it."""

    observers: tuple[Observer, ...] = ()
    checkpoints: CheckpointStore | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    validation: ChatDataset | None = None
    scratch: Path | None = None
    """Directory that the processes of a training share."""


def finetune(
    base: ModelIdentity,
    plan: ComputePlan,
    chats: ChatDataset,
    lora: LoraSettings,
    training: TrainingSettings,
    seed: int,
    adapter: Path,
    surroundings: TrainingContext | None = None,
) -> FineTuned:
    """Train adapters on the chats and save them to the directory `adapter`.

    Where the checkpoints have a whole one, the training goes on from there. The
    memory of model and training is free when this returns, or raises.

    Raises:
        FitError: the training would not fit into memory.
        LoraProofError: an adapter was not applied, not trained, or the loss did not fall.
        TrainingError: the loss or the gradient is not a finite number, or memory ran out.
        ModelUnavailableError: the base model is not there.
    """
    around = surroundings or TrainingContext()
    try:
        trained = _train(base, plan, chats, lora, training, seed, adapter, around)
        free_memory()
        proof = _proved_reload(trained, base, plan, chats) if trained.first else trained.result.proof
    except BaseException as error:
        # The frames of the traceback hold the model and its tensors.
        traceback.clear_frames(error.__traceback__)
        if is_out_of_memory(error):
            raise memory_fit.out_of_memory_outside_passes(plan, lora) from error
        raise
    finally:
        free_memory()
    return replace(trained.result, proof=proof)


@dataclass(frozen=True)
class _Trained:
    """A training that has ended, and what the trained model answered to some prompts."""

    result: FineTuned
    tokenizer: PreTrainedTokenizerBase
    prompts: tuple[str, ...]
    probabilities: Any
    first: bool
    """Whether this process is the first of the training's, which writes the adapter."""


def _train(
    base: ModelIdentity,
    plan: ComputePlan,
    chats: ChatDataset,
    lora: LoraSettings,
    training: TrainingSettings,
    seed: int,
    adapter: Path,
    around: TrainingContext,
) -> _Trained:
    set_seed(seed)
    tokenizer = load_tokenizer(base)
    rows = tokenise(chats, tokenizer)
    heaviest = heaviest_batch(rows["input_ids"], training.batch_size, seed, plan.packs_rows)
    training, expected = memory_fit.fitted(base, plan, lora, training, heaviest)
    model = load_model(base, plan)
    packs_rows = plan.packs_rows and can_pack(model)
    if packs_rows:
        use_packed_attention(model)
    model = add_adapters(model, lora)
    fuse_adapters(model, plan.dtype if plan.dequantises_once(training.dequantise_once) else None)
    lighten(model)
    witness = LoraWatcher(model)
    with _scratch(around.scratch) as scratch:
        trainer = AnswerTrainer(
            model=model,
            args=_trainer_settings(scratch, plan, training, seed),
            tokens_per_pass=training.tokens_per_pass,
            packs_rows=packs_rows,
            train_dataset=rows,
            processing_class=tokenizer,
        )
        train_adapters_in_fp32(model)
        course = TrainingCallback(
            trainer,
            witness,
            around.observers,
            _keeping(training, around),
            _validating(training, around, tokenizer, plan),
            expected.total / 1e9,
        )
        trainer.add_callback(course)
        # Each process has its own copy, which is gone when the training ends.
        resumed = scratch / f"resumed-{trainer.accelerator.process_index}"
        found = around.checkpoints.fetch_newest(resumed) if around.checkpoints else None
        if found:
            course.restore(resumed)
        try:
            with course.stopping_on_signals():
                if found and trainer.had_ended(resumed):
                    trainer.load_adapter(resumed)
                else:
                    trainer.train(resume_from_checkpoint=str(resumed) if found else None)
        except NonFiniteError as error:
            raise _explained(error, trainer, chats, training, around) from error
        except OutOfMemoryError as error:
            raise memory_fit.out_of_memory(error.tokens, plan, lora, training) from error
    first = trainer.accelerator.is_main_process
    put_adapter(model, course.kept)
    proof = witness.conclude([point["loss"] for point in course.curve])
    proof.require()
    if first:
        save_adapter(model, base, adapter)
    result = FineTuned(
        adapter=adapter,
        proof=proof,
        summary=TrainingSummary(
            reviews=len(chats),
            steps=len(course.curve),
            tokens=trainer.tokens,
            computed_tokens=trainer.computed_tokens,
            seconds=course.seconds,
            tokens_per_second=trainer.tokens / course.seconds,
            trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            peak_memory_gb=peak_memory_gb(plan.device),
            expected_memory_gb=expected.total / 1e9,
        ),
        curve=tuple(course.curve),
        validations=tuple(course.validations),
        validation_answers=course.kept_answers,
    )
    prompts = tuple(chats.frame["prompt"].head(RELOAD_PROMPTS))
    return _Trained(result, tokenizer, prompts, _answers(model, tokenizer, prompts, chats, plan), first)


@contextmanager
def _scratch(shared: Path | None) -> Iterator[Path]:
    """Yield a directory for the Trainer: a temporary one, or the one that the processes share."""
    if shared is not None:
        shared.mkdir(exist_ok=True)
        yield shared
        return
    with tempfile.TemporaryDirectory(prefix="review-sentiment-training-") as own:
        yield Path(own)


def _keeping(training: TrainingSettings, around: TrainingContext) -> Checkpointing | None:
    if around.checkpoints is None:
        return None
    return Checkpointing(
        around.checkpoints, training.checkpoint_minutes, training.checkpoint_steps, around.notes
    )


def _validating(
    training: TrainingSettings, around: TrainingContext, tokenizer: PreTrainedTokenizerBase, plan: ComputePlan
) -> Validation | None:
    """Score the head of the validation chats, whose order is random."""
    if around.validation is None or not training.validations:
        return None
    from review_sentiment.scoring.label_scoring import score_labels

    frame = around.validation.frame.head(training.validation_samples)
    labels = around.validation.labels
    gold = np.array([labels.index(label) for label in frame["label"]])

    def answers(model: torch.nn.Module) -> Answers:
        scores = score_labels(model, tokenizer, list(frame["prompt"]), labels, plan, SCORING_TOKENS)
        return Answers(gold, scores.answered, scores.probabilities)

    return Validation(answers, training.validations, training.patience)


def _answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: tuple[str, ...],
    chats: ChatDataset,
    plan: ComputePlan,
) -> Any:
    from review_sentiment.scoring.label_scoring import score_labels

    return score_labels(model, tokenizer, prompts, chats.labels, plan, SCORING_TOKENS).probabilities


def _proved_reload(
    trained: _Trained, base: ModelIdentity, plan: ComputePlan, chats: ChatDataset
) -> LoraProof:
    """Add to the proof that the saved adapter answers as the trained model did."""
    model = load_adapted_model(base, trained.result.adapter, plan)
    again = _answers(model, trained.tokenizer, trained.prompts, chats, plan)
    difference = float(abs(again - trained.probabilities).max())
    proof = replace(trained.result.proof, reload_difference=difference)
    proof.require()
    return proof


def _explained(
    error: NonFiniteError,
    trainer: AnswerTrainer,
    chats: ChatDataset,
    training: TrainingSettings,
    around: TrainingContext,
) -> TrainingError:
    """Return what to tell a person; the reviews of the batch are kept beside the checkpoints."""
    batch = chats.frame.iloc[trainer.last_rows]
    step = trainer.state.global_step + (error.figure == "loss")  # a step is counted when it is done
    where = ""
    if around.checkpoints:
        content = json.dumps(
            {"step": step, error.figure: str(error.value), "review_ids": batch["review_id"].tolist()}
        )
        where = f", kept in {around.checkpoints.leave(f'failed_batch_{step}.json', content)}"
    shown = ", ".join(batch["review_id"].head(3))
    return TrainingError(
        f"Training stopped at step {step}: {error.figure} is {error.value}. The batch has the reviews "
        f"{shown}, … ({len(batch)}{where}). Lower training.learning_rate (now {training.learning_rate:g}) "
        "or use model.precision=fp32."
    )


def _trainer_settings(scratch: Path, plan: ComputePlan, training: TrainingSettings, seed: int) -> SFTConfig:
    return SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=training.epochs,
        max_steps=training.max_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup_share,
        weight_decay=training.weight_decay,
        per_device_train_batch_size=training.batch_size // training.processes,
        gradient_accumulation_steps=1,  # AnswerTrainer accumulates by tokens
        max_grad_norm=training.max_grad_norm,
        optim=plan.optimizer,
        activation_checkpointing=plan.checkpoints_activations(training.gradient_checkpointing),
        activation_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=plan.device == "cpu",
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=plan.device == "cuda",
    )
