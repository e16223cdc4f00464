"""Load tokenizer, configuration, base model and adapted model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import ModelUnavailableError, first_line
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity, require_same_files
from review_sentiment.models.compute import ComputePlan

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(base: ModelIdentity) -> PreTrainedTokenizerBase:
    """Load the tokenizer, with a padding token.

    Raises:
        ModelUnavailableError: the model is not available, or has no chat template.
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


def load_configuration(base: ModelIdentity) -> Any:
    """Load only the configuration of the model.

    Raises:
        ModelUnavailableError: the model is not available.
    """
    from transformers import AutoConfig

    location, options = _location(base)
    try:
        return AutoConfig.from_pretrained(location, **options)
    except (OSError, ValueError) as error:
        raise _unavailable(base, error) from error


def load_model(base: ModelIdentity, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model, quantised if its identity says so.

    Raises:
        ModelUnavailableError: the model is not available.
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
    """Prevent 4-bit layers from repacking their weights for inference on some CPUs.

    On CPUs with AVX512-BF16, bitsandbytes 0.50.2 repacks the weight at the first forward pass without
    gradients, and from then on takes a branch without autograd: 150 of 210 LoRA tensors had no gradient after
    an evaluation, without any error. Training is also faster without the repacking.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def load_adapted_model(base: ModelIdentity, adapter: Path, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model with a trained adapter, ready to score."""
    from peft import PeftModel

    from review_sentiment.models.fused_lora import fuse_adapters
    from review_sentiment.models.lean_layers import lighten

    model = PeftModel.from_pretrained(load_model(base, plan), str(adapter))
    fuse_adapters(model)
    lighten(model)
    return model.eval()


def _location(base: ModelIdentity) -> tuple[str, dict[str, Any]]:
    """Return the arguments of `from_pretrained`: a directory or Hub name, and its options.

    Raises:
        ModelUnavailableError: the files on this machine are not those that the identity names.
    """
    require_same_files(base)
    if base.name == EMBEDDED:
        return str(embedded_model.model_directory()), {}
    return base.name, {"revision": base.revision} if base.revision and not base.files else {}


def _nf4(plan: ComputePlan) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=plan.dtype,
    )


def _unavailable(base: ModelIdentity, error: Exception) -> ModelUnavailableError:
    return ModelUnavailableError(
        f"The model '{base.name}' could not be loaded: {first_line(error)} "
        "Check model.name and model.revision. For a gated model of the Hub: accept its terms on its "
        "page, then sign in with `hf auth login` or set HF_TOKEN."
    )
