"""Figures differ by more than their colour, and intervals are drawn from end to end."""

from __future__ import annotations

import pytest

from dashboard.figures import COLOURS, Line, intervals, lines, pareto
from review_sentiment.evaluation.cost import Cost
from review_sentiment.evaluation.tradeoff import Tradeoff


def test_lines_differ_by_more_than_their_colour() -> None:
    figure = lines("t", "x", "y", [Line(str(n), [0, 1], [n, n]) for n in range(len(COLOURS))])
    looks = {(trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == len({trace.line.color for trace in figure.data}) == len(COLOURS)


def test_intervals_are_drawn_from_end_to_end() -> None:
    trace = intervals("t", "x", [Line("m", ["a"], [0.5], [0.4], [0.7])]).data[0]
    assert trace.error_x.array == pytest.approx((0.2,))
    assert trace.error_x.arrayminus == pytest.approx((0.1,))


def test_names_of_models_with_nearly_the_same_speed_are_above_and_below() -> None:
    models = [
        Tradeoff(name, 1.0, 1.0, 0.0, Cost(speed, 1, 1, 1, 1)) for name, speed in (("a", 91), ("b", 90))
    ]
    front, others = pareto(models).data
    assert (front.text, front.textposition) == (("a",), ("top center",))
    assert (others.text, others.textposition) == (("b",), ("bottom center",))
