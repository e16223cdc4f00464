"""How many held-out reviews a precision in production takes."""

from __future__ import annotations

import numpy as np
import pytest

from review_sentiment.config import MOST_PER_RAREST
from review_sentiment.data.held_out_size import PLANNED_PRECISION, PLANNED_RECALL, others_per_rarest


@pytest.mark.parametrize(("share", "rarest", "half_width"), [(0.12, 500, 0.04), (0.22, 800, 0.03)])
def test_the_planned_number_of_reviews_gives_the_interval(
    share: float, rarest: int, half_width: float
) -> None:
    others = round(others_per_rarest(half_width, rarest, share) * rarest)
    false_alarms = share * PLANNED_RECALL * (1 / PLANNED_PRECISION - 1) / (1 - share)
    rng = np.random.default_rng(0)
    recall = rng.binomial(rarest, PLANNED_RECALL, 4_000) / rarest
    wrong = rng.binomial(others, false_alarms, 4_000) / others
    precision = share * recall / (share * recall + (1 - share) * wrong)
    low, high = np.quantile(precision, [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.05)


def test_too_few_reviews_of_the_rarest_label_take_all_others() -> None:
    assert others_per_rarest(0.03, 30, 0.12) == MOST_PER_RAREST
    assert others_per_rarest(0.001, 10_000, 0.12) == MOST_PER_RAREST
