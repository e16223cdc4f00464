"""Stage of the GPU check that times training: what each setting is worth, beside plain TRL."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed
from trl import SFTConfig, SFTTrainer

from benchmarks.gpu_results import note
from benchmarks.gpu_run import Check, chats, reserved_gb, settings
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters
from review_sentiment.resources.device import free_memory
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.qlora import load
from review_sentiment.training.rows import tokenise

VARIANTS: dict[str, dict[str, Any]] = {
    "as configs/gpu.yaml": {},
    "without packing": {"disable": ("packing",)},
    "with checkpointing": {"gradient_checkpointing": True},
    "without checkpointing": {"gradient_checkpointing": False},
    "dequantised once": {"dequantise_once": True},
    "dequantised in each micro-batch": {"dequantise_once": False},
    "8192 tokens a pass": {"tokens_per_pass": 8192},
    "dropout 0.05": {"dropout": 0.05},
    "without fused LoRA layers": {"disable": ("fused_lora",)},
    "without lean layers": {"disable": ("lean_layers",)},
    "without the fused optimizer": {"disable": ("fused_optimizer",)},
}
"""Each differs from the first in one setting."""


def variants(check: Check) -> dict[str, Any]:
    """Time the steps of each variant on the same batches, longest first; compare memory with the estimate."""
    tokenizer, steps = load_tokenizer(check.base()), 1 if check.tiny else 5
    data = chats(check, rows=16 * steps)
    rows = tokenise(data, tokenizer)
    found: dict[str, Any] = {}
    for name, changes in {"plain TRL": None, **VARIANTS}.items():
        reset_peak(check)
        with tempfile.TemporaryDirectory() as scratch:
            if changes is None:
                trainer, expected = plain_trainer(check, rows, tokenizer, scratch), None
            else:
                asked = check.recipe(*settings(max_steps=steps, fit="ignore", validations=0, **changes))
                loaded = load(TrainingJob(asked, data, Path(scratch)), tokenizer, Path(scratch))
                trainer, expected = loaded.trainer, round(loaded.expected_gb, 2)
                del loaded
            found[name] = timed_steps(check, trainer, rows) | {"expected GB": expected}
            note(check.out, "variants", found | {"unfinished": True})
        del trainer
        free_memory()
    return found


def reset_peak(check: Check) -> None:
    """Start the peak of the GPU's memory anew, and the random numbers."""
    set_seed(42)
    if not check.tiny:
        torch.cuda.reset_peak_memory_stats()


def plain_trainer(check: Check, rows: Any, tokenizer: Any, scratch: str) -> Any:
    """Return TRL's own trainer with its defaults, but the batches of the others: 16 rows, 4 at a time."""
    chosen, (lora, _) = check.plan(), settings(dropout=0.05)
    return SFTTrainer(
        model=add_adapters(load_model(check.base(), chosen), lora),
        train_dataset=rows.remove_columns("row"),
        processing_class=tokenizer,
        args=SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
            optim="adamw_torch" if check.tiny else "paged_adamw_8bit",
            bf16=chosen.precision == "bf16",
            fp16=chosen.precision == "fp16",
            use_cpu=check.tiny,
            max_steps=1,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            learning_rate=2e-4,
        ),
    )


def timed_steps(check: Check, trainer: Any, rows: Any) -> dict[str, Any]:
    """Make a step on each 16 rows, longest first; return speeds, losses and the peak of memory."""
    model, micro = trainer.model, min(16, trainer.args.per_device_train_batch_size)
    if trainer.args.activation_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    trainer.create_optimizer()
    trainer.model_wrapped, trainer.optimizer = trainer.accelerator.prepare(model, trainer.optimizer)
    model.train()
    order = sorted(range(len(rows)), key=lambda n: -len(rows[n]["input_ids"]))
    speeds, losses = [], []
    for first in range(0, len(order), 16):
        reviews = [trainer.train_dataset[n] for n in order[first : first + 16]]
        parts = [trainer.data_collator(reviews[n : n + micro]) for n in range(0, 16, micro)]
        parts = [{k: v.to(check.device) for k, v in part.items()} for part in parts]
        answers = sum((part["labels"][:, 1:] != -100).sum() for part in parts)
        began = time.perf_counter()
        loss = sum(float(trainer.training_step(trainer.model_wrapped, part, answers)) for part in parts)
        trainer.accelerator.clip_grad_norm_(model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        if not check.tiny:
            torch.cuda.synchronize()
        speeds.append(sum(len(r["input_ids"]) for r in reviews) / (time.perf_counter() - began))
        losses.append(round(loss, 4))
    return {
        "useful tokens/s": [round(speed) for speed in speeds],
        "losses": losses,
        "peak GB": None if check.tiny else round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "reserved GB": reserved_gb(),
    }
