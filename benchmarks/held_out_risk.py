#!/usr/bin/env python
"""Is the risk that a rule guarantees kept on reviews that it was not fitted on? From a version's own answers.

python benchmarks/held_out_risk.py VERSION [--name NAME] [--risk 0.02] [--confidence 0.95] [--reviews 250]

Fits a band on the validation reviews and applies it to the evaluation reviews, all of them and in five random
parts; then does the same with random halves of both sets together. A half's measured risk has its own
sampling error, so a few more than 5 % of the halves may be above the requested risk.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from front_door.commands.registry_access import mlflow_ready
from front_door.state import prepare_environment
from review_sentiment.config import DecisionSettings
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import DataError
from review_sentiment.evaluation.predictions import answers_of, production_shares
from review_sentiment.evaluation.result import fitted_rule
from review_sentiment.scoring.version_files import load_rule
from review_sentiment.tracking import downloads, evidence, model_versions
from review_sentiment.tracking.mlflow_store import temporary_directory

PARTS, HALVES = 5, 60


@dataclass(frozen=True)
class Measured:
    """Of some reviews at the natural shares: the fraction answered, and the fraction of wrong answers."""

    coverage: float
    risk: float


def measured(rule: DecisionRule, reviews: pd.DataFrame) -> Measured:
    """Return what a rule does with reviews, each counted as often as production has its like."""
    answers = answers_of(reviews, rule.labels)
    p = rule.probabilities(answers.log_probs)
    mass = production_shares(reviews, dict(zip(rule.labels, rule.prior, strict=True))) * ~rule.unsure(p)
    return Measured(mass.sum(), mass[rule.answers(p) != answers.gold].sum() / mass.sum())


@click.command()
@click.argument("version")
@click.option("--name", default="review-sentiment")
@click.option("--risk", default=0.02)
@click.option("--confidence", default=0.95)
@click.option("--reviews", default=None, type=int, help="Keep the risk in files of this size.")
def main(version: str, name: str, risk: float, confidence: float, reviews: int | None) -> None:
    """Print a Markdown table."""
    prepare_environment()
    with mlflow_ready(), temporary_directory() as scratch:
        found = model_versions.get_version(name, version)
        rule = load_rule(downloads.download_adapter(found, Path(scratch))[1])
        validation, evaluation = evidence.decision_of(found), evidence.stratified_of(found)
    sizes = {} if reviews is None else {"reviews": float(reviews)}
    settings = DecisionSettings(abstain={"risk": risk, "confidence": confidence, **sizes})

    def fitted(reviews: pd.DataFrame) -> DecisionRule:
        return fitted_rule(reviews, rule.labels, rule.prior, settings)

    print("| fitted on | applied to | coverage | risk |\n|---|---|---|---|")
    band = fitted(validation)
    whole = measured(band, evaluation)
    print(f"| validation | evaluation | {whole.coverage:.1%} | {whole.risk:.2%} |")
    rng = np.random.default_rng(0)
    part = rng.permutation(len(evaluation)) % PARTS
    parts = [measured(band, evaluation[part == number]) for number in range(PARTS)]
    coverages = ", ".join(f"{one.coverage:.1%}" for one in parts)
    print(f"| | five parts of it | {coverages} | {', '.join(f'{one.risk:.2%}' for one in parts)} |")
    both = pd.concat([validation, evaluation], ignore_index=True)
    kept, refused = [], 0
    for _ in range(HALVES):
        own = rng.random(len(both)) < 0.5
        try:
            kept.append(measured(fitted(both[own]), both[~own]))
        except DataError:
            refused += 1
    if kept:
        risks = np.array([one.risk for one in kept])
        print(
            f"| a random half of both | the other half, {len(kept)} times | mean "
            f"{np.mean([one.coverage for one in kept]):.1%} | mean {risks.mean():.2%}, kept in "
            f"{(risks <= risk).mean():.0%} |"
        )
    print(f"\n{len(validation):,} and {len(evaluation):,} reviews; {refused} of {HALVES} halves refused.")


if __name__ == "__main__":
    main()
