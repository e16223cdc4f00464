"""Merging layer by layer writes what merging the whole model writes, bit for bit, in bounded memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from review_sentiment.config import LoraSettings
from review_sentiment.models import merging
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_adapted_model, load_model
from review_sentiment.models.lora import add_adapters, save_adapter
from tests.tiny import move_adapters


def adapter_of(base: ModelIdentity, directory: Path, **settings: Any) -> None:
    """Write an adapter with an update that is not zero."""
    model = add_adapters(load_model(base, plan_compute("cpu", "fp32")), LoraSettings(rank=4, **settings))
    torch.manual_seed(0)
    move_adapters(model, std=0.1)
    save_adapter(model, base, directory)


def written(directory: Path) -> dict[str, torch.Tensor]:
    files = directory.glob("*.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("quantization", "settings"),
    [("nf4", {}), ("none", {}), ("nf4", {"dora": True}), ("nf4", {"targets": ("q_proj", "down_proj")})],
)
def test_every_bit_is_that_of_the_whole_merge(
    tiny_model: ModelIdentity, tmp_path: Path, precision: str, quantization: str, settings: dict[str, Any]
) -> None:
    base, plan = replace(tiny_model, quantization=quantization), plan_compute("cpu", precision)
    adapter_of(base, tmp_path / "adapter", **settings)
    model: Any = load_model(base, plan)
    if quantization == "nf4":
        model = model.dequantize(dtype=plan.dtype)
    whole = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).merge_and_unload().eval()
    whole.save_pretrained(tmp_path / "whole")
    adapted: Any = load_adapted_model(base, tmp_path / "adapter", plan)
    merging.write_merged(adapted, plan.dtype, tmp_path / "merged")
    expected, found = written(tmp_path / "whole"), written(tmp_path / "merged")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == found[name].dtype, name
        assert torch.equal(tensor, found[name]), name
    for file in ("config.json", "generation_config.json"):
        one, other = (json.loads((tmp_path / of / file).read_text()) for of in ("whole", "merged"))
        assert one == other

    if precision == "fp32":  # our norms and gated layers round differently
        ids = torch.arange(3, 40)[None]
        merging.answer_as_merged(adapted, plan.dtype)
        with torch.inference_mode():
            torch.testing.assert_close(adapted(ids).logits, whole(ids).logits, rtol=0, atol=1e-3)


def test_no_more_than_a_file_is_held(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter_of(tiny_model, tmp_path / "adapter")
    plan = plan_compute("cpu", "fp32")
    adapted: Any = load_adapted_model(tiny_model, tmp_path / "adapter", plan)
    largest = max(parameter.numel() for parameter in adapted.get_base_model().parameters()) * 4
    monkeypatch.setattr(merging, "SHARD_BYTES", largest)
    merging.write_merged(adapted, plan.dtype, tmp_path / "merged")
    files = list((tmp_path / "merged").glob("*.safetensors"))
    assert len(files) > 2
    for file in files:
        assert sum(tensor.nbytes for tensor in load_file(file).values()) <= largest
    index = json.loads((tmp_path / "merged" / merging.INDEX).read_text())
    assert set(index["weight_map"]) == set(written(tmp_path / "merged"))
    load_model(ModelIdentity(str(tmp_path / "merged"), None, "none", "merged"), plan)
