"""From settings to a decision rule: what decides, what does not change it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from review_sentiment.config import DecisionSettings
from review_sentiment.decision.fit import fit_rule
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.decision.objective import objective_of
from review_sentiment.decision.rule import Band, DecisionRule, Threshold
from review_sentiment.decision.share_estimate import estimate_shares
from review_sentiment.errors import DataError, UsageError
from review_sentiment.settings_files import load_settings

BINARY = ("negative", "positive")
THREE = ("negative", "neutral", "positive")
PRIORS = {2: (0.12, 0.88), 3: (0.15, 0.25, 0.6)}
OBJECTIVES = (
    {},
    {"objective": "macro_f1"},
    {"cost": {"false_negative": 5}},
    {"precision": {"negative": 0.6}},
    {"recall": {"negative": 0.7}},
    {"abstain": {"risk": 0.15}},
)


def drawn(counts: tuple[int, ...], seed: int = 0, distance: float = 4.0) -> LabelledScores:
    """Return scores that are highest for the gold label most of the time."""
    rng = np.random.default_rng(seed)
    gold = np.repeat(np.arange(len(counts)), counts)
    scores = rng.normal(0, 1.3, (len(gold), len(counts))) + distance * np.eye(len(counts))[gold]
    return LabelledScores(scores, gold, rng.uniform(0.5, 2, len(gold)))


def decided(rule: DecisionRule, log_probs: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the answers, -1 if the version does not answer."""
    p = rule.probabilities(log_probs)
    return np.where(rule.unsure(p), -1, rule.answers(p))


def settings_of(**values: object) -> DecisionSettings:
    return DecisionSettings.model_validate(values)


@pytest.mark.parametrize("wanted", OBJECTIVES, ids=str)
@pytest.mark.parametrize("labels", [BINARY, THREE], ids=len)
def test_a_rule_does_not_depend_on_constants_scales_or_the_order_of_labels(
    wanted: dict[str, object], labels: tuple[str, ...]
) -> None:
    scores = drawn((120, 300, 80)[: len(labels)])
    prior = PRIORS[len(labels)]
    rule = fit_rule(scores, labels, prior, settings_of(**wanted))
    moved = replace(
        scores,
        log_probs=scores.log_probs + np.arange(len(scores.gold))[:, None],
        weights=scores.weights * np.array([3.0, 0.5, 7.0])[scores.gold],
    )
    again = fit_rule(moved, labels, tuple(10 * share for share in prior), settings_of(**wanted))
    p = rule.probabilities(scores.log_probs)
    assert again.probabilities(moved.log_probs) == pytest.approx(p, abs=1e-5)
    assert (decided(again, moved.log_probs) == decided(rule, scores.log_probs)).mean() > 0.995

    reverse = replace(scores, log_probs=scores.log_probs[:, ::-1], gold=len(labels) - 1 - scores.gold)
    turned = fit_rule(reverse, labels[::-1], prior[::-1], settings_of(**wanted))
    assert turned.probabilities(reverse.log_probs)[:, ::-1] == pytest.approx(p, abs=1e-5)
    same = np.array(labels)[decided(rule, scores.log_probs)]
    other = np.array(labels[::-1])[decided(turned, reverse.log_probs)]
    assert (np.where(decided(rule, scores.log_probs) < 0, other, same) == other).mean() > 0.99


@pytest.mark.parametrize("wanted", OBJECTIVES, ids=str)
@pytest.mark.parametrize("labels", [BINARY, THREE], ids=len)
def test_a_rule_survives_json(wanted: dict[str, object], labels: tuple[str, ...]) -> None:
    scores = drawn((120, 300, 80)[: len(labels)])
    rule = fit_rule(scores, labels, PRIORS[len(labels)], settings_of(**wanted))
    adapter = TypeAdapter(DecisionRule)
    again = adapter.validate_json(adapter.dump_json(rule))
    assert again == rule
    assert np.array_equal(again.probabilities(scores.log_probs), rule.probabilities(scores.log_probs))


