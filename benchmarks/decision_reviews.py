#!/usr/bin/env python
"""How many validation reviews does a decision rule need? Simulated, so that the truth is known.

python benchmarks/decision_reviews.py [--repetitions 100]

The model ranks reviews as well as the default run's (ROC AUC 0.977) and is miscalibrated; 12.1 % of the
reviews are negative. Each row fits rules on new validation reviews and reports what is true of these rules.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from review_sentiment.config import DecisionSettings
from review_sentiment.decision.fit import fit_rule
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.decision.share_estimate import estimate_shares
from review_sentiment.errors import DataError

PRIOR = np.array([0.121, 0.879])
MEAN, SPREAD = 2.82, 2.0
SLOPE, OFFSET = 1.6, 0.5
ODDS = np.linspace(-60, 60, 6_001)
FILE, SHARES = 2_000, (0.05, 0.12, 0.3)
VALIDATION = (
    (50, 50),
    (50, 150),
    (100, 100),
    (100, 300),
    (100, 500),
    (100, 1_000),
    (200, 1_000),
    (200, 2_000),
)
PRECISION, RISK = 0.9, 0.02
COLUMNS = (
    "negative + positive validation reviews",
    "accuracy",
    "ECE",
    "precision 0.9 granted (not kept)",
    "risk 2 % granted (not kept)",
    "coverage at this risk",
    "share error, points",
    "interval covers the share",
)


@dataclass(frozen=True)
class Truth:
    """What a rule does with all reviews: accuracy, calibration error, precision, coverage and risk."""

    accuracy: float
    calibration_error: float
    precision: float
    coverage: float
    risk: float


def drawn(rng: np.random.Generator, counts: tuple[int, int]) -> LabelledScores:
    """Return the scores of so many negative and positive reviews."""
    gold = np.repeat([0, 1], counts)
    odds = SLOPE * rng.normal(np.where(gold, MEAN, -MEAN), SPREAD) + OFFSET
    return LabelledScores(as_log_probs(odds), gold, np.ones(len(gold)))


def as_log_probs(odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log-probabilities [n, 2], up to a constant, from the log odds of "positive" [n]."""
    return np.stack([-odds / 2, odds / 2], axis=1)


def truth_of(rule: DecisionRule) -> Truth:
    """Compute what is true of a rule, from the distribution of the log odds."""
    ends = np.concatenate([[-np.inf], (ODDS[1:] + ODDS[:-1]) / 2, [np.inf]])
    mass = np.diff(norm.cdf((ends - OFFSET) / SLOPE, np.array([[-MEAN], [MEAN]]), SPREAD)) * PRIOR[:, None]
    p = rule.probabilities(as_log_probs(ODDS))
    rates = mass @ np.eye(3)[np.where(rule.unsure(p), 2, rule.answers(p))]
    calibration_error = float(np.abs(mass[0] - p[:, 0] * mass.sum(0)).sum())
    answered = rates[:, :2].sum()
    right = rates[0, 0] + rates[1, 1]
    precision = rates[0, 0] / rates[:, 0].sum() if rates[:, 0].sum() else 1.0
    return Truth(right, calibration_error, precision, answered, 1 - right / answered)


def fitted(scores: LabelledScores, settings: DecisionSettings) -> DecisionRule | None:
    """Return the rule, or None if it is refused."""
    try:
        return fit_rule(scores, ("negative", "positive"), tuple(PRIOR), settings)
    except DataError:
        return None


def row(rng: np.random.Generator, counts: tuple[int, int], repetitions: int) -> list[str]:
    """Return the cells of a table for so many validation reviews."""
    plain, precise, careful, errors, covered = [], [], [], [], 0
    for _ in range(repetitions):
        scores = drawn(rng, counts)
        rule = fitted(scores, DecisionSettings())
        assert rule is not None
        plain.append(truth_of(rule))
        if found := fitted(scores, DecisionSettings(precision={"negative": PRECISION})):
            precise.append(truth_of(found))
        if found := fitted(scores, DecisionSettings(abstain={"risk": RISK})):
            careful.append(truth_of(found))
        for share in SHARES:
            negative = round(share * FILE)
            estimate = estimate_shares(drawn(rng, (negative, FILE - negative)).log_probs, rule)
            errors.append(estimate.shares[0] - share)
            covered += estimate.low[0] <= share <= estimate.high[0]
    too_low = sum(one.precision < PRECISION for one in precise)
    too_high = sum(one.risk > RISK for one in careful)
    return [
        f"{counts[0]:,} + {counts[1]:,}",
        f"{np.mean([one.accuracy for one in plain]):.3f}",
        f"{np.mean([one.calibration_error for one in plain]):.3f}",
        f"{len(precise) / repetitions:.0%} ({too_low / repetitions:.1%})",
        f"{len(careful) / repetitions:.0%} ({too_high / repetitions:.1%})",
        f"{np.mean([one.coverage for one in careful]):.0%}" if careful else "",
        f"{100 * np.sqrt(np.mean(np.square(errors))):.1f}",
        f"{covered / len(errors):.0%}",
    ]


@click.command()
@click.option("--repetitions", default=100, show_default=True, help="Validation sets per row.")
def main(repetitions: int) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for counts in VALIDATION:
        print("| " + " | ".join(row(rng, counts, repetitions)) + " |", flush=True)


if __name__ == "__main__":
    main()
