"""LoRA layers computed as one operation: the same result with less memory traffic.

PEFT computes base(x) + scale * B(A(x)) as separate operations, each of which reads and writes the whole
activation. Here the update is added to the base product in place, forward and backward: the idea of Unsloth's
kernels, in plain PyTorch. `benchmarks/layers.py` measures the gain; a test compares results and gradients
with PEFT.
"""

from __future__ import annotations

import types
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.models.lora import ADAPTER

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

SLOW_ROWS = range(544, 1248)
SLOW_OUTPUTS = 1024
PIECE_ROWS = 512
"""For BF16 products with this many rows and at most this many outputs, oneDNN (torch 2.13, AMX) uses one
thread: 0.36 TFLOPS on two cores, against 0.6 in pieces of at most 512 rows (`benchmarks/layers.py`)."""
KEPT = "dequantised_weight"
"""Attribute of a fused layer: its dequantised weight [out, in], or None if that is not kept."""


def fuse_adapters(model: torch.nn.Module, kept_dtype: torch.dtype | None = None) -> int:
    """Make every LoRA layer that can be fused compute itself in one operation; return how many there are.

    Layers with dropout, DoRA, a bias or several adapters keep PEFT's forward. With `kept_dtype`, a fused
    layer also keeps its 4-bit weight in that type: the same values, dequantised once.
    """
    fused = 0
    module: Any
    for module in model.modules():
        if _can_be_fused(module):
            module.forward = types.MethodType(_fused_forward, module)
            kept = dequantised(module.get_base_layer(), kept_dtype) if kept_dtype else None
            setattr(module, KEPT, kept)  # a plain attribute, so it is not in the state dict
            fused += 1
    return fused


def product_of(layer: Any) -> LoraProduct | None:
    """Return a fused layer as a product; None if it is not fused, switched off, or merged."""
    fused = getattr(layer.forward, "__func__", None) is _fused_forward
    return LoraProduct(layer) if fused and _is_on(layer) else None


def _can_be_fused(module: Any) -> bool:
    if list(getattr(module, "lora_A", {})) != [ADAPTER]:
        return False
    base: torch.nn.Module = module.get_base_layer()
    plain = isinstance(base, torch.nn.Linear) and getattr(base, "bias", None) is None
    without_dropout = isinstance(module.lora_dropout[ADAPTER], torch.nn.Identity)
    return plain and without_dropout and not getattr(module, "lora_variant", {})


def _is_on(layer: LoraLayer) -> bool:
    return not (layer.disable_adapters or layer.merged)


def dequantised(layer: torch.nn.Module, dtype: torch.dtype) -> torch.Tensor | None:
    """Return the weight [out, in] of a 4-bit layer; None if the layer is not quantised."""
    weight: Any = layer.weight
    state = copy(getattr(weight, "quant_state", None))
    if state is None:
        return None
    from bitsandbytes.functional import dequantize_4bit

    # Directly into the type of the product, as bitsandbytes does it. By default it is the type of the weights
    # in their file: in an FP32 product, they would be rounded to BF16 first.
    state.dtype = dtype
    found: torch.Tensor = dequantize_4bit(weight.data, state)
    return found


def dense_weight(layer: torch.nn.Module, dtype: torch.dtype) -> torch.Tensor:
    """Return the weight [out, in] of a plain or 4-bit layer in a type."""
    found = dequantised(layer, dtype)
    if found is None:
        plain: Any = layer.weight
        found = plain.detach().to(dtype)
    return found


def _fused_forward(layer: LoraLayer, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if not _is_on(layer):
        result: torch.Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return result
    return LoraProduct(layer)(x)


@dataclass(frozen=True)
class LoraProduct:
    """A LoRA layer: y = x W' + scale (x A') B', W [out, in], A [rank, in], B [out, rank]; W is frozen."""

    layer: Any

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return y [..., out] for x [..., in]."""
        rows = x.reshape(-1, x.shape[-1])
        y: torch.Tensor = _Product.apply(rows, self, *self.adapter)  # type: ignore[no-untyped-call]
        # The view is made outside the function: autograd forbids changing a view from inside it in place, as
        # Falcon does when it adds up its parallel branches.
        return y.view(*x.shape[:-1], y.shape[-1])

    @property
    def adapter(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return A and B."""
        return self.layer.lora_A[ADAPTER].weight, self.layer.lora_B[ADAPTER].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y [n, out] for x [n, in]."""
        a, b = (factor.to(x.dtype) for factor in self.adapter)
        y = product(x, self._weight(x.dtype).t())
        return y.addmm_(x @ a.t(), b.t(), alpha=self._scale)

    def backward(
        self, gradient: torch.Tensor, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the gradients of x, A and B for that of y [n, out]."""
        a, b = (factor.to(x.dtype) for factor in self.adapter)
        inner_gradient = (gradient @ b).mul_(self._scale)
        a_gradient = (inner_gradient.t() @ x).to(self.adapter[0].dtype)
        # The same as gradient' (x A'), but it transposes the narrow factor: 0.6 ms instead of 0.9.
        inner = (x @ a.t()).mul_(self._scale).t().contiguous()
        b_gradient = (inner @ gradient).t().to(self.adapter[1].dtype)
        x_gradient = product(gradient, self._weight(gradient.dtype)).addmm_(inner_gradient, a)
        return x_gradient, a_gradient, b_gradient

    @property
    def _scale(self) -> float:
        scale: float = self.layer.scaling[ADAPTER]
        return scale

    def _weight(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the weight [out, in] of the plain or 4-bit layer."""
        kept: torch.Tensor | None = getattr(self.layer, KEPT)
        if kept is not None and kept.dtype == dtype:
            return kept
        return dense_weight(self.layer.get_base_layer(), dtype)


def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return x [n, in] times weight [in, out], in pieces if that uses more cores."""
    n, outputs = len(x), weight.shape[1]
    alone = x.device.type != "cpu" or torch.get_num_threads() == 1
    if alone or n not in SLOW_ROWS or outputs > SLOW_OUTPUTS:
        return x @ weight
    y = x.new_empty(n, outputs)
    pieces = -(-n // PIECE_ROWS)
    for part, into in zip(x.tensor_split(pieces), y.tensor_split(pieces), strict=True):
        torch.mm(part, weight, out=into)
    return y


class _Product(torch.autograd.Function):
    """A `LoraProduct` of x [n, in] in autograd; A and B are arguments so that they get their gradients."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: LoraProduct, *_adapter: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.layer = layer
        return layer.forward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_gradient, *adapter = ctx.layer.backward(gradients[0], *ctx.saved_tensors)
        return x_gradient, None, *adapter
