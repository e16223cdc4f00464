"""The gate: is the tuned model good enough to be the champion? Each check keeps its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import Comparison, compare_models
from review_sentiment.evaluation.model_titles import title_of
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.names import in_markdown

if TYPE_CHECKING:
    from review_sentiment.config import GateSettings
    from review_sentiment.evaluation.natural import NaturalMetrics
    from review_sentiment.evaluation.robustness import Robustness
    from review_sentiment.training.lora_proof import LoraProof


ROUNDING = 1e-9
BASELINE = "baseline"
SAME_ADAPTER = "same adapter"
"""Outcome for another evaluation of the champion's adapter."""


@dataclass(frozen=True)
class Champion:
    """The champion's version and evaluation; both are None if there is no champion to beat."""

    version: str | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class Evaluations:
    """The candidate's evaluation, those of the models that it must beat, and its robustness.

    There is at least one arm. `baseline` is the untuned model. It and `robustness` are None if their steps
    were skipped; `champion` is None if there was no other champion.
    """

    tuned: Evaluation
    arms: tuple[Evaluation, ...]
    baseline: Evaluation | None = None
    robustness: Robustness | None = None
    champion: Evaluation | None = None

    def beside(self) -> list[Evaluation]:
        """Return the evaluations of the models that were evaluated for the candidate's sake."""
        return [*([self.baseline] if self.baseline else []), *self.arms]

    def of_models(self) -> list[Evaluation]:
        """Return the evaluations of all models."""
        return [*self.beside(), *([self.champion] if self.champion else []), self.tuned]


@dataclass(frozen=True)
class GateCheck:
    """One check: what is required, what was measured, and whether that is enough."""

    name: str
    required: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """The gate checks in order, and the comparisons behind them.

    `champion` is the version that the candidate was compared with, None if there was none. `same_adapter_as`
    is the version that the adapter was registered as before: a model cannot be its own challenger.
    `share` is that of the labels in the comparisons: natural, as in production, or balanced.
    """

    checks: tuple[GateCheck, ...]
    comparisons: tuple[Comparison, ...] = ()
    champion: str | None = None
    same_adapter_as: str | None = None
    share: str = "balanced"

    @property
    def passed(self) -> bool:
        """Return whether the candidate may become the champion."""
        return self.same_adapter_as is None and all(check.passed for check in self.checks)

    @property
    def outcome(self) -> str:
        """Return the decision as MLflow's tags show it."""
        if self.same_adapter_as is not None:
            return SAME_ADAPTER
        return "passed" if self.passed else "not passed"

    def reason(self) -> str:
        """Return one sentence: all checks passed, which ones did not, or why there was no decision."""
        if self.same_adapter_as is not None:
            return (
                f"Same adapter as version {self.same_adapter_as}, evaluated again or with another decision "
                "rule: it is neither champion nor challenger until it is promoted."
            )
        if self.passed:
            return f"All {len(self.checks)} gate checks passed."
        failed = [
            f"{check.name} is {check.measured}, required: {check.required}"
            for check in self.checks
            if not check.passed
        ]
        return f"The gate was not passed: {'; '.join(failed)}."

    def table(self) -> str:
        """Return the checks as a Markdown table."""
        rows = [
            f"| {check.name} | {check.required} | {in_markdown(check.measured)} | "
            f"{'yes' if check.passed else '**no**'} |"
            for check in self.checks
        ]
        return "\n".join(["| Gate check | Required | Measured | Passed |", "|---|---|---|---|", *rows])


