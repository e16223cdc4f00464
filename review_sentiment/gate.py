"""The gate: is the tuned model good enough to be the champion? Every rule with its figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.metrics import paired_gain

if TYPE_CHECKING:
    from review_sentiment.config import GateSettings
    from review_sentiment.lora_proof import LoraProof
    from review_sentiment.metrics import Evaluation


ROUNDING = 1e-9


@dataclass(frozen=True)
class Rule:
    """One rule: what was asked, what was found, and whether it holds."""

    name: str
    asked: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """The rules in the order they were applied."""

    rules: tuple[Rule, ...]

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
        return Verdict((*self.rules, rule))


def judge(
    tuned: Evaluation,
    baseline: Evaluation | None,
    classical: Evaluation,
    proof: LoraProof,
    settings: GateSettings,
) -> Verdict:
    """Compare the tuned model with the other two, on the reviews they share."""
    rules = [
        Rule(
            "LoRA proof",
            "every layer moved, loss fell",
            f"{sum(layer.b_norm > 0 for layer in proof.layers)} of {len(proof.layers)} layers, "
            f"loss {proof.first_loss:.3f} to {proof.last_loss:.3f}",
            all(layer.b_norm > 0 for layer in proof.layers) and proof.last_loss < proof.first_loss,
        )
    ]
    for name, other, least in (
        ("accuracy over the baseline", baseline, settings.min_gain_over_baseline),
        ("accuracy over the classical model", classical, settings.min_gain_over_classical),
    ):
        if other is not None:
            gain, n = paired_gain(tuned.predictions, other.predictions)
            rules.append(Rule(name, f"> {least:+.3f}", f"{gain:+.3f} on {n} reviews", _above(gain, least)))
    rules.append(_worst_category(tuned, classical, settings))
    rate = tuned.metrics.unparsed_rate
    rules.append(
        Rule(
            "unparsed answers",
            f"at most {settings.max_unparsed_rate:.1%}",
            f"{rate:.1%}",
            rate <= settings.max_unparsed_rate,
        )
    )
    return Verdict(tuple(rules))


def against_champion(
    accuracy: float, rows: str, champion_version: str, champion_accuracy: float, champion_rows: str
) -> Rule:
    """Compare with the present champion by its recorded accuracy.

    `rows` are fingerprints of the evaluation sets: figures of other rows are
    not compared, so such a candidate stays a challenger.
    """
    name = f"accuracy against champion version {champion_version}"
    if rows != champion_rows:
        return Rule(name, "the same evaluation reviews", "other evaluation reviews", False)
    gain = accuracy - champion_accuracy
    return Rule(name, "not below", f"{gain:+.3f}", not _above(0.0, gain))


def _above(value: float, limit: float) -> bool:
    """Compare shares of counted reviews: 0.90 - 0.85 is not above 0.05, whatever floats say."""
    return value - limit > ROUNDING


def _worst_category(tuned: Evaluation, classical: Evaluation, settings: GateSettings) -> Rule:
    losses = {
        category: classical.metrics.category_accuracy[category] - accuracy
        for category, accuracy in tuned.metrics.category_accuracy.items()
        if tuned.metrics.category_n[category] >= settings.min_category_reviews
        and category in classical.metrics.category_accuracy
    }
    asked = f"loses at most {settings.max_category_loss:.3f} to the classical model"
    if not losses:
        return Rule("worst category", asked, "no category is large enough to judge", True)
    worst = max(losses, key=lambda category: losses[category])
    return Rule(
        "worst category",
        asked,
        f"{worst} {-losses[worst]:+.3f}",
        not _above(losses[worst], settings.max_category_loss),
    )
