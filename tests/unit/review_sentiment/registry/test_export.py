"""An exported version gives the same answers without LoRA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_adapted_model, load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, save_adapter
from review_sentiment.models.recipe import Recipe
from review_sentiment.registry.export import export
from review_sentiment.registry.serving_files import export_adapter
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.version_files import Serving, load_rule, save_rule
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.qlora import finetune
from tests.many_labels import STARS, names
from tests.tiny import move_adapters, prompt_of, write_adapter_with_head

PLAN = plan_compute("cpu", "fp32")


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_merged_weights_answer_as_the_adapter_does(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, quantization: str
) -> None:
    base = replace(tiny_model, quantization=quantization)
    training = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=20, epochs=9)
    recipe = Recipe(base, PLAN, LoraSettings(rank=4), training, 1)
    finetune(TrainingJob(recipe, tiny_chats, tmp_path / "adapter"))
    serving = Serving(base, replace(prompt_of(tiny_chats.labels), instruction="Größer oder kleiner?"))
    save_rule(rule := DecisionRule.raw(tiny_chats.labels, (0.2, 0.8)), tmp_path / "adapter")
    report = export(serving, tmp_path / "adapter", PLAN, tiny_chats.frame, tmp_path / "merged")

    assert (report.n, report.changed_fraction) == (len(tiny_chats), 0.0)
    assert report.largest_difference < 1e-4
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert not list((tmp_path / "merged").glob("adapter*"))
    assert load_rule(tmp_path / "merged") == rule
    assert Serving.load(tmp_path / "merged") == serving

    plain = ModelIdentity(str(tmp_path / "merged"), None, "none", "merged")
    prompts = list(tiny_chats.frame["prompt"])
    tokenizer = load_tokenizer(plain)
    scores = score_labels(load_model(plain, PLAN), tokenizer, prompts, tiny_chats.labels, PLAN, 4096)
    adapted = load_adapted_model(base, tmp_path / "adapter", PLAN)
    expected = score_labels(adapted, tokenizer, prompts, tiny_chats.labels, PLAN, 4096)
    np.testing.assert_allclose(scores.probabilities, expected.probabilities, atol=1e-4)
    untuned = score_labels(load_model(base, PLAN), tokenizer, prompts, tiny_chats.labels, PLAN, 4096)
    assert np.abs(untuned.probabilities - expected.probabilities).max() > 0.1


@pytest.mark.parametrize(
    "labels", [STARS, names(18)], ids=["five stars", "18 labels, some of which begin alike"]
)
def test_any_labels_are_exported(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    model = add_adapters(load_model(tiny_model, PLAN), LoraSettings(rank=4))
    move_adapters(model)
    save_adapter(model, tiny_model, tmp_path / "adapter")
    save_rule(DecisionRule.raw(labels, (1 / len(labels),) * len(labels)), tmp_path / "adapter")
    serving = Serving(tiny_model, prompt_of(labels, max_tokens=400))
    reviews = tiny_chats.frame.assign(label=labels[-1])
    report = export(serving, tmp_path / "adapter", PLAN, reviews, tmp_path / "merged")
    assert (report.n, report.changed_fraction) == (len(reviews), 0.0)
    assert report.largest_difference < 1e-4
    assert Serving.load(tmp_path / "merged").labels == labels
    assert load_rule(tmp_path / "merged").labels == labels


def test_a_version_with_a_head_is_refused_before_anything_is_written(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path
) -> None:
    serving = Serving(tiny_model, prompt_of(tiny_chats.labels))
    adapter = write_adapter_with_head(tiny_model, tiny_chats.labels, tmp_path / "adapter")
    output = tmp_path / "output"
    refusal = r"classification head.*vLLM.*Use `score` or `serve`.*model\.head=labels"
    with pytest.raises(UsageError, match=refusal):
        export(serving, adapter, PLAN, tiny_chats.frame, output)
    with pytest.raises(UsageError, match=refusal):
        export_adapter(serving, adapter, PLAN, output)
    assert not output.exists()
