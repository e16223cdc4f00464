"""Figures at the natural share, from stratified reviews with weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from review_sentiment.decision.rule import Band, DecisionRule, Threshold
from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import compare_models
from review_sentiment.evaluation.natural import NaturalMetrics, natural_difference, natural_metrics
from review_sentiment.evaluation.predictions import prediction_table, production_shares
from tests.many_labels import evaluation, names

LABELS = ("negative", "positive")
SHARES = (0.2, 0.8)
RULE = DecisionRule.raw(LABELS, SHARES)
REPETITIONS = 40


def table(gold: list[int], p_positive: list[float], weights: list[float]) -> pd.DataFrame:
    """Return predictions whose probabilities at the natural share are `p_positive`."""
    odds = np.array(p_positive) / (1 - np.array(p_positive)) * SHARES[0] / SHARES[1]
    own = odds / (1 + odds)  # the model's own probabilities, at equal shares
    reviews = pd.DataFrame(
        {
            "review_id": [f"{number}" for number in range(len(gold))],
            "category": "Tops",
            "label": [LABELS[label] for label in gold],
            "weight": weights,
        }
    )
    both = np.stack([1 - own, own], axis=1)
    return prediction_table(reviews, LABELS, both, both.argmax(1), np.ones(len(gold)))


def test_a_review_counts_by_its_weight_and_a_label_by_its_share() -> None:
    """Of negative reviews 3/4 by weight are right, of positive ones 9/10."""
    predictions = table([0, 0, 1, 1], [0.1, 0.6, 0.9, 0.3], [3.0, 1.0, 45.0, 5.0])
    found = natural_metrics(predictions, RULE, SHARES)
    assert found.accuracy == pytest.approx(0.2 * 3 / 4 + 0.8 * 9 / 10)
    assert found.recall == pytest.approx({"negative": 3 / 4, "positive": 9 / 10})
    assert found.precision["negative"] == pytest.approx(0.15 / (0.15 + 0.08))
    assert found.share == dict(zip(LABELS, SHARES, strict=True))
    # Each review is alone in its bin: the distance of its probability from the truth.
    distances = [0.15 * 0.1, 0.05 * 0.6, 0.72 * 0.1, 0.08 * 0.7]
    assert found.calibration_error == pytest.approx(sum(distances))


def test_coverage_and_risk_are_those_of_the_answers_outside_the_band() -> None:
    """Unsure below 0.65: a right negative review, and a wrong one of each label, are not answered."""
    predictions = table([0, 0, 1, 1], [0.1, 0.6, 0.9, 0.3], [3.0, 1.0, 45.0, 5.0])
    found = natural_metrics(predictions, replace(RULE, band=Band(0.65, 0.1, 0.95)), SHARES)
    assert found.coverage == pytest.approx(1 - 0.05)
    assert found.risk == pytest.approx(0.8 * 5 / 50 / 0.95)
    assert natural_metrics(predictions, RULE, SHARES).coverage == 1


def test_a_category_has_its_own_shares_from_its_weights() -> None:
    one = table([0, 1], [0.1, 0.9], [1.0, 3.0])
    other = table([0, 1], [0.6, 0.9], [4.0, 4.0]).assign(category="Bottoms")
    found = natural_metrics(pd.concat([one, other], ignore_index=True), RULE, SHARES)
    assert found.categories["Tops"].share == {"negative": 0.25, "positive": 0.75}
    assert found.categories["Bottoms"].accuracy == pytest.approx(0.5)
    assert found.as_json()["categories"]["Bottoms"]["recall"] == {"negative": 0.0, "positive": 1.0}
    assert not any("Tops" in name for name in found.headline())


def test_on_a_scale_answers_count_by_their_distance() -> None:
    labels, shares = ("1", "2", "3", "4", "5"), (0.1, 0.1, 0.2, 0.2, 0.4)
    rng = np.random.default_rng(0)
    gold = np.tile(np.arange(5), 12)
    p = rng.dirichlet(np.ones(5), len(gold))
    reviews = pd.DataFrame({"label": np.array(labels)[gold], "weight": rng.random(len(gold)) + 0.5})
    reviews = reviews.assign(review_id=range(len(gold)), category="Tops").astype({"review_id": str})
    predictions = prediction_table(reviews, labels, p, p.argmax(1), np.ones(len(gold)))
    rule = DecisionRule.raw(labels, shares)
    found = natural_metrics(predictions, rule, shares)
    answered = rule.answers(rule.probabilities(np.log(p)))
    weights = production_shares(predictions, dict(zip(labels, shares, strict=True)))
    assert found.mean_absolute_error == pytest.approx(
        mean_absolute_error(gold, answered, sample_weight=weights)
    )
    assert found.quadratic_kappa == pytest.approx(
        cohen_kappa_score(gold, answered, weights="quadratic", sample_weight=weights)
    )
    low, high = found.low["quadratic_kappa"], found.high["quadratic_kappa"]
    assert low < found.quadratic_kappa < high
    assert NaturalMetrics.from_json(json.loads(json.dumps(found.as_json()))) == found
    assert "quadratic kappa" in found.rows()
    assert "quadratic kappa" not in natural_metrics(table([0, 1], [0.1, 0.9], [1, 1]), RULE, SHARES).rows()


def test_labels_have_names_that_mlflow_accepts_and_no_two_figures_the_same() -> None:
    from mlflow.utils.validation import _validate_metric_name

    labels = names(24)
    table = evaluation("tuned", labels, per_label=5)
    assert table.natural
    headline = table.natural.headline()
    for name in headline:
        _validate_metric_name(f"tuned/natural_{name}")
    # n, the ends of the accuracy's interval, the scalars, and of each label the three others
    assert len({name.casefold() for name in headline}) == len(headline) == 3 + 5 + 3 * len(labels)
    assert headline["precision_Very_negative"] == table.natural.precision["Very negative"]


def test_other_scales_of_the_weights_change_nothing() -> None:
    gold, p = [0, 0, 0, 1, 1, 1], [0.2, 0.7, 0.4, 0.9, 0.4, 0.6]
    plain = natural_metrics(table(gold, p, [1.0, 2.0, 3.0, 1.0, 1.0, 5.0]), RULE, SHARES)
    scaled = natural_metrics(table(gold, p, [7.0, 14.0, 21.0, 0.1, 0.1, 0.5]), RULE, SHARES)
    assert scaled.headline() == pytest.approx(plain.headline())


def test_as_json_every_figure_has_its_interval() -> None:
    found = natural_metrics(table([0, 0, 1, 1], [0.1, 0.6, 0.9, 0.3], [1.0] * 4), RULE, SHARES).as_json()
    assert NaturalMetrics.from_json(json.loads(json.dumps(found))).as_json() == found
    for name in ("accuracy", "macro_f1", "calibration_error"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    for name in ("precision", "recall", "share"):
        for label in LABELS:
            assert found[f"{name}_low"][label] <= found[name][label] <= found[f"{name}_high"][label]


def test_a_label_that_is_never_answered_has_no_precision() -> None:
    found = natural_metrics(table([0, 1], [0.9, 0.9], [1.0, 1.0]), RULE, SHARES)
    assert found.precision["negative"] == found.recall["negative"] == 0


def test_a_difference_is_that_of_the_same_reviews() -> None:
    """The second rule answers "negative" less often; the first table has other rows and another order."""
    rng = np.random.default_rng(4)
    gold = np.repeat([0, 1], [80, 160])
    p = expit(rng.normal(np.where(gold, 2, -2), 1.5))
    second = table(gold.tolist(), p.tolist(), rng.uniform(1, 3, len(gold)).tolist())
    rules = RULE, replace(RULE, threshold=Threshold(0, 0.65))
    before, after = (natural_metrics(second, rule, SHARES) for rule in rules)
    other = second.head(9).assign(review_id=[f"other {row}" for row in range(9)])
    first = pd.concat([second, other]).assign(weight=7.0).sample(frac=1, random_state=0)

    found = natural_difference(first, second, rules, SHARES)
    assert found.n == len(second)
    for title, (name, label) in found.rows().items():
        value, one, two = (
            vars(metrics)[name] if label is None else vars(metrics)[name][label]
            for metrics in (found, before, after)
        )
        assert value == pytest.approx(two - one), title
    assert found.low["accuracy"] < found.accuracy < found.high["accuracy"]
    widths = [one.high["accuracy"] - one.low["accuracy"] for one in (found, before, after)]
    assert widths[0] < 0.9 * np.hypot(*widths[1:])  # that of two independent samples
    assert found.share == dict(zip(LABELS, SHARES, strict=True))

    same = natural_difference(first, second, (RULE, RULE), SHARES)
    assert set(same.headline().values()) == {len(second), 0.0, *SHARES}
    with pytest.raises(DataError, match="too few reviews and labels in common"):
        natural_difference(other, second, rules, SHARES)


def test_the_intervals_cover_the_truth() -> None:
    """A model whose log odds are normal with mean -2 or 2: the figures of production are known."""
    rng = np.random.default_rng(5)
    gold = np.repeat([0, 1], [150, 450])
    production = rng.random(1_000_000) < SHARES[1]
    answered = rng.normal(np.where(production, 2, -2), 1.5) + np.log(4) > 0
    truth = {
        "accuracy": (answered == production).mean(),
        "precision": 1 - production[~answered].mean(),
        "recall": (~answered[~production]).mean(),
    }
    covered = dict.fromkeys(truth, 0)
    for _ in range(REPETITIONS):
        p = expit(rng.normal(np.where(gold, 2, -2), 1.5) + np.log(4))
        found = natural_metrics(table(gold.tolist(), p.tolist(), [1.0] * len(gold)), RULE, SHARES)
        for name, value in truth.items():
            _, low, high = found.with_interval(name, None if name == "accuracy" else "negative")
            covered[name] += low <= value <= high
    # 95 % of 40, and three standard errors. Of 200 repetitions, each interval covered 180 or more.
    assert min(covered.values()) >= 34, covered


def test_models_are_compared_as_production_sees_them() -> None:
    """The candidate wins two negative reviews and loses one positive one, which stands for more reviews."""
    gold = [0] * 10 + [1] * 10
    right = [0.1] * 10 + [0.9] * 10
    candidate, other = list(right), list(right)
    candidate[10], other[0], other[1] = 0.1, 0.9, 0.9
    tables = []
    for p in (candidate, other):
        predictions = table(gold, p, [1.0] * 20)
        tables.append(predictions.assign(decided=np.where(np.array(p) > 0.5, "positive", "negative")))
    balanced = compare_models(*tables, "other", "decided").overall
    assert (balanced.only_candidate, balanced.only_other) == (2, 1)
    assert balanced.gain == pytest.approx(1 / 20)
    natural = compare_models(*tables, "other", "decided", dict(zip(LABELS, SHARES, strict=True))).overall
    assert natural.gain == pytest.approx(0.2 * 2 / 10 - 0.8 * 1 / 10)
    assert natural.interval[0] < natural.gain < natural.interval[1]


@pytest.mark.parametrize(("won", "lost"), [(9, 2), (15, 1), (30, 25)])
def test_with_equal_weights_the_natural_test_is_mcnemars(won: int, lost: int) -> None:
    n = 200
    truth = np.array(["negative", "positive"] * (n // 2))
    wrong = np.where(truth == "negative", "positive", "negative")
    place = np.arange(n)
    frame = pd.DataFrame({"review_id": place.astype(str), "category": "Tops", "gold": truth, "weight": 1.0})
    candidate = frame.assign(decided=np.where(place < lost, wrong, truth))
    other = frame.assign(decided=np.where((place >= lost) & (place < lost + won), wrong, truth))
    plain = compare_models(candidate, other, "other", "decided").overall
    even = compare_models(candidate, other, "other", "decided", dict.fromkeys(LABELS, 0.5)).overall
    assert even.gain == pytest.approx(plain.gain)
    assert even.p_value == pytest.approx(plain.p_value, abs=0.01)
