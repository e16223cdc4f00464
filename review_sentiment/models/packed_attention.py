"""Make a model attend over packed rows, with the kernel that suits its device and precision.

- `varlen`, for BF16 and FP16 on GPUs of compute capability 8.0 or newer: FlashAttention needs no padding,
  and keeps no probabilities in memory.
- `blocks`, for CPUs, FP32 and older GPUs such as the T4: it works everywhere, and pads rows in blocks of
  eight.

transformers calls the registered function in every layer, and passes `packed_rows` through from the arguments
of the forward pass. The model's own code stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.models.block_attention import attend_in_blocks
from review_sentiment.models.packing import PackedRows
from review_sentiment.models.varlen_attention import attend_by_length

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

KERNELS = {"blocks": attend_in_blocks, "varlen": attend_by_length}
REGISTERED = "review_sentiment_packed_{}"
"""Name of a kernel in the registry of transformers."""
MODEL_TYPES = ("llama", "qwen2", "qwen3", "smollm3")
"""Models with plain causal attention: scaled, over all earlier tokens, and nothing else."""


def can_pack(config: PreTrainedConfig) -> bool:
    """Return whether the attention of a model with this configuration is one that the kernels compute."""
    # A sliding window would have to count positions within rows, and a padded batch draws another dropout
    # mask: both would change the result.
    return (
        config.model_type in MODEL_TYPES
        and not getattr(config, "use_sliding_window", False)
        and not getattr(config, "attention_dropout", 0.0)
    )


def use_packed_attention(model: PreTrainedModel, plan: ComputePlan) -> None:
    """Make the model attend over packed rows; its forward pass then needs `packed_rows`."""
    from transformers import AttentionInterface

    kernel, _ = plan.packed_attention
    name = REGISTERED.format(kernel)
    AttentionInterface.register(name, _registered(KERNELS[kernel]))
    model.set_attn_implementation(name)


@contextmanager
def packed_attention_in(model: PreTrainedModel, plan: ComputePlan) -> Iterator[None]:
    """Make the model attend over packed rows within the block, and as before afterwards."""
    before = model.config._attn_implementation
    use_packed_attention(model, plan)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _registered(kernel: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, None]]:
    """Return a kernel as a function that transformers can call."""

    def attend(
        module: torch.nn.Module,  # noqa: ARG001 - the signature is transformers'
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,  # noqa: ARG001 - `packed_rows` says what a token sees
        scaling: float,
        packed_rows: PackedRows,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """Return the output [1, L, heads, size]; query, key and value are [1, heads, L, size]."""
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        return kernel(q, k, v, packed_rows, scaling)[None], None

    return attend
