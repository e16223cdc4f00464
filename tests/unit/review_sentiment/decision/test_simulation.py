"""The statistics of a decision rule with the truth known: 200 validation sets of a miscalibrated model.

The log odds of a review are normal within each label; so the true likelihood ratio, and with it every true
rate, has a formula. Each claim with 95 % confidence may fail in 5 % of the repetitions, give or take binomial
error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom, norm

from review_sentiment.decision import abstention, bounds, prediction_sets, share_estimate, threshold
from review_sentiment.decision.calibration import fit_calibration, fit_method
from review_sentiment.decision.guarantee import RiskLimit
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.decision.objective import Objective
from review_sentiment.decision.rule import DecisionRule, possible_labels
from review_sentiment.decision.threshold import Choice, choose_threshold

LABELS = ("negative", "positive")
PRIOR = np.array([0.12, 0.88])
MEAN, SPREAD = 2.5, 2.0
"""Of the log odds of each label's reviews, away from 0, before the miscalibration."""
SLOPE, OFFSET = 1.6, 0.7
"""The model's scores are SLOPE * x + OFFSET; the true log likelihood ratio is 2 * MEAN / SPREAD^2 * x."""
REPETITIONS = 200
MOST_FAILURES = int(binom.ppf(0.995, REPETITIONS, 0.05))


def drawn(rng: np.random.Generator, counts: tuple[int, int]) -> LabelledScores:
    """Return the scores of so many negative and positive reviews."""
    gold = np.repeat([0, 1], counts)
    odds = SLOPE * rng.normal(np.where(gold, MEAN, -MEAN), SPREAD) + OFFSET
    return LabelledScores(np.stack([-odds / 2, odds / 2], axis=1), gold, np.ones(len(gold)))


def fitted(scores: LabelledScores) -> DecisionRule:
    """Return the calibrated rule, without the cross-validation, which is most of the time."""
    return DecisionRule(LABELS, tuple(PRIOR), fit_method(scores, "platt", {}), "accuracy")


def true_rates(rule: DecisionRule) -> npt.NDArray[np.float64]:
    """Return the rates [gold, answer] of a rule; the last answer is "unsure"."""
    odds = np.linspace(-40, 40, 2_001)
    p = rule.probabilities(np.stack([-odds / 2, odds / 2], axis=1))
    outcome = np.where(rule.unsure(p), 2, rule.answers(p))
    middle = (odds[1:] + odds[:-1]) / 2
    ends = np.concatenate([[-np.inf], middle, [np.inf]])
    below = norm.cdf((ends - OFFSET) / SLOPE, np.array([[-MEAN], [MEAN]]), SPREAD)
    return np.diff(below) @ np.eye(3)[outcome]


def precision_and_recall(rule: DecisionRule) -> tuple[float, float]:
    rates = true_rates(rule) * PRIOR[:, None]
    return float(rates[0, 0] / rates[:, 0].sum()), float(rates[0, 0] / PRIOR[0])


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threshold, "THRESHOLDS", threshold.THRESHOLDS[::6])
    for module in (abstention, prediction_sets):
        monkeypatch.setattr(module, "THRESHOLDS", threshold.THRESHOLDS)
    monkeypatch.setattr(share_estimate, "DRAWS", 40)
    monkeypatch.setattr(share_estimate, "DECIMALS", 1)


def test_calibration_finds_the_truth_and_chooses_platt_if_there_is_an_offset() -> None:
    calibration = fit_calibration(drawn(np.random.default_rng(0), (4_000, 4_000)))
    assert calibration.method == "platt"
    assert calibration.log_loss["platt"] < calibration.log_loss["temperature"]
    # Two labels' centred log-probabilities are half the log odds, and so are offsets.
    true_slope = 2 * MEAN / SPREAD**2 / SLOPE
    assert calibration.slopes[1] == pytest.approx(true_slope, rel=0.05)
    assert calibration.offsets[1] - calibration.offsets[0] == pytest.approx(-true_slope * OFFSET, abs=0.1)


def test_the_covariance_of_the_calibration_is_that_of_repetitions() -> None:
    rng = np.random.default_rng(1)
    fits = [fit_method(drawn(rng, (100, 300)), "platt", {}) for _ in range(REPETITIONS)]
    estimates = np.array([[*fit.slopes, *fit.offsets] for fit in fits])
    claimed = np.mean([np.diag(fit.covariance) for fit in fits], axis=0)
    assert np.sqrt(claimed) == pytest.approx(estimates.std(0), rel=0.2)


