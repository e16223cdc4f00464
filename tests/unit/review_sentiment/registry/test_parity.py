"""What counts as the same, as a near tie, and as evidence for a cause."""

from __future__ import annotations

import json

import pytest

from review_sentiment.registry.parity import Answer, Evidence, compare, label_in, normalised

LABELS = ("negative", "positive")


def evidence(ours: list[Answer], theirs: list[Answer], by_ids: dict[int, Answer] | None = None) -> Evidence:
    """Return what is known of some reviews, without an untuned model."""
    reviews = tuple(map(str, range(len(ours))))
    return Evidence(LABELS, reviews, tuple(ours), tuple(theirs), {}, by_ids or {})


def negative(probability: float, tokens: int | None = 100) -> Answer:
    """Return an answer by the probability of `negative`."""
    return Answer("negative" if probability > 0.5 else "positive", tokens, (probability, 1 - probability))


@pytest.mark.parametrize(
    ("differ", "ours", "passed"), [(1, 0.54, True), (2, 0.54, False), (1, 0.57, False), (0, 0.9, True)]
)
def test_half_a_percent_of_near_ties_may_differ(differ: int, ours: float, passed: bool) -> None:
    recorded = [negative(ours) for _ in range(200)]
    served = [negative(0.48 if row < differ else ours) for row in range(200)]
    found = compare(evidence(recorded, served))
    assert (found.passed, found.same) == (passed, 200 - differ)
    assert all(one.near_tie == (ours < 0.56) for one in found.differences)  # log(0.56 / 0.44) = 0.24


def test_an_answer_that_is_no_label_is_never_a_near_tie() -> None:
    found = compare(evidence([negative(0.51)], [Answer("unparsed", 100, (0.5, 0.5))]))
    assert not found.passed
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["differences"][0]["margin"] is None


@pytest.mark.parametrize(
    ("more", "cause"),
    [([1] * 20, "special token added twice"), ([1, 2] * 10, "another chat template"), ([0] * 20, "rounding")],
)
def test_tokens_of_the_prompt_tell_which_template_it_is(more: list[int], cause: str) -> None:
    recorded = [negative(0.54) for _ in more]
    served = [negative(0.49 if row == 3 else 0.54, 100 + extra) for row, extra in enumerate(more)]
    assert [one.name for one in compare(evidence(recorded, served)).causes] == [cause]


def test_other_counts_of_tokens_alone_are_no_cause() -> None:
    """Ollama leaves cached tokens out of its count."""
    recorded = [negative(0.9) for _ in range(20)]
    served = [negative(0.9, 100 - 3 * row) for row in range(20)]
    assert compare(evidence(recorded, served)).causes == ()


@pytest.mark.parametrize(
    ("text", "label"),
    [(" good\n", "good"), ("good and bad", "good and bad"), ("It is good", "unparsed"), ("", "unparsed")],
)
def test_an_answer_is_the_longest_label_that_it_starts_with(text: str, label: str) -> None:
    assert label_in(text, ("good", "bad", "good and bad")) == label


def test_probabilities_need_every_label() -> None:
    assert normalised([-1.0, -1.0]) == (0.5, 0.5)
    assert normalised([-1.0, None]) is None
    assert normalised([]) is None
    assert normalised([-1000.0, -1001.0]) == pytest.approx((0.731, 0.269), abs=1e-3)
