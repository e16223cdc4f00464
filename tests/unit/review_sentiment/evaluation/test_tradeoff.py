"""What accuracy costs: the Pareto front, the table, and what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.evaluation.cost import SINGLE_REVIEWS, WARM_UP, Cost, latencies, megabytes_of
from review_sentiment.evaluation.tradeoff import (
    HEADING,
    Tradeoff,
    in_order,
    pareto_front,
    tradeoff_table,
    tradeoffs_from,
    tradeoffs_json,
)
from review_sentiment.evaluation.tradeoff_plot import tradeoff_figure


def tradeoff(model: str, accuracy: float, speed: float, training: float | None = 90.0) -> Tradeoff:
    return Tradeoff(model, accuracy, 0.97, 0.02, Cost(speed, 5.25, 1_234.0, 83.4, training))


TUNED, ENCODER = tradeoff("tuned", 0.95, 15), tradeoff("tuned_encoder", 0.93, 130)
FROZEN, TFIDF = tradeoff("frozen_encoder", 0.90, 120), tradeoff("tfidf", 0.91, 9_000, 0.4)


def test_a_model_that_another_one_beats_in_accuracy_and_speed_is_not_on_the_front() -> None:
    assert pareto_front(in_order([TUNED, FROZEN, TFIDF, ENCODER])) == [TFIDF, ENCODER, TUNED]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_the_front_is_what_nothing_beats(figures: list[tuple[int, int]]) -> None:
    models = [tradeoff(str(number), a / 5, float(s)) for number, (a, s) in enumerate(figures)]
    front = pareto_front(in_order(models))

    def beats(one: Tradeoff, other: Tradeoff) -> bool:
        pairs = ((one.accuracy, other.accuracy), (one.cost.reviews_per_second, other.cost.reviews_per_second))
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    kept = {(one.accuracy, one.cost.reviews_per_second) for one in front}
    expected = {
        (one.accuracy, one.cost.reviews_per_second)
        for one in models
        if not any(beats(other, one) for other in models)
    }
    assert kept == expected
    assert len(front) == len(kept)


def test_the_table_has_a_row_per_model_with_units() -> None:
    rows = tradeoff_table(in_order([TUNED, TFIDF]))
    assert {len(row) for row in rows} == {len(HEADING)}
    assert rows[0] == (
        "tfidf", "0.910", "0.970", "0.020", "9,000", "5.2 ms", "1,234 ms", "83 MB", "0.4 s", "yes",
    )  # fmt: skip
    assert rows[1][-2:] == ("1.5 min", "yes")
    assert tradeoff_table([tradeoff("baseline", 0.5, 15, None)])[0][-2] == "-"
    small = Tradeoff("tfidf", 0.9, 0.9, 0.1, Cost(9_000, 0.04, 0.21, 0.012, 0.004))
    assert tradeoff_table([small])[0][5:-1] == ("0.04 ms", "0.2 ms", "0.01 MB", "0.004 s")


def test_trade_offs_come_back_from_json_and_are_drawn() -> None:
    found = in_order([TUNED, TFIDF, tradeoff("baseline", 0.5, 15, None)])
    assert tradeoffs_from(tradeoffs_json(found)) == found
    (axes,) = tradeoff_figure(found).axes
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in axes.texts} >= {"TF-IDF + logistic regression"}


def test_a_single_review_is_timed_without_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], list[str]]] = []
    clock = [0.0]

    def answer(titles: list[str], texts: list[str]) -> None:
        calls.append((titles, texts))
        clock[0] += 9.0 if len(calls) <= WARM_UP else 0.002

    monkeypatch.setattr("review_sentiment.evaluation.cost.time.perf_counter", lambda: clock[0])
    found = latencies(answer, [(f"title {number}", f"text {number}") for number in range(100)])
    assert len(calls) == SINGLE_REVIEWS + WARM_UP
    assert calls[1] == (["title 1"], ["text 1"])
    assert found == (pytest.approx(2.0), pytest.approx(2.0))


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "weights").write_bytes(b"0" * 1_500_000)
    (tmp_path / "config").write_bytes(b"0" * 500_000)
    assert megabytes_of(tmp_path) == pytest.approx(2.0)