FIGURES: dict[str, Callable[[], bounds.Figure]] = {
    "accuracy": lambda: bounds.accuracy(2, 3),
    "precision": lambda: bounds.precision(0, 2, 3),
    "recall": lambda: bounds.recall(0, 2, 3),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("counts", [(50, 50), (100, 400)])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_bounds_cover_the_truth(name: str, counts: tuple[int, int], rate: float) -> None:
    rng = np.random.default_rng(2)
    true = np.array([[0.9 - rate, rate, 0.1], [rate / 2, 0.95 - rate / 2, 0.05]])
    found = np.stack([rng.multinomial(n, p, REPETITIONS) for n, p in zip(counts, true, strict=True)], axis=1)
    figure = FIGURES[name]()
    truth = float(figure.estimate(true, PRIOR))
    one_sided = figure.lower(found.astype(float), PRIOR)
    assert (one_sided > truth).sum() <= MOST_FAILURES
    ends = np.array([figure.interval(one, PRIOR) for one in found[:50].astype(float)])
    assert ((ends[:, 0] > truth) | (ends[:, 1] < truth)).sum() <= binom.ppf(0.995, 50, 0.05)
    # A bound that is never wrong may be useless. With many errors, it is near the normal approximation's.
    estimates = figure.estimate(found.astype(float), PRIOR)
    assert rate < 0.1 or (estimates - one_sided).mean() < 2 * norm.ppf(0.95) * estimates.std()


def test_a_requested_precision_or_recall_is_reached_by_all_but_a_few() -> None:
    rng = np.random.default_rng(3)
    failures = {"precision": 0, "recall": 0}
    others: dict[str, list[float]] = {"precision": [], "recall": []}
    target = {"precision": 0.8, "recall": 0.8}
    for _ in range(REPETITIONS):
        scores = drawn(rng, (100, 500))
        rule = fitted(scores)
        p = rule.probabilities(scores.log_probs)
        for place, kind in enumerate(target):
            objective = Objective(kind, "", 0, target[kind])
            choice = _choice_or_none(scores, p, objective)
            if choice is not None:
                true = precision_and_recall(replace(rule, threshold=choice.threshold))
                failures[kind] += true[place] < target[kind]
                others[kind].append(true[1 - place])
    assert max(failures.values()) <= MOST_FAILURES, failures
    assert min(map(len, others.values())) > REPETITIONS / 2
    # Of the thresholds that reach the target, the one with the best other figure is taken.
    assert np.mean(others["precision"]) > 0.4
    assert np.mean(others["recall"]) > 0.4


def _choice_or_none(
    scores: LabelledScores, p: npt.NDArray[np.float64], objective: Objective
) -> Choice | None:
    from review_sentiment.errors import DataError

    try:
        return choose_threshold(scores, p, PRIOR, objective, LABELS)
    except DataError:
        return None


@pytest.mark.parametrize(
    ("limit", "coverage"), [(RiskLimit(0.03, 0.95), 0.75), (RiskLimit(0.05, 0.95, reviews=250), 0.7)]
)
def test_the_risk_among_answered_reviews_is_kept_by_all_but_a_few(limit: RiskLimit, coverage: float) -> None:
    rng = np.random.default_rng(4)
    risks, coverages = [], []
    for _ in range(REPETITIONS):
        scores = drawn(rng, (200, 1_000))
        rule = fitted(scores)
        band = abstention.fit_band(scores, rule.probabilities(scores.log_probs), rule, limit)
        rates = true_rates(replace(rule, band=band)) * PRIOR[:, None]
        if limit.reviews:  # what one file of this size shows
            rates = rng.multinomial(limit.reviews, rates.ravel()).reshape(rates.shape) / limit.reviews
        coverages.append(rates[:, :2].sum())
        risks.append((rates[0, 1] + rates[1, 0]) / coverages[-1])
    assert (np.array(risks) > limit.risk).sum() <= MOST_FAILURES
    assert np.mean(coverages) > coverage


def test_prediction_sets_miss_the_right_label_as_rarely_as_requested_and_are_small() -> None:
    rng = np.random.default_rng(6)
    prior = np.array([0.1, 0.2, 0.7])
    many = drawn_of_three(rng, (4_000, 4_000, 4_000))
    misses, sizes = [], []
    for _ in range(REPETITIONS):
        scores = drawn_of_three(rng, (100, 150, 300))
        rule = DecisionRule(("a", "b", "c"), tuple(prior), fit_method(scores, "temperature", {}), "accuracy")
        limit = RiskLimit(0.05, 0.95)
        at = prediction_sets.fit_prediction_sets(scores, rule.probabilities(scores.log_probs), rule, limit)
        p = rule.probabilities(many.log_probs)
        sets = possible_labels(p, rule.answers(p), at)
        within = many.within_label * prior[many.gold]
        misses.append(within[~sets[np.arange(len(p)), many.gold]].sum())
        sizes.append(within @ sets.sum(-1))
    assert (np.array(misses) > 0.05).sum() <= MOST_FAILURES
    assert np.mean(misses) > 0.02
    assert np.mean(sizes) < 1.7


def drawn_of_three(rng: np.random.Generator, counts: tuple[int, ...]) -> LabelledScores:
    """Return scores of three labels, of which the middle one is often confused with the others."""
    gold = np.repeat(np.arange(3), counts)
    place = rng.normal(2 * (gold - 1.0), 1.0)
    log_probs = 1.5 * -((place[:, None] - 2 * (np.arange(3) - 1.0)) ** 2) / 2
    return LabelledScores(log_probs, gold, np.ones(len(gold)))


def test_the_interval_of_estimated_shares_covers_them() -> None:
    """Of files with 5, 12 and 30 % negative reviews, with a calibration from 200 reviews."""
    rng = np.random.default_rng(5)
    misses, errors = 0, []
    for repetition in range(REPETITIONS):
        share = (0.05, 0.12, 0.3)[repetition % 3]
        negative = round(share * 3_000)
        file = drawn(rng, (negative, 3_000 - negative))
        found = share_estimate.estimate_shares(file.log_probs, fitted(drawn(rng, (100, 100))))
        misses += not found.low[0] <= share <= found.high[0]
        errors.append(found.shares[0] - share)
    assert misses <= MOST_FAILURES
    assert np.abs(np.mean(errors)) < 0.005


@pytest.mark.parametrize("n", [5, 20])
def test_the_interval_of_a_small_file_covers_a_small_share(n: int) -> None:
    """Most of these files have no negative review, or one."""
    rng = np.random.default_rng(6)
    rules = [fitted(drawn(rng, (100, 100))) for _ in range(10)]
    misses = 0
    for repetition in range(REPETITIONS):
        negative = int(rng.binomial(n, 0.05))
        file = drawn(rng, (negative, n - negative))
        found = share_estimate.estimate_shares(file.log_probs, rules[repetition % 10])
        misses += not found.low[0] <= 0.05 <= found.high[0]
    assert misses <= MOST_FAILURES
