"""Figures differ by more than their colour, and intervals are drawn from end to end."""

from __future__ import annotations

import pytest

from dashboard.figures import COLOURS, Line, intervals, lines


def test_lines_differ_by_more_than_their_colour() -> None:
    figure = lines("t", "x", "y", [Line(str(n), [0, 1], [n, n]) for n in range(len(COLOURS))])
    looks = {(trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == len({trace.line.color for trace in figure.data}) == len(COLOURS)


def test_intervals_are_drawn_from_end_to_end() -> None:
    trace = intervals("t", "x", [Line("m", ["a"], [0.5], [0.4], [0.7])]).data[0]
    assert trace.error_x.array == pytest.approx((0.2,))
    assert trace.error_x.arrayminus == pytest.approx((0.1,))
