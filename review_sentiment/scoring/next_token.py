"""The log-probabilities of a few candidate tokens after each of many rows of token ids.

Only the last position of a row matters, so only that goes through the output layer. With a vocabulary of
49,152, logits for all 150 positions of a review would take 29 MB in FP32; those of the last one take 0.2 MB.
In the embedded model the output layer is also a fifth of all weights, which 149 positions then skip.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from review_sentiment.errors import is_out_of_memory
from review_sentiment.models.batching import on_device, token_budget_batches
from review_sentiment.models.merged_pass import evened, has_merged_pass, merged_pass_of
from review_sentiment.models.packed_attention import can_pack, packed_attention_in
from review_sentiment.models.packing import pack, shared_prefix
from review_sentiment.progress import Progress
from review_sentiment.resources.device import free_memory
from review_sentiment.scoring.token_budget import SHORTEST_ROW

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

T = TypeVar("T")

logger = logging.getLogger(__name__)

NextTokens = tuple["npt.NDArray[np.float64]", "npt.NDArray[np.int64]"]
"""Log-probability of each candidate [n, c], and the candidate that greedy generation takes [n] or -1."""


def score_next_tokens(
    model: PreTrainedModel,
    rows: Sequence[list[int]],
    candidates: Sequence[int],
    plan: ComputePlan,
    tokens_per_batch: int,
    per_prompt: int = 1,
) -> NextTokens:
    """Score the candidates after every row, in the order of the rows.

    Each `per_prompt` rows start with the same prompt, which is computed once if the rows can be packed.
    """
    import torch

    model.eval()
    tokens = torch.tensor(candidates, device=model.device)
    # Packing puts all rows of a batch into one sequence that shares the instruction; see models/packing.py.
    # Models with other attention are padded instead. All ways give the same scores.
    packs_rows = _packs_rows(model, plan)
    merged = merged_pass_of(model, plan)
    cores = torch.get_num_threads()
    # In FP32, products that are divided between cores sum in another order (`merged_pass.py`): also those of
    # the near ties of a model that has a merged pass of another precision.
    evenly = plan.precision == "fp32" and has_merged_pass(model)
    workers = cores if plan.device == "cpu" and (merged or evenly) else 1
    plain = partial(_packed_logits if packs_rows else _padded_logits, model)
    logits_of = partial(merged, candidates=tokens) if merged else plain

    def score(part: list[list[int]]) -> torch.Tensor:
        # The merged pass has its own precision; autocast would round the logits that it computes in FP32.
        with torch.inference_mode(), nullcontext() if merged else plan.autocast():
            return _score_batch(logits_of, part, tokens)

    batches = list(
        _groups(len(rows), per_prompt)
        if per_prompt > 1 and packs_rows
        else _batches(rows, tokens_per_batch, packs_rows, workers)
    )
    scored = []
    with (
        packed_attention_in(model, plan) if packs_rows and not merged else nullcontext(),
        nullcontext() if merged else _exact_candidates(model, tokens),
        Progress("scoring reviews", len(rows)) as progress,
    ):
        # A GPU computes while the next batch is prepared here: nothing waits for a result before the end. The
        # driver queues about a thousand kernels, so progress is ahead by about one batch.
        parts = ([rows[row] for row in batch] for batch in batches)
        used = min(workers, len(batches))
        for found in _in_threads(score, parts, used, 1 if evenly else cores // used):
            scored.append(found)
            progress.advance(len(found))
    log_probs, greedy = np.empty((len(rows), len(candidates))), np.empty(len(rows), dtype=np.int64)
    order, together = np.concatenate(batches), torch.cat(scored).cpu().numpy()
    log_probs[order], greedy[order] = together[:, :-1], together[:, -1]
    return log_probs, greedy


def shares_prompts(model: PreTrainedModel, plan: ComputePlan) -> bool:
    """Return whether continuations of the same prompt are best scored together.

    They are a batch of their own, whose shared prefix is the prompt. Such batches are too small for a GPU.
    """
    return plan.device == "cpu" and _packs_rows(model, plan)


def _packs_rows(model: PreTrainedModel, plan: ComputePlan) -> bool:
    return plan.packs_rows and can_pack(model.config)


def _groups(rows: int, size: int) -> Iterator[list[int]]:
    return (list(range(first, first + size)) for first in range(0, rows, size))


def _batches(
    rows: Sequence[list[int]], tokens_per_batch: int, packs_rows: bool, workers: int
) -> Iterator[list[int]]:
    lengths = [len(ids) for ids in rows]
    if not packs_rows:
        return token_budget_batches(lengths, tokens_per_batch)
    # Each row has logits, however short it is, and the budget counts on a few rows only. So a row counts as
    # at least SHORTEST_ROW tokens.
    prefix = shared_prefix(rows, min(lengths) - 1)
    counted = [max(length, prefix + SHORTEST_ROW) for length in lengths]
    # The workers share the memory of one batch, and as many batches for each let them end together.
    own = sum(counted) - prefix * len(rows)
    rounds = math.ceil(own / tokens_per_batch)
    return token_budget_batches(counted, math.ceil(own / (rounds * workers)) + prefix, prefix)


def _in_threads(
    function: Callable[[T], torch.Tensor], items: Iterator[T], workers: int, cores_each: int
) -> Iterator[torch.Tensor]:
    """Yield the function's results in order, computed by so many threads, each with so many cores.

    An operation that is divided between cores ends at a barrier, and its small parts run on one core. Batches
    on cores of their own have neither.
    """
    import torch

    before = torch.get_num_threads()
    if cores_each != before:
        torch.set_num_threads(cores_each)
    pool = ThreadPoolExecutor(workers) if workers > 1 else None
    try:
        yield from pool.map(function, items) if pool else map(function, items)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)
        if cores_each != before:
            torch.set_num_threads(before)


def _score_batch(
    logits_of: Callable[[list[list[int]]], torch.Tensor], rows: list[list[int]], tokens: torch.Tensor
) -> torch.Tensor:
    """Score rows that go through the model together, in halves if they do not fit into memory.

    Returns the log-probabilities of the candidate `tokens`, and the greedy candidate, as FP64 on the model's
    device: [n, candidates + 1]. The logits, a thousand times as many numbers, stay there.
    """
    import torch

    try:
        logits = logits_of(rows)
        is_candidate = logits.argmax(-1, keepdim=True) == tokens
        greedy = torch.where(is_candidate.any(-1), is_candidate.int().argmax(-1), -1)
        # The softmax runs over the whole vocabulary, so that the labels' mass is known as well.
        return torch.cat([logits.log_softmax(-1)[:, tokens].double(), greedy.double()[:, None]], 1)
    except (RuntimeError, MemoryError) as error:
        if len(rows) == 1 or not is_out_of_memory(error):
            raise
    # The token budget is an estimate, and other processes use the GPU too. Halving finds what fits. It
    # happens outside the `except` block: within it, the exception keeps its frames alive, and they keep their
    # tensors.
    logger.info("out of memory with %d rows, continuing with half of them at a time", len(rows))
    free_memory()
    half = len(rows) // 2
    return torch.cat([_score_batch(logits_of, part, tokens) for part in (rows[:half], rows[half:])])


def _packed_logits(model: PreTrainedModel, rows: list[list[int]]) -> torch.Tensor:
    """Return the logits [n, vocabulary] after the last token of each row."""
    # At least one token of each row stays outside the shared prefix: its last position is the one to read.
    batch = pack(rows, most_shared=min(map(len, rows)) - 1)
    ends = on_device(evened(batch.rows.ends), model.device)
    output = model(**batch.inputs(model.device), logits_to_keep=ends)
    found: torch.Tensor = output.logits[0, : len(rows)].float()
    return found


def _padded_logits(model: PreTrainedModel, rows: list[list[int]]) -> torch.Tensor:
    """Return the logits [n, vocabulary] after the last token of each row."""
    import torch

    last = torch.tensor([len(ids) - 1 for ids in rows])
    width = max(map(len, rows))
    # Padding on the right needs no attention mask. In a causal model a position sees only what is to its
    # left, so the last real token never sees the padding, and what the padding computes is thrown away.
    # Without a mask, PyTorch can also use its fast causal kernel.
    padded = torch.tensor([ids + [0] * (width - len(ids)) for ids in rows])
    output = model(
        input_ids=on_device(padded, model.device),
        logits_to_keep=on_device(last[:, None], model.device),
        use_cache=False,
    )
    found: torch.Tensor = output.logits[:, 0].float()
    return found


@contextmanager
def _exact_candidates(model: PreTrainedModel, candidates: torch.Tensor) -> Iterator[None]:
    """Let the output layer compute the logits of the candidates in FP32, within the block."""
    import torch

    # A BF16 logit of 20 is a multiple of 1/8. On the embedded model, one answer in 150 was an exact tie
    # between the labels, which only their order would have decided. The candidates are a handful of rows of
    # the output layer, so computing these in FP32 costs nothing.
    head = model.get_output_embeddings()

    def in_fp32(_: torch.nn.Module, inputs: tuple[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            weight, bias = head.weight[candidates].float(), head.bias
            exact = inputs[0].float() @ weight.t() + (0 if bias is None else bias[candidates].float())
        # The layer's output is replaced, so that whatever the model does to its logits afterwards happens to
        # these too: Granite divides them, Gemma 2 caps them.
        return logits.float().index_copy_(-1, candidates, exact)

    # An adapted output layer is no longer a Linear: its rows alone are not what it computes.
    plain = isinstance(head, torch.nn.Linear) and head.weight.dtype != torch.float32
    hook = head.register_forward_hook(in_fp32) if plain else None
    try:
        yield
    finally:
        if hook:
            hook.remove()
