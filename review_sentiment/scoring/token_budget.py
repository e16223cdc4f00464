"""How many tokens are scored together: as many as memory has room for, up to what is fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.resources.device import free_bytes
from review_sentiment.resources.memory import ModelShape, shape_from

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

MOST_TOKENS = {"cpu": 4_096, "cuda": 65_536}
"""Larger batches are no faster on two cores; on a GPU they only delay a lack of memory."""
SHARE_OF_FREE = 0.5
SHORTEST_ROW = 32
"""Tokens of a row of which the logits over the vocabulary are kept: few prompts are shorter."""
LOGIT_BYTES = 8
"""Of the model's precision, in FP32 and in a log-softmax."""


def token_budget(model: PreTrainedModel, plan: ComputePlan) -> int:
    """Return the tokens of a scoring batch, padding included, beside the model that is loaded."""
    room = SHARE_OF_FREE * free_bytes(plan.device) / bytes_per_token(shape_from(model.config))
    return max(1, min(MOST_TOKENS[plan.device], int(room)))


def bytes_per_token(shape: ModelShape) -> float:
    """Return what a token takes at the peak of a block: hidden states, heads, and its feed-forward part.

    In FP32 terms, whatever the precision: twice what BF16 needs. The logits are those of a row's last
    token, shared out over a row of `SHORTEST_ROW`.
    """
    states = 4 * (4 * shape.hidden + 2 * shape.key_value + 3 * shape.intermediate)
    return states + LOGIT_BYTES * shape.vocabulary / SHORTEST_ROW
