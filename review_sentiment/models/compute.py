"""The one place that decides how a model runs on this machine: device, precision, attention, optimizer.

Everything behind it is the same code on a CPU and on a GPU. A plan carries the reason for each choice, so
that a run can print them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from review_sentiment.errors import UsageError
from review_sentiment.models.cpu_speed import bf16_speed_up
from review_sentiment.models.gpu_driver import unusable_gpu

if TYPE_CHECKING:
    import torch

Auto = Literal["auto"]
ALLOCATION = "PYTORCH_ALLOC_CONF"
ALLOCATION_SETTINGS = "expandable_segments:True"
"""Batches differ in width, so freed blocks rarely fit the next batch. Segments that can grow are not left
with holes. PyTorch reads the variable when CUDA starts; `PYTORCH_CUDA_ALLOC_CONF` is its older name."""
MIN_BF16_SPEED_UP = 1.2
"""From which on `auto` takes BF16 on a CPU: it is less exact, and near ties are scored again in FP32."""
PACKS_ROWS = "no padding, and the shared start of the prompts is computed once"
FLASH_CAPABILITY = (8, 0)
"""Compute capability that PyTorch's FlashAttention needs (Ampere). Every GPU with native BF16 has it."""


def prepare_allocation(environment: MutableMapping[str, str]) -> None:
    """Let PyTorch's CUDA allocator grow its segments, unless the user configures it."""
    if "PYTORCH_CUDA_ALLOC_CONF" not in environment:
        environment.setdefault(ALLOCATION, ALLOCATION_SETTINGS)


@dataclass(frozen=True)
class ComputePlan:
    """How a model is computed: choices, and the reason for each by its name."""

    device: str
    precision: str
    attention: str
    optimizer: str
    gradient_checkpointing: bool
    packs_rows: bool
    capability: tuple[int, int] | None = None
    """Compute capability of the GPU, such as (8, 0); None on a CPU."""
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """Return the torch type of the precision."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[self.precision]

    @property
    def placement(self) -> str:
        """Return the device with its index, such as `cuda:1`: the GPU that this process has chosen.

        A name without an index is not the same to everyone: safetensors reads `cuda` as `cuda:0`, so the
        weights of all processes would be on the first GPU while they load.
        """
        import torch

        return f"cuda:{torch.cuda.current_device()}" if self.device == "cuda" else self.device

    def without(self, disabled: Collection[str], reason: str = "training.disable") -> ComputePlan:
        """Return the plan without those speed-ups of `training.disable` that a plan knows."""
        changes: dict[str, Any] = {}
        if "packing" in disabled:
            changes["packs_rows"] = False
        if "fused_optimizer" in disabled:
            changes["optimizer"] = "adamw_torch"
        reasons = {**self.reasons, **dict.fromkeys(changes, reason)}
        return replace(self, **changes, reasons=reasons)

    @property
    def packed_attention(self) -> tuple[str, str]:
        """Return the kernel that attends over packed rows, `blocks` or `varlen`, and why."""
        if self.capability is None:
            return "blocks", "a CPU has no kernel for rows of different lengths"
        if self.precision == "fp32":
            return "blocks", "FlashAttention does not compute FP32"
        if self.capability < FLASH_CAPABILITY:
            major, minor = self.capability
            return "blocks", f"FlashAttention needs compute capability 8.0, and this GPU has {major}.{minor}"
        from review_sentiment.models import varlen_attention  # it imports torch

        if not varlen_attention.is_available():
            oldest = ".".join(map(str, varlen_attention.OLDEST_TORCH))
            return "blocks", f"FlashAttention for rows of different lengths needs torch {oldest} or newer"
        return "varlen", "FlashAttention needs no padding and keeps no probabilities"

    def dequantises_once(self, wanted: bool | Auto) -> bool:
        """Return whether training keeps a dequantised copy of the 4-bit weights.

        Dequantising them again in each micro-batch took a tenth of a training step on a CPU. On a GPU,
        memory is the scarcer resource: the copy takes 2 bytes a weight.
        """
        return self.device == "cpu" if wanted == "auto" else wanted

    def checkpoints_activations(self, wanted: bool | int | Auto) -> bool | int:
        """Return whether activations are recomputed, or in every how many layers; `auto` is the plan's."""
        return self.gradient_checkpointing if wanted == "auto" else wanted

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which FP32 adapters are computed in the plan's precision."""
        import torch

        return torch.autocast(self.device, dtype=self.dtype, enabled=self.precision != "fp32")

    def describe(self) -> dict[str, str]:
        """Return the choices as strings, for MLflow's parameters and for model cards."""
        return {name: str(value) for name, value in asdict(self).items() if name != "reasons"}


