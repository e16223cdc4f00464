#!/usr/bin/env python
"""Throughput of a training step with the libraries' layers, with fused LoRA, and with lean layers too.

On a CPU also the TFLOPS of matrix products with few outputs: as a whole, and split into blocks of rows.

python benchmarks/layers.py [--json]
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from review_sentiment.config import LoraSettings, ModelSettings
from review_sentiment.models.base_model import identify
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.fused_lora import fuse_adapters, product
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters

ROWS, LENGTH = 8, 128
ROUNDS = 10
VOCABULARY = 40_000
PRODUCTS = ((704, 1536, 576), (960, 1536, 576), (1216, 1536, 576), (1472, 1536, 576), (960, 576, 1536))
"""Rows, inputs and outputs; the last two are not slow."""


@click.command()
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool) -> None:
    """Print each variant's throughput and its ratio to the libraries' step, with their ranges."""
    plan = plan_compute()
    base = identify(ModelSettings())
    models = {
        name: add_adapters(load_model(base, plan), LoraSettings()).train()
        for name in ("libraries", "fused", "fused and lean", "fused, lean and dequantised once")
    }
    fuse_adapters(models["fused"])
    fuse_adapters(models["fused and lean"])
    fuse_adapters(models["fused, lean and dequantised once"], plan.dtype)
    lighten(models["fused and lean"])
    lighten(models["fused, lean and dequantised once"])
    torch.manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (ROWS, LENGTH), device=plan.device)
    # An index, not a number: a slice is not contiguous, and then torch 2.13 copies
    # the transposed output layer once a row, which took a third of a step.
    last = torch.tensor([LENGTH - 1], device=plan.device)

    def step(name: str) -> Callable[[], None]:
        def run() -> None:
            with plan.autocast():
                logits = models[name](input_ids=ids, logits_to_keep=last, use_cache=False).logits
                loss = logits.float().logsumexp(-1).mean()
            loss.backward()
            models[name].zero_grad()

        return run

    speeds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(ROUNDS + 1):
        for name in models:
            started = time.perf_counter()
            step(name)()
            if number:  # the first round warms up
                speeds[name].append(ROWS * LENGTH / (time.perf_counter() - started))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(values, speeds["libraries"], strict=True)]
        for name, values in speeds.items()
    }
    threads = torch.get_num_threads()
    products = measure_products(plan.dtype) if plan.device == "cpu" else {}
    result = {
        "machine": f"{platform.machine()}, {plan.device}, {plan.precision}, {threads} threads",
        "torch": torch.__version__,
        "ratios": {
            name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
            for name, values in ratios.items()
        },
        "tokens_per_second": speeds,
        "products_tflops": products,
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{result['machine']}, torch {torch.__version__}, {ROWS} x {LENGTH} tokens, {ROUNDS} rounds")
    for name, values in speeds.items():
        click.echo(
            f"{name:14} {statistics.median(values):6.0f} tokens/s ({min(values):.0f}-{max(values):.0f}), "
            f"ratio {statistics.median(ratios[name]):.2f} ({min(ratios[name]):.2f}-{max(ratios[name]):.2f})"
        )
    for shape, (whole, pieces) in products.items():
        click.echo(f"product {shape:16} {whole:.2f} TFLOPS with torch.mm, {pieces:.2f} split into blocks")


def measure_products(dtype: torch.dtype) -> dict[str, tuple[float, float]]:
    """Return the median TFLOPS of torch's product and of ours, by shape."""
    found = {}
    for n, inputs, outputs in PRODUCTS:
        x, weight = torch.randn(n, inputs, dtype=dtype), torch.randn(inputs, outputs, dtype=dtype)
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(2 * ROUNDS):
            for multiply, into in zip((torch.mm, product), seconds, strict=True):
                started = time.perf_counter()
                multiply(x, weight)
                if number >= ROUNDS:
                    into.append(time.perf_counter() - started)
        work = 2 * n * inputs * outputs / 1e12
        plain, ours = (work / statistics.median(values) for values in seconds)
        found[f"{n}x{inputs}x{outputs}"] = (plain, ours)
    return found


if __name__ == "__main__":
    main()
