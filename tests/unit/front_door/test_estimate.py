"""The estimate shows where a training fits, and which changes would make it fit elsewhere."""

from __future__ import annotations

import pytest

from front_door.run import estimate as module
from front_door.run.estimate import estimate_here, estimate_training
from front_door.run.training_data import TrainingData, assumed, measured
from review_sentiment.config import Settings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.loading import load_tokenizer
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources.micro_batches import KnownRows
from review_sentiment.training.rows import tokenise
from review_sentiment.training.sampler import heaviest_batch

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


def test_a_training_that_adapts_is_not_said_not_to_fit() -> None:
    """With `training.fit` at its default, the run makes micro-batches smaller and completes."""
    greedy = {"gradient_checkpointing": False, "tokens_per_pass": 16_384, "batch_size": 32}
    settings = {"model": LLAMA_8B, "prompt": {"max_tokens": 512}, "training": greedy}
    found = estimate_training(Settings.model_validate(settings))
    t4 = next(row for row in found.rows if row.device == "T4")
    assert t4.verdict == "adapts"
    assert t4.would_fit.count("tokens_per_pass=") == 1
    assert f"with {t4.would_fit}\n" in found.as_text()
    refusing = {**settings, "training": greedy | {"fit": "refuse"}}
    assert verdicts(refusing)["T4"] == "does not fit"
    assert verdicts({**settings, "training": greedy | {"fit": "ignore"}})["T4"] == "may not fit"


def test_without_known_lengths_only_what_fits_no_review_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A review of 32,768 tokens does not fit into 130 GB, but the longest one may be shorter."""
    monkeypatch.setattr(module.device, "usable_bytes", lambda _device: 130e9)
    long = {"model": LLAMA_8B, "prompt": {"max_tokens": 32_768}, "training": {"tokens_per_pass": 32_768}}
    assert verdicts(long)["this machine"] == "may not fit"
    chosen = Settings.model_validate(long)
    known = {length: TrainingData(3, "from the cached split", [100, 90, length]) for length in (100, 32_768)}
    assert estimate_here(chosen, known[100]).verdict in ("fits", "tight", "adapts")
    assert estimate_here(chosen, known[32_768]).verdict == "does not fit"


@pytest.mark.parametrize(
    ("settings", "reviews"),
    [
        ({"split": {"train_per_category": 100}, "data": {"categories": "A, B, C, D, E, F"}}, 600),
        ({"split": {"train_per_category": 100}, "data": {"categories": "Tops, Dresses"}}, 200),
        ({"split": {"train_per_category": 600}, "training": {"epochs": 1.5}}, 900),
        ({"training": {"epochs": 3, "max_steps": 5, "batch_size": 8}}, 40),
    ],
)
def test_time_is_proportional_to_the_number_of_reviews(settings: dict[str, object], reviews: int) -> None:
    chosen = Settings.model_validate(settings)
    assert assumed(chosen).trained(chosen) == reviews
    one = Settings.model_validate({"training": {"max_steps": 1, "batch_size": 1}})
    assert estimate_here(chosen).hours == pytest.approx(reviews * estimate_here(one).hours)


def test_counted_reviews_are_those_that_a_balanced_split_leaves() -> None:
    counts = {
        "Tops": {"negative": 100, "positive": 900},
        "Trend": {"positive": 50},
        "Dresses": {"negative": 10**6, "positive": 10**6},
    }
    split = {"train_per_category": 1_000}
    balanced = Settings.model_validate({"split": split, "training": {"balance": "undersample"}})
    assert assumed(balanced, counts).reviews == 0.72 * 200 + 0 + 1_000
    for balance in ("none", "weights"):
        natural = Settings.model_validate({"split": split, "training": {"balance": balance}})
        assert assumed(natural, counts).reviews == 720 + 36 + 1_000


def test_known_chats_give_the_rows_that_training_plans_memory_for(
    tiny_chats: ChatDataset, tiny_model: ModelIdentity
) -> None:
    settings = Settings.model_validate({"model": {"name": tiny_model.name, "device": "cpu"}})
    recipe = Recipe.from_settings(settings)
    found = measured(tiny_chats, settings)
    ids = tokenise(tiny_chats, load_tokenizer(tiny_model))["input_ids"]
    expected = heaviest_batch(ids, recipe)
    rows = found.rows(settings, recipe)
    assert isinstance(rows, KnownRows)
    assert rows.lengths == expected.lengths
    assert 0 < rows.shared <= expected.shared
    assert (found.trained(settings), found.tokens(settings)) == (48, sum(map(len, ids)))


def test_time_is_inversely_proportional_to_the_measured_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = estimate_here(Settings()).hours
    monkeypatch.setattr(module, "matrix_speed", lambda *_: 2e12)
    assert estimate_here(Settings()).hours == pytest.approx(before / 2)
