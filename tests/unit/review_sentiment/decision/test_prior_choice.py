"""`--prior`: which class shares new reviews are answered with."""

from __future__ import annotations

import pytest

from review_sentiment.decision.prior_choice import parse_prior
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.decision.share_estimate import ShareEstimate
from review_sentiment.errors import UsageError

LABELS = ("negative", "neutral", "positive")
ESTIMATE = ShareEstimate((0.5, 0.3, 0.2), (0.4, 0.2, 0.1), (0.6, 0.4, 0.3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version", (0.1, 0.3, 0.6)),
        ("estimate", (0.5, 0.3, 0.2)),
        ("0.55", (0.55, 0.15, 0.3)),
        ("neutral=0.2, positive=0.7", (0.1, 0.2, 0.7)),
        ("negative=0.2,neutral=0.2,positive=0.4", (0.25, 0.25, 0.5)),
    ],
)
def test_the_shares_that_a_text_means(text: str, expected: tuple[float, ...]) -> None:
    rule = DecisionRule.raw(LABELS, (0.1, 0.3, 0.6))
    assert parse_prior(text, LABELS).resolve(rule, ESTIMATE).prior == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verson", "write version, estimate, or a share between 0 and 1 of the label 'negative'"),
        ("1.5", "between 0 and 1"),
        ("nan", "between 0 and 1"),
        ("negativ=0.1", "Did you mean 'negative'"),
        ("negative=0.6,neutral=0.6", "add up to 1.2"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_prior(text, LABELS)


def test_labels_may_have_commas_and_equals_signs() -> None:
    labels = ("a=b", "A, B or C", "other")
    assert dict(parse_prior('a=b=0.2,"A, B or C=0.3"', labels).given) == {"a=b": 0.2, "A, B or C": 0.3}
