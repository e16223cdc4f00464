"""Load tokenizer, configuration, base model and adapted model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import ModelUnavailableError, first_line, is_out_of_memory
from review_sentiment.models import embedded_model, quantised_copy
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity, require_same_files
from review_sentiment.models.compute import ComputePlan
from review_sentiment.models.lora import has_head, linear_layers
from review_sentiment.models.shared_cores import share_cores_during

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""What configurations of transformers call the number of experts."""


def load_tokenizer(base: ModelIdentity, *, without_torch: bool = False) -> PreTrainedTokenizerBase:
    """Load the tokenizer, with a padding token.

    AutoTokenizer imports PyTorch to find the tokenizer's class: 3 s and 200 MB. `without_torch`, the
    tokenizer.json of a directory is read as it is; it has the same tokens.

    Raises:
        ModelUnavailableError: the model is not available, or has no chat template or end-of-sequence token.
    """
    location, options = _location(base)
    try:
        if without_torch and (Path(location) / "tokenizer.json").is_file():
            from transformers import PreTrainedTokenizerFast

            tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(location, **options)
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(location, **options)
    except Exception as error:  # tokenizers raises a bare Exception for a file that it cannot read
        raise _unavailable(base, error, "tokenizer") from error
    if not tokenizer.chat_template:
        raise ModelUnavailableError(f"{base.title} has no chat template. Choose an instruction-tuned model.")
    if tokenizer.eos_token is None:
        raise ModelUnavailableError(
            f"The tokenizer of {base.title} has no end-of-sequence token, which ends every answer. Set "
            "`eos_token` in its tokenizer_config.json to the token that the chat template ends a turn with."
        )
    if tokenizer.pad_token is None:
        vocabulary = tokenizer.get_vocab()
        reserved = "<|finetune_right_pad_id|>"  # Llama 3.1 keeps it for padding
        tokenizer.pad_token = reserved if reserved in vocabulary else tokenizer.eos_token
    return tokenizer


def load_configuration(base: ModelIdentity) -> Any:
    """Load only the configuration of the model.

    Raises:
        ModelUnavailableError: the model is not available, or it cannot be trained.
    """
    from transformers import AutoConfig

    location, options = _location(base)
    try:
        configuration = AutoConfig.from_pretrained(location, **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unavailable(base, error, "configuration") from error
    _require_trainable(base, configuration)
    return configuration


def _require_trainable(base: ModelIdentity, configuration: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    shown = f"{base.title} is a model of the type '{configuration.model_type}'"
    generates = configuration.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and all(
        name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))
        for name in configuration.architectures or ()
    )
    if configuration.is_encoder_decoder or not generates:
        raise ModelUnavailableError(
            f"{shown}, which does not write text from left to right: its answers cannot be scored. Choose an "
            "instruction-tuned causal language model; docs/training.md lists the families that are tested."
        )
    if getattr(configuration, "quantization_config", None):
        raise ModelUnavailableError(
            f"{shown}, and its weights are quantised already. Choose the unquantised model: it is quantised "
            "while it is loaded (model.quantization)."
        )
    text = configuration.get_text_config()
    experts = max((getattr(text, name, None) or 0 for name in EXPERT_COUNTS), default=0)
    if experts > 1:
        raise ModelUnavailableError(
            f"{shown}, a mixture of {experts} experts. Its experts would get no adapter and stay in full "
            "precision, although they are most of its weights. Choose a dense model."
        )


