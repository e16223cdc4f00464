"""A training that would not fit is refused, or adapted where that leaves the result as it is."""

from __future__ import annotations

import pytest

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources import device, memory_fit
from review_sentiment.resources.memory import CPU_PROCESS_BYTES, Memory
from review_sentiment.resources.micro_batches import PlannedRows

PLAN = plan_compute("cpu", "fp32")
LORA = LoraSettings(rank=8)
TRAINING = TrainingSettings(batch_size=16, tokens_per_pass=4096, dequantise_once=False)
LONGEST = 256
ROWS = PlannedRows(LONGEST, TRAINING.batch_size)


def need(base: ModelIdentity, training: TrainingSettings = TRAINING, lora: LoraSettings = LORA) -> float:
    return memory_fit.judge(Recipe(base, PLAN, lora, training, 0), ROWS, 1e15).expected.total


def fitted(base: ModelIdentity, training: TrainingSettings = TRAINING) -> tuple[TrainingSettings, Memory]:
    recipe, expected = memory_fit.fitted(Recipe(base, PLAN, LORA, training, 0), ROWS)
    return recipe.training, expected


def leave(monkeypatch: pytest.MonkeyPatch, usable: float) -> None:
    monkeypatch.setattr(device, "usable_bytes", lambda _device: usable)
    monkeypatch.setattr(device, "process_bytes", lambda: CPU_PROCESS_BYTES)


def test_what_fits_is_left_alone(tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, need(tiny_model))
    training, expected = fitted(tiny_model)
    assert training == TRAINING
    assert expected.total == need(tiny_model)


def test_weights_are_dequantised_in_each_pass_first(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = TRAINING.model_copy(update={"dequantise_once": "auto"})
    leave(monkeypatch, need(tiny_model, fast) - 1)
    assert fitted(tiny_model, fast)[0] == TRAINING


def test_then_passes_are_cut(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quarter = TRAINING.model_copy(update={"tokens_per_pass": 1024})
    leave(monkeypatch, need(tiny_model, quarter))
    training, expected = fitted(tiny_model)
    assert training == quarter
    assert expected.total <= need(tiny_model, quarter)
    assert "tokens_per_pass=1024: the result is the same" in caplog.text


def test_then_activations_are_computed_again(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = {"tokens_per_pass": LONGEST, "gradient_checkpointing": True}
    leave(monkeypatch, need(tiny_model, TRAINING.model_copy(update=smallest)))
    training, _ = fitted(tiny_model)
    assert training == TRAINING.model_copy(update=smallest)


def test_what_changes_the_result_is_only_suggested(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    smallest = TRAINING.model_copy(update={"tokens_per_pass": LONGEST, "gradient_checkpointing": True})
    leave(monkeypatch, need(tiny_model, smallest) - 1)
    with pytest.raises(
        memory_fit.FitError, match=r"batch_size 16.*rank 8.*would fit.*prompt\.max_tokens=128"
    ):
        fitted(tiny_model)


def test_a_run_may_be_refused_at_once_or_tried_all_the_same(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, need(tiny_model) - 1)
    refusing = TRAINING.model_copy(update={"fit": "refuse"})
    with pytest.raises(memory_fit.FitError, match=r"tokens_per_pass=2048 \(.*training\.fit=ignore"):
        fitted(tiny_model, refusing)
    sixteenth = TRAINING.model_copy(update={"tokens_per_pass": 256})
    leave(monkeypatch, need(tiny_model, sixteenth))
    with pytest.raises(memory_fit.FitError) as error:
        fitted(tiny_model, refusing)
    assert str(error.value).count("tokens_per_pass=") == 1, "only the value that fits, not those before it"
    assert "This would fit: training.tokens_per_pass=256 (" in str(error.value)
    ignoring = TRAINING.model_copy(update={"fit": "ignore"})
    assert fitted(tiny_model, ignoring)[0] == ignoring


def test_a_machine_that_is_far_too_small(tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, 1e6)
    with pytest.raises(memory_fit.FitError, match=r"smaller model or a larger device.*estimate"):
        fitted(tiny_model)
