"""The training step: a batch of chats becomes gradients of the LoRA adapters.

A step is read from top to bottom:

1. `tokenise` and `collate` (`rows.py`): chats become token ids, and only the answer has labels.
2. `AnswerTrainer.training_step`: a batch is split into micro-batches that fit a token budget. Their gradients
   add up, so the split changes memory and speed but not the result. If memory runs out, the micro-batches are
   halved and the batch is tried again; if gradients overflow in FP16, so is the scale of the loss.
3. `AnswerTrainer.compute_loss`: the cross-entropy of the answer tokens, and of nothing else. For labels that
   are not equally frequent, `class_balance.py` changes it.

TRL's SFTTrainer does the rest: optimizer, gradient clipping, mixed precision, checkpoints.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, TrainerState
from trl import SFTTrainer

from review_sentiment.errors import TrainingError, first_line, is_out_of_memory
from review_sentiment.models.batching import (
    PAD_TO_MULTIPLE,
    PAD_TO_MULTIPLE_ON_GPU,
    even_batches,
    padded_tokens,
    padded_width,
)
from review_sentiment.models.label_head import head_of, load_head, save_head
from review_sentiment.resources.device import free_memory
from review_sentiment.training.answer_logits import IGNORED, packed_logits, padded_logits
from review_sentiment.training.class_balance import ClassBalance, answers_of, changes_the_loss
from review_sentiment.training.exchange import Shortage, average_gradients, worst_of_all
from review_sentiment.training.loss_scale import MAX_OVERFLOWS, loss_scaler, overflowed
from review_sentiment.training.rows import collate
from review_sentiment.training.sampler import ByLength, RandomBatches, order_of
from review_sentiment.training.schedule import schedule_that_starts_above_zero

if TYPE_CHECKING:
    from datasets import Dataset

    from review_sentiment.config import Balance

logger = logging.getLogger(__name__)


class NonFiniteError(TrainingError):
    """A loss or a gradient is NaN or infinite."""

    def __init__(self, figure: str, value: float) -> None:
        super().__init__(f"{figure} is {value}")
        self.figure = figure
        self.value = value


class OutOfMemoryError(TrainingError):
    """A single row does not fit: nothing that keeps the result the same helps any more."""

    def __init__(self, tokens: int) -> None:
        super().__init__(f"a single review of {tokens} tokens does not fit into memory")
        self.tokens = tokens


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with micro-batches of a token budget and a loss that computes logits for answers only.

    TRL 1.16 restricts the logits to the labelled positions on CUDA. Elsewhere it computes them for all
    positions, which is a fifth of the work of the embedded model. The loss is the same in both cases: the
    mean cross-entropy of the answer tokens of the batch.
    """

    lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None

    def __init__(self, token_budget: int, packs_rows: bool, balance: Balance, **options: Any) -> None:
        super().__init__(data_collator=collate, **options)
        # Not for other methods: the answers of all training reviews would be read for nothing.
        self._balance = (
            ClassBalance.of(balance, answers_of(self.train_dataset["labels"]))
            if changes_the_loss(balance)
            else None
        )
        if self.args.fp16:
            self.accelerator.scaler = loss_scaler(self.args.device.type)
        self.remove_callback(PrinterCallback)  # it prints a line per step; TrainingCallback reports progress
        self._packs_rows = packs_rows
        multiple = PAD_TO_MULTIPLE_ON_GPU if self.args.device.type == "cuda" else PAD_TO_MULTIPLE
        self._width_of = partial(padded_width, multiple=multiple)
        # Packed rows have no padding, so their tokens simply add up.
        self._tokens_of = sum if packs_rows else partial(padded_tokens, multiple=multiple)
        self.token_budget = token_budget
        self.tokens = 0
        self.computed_tokens = 0
        self.last_rows: list[int] = []

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Accumulate the gradients of a batch, `input_ids` and `labels` of [batch, length]; return its loss.

        Raises:
            NonFiniteError: the loss is NaN or infinite, or the gradients overflow at any scale of the loss.
            OutOfMemoryError: a single row does not fit into memory.
        """
        # Rows are packed on the host: reading them from a GPU would wait for it in every micro-batch. What
        # the model needs then goes to its device (`answer_logits.py`).
        inputs = {name: values.cpu() for name, values in inputs.items()}
        self.last_rows = inputs.pop("row").tolist()
        counted = self.tokens, self.computed_tokens
        overflows = 0
        while True:
            loss = self._attempt(model, inputs, num_items_in_batch)
            # The processes decide together: one that tries again alone would leave the others waiting for it.
            own = Shortage.NONE if loss is not None else self._shortage(inputs)
            shortage = worst_of_all(self.accelerator, own)
            if loss is not None and shortage == Shortage.NONE:
                self._count(counted, loss)
                average_gradients(self.accelerator, model)
                if not overflowed(self.accelerator.scaler, self.optimizer, model):
                    return loss
                overflows += 1
                if overflows == MAX_OVERFLOWS:
                    raise NonFiniteError("FP16 gradient", math.inf)
            else:
                self._halve_the_budget(inputs, shortage)
            # The gradients of this attempt are dropped, and the batch starts again.
            self.tokens, self.computed_tokens = counted
            model.zero_grad(set_to_none=True)
            free_memory()

    def _attempt(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], count: torch.Tensor | int | None
    ) -> torch.Tensor | None:
        """Accumulate the gradients of this process; return the loss, or None if memory ran out."""
        try:
            return self._accumulate(model, inputs, count)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("Out of memory: %s", first_line(error))
        # The error ends here: its traceback holds the tensors of the failed micro-batch.
        return None

    def _shortage(self, inputs: dict[str, torch.Tensor]) -> Shortage:
        """Return whether the micro-batches, which did not fit into memory, can be smaller."""
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        smallest = self.token_budget <= max(lengths) or len(lengths) == 1
        return Shortage.OF_ONE_ROW if smallest else Shortage.OF_MICRO_BATCH

    def _accumulate(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], count: torch.Tensor | int | None
    ) -> torch.Tensor:
        """Run forward and backward for each micro-batch of the batch; return the sum of their losses.

        Memory then has one bound for long and for short reviews, and short reviews share a few large
        micro-batches. That matters because each micro-batch has a fixed cost: dequantising and reordering all
        weights twice takes as long as 450 tokens on two cores.
        """
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        loss = torch.zeros((), device=self.args.device)
        micro_batches = even_batches(lengths, self.token_budget, self._tokens_of)
        for rows in micro_batches:
            width = self._width_of([lengths[row] for row in rows])
            part = {name: values[rows, :width] for name, values in inputs.items()}
            # With several processes, gradients are exchanged after the last micro-batch, in
            # `average_gradients`: DDP's own exchange in the middle of a backward pass could not be repeated
            # after one of the processes ran out of memory.
            with self.accelerator.no_sync(model):
                # `count` is that of the whole batch: each micro-batch contributes its share of one mean.
                loss += super().training_step(model, part, count)
        return loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs  # they stay on the host: see `training_step`

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a padded micro-batch: `input_ids` and `labels` of [rows, length]."""
        logits_at_answers = packed_logits if self._packs_rows else padded_logits
        logits, targets, computed = logits_at_answers(model, inputs)
        # In FP32: the softmax over 49,152 words loses small differences in BF16, which keeps 8 significant
        # bits.
        is_answer = targets != IGNORED
        if self._balance is not None:
            total = self._balance.losses(
                logits.float()[is_answer], answers_of(inputs["labels"].tolist())
            ).sum()
        else:
            total = torch.nn.functional.cross_entropy(
                logits.float(), targets, ignore_index=IGNORED, reduction="sum"
            )
        count = is_answer.sum() if num_items_in_batch is None else num_items_in_batch
        self.tokens += int(inputs["attention_mask"].sum())
        self.computed_tokens += computed
        # `count` covers all processes, and their gradients are averaged: multiply by their number.
        loss = total / count * self.accelerator.num_processes
        return (loss, {"logits": logits}) if return_outputs else loss

    def _halve_the_budget(self, inputs: dict[str, torch.Tensor], shortage: Shortage) -> None:
        """Halve the micro-batches. The optimizer's batch stays the same, and so does the result."""
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        longest = max(lengths)
        if shortage == Shortage.OF_ONE_ROW:
            raise OutOfMemoryError(longest)
        used = min(self.token_budget, self._tokens_of(lengths))
        self.token_budget = max(longest, used // 2)
        logger.warning(
            "Micro-batches have %d tokens from now on; the batch stays %d reviews",
            self.token_budget,
            self.args.per_device_train_batch_size,
        )

    def _count(self, before: tuple[int, int], loss: torch.Tensor) -> None:
        """Sum tokens and loss over the processes, so that all of them continue or stop together."""
        own = torch.tensor(
            [self.tokens - before[0], self.computed_tokens - before[1], float(loss)], dtype=torch.float64
        )
        tokens, computed, total = self.accelerator.reduce(own.to(self.args.device)).tolist()
        self.tokens, self.computed_tokens = before[0] + int(tokens), before[1] + int(computed)
        if not math.isfinite(total):
            raise NonFiniteError("loss", total)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> RandomBatches | ByLength:
        """Order the rows by the optimizer's batch: it has the same reviews for any number of processes."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        batch = self.args.per_device_train_batch_size * self.accelerator.num_processes
        lengths = list(map(len, rows["input_ids"]))
        return order_of(self._packs_rows)(batch, lengths, self.args.data_seed, lambda: self.state.global_step)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Create the learning-rate schedule of transformers, one step ahead: see `schedule.py`."""
        if self.lr_scheduler is None:
            optimizer = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = schedule_that_starts_above_zero(self.args, optimizer, num_training_steps)
            self._created_lr_scheduler = True  # the trainer saves it in checkpoints and steps it
        return self.lr_scheduler

    def had_ended(self, checkpoint: Path) -> bool:
        """Return whether a checkpoint is that of the last step: `train` would go one step further."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        return bool(state.global_step >= state.max_steps)

    def load_adapter(self, checkpoint: Path) -> None:
        """Load the adapter of a checkpoint, and its head if there is one, into the model."""
        self._load_from_checkpoint(str(checkpoint))

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if head := head_of(self.model):  # in place: the optimizer has its parameters
            head.load_state_dict(load_head(Path(resume_from_checkpoint), head.weight.device).state_dict())

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save and (head := head_of(self.model)):
            save_head(head, Path(output_dir or self.args.output_dir))
