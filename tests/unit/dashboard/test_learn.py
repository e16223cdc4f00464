"""Learn: updates, levels and ranks, as computed and as the page shows them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.explain import four_bit, low_rank
from dashboard.explain.rank_choice import RankResult, RankSweep, by_rank, rank_sweep
from dashboard.pages import learn
from dashboard.queries import learned as queries
from dashboard.queries.decision import text_of
from dashboard.queries.learned import Rounding, learned
from dashboard.queries.versions import Registry
from review_sentiment.config import LoraSettings
from review_sentiment.errors import UsageError
from tests.unit.dashboard.pages import client
from tests.unit.dashboard.test_try_it import version


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """Return an adapter of rank 3 on two layers, as PEFT saves it."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tensors = {}
    for layer in range(2):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = torch.randn(3, 10)
        tensors[f"{name}.lora_B.weight"] = torch.randn(8, 3)
    save_file(tensors, tmp_path / low_rank.ADAPTER_FILE)
    (tmp_path / low_rank.ADAPTER_SETTINGS).write_text(
        json.dumps({"r": 3, "lora_alpha": 6, "use_rslora": True})
    )
    return tmp_path


def test_singular_values_are_those_of_the_full_update(adapter: Path) -> None:
    updates = low_rank.read_updates(adapter)
    assert [(update.layer, update.projection) for update in updates] == [(0, "q_proj"), (1, "q_proj")]
    update = updates[1]
    assert update.scale == pytest.approx(6 / math.sqrt(3))
    whole = np.linalg.svd(update.full, compute_uv=False)
    np.testing.assert_allclose(update.singular_values(), whole[:3])
    np.testing.assert_allclose(update.truncated(3), update.full, atol=1e-12)
    left = np.linalg.svd(update.full - update.truncated(1), compute_uv=False)
    np.testing.assert_allclose(left[0], whole[1])
    assert low_rank.energy(whole, 3) == pytest.approx(1.0)


def test_nf4_rounds_normal_weights_better_than_equal_levels() -> None:
    found = four_bit.rounding_of("w", np.random.default_rng(0).normal(size=64 * 200))
    assert len(found.levels) == 16
    assert 0 in found.levels
    assert found.error < found.equal_error
    shares, edges = four_bit.histogram(found.weights)
    assert sum(shares) == pytest.approx(1.0)
    assert len(edges) == len(shares) + 1


def test_rounding_matches_bitsandbytes() -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    weights = torch.randn(64 * 8, generator=torch.Generator().manual_seed(0))
    packed, state = quantize_4bit(weights, blocksize=64, quant_type="nf4")
    theirs = dequantize_4bit(packed, state).double().numpy().reshape(-1, 64)
    largest = np.abs(weights.double().numpy().reshape(-1, 64)).max(axis=1, keepdims=True)
    ours = four_bit.rounded(four_bit.normalised(weights.double().numpy()), four_bit.nf4_levels())
    np.testing.assert_allclose(ours.reshape(-1, 64) * largest, theirs, atol=1e-6)


def test_trials_of_a_rank_are_averaged() -> None:
    trials = [
        {"values": {"lora.rank": rank}, "figures": {"macro_f1": f1, "roc_auc": 0.9, "seconds": 10.0}}
        for rank, f1 in (("8", 0.8), ("2", 0.7), ("8", 0.9))
    ]
    low, high = by_rank([*trials, {"values": {"lora.alpha": "2"}, "figures": {}}])
    assert (low.rank, low.trials, low.macro_f1) == (2, 1, 0.7)
    assert (high.rank, high.trials, high.macro_f1) == (8, 2, pytest.approx(0.85))


def test_the_sweep_that_comes_with_the_project_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = rank_sweep()
    assert len(found.results) > 1
    assert "sweep --over lora.rank" in found.command


