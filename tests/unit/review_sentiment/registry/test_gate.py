"""The gate that makes a candidate a champion."""

from __future__ import annotations

import pandas as pd
import pytest

from review_sentiment.config import GateSettings
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import UNPARSED
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Champion, Evaluations, GateCheck, Verdict, judge, still_against
from review_sentiment.training.lora_proof import LayerProof, LoraProof

MOVED = LayerProof("q_proj", forward_calls=4, first_gradient_norm=0.1, distance=0.2)
STILL = LayerProof("k_proj", forward_calls=4, first_gradient_norm=0.1, distance=0.0)
PROOF = LoraProof((MOVED, MOVED), first_loss=0.7, last_loss=0.2)
BASELINE, ARM = "accuracy over the baseline", "accuracy over the cheapest arm (model)"
CHAMPION = "accuracy over the version 3, champion at the time"
WORST, PROVEN, PARSED = "worst category against the cheapest arm (model)", "LoRA proof", "unparsed answers"
CALIBRATED = "calibration error"


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
    p = (table["predicted"] == "positive").astype(float)
    table = table.assign(constrained=table["predicted"], p_negative=1 - p, p_positive=p, label_mass=1.0)
    labels = ("negative", "positive")
    return Evaluation("model", compute_metrics(table, labels), table, pd.DataFrame(), pd.DataFrame())


def verdict(
    tuned: Evaluation,
    baseline: Evaluation | None = None,
    arm: Evaluation | None = None,
    proof: LoraProof = PROOF,
    champion: Evaluation | None = None,
    **settings: object,
) -> Verdict:
    """Return the verdict against models that are worse by default.

    The calibration check is off: these models always answer with probability 1.
    """
    return judge(
        Evaluations(tuned, (arm or evaluation(50),), baseline),
        Champion("3", champion) if champion else Champion(),
        proof,
        GateSettings.model_validate({"max_calibration_error": 1.0, "share": "balanced"} | settings),
    )


def check(result: Verdict, name: str) -> GateCheck:
    """Return the check with this name."""
    (found,) = [check for check in result.checks if check.name == name]
    return found


def test_a_better_model_with_a_proof_passes_every_check() -> None:
    result = verdict(evaluation(90), baseline=evaluation(70))
    assert [check.name for check in result.checks] == [PROVEN, BASELINE, ARM, WORST, PARSED, CALIBRATED]
    assert result.passed
    assert result.reason() == "All 6 gate checks passed."


def test_without_a_baseline_there_is_no_check_for_it() -> None:
    result = verdict(evaluation(90))
    assert BASELINE not in [check.name for check in result.checks]
    assert result.passed


@pytest.mark.parametrize(("right", "passed"), [(69, False), (70, False), (71, True)])
def test_the_model_must_be_better_than_each_other_model_not_only_as_good(right: int, passed: bool) -> None:
    result = verdict(evaluation(right), evaluation(70), evaluation(70), significance=1.0)
    assert check(result, BASELINE).passed is check(result, ARM).passed is passed


@pytest.mark.parametrize(("right", "passed"), [(75, False), (76, True)])
def test_a_gain_over_the_baseline_or_the_champion_must_be_beyond_chance(right: int, passed: bool) -> None:
    """Five reviews won and none lost is p = 0.0625, six are p = 0.031."""
    result = verdict(evaluation(right), baseline=evaluation(70), champion=evaluation(70))
    assert check(result, BASELINE).passed is check(result, CHAMPION).passed is passed


def test_a_gain_that_is_beyond_chance_and_below_the_margin_is_not_enough() -> None:
    result = verdict(evaluation(80), champion=evaluation(70), min_gain_over_champion=0.15)
    assert not check(result, CHAMPION).passed
    assert verdict(evaluation(90), champion=evaluation(70), min_gain_over_champion=0.15).passed


def test_an_equal_model_does_not_replace_the_champion() -> None:
    result = verdict(evaluation(90), champion=evaluation(90))
    assert [check.name for check in result.checks if not check.passed] == [CHAMPION]
    assert result.champion == "3"


def test_a_better_model_that_loses_a_category_to_the_champion_does_not_replace_it() -> None:
    result = verdict(
        evaluation(95, Trend=(20, 40)), arm=evaluation(50, Trend=(20, 40)),
        champion=evaluation(60, Trend=(30, 40)),
    )  # fmt: skip
    (failed,) = [check for check in result.checks if not check.passed]
    assert failed.name == "worst category against the version 3, champion at the time"
    assert failed.measured.startswith("Trend -0.250 [")


