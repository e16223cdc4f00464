#!/usr/bin/env python
"""Check this project on an NVIDIA GPU: one command, under eight minutes, no network.

    python benchmarks/gpu_check.py --reviews FILE --tokenizer DIRECTORY --out DIRECTORY [--seconds 440]

Random weights in the shape of Llama 3.1 8B are written to memory and go through the project's own loading,
training, scoring and reloading. Every stage is a process with a time limit and writes a line to
OUT/results.jsonl when it ends, so a stage that fails or is cut off costs only itself. `--tiny` runs the
stages on a CPU with a tiny model, to try this file without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("GPU_CHECK_ROOT", Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(ROOT))
LABELS = ("negative", "positive")
# The time limit of each stage in seconds, in the order in which a first run would need them.
STAGES = {
    "environment": 40,
    "primitives": 60,
    "small": 70,
    "write_8b": 60,
    "finetune_8b": 110,
    "t4_like": 110,
    "variants": 170,
    "scoring": 90,
    "out_of_memory": 60,
    "kill": 80,
    "parity": 60,
}


# ---------------------------------------------------------------- what stages share


def device(tiny: bool) -> str:
    """Return the device that the stages run on."""
    return "cpu" if tiny else "cuda"


def plan(args: argparse.Namespace, precision: str = "auto") -> Any:
    """Return the compute plan of a stage; `--tiny` is FP32 on the CPU."""
    from review_sentiment.models.compute import plan_compute

    return plan_compute(device(args.tiny), "fp32" if args.tiny else precision)


def write_model(directory: Path, tokenizer: Path, layers: int, tiny: bool, at: str) -> None:
    """Write random weights, one file a layer: no more than a layer is held beside the files."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    sizes = (
        {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
        if tiny
        else {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        }
    )
    config = LlamaConfig(
        vocab_size=49_152 if tiny else 128_256,
        num_hidden_layers=layers,
        rope_theta=500_000.0,
        rms_norm_eps=1e-5,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        dtype="bfloat16",
        **sizes,
    )
    config.architectures = ["LlamaForCausalLM"]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for file in tokenizer.iterdir():
        shutil.copy(file, directory)
    config.save_pretrained(directory)
    torch.manual_seed(0)
    h, i = config.hidden_size, config.intermediate_size
    kv = h // config.num_attention_heads * config.num_key_value_heads

    def normal(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, device=at) * 0.02).to(torch.bfloat16).cpu()

    index: dict[str, str] = {}

    def save(name: str, tensors: dict[str, torch.Tensor]) -> None:
        save_file(tensors, directory / name, metadata={"format": "pt"})
        index.update(dict.fromkeys(tensors, name))

    ones = torch.ones(h, dtype=torch.bfloat16)
    for n in range(layers):
        p = f"model.layers.{n}."
        save(
            f"layer-{n:02d}.safetensors",
            {
                f"{p}self_attn.q_proj.weight": normal(h, h),
                f"{p}self_attn.k_proj.weight": normal(kv, h),
                f"{p}self_attn.v_proj.weight": normal(kv, h),
                f"{p}self_attn.o_proj.weight": normal(h, h),
                f"{p}mlp.gate_proj.weight": normal(i, h),
                f"{p}mlp.up_proj.weight": normal(i, h),
                f"{p}mlp.down_proj.weight": normal(h, i),
                f"{p}input_layernorm.weight": ones.clone(),
                f"{p}post_attention_layernorm.weight": ones.clone(),
            },
        )
    v = config.vocab_size
    save(
        "ends.safetensors",
        {
            "model.embed_tokens.weight": normal(v, h),
            "lm_head.weight": normal(v, h),
            "model.norm.weight": ones,
        },
    )
    total = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )


def base_of(args: argparse.Namespace, small: bool = False) -> Any:
    """Return the identity of the model with all layers, or of the one with four."""
    from review_sentiment.models.base_model import ModelIdentity

    return ModelIdentity(str(args.models / ("small" if small else "8b")), None, "nf4", "random")


def recipe(
    args: argparse.Namespace, lora: Any, training: Any, small: bool = False, precision: str = "auto"
) -> Any:
    """Return the recipe of a stage, with the seed 42."""
    from review_sentiment.models.recipe import Recipe

    chosen = plan(args, precision).without(training.disable)
    return Recipe(base_of(args, small), chosen, lora, training, 42)


