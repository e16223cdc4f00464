"""The gate that makes a candidate a champion."""

from __future__ import annotations

import pandas as pd
import pytest

from review_sentiment.config import GateSettings
from review_sentiment.gate import Rule, Verdict, against_champion, judge
from review_sentiment.labels import BINARY
from review_sentiment.lora_proof import LayerProof, LoraProof
from review_sentiment.metrics import UNPARSED, Evaluation, compute_metrics

MOVED = LayerProof("q_proj", forward_calls=4, first_gradient_norm=0.1, b_norm=0.2)
STILL = LayerProof("k_proj", forward_calls=4, first_gradient_norm=0.1, b_norm=0.0)
PROOF = LoraProof((MOVED, MOVED), first_loss=0.7, last_loss=0.2)
BASELINE, CLASSICAL = "accuracy over the baseline", "accuracy over the classical model"
WORST, PROVEN, PARSED = "worst category", "LoRA proof", "unparsed answers"


def evaluation(right: int, of: int = 100, unparsed: int = 0, **more: tuple[int, int]) -> Evaluation:
    """Return an evaluation with this many right answers of so many in Tops, and in more categories."""
    rows = []
    for category, (hits, count) in {"Tops": (right, of), **more}.items():
        for number in range(count):
            gold, wrong = ("positive", "negative") if number % 2 else ("negative", "positive")
            answer = gold if number < hits else wrong
            if category == "Tops" and number >= count - unparsed:
                answer = UNPARSED
            rows.append((f"{category}{number}", category, gold, answer))
    table = pd.DataFrame(rows, columns=["review_id", "category", "gold", "predicted"])
    table = table.assign(constrained=table["predicted"], p_positive=0.5, label_mass=1.0)
    return Evaluation("model", compute_metrics(table, BINARY), table, pd.DataFrame())


def verdict(
    tuned: Evaluation,
    baseline: Evaluation | None = None,
    classical: Evaluation | None = None,
    proof: LoraProof = PROOF,
    **settings: float,
) -> Verdict:
    """Return the verdict against models that are worse unless told otherwise."""
    return judge(
        tuned,
        baseline,
        classical or evaluation(50),
        proof,
        GateSettings.model_validate(settings),
    )


def rule(result: Verdict, name: str) -> Rule:
    """Return the rule with this name."""
    (found,) = [rule for rule in result.rules if rule.name == name]
    return found


def test_a_better_model_with_a_proof_passes_every_rule() -> None:
    result = verdict(evaluation(90), baseline=evaluation(70))
    assert [rule.name for rule in result.rules] == [PROVEN, BASELINE, CLASSICAL, WORST, PARSED]
    assert result.passed
    assert result.reason() == "All 5 rules of the gate hold."


def test_without_a_baseline_there_is_no_rule_for_it() -> None:
    result = verdict(evaluation(90))
    assert BASELINE not in [rule.name for rule in result.rules]
    assert result.passed


@pytest.mark.parametrize(("right", "passed"), [(69, False), (70, False), (71, True)])
def test_the_model_must_be_better_than_each_other_and_not_only_as_good(right: int, passed: bool) -> None:
    result = verdict(evaluation(right), baseline=evaluation(70), classical=evaluation(70))
    assert rule(result, BASELINE).passed is rule(result, CLASSICAL).passed is passed


def test_each_least_gain_is_asked_of_its_own_rival() -> None:
    result = verdict(evaluation(80), evaluation(70), evaluation(70), min_gain_over_baseline=0.15)
    assert not rule(result, BASELINE).passed
    assert rule(result, CLASSICAL).passed
    result = verdict(evaluation(80), evaluation(70), evaluation(70), min_gain_over_classical=0.15)
    assert rule(result, BASELINE).passed
    assert not rule(result, CLASSICAL).passed


def test_a_baseline_scored_on_a_few_reviews_is_compared_on_those() -> None:
    found = rule(verdict(evaluation(90), baseline=evaluation(10, of=20)), BASELINE)
    assert found.found == "+0.500 on 20 reviews"


@pytest.mark.parametrize(
    "proof",
    [
        LoraProof((MOVED, STILL), first_loss=0.7, last_loss=0.2),
        LoraProof((MOVED,), first_loss=0.7, last_loss=0.7),
        LoraProof((MOVED,), first_loss=0.7, last_loss=float("nan")),
    ],
    ids=["a layer stood still", "the loss stayed", "the loss is no number"],
)
def test_a_good_model_whose_adapters_did_not_learn_fails(proof: LoraProof) -> None:
    result = verdict(evaluation(90), proof=proof)
    assert [rule.name for rule in result.rules if not rule.passed] == [PROVEN]
    assert not result.passed


@pytest.mark.parametrize(
    ("tuned", "classical", "passed"), [(84, 90, False), (85, 90, True), (86, 90, True), (90, 95, True)]
)
def test_a_category_may_lose_as_much_as_is_allowed_and_no_more(
    tuned: int, classical: int, passed: bool
) -> None:
    result = verdict(evaluation(tuned), classical=evaluation(classical), max_category_loss=0.05)
    assert rule(result, WORST).passed is passed


def test_one_bad_category_fails_a_model_that_is_better_overall() -> None:
    result = verdict(evaluation(95, Trend=(20, 40)), classical=evaluation(70, Trend=(30, 40)))
    assert result.rules[1].passed
    assert rule(result, WORST) == Rule(
        WORST, "loses at most 0.050 to the classical model", "Trend -0.250", False
    )
    assert "worst category is Trend -0.250, asked: loses at most 0.050" in result.reason()


@pytest.mark.parametrize(("least", "passed"), [(40, False), (41, True), (500, True)])
def test_a_category_that_is_too_small_is_not_judged(least: int, passed: bool) -> None:
    tuned, classical = evaluation(95, Trend=(20, 40)), evaluation(70, Trend=(30, 40))
    result = verdict(tuned, classical=classical, min_category_reviews=least)
    assert rule(result, WORST).passed is passed


@pytest.mark.parametrize(("unparsed", "passed"), [(0, True), (1, True), (2, False)])
def test_answers_outside_the_labels_are_borne_up_to_a_share(unparsed: int, passed: bool) -> None:
    result = verdict(evaluation(90, unparsed=unparsed), max_unparsed_rate=0.01)
    assert rule(result, PARSED).passed is passed


@pytest.mark.parametrize(("accuracy", "passed"), [(0.89, False), (0.9, True), (0.91, True)])
def test_a_challenger_must_not_be_below_the_champion(accuracy: float, passed: bool) -> None:
    assert against_champion(accuracy, "rows", "3", 0.9, "rows").passed is passed


def test_a_champion_of_other_reviews_is_never_beaten() -> None:
    found = against_champion(0.99, "new rows", "3", 0.1, "old rows")
    assert not found.passed
    assert found.found == "other evaluation reviews"


def test_one_more_rule_that_fails_fails_the_verdict() -> None:
    passed = verdict(evaluation(90))
    failed = passed.with_rule(against_champion(0.8, "rows", "3", 0.9, "rows"))
    assert passed.passed
    assert not failed.passed
    assert failed.reason() == (
        "The gate was not passed: accuracy against champion version 3 is -0.100, asked: not below."
    )
