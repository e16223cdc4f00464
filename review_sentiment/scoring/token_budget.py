"""The token budget of a scoring batch: what fits into memory, up to a size that is fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.resources.device import free_bytes
from review_sentiment.resources.memory import ModelShape, shape_from

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

MAX_TOKENS = {"cpu": 4_096, "cuda": 65_536}
"""Larger batches are no faster on two cores; on a GPU they would only run out of memory later."""
FREE_FRACTION = 0.5
"""Fraction of the free memory to use. The estimate below is rough, and fragmentation takes some as well."""
SHORTEST_ROW = 32
"""Each row keeps one vector of logits. Few rows have fewer tokens of their own than this."""
LOGIT_BYTES = 8
"""A logit in FP32, and again in the log-softmax."""


def token_budget(model: PreTrainedModel, plan: ComputePlan) -> int:
    """Return the tokens of a scoring batch, including padding, that fit beside the loaded model.

    A prefix that packed rows share counts once.
    """
    room = FREE_FRACTION * free_bytes(plan.device) / bytes_per_token(shape_from(model.config))
    return max(1, min(MAX_TOKENS[plan.device], int(room)))


def bytes_per_token(shape: ModelShape) -> float:
    """Return the peak memory of a token within a block: hidden states, attention heads, feed-forward part."""
    # Scoring has no backward pass, so only one block at a time has activations. They are counted as FP32 (4
    # bytes) in any precision, which for BF16 leaves a reserve of one half. The logits of a row's last token
    # are spread over the tokens of a short row.
    states = 4 * (4 * shape.hidden + 2 * shape.key_value + 3 * shape.intermediate)
    return states + LOGIT_BYTES * shape.vocabulary / SHORTEST_ROW
