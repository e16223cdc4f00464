"""The gate of a student: it must be close to its teacher, and no worse than the champion among students."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.evaluation.comparison import SIGNIFICANCE, compare_models
from review_sentiment.evaluation.predictions import production_shares
from review_sentiment.registry.gate import GateCheck, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.config import StudentSettings
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Champion

TEACHER = "teacher"


def judge_student(
    student: Evaluation, teacher: Evaluation, champion: Champion, settings: StudentSettings
) -> Verdict:
    """Compare a student with its teacher and the champion, each by its own rule and as production sees them.

    All were evaluated on the same reviews, under rules with the same class shares.
    """
    if student.natural is None or student.rule is None:
        raise ValueError("a student is judged under its decision rule")
    shares = student.natural.share
    against = compare_models(student.stratified, teacher.stratified, TEACHER, "decided", shares)
    low, _ = against.overall.interval
    agreement = agreement_of(student.stratified, teacher.stratified, student.rule)
    error = student.natural.calibration_error
    checks = [
        GateCheck(
            "accuracy lost to the teacher",
            f"at most {settings.max_loss:.3f}, with 95 % confidence",
            f"{-against.overall.gain:+.3f}, at most {-low:+.3f}",
            -low <= settings.max_loss,
        ),
        GateCheck(
            "answers like the teacher's",
            f"at least {settings.min_agreement:.1%}",
            f"{agreement:.1%}",
            agreement >= settings.min_agreement,
        ),
        GateCheck(
            "calibration error",
            f"at most {settings.max_calibration_error:.1%}",
            f"{error:.1%}",
            error <= settings.max_calibration_error,
        ),
    ]
    comparisons = [against]
    if champion.evaluation is not None:
        name = f"version {champion.version}, champion at the time"
        found = compare_models(student.stratified, champion.evaluation.stratified, name, "decided", shares)
        comparisons.append(found)
        worse = found.overall.gain < 0 and found.overall.p_value <= SIGNIFICANCE
        checks.append(
            GateCheck(f"accuracy over {name}", "not significantly lower", str(found.overall), not worse)
        )
    return Verdict(tuple(checks), tuple(comparisons), champion.version, share="natural")


def agreement_of(student: pd.DataFrame, teacher: pd.DataFrame, rule: DecisionRule) -> float:
    """Return the fraction of production that both answer alike; the tables have the same reviews."""
    both = student.merge(teacher[["review_id", "decided"]], on="review_id", suffixes=("", "_teacher"))
    shares = production_shares(both, dict(zip(rule.labels, rule.prior, strict=True)))
    alike = (both["decided"] == both["decided_teacher"]).to_numpy()
    return float(np.average(alike, weights=shares))