def test_a_stated_exception_lets_a_model_be_no_better_than_the_cheapest_arm() -> None:
    result = verdict(evaluation(70), arm=evaluation(70))
    assert not check(result, ARM).passed
    excused = verdict(evaluation(70), arm=evaluation(70), arm_exception="it explains itself")
    assert check(excused, ARM).passed
    assert "it explains itself" in check(excused, ARM).required


def test_each_minimum_gain_applies_to_its_own_comparison() -> None:
    result = verdict(evaluation(80), evaluation(70), evaluation(70), min_gain_over_baseline=0.15)
    assert not check(result, BASELINE).passed
    assert check(result, ARM).passed
    result = verdict(evaluation(80), evaluation(70), evaluation(70), min_gain_over_arm=0.15)
    assert check(result, BASELINE).passed
    assert not check(result, ARM).passed


def test_a_baseline_scored_on_a_few_reviews_is_compared_on_those() -> None:
    found = check(verdict(evaluation(90), baseline=evaluation(10, of=20)), BASELINE)
    assert found.measured.startswith("+0.500 [")
    assert "on 20 reviews, p = 0.002" in found.measured


@pytest.mark.parametrize(
    "proof",
    [
        LoraProof((MOVED, STILL), first_loss=0.7, last_loss=0.2),
        LoraProof((MOVED,), first_loss=0.7, last_loss=0.7),
        LoraProof((MOVED,), first_loss=0.7, last_loss=float("nan")),
    ],
    ids=["a layer did not move", "the loss did not fall", "the loss is not a number"],
)
def test_a_good_model_whose_adapter_did_not_learn_fails(proof: LoraProof) -> None:
    result = verdict(evaluation(90), proof=proof)
    assert [check.name for check in result.checks if not check.passed] == [PROVEN]
    assert not result.passed


@pytest.mark.parametrize(
    ("tuned", "arm", "passed"), [(84, 90, False), (85, 90, True), (86, 90, True), (90, 95, True)]
)
def test_a_category_may_lose_as_much_as_is_allowed_and_no_more(tuned: int, arm: int, passed: bool) -> None:
    result = verdict(evaluation(tuned), arm=evaluation(arm), max_category_loss=0.05)
    assert check(result, WORST).passed is passed


def test_one_bad_category_fails_a_model_that_is_better_overall() -> None:
    result = verdict(evaluation(95, Trend=(20, 40)), arm=evaluation(70, Trend=(30, 40)))
    assert result.checks[1].passed
    assert not check(result, WORST).passed
    assert check(result, WORST).measured.startswith("Trend -0.250 [")
    assert f"{WORST} is Trend -0.250" in result.reason()


@pytest.mark.parametrize(("least", "passed"), [(40, False), (41, True), (500, True)])
def test_a_category_that_is_too_small_is_not_judged(least: int, passed: bool) -> None:
    tuned, arm = evaluation(95, Trend=(20, 40)), evaluation(70, Trend=(30, 40))
    result = verdict(tuned, arm=arm, min_category_reviews=least)
    assert check(result, WORST).passed is passed


@pytest.mark.parametrize(("unparsed", "passed"), [(0, True), (1, True), (2, False)])
def test_unparsed_answers_are_accepted_up_to_a_fraction(unparsed: int, passed: bool) -> None:
    result = verdict(evaluation(90, unparsed=unparsed), max_unparsed_rate=0.01)
    assert check(result, PARSED).passed is passed


def test_probabilities_that_are_far_from_the_truth_fail() -> None:
    result = verdict(evaluation(80), max_calibration_error=0.1)  # always sure, right in 80 of 100
    assert check(result, CALIBRATED) == GateCheck(CALIBRATED, "at most 10.0%", "20.0%", False)
    assert check(verdict(evaluation(80), max_calibration_error=0.2), CALIBRATED).passed


def test_a_champion_registered_since_the_comparison_is_not_replaced() -> None:
    passed = verdict(evaluation(90), champion=evaluation(60))
    assert passed.passed
    assert still_against(passed, "3") is passed
    for present in ("4", None):
        result = still_against(passed, present)
        assert not result.passed
        assert "--rerun evaluate_champion" in result.reason()
