"""Check the files of a model directory before a run has paid for finding them damaged.

Five libraries read these files, and each fails in its own way, most of them without naming the file.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from review_sentiment.errors import ModelUnavailableError, first_line
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.loading import load_configuration, load_tokenizer

CONFIGURATION, ADAPTER = "config.json", "adapter_config.json"
INDEX, WEIGHTS = "model.safetensors.index.json", "*.safetensors"
LFS_POINTER, PICKLE = b"version https://git-lfs", b"\x80"


def require_usable_files(base: ModelIdentity) -> None:
    """Read everything in a model directory but the numbers: configuration, tokenizer, headers of the weights.

    Raises:
        ModelUnavailableError: a file is missing or damaged, or this is not a model that can be trained.
    """
    directory = Path(base.name)
    if not (directory / CONFIGURATION).is_file():
        raise ModelUnavailableError(f"model.name: the directory {directory} {_what_it_is(directory)}")
    configuration = load_configuration(base)
    tokens, rows = len(load_tokenizer(base)), configuration.get_text_config().vocab_size
    if tokens > rows:
        raise ModelUnavailableError(
            f"model.name: the tokenizer in {directory} has {tokens:,} tokens, and the model has embeddings "
            f"for {rows:,}, so some reviews cannot be read. Use the tokenizer that the model was trained "
            "with, or save the model again after `model.resize_token_embeddings(len(tokenizer))`."
        )
    for file in _weight_files(directory):
        _require_complete(file)


def _what_it_is(directory: Path) -> str:
    advice = "Use a directory that `save_pretrained` wrote."
    if not (directory / ADAPTER).is_file():
        return f"has no {CONFIGURATION}. {advice}"
    base = json.loads((directory / ADAPTER).read_bytes()).get("base_model_name_or_path")
    return f"has an adapter, not a model. Use its base model, '{base}', or merge the two first."


def _weight_files(directory: Path) -> list[Path]:
    index = directory / INDEX
    if not index.is_file():
        found = sorted(directory.glob(WEIGHTS)) or sorted(directory.glob("pytorch_model*.bin"))
        if not found:
            raise ModelUnavailableError(
                f"model.name: the directory {directory} has no weights ({WEIGHTS}). Download the model again."
            )
        return found
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailableError(
            f"model.name: {index} is damaged ({first_line(error)}). Download or save the model again."
        ) from error
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise ModelUnavailableError(
            f"model.name: {directory} lacks {len(missing)} of the {len(names)} files that {INDEX} lists: "
            f"{', '.join(missing[:3])}. Download the model again."
        )
    return [directory / name for name in names]


def _require_complete(file: Path) -> None:
    """Read the header of a file of weights; it says how long the file must be."""
    from safetensors import SafetensorError, safe_open

    with file.open("rb") as content:
        start = content.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise ModelUnavailableError(
            f"model.name: {file} is a pointer of Git LFS, not the weights. Run `git lfs pull` in "
            f"{file.parent}."
        )
    if file.suffix != ".safetensors":
        # torch (since 1.6) writes a zip archive, whose directory is at its end; before, a pickle.
        if not zipfile.is_zipfile(file) and start[:1] != PICKLE:
            raise ModelUnavailableError(
                f"model.name: {file} is damaged or cut off. Download or copy it again."
            )
        return
    try:
        with safe_open(file, "pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelUnavailableError(
            f"model.name: {file} is damaged or cut off ({first_line(error)}). Download or copy it again."
        ) from error
