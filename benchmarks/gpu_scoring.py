"""Stage of the GPU check that scores: reviews a second, and whether generation gives the same answers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_results import note
from benchmarks.gpu_run import LABELS, Check, chats, reserved_gb
from review_sentiment.evaluation.audit import generate_answers
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.resources.device import free_memory
from review_sentiment.scoring import full_precision
from review_sentiment.scoring.label_scoring import score_labels


def scoring(check: Check) -> dict[str, Any]:
    """Count reviews a second for each token budget, and compare scored with generated answers."""
    chosen, base, adapter = check.plan(), check.base(), check.scratch / "8b"
    tokenizer = load_tokenizer(base)
    there = adapter.is_dir()
    model = load_adapted_model(base, adapter, chosen) if there else load_model(base, chosen).eval()
    prompts = list(chats(check, rows=64 if check.tiny else 1_024, first=2_100).frame["prompt"])
    found: dict[str, Any] = {
        "tuned": there,
        "room for FP32": full_precision.room_for_fp32(model, chosen.device),
    }
    unpacked = chosen.without(("packing",), "a variant")
    for name, used, budget in (
        ("2048 tokens a batch", chosen, 2_048),
        ("4096 tokens a batch", chosen, 4_096),
        ("4096 tokens a batch, padded", unpacked, 4_096),
        ("auto tokens a batch", chosen, "auto"),
    ):
        torch.manual_seed(0)
        if not check.tiny:
            torch.cuda.reset_peak_memory_stats()
        score_labels(model, tokenizer, prompts[:32], LABELS, used, budget)
        began = time.perf_counter()
        scores = score_labels(model, tokenizer, prompts, LABELS, used, budget)
        took = time.perf_counter() - began
        found[name] = {
            "reviews/s": round(len(prompts) / took, 1),
            "scored again in FP32": int((scores.margin < 0.25).sum()),
            "reserved GB": reserved_gb(),
        }
    note(check.out, "scoring", found | {"unfinished": True})
    del model
    free_memory()
    # Four layers that have learned to answer with a label: does the scored answer match the generated one?
    model = load_adapted_model(check.base(small=True), check.scratch / "small", chosen)
    scores = score_labels(model, tokenizer, prompts[:64], LABELS, chosen, "auto")
    generated = [
        answer.strip() for answer in generate_answers(model, tokenizer, prompts[:64], LABELS, chosen)
    ]
    scored = [LABELS[n] if n >= 0 else None for n in scores.answered]
    found["generated labels"] = sum(answer in LABELS for answer in generated)
    found["of 64 answers scored and generated alike"] = sum(
        a == b if b in LABELS else a is None or b.startswith(a)
        for a, b in zip(scored, generated, strict=True)
    )
    found["near ties of 64"] = int((scores.margin < 0.25).sum())
    found["label mass"] = float(np.median(scores.label_mass))
    return found