def judge(evaluations: Evaluations, champion: Champion, proof: LoraProof, settings: GateSettings) -> Verdict:
    """Compare the tuned model with each of the others on the reviews that both answered.

    Raises:
        DataError: the natural share is asked for, and an evaluation has no decision rule.
    """
    tuned, baseline = evaluations.tuned, evaluations.baseline
    fastest = _cheapest(evaluations.arms)
    over_arm = _compare(tuned, fastest, f"cheapest arm ({title_of(fastest.model)})", settings)
    others = [
        _compare(tuned, arm, title_of(arm.model), settings) for arm in evaluations.arms if arm is not fastest
    ]
    comparisons = [over_arm, *others]
    checks = [_proof_check(proof)]
    if baseline is not None:
        gain = _compare(tuned, baseline, BASELINE, settings)
        comparisons.append(gain)
        checks.append(_gain_check(gain, settings.min_gain_over_baseline, settings.significance))
    checks.append(_arm_check(over_arm, settings))
    if champion.evaluation is not None:
        name = f"version {champion.version}, champion at the time"
        gain = _compare(tuned, champion.evaluation, name, settings)
        comparisons.append(gain)
        checks.append(_gain_check(gain, settings.min_gain_over_champion, settings.significance))
        checks.append(_category_check(gain, settings))
    checks.append(_category_check(over_arm, settings))
    for name, value, most in (
        ("unparsed answers", tuned.metrics.unparsed_rate, settings.max_unparsed_rate),
        ("calibration error", _calibration_error(tuned, settings), settings.max_calibration_error),
    ):
        checks.append(GateCheck(name, f"at most {most:.1%}", f"{value:.1%}", not _above(value, most)))
    return Verdict(tuple(checks), tuple(comparisons), champion.version, share=settings.share)


def _cheapest(arms: Sequence[Evaluation]) -> Evaluation:
    """Return the fastest arm: the start of the Pareto front of accuracy and throughput."""
    return max(arms, key=lambda one: one.cost.reviews_per_second if one.cost else 0.0)


def _compare(tuned: Evaluation, other: Evaluation, name: str, settings: GateSettings) -> Comparison:
    """Compare two models as production sees them, each by its own rule, or on the balanced reviews."""
    if settings.share == "balanced":
        return compare_models(tuned.predictions, other.predictions, name)
    shares = _natural(tuned).share
    return compare_models(tuned.stratified, other.stratified, name, "decided", shares)


def _calibration_error(tuned: Evaluation, settings: GateSettings) -> float:
    balanced = settings.share == "balanced"
    return tuned.metrics.calibration_error if balanced else _natural(tuned).calibration_error


def _natural(tuned: Evaluation) -> NaturalMetrics:
    if tuned.natural is None:
        raise DataError("gate.share=natural: the tuned model was evaluated without a decision rule.")
    return tuned.natural


def still_against(verdict: Verdict, champion: str | None) -> Verdict:
    """Add a failed check if another version has become the champion since the comparison."""
    if champion == verdict.champion:
        return verdict
    outdated = GateCheck(
        "the champion in the comparison",
        f"version {champion or 'none'}; --rerun evaluate_champion compares with it",
        f"version {verdict.champion or 'none'}",
        False,
    )
    return replace(verdict, checks=(*verdict.checks, outdated))


def _proof_check(proof: LoraProof) -> GateCheck:
    moved = sum(layer.distance > 0 for layer in proof.layers)
    return GateCheck(
        "LoRA proof",
        "every layer moved, loss fell",
        f"{moved} of {len(proof.layers)} layers, loss {proof.first_loss:.3f} to {proof.last_loss:.3f}",
        moved == len(proof.layers) and proof.last_loss < proof.first_loss,
    )


def _gain_check(comparison: Comparison, least: float, significance: float) -> GateCheck:
    overall = comparison.overall
    return GateCheck(
        f"accuracy over the {comparison.other}",
        f"> {least:+.3f}, p at most {significance:g}",
        str(overall),
        _above(overall.gain, least) and overall.p_value <= significance,
    )


def _arm_check(comparison: Comparison, settings: GateSettings) -> GateCheck:
    """Require a gain, unless the settings state a reason to do without."""
    check = _gain_check(comparison, settings.min_gain_over_arm, settings.significance)
    if check.passed or not settings.arm_exception:
        return check
    required = f"{check.required}, or the stated exception: {settings.arm_exception}"
    return replace(check, required=required, passed=True)


def _category_check(comparison: Comparison, settings: GateSettings) -> GateCheck:
    name = f"worst category against the {comparison.other}"
    required = f"loses at most {settings.max_category_loss:.3f}"
    large = {
        category: difference
        for category, difference in comparison.categories.items()
        if difference.n >= settings.min_category_reviews
    }
    if not large:
        return GateCheck(name, required, "no category is large enough to judge", True)
    worst = min(large, key=lambda category: large[category].gain)
    loss = -large[worst].gain
    return GateCheck(name, required, f"{worst} {large[worst]}", not _above(loss, settings.max_category_loss))


def _above(value: float, limit: float) -> bool:
    """Compare fractions of counted reviews: 0.90 - 0.85 is not above 0.05, whatever floats say."""
    return value - limit > ROUNDING