@settings(max_examples=50, deadline=None)
@given(
    share=st.floats(0.01, 0.99),
    at=st.floats(0.05, 0.95),
    log_odds=st.lists(st.floats(-700, 700), min_size=1, max_size=20),
)
def test_a_rule_for_other_shares_and_back_is_the_same(share: float, at: float, log_odds: list[float]) -> None:
    rule = replace(DecisionRule.raw(BINARY, (0.12, 0.88)), threshold=Threshold(0, at, keeps_recall=True))
    log_probs = np.stack([np.zeros(len(log_odds)), np.array(log_odds)], axis=1)
    other = rule.for_prior((share, 1 - share))
    back = other.for_prior(rule.prior)
    assert back.threshold is not None
    assert back.threshold.at == pytest.approx(at, rel=1e-9)
    p = rule.probabilities(log_probs)
    assert p.sum(-1) == pytest.approx(1)
    away = np.abs(p[:, 0] - at) > 1e-9
    # The threshold moved with the shares, so it gives the same answers, and the same recall.
    assert np.array_equal(other.answers(other.probabilities(log_probs))[away], rule.answers(p)[away])


def test_a_share_of_a_label_changes_its_odds_by_as_much() -> None:
    log_probs = np.log([[0.3, 0.7], [0.9, 0.1]])
    p = DecisionRule.raw(BINARY, (0.5, 0.5)).probabilities(log_probs, (0.2, 0.8))
    assert p[:, 0] / p[:, 1] == pytest.approx([3 / 7 / 4, 9 / 4])
    assert DecisionRule.raw(BINARY, (0.0, 1.0)).probabilities(log_probs).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("threshold", "costs", "expected"),
    [
        (None, None, [0, 2, 1]),
        (Threshold(1, 0.3), None, [1, 2, 1]),
        (Threshold(0, 0.9), None, [1, 2, 1]),
        # Answering 0 wrongly is five times as bad: 0.5 * 5 > 0.7.
        (None, (5.0, 1.0, 1.0), [1, 2, 1]),
    ],
)
def test_what_decides(
    threshold: Threshold | None, costs: tuple[float, ...] | None, expected: list[int]
) -> None:
    rule = replace(DecisionRule.raw(THREE, (1 / 3,) * 3), threshold=threshold, costs=costs)
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
    assert rule.answers(p).tolist() == expected


def test_an_answer_of_little_confidence_is_unsure() -> None:
    rule = replace(DecisionRule.raw(BINARY, (0.5, 0.5)), threshold=Threshold(0, 0.8))
    p = np.array([[0.85, 0.15], [0.75, 0.25], [0.1, 0.9]])
    assert rule.unsure(p).tolist() == [False] * 3
    assert replace(rule, band=Band(0.6, 0.02, 0.95)).unsure(p).tolist() == [False, True, False]


def test_a_cost_becomes_the_threshold_of_bayes() -> None:
    scores = drawn((100, 100))
    costly = fit_rule(scores, BINARY, (0.5, 0.5), settings_of(cost={"false_negative": 4})).threshold
    assert costly == Threshold(0, 0.8)


