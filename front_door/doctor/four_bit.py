"""One optimizer step through a 4-bit LoRA layer, as a training makes it, on a CPU or a GPU."""

from __future__ import annotations

from typing import Any

ROWS, INNER, OUT = 512, 256, 512
"""Tokens of the micro-batch, and the sizes of the layer: bitsandbytes has another kernel for a single row."""
LARGEST_ERROR = 0.02
"""Relative error against FP64: BF16 has 0.003."""


def train_a_4bit_layer(device: str) -> str:
    """Train a 4-bit LoRA layer for one step with the precision and the optimizer of a run on this device.

    bitsandbytes can be imported without its native library, and kernels can be missing for a GPU: both fail
    here and not after the model was downloaded.

    Raises:
        RuntimeError: the product is wrong, or the adapter does not learn.
    """
    import bitsandbytes
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.fused_lora import fuse_adapters
    from review_sentiment.models.lora import ADAPTER

    plan = plan_compute(device)
    layer = bitsandbytes.nn.Linear4bit(
        INNER, OUT, bias=False, quant_type="nf4", compute_dtype=plan.dtype, compress_statistics=True
    )
    model: Any = torch.nn.Sequential(layer).to(device)  # quantises the weight
    weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    # Rank and scale as configured by default; PEFT names the only layer of the model "0".
    inject_adapter_in_model(LoraConfig(r=16, lora_alpha=32, target_modules=["0"]), model, ADAPTER)
    fuse_adapters(model)
    adapter = [parameter for parameter in model.parameters() if parameter.requires_grad]
    x = torch.randn(ROWS, INNER, device=device, dtype=plan.dtype, requires_grad=True)
    with plan.autocast():
        y = model(x)
    y.float().square().mean().backward()
    before = [parameter.detach().clone() for parameter in adapter]
    torch.optim.AdamW(adapter, lr=1e-3, weight_decay=0.0, fused=True).step()
    exact = x.detach().double() @ weight.double().t()
    error = float((y.detach().double() - exact).norm() / exact.norm())
    if not error < LARGEST_ERROR:
        raise RuntimeError(f"a product with NF4 weights has a relative error of {error:.3g}")
    # B starts at zero, so the first step moves B only.
    moved = max(float((new.detach() - old).abs().max()) for new, old in zip(adapter, before, strict=True))
    if x.grad is None or not torch.isfinite(x.grad).all() or not 0 < moved < 1:
        raise RuntimeError(f"an adapter on NF4 weights does not learn: its largest step is {moved:.3g}")
    return f"forward, backward and {plan.optimizer} in {plan.precision}, relative error {error:.1e}"
