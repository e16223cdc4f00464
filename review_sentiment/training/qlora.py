"""QLoRA fine-tuning: from chats to an adapter that is proved to work.

A training has three parts, in this order:

- `load`: the base model in 4 bits with LoRA adapters, and the trainer with the tokenised chats.
- `fit`: the optimizer steps, from the start or from the newest checkpoint.
- `conclude`: the proof that every adapter learned, the saved files, and a check of the saved files.

QLoRA (arXiv 2305.14314) trains a model in the memory of its 4-bit weights. The weights W of the linear layers
are frozen and stored in NF4: 4 bits per weight, which choose one of 16 quantiles of the normal distribution,
and one scale per block of 64 weights. Next to each W there are two small matrices, A and B, in FP32. A layer
computes x W' + scale (x A') B', and only A and B are trained: 3.6 % of the weights at rank 16 in the embedded
model. B starts at zero, so training starts from the base model's answers.

The same code runs on a CPU and on a GPU; `ComputePlan` holds the differences. What happens in a step is in
`trainer.py`, what happens around the steps is in `callback.py`.
"""

from __future__ import annotations

import json
import logging
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers import set_seed

from review_sentiment.data.languages import warn_of_costly_languages
from review_sentiment.errors import TrainingError, is_out_of_memory
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.label_head import head_of, save_head
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import (
    load_adapted_model,
    load_configuration,
    load_model,
    load_tokenizer,
)
from review_sentiment.models.lora import (
    add_adapters,
    restore_adapter,
    save_adapter,
    train_adapters_in_fp32,
)
from review_sentiment.models.packed_attention import can_pack, use_packed_attention
from review_sentiment.resources import memory_fit
from review_sentiment.resources.device import free_memory, peak_memory_gb, reset_peak
from review_sentiment.scoring.label_scoring import score_once
from review_sentiment.scoring.scored_model import require_plain_scores
from review_sentiment.training.arguments import trainer_arguments
from review_sentiment.training.callback import Checkpointing, TrainingCallback
from review_sentiment.training.decisions import decisions
from review_sentiment.training.head_start import start_head
from review_sentiment.training.job import FinishedTraining, TrainingContext, TrainingJob
from review_sentiment.training.lora_proof import LoraProof, LoraWatcher
from review_sentiment.training.rows import tokenise
from review_sentiment.training.sampler import heaviest_batch
from review_sentiment.training.trained_adapter import TrainingSummary
from review_sentiment.training.trainer import (
    AnswerTrainer,
    NonFiniteError,
    OutOfMemoryError,
)
from review_sentiment.training.validation import SCORING_TOKENS, validation_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models.recipe import Recipe

RELOAD_PROMPTS = 16
"""Prompts that the trained model and the one loaded from its files must answer alike."""
REVIEWS_SHOWN = 3
"""Reviews of a failed batch that an error message names."""

logger = logging.getLogger(__name__)


def finetune(job: TrainingJob, context: TrainingContext | None = None) -> FinishedTraining:
    """Train adapters on the chats and save them.

    If the context has a complete checkpoint of this training, it resumes from there. The memory of model and
    training is free when this returns or raises.

    Raises:
        FitError: the training would not fit into memory.
        LoraProofError: an adapter was not applied, not trained, or the loss did not fall.
        TrainingError: the loss or the gradient is not a finite number, or memory ran out.
        ModelUnavailableError: the base model is not available.
    """
    reset_peak(job.recipe.plan.device)
    try:
        tokenizer = load_tokenizer(job.recipe.base)
        finished, answers = _train(job, tokenizer, context or TrainingContext())
        # The trained model must be gone before it is loaded again from its files: two copies of an 8B model
        # do not fit on a card that holds one.
        free_memory()
        if answers is None:  # another process saved the adapter, and proves it
            return finished
        return replace(finished, proof=_prove_the_files(job, tokenizer, finished.proof, answers))
    except BaseException as error:
        # The frames of the traceback hold the model and its tensors. Without this, a caller that catches the
        # error and tries smaller settings has the failed model in memory as well.
        traceback.clear_frames(error.__traceback__)
        if is_out_of_memory(error):
            raise memory_fit.out_of_memory_elsewhere(job.recipe) from error
        raise
    finally:
        free_memory()


def _train(
    job: TrainingJob, tokenizer: PreTrainedTokenizerBase, context: TrainingContext
) -> tuple[FinishedTraining, npt.NDArray[np.float64] | None]:
    # Seeds Python, NumPy and torch: the random start of A and the dropout follow from the seed. The order of
    # the reviews does not depend on it being set here: the samplers have generators of their own.
    set_seed(job.recipe.seed)
    with _scratch_directory(context.scratch) as scratch:
        loaded = load(job, tokenizer, scratch)
        callback = fit(job, loaded, context, scratch)
    return conclude(job, loaded, callback)