def plan_compute(device: str = "auto", precision: str = "auto") -> ComputePlan:
    """Choose device, precision, attention and optimizer for this machine.

    Raises:
        UsageError: the settings ask for a GPU and there is none, or for FP16 on a CPU; or torch cannot use
            the GPU that is there.
    """
    import torch

    # A refusal also for `auto`: on the CPU, a training of minutes takes hours, and the cure is one command.
    if device != "cpu" and (problem := unusable_gpu()):
        raise UsageError(
            f"{problem} To use the CPU on purpose, set model.device=cpu, or CUDA_VISIBLE_DEVICES=-1 in the "
            "environment."
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "model.device is 'cuda', but torch does not see a GPU. Check `nvidia-smi` and that torch "
            f"is a CUDA build (this is {torch.__version__}), or set model.device=auto."
        )
    why_device = _seen_gpus() if torch.cuda.is_available() else "torch does not see a GPU"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    else:
        why_device = f"model.device={device}"
    why_precision = f"model.precision={precision}"
    if precision == "auto":
        precision, why_precision = _gpu_precision() if device == "cuda" else _cpu_precision()
    reasons = {"device": why_device, "precision": why_precision}
    if device == "cuda":
        return replace(gpu_plan(precision, reasons), capability=torch.cuda.get_device_capability())
    if precision == "fp16":
        raise UsageError("model.precision is 'fp16', which needs a GPU. Use bf16, fp32 or auto.")
    return ComputePlan(
        "cpu",
        precision,
        "eager",
        "adamw_torch_fused",
        gradient_checkpointing=False,
        packs_rows=True,
        reasons=reasons
        | {
            # 552 against 461 tokens a second with batches of 8 x 96 on two AMX cores.
            "attention": "the backward pass of SDPA on a CPU takes a quarter of a training step",
            "optimizer": "one fused kernel for all adapters",
            "gradient_checkpointing": "memory is not scarce, and recomputing costs a third of the time",
            "packs_rows": PACKS_ROWS,
        },
    )


def gpu_plan(precision: str, reasons: Mapping[str, str] | None = None) -> ComputePlan:
    """Return how a model is computed on a GPU, which need not be in this machine."""
    return ComputePlan(
        "cuda",
        precision,
        "sdpa",
        "adamw_torch_fused",
        gradient_checkpointing=True,
        packs_rows=True,
        capability=FLASH_CAPABILITY if precision == "bf16" else (7, 5),
        reasons={
            **(reasons or {}),
            "attention": "PyTorch picks the fastest kernel that the GPU has",
            # QLoRA pages 8-bit moments. Those of adapters are small in FP32 too (0.34 GB for an 8B at rank
            # 16), and bitsandbytes' optimizers keep a reference to the embedding after the model is gone.
            "optimizer": "one fused kernel for all adapters, whose states are small",
            "gradient_checkpointing": "memory is scarce on a GPU",
            "packs_rows": PACKS_ROWS,
        },
    )


def require_gpus(processes: int, gpus: int) -> None:
    """Check that each process of a training has a GPU of its own.

    Raises:
        UsageError: there are more processes than GPUs.
    """
    if processes > gpus:
        raise UsageError(
            f"training.processes is {processes}, and each needs a GPU: a step sees {gpus}. Set "
            f"training.processes={max(1, gpus)}, or check CUDA_VISIBLE_DEVICES and the GPUs of the step "
            "operator in stacks/."
        )


def _seen_gpus() -> str:
    import torch

    count = torch.cuda.device_count()
    if count == 1:
        return "torch sees a GPU"
    # The first one, not the one with the most free memory: transformers sets `cuda:0` as the device of a
    # process on its own, and the weights and our readings must be where it computes.
    return f"cuda:0, the first of {count}; training.processes uses more, CUDA_VISIBLE_DEVICES chooses others"


def _gpu_precision() -> tuple[str, str]:
    import torch

    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "the GPU computes BF16 natively"
    return "fp16", "the GPU does not compute BF16 natively"


def _cpu_precision() -> tuple[str, str]:
    """BF16 needs the right instructions, without which it is emulated, and a CPU that is fast at them."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    if not (capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")):
        return "fp32", "the CPU has no BF16 instructions"
    speed_up = bf16_speed_up()
    why = f"matrix products in BF16 have {speed_up:.1f} times the speed of FP32 on this CPU"
    return ("bf16" if speed_up >= MIN_BF16_SPEED_UP else "fp32"), why