def test_macro_f1_answers_the_rare_label_more_often_than_accuracy_does() -> None:
    scores = drawn((100, 300, 100), distance=2.0)
    prior = (0.05, 0.9, 0.05)
    answers = {
        objective: decided(fit_rule(scores, THREE, prior, settings_of(objective=objective)), scores.log_probs)
        for objective in ("accuracy", "macro_f1")
    }
    assert (answers["macro_f1"] != 1).sum() > (answers["accuracy"] != 1).sum()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"precision": {"negative": 0.99}},
            r"precision.negative=0.99 cannot .* 40 negative, 60 positive .* to 0\.\d+ or less",
        ),
        ({"recall": {"negative": 0.99}}, r"at least 0\.\d+ with 95% confidence.* times as many validation"),
        ({"abstain": {"risk": 0.001}}, r"abstain.risk=0.001 cannot .* to 0\.\d+ or more"),
    ],
    ids=str,
)
def test_what_cannot_be_guaranteed_is_refused_with_what_can(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_rule(drawn((40, 60)), BINARY, (0.12, 0.88), settings_of(**wanted))


def test_a_label_without_validation_reviews_is_refused() -> None:
    with pytest.raises(DataError, match="only 0 neutral and 3 positive reviews"):
        fit_rule(drawn((40, 0, 3)), THREE, PRIORS[3], DecisionSettings())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decision.precision.negativ=0.9", r"decision.precision.negativ: .*Did you mean 'negative'"),
        ("decision.cost.false_positiv=5", r"decision.cost.false_positiv: .*Did you mean 'false_positive'"),
    ],
)
def test_an_unknown_label_in_the_settings_is_refused_before_anything_runs(
    override: str, message: str
) -> None:
    decision = load_settings(None, [override]).decision
    with pytest.raises(UsageError, match=message):
        objective_of(decision, BINARY)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["decision.precision.negative=0.9", "decision.recall.negative=0.9"],
            "precision and recall; set one",
        ),
        (["decision.objective=macro_f1", "decision.recall.negative=0.9"], "objective and recall; set one"),
        (["decision.precision={negative: 0.9, positive: 0.9}"], "decision.precision: .* at most 1"),
        (["decision.precision.negative=1"], "decision.precision: .* less than 1"),
        (["decision.abstain.confidence=0.9"], "needs a risk"),
        (["decision.abstain.rsk=0.02"], "decision.abstain"),
        (["decision.abstain.risk=2"], "abstain.risk is a fraction"),
        (["decision.abstain={risk: 0.02, reviews: 2.5}"], "number of reviews"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_settings(None, overrides)


def test_a_model_that_knows_nothing_answers_the_most_frequent_label() -> None:
    rule = fit_rule(drawn((100, 100), distance=0.0), BINARY, (0.05, 0.95), DecisionSettings())
    assert set(rule.answers(rule.probabilities(drawn((50, 50), seed=1).log_probs))) == {1}
    figures = {figure.name: figure.value for figure in rule.expected}
    assert figures["accuracy"] == pytest.approx(0.95)
    assert (figures["recall of negative"], figures["recall of positive"]) == (0, 1)
    assert "precision of negative" not in figures


def test_perfect_scores_give_finite_calibration() -> None:
    log_probs = np.array([[0.0, -9.0]] * 20 + [[-np.inf, 0.0]] * 20)
    scores = LabelledScores(log_probs, np.repeat([0, 1], 20), np.ones(40))
    rule = fit_rule(scores, BINARY, (0.12, 0.88), DecisionSettings())
    assert rule.answers(rule.probabilities(log_probs)).tolist() == scores.gold.tolist()
    assert np.isfinite(rule.calibration.slopes).all()


def test_a_rule_without_validation_reviews_estimates_shares_too() -> None:
    found = estimate_shares(drawn((100, 900)).log_probs, DecisionRule.raw(BINARY, (0.5, 0.5)))
    assert found.shares[0] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("n", "possible"), [(1, 0.7), (20, 0.08)])
def test_a_few_positive_reviews_do_not_prove_that_there_are_no_negative_ones(n: int, possible: float) -> None:
    log_probs = np.tile([-9.0, 0.0], (n, 1))
    found = estimate_shares(log_probs, DecisionRule.raw(BINARY, (0.12, 0.88)))
    assert found.shares[0] < 0.001
    assert found.low[0] <= found.shares[0]
    assert found.high[0] > possible


def test_a_large_file_is_estimated_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs, rule = drawn((500, 1_500)).log_probs, DecisionRule.raw(BINARY, (0.5, 0.5))
    whole = estimate_shares(log_probs, rule)
    monkeypatch.setattr("review_sentiment.decision.share_estimate.KEPT", 500)
    found = estimate_shares(log_probs, rule)
    assert found.shares[0] == pytest.approx(0.25, abs=0.06)
    # A quarter of the reviews: the interval is about twice as wide.
    assert found.high[0] - found.low[0] > 1.5 * (whole.high[0] - whole.low[0])


def test_shares_of_three_labels_are_estimated() -> None:
    rule = fit_rule(drawn((100, 100, 100)), THREE, PRIORS[3], DecisionSettings())
    found = estimate_shares(drawn((100, 500, 400), seed=1).log_probs, rule)
    assert found.shares == pytest.approx((0.1, 0.5, 0.4), abs=0.03)
    assert all(
        low < share < high for low, share, high in zip(found.low, found.shares, found.high, strict=True)
    )
