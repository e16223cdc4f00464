"""Switch a loaded model to FP32 for a block of code: for the few answers that BF16 rounding could decide.

Loading a second model would take its time and memory again. Instead, the same weights are widened in place:
every BF16 number is also an FP32 number, so nothing is lost, and the originals are put back afterwards.
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
MAX_FREE_FRACTION = 0.5
"""Fraction of the free memory that the FP32 weights may take; the activations need the rest."""


def room_for_fp32(model: torch.nn.Module, device: str) -> bool:
    """Return whether the model's half-precision weights fit into memory a second time, in FP32."""
    wider = sum(FP32_BYTES * tensor.numel() for tensor in _half_precision(model))
    return wider <= MAX_FREE_FRACTION * free_bytes(device)


@contextmanager
def computed_in_fp32(model: torch.nn.Module) -> Iterator[None]:
    """Widen the model's half-precision weights, and let its 4-bit layers multiply in FP32."""
    import torch

    # The stack restores everything also after an error, last change first.
    with ExitStack() as undo:
        for tensor in _half_precision(model):
            undo.callback(setattr, tensor, "data", tensor.data)
            tensor.data = tensor.data.float()
        # 4-bit weights stay as stored. A layer dequantises them to its `compute_dtype` before it multiplies.
        for layer in _four_bit(model):
            undo.callback(setattr, layer, "compute_dtype", layer.compute_dtype)
            layer.compute_dtype = torch.float32
        # accelerate (1.15) wraps the forward of a model in training in its own BF16 autocast, which would
        # undo the widening. During validation, the forward from before the wrapping is used.
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
