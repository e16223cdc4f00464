"""Classify reviews by the probability that the model gives to each label as its answer.

A language model could also generate its answer as text, to be parsed. But that takes one forward pass per
token, and a text has no probability. Label scoring needs one pass over the prompt: its last position predicts
the next token, so the probabilities of the labels' first tokens can be compared there. The most likely token
of the whole vocabulary is also what greedy generation would start with. So the same pass shows which reviews
the model would answer with something other than a label.

    next token after the prompt   positive 0.71, negative 0.22, the other 49,150 tokens together 0.07
    scores                        label mass 0.93, P(positive) = 0.71 / 0.93 = 0.76, answer "positive"

A model with a classification head (`models/label_head.py`) has no other outputs than the labels: their
probabilities sum to 1, and every answer is a label.

`label_tokens.py` handles labels that share their first token, `next_token.py` runs the forward passes, and
`full_precision.py` switches the model to FP32 for the reviews that BF16 cannot decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from review_sentiment.errors import DataError
from review_sentiment.scoring.full_precision import computed_in_fp32, room_for_fp32
from review_sentiment.scoring.label_tokens import Branch, answer_branches
from review_sentiment.scoring.next_token import NextTokens, score_next_tokens, shares_prompts
from review_sentiment.scoring.token_budget import token_budget

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models.compute import ComputePlan

logger = logging.getLogger(__name__)

# BF16 keeps 8 bits of a number, and its rounding errors add up over the layers. Between BF16 and FP32, the
# difference between the two labels' log-probabilities moves by 0.14 in the median and by at most 0.44 in the
# 43 nearest decisions of 602 validation reviews (default run; merged weights. With the adapter apart: 0.15
# and 0.48). Three of them change sign, at BF16 margins of 0.07, 0.10 and 0.23; none with a larger margin
# does, so only the others need a second look.
NEAR_TIE = 0.25
"""Margin in log-probability below which a review is scored again in FP32."""
MANY_BRANCHES = 3
"""From so many nodes on, computing a prompt once for all of them saves more than sharing the instruction."""
FP32_BUDGET_DIVISOR = 2
"""FP32 activations are twice as large, so half as many tokens fit into a batch."""


@dataclass(frozen=True)
class Scores:
    """What the model answers to n prompts, for c labels.

    `label_log_probs` [n, c] are log-probabilities over the whole vocabulary, or over the outputs of a head,
    of each label up to the token that tells it from the others. `answered` [n] is the index of the label that
    greedy generation would start, or -1 if it would start with anything else.
    """

    label_log_probs: npt.NDArray[np.float64]
    answered: npt.NDArray[np.int64]

    @property
    def constrained(self) -> npt.NDArray[np.int64]:
        """Return the index of the likeliest label [n]."""
        return np.asarray(self.label_log_probs.argmax(axis=1))

    @property
    def margin(self) -> npt.NDArray[np.float64]:
        """Return how far the likeliest label is ahead of the second [n], in log-probability."""
        ordered = np.sort(self.label_log_probs, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])

    @property
    def label_mass(self) -> npt.NDArray[np.float64]:
        """Return the probability [n] that the answer starts as any of the labels."""
        return np.asarray(np.exp(self.label_log_probs).sum(axis=1))

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the probabilities [n, c] of the labels, normalised to sum to 1."""
        shifted = np.exp(self.label_log_probs - self.label_log_probs.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def score_labels(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    labels: Sequence[str],
    plan: ComputePlan,
    tokens_per_batch: int | Literal["auto"],
) -> Scores:
    """Score every prompt, near ties in FP32; the result is in the order of the prompts.

    Raises:
        DataError: there is no prompt, or the model cannot answer with these labels.
    """
    if not prompts:
        raise DataError("There is nothing to score: the evaluation set is empty.")
    encoded = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    branches = answer_branches(model, tokenizer, prompts[0], labels)
    budget = token_budget(model, plan) if tokens_per_batch == "auto" else tokens_per_batch
    scores = _scores(model, encoded, branches, plan, budget)
    near = np.flatnonzero(scores.margin < NEAR_TIE)
    if plan.precision == "fp32" or not len(near):
        return scores
    if not room_for_fp32(model, plan.device):
        logger.info(
            "%d near ties keep their %s scores: FP32 weights would not fit", len(near), plan.precision
        )
        return scores
    # FP32 for all reviews would take longer and change only near ties. The weights are the same in both
    # passes; only the arithmetic becomes finer. In the 48 closest decisions of 602 reviews, the answers then
    # equal those of FP32 generation 48 times; those of BF16 generation do 33 times (benchmarks/scoring.py).
    with computed_in_fp32(model):
        exact = _scores(
            model,
            [encoded[row] for row in near],
            branches,
            replace(plan, precision="fp32"),
            max(1, budget // FP32_BUDGET_DIVISOR),
        )
    scores.label_log_probs[near], scores.answered[near] = exact.label_log_probs, exact.answered
    return scores


def score_once(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    labels: Sequence[str],
    plan: ComputePlan,
    tokens_per_batch: int,
) -> Scores:
    """Score every prompt in the plan's precision only, to compare two copies of a model.

    Whether near ties are scored again depends on the memory that is free, which may differ between the two.
    """
    encoded = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    branches = answer_branches(model, tokenizer, prompts[0], labels)
    return _scores(model, encoded, branches, plan, tokens_per_batch)


def _scores(
    model: PreTrainedModel,
    encoded: Sequence[list[int]],
    branches: Sequence[Branch],
    plan: ComputePlan,
    tokens_per_batch: int,
) -> Scores:
    """Score prompts at every node at which labels part (usually one in all)."""
    labels = sum(map(len, branches[0].labels_by_token.values()))
    label_log_probs = np.zeros((len(encoded), labels))
    answered = np.full(len(encoded), -1)
    # For each beginning of an answer, the prompts for which greedy generation would write it.
    reached = {branches[0].after: np.ones(len(encoded), dtype=bool)}
    scored = _at_branches(model, encoded, branches, plan, tokens_per_batch)
    for branch, (log_probs, greedy) in zip(branches, scored, strict=True):
        for number, (token, members) in enumerate(branch.labels_by_token.items()):
            # Chain rule: log P(very good) = log P(very) + log P(good | very). Both labels get the first term.
            label_log_probs[:, members] += log_probs[:, [number]]
            # Greedy generation takes the likeliest token at each step, also if another label has the higher
            # product in the end. `answered` follows it, because it stands for what the model would write.
            here = reached[branch.after] & (greedy == number)
            reached[*branch.after, token] = here
            if len(members) == 1:
                answered[here] = members[0]
    return Scores(label_log_probs, answered)


def _at_branches(
    model: PreTrainedModel,
    encoded: Sequence[list[int]],
    branches: Sequence[Branch],
    plan: ComputePlan,
    tokens_per_batch: int,
) -> Iterator[NextTokens]:
    """Yield the scores of each branch's next tokens after every prompt.

    The shared tokens go behind the prompt as if the model had just written them.
    """
    if len(branches) < MANY_BRANCHES or not shares_prompts(model, plan):
        for branch in branches:
            followed = [ids + list(branch.after) for ids in encoded]
            yield score_next_tokens(model, followed, list(branch.labels_by_token), plan, tokens_per_batch)
        return
    candidates = sorted({token for branch in branches for token in branch.labels_by_token})
    followed = [ids + list(branch.after) for ids in encoded for branch in branches]
    every, greedy = score_next_tokens(model, followed, candidates, plan, tokens_per_batch, len(branches))
    for number, branch in enumerate(branches):
        own = [candidates.index(token) for token in branch.labels_by_token]
        chosen = greedy[number :: len(branches), None] == own
        yield (
            every[number :: len(branches), own],
            np.where(chosen.any(axis=1), chosen.argmax(axis=1), -1),
        )
