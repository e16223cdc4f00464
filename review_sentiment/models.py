"""Base models: which one, on which device, in which precision. The one place that decides.

Everything behind it is the same code on a CPU and on a GPU.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from review_sentiment import embedded_model
from review_sentiment.errors import ModelUnavailableError, UsageError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.config import ModelSettings

EMBEDDED = "embedded"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseModel:
    """Who a base model is, so that an adapter can find it again on another machine.

    `name` is `embedded`, a directory or a Hub name; `title` is for people.
    """

    name: str
    revision: str | None
    quantization: str
    title: str


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


def identify(settings: ModelSettings) -> BaseModel:
    """Return the identity of the model that the settings name."""
    if settings.name == EMBEDDED:
        return BaseModel(EMBEDDED, embedded_model.revision(), settings.quantization, embedded_model.IDENTITY)
    return BaseModel(settings.name, settings.revision, settings.quantization, settings.name)


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


def load_tokenizer(base: BaseModel) -> PreTrainedTokenizerBase:
    """Load the tokenizer, with a padding token.

    Raises:
        ModelUnavailableError: the model is not there, or has no chat template.
    """
    from transformers import AutoTokenizer

    location, options = _location(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
    except (OSError, ValueError) as error:
        raise _unavailable(base, error) from error
    if not tokenizer.chat_template:
        raise ModelUnavailableError(f"{base.title} has no chat template. Choose an instruction-tuned model.")
    if tokenizer.pad_token is None:
        vocabulary = tokenizer.get_vocab()
        reserved = "<|finetune_right_pad_id|>"  # Llama 3.1 keeps it for padding
        tokenizer.pad_token = reserved if reserved in vocabulary else tokenizer.eos_token
    return tokenizer


def load_configuration(base: BaseModel) -> Any:
    """Load the model's configuration alone.

    Raises:
        ModelUnavailableError: the model is not there.
    """
    from transformers import AutoConfig

    location, options = _location(base)
    try:
        return AutoConfig.from_pretrained(location, **options)
    except (OSError, ValueError) as error:
        raise _unavailable(base, error) from error


def load_model(base: BaseModel, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model, quantised where its identity says so.

    Raises:
        ModelUnavailableError: the model is not there.
    """
    from transformers import AutoModelForCausalLM

    location, options = _location(base)
    if base.quantization == "nf4":
        options["quantization_config"] = _nf4(plan)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            location,
            dtype=plan.dtype,
            attn_implementation=plan.attention,
            device_map={"": plan.device},
            **options,
        )
    except (OSError, ValueError) as error:
        raise _unavailable(base, error) from error
    keep_gradients_after_inference(model)
    model.config.use_cache = False
    return model


def keep_gradients_after_inference(model: torch.nn.Module) -> None:
    """Stop 4-bit layers from repacking their weights for inference on some CPUs.

    On CPUs with AVX512-BF16 bitsandbytes 0.50.2 repacks the weight at the first
    forward without gradients and then takes a branch without autograd for good:
    150 of 210 LoRA tensors got no gradient after an evaluation, and nothing was
    raised. Without the repacking training is faster as well.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def load_adapted_model(base: BaseModel, adapter: Path, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model with a trained adapter, ready to score."""
    from peft import PeftModel

    from review_sentiment.fused_lora import fuse_adapters
    from review_sentiment.lean_layers import lighten

    model = PeftModel.from_pretrained(load_model(base, plan), str(adapter))
    fuse_adapters(model)
    lighten(model)
    return model.eval()


def free_memory() -> None:
    """Give the memory of models that are no longer used back to the system and the GPU.

    Models hold reference cycles, so that only a collection frees them, and
    glibc keeps what was freed: after training that was 1.1 GB (embedded model).
    """
    import ctypes
    import gc
    import sys

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def _location(base: BaseModel) -> tuple[str, dict[str, Any]]:
    """Return what `from_pretrained` takes: a directory or Hub name, and its options."""
    if base.name == EMBEDDED:
        return str(embedded_model.model_directory()), {}
    return base.name, {"revision": base.revision} if base.revision else {}


def _nf4(plan: ComputePlan) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=plan.dtype,
    )


def _unavailable(base: BaseModel, error: Exception) -> ModelUnavailableError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelUnavailableError(
        f"The model '{base.name}' cannot be loaded: {first_line} "
        "Check model.name and model.revision. For a gated model of the Hub: accept its terms on its "
        "page, then sign in with `hf auth login` or set HF_TOKEN."
    )
