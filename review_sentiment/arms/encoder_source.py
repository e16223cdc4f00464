"""Which encoder the arms use, and its files: the embedded one, a directory, or a model of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import ModelUnavailableError, first_line
from review_sentiment.fingerprints import combined
from review_sentiment.models import embedded_encoder
from review_sentiment.models.access import commit_of, require_on_hub
from review_sentiment.models.base_model import EMBEDDED, ModelIdentity, files_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTING = "arms.encoder"
NOT_USED = "pooler."
"""Start of the names of weights that mean pooling does not need, and that some encoders come without."""


def identify_encoder(name: str = EMBEDDED, revision: str | None = None) -> ModelIdentity:
    """Return the identity of an encoder by its name, with a commit for a branch of the Hub.

    Raises:
        ModelUnavailableError: it is not available, or its files are not those of `revision`.
        DataError: a file cannot be read.
    """
    if not (files := _files(name)):
        base = ModelIdentity(name, revision, "none", name)
        require_on_hub(base, SETTING)
        return ModelIdentity(name, commit_of(base, SETTING), "none", name)
    title = embedded_encoder.IDENTITY if name == EMBEDDED else name
    if revision not in (None, found := combined(files)):
        raise ModelUnavailableError(
            f"{SETTING}: the files of the encoder {title} have the fingerprint '{found}', not '{revision}': "
            "they changed since the start of the run. Run again."
        )
    return ModelIdentity(name, found, "none", title, files)


def load_files(encoder: ModelIdentity) -> tuple[Any, PreTrainedModel]:
    """Return tokenizer and model of an encoder, in FP32 on the CPU, without dropout.

    Raises:
        ModelUnavailableError: it is not available, not an encoder, damaged, or not the one identified.
    """
    if encoder.files and _files(encoder.name) != encoder.files:
        raise ModelUnavailableError(
            f"{SETTING}: the files of the encoder {encoder.title} changed since the start of the run. "
            "Run again."
        )
    if encoder.name == EMBEDDED:
        return load_directory(embedded_encoder.model_directory())
    return _load(encoder.name, encoder.title, revision=None if encoder.files else encoder.revision)


def load_directory(directory: Path) -> tuple[Any, PreTrainedModel]:
    """Return tokenizer and model in a directory, as `load_files`.

    Raises:
        ModelUnavailableError: it has no encoder, or a damaged one.
    """
    return _load(str(directory), str(directory))


def _files(name: str) -> tuple[tuple[str, str], ...]:
    return embedded_encoder.package_files() if name == EMBEDDED else files_in(name)


def _load(location: str, title: str, revision: str | None = None) -> tuple[Any, PreTrainedModel]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    # Without this, transformers asks at the terminal whether to run code that comes with a model.
    options = {"trust_remote_code": False, "revision": revision}
    try:
        configuration = AutoConfig.from_pretrained(location, **options)
        _require_encoder(title, configuration)
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        model, found = AutoModel.from_pretrained(
            location, config=configuration, dtype=torch.float32, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelUnavailableError(
            f"{SETTING}: {title} has no encoder that can be loaded: {first_line(error)}. Use a directory "
            f"that `save_pretrained` wrote, with its tokenizer, or {SETTING}={EMBEDDED}."
        ) from error
    # transformers fills these tensors with random numbers, and only warns.
    random = sorted(name for name in found["missing_keys"] if not name.startswith(NOT_USED))
    if random:
        raise ModelUnavailableError(
            f"{SETTING}: the weights of {title} do not belong to its config.json: {len(random)} tensors of "
            f"{type(model).__name__} are missing, such as {random[0]}. Download or save the encoder again."
        )
    return tokenizer, model.eval()


def _require_encoder(title: str, configuration: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    reads_both_ways = configuration.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not (
        configuration.is_encoder_decoder or getattr(configuration, "is_decoder", False)
    )
    if not reads_both_ways:
        raise ModelUnavailableError(
            f"{SETTING}: {title} is a model of the type '{configuration.model_type}', which is not an "
            "encoder. Choose one that was trained with masked words: BERT, RoBERTa, MPNet, ModernBERT, ..."
        )
