"""TRL's SFTTrainer with the loss of the answer only, and passes bounded by tokens instead of rows."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, TrainerState
from trl import SFTTrainer

from review_sentiment.errors import TrainingError
from review_sentiment.models.batching import even_batches, padded_tokens, padded_width
from review_sentiment.models.packing import pack
from review_sentiment.resources.device import free_memory
from review_sentiment.training.sampler import ByLength, RandomBatches, order_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from review_sentiment.data.chats import ChatDataset

IGNORED = -100
"""Label of tokens that the loss leaves out (PyTorch's convention)."""

logger = logging.getLogger(__name__)


def tokenise(chats: ChatDataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Return a data set with `input_ids`, `labels` and `row`; only the answer has labels."""
    from datasets import Dataset

    frame = chats.frame
    rows = []
    for number, (prompt, completion) in enumerate(zip(frame["prompt"], frame["completion"], strict=True)):
        ids = tokenizer.encode(prompt + completion, add_special_tokens=False)
        prompt_length = len(tokenizer.encode(prompt, add_special_tokens=False))
        labels = [IGNORED] * prompt_length + ids[prompt_length:]
        rows.append({"input_ids": ids, "labels": labels, "row": number})
    return Dataset.from_list(rows)


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Return `input_ids`, `labels` and `attention_mask` of [rows, width], padded right, and `row` [rows]."""
    width = padded_width([len(row["input_ids"]) for row in rows])
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.tensor(row["input_ids"])
        labels[number, :length] = torch.tensor(row["labels"])
        mask[number, :length] = 1
    return {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": mask,
        "row": torch.tensor([row["row"] for row in rows]),
    }


class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that bounds a pass by tokens and applies the output layer to answers only.

    A batch goes through the model in as many passes as its tokens need, so that
    memory has one bound for long and for short reviews, and short ones go in
    few large passes: what a pass costs whatever its size (all weights are
    dequantised and reordered twice) is half the time of 450 tokens on two cores.
    A batch that does not fit is tried again in passes of half the size; the batch of
    the optimiser stays what it is.

    TRL 1.16 applies the output layer to the answer's positions on CUDA;
    elsewhere it computes the logits of all positions, a fifth of the work of the
    embedded model. The loss is the same in both cases: the mean cross-entropy
    of the answer tokens of the batch.
    """

    lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None

    def __init__(self, tokens_per_pass: int, packs_rows: bool, **options: Any) -> None:
        super().__init__(data_collator=collate, **options)
        self.remove_callback(
            PrinterCallback
        )  # it prints a line a step; `TrainingCallback` tells what there is to tell
        self._packs_rows = packs_rows
        self._tokens_of = sum if packs_rows else padded_tokens
        self.tokens_per_pass = tokens_per_pass
        self.tokens = 0
        self.computed_tokens = 0
        self.last_rows: list[int] = []

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add up the gradients of a batch, `input_ids` and `labels` of [batch, length]; return its loss.

        Raises:
            TrainingError: the loss is no finite number, or one row alone does not fit into memory.
        """
        inputs = dict(inputs)
        self.last_rows = inputs.pop("row").tolist()
        counted = self.tokens, self.computed_tokens
        while True:
            try:
                loss = self._in_passes(model, inputs, num_items_in_batch)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.tokens, self.computed_tokens = counted
                self._halve_the_passes(inputs, error)
            # Out of the handler: its traceback holds the tensors of the failed pass.
            model.zero_grad(set_to_none=True)
            free_memory()
        self._count(counted, loss)
        return loss

    def _count(self, before: tuple[int, int], loss: torch.Tensor) -> None:
        """Count the tokens of all processes and look at the loss of all: they go on or stop together."""
        own = torch.tensor(
            [self.tokens - before[0], self.computed_tokens - before[1], float(loss)], dtype=torch.float64
        )
        tokens, computed, total = self.accelerator.reduce(own.to(self.args.device)).tolist()
        self.tokens, self.computed_tokens = before[0] + int(tokens), before[1] + int(computed)
        if not math.isfinite(total):
            raise NonFiniteError("loss", total)

    def _in_passes(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], count: torch.Tensor | int | None
    ) -> torch.Tensor:
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        loss = inputs["labels"].new_zeros((), dtype=torch.float32)
        passes = even_batches(lengths, self.tokens_per_pass, self._tokens_of)
        for number, rows in enumerate(passes, start=1):
            width = padded_width([lengths[row] for row in rows])
            part = {name: values[rows, :width] for name, values in inputs.items()}
            # Processes may need different numbers of passes: gradients are exchanged in the last.
            last = number == len(passes)
            with nullcontext() if last else self.accelerator.no_sync(model):
                loss += super().training_step(model, part, count)
        return loss

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> RandomBatches | ByLength:
        """Order by the optimiser's batch, so that it has the same reviews for any number of processes."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        batch = self.args.per_device_train_batch_size * self.accelerator.num_processes
        lengths = list(map(len, rows["input_ids"]))
        return order_of(self._packs_rows)(batch, lengths, self.args.data_seed, lambda: self.state.global_step)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Warm up over `warmup_steps` from above zero; from there on follow the schedule of transformers.

        With transformers' own warm-up the first step has a learning rate of zero and learns nothing
        (transformers 5.23, https://github.com/huggingface/transformers/issues/34754), and here it is
        the step with the heaviest batch. So its schedules are begun at their second step.
        """
        if self.lr_scheduler is None:
            schedule = get_scheduler(
                self.args.lr_scheduler_type,
                self.optimizer if optimizer is None else optimizer,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps) + 1,
                num_training_steps=num_training_steps + 1,
            )
            self.lr_scheduler = LambdaLR(
                schedule.optimizer, [_one_step_on(share) for share in schedule.lr_lambdas]
            )
            self._created_lr_scheduler = True  # the trainer saves it in checkpoints and steps it
        return self.lr_scheduler

    def _halve_the_passes(self, inputs: dict[str, torch.Tensor], error: BaseException) -> None:
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        longest = max(lengths)
        if self.tokens_per_pass <= longest or len(lengths) == 1:
            raise OutOfMemoryError(longest) from error
        used = min(self.tokens_per_pass, self._tokens_of(lengths))
        self.tokens_per_pass = max(longest, used // 2)
        logger.warning(
            "Out of memory: passes of %d tokens from here on; the batch stays %d reviews",
            self.tokens_per_pass,
            self.args.per_device_train_batch_size,
        )

    def had_ended(self, checkpoint: Path) -> bool:
        """Tell whether a checkpoint is that of the last step: `train` would go one step further."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        return bool(state.global_step >= state.max_steps)

    def load_adapter(self, checkpoint: Path) -> None:
        """Take the adapter of a checkpoint over into the model."""
        self._load_from_checkpoint(str(checkpoint))

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a padded batch: `input_ids` and `labels` of [batch, length]."""
        answers = _packed_answers if self._packs_rows else _padded_answers
        logits, targets, computed = answers(model, inputs)
        total = torch.nn.functional.cross_entropy(
            logits.float(), targets, ignore_index=IGNORED, reduction="sum"
        )
        count = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        self.tokens += int(inputs["attention_mask"].sum())
        self.computed_tokens += computed
        # Processes average their gradients, and the count is that of all of them.
        loss = total / count * self.accelerator.num_processes
        return (loss, {"logits": logits}) if return_outputs else loss


class NonFiniteError(TrainingError):
    """A loss or a gradient is NaN or infinite."""

    def __init__(self, figure: str, value: float) -> None:
        super().__init__(f"{figure} is {value}")
        self.figure = figure
        self.value = value


class OutOfMemoryError(TrainingError):
    """A single row does not fit: nothing that leaves the result as it is helps any more."""

    def __init__(self, tokens: int) -> None:
        super().__init__(f"a review of {tokens} tokens alone does not fit into memory")
        self.tokens = tokens


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device or the machine had no memory left: CPU and GPU say it differently."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(sign in str(error) for sign in ("can't allocate memory", "CUDA out of memory"))
    )


def _one_step_on(share: Callable[[int], float]) -> Callable[[int], float]:
    return lambda step: share(step + 1)


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
    # Nothing is predicted from a row's last token.
    rows = [ids[: length - 1] for ids, length in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    row, column = (inputs["labels"][:, 1:] != IGNORED).nonzero(as_tuple=True)
    batch = pack(rows, most_shared=int(column.min()))
    output = model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        packed_rows=batch.rows,
        logits_to_keep=batch.rows.places(row, column),
        use_cache=False,
    )
    return output.logits[0], inputs["labels"][row, column + 1], batch.input_ids.numel()
