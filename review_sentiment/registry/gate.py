"""The gate: is the tuned model good enough to be the champion? Every rule with its figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from review_sentiment.evaluation.comparison import Comparison, compare_models
from review_sentiment.evaluation.result import Evaluation

if TYPE_CHECKING:
    from review_sentiment.config import GateSettings
    from review_sentiment.training.lora_proof import LoraProof


ROUNDING = 1e-9
BASELINE, CLASSICAL = "baseline", "classical model"


@dataclass(frozen=True)
class Rule:
    """One rule: what was asked, what was found, and whether it holds."""

    name: str
    asked: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """The rules in the order they were applied, and the comparisons that they looked at.

    `champion` is the version that the candidate was compared with, None where there was none.
    """

    rules: tuple[Rule, ...]
    comparisons: tuple[Comparison, ...] = ()
    champion: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether every rule holds."""
        return all(rule.passed for rule in self.rules)

    def reason(self) -> str:
        """Return one sentence: why the gate was passed, or which rules were not."""
        if self.passed:
            return f"All {len(self.rules)} rules of the gate hold."
        failed = [
            f"{rule.name} is {rule.found}, asked: {rule.asked}" for rule in self.rules if not rule.passed
        ]
        return f"The gate was not passed: {'; '.join(failed)}."

    def table(self) -> str:
        """Return the rules as a Markdown table."""
        rows = [
            f"| {rule.name} | {rule.asked} | {rule.found} | {'yes' if rule.passed else '**no**'} |"
            for rule in self.rules
        ]
        return "\n".join(["| rule of the gate | asked | found | holds |", "|---|---|---|---|", *rows])

    def with_rule(self, rule: Rule) -> Verdict:
        """Return the verdict with one more rule."""
        return replace(self, rules=(*self.rules, rule))


def judge(
    tuned: Evaluation,
    baseline: Evaluation | None,
    classical: Evaluation,
    champion: Champion,
    proof: LoraProof,
    settings: GateSettings,
) -> Verdict:
    """Compare the tuned model with the others, each on the reviews they share."""
    over_classical = compare_models(tuned.predictions, classical.predictions, CLASSICAL, "predicted")
    comparisons = [over_classical]
    rules = [_proof_rule(proof)]
    if baseline is not None:
        # The untuned model is the champion to beat as long as there is no other.
        found = compare_models(tuned.predictions, baseline.predictions, BASELINE, "constrained")
        comparisons.append(found)
        rules.append(_better(found, settings.min_gain_over_baseline, settings.significance))
    rules.append(_better_than_classical(over_classical, settings))
    if champion.evaluation is not None:
        name = f"champion version {champion.version}"
        found = compare_models(tuned.predictions, champion.evaluation.predictions, name, "predicted")
        comparisons.append(found)
        rules.append(_better(found, settings.min_gain_over_champion, settings.significance))
        rules.append(_worst_category(found, settings))
    rules.append(_worst_category(over_classical, settings))
    for name, value, most in (
        ("unparsed answers", tuned.metrics.unparsed_rate, settings.max_unparsed_rate),
        ("calibration error", tuned.metrics.calibration_error, settings.max_calibration_error),
    ):
        rules.append(Rule(name, f"at most {most:.1%}", f"{value:.1%}", not _above(value, most)))
    return Verdict(tuple(rules), tuple(comparisons), champion.version)


def still_against(verdict: Verdict, champion: str | None) -> Verdict:
    """Add a rule where the present champion is not the one that the candidate was compared with."""
    if champion == verdict.champion:
        return verdict
    return verdict.with_rule(
        Rule(
            "the champion compared with is the present one",
            f"version {champion or 'none'}; --rerun evaluate_champion compares with it",
            f"version {verdict.champion or 'none'}",
            False,
        )
    )


def _proof_rule(proof: LoraProof) -> Rule:
    moved = sum(layer.b_norm > 0 for layer in proof.layers)
    return Rule(
        "LoRA proof",
        "every layer moved, loss fell",
        f"{moved} of {len(proof.layers)} layers, loss {proof.first_loss:.3f} to {proof.last_loss:.3f}",
        moved == len(proof.layers) and proof.last_loss < proof.first_loss,
    )


def _better(found: Comparison, least: float, significance: float) -> Rule:
    overall = found.overall
    return Rule(
        f"accuracy over the {found.other}",
        f"> {least:+.3f}, p at most {significance:g}",
        str(overall),
        _above(overall.gain, least) and overall.p_value <= significance,
    )


def _better_than_classical(found: Comparison, settings: GateSettings) -> Rule:
    """Ask for a gain, or show the stated reason for doing without."""
    least, overall = settings.min_gain_over_classical, found.overall
    passed = _above(overall.gain, least)
    exception = "" if passed else settings.classical_exception or ""
    asked = f"> {least:+.3f}" + (f", or the stated exception: {exception}" if exception else "")
    return Rule(f"accuracy over the {found.other}", asked, str(overall), passed or bool(exception))


def _above(value: float, limit: float) -> bool:
    """Compare shares of counted reviews: 0.90 - 0.85 is not above 0.05, whatever floats say."""
    return value - limit > ROUNDING


def _worst_category(found: Comparison, settings: GateSettings) -> Rule:
    name = f"worst category against the {found.other}"
    asked = f"loses at most {settings.max_category_loss:.3f}"
    large = {
        category: difference
        for category, difference in found.categories.items()
        if difference.n >= settings.min_category_reviews
    }
    if not large:
        return Rule(name, asked, "no category is large enough to judge", True)
    worst = min(large, key=lambda category: large[category].gain)
    return Rule(
        name, asked, f"{worst} {large[worst]}", not _above(-large[worst].gain, settings.max_category_loss)
    )


@dataclass(frozen=True)
class Champion:
    """The champion's version and evaluation; both are None where there is no champion to beat."""

    version: str | None = None
    evaluation: Evaluation | None = None
