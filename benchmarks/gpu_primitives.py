"""Stages of the GPU check without a model: the machine, 4-bit products, optimizers, attention."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

import bitsandbytes as bnb
import psutil
import torch

from benchmarks.gpu_run import Check
from review_sentiment.models.packed_attention import KERNELS
from review_sentiment.models.packing import PackedRows
from review_sentiment.resources.device import DeviceReadings

HIDDEN, KEYS, MLP, RANK = 4096, 1024, 14336, 16
"""Widths of Llama 3.1 8B, and the rank of configs/gpu.yaml."""


def environment(check: Check) -> dict[str, Any]:
    """Report versions, the machine and the device's readings."""
    names = (
        "torch",
        "transformers",
        "trl",
        "peft",
        "accelerate",
        "bitsandbytes",
        "datasets",
        "pandas",
        "numpy",
        "triton",
        "huggingface_hub",
        "tokenizers",
        "pyarrow",
        "nvidia-ml-py",
    )
    found: dict[str, Any] = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    found |= {
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "RAM GB": psutil.virtual_memory().total / 1e9,
    }
    if not check.tiny:
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name,
            "GB": properties.total_memory / 1e9,
            "cuda": torch.version.cuda,
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            "archs": torch.cuda.get_arch_list(),
        }
        free, total = torch.cuda.mem_get_info()
        torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")  # loads cuBLAS
        outside = free - torch.cuda.mem_get_info()[0] - torch.cuda.memory_reserved()
        found["context GB, of an otherwise empty GPU"] = round((total - free + outside) / 1e9, 2)

    return found | {"readings": DeviceReadings().read(check.device)}


def primitives(check: Check) -> dict[str, Any]:
    """Compare 4-bit products and packed attention with FP64; on a GPU, time what a step consists of."""
    found: dict[str, Any] = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        if not (check.tiny and name == "fp16"):
            found[f"4-bit product {name}: relative error forward, backward"] = product_errors(check, dtype)
    found["packed attention: relative error forward, and of the gradients of q, k, v"] = packed_errors(check)
    return found if check.tiny else found | product_times() | optimizer_times() | attention_times()


def four_bit_layer(out: int, inner: int, dtype: torch.dtype, device: str) -> bnb.nn.Linear4bit:
    """Return a layer with random weights in NF4."""
    layer = bnb.nn.Linear4bit(inner, out, bias=False, quant_type="nf4", compute_dtype=dtype)
    weights = (torch.randn(out, inner) * 0.02).to(dtype)
    layer.weight = bnb.nn.Params4bit(weights, requires_grad=False, quant_type="nf4").to(device)
    return layer


def product_errors(check: Check, dtype: torch.dtype) -> list[float]:
    """Return the relative errors of a 4-bit layer's output and of the gradient of its input."""
    out, inner, rows = (256, 128, 64) if check.tiny else (MLP, HIDDEN, 2048)
    torch.manual_seed(1)
    layer = four_bit_layer(out, inner, dtype, check.device)
    weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    x = torch.randn(rows, inner, device=check.device, dtype=dtype, requires_grad=True)
    layer.train()
    y = layer(x)
    g = torch.randn_like(y)
    y.backward(g)
    exact, back = x.double() @ weight.double().t(), g.double() @ weight.double()
    return [
        float((y.double() - exact).norm() / exact.norm()),
        float((x.grad.double() - back).norm() / back.norm()),
    ]


def milliseconds(function: Callable[[], object], repeat: int = 20) -> float:
    """Return the median time of a function on the GPU."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repeat):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def product_times() -> dict[str, float]:
    """Time dequantising, and products of a layer's weights with rows."""
    layer = four_bit_layer(MLP, HIDDEN, torch.bfloat16, "cuda")
    found = {
        f"dequantise {MLP} x {HIDDEN}, ms": milliseconds(
            lambda: bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        )
    }
    w = torch.randn(MLP, HIDDEN, device="cuda", dtype=torch.bfloat16)
    for rows in (512, 1536, 2048, 4096, 8192):
        x = torch.randn(rows, HIDDEN, device="cuda", dtype=torch.bfloat16)
        operations = 2 * rows * MLP * HIDDEN
        found[f"bf16 product of {rows} rows, TFLOPS"] = operations / milliseconds(lambda x=x: x @ w.t()) / 1e9
    return found


def optimizer_times() -> dict[str, float]:
    """Time a step of each optimizer on the adapters of all layers."""
    layers = [(HIDDEN, HIDDEN)] * 2 + [(KEYS, HIDDEN)] * 2 + [(MLP, HIDDEN)] * 2 + [(HIDDEN, MLP)]
    shapes = [shape for out, inner in layers * 32 for shape in ((RANK, inner), (out, RANK))]
    found = {}
    for name, make in (
        ("paged_adamw_8bit", lambda p: bnb.optim.PagedAdamW8bit(p, lr=1e-4)),
        ("adamw_torch_fused", lambda p: torch.optim.AdamW(p, lr=1e-4, fused=True)),
    ):
        parameters = [torch.nn.Parameter(torch.zeros(shape, device="cuda")) for shape in shapes]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        found[f"optimizer step {name}, ms"] = milliseconds(make(parameters).step, 8)
    return found


def attention_times() -> dict[str, float]:
    """Time attention with the kernels of this GPU, and with those of a T4."""
    q, k = (torch.randn(4, heads, 512, 128, device="cuda", dtype=torch.bfloat16) for heads in (32, 8))
    found = {}
    for name, flash in (("flash", True), ("as on a T4", False)):
        torch.backends.cuda.enable_flash_sdp(flash)
        torch.backends.cuda.enable_cudnn_sdp(flash)
        found[f"attention of 4 x 512, {name}, ms"] = milliseconds(
            lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True)
        )
    return found


def packed_errors(check: Check) -> dict[str, list[float]]:
    """Compare each kernel for packed rows with the reference in FP64: 60 shared tokens, groups of four."""
    rows, at = PackedRows(60, tuple(range(150, 10, -12))), check.device
    torch.manual_seed(2)
    states = [torch.randn(1_088, heads, 128) for heads in (32, 8, 8, 32)]

    def found(kernel: str, dtype: torch.dtype, where: str) -> list[torch.Tensor]:
        q, k, v = (one.to(where, dtype).requires_grad_() for one in states[:3])
        output = KERNELS[kernel](q, k, v, rows, 128**-0.5)[: rows.tokens]
        gradients = torch.autograd.grad(output, (q, k, v), states[3][: rows.tokens].to(where, dtype))
        return [one.detach().double().cpu()[: rows.tokens] for one in (output, *gradients)]

    exact = found("varlen", torch.float64, "cpu")
    errors = {}
    for kernel, name in (("varlen", "bf16"), ("blocks", "bf16"), ("blocks", "fp32")):
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[name]
        near = found(kernel, dtype, at)
        errors[f"{kernel}, {name}"] = [
            float((a - b).norm() / b.norm()) for a, b in zip(near, exact, strict=True)
        ]
    return errors