def chats(args: argparse.Namespace, rows: int, first: int = 0, max_tokens: int = 512) -> Any:
    """Return real reviews; each third is lengthened by the next two: the lengths of configs/gpu.yaml."""
    import pandas as pd

    from review_sentiment.config import PromptSettings
    from review_sentiment.data.chats import format_chats
    from review_sentiment.data.prompt_format import prompt_format
    from review_sentiment.models.loading import load_tokenizer

    frame = pd.read_parquet(args.reviews).iloc[first : first + rows].reset_index(drop=True)
    text = list(frame["text"])
    frame["text"] = [" ".join(text[n : n + 3]) if n % 3 == 0 else text[n] for n in range(len(text))]
    form = prompt_format(PromptSettings(max_tokens=max_tokens), LABELS)
    return format_chats(frame, load_tokenizer(base_of(args, small=True)), form)


def settings(**changes: Any) -> tuple[Any, Any]:
    """Return LoRA and training as configs/gpu.yaml has them, with changes."""
    from review_sentiment.config import LoraSettings, TrainingSettings

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


def train(
    args: argparse.Namespace, where: Path, steps: int, small: bool = False, **changes: Any
) -> dict[str, Any]:
    """Train through the project's own entry, with proof, validation and reload; return its figures."""
    from review_sentiment.training.checkpoints import CheckpointStore
    from review_sentiment.training.job import TrainingContext, TrainingJob
    from review_sentiment.training.qlora import finetune

    store = changes.pop("store", None)
    precision = changes.pop("precision", "auto")
    tell = changes.pop("tell", lambda *_: None)
    lora, training = settings(max_steps=steps, **changes)
    kept = CheckpointStore(str(store), "check") if store else None
    data = chats(args, rows=steps * 16)
    validation = chats(args, rows=64, first=2_000) if training.validations else None
    started = time.perf_counter()
    done = finetune(
        TrainingJob(recipe(args, lora, training, small, precision), data, where, validation),
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
    import torch

    return round(torch.cuda.max_memory_reserved() / 1e9, 2) if torch.cuda.is_available() else None


@contextlib.contextmanager
def only(gigabytes: float) -> Any:
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


# ---------------------------------------------------------------- stages


def environment(args: argparse.Namespace) -> dict[str, Any]:
    """Report versions, the machine and the device's readings."""
    from importlib import metadata

    import psutil
    import torch

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
    if not args.tiny:
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
    from review_sentiment.resources.device import DeviceReadings

    return found | {"readings": DeviceReadings().read(device(args.tiny))}


def primitives(args: argparse.Namespace) -> dict[str, Any]:
    """Compare 4-bit products with FP64, and time products, optimizers and attention."""
    import bitsandbytes as bnb
    import torch

    at, found = device(args.tiny), {}
    out, inner, rows = (256, 128, 64) if args.tiny else (14336, 4096, 2048)
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        if args.tiny and name == "fp16":
            continue
        torch.manual_seed(1)
        layer = bnb.nn.Linear4bit(inner, out, bias=False, quant_type="nf4", compute_dtype=dtype)
        layer.weight = bnb.nn.Params4bit(
            (torch.randn(out, inner) * 0.02).to(dtype), requires_grad=False, quant_type="nf4"
        ).to(at)
        weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        x = torch.randn(rows, inner, device=at, dtype=dtype, requires_grad=True)
        layer.train()
        y = layer(x)
        g = torch.randn_like(y)
        y.backward(g)
        exact, back = x.double() @ weight.double().t(), g.double() @ weight.double()
        found[f"4-bit product {name}: relative error forward, backward"] = [
            float((y.double() - exact).norm() / exact.norm()),
            float((x.grad.double() - back).norm() / back.norm()),
        ]
    found["packed attention: relative error forward, and of the gradients of q, k, v"] = packed_errors(args)
    if args.tiny:
        return found

    def ms(function: Any, repeat: int = 20) -> float:
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

    found["dequantise 14336 x 4096, ms"] = ms(
        lambda: bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    )
    w = torch.randn(out, inner, device=at, dtype=torch.bfloat16)
    for m in (512, 1536, 2048, 4096, 8192):
        x = torch.randn(m, inner, device=at, dtype=torch.bfloat16)
        found[f"bf16 product of {m} rows, TFLOPS"] = 2 * m * out * inner / ms(lambda x=x: x @ w.t()) / 1e9
    shapes = [
        s
        for _ in range(32)
        for o, n in (
            (4096, 4096),
            (1024, 4096),
            (1024, 4096),
            (4096, 4096),
            (14336, 4096),
            (14336, 4096),
            (4096, 14336),
        )
        for s in ((16, n), (o, 16))
    ]
    for name, make in (
        ("paged_adamw_8bit", lambda p: bnb.optim.PagedAdamW8bit(p, lr=1e-4)),
        ("adamw_torch_fused", lambda p: torch.optim.AdamW(p, lr=1e-4, fused=True)),
    ):
        parameters = [torch.nn.Parameter(torch.zeros(s, device=at)) for s in shapes]
        for p in parameters:
            p.grad = torch.randn_like(p)
        optimizer = make(parameters)
        found[f"optimizer step {name}, ms"] = ms(optimizer.step, 8)
    q, k = (torch.randn(4, heads, 512, 128, device=at, dtype=torch.bfloat16) for heads in (32, 8))
    for name, flash in (("flash", True), ("as on a T4", False)):
        torch.backends.cuda.enable_flash_sdp(flash)
        torch.backends.cuda.enable_cudnn_sdp(flash)
        found[f"attention of 4 x 512, {name}, ms"] = ms(
            lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True)
        )
    return found


