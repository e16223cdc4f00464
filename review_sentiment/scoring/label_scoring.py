"""Classify reviews by the probability that the model gives each label as its answer.

One forward pass decides where labels start with tokens of their own: these are compared at the last
position of the prompt. That is what greedy generation would do with its first
token, so the same pass also tells when the model would answer something else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from review_sentiment.data.prompts import label_token_ids
from review_sentiment.errors import DataError
from review_sentiment.models.batching import token_budget_batches
from review_sentiment.models.packing import can_pack, pack, packed_attention_in
from review_sentiment.progress import Progress
from review_sentiment.scoring.full_precision import computed_in_fp32, room_for_fp32
from review_sentiment.scoring.token_budget import token_budget

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models.compute import ComputePlan

logger = logging.getLogger(__name__)

Kept = tuple["torch.Tensor | int", "torch.Tensor"]
"""Indices of the rows' last tokens in what the output layer is given and returns, [batch, kept, ...]."""
NEAR_TIE = 0.25
"""Difference of the two likeliest labels' log-probabilities below which they are computed again in FP32.

Between BF16 and FP32 it moves by 0.06 in the median, 0.20 at 99 % and 0.25 at most (200 validation
reviews, the embedded model after 20 steps of training: benchmarks/scoring.py)."""
FP32_SHARE = 2
"""Part of a batch's tokens that go together in FP32, whose activations are twice as large."""
LARGEST_ROUNDING = 1.0
"""Difference between a BF16 and an FP32 logit (BF16 steps by 1/4 at 32) that can be rounding."""


@dataclass(frozen=True)
class Scores:
    """What the model answers to n prompts, for c labels.

    `label_log_probs` [n, c] are log-probabilities over the whole vocabulary, of each label up to the
    token that tells it from the others; `answered` [n] is the index of the label that greedy
    generation starts, or -1 where it starts none.
    """

    label_log_probs: npt.NDArray[np.float64]
    answered: npt.NDArray[np.int64]

    @property
    def constrained(self) -> npt.NDArray[np.int64]:
        """Return the index of the likeliest label [n]."""
        best: npt.NDArray[np.int64] = self.label_log_probs.argmax(axis=1)
        return best

    @property
    def margin(self) -> npt.NDArray[np.float64]:
        """Return how far the likeliest label is ahead of the next one [n], in log-probability."""
        ordered = np.sort(self.label_log_probs, axis=1)
        ahead: npt.NDArray[np.float64] = ordered[:, -1] - ordered[:, -2]
        return ahead

    @property
    def label_mass(self) -> npt.NDArray[np.float64]:
        """Return the probability [n] that the answer starts as any label."""
        mass: npt.NDArray[np.float64] = np.exp(self.label_log_probs).sum(axis=1)
        return mass

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the probabilities [n, c] of the labels among themselves."""
        shifted = np.exp(self.label_log_probs - self.label_log_probs.max(axis=1, keepdims=True))
        normalised: npt.NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
        return normalised


def score_labels(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    labels: Sequence[str],
    plan: ComputePlan,
    tokens_per_batch: int | Literal["auto"],
) -> Scores:
    """Score every prompt; the result is in the order of the prompts.

    Prompts whose two likeliest labels are nearer than `NEAR_TIE` are scored again in FP32.

    The output layer is applied to the last token of each row only
    (`logits_to_keep`). Rows are packed where the plan says so, else padded on
    the right without an attention mask: in a causal model the hidden state at a
    row's last real token does not see the padding.

    Where two labels start with the same token, they are told apart by the first token in which they
    differ: the prompts go through the model once more, followed by what the labels share.

    Raises:
        DataError: there is no prompt, or two labels are the same tokens.
    """
    if not prompts:
        raise DataError("There is nothing to score: the evaluation set is empty.")
    encoded = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    choices = _choices(tokenizer, prompts[0], labels)
    budget = token_budget(model, plan) if tokens_per_batch == "auto" else tokens_per_batch
    scores = _scores(model, encoded, choices, len(labels), plan, budget)
    near = np.flatnonzero(scores.margin < NEAR_TIE)
    if plan.precision == "fp32" or not len(near):
        return scores
    if not room_for_fp32(model, plan.device):
        logger.info("%d near ties stay as %s has them: FP32 would not fit", len(near), plan.precision)
        return scores
    with computed_in_fp32(model):
        exact = _scores(
            model,
            [encoded[row] for row in near],
            choices,
            len(labels),
            replace(plan, precision="fp32"),
            max(1, budget // FP32_SHARE),
        )
    scores.label_log_probs[near], scores.answered[near] = exact.label_log_probs, exact.answered
    return scores


def _scores(
    model: PreTrainedModel,
    encoded: Sequence[list[int]],
    choices: Sequence[_Choice],
    labels: int,
    plan: ComputePlan,
    tokens_per_batch: int,
) -> Scores:
    label_log_probs = np.zeros((len(encoded), labels))
    answered = np.full(len(encoded), -1)
    reached = {choices[0].after: np.ones(len(encoded), dtype=bool)}
    for choice in choices:
        followed = [ids + list(choice.after) for ids in encoded]
        candidates = list(choice.labels_by_token)
        log_probs, greedy = _next_tokens(model, followed, candidates, plan, tokens_per_batch)
        for number, (token, chosen) in enumerate(choice.labels_by_token.items()):
            label_log_probs[:, chosen] += log_probs[:, [number]]
            so = reached[choice.after] & (greedy == number)
            reached[*choice.after, token] = so
            if len(chosen) == 1:
                answered[so] = chosen[0]
    return Scores(label_log_probs, answered)


@dataclass(frozen=True)
class _Choice:
    """Tokens that several labels start with, and which labels go on with which token."""

    after: tuple[int, ...]
    labels_by_token: dict[int, list[int]]


def _choices(tokenizer: PreTrainedTokenizerBase, prompt: str, labels: Sequence[str]) -> list[_Choice]:
    """Return where labels part, the shortest beginning first; one that is all of another ends there."""
    tails = [(*ids, int(tokenizer.eos_token_id)) for ids in label_token_ids(tokenizer, prompt, labels)]
    if len(set(tails)) < len(tails):
        raise DataError(f"Two of the labels {', '.join(labels)} are the same tokens. Choose others.")
    found: list[_Choice] = []
    undecided: list[tuple[tuple[int, ...], list[int]]] = [((), list(range(len(labels))))]
    while undecided:
        after, members = undecided.pop(0)
        by_token: dict[int, list[int]] = {}
        for label in members:
            by_token.setdefault(tails[label][len(after)], []).append(label)
        found.append(_Choice(after, by_token))
        undecided += [((*after, token), group) for token, group in by_token.items() if len(group) > 1]
    return found


def _next_tokens(
    model: PreTrainedModel,
    rows: Sequence[list[int]],
    candidates: Sequence[int],
    plan: ComputePlan,
    tokens_per_batch: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the log-probability [n, c] of each candidate after a row, and which one greedy generation takes.

    Where it takes none of them that is -1.
    """
    import torch

    log_probs = np.empty((len(rows), len(candidates)))
    greedy = np.empty(len(rows), dtype=np.int64)
    model.eval()
    packs_rows = plan.packs_rows and can_pack(model)
    progress = Progress("scoring reviews", len(rows))
    with (
        torch.inference_mode(),
        plan.autocast(),
        packed_attention_in(model) if packs_rows else nullcontext(),
        progress,
    ):
        for batch in token_budget_batches([len(ids) for ids in rows], tokens_per_batch):
            log_probs[batch], greedy[batch] = _next_tokens_of_batch(
                model, [rows[row] for row in batch], candidates, packs_rows
            )
            progress.advance(len(batch))
    return log_probs, greedy


