"""A version is asked in the words of its own training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring import prompted_model as module
from review_sentiment.scoring.label_scoring import score_labels
from review_sentiment.scoring.prompted_model import untuned_scorer
from review_sentiment.scoring.version_files import SERVING_FILE, Serving
from tests.tiny import prompt_of


def test_a_version_keeps_its_instruction(
    tiny_model: ModelIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def listening(model, tokenizer, prompts, *others):
        asked.extend(prompts)
        return score_labels(model, tokenizer, prompts, *others)

    monkeypatch.setattr(module, "score_labels", listening)
    Serving(tiny_model, replace(prompt_of(), instruction="Wer ist größer: {x}?")).save(tmp_path)
    untuned_scorer(Serving.load(tmp_path), (0.5, 0.5), plan_compute("cpu", "fp32")).answer(["T"], ["a text"])
    assert asked == [
        "<|im_start|>system\nWer ist größer: {x}?<|im_end|>\n"
        "<|im_start|>user\nT\na text<|im_end|>\n<|im_start|>assistant\n"
    ]


def test_a_version_of_an_earlier_release_says_what_to_do(tiny_model: ModelIdentity, tmp_path: Path) -> None:
    Serving(tiny_model, prompt_of()).save(tmp_path)
    file = tmp_path / SERVING_FILE
    earlier = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(earlier.pop("prompt") | earlier), encoding="utf-8")
    with pytest.raises(ModelUnavailableError, match="--rerun finetune"):
        Serving.load(tmp_path)