def packed_errors(args: argparse.Namespace) -> dict[str, list[float]]:
    """Compare each kernel for packed rows with the reference in FP64: 60 shared tokens, groups of four."""
    import torch

    from review_sentiment.models.packed_attention import KERNELS
    from review_sentiment.models.packing import PackedRows

    rows, at = PackedRows(60, tuple(range(150, 10, -12))), device(args.tiny)
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


def small(args: argparse.Namespace) -> dict[str, Any]:
    """Train four layers of the 8B from start to end: the first thing to fail fails here."""
    write_model(args.models / "small", args.tokenizer, 2 if args.tiny else 4, args.tiny, device(args.tiny))
    return train(
        args,
        args.scratch / "small",
        steps=40,
        small=True,
        learning_rate=3e-2 if args.tiny else 2e-3,
    )


def write_8b(args: argparse.Namespace) -> dict[str, Any]:
    """Write random weights of the 8B's shape."""
    started = time.perf_counter()
    write_model(args.models / "8b", args.tokenizer, 2 if args.tiny else 32, args.tiny, device(args.tiny))
    return {"seconds": round(time.perf_counter() - started, 1)}


def finetune_8b(args: argparse.Namespace) -> dict[str, Any]:
    """Train ten steps as configs/gpu.yaml does, with proof and reload."""
    return train(args, args.scratch / "8b", steps=10)


def t4_like(args: argparse.Namespace) -> dict[str, Any]:
    """Train and reload in FP16 with its loss scaler, without flash attention, in the memory of a T4."""
    import torch

    if args.tiny:
        return {"skipped": "a GPU's"}
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    with only(15.4):
        return train(args, args.scratch / "t4", steps=8, precision="fp16")


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


def variants(args: argparse.Namespace) -> dict[str, Any]:
    """Time the steps of each variant on the same batches, longest first; compare memory with the estimate."""
    from review_sentiment.models.loading import load_tokenizer
    from review_sentiment.resources.device import free_memory
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.qlora import load
    from review_sentiment.training.rows import tokenise

    tokenizer, steps = load_tokenizer(base_of(args)), 1 if args.tiny else 5
    data = chats(args, rows=16 * steps)
    rows = tokenise(data, tokenizer)
    found: dict[str, Any] = {}
    for name, changes in {"plain TRL": None, **VARIANTS}.items():
        reset_peak(args)
        with tempfile.TemporaryDirectory() as scratch:
            if changes is None:
                trainer, expected = plain_trainer(args, rows, tokenizer, scratch), None
            else:
                asked = recipe(args, *settings(max_steps=steps, fit="ignore", validations=0, **changes))
                loaded = load(TrainingJob(asked, data, Path(scratch)), tokenizer, Path(scratch))
                trainer, expected = loaded.trainer, round(loaded.expected_gb, 2)
                del loaded
            found[name] = timed_steps(args, trainer, rows) | {"expected GB": expected}
            note(args, "variants", found | {"unfinished": True})
        del trainer
        free_memory()
    return found