def load_model(base: ModelIdentity, plan: ComputePlan) -> PreTrainedModel:
    """Load the base model, quantised if its identity says so; from its 4-bit copy if there is one.

    Raises:
        ModelUnavailableError: the model is not available.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    location, options = _location(base)
    configuration = load_configuration(base)
    model_class = AutoModelForCausalLM._model_mapping[type(configuration)]
    # GPT-J, BLOOM and Gemma 2, whose attention caps its scores, have no fused kernel.
    attention = plan.attention if plan.attention != "sdpa" or model_class._supports_sdpa else "eager"
    copy = quantised_copy.place_of(base, plan)
    copied = copy is not None and quantised_copy.is_complete(copy)
    if not copied:
        options["config"] = configuration
        if base.quantization == "nf4":
            options["quantization_config"] = _nf4(plan)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            copy if copied else location,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named below, with those that are missing
            dtype=plan.dtype,
            attn_implementation=attention,
            device_map={"": plan.placement},
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise _unavailable(base, error, "weights") from error
    # transformers fills these tensors with random numbers, and only warns.
    random = sorted(found["missing_keys"]) + sorted(name for name, *_ in found["mismatched_keys"])
    if random:
        raise ModelUnavailableError(
            f"The weights of {base.title} do not belong to its config.json: {len(random)} tensors of "
            f"{type(model).__name__} are missing or have another shape, such as {random[0]}. Download or "
            "save the model again."
        )
    if base.quantization == "nf4":
        _require_quantised(base, model)
        if copied:
            model.name_or_path = model.config._name_or_path = location  # adapters name the original
        elif copy is not None:
            quantised_copy.keep(model, copy)
        _release_file(model)
    keep_gradients_after_inference(model)
    if plan.device == "cpu":
        share_cores_during(model)
    model.config.use_cache = False
    return model


def _release_file(model: PreTrainedModel) -> None:
    """Copy the weights that are views of the mapped file: one of them keeps all of it in memory.

    These are the few that are not quantised and have the file's type. For the embedded model in FP32 that
    frees 0.4 GB. On a GPU the weights are copies already.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.device.type == "cpu":
            parameter.data = parameter.data.clone()


def _require_quantised(base: ModelIdentity, model: PreTrainedModel) -> None:
    """Check that every layer is in 4 bits: transformers leaves out classes it does not know, and warns."""
    from bitsandbytes.nn import Linear4bit

    left = [name for name, layer in linear_layers(model).items() if not isinstance(layer, Linear4bit)]
    if left:
        raise ModelUnavailableError(
            f"{base.title}: {len(left)} layers of {type(model).__name__}, such as {left[0]}, cannot be "
            "quantised to 4 bits. Set model.quantization=none, or choose another model."
        )


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
    """Load the base model with a trained adapter and its classification head, if any, ready to score.

    Raises:
        ModelUnavailableError: the base model is not available, or the head is damaged.
    """
    from peft import PeftModel

    from review_sentiment.models.fused_lora import fuse_adapters
    from review_sentiment.models.label_head import load_head, use_head
    from review_sentiment.models.lean_layers import lighten

    model = PeftModel.from_pretrained(load_model(base, plan), str(adapter))
    if has_head(adapter):
        use_head(model, load_head(adapter, model.device))
    fuse_adapters(model)
    lighten(model)
    return model.eval()


def _location(base: ModelIdentity) -> tuple[str, dict[str, Any]]:
    """Return the arguments of `from_pretrained`: a directory or Hub name, and its options.

    Raises:
        ModelUnavailableError: the files on this machine are not those that the identity names.
    """
    require_same_files(base)
    # Without this, transformers asks at the terminal whether to run code that comes with a model.
    options: dict[str, Any] = {"trust_remote_code": False}
    if base.name == EMBEDDED:
        return str(embedded_model.model_directory()), options
    return base.name, options | ({"revision": base.revision} if base.revision and not base.files else {})


def local_directory(base: ModelIdentity) -> Path:
    """Return the directory on this machine from which a model was loaded.

    Raises:
        ModelUnavailableError: the files on this machine are not those that the identity names.
    """
    from huggingface_hub import snapshot_download

    place, options = _location(base)
    if Path(place).is_dir():
        return Path(place)
    return Path(snapshot_download(place, revision=options.get("revision"), local_files_only=True))


def _nf4(plan: ComputePlan) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=plan.dtype,
    )


def _unavailable(base: ModelIdentity, error: Exception, part: str) -> ModelUnavailableError | MemoryError:
    if is_out_of_memory(error):  # a file of weights that could not be mapped into memory
        return MemoryError(first_line(error))
    if Path(base.name).is_dir():
        return ModelUnavailableError(
            f"model.name: the {part} in {base.name} could not be loaded: {first_line(error)}. Download or "
            "save the model again, or choose another one."
        )
    return ModelUnavailableError(
        f"The {part} of '{base.name}' could not be loaded: {first_line(error)} "
        "Check model.name and model.revision. For a gated model of the Hub: accept its terms on its "
        "page, then sign in with `hf auth login` or set HF_TOKEN."
    )
