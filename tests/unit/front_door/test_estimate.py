"""The estimate shows where a training fits, and which changes would make it fit elsewhere."""

from __future__ import annotations

import pytest

from front_door.run import estimate as module
from front_door.run.estimate import estimate_here, estimate_training
from review_sentiment.config import Settings

LLAMA_8B = {"name": "meta-llama/Llama-3.1-8B-Instruct"}


@pytest.fixture(autouse=True)
def a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this machine 24 GB and a fixed speed."""
    monkeypatch.setattr(module.device, "usable_bytes", lambda _device: 24e9)
    monkeypatch.setattr(module, "matrix_speed", lambda *_: 1e12)


def verdicts(settings: dict[str, object]) -> dict[str, str]:
    return {row.device: row.verdict for row in estimate_training(Settings.model_validate(settings)).rows}


def test_the_embedded_model_fits_everywhere() -> None:
    assert set(verdicts({}).values()) == {"fits"}


def test_a_large_model_fits_on_large_gpus_only() -> None:
    large = {"model": {"name": "meta-llama/Llama-3.1-70B-Instruct"}, "prompt": {"max_tokens": 512}}
    found = verdicts(large)
    assert {found[name] for name in ("T4", "L4", "RTX 4090", "A100 40 GB")} == {"does not fit"}
    assert {found[name] for name in ("A100 80 GB", "H100 80 GB")} == {"fits"}


def test_the_estimate_suggests_micro_batches_that_would_fit() -> None:
    greedy = {"gradient_checkpointing": False, "tokens_per_pass": 16_384, "batch_size": 32}
    found = estimate_training(
        Settings.model_validate({"model": LLAMA_8B, "prompt": {"max_tokens": 512}, "training": greedy})
    )
    t4 = next(row for row in found.rows if row.device == "T4")
    assert t4.verdict == "does not fit"
    assert "training.tokens_per_pass=" in t4.would_fit
    text = found.as_text()
    assert "would fit: training.tokens_per_pass=8192" in text
    assert "hours for 60,000 reviews" in text


@pytest.mark.parametrize(
    ("settings", "reviews"),
    [
        ({"split": {"train_per_category": 100}}, 600),
        ({"split": {"train_per_category": 100}, "data": {"categories": "Tops, Dresses"}}, 200),
        ({"split": {"train_per_category": 100}, "training": {"epochs": 1.5}}, 900),
        ({"training": {"epochs": 3, "max_steps": 5, "batch_size": 8}}, 40),
    ],
)
def test_time_is_proportional_to_the_number_of_reviews(settings: dict[str, object], reviews: int) -> None:
    chosen = Settings.model_validate(settings)
    assert estimate_training(chosen).reviews == reviews
    one = Settings.model_validate({"training": {"max_steps": 1, "batch_size": 1}})
    assert estimate_here(chosen).hours == pytest.approx(reviews * estimate_here(one).hours)


def test_time_is_inversely_proportional_to_the_measured_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = estimate_here(Settings()).hours
    monkeypatch.setattr(module, "matrix_speed", lambda *_: 2e12)
    assert estimate_here(Settings()).hours == pytest.approx(before / 2)
