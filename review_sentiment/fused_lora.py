"""LoRA layers computed as one operation: the same mathematics with less memory traffic.

PEFT computes base(x) + scale * B(A(x)) as separate operations, each of which
reads and writes the whole activation. Here the update is accumulated into the
base product in place, forward and backward (the idea of Unsloth's kernels, in
plain PyTorch). `benchmarks/layers.py` measures the gain,
`tests/unit/test_fused_lora.py` holds the parity.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.lora_proof import ADAPTER

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


def fuse_adapters(model: torch.nn.Module) -> int:
    """Let every LoRA layer that can be fused compute itself in one operation; return how many.

    Layers with dropout, DoRA, a bias or several adapters keep PEFT's forward.
    """
    fused = 0
    for module in model.modules():
        if _can_be_fused(module):
            module.forward = types.MethodType(_fused_forward, module)
            fused += 1
    return fused


def _can_be_fused(module: Any) -> bool:
    if list(getattr(module, "lora_A", {})) != [ADAPTER]:
        return False
    base: torch.nn.Module = module.get_base_layer()
    plain = isinstance(base, torch.nn.Linear) and getattr(base, "bias", None) is None
    without_dropout = isinstance(module.lora_dropout[ADAPTER], torch.nn.Identity)
    return plain and without_dropout and not getattr(module, "lora_variant", {})


def _fused_forward(layer: LoraLayer, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if layer.disable_adapters or layer.merged:
        result: torch.Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return result
    updated: torch.Tensor = _LoraProduct.apply(  # type: ignore[no-untyped-call]
        x,
        layer.lora_A[ADAPTER].weight,
        layer.lora_B[ADAPTER].weight,
        layer.get_base_layer(),
        layer.scaling[ADAPTER],
    )
    return updated


def _weight(base: torch.nn.Linear, dtype: torch.dtype) -> torch.Tensor:
    """Return the weight [out, in] of a plain or 4-bit layer."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return base.weight.detach().to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    weight: torch.Tensor = dequantize_4bit(base.weight.data, state)
    return weight.to(dtype)


class _LoraProduct(torch.autograd.Function):
    """y = x W' + scale * (x A') B', with x [..., in], A [rank, in], B [out, rank]; W is frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        base: torch.nn.Linear,
        scale: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a_cast, b_cast = a.to(x.dtype), b.to(x.dtype)
        inner = rows @ a_cast.t()
        y = rows @ _weight(base, x.dtype).t()
        y.addmm_(inner, b_cast.t(), alpha=scale)
        ctx.save_for_backward(rows, inner, a_cast, b_cast)
        ctx.base, ctx.scale, ctx.input_shape = base, scale, x.shape
        ctx.adapter_dtype = a.dtype
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, inner, a, b = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, gradients[0].shape[-1])
        inner_gradient = (gradient @ b).mul_(ctx.scale)
        a_gradient = (inner_gradient.t() @ rows).to(ctx.adapter_dtype)
        b_gradient = (gradient.t() @ inner).mul_(ctx.scale).to(ctx.adapter_dtype)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = gradient @ _weight(ctx.base, gradient.dtype)
            x_gradient = x_gradient.addmm_(inner_gradient, a).view(ctx.input_shape)
        return x_gradient, a_gradient, b_gradient, None, None
