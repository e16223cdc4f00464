"""QLoRA fine-tuning: TRL's SFTTrainer, with the loss of the answer only.

The same code trains on a CPU and on a GPU; what differs is in the `ComputePlan`.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from review_sentiment.adapters import TrainingSummary
from review_sentiment.batching import rounded_up, token_budget_batches
from review_sentiment.errors import TrainingError
from review_sentiment.fused_lora import fuse_adapters
from review_sentiment.lean_layers import lighten
from review_sentiment.lora_proof import ADAPTER, LoraProof, LoraWitness
from review_sentiment.models import BaseModel, ComputePlan, load_model, load_tokenizer
from review_sentiment.packing import can_pack, pack, use_packed_attention
from review_sentiment.progress import Progress

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.chats import ChatDataset
    from review_sentiment.config import LoraSettings, TrainingSettings

IGNORED = -100
"""Label of tokens that the loss leaves out (PyTorch's convention)."""
PAD_TO_MULTIPLE = 16
"""Rows are padded to a multiple of the tile height of AMX: fewer shapes, whole tiles."""

Observer = Callable[[int, Mapping[str, float]], None]
"""Told the optimiser step and its figures: loss, learning_rate, grad_norm, tokens_per_second."""


@dataclass(frozen=True)
class FineTuned:
    """A trained adapter on disk, with its proof and its loss curve."""

    adapter: Path
    proof: LoraProof
    summary: TrainingSummary
    curve: tuple[dict[str, float], ...]


def finetune(
    base: BaseModel,
    plan: ComputePlan,
    chats: ChatDataset,
    lora: LoraSettings,
    training: TrainingSettings,
    seed: int,
    adapter: Path,
    observers: tuple[Observer, ...] = (),
) -> FineTuned:
    """Train adapters on the chats and save them to the directory `adapter`.

    Raises:
        LoraProofError: an adapter was not applied, not trained, or the loss did not fall.
        TrainingError: the loss or the gradient is not a finite number.
        ModelUnavailableError: the base model is not there.
    """
    set_seed(seed)
    tokenizer = load_tokenizer(base)
    model = load_model(base, plan)
    packs_rows = plan.packs_rows and can_pack(model)
    if packs_rows:
        use_packed_attention(model)
    model = add_adapters(model, lora)
    fuse_adapters(model)
    lighten(model)
    witness = LoraWitness(model)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-training-") as scratch:
        trainer = AnswerTrainer(
            model=model,
            args=_trainer_settings(Path(scratch), plan, training, seed),
            tokens_per_pass=training.tokens_per_pass,
            packs_rows=packs_rows,
            train_dataset=tokenise(chats, tokenizer),
            processing_class=tokenizer,
        )
        _train_adapters_in_fp32(model)
        follower = _Follower(trainer, witness, observers)
        trainer.add_callback(follower)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started

    proof = witness.conclude([point["loss"] for point in follower.curve])
    proof.require()
    save_adapter(model, base, adapter)
    return FineTuned(
        adapter=adapter,
        proof=proof,
        summary=TrainingSummary(
            reviews=len(chats),
            steps=len(follower.curve),
            tokens=trainer.tokens,
            seconds=seconds,
            tokens_per_second=trainer.tokens / seconds,
            computed_tokens=trainer.computed_tokens,
            trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            peak_memory_gb=peak_memory_gb(plan),
        ),
        curve=tuple(follower.curve),
    )


def add_adapters(model: PreTrainedModel, lora: LoraSettings) -> PreTrainedModel:
    """Put a LoRA adapter on every linear layer of the model, the output layer left out."""
    from peft import LoraConfig, get_peft_model

    adapted: PreTrainedModel = get_peft_model(
        model,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    return adapted


def save_adapter(model: PreTrainedModel, base: BaseModel, directory: Path) -> None:
    """Save the adapter alone, without paths of this machine: equal adapters are equal files."""
    model.peft_config[ADAPTER].base_model_name_or_path = base.name
    model.save_pretrained(str(directory), save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)  # PEFT's empty template of a card


def tokenise(chats: ChatDataset, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return a data set with `input_ids` and `labels`; only the answer has labels."""
    from datasets import Dataset

    frame = chats.frame
    rows = []
    for prompt, completion in zip(frame["prompt"], frame["completion"], strict=True):
        ids = tokenizer.encode(prompt + completion, add_special_tokens=False)
        prompt_length = len(tokenizer.encode(prompt, add_special_tokens=False))
        rows.append({"input_ids": ids, "labels": [IGNORED] * prompt_length + ids[prompt_length:]})
    return Dataset.from_list(rows)


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that bounds a pass by tokens and applies the output layer to answers only.

    A batch goes through the model in as many passes as its tokens need, so that
    memory has one bound for long and for short reviews, and short ones go in
    few large passes: what a pass costs whatever its size (all weights are
    dequantised and reordered twice) is half the time of 450 tokens on two cores.

    TRL 1.16 applies the output layer to the answer's positions on CUDA;
    elsewhere it computes the logits of all positions, a fifth of the work of the
    embedded model. The loss is the same in both cases: the mean cross-entropy
    of the answer tokens of the batch.
    """

    def __init__(self, tokens_per_pass: int, packs_rows: bool, **options: Any) -> None:
        super().__init__(**options)
        self._packs_rows = packs_rows
        self.tokens = 0
        self.computed_tokens = 0
        self._tokens_per_pass = tokens_per_pass

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add up the gradients of a batch, `input_ids` and `labels` of [batch, length]; return its loss."""
        import torch

        widths = [rounded_up(n, PAD_TO_MULTIPLE) for n in inputs["attention_mask"].sum(dim=1).tolist()]
        loss = inputs["labels"].new_zeros((), dtype=torch.float32)
        for rows in token_budget_batches(widths, self._tokens_per_pass):
            width = max(widths[row] for row in rows)
            part = {name: values[rows, :width] for name, values in inputs.items()}
            loss += super().training_step(model, part, num_items_in_batch)
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a padded batch: `input_ids` and `labels` of [batch, length]."""
        import torch

        answers = _packed_answers if self._packs_rows else _padded_answers
        logits, targets, computed = answers(model, inputs)
        total = torch.nn.functional.cross_entropy(
            logits.float(), targets, ignore_index=IGNORED, reduction="sum"
        )
        count = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        self.tokens += int(inputs["attention_mask"].sum())
        self.computed_tokens += computed
        loss = total / count
        return (loss, {"logits": logits}) if return_outputs else loss


def _padded_answers(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return logits [n, vocabulary], targets [n] and computed tokens, at the union of the rows' answers.

    Rows end at different places, but those of a batch have similar lengths, so
    that the union is a few columns. Right padding needs no mask in a causal model.
    """
    targets = inputs["labels"][:, 1:]
    columns = (targets != IGNORED).any(dim=0).nonzero().squeeze(-1)
    output = model(input_ids=inputs["input_ids"], logits_to_keep=columns, use_cache=False)
    return output.logits.flatten(0, 1), targets[:, columns].flatten(), inputs["input_ids"].numel()


def _packed_answers(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return logits [n, vocabulary], targets [n] and computed tokens, at the answers of packed rows."""
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    rows = [ids[:length] for ids, length in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    row, column = (inputs["labels"][:, 1:] != IGNORED).nonzero(as_tuple=True)
    batch = pack(rows, most_shared=int(column.min()))
    output = model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        packed_rows=batch.rows,
        logits_to_keep=batch.rows.source[row, column - batch.rows.prefix],
        use_cache=False,
    )
    return output.logits[0], inputs["labels"][row, column + 1], batch.input_ids.numel()


class _Follower(TrainerCallback):  # type: ignore[misc]
    """Follows a training: the proof at the first step, the curve, the progress, the observers."""

    def __init__(self, trainer: AnswerTrainer, witness: LoraWitness, observers: tuple[Observer, ...]) -> None:
        self.curve: list[dict[str, float]] = []
        self._trainer = trainer
        self._witness = witness
        self._observers = observers
        # The longest reviews come first: the time left follows from tokens, not from steps.
        lengths = map(len, trainer.train_dataset["input_ids"])
        self._all_tokens = sum(lengths) * trainer.args.num_train_epochs
        self._tokens_before = 0
        self._step_started = 0.0

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._progress = Progress("training", state.max_steps)
        self._step_started = time.perf_counter()

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self._witness.check_first_step()

    def on_log(
        self, args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        if not logs or "loss" not in logs:
            return
        now = time.perf_counter()
        speed = (self._trainer.tokens - self._tokens_before) / (now - self._step_started)
        self._step_started, self._tokens_before = now, self._trainer.tokens
        point = {
            "step": float(state.global_step),
            "loss": float(logs["loss"]),
            "learning_rate": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]),
            "tokens_per_second": speed,
        }
        for figure in ("loss", "grad_norm"):
            if not math.isfinite(point[figure]):
                raise TrainingError(
                    f"Training stopped at step {state.global_step}: {figure} is {point[figure]}. "
                    f"Lower training.learning_rate (now {args.learning_rate:g}) or use model.precision=fp32."
                )
        self.curve.append(point)
        share = self._trainer.tokens / self._all_tokens if args.max_steps < 0 else None
        self._progress.advance(1, f"loss {point['loss']:.3f}, {speed:.0f} tokens/s", share)
        for observe in self._observers:
            observe(state.global_step, {k: v for k, v in point.items() if k != "step"})


def peak_memory_gb(plan: ComputePlan) -> float:
    """Return the most memory taken so far: of the GPU where there is one, else of this process."""
    import torch

    if plan.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _trainer_settings(scratch: Path, plan: ComputePlan, training: TrainingSettings, seed: int) -> SFTConfig:
    checkpointing = training.gradient_checkpointing
    return SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=training.epochs,
        max_steps=training.max_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup_share,
        weight_decay=training.weight_decay,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=1,  # AnswerTrainer accumulates by tokens
        max_grad_norm=training.max_grad_norm,
        optim=plan.optimizer,
        activation_checkpointing=plan.gradient_checkpointing if checkpointing == "auto" else checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=plan.device == "cpu",
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        train_sampling_strategy="group_by_length",
        pad_to_multiple_of=PAD_TO_MULTIPLE,
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


def _train_adapters_in_fp32(model: torch.nn.Module) -> None:
    """Undo TRL's cast of the adapters to BF16: small steps would be rounded away, and FP16's scaler fails."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