@dataclass(frozen=True)
class Loaded:
    """Everything that is ready to train; `recipe` fits the memory that is free."""

    recipe: Recipe
    expected_gb: float
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    trainer: AnswerTrainer
    watcher: LoraWatcher


def load(job: TrainingJob, tokenizer: PreTrainedTokenizerBase, scratch: Path) -> Loaded:
    """Load the 4-bit model, add adapters to it, and build the trainer."""
    rows = tokenise(job.train, tokenizer, job.recipe.head)
    warn_of_costly_languages(list(job.train.frame["text"]), lambda text: len(tokenizer.tokenize(text)))
    # Packing needs plain causal attention. Models with a sliding window or attention dropout are padded.
    recipe = job.recipe
    if not can_pack(load_configuration(recipe.base)):
        recipe = replace(
            recipe, plan=recipe.plan.without(("packing",), "this model's attention cannot be packed")
        )
    # Memory is checked before anything large is loaded, and for the heaviest batch of the real data: an
    # estimate from the longest possible review was up to 34 % too high.
    heaviest = heaviest_batch(rows["input_ids"], recipe)
    recipe, expected = memory_fit.fitted(recipe, heaviest)
    # The weights are quantised while they are loaded, layer by layer, and stay frozen from here on.
    model = load_model(recipe.base, recipe.plan)
    for decision in decisions(recipe, heaviest):
        logger.info("%s", decision)
    if recipe.plan.packs_rows:
        use_packed_attention(model, recipe.plan)
    # All linear layers of the blocks get adapters by default, attention and MLP alike: adapting only the
    # queries and values, as the LoRA paper did, does not reach the quality of full fine-tuning (QLoRA,
    # section 4).
    model = add_adapters(model, recipe.lora)
    # A head takes the place of the output layer before the model is checked below, and is checked with it.
    if recipe.has_head:
        start = start_head(model, tokenizer, job.train.frame["prompt"].iloc[0], job.train.labels, recipe.seed)
        logger.info("%s", start)
    # The next two replace chains of small operations by single functions with the same result, which keep
    # less for the backward pass. With packing, a step is 4.5 times as fast as one of tuned TRL (3.0-7.5:
    # `benchmarks/training.py`). Fusing needs a LoRA dropout of 0, the default: a random mask for the inputs
    # of all 210 layers would halve the speed on a CPU, and each review is seen only once anyway.
    if "fused_lora" not in recipe.training.disable:
        fuse_adapters(model, recipe.plan.dtype if recipe.dequantises_once else None)
    if "lean_layers" not in recipe.training.disable:
        lighten(model)
    # A model whose layers these functions get wrong must not be found out when the training is paid for.
    require_plain_scores(model.eval(), recipe.plan)
    model.train()
    trainer = AnswerTrainer(
        model=model,
        args=trainer_arguments(recipe, scratch),
        token_budget=recipe.token_budget,
        packs_rows=recipe.plan.packs_rows,
        balance=recipe.training.balance,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    # TRL casts the adapters to BF16, which would round away an update of less than 0.2 % of a weight.
    train_adapters_in_fp32(model)
    # From here on every adapter is watched, and the head: that it is called, has a gradient, and moves from
    # where the cast has left it.
    watcher = LoraWatcher(model)
    return Loaded(recipe, expected.total / 1e9, tokenizer, model, trainer, watcher)


def fit(job: TrainingJob, loaded: Loaded, context: TrainingContext, scratch: Path) -> TrainingCallback:
    """Make the optimizer steps; return the callback that followed them.

    Raises:
        TrainingError: the loss or the gradient is not a finite number, or a single review does not fit.
    """
    trainer, recipe = loaded.trainer, loaded.recipe
    callback = TrainingCallback(
        trainer,
        loaded.watcher,
        context.observers,
        _checkpointing(recipe, context),
        validation_of(job, loaded.tokenizer),
        loaded.expected_gb,
    )
    trainer.add_callback(callback)
    # Each process has its own copy, which is deleted with the scratch directory.
    checkpoint = scratch / f"resumed-{trainer.accelerator.process_index}"
    # A checkpoint that is incomplete, because the process was killed while it wrote it, is skipped for the
    # one before it.
    resumes = context.checkpoints is not None and context.checkpoints.fetch_newest(checkpoint) is not None
    if resumes:
        callback.restore(checkpoint)
    try:
        with callback.stopping_on_signals():
            # Training may have ended before the process was killed: then only saving and proving are left.
            if resumes and trainer.had_ended(checkpoint):
                trainer.load_adapter(checkpoint)
            else:
                trainer.train(resume_from_checkpoint=str(checkpoint) if resumes else None)
    except NonFiniteError as error:
        raise _non_finite(error, job, trainer, context) from error
    except OutOfMemoryError as error:
        raise memory_fit.out_of_memory(recipe, error.tokens) from error
    return callback


def conclude(
    job: TrainingJob, loaded: Loaded, callback: TrainingCallback
) -> tuple[FinishedTraining, npt.NDArray[np.float64] | None]:
    """Prove that the adapters learned, save them, and answer some prompts for `_prove_the_files`.

    The answers are None in every process but the first, which saves the adapter.

    Raises:
        LoraProofError: an adapter did not move, or the loss did not fall.
    """
    model, trainer = loaded.model, loaded.trainer
    # Later adapters have seen more reviews, so the last one wins that is about as good as the best one:
    # within one standard error of its macro-F1 on the validation reviews. Without validations the weights
    # stay.
    restore_adapter(model, callback.kept)
    proof = loaded.watcher.conclude([point["loss"] for point in callback.curve])
    proof.require()
    # Of several processes only the first writes files. All of them have the same weights.
    answers = None
    if trainer.accelerator.is_main_process:
        save_adapter(model, job.recipe.base, job.adapter)
        if head := head_of(model):
            save_head(head, job.adapter)
        answers = _probabilities(model, loaded.tokenizer, job)
    finished = FinishedTraining(
        adapter=job.adapter,
        proof=proof,
        summary=TrainingSummary(
            reviews=len(job.train),
            steps=len(callback.curve),
            tokens=trainer.tokens,
            computed_tokens=trainer.computed_tokens,
            seconds=callback.seconds,
            tokens_per_second=trainer.tokens / callback.seconds,
            trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            peak_memory_gb=peak_memory_gb(job.recipe.plan.device),
            expected_memory_gb=loaded.expected_gb,
        ),
        curve=tuple(callback.curve),
        validations=tuple(callback.validations),
    )
    return finished, answers


def _prove_the_files(
    job: TrainingJob,
    tokenizer: PreTrainedTokenizerBase,
    proof: LoraProof,
    answers: npt.NDArray[np.float64],
) -> LoraProof:
    """Add to the proof that the model loaded from the saved files answers as the trained model did.

    A name that does not match, or a weight that was left out, is not an error when an adapter is loaded: the
    layer just keeps its random A and its zero B.
    """
    recipe = job.recipe
    # The answers must agree to 0.001. Equal weights and equal batches give equal answers even in BF16, so any
    # difference at all is suspicious; the margin is for GPUs, whose kernels may add in another order.
    model = load_adapted_model(recipe.base, job.adapter, recipe.plan)
    again = _probabilities(model, tokenizer, job)
    proof = replace(proof, reload_difference=float(abs(again - answers).max()))
    proof.require()
    return proof


def _probabilities(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, job: TrainingJob
) -> npt.NDArray[np.float64]:
    """Return the label probabilities [RELOAD_PROMPTS, labels] for the first training prompts."""
    prompts = list(job.train.frame["prompt"].head(RELOAD_PROMPTS))
    return score_once(
        model, tokenizer, prompts, job.train.labels, job.recipe.plan, SCORING_TOKENS
    ).probabilities


@contextmanager
def _scratch_directory(shared: Path | None) -> Iterator[Path]:
    """Yield a directory for the trainer: a temporary one, or the one that the processes share."""
    if shared is not None:
        shared.mkdir(exist_ok=True)
        yield shared
        return
    with tempfile.TemporaryDirectory(prefix="review-sentiment-training-") as own:
        yield Path(own)


def _checkpointing(recipe: Recipe, context: TrainingContext) -> Checkpointing | None:
    if context.checkpoints is None:
        return None
    training = recipe.training
    return Checkpointing(
        context.checkpoints, training.checkpoint_minutes, training.checkpoint_steps, context.notes
    )


def _non_finite(
    error: NonFiniteError, job: TrainingJob, trainer: AnswerTrainer, context: TrainingContext
) -> TrainingError:
    """Return the error for a person; the ids of the batch are saved beside the checkpoints."""
    batch = job.train.frame.iloc[trainer.last_rows]
    step = trainer.state.global_step + (error.figure != "grad_norm")  # of a step that is done, and counted
    where = ""
    if context.checkpoints:
        content = json.dumps(
            {"step": step, error.figure: str(error.value), "review_ids": batch["review_id"].tolist()}
        )
        where = f", saved in {context.checkpoints.leave(f'failed_batch_{step}.json', content)}"
    shown = ", ".join(batch["review_id"].head(REVIEWS_SHOWN))
    return TrainingError(
        f"Training stopped at step {step}: {error.figure} is {error.value}. The batch has {len(batch)} "
        f"reviews ({shown}, …{where}). Lower training.learning_rate (now "
        f"{job.recipe.training.learning_rate:g}) or set model.precision=fp32."
    )
