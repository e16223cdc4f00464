"""A 4-bit model is kept, and loading the copy is the same as quantising the original."""

from __future__ import annotations

import logging
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from review_sentiment.config import LoraSettings
from review_sentiment.models import quantised_copy
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import gpu_plan, plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.quantised_copy import is_complete, place_of

TOKENS = torch.arange(3, 43)[None]


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the place of the tiny model's copy, with room for it whatever this machine's disk has."""
    place = tmp_path / "quantised" / "tiny"
    monkeypatch.setattr(quantised_copy, "place_of", lambda _base, _plan: place)
    monkeypatch.setattr(quantised_copy, "SPARE_BYTES", 0)
    return place


def answers(model: Any) -> list[torch.Tensor]:
    """Return logits, and the gradients of new adapters."""
    torch.manual_seed(1)
    adapted = add_adapters(model, LoraSettings(rank=4))
    found = adapted(TOKENS, labels=TOKENS)
    found.loss.backward()
    gradients = [parameter.grad for _, parameter in adapted.named_parameters() if parameter.grad is not None]
    return [found.logits, *gradients]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_copy_answers_and_trains_as_the_original_to_the_last_bit(
    copy: Path, tiny_model: ModelIdentity, precision: str
) -> None:
    plan = plan_compute("cpu", precision)
    anew = load_model(tiny_model, plan)
    assert is_complete(copy)
    written = (copy / "model.safetensors").stat().st_mtime_ns
    again = load_model(tiny_model, plan)
    assert (copy / "model.safetensors").stat().st_mtime_ns == written
    assert again.name_or_path == anew.name_or_path == tiny_model.name
    assert {name: tensor.dtype for name, tensor in again.state_dict().items()} == {
        name: tensor.dtype for name, tensor in anew.state_dict().items()
    }
    expected, found = answers(anew), answers(again)
    assert len(expected) == len(found) > 14
    assert all(map(torch.equal, expected, found))


def test_a_damaged_copy_is_not_used_and_is_written_again(copy: Path, tiny_model: ModelIdentity) -> None:
    plan = plan_compute("cpu", "fp32")
    expected = answers(load_model(tiny_model, plan))
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    assert not is_complete(copy)
    assert all(map(torch.equal, expected, answers(load_model(tiny_model, plan))))
    assert is_complete(copy)
    assert [path.name for path in copy.parent.iterdir() if path.is_dir()] == [copy.name]


@pytest.mark.parametrize("cause", ["full disk", "read-only"])
def test_a_copy_that_cannot_be_written_is_logged_and_does_not_end_the_run(
    copy: Path,
    tiny_model: ModelIdentity,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cause: str,
) -> None:
    if cause == "full disk":
        usage = namedtuple("usage", "free")
        monkeypatch.setattr(quantised_copy.shutil, "disk_usage", lambda _path: usage(0))
    else:
        copy.parent.write_text("a file is where the directory should be")
    with caplog.at_level(logging.INFO):
        load_model(tiny_model, plan_compute("cpu", "fp32"))
    assert any("kept" in message for message in caplog.messages)


def test_a_copy_belongs_to_one_content_and_one_way_to_quantise() -> None:
    base = ModelIdentity("meta-llama/Llama-3.1-8B-Instruct", "0e9e39f", "nf4", "Llama")
    places = [
        place_of(base, gpu_plan("bf16")),
        place_of(base, gpu_plan("fp16")),
        place_of(replace(base, revision="1d2c3b4"), gpu_plan("bf16")),
        place_of(replace(base, name="meta-llama/Llama-3.2-1B-Instruct"), gpu_plan("bf16")),
    ]
    assert None not in places
    assert len(set(places)) == len(places)
    assert place_of(replace(base, revision=None), gpu_plan("bf16")) is None
    assert place_of(replace(base, quantization="none"), gpu_plan("bf16")) is None
    assert place_of(base, plan_compute("cpu", "fp32")) is None
