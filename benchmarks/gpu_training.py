"""Stages of the GPU check that train: start to end, as on a T4, out of memory, killed and resumed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from typing import Any

import torch

from benchmarks.gpu_run import Check, assume_english, chats, only, train
from benchmarks.gpu_weights import write_model
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.training.rows import collate, tokenise


def small(check: Check) -> dict[str, Any]:
    """Train four layers of the 8B from start to end: the first thing to fail fails here."""
    write_model(check.models / "small", check.tokenizer, 2 if check.tiny else 4, check.tiny, check.device)
    return train(
        check,
        check.scratch / "small",
        steps=40,
        small=True,
        learning_rate=3e-2 if check.tiny else 2e-3,
    )


def write_8b(check: Check) -> dict[str, Any]:
    """Write random weights of the 8B's shape."""
    started = time.perf_counter()
    write_model(check.models / "8b", check.tokenizer, 2 if check.tiny else 32, check.tiny, check.device)
    return {"seconds": round(time.perf_counter() - started, 1)}


def finetune_8b(check: Check) -> dict[str, Any]:
    """Train ten steps as configs/gpu.yaml does, with proof and reload."""
    return train(check, check.scratch / "8b", steps=10)


def t4_like(check: Check) -> dict[str, Any]:
    """Train and reload in FP16 with its loss scaler, without flash attention, in the memory of a T4."""
    if check.tiny:
        return {"skipped": "a GPU's"}
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    with only(15.4):
        return train(check, check.scratch / "t4", steps=8, precision="fp16")


def out_of_memory(check: Check) -> dict[str, Any]:
    """Start with micro-batches that are too large for the memory: they must be halved until the step fits."""
    if check.tiny:
        return {"skipped": "a GPU's"}
    with only(11.0):
        return train(
            check,
            check.scratch / "oom",
            steps=3,
            tokens_per_pass=65_536,
            batch_size=64,
            fit="ignore",
            gradient_checkpointing=False,
            validations=0,
        )


def kill(check: Check) -> dict[str, Any]:
    """Train ten steps without interruption, and with a kill after the fourth: the losses must be the same."""
    alone = one_life(check, "alone", None)
    one_life(check, "killed", 4)
    resumed = one_life(check, "killed", None)
    far = max(abs(a - b) for a, b in zip(alone["losses"], resumed["losses"], strict=True))
    return {"alone": alone["losses"], "killed and resumed": resumed["losses"], "largest difference": far}


def one_life(check: Check, name: str, killed_at: int | None) -> dict[str, Any]:
    """Train in a process of its own, to the end or until it kills itself; return its figures."""
    process = multiprocessing.get_context("spawn").Process(target=live, args=(check, name, killed_at))
    process.start()
    process.join()
    return {} if killed_at else json.loads((check.scratch / f"life-{name}.json").read_text())


def live(check: Check, name: str, killed_at: int | None) -> None:
    """Train ten steps with checkpoints; kill this process after step `killed_at`, if there is one."""

    def tell(step: int, _figures: Any) -> None:
        if killed_at and step == killed_at + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    assume_english()
    found = train(
        check,
        check.scratch / f"{name}-adapter",
        steps=10,
        small=True,
        tell=tell,
        validations=0,
        store=check.scratch / f"{name}-store",
        checkpoint_steps=2,
        learning_rate=1e-3,
    )
    (check.scratch / f"life-{name}.json").write_text(json.dumps(found))


def parity(check: Check) -> dict[str, Any]:
    """Compare the first FP32 loss of four layers on this device with that of the same files on the CPU."""
    base = check.base(small=True)
    rows = list(tokenise(chats(check, rows=4, max_tokens=128), load_tokenizer(base)))
    losses = []
    for where in ("cpu", check.device):
        model = load_model(base, plan_compute(where, "fp32")).eval()
        part = collate(rows)
        with torch.inference_mode():
            logits = (
                model(input_ids=part["input_ids"].to(model.device), use_cache=False)
                .logits[:, :-1]
                .float()
                .cpu()
            )
        losses.append(
            float(
                torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), part["labels"][:, 1:].flatten(), ignore_index=-100
                )
            )
        )
        del model
    return {"losses on the CPU and here": losses, "difference": abs(losses[0] - losses[1])}
