"""A model directory that cannot be used is refused before a run, with the file and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoTokenizer

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.access import require_model
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.resources.memory import shape_from
from tests.families import COMMON, FAMILIES

WEIGHTS = "model.safetensors"


def edit(file: str, **values: Any) -> Callable[[Path], None]:
    """Return a change of a JSON file; None removes a key."""

    def change(directory: Path) -> None:
        content = json.loads((directory / file).read_text()) | values
        kept = {key: value for key, value in content.items() if value is not None}
        (directory / file).write_text(json.dumps(kept))

    return change


def write(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda directory: (directory / file).write_bytes(content) and None


def remove(file: str) -> Callable[[Path], None]:
    return lambda directory: (directory / file).unlink()


def cut(directory: Path) -> None:
    content = (directory / WEIGHTS).read_bytes()
    (directory / WEIGHTS).write_bytes(content[: len(content) // 2])


def lose_a_shard(directory: Path) -> None:
    shards = {"weight_map": {"a": WEIGHTS, "b": "model-00002-of-00002.safetensors"}}
    (directory / f"{WEIGHTS}.index.json").write_text(json.dumps(shards))


def as_torch_weights(directory: Path) -> None:
    (directory / WEIGHTS).rename(directory / "pytorch_model.bin")


def only_an_adapter(directory: Path) -> None:
    (directory / "config.json").unlink()
    (directory / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')


def without_end_token(directory: Path) -> None:
    edit("tokenizer_config.json", eos_token=None)(directory)
    for name in ("special_tokens_map.json", "generation_config.json"):
        (directory / name).unlink(missing_ok=True)


def more_tokens(directory: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens([f"<new {number}>" for number in range(9)])
    tokenizer.save_pretrained(directory)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (write("tokenizer.json", b'{"version": "1.0", "mod'), "the tokenizer in .* could not be loaded"),
        (write("tokenizer.json", b"\xff\xfe\x00"), "the tokenizer in .* could not be loaded"),
        (write("config.json", b"{"), "the configuration in .* could not be loaded"),
        (edit("config.json", model_type="nonsense"), "the configuration in .*nonsense"),
        (edit("config.json", model_type="bert", architectures=["BertForMaskedLM"]), "'bert', which does not"),
        (edit("config.json", model_type="t5", architectures=None), "'t5', which does not write"),
        (edit("config.json", model_type="mixtral", num_local_experts=8), "'mixtral', a mixture of 8 experts"),
        (edit("config.json", model_type="qwen2_moe", num_experts=4), "a mixture of 4 experts"),
        (cut, r"model\.safetensors is damaged or cut off .*again"),
        (write(WEIGHTS, b""), r"model\.safetensors is damaged or cut off"),
        (remove(WEIGHTS), r"has no weights \(\*\.safetensors\)"),
        (write(WEIGHTS, b"version https://git-lfs.github.com/spec/v1"), "a pointer of Git LFS.*git lfs pull"),
        (as_torch_weights, r"pytorch_model\.bin is damaged or cut off"),
        (edit("config.json", quantization_config={"quant_method": "gptq", "bits": 4}), "quantised already"),
        (lose_a_shard, "lacks 1 of the 2 files .*model-00002-of-00002"),
        (write(f"{WEIGHTS}.index.json", b'{"weight_map": 3}'), r"index\.json is damaged"),
        (only_an_adapter, "an adapter, not a model. Use its base model, 'some/base'"),
        (without_end_token, "no end-of-sequence token"),
        (more_tokens, r"has \d+ tokens, and the model has embeddings for \d+"),
        (remove("chat_template.jinja"), "has no chat template"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_damaged_directory_is_named_with_what_to_do(
    tiny_model: ModelIdentity, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(tiny_model.name, directory)
    base = ModelIdentity(str(directory), None, "nf4", "a model")
    assert require_model(base) == f"directory {directory}"
    damage(directory)
    with pytest.raises(ModelUnavailableError, match=message):
        require_model(base)


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_can_be_estimated_for_every_family(family: str) -> None:
    shape = shape_from(AutoConfig.for_model(family, **(COMMON | FAMILIES[family])))
    assert (shape.hidden, shape.layers, shape.heads) == (64, 2, 4)
    assert shape.intermediate in (128, 256)


@pytest.mark.parametrize("shape", ["missing", "another"])
def test_tensors_that_do_not_fit_are_never_random_numbers(
    tiny_model: ModelIdentity, tmp_path: Path, shape: str
) -> None:
    shutil.copytree(tiny_model.name, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / WEIGHTS)
    name = "model.layers.1.mlp.down_proj.weight"
    weight = tensors.pop(name)
    if shape == "another":
        tensors[name] = weight[:, :8].copy()
    save_file(tensors, tmp_path / "model" / WEIGHTS, {"format": "pt"})
    base = ModelIdentity(str(tmp_path / "model"), None, "none", "a model")
    with pytest.raises(ModelUnavailableError, match=r"1 tensors of LlamaForCausalLM .*1\.mlp\.down_proj"):
        load_model(base, plan_compute("cpu", "fp32"))


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelUnavailableError, match=r"model\.gguf is a file. Use a directory"):
        require_model(ModelIdentity(str(tmp_path / "model.gguf"), None, "nf4", "a model"))
