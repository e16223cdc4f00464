"""A loaded model computed in FP32 for a while: for the few answers that BF16's rounding could decide.

Widening and narrowing again gives back the very same weights. Those of 4-bit layers stay as they are; what
they are multiplied in changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from review_sentiment.resources.device import free_bytes

if TYPE_CHECKING:
    import torch

FP32_BYTES = 4
MOST_OF_FREE = 0.5
"""Share of the free memory that the wider weights may take."""


def room_for_fp32(model: torch.nn.Module, device: str) -> bool:
    """Tell whether there is memory for the model's half-precision weights in FP32, beside themselves."""
    wider = sum(FP32_BYTES * tensor.numel() for tensor in _half_precision(model))
    return wider <= MOST_OF_FREE * free_bytes(device)


@contextmanager
def computed_in_fp32(model: torch.nn.Module) -> Iterator[None]:
    """Widen the model's half-precision weights, and let its 4-bit layers multiply in FP32."""
    import torch

    with ExitStack() as undo:
        for tensor in _half_precision(model):
            undo.callback(setattr, tensor, "data", tensor.data)
            tensor.data = tensor.data.float()
        for layer in _four_bit(model):
            undo.callback(setattr, layer, "compute_dtype", layer.compute_dtype)
            layer.compute_dtype = torch.float32
        # A model that accelerate (1.15) has prepared for training computes in an autocast of its own.
        plain_forward = getattr(model, "_original_forward", None)
        if plain_forward is not None:
            undo.callback(setattr, model, "forward", model.forward)
            model.forward = plain_forward
        yield


def _half_precision(model: torch.nn.Module) -> list[torch.Tensor]:
    import torch

    return [
        tensor
        for tensor in chain(model.parameters(), model.buffers())
        if tensor.dtype in (torch.bfloat16, torch.float16)
    ]


def _four_bit(model: torch.nn.Module) -> list[Any]:
    from bitsandbytes.nn import Linear4bit

    return [module for module in model.modules() if isinstance(module, Linear4bit)]
