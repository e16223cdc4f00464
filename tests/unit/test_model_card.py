"""The card warns of a model that must not be trusted."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from review_sentiment.audit import Audit
from review_sentiment.lora_proof import LoraProof
from review_sentiment.metrics import Evaluation, Metrics
from review_sentiment.model_card import concerns

SOUND = Metrics(
    n=200,
    accuracy=0.9,
    constrained_accuracy=0.9,
    precision=0.9,
    recall=0.9,
    f1=0.9,
    roc_auc=0.95,
    unparsed_rate=0.0,
    brier=0.08,
    calibration_error=0.02,
    label_mass=1.0,
    intervals={},
    labels=("negative", "positive"),
    confusion=((90, 10, 0), (10, 90, 0)),
    category_accuracy={},
    category_n={},
)
LEARNED = LoraProof((), 2.0, 0.5)


def evaluation(metrics: Metrics = SOUND, audit: Audit | None = None) -> Evaluation:
    return Evaluation("tuned", metrics, *(pd.DataFrame() for _ in range(3)), audit=audit or Audit())


def test_a_sound_model_needs_no_warning() -> None:
    assert concerns(evaluation(), LEARNED) == []


@pytest.mark.parametrize(
    ("confusion", "label"),
    [(((30, 70, 0), (0, 100, 0)), "negative"), (((100, 0, 0), (60, 0, 40)), "positive")],
)
def test_a_class_that_is_hardly_recognised(confusion: tuple[tuple[int, ...], ...], label: str) -> None:
    (warning,) = concerns(evaluation(replace(SOUND, confusion=confusion)), LEARNED)
    assert f"of the {label} reviews" in warning
    assert "collapsed on a class" in warning


def test_a_loss_that_hardly_fell() -> None:
    (warning,) = concerns(evaluation(), replace(LEARNED, last_loss=1.9))
    assert "fell by only 5%" in warning


def test_generation_that_says_something_else_than_scoring() -> None:
    (warning,) = concerns(evaluation(audit=Audit(64, 60, 57, ("a", "b", "c"))), LEARNED)
    assert "3 of 60 reviews" in warning
