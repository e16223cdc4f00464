"""The one place that decides how a model runs here: device, precision, attention, optimizer."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ComputePlan:
    """How a model is computed on this machine."""

    device: str
    precision: str
    attention: str
    optimizer: str
    gradient_checkpointing: bool
    packs_rows: bool

    @property
    def dtype(self) -> torch.dtype:
        """Return the torch type of the precision."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[self.precision]

    def dequantises_once(self, wanted: bool | Literal["auto"]) -> bool:
        """Return whether a training keeps its 4-bit weights dequantised as well.

        Doing it again in each pass was a tenth of a training step on a CPU; on a GPU it is
        memory that is short (2 bytes a weight).
        """
        return self.device == "cpu" if wanted == "auto" else wanted

    def checkpoints_activations(self, wanted: bool | Literal["auto"]) -> bool:
        """Return whether activations are computed again; `auto` leaves it to the plan."""
        return self.gradient_checkpointing if wanted == "auto" else wanted

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which FP32 adapters are computed in the plan's precision."""
        import torch

        return torch.autocast(self.device, dtype=self.dtype, enabled=self.precision != "fp32")

    def describe(self) -> dict[str, str]:
        """Return the plan as strings, for parameters and cards."""
        return {key: str(value) for key, value in asdict(self).items()}


def plan_compute(device: str = "auto", precision: str = "auto") -> ComputePlan:
    """Choose device, precision, attention and optimiser for this machine.

    On the CPU eager attention is taken: the backward pass of the CPU's SDPA
    takes a quarter of a training step at the length of a review (552 against
    461 tokens a second with batches of 8 x 96 on two AMX cores).

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "model.device is 'cuda', but torch sees no GPU here. Check `nvidia-smi` and that torch "
            f"is a CUDA build (this is {torch.__version__}), or set model.device=auto."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if precision == "auto":
            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return gpu_plan(precision)
    if precision == "auto":
        precision = "bf16" if _cpu_is_fast_at_bf16() else "fp32"
    if precision == "fp16":
        raise UsageError("model.precision is 'fp16', which needs a GPU. Use bf16, fp32 or auto.")
    return ComputePlan(
        "cpu", precision, "eager", "adamw_torch_fused", gradient_checkpointing=False, packs_rows=True
    )


def gpu_plan(precision: str) -> ComputePlan:
    """Return how a model is computed on a GPU, also one that is not in this machine."""
    return ComputePlan(
        "cuda", precision, "sdpa", "paged_adamw_8bit", gradient_checkpointing=True, packs_rows=False
    )


def _cpu_is_fast_at_bf16() -> bool:
    """BF16 pays with matrix units only; elsewhere it is emulated and slower than FP32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