def _next_tokens_of_batch(
    model: PreTrainedModel, rows: list[list[int]], candidates: Sequence[int], packs_rows: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return what `_next_tokens` does, of rows that go through the model together, in halves if need be."""
    import torch

    tokens = torch.tensor(candidates)
    try:
        with _seen_by_output_layer(model) as seen:
            logits, kept = (_packed_logits if packs_rows else _padded_logits)(model, rows)
        logits = _with_exact_candidates(logits.float(), seen[0][kept].float(), model, tokens).cpu()
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    else:
        is_candidate = logits.argmax(-1, keepdim=True) == tokens
        greedy = torch.where(is_candidate.any(-1), is_candidate.int().argmax(-1), -1).numpy()
        return logits.log_softmax(-1)[:, tokens].double().numpy(), greedy
    # Out here the exception, and with it what its frames have allocated, is gone.
    logger.info("out of memory with %d rows, going on with half of them at a time", len(rows))
    torch.cuda.empty_cache()
    half = len(rows) // 2
    parts = [
        _next_tokens_of_batch(model, part, candidates, packs_rows) for part in (rows[:half], rows[half:])
    ]
    return np.concatenate([found for found, _ in parts]), np.concatenate([found for _, found in parts])


def _packed_logits(model: PreTrainedModel, rows: list[list[int]]) -> tuple[torch.Tensor, Kept]:
    """Return the logits [n, vocabulary] after the last token of each row, and where they stood."""
    import torch

    batch = pack(rows, most_shared=min(map(len, rows)) - 1)
    ends = torch.tensor([len(ids) - 1 for ids in rows])
    output = model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        packed_rows=batch.rows,
        logits_to_keep=batch.rows.places(torch.arange(len(rows)), ends),
        use_cache=False,
    )
    kept = (0, torch.arange(len(rows)))
    return output.logits[kept], kept


def _padded_logits(model: PreTrainedModel, rows: list[list[int]]) -> tuple[torch.Tensor, Kept]:
    """Return the logits [n, vocabulary] after the last token of each row, and where they stood."""
    import torch

    last = [len(ids) - 1 for ids in rows]
    width = max(last) + 1
    padded = torch.tensor([ids + [0] * (width - len(ids)) for ids in rows])
    positions, which = np.unique(last, return_inverse=True)
    output = model(
        input_ids=padded.to(model.device),
        logits_to_keep=torch.from_numpy(positions).to(model.device),
        use_cache=False,
    )
    kept = (torch.arange(len(rows)), torch.from_numpy(which))
    return output.logits[kept], kept


@contextmanager
def _seen_by_output_layer(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Collect the hidden states that the output layer is given."""
    seen: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()


def _with_exact_candidates(
    logits: torch.Tensor, hidden: torch.Tensor, model: PreTrainedModel, candidates: torch.Tensor
) -> torch.Tensor:
    """Compute the candidates' logits again in FP32 from the hidden states [n, hidden].

    In BF16 a logit of 20 is a multiple of 1/8, and on the embedded model one
    answer in 150 was an exact tie between the labels.
    """
    import torch

    head = model.get_output_embeddings()
    with torch.autocast(logits.device.type, enabled=False):
        exact = hidden @ head.weight[candidates].float().t()
    difference = float((exact - logits[:, candidates]).abs().max())
    if difference > LARGEST_ROUNDING:
        raise DataError(
            f"The model changes its logits after the output layer (by {difference:.2f}), which label "
            "scoring does not support. Choose another model."
        )
    logits[:, candidates] = exact
    return logits