@pytest.fixture
def page(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what gets the page of two versions with the adapter."""
    updates = low_rank.read_updates(adapter)
    registry = Registry("m", [version("2"), version("1", "champion")], version("1", "champion"))
    monkeypatch.setattr(learn, "registry_of", lambda _request: registry)
    monkeypatch.setattr(Registry, "find", lambda self, number: {"1": version("1")}.get(number))
    monkeypatch.setattr(queries, "use_mlflow", lambda: None)
    monkeypatch.setattr(low_rank, "updates_of", lambda _name, _number: updates)
    rounded = Rounding(["w", "v"], "w", [0.5, 0.5], [-1.0, 0.0, 1.0], [-1.0, 1.0], 0.093, 0.101)
    monkeypatch.setattr(learn, "rounding", lambda _weight: rounded)
    return lambda **chosen: client().get("/learn", params=chosen).text


def test_the_page_shows_an_update_weights_ranks_and_terms(page: Any) -> None:
    text = page()
    for name in ("spectra", "values", "update-picture", "truncated", "levels", "ranks"):
        assert f"<figure class=figure id='{name}'" in text
    assert "1 of 3 directions hold" in text
    assert "by <strong>9.3%</strong>" in text
    assert "<dt>champion</dt>" in text


def test_choices_are_kept_and_impossible_ones_replaced(page: Any) -> None:
    text = page(layer="0", kept="2", version="1")
    assert "2 of 3 directions hold" in text
    assert "Singular values of layer 0" in text
    text = page(layer="99", kept="99", projection="none")
    assert "3 of 3 directions hold <strong>100.0%</strong>" in text
    assert client().get("/learn", params={"version": "9"}).status_code == 404


def test_a_version_without_an_adapter_is_a_problem_of_its_section(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: str) -> None:
        raise UsageError("Version 1 is not a language model.")

    monkeypatch.setattr(learn, "learned", fail)
    text = page()
    assert "Version 1 is not a language model." in text
    assert "by <strong>9.3%</strong>" in text


def test_the_chart_of_ranks_has_error_bars_and_a_logarithmic_axis() -> None:
    sweep = RankSweep(
        (RankResult(2, 3, 0.8, 0.9, 0.87, 0.9, 1), RankResult(16, 3, 0.8, 0.9, 0.86, 0.9, 1)), "sweep"
    )
    figure = learn._rank_figure(sweep)
    assert figure.layout.xaxis.type == "log"
    assert figure.data[0].error_y.array == pytest.approx((0.03, 0.04))
    assert figure.data[0].error_y.arrayminus == pytest.approx((0.07, 0.06))


def test_the_default_rank_is_explained() -> None:
    default = LoraSettings().rank
    best, here = RankResult(2, 3, 0.84, 0.9, 0.87, 0.9, 1), RankResult(default, 3, 0.84, 0.88, 0.862, 0.9, 1)
    text = RankSweep((best, here), "").about_the_default()
    assert f"Rank 2 scores 0.008 more than rank {default}" in text
    assert "differ by up to 0.060" in text
    assert f"The default is {default}" in text
    text = RankSweep((replace(best, min_f1=0.87, max_f1=0.87), replace(here, min_f1=0.862, max_f1=0.862)), "")
    assert "more than trials of the same rank differ" in text.about_the_default()
    assert "scores highest" in RankSweep((here,), "").about_the_default()
    assert RankSweep((best,), "").about_the_default() == ""


def test_an_update_is_described_by_its_directions(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = low_rank.read_updates(adapter)
    monkeypatch.setattr(queries, "use_mlflow", lambda: None)
    monkeypatch.setattr(low_rank, "updates_of", lambda _name, _number: updates)
    found = learned("m", "1", "", "", "")
    assert (found.projections, list(found.layers), found.rank) == (["q_proj"], [0, 1], 3)
    assert (found.layer, found.kept, found.shape) == (1, 1, (8, 10))
    values = found.spectra[1]
    assert found.energy == pytest.approx(values[0] ** 2 / (values**2).sum())


def test_a_review_without_a_title_is_its_text() -> None:
    reviews = pd.DataFrame({"title": ["Soft", None], "text": ["I like it.", "Torn."]}, index=["a", "b"])
    assert [text_of(reviews, name) for name in ("a", "b", "c")] == ["Soft. I like it.", "Torn.", ""]