def reset_peak(args: argparse.Namespace) -> None:
    """Start the peak of the GPU's memory anew, and the random numbers."""
    import torch
    from transformers import set_seed

    set_seed(42)
    if not args.tiny:
        torch.cuda.reset_peak_memory_stats()


def plain_trainer(args: argparse.Namespace, rows: Any, tokenizer: Any, scratch: str) -> Any:
    """Return TRL's own trainer with its defaults, but the batches of the others: 16 rows, 4 at a time."""
    from trl import SFTConfig, SFTTrainer

    from review_sentiment.models.loading import load_model
    from review_sentiment.models.lora import add_adapters

    chosen, (lora, _) = plan(args), settings(dropout=0.05)
    return SFTTrainer(
        model=add_adapters(load_model(base_of(args), chosen), lora),
        train_dataset=rows.remove_columns("row"),
        processing_class=tokenizer,
        args=SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
            optim="adamw_torch" if args.tiny else "paged_adamw_8bit",
            bf16=chosen.precision == "bf16",
            fp16=chosen.precision == "fp16",
            use_cpu=args.tiny,
            max_steps=1,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            learning_rate=2e-4,
        ),
    )


def timed_steps(args: argparse.Namespace, trainer: Any, rows: Any) -> dict[str, Any]:
    """Make a step on each 16 rows, longest first; return speeds, losses and the peak of memory."""
    import torch

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
        parts = [{k: v.to(device(args.tiny)) for k, v in part.items()} for part in parts]
        answers = sum((part["labels"][:, 1:] != -100).sum() for part in parts)
        began = time.perf_counter()
        loss = sum(float(trainer.training_step(trainer.model_wrapped, part, answers)) for part in parts)
        trainer.accelerator.clip_grad_norm_(model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        if not args.tiny:
            torch.cuda.synchronize()
        speeds.append(sum(len(r["input_ids"]) for r in reviews) / (time.perf_counter() - began))
        losses.append(round(loss, 4))
    return {
        "useful tokens/s": [round(speed) for speed in speeds],
        "losses": losses,
        "peak GB": None if args.tiny else round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "reserved GB": reserved_gb(),
    }


def scoring(args: argparse.Namespace) -> dict[str, Any]:
    """Count reviews a second for each token budget, and compare scored with generated answers."""
    import numpy as np
    import torch

    from review_sentiment.evaluation.audit import generate_answers
    from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
    from review_sentiment.resources.device import free_memory
    from review_sentiment.scoring import full_precision
    from review_sentiment.scoring.label_scoring import score_labels

    chosen, base, adapter = plan(args), base_of(args), args.scratch / "8b"
    tokenizer = load_tokenizer(base)
    there = adapter.is_dir()
    model = load_adapted_model(base, adapter, chosen) if there else load_model(base, chosen).eval()
    prompts = list(chats(args, rows=64 if args.tiny else 1_024, first=2_100).frame["prompt"])
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
        if not args.tiny:
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
    note(args, "scoring", found | {"unfinished": True})
    del model
    free_memory()
    # Four layers that have learned to answer with a label: does the scored answer match the generated one?
    model = load_adapted_model(base_of(args, small=True), args.scratch / "small", chosen)
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


def out_of_memory(args: argparse.Namespace) -> dict[str, Any]:
    """Start with micro-batches that are too large for the memory: they must be halved until the step fits."""
    if args.tiny:
        return {"skipped": "a GPU's"}
    with only(11.0):
        return train(
            args,
            args.scratch / "oom",
            steps=3,
            tokens_per_pass=65_536,
            batch_size=64,
            fit="ignore",
            gradient_checkpointing=False,
            validations=0,
        )


def kill(args: argparse.Namespace) -> dict[str, Any]:
    """Train ten steps without interruption, and with a kill after the fourth: the losses must be the same."""
    alone = one_life(args, "alone", None)
    one_life(args, "killed", 4)
    resumed = one_life(args, "killed", None)
    far = max(abs(a - b) for a, b in zip(alone["losses"], resumed["losses"], strict=True))
    return {"alone": alone["losses"], "killed and resumed": resumed["losses"], "largest difference": far}


def one_life(args: argparse.Namespace, name: str, killed_at: int | None) -> dict[str, Any]:
    """Train in a process of its own, to the end or until it kills itself; return its figures."""
    answer = args.scratch / f"life-{name}.json"
    child = os.fork() if args.tiny else None
    if child is None:
        command = [sys.executable, __file__, *sys.argv[1:], "--life", f"{name}:{killed_at or 0}"]
        subprocess.run(command, check=False)
    elif child == 0:
        live(args, name, killed_at or 0)
        os._exit(0)
    else:
        os.waitpid(child, 0)
    return json.loads(answer.read_text()) if killed_at is None else {}


def live(args: argparse.Namespace, name: str, killed_at: int) -> None:
    """Train ten steps with checkpoints; kill this process after step `killed_at`, if there is one."""

    def tell(step: int, _figures: Any) -> None:
        if killed_at and step == killed_at + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    found = train(
        args,
        args.scratch / f"{name}-adapter",
        steps=10,
        small=True,
        tell=tell,
        validations=0,
        store=args.scratch / f"{name}-store",
        checkpoint_steps=2,
        learning_rate=1e-3,
    )
    (args.scratch / f"life-{name}.json").write_text(json.dumps(found))


def parity(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the first FP32 loss of four layers on this device with that of the same files on the CPU."""
    import torch

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.loading import load_model, load_tokenizer
    from review_sentiment.training.rows import collate, tokenise

    base = base_of(args, small=True)
    rows = list(tokenise(chats(args, rows=4, max_tokens=128), load_tokenizer(base)))
    losses = []
    for where in ("cpu", device(args.tiny)):
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


# ---------------------------------------------------------------- the whole


def note(args: argparse.Namespace, stage: str, found: dict[str, Any]) -> None:
    """Append a stage's figures to the results."""
    with (args.out / "results.jsonl").open("a") as file:
        file.write(json.dumps({"stage": stage, **found}, default=str) + "\n")


def one_stage(args: argparse.Namespace) -> None:
    """Run one stage and note its figures or its error."""
    began = time.perf_counter()
    try:
        found = globals()[args.stage](args)
    except BaseException as error:
        note(
            args,
            args.stage,
            {
                "ok": False,
                "error": f"{type(error).__name__}: {error}"[:1500],
                "stage seconds": round(time.perf_counter() - began, 1),
            },
        )
        raise
    note(args, args.stage, {"ok": True, "stage seconds": round(time.perf_counter() - began, 1), **found})


def room_for_models() -> Path:
    """Return a directory for 16 GB of weights that stays the same for all stages."""
    memory = Path("/dev/shm")
    known = memory / "gpu_check"
    roomy = known.is_dir() or (memory.is_dir() and shutil.disk_usage(memory).free > 20e9)
    return known if roomy else Path(tempfile.gettempdir()) / "gpu_check_models"


def parsed(options: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line, with the directories that they name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, help="Where 16 GB can be written; memory where it has room.")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "gpu_check")
    parser.add_argument("--seconds", type=float, default=440)
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--stage")
    parser.add_argument("--life")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args(options)
    args.models = args.models or room_for_models()
    args.out.mkdir(parents=True, exist_ok=True)
    args.scratch.mkdir(parents=True, exist_ok=True)
    return args


def main() -> None:
    """Run the stages, each in a process with a time limit, and print the last line of each."""
    from review_sentiment.models.compute import prepare_allocation

    args = parsed()
    if args.life:
        name, at = args.life.split(":")
        live(args, name, int(at))
        return
    if args.stage:
        one_stage(args)
        return
    # As `front_door/state.py` does for a run; the stages inherit both. One GPU is enough.
    prepare_allocation(os.environ)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    until = time.monotonic() + args.seconds
    for stage in args.stages.split(","):
        left = until - time.monotonic()
        if left < 15:
            note(args, stage, {"ok": False, "error": "no time was left"})
            continue
        process = subprocess.Popen(
            [sys.executable, __file__, *sys.argv[1:], "--stage", stage], start_new_session=True
        )
        try:
            process.wait(min(STAGES[stage], left))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            note(args, stage, {"ok": False, "error": f"over its {STAGES[stage]} s"})
    last: dict[str, str] = {}
    for line in (args.out / "results.jsonl").read_text().splitlines():
        last[json.loads(line)["stage"]] = line
    print("\n".join(last.values()))
    shutil.rmtree(args.models, ignore_errors=True)


if __name__ == "__main__":
    main()
