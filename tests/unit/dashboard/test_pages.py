"""What pages show, computed from what is recorded: comparisons, versions, words, updates, levels, ranks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from dashboard.figures import COLOURS, Line, intervals, lines
from hypothesis import given
from hypothesis import strategies as st

from dashboard.explain import four_bit, low_rank
from dashboard.explain.occlusion import occlude, split_text
from dashboard.explain.rank_choice import by_rank, rank_sweep
from dashboard.pages import sections
from dashboard.pages.try_it import words
from dashboard.queries.device_speed import estimated_speeds, speed_of

LABELS = ("negative", "positive")


@given(st.text(alphabet=" ab\n", max_size=200), st.integers(1, 30))
def test_parts_of_a_text_are_the_text(text: str, most: int) -> None:
    parts = split_text(text, most)
    assert len(parts) <= most
    assert "".join(parts) == (text if text.strip() else "")


def test_the_decisive_word_has_the_weight() -> None:
    def ask(_titles: object, texts: list[str]) -> list[float]:
        return [0.9 if "awful" in text else 0.2 for text in texts]

    parts = occlude("", "an awful shirt", ask)
    assert [(part.text, round(part.weight, 6)) for part in parts] == [
        ("an ", 0),
        ("awful ", 0.7),
        ("shirt", 0),
    ]
    shown = words(parts)
    assert shown.count("<span") == 1
    assert "solid" in shown


def test_a_review_is_escaped() -> None:
    parts = occlude("", "<script>alert(1)</script>", lambda _t, texts: [float(bool(text)) for text in texts])
    assert "<script>" not in words(parts)


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


def test_the_first_steps_do_not_count_for_a_speed() -> None:
    speed = speed_of("cpu", "bf16", [1.0, 2.0, 100.0, 110.0, 120.0])
    assert (speed.tokens_per_second, speed.low, speed.high, speed.steps) == (110.0, 100.0, 120.0, 3)
    assert all(tokens > 0 for _, _, tokens in estimated_speeds())


def test_lines_differ_by_more_than_their_colour() -> None:
    figure = lines("t", "x", "y", [Line(str(n), [0, 1], [n, n]) for n in range(len(COLOURS))])
    looks = {(trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == len({trace.line.color for trace in figure.data}) == len(COLOURS)


def test_intervals_are_drawn_from_end_to_end() -> None:
    trace = intervals("t", "x", [Line("m", ["a"], [0.5], [0.4], [0.7])]).data[0]
    assert trace.error_x.array == pytest.approx((0.2,))
    assert trace.error_x.arrayminus == pytest.approx((0.1,))


def test_cell_names_start_with_their_sections_name() -> None:
    """`head.html` hides the cells of other sections by name."""
    source = (Path(sections.__file__).parents[1] / "app.py").read_text(encoding="utf-8")
    names = re.findall(r"^def (\w+)\(", source, re.MULTILINE)
    slugs = {re.sub(r"[^a-z]+", "_", section.lower()) for section in sections.SECTIONS}
    of_section = {name: [slug for slug in slugs if name.startswith(slug)] for name in names}
    assert all(len(found) == 1 for name, found in of_section.items() if not name.startswith("page_"))
    assert {slug for found in of_section.values() for slug in found} == slugs
