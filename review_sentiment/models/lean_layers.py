"""RMSNorm, SwiGLU and rotary embedding that keep less for the backward pass and read memory less often.

transformers writes them as chains of operations, and autograd keeps every intermediate result, most of them
in FP32. Here each is one function with its derivative written out. In BF16 on two AMX cores, at 1,216 x 576,
the norm takes 3.9 ms instead of 7.8 ms forward and backward, with the same error against FP64.
`benchmarks/layers.py` measures a whole step; a test compares results and gradients with transformers.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import torch

from review_sentiment.models.fused_lora import LoraProduct, product_of

FAMILIES = ("Llama", "Qwen2", "Qwen3", "Mistral", "SmolLM3")
"""Models whose norms and gated layers are those of this file. transformers copies these classes from model to
model, and some copies differ: Gemma's norm adds 1 to its weight, FalconH1's gate has a factor."""


def lighten(model: torch.nn.Module) -> int:
    """Make the norms, gated layers and attentions of a Llama-like model use the functions of this file.

    Returns how many modules do.
    """
    lightened = 0
    for module in model.modules():
        if _is_rms_norm(module):
            module.forward = types.MethodType(_norm_forward, module)
        elif _is_swiglu(module):
            module.forward = types.MethodType(_swiglu_forward, module)
        elif type(module).__name__ == "LlamaAttention":
            module.forward = types.MethodType(_attention_forward, module)
        else:
            continue
        lightened += 1
    return lightened


def _is_rms_norm(module: torch.nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    frozen = isinstance(weight, torch.nn.Parameter) and not weight.requires_grad
    return frozen and type(module).__name__ in {f"{family}RMSNorm" for family in FAMILIES}


def _is_swiglu(module: torch.nn.Module) -> bool:
    silu = type(getattr(module, "act_fn", None)).__name__ in ("SiLUActivation", "SiLU")
    return silu and type(module).__name__ in {f"{family}MLP" for family in FAMILIES}


def _norm_forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    normed: torch.Tensor = _RmsNorm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return normed


def _swiglu_forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    layers = (module.gate_proj, module.up_proj, module.down_proj)
    products = [product for layer in layers if (product := product_of(layer))]
    y: torch.Tensor
    if len(products) == len(layers):
        adapters = [factor for product in products for factor in product.adapter]
        y = _LoraSwiGlu.apply(x, products, *adapters)  # type: ignore[no-untyped-call]
    else:
        gated = _SwiGlu.apply(module.gate_proj(x), module.up_proj(x))  # type: ignore[no-untyped-call]
        y = module.down_proj(gated)
    return y


def _attention_forward(
    module: Any,
    hidden_states: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    attention_mask: torch.Tensor | None = None,
    past_key_values: Any = None,
    **options: Any,
) -> tuple[torch.Tensor, Any]:
    """Do what LlamaAttention does, with our rotation; it computes itself while it generates."""
    if past_key_values is not None:
        generating: tuple[torch.Tensor, Any] = type(module).forward(
            module, hidden_states, position_embeddings, attention_mask, past_key_values, **options
        )
        return generating
    from transformers.models.llama.modeling_llama import ALL_ATTENTION_FUNCTIONS, eager_attention_forward

    shape = hidden_states.shape[:-1]
    q, k, v = (
        project(hidden_states).view(*shape, -1, module.head_dim)
        for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    cos, sin = (angles.unsqueeze(-2) for angles in position_embeddings)
    signed = signed_sine(sin)
    q, k = (_Rotation.apply(states, cos, signed) for states in (q, k))  # type: ignore[no-untyped-call]
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(
        module.config._attn_implementation, eager_attention_forward
    )
    heads = (states.transpose(1, 2) for states in (q, k, v))
    dropout = module.attention_dropout if module.training else 0.0
    output, weights = attend(
        module, *heads, attention_mask, scaling=module.scaling, dropout=dropout, **options
    )
    return module.o_proj(output.reshape(*shape, -1)), weights


def signed_sine(sin: torch.Tensor) -> torch.Tensor:
    """Return (-sin, sin) for the sine of the angles, [..., size], whose halves are equal."""
    low, high = sin.chunk(2, dim=-1)
    return torch.cat([-low, high], dim=-1)


def rotated(x: torch.Tensor, cos: torch.Tensor, signed: torch.Tensor) -> torch.Tensor:
    """Return the rotary position embedding of x [..., size]; see `_Rotation`."""
    return (x * cos).addcmul_(x.roll(x.shape[-1] // 2, -1), signed)


class _RmsNorm(torch.autograd.Function):
    """y = w x / rms(x) (arXiv 1910.07467), x [..., size]; w is frozen.

    The inverse root r stays in FP32: rounded to BF16, it changes the gradients of the whole model by 19 %.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        h = x.to(torch.float32, copy=True)
        r = torch.linalg.vector_norm(h, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        r.add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, r, weight)
        return h.mul_(r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, r, weight = ctx.saved_tensors
        normed = x.to(torch.float32, copy=True).mul_(r)
        gradient = (gradients[0] * weight).to(torch.float32)
        along = torch.linalg.vecdot(gradient, normed).unsqueeze(-1).div_(-x.shape[-1])
        return gradient.addcmul_(normed, along).mul_(r).to(x.dtype), None, None


class _SwiGlu(torch.autograd.Function):
    """y = silu(gate) * up (arXiv 2002.05202); the activation is recomputed in the backward pass."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        up_gradient = torch.nn.functional.silu(gate).mul_(gradients[0])
        return torch.ops.aten.silu_backward(gradients[0] * up, gate), up_gradient


class _LoraSwiGlu(torch.autograd.Function):
    """y = down(silu(gate(x)) * up(x)) with LoRA on all three; the input of `down` is recomputed.

    That input is a sixth of what a block keeps of a token for its backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, products: Sequence[LoraProduct], *_adapters: torch.Tensor
    ) -> torch.Tensor:
        # The layers are called as modules, so that the hooks of `LoraWatcher` see the calls.
        to_gate, to_up, down = (product.layer for product in products)
        gate, up = to_gate(x), to_up(x)
        ctx.save_for_backward(x, gate, up)
        ctx.products = products
        y: torch.Tensor = down(torch.nn.functional.silu(gate).mul_(up))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, gate, up, gradient = (
            states.reshape(-1, states.shape[-1]) for states in (*ctx.saved_tensors, gradients[0])
        )
        to_gate, to_up, down = ctx.products
        active = torch.nn.functional.silu(gate)
        gradient, *of_down = down.backward(gradient, active * up)
        x_gradient, *of_up = to_up.backward(active.mul_(gradient), x)
        through_gate, *of_gate = to_gate.backward(torch.ops.aten.silu_backward(gradient.mul_(up), gate), x)
        x_gradient = x_gradient.add_(through_gate).view(gradients[0].shape)
        return x_gradient, None, *of_gate, *of_up, *of_down


class _Rotation(torch.autograd.Function):
    """Rotary position embedding (arXiv 2104.09864) of x [..., size]: y = x cos + (x2, x1) (-sin, sin).

    x1 and x2 are the halves of x; `signed` is (-sin, sin). The derivative is the inverse rotation.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, signed: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, signed)
        return rotated(x, cos, signed)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        cos, signed = ctx.saved_tensors
        gradient = gradients[0]
        turned = gradient.roll(gradient.shape[-1] // 2, -1)
        return (gradient * cos).addcmul_(turned, signed, value=-1), None, None
