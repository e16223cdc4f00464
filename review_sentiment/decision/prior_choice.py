"""The class shares to answer new reviews with: the version's, estimated ones, or given ones."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.decision.share_estimate import ShareEstimate

VERSION, ESTIMATE = "version", "estimate"


@dataclass(frozen=True)
class PriorChoice:
    """Which class shares to use. `given` has shares by label; other labels keep their proportions."""

    kind: str
    given: tuple[tuple[str, float], ...] = ()

    def resolve(self, rule: DecisionRule, estimate: ShareEstimate) -> DecisionRule:
        """Return the rule for the chosen shares; `estimate` has those of the reviews to answer."""
        if self.kind == VERSION:
            return rule
        if self.kind == ESTIMATE:
            return rule.for_prior(estimate.shares)
        given = dict(self.given)
        others = sum(
            share for label, share in zip(rule.labels, rule.prior, strict=True) if label not in given
        )
        left = 1 - sum(given.values())
        return rule.for_prior(
            [
                given.get(label, share / others * left if others else 0.0)
                for label, share in zip(rule.labels, rule.prior, strict=True)
            ]
        )


def parse_prior(text: str, labels: Sequence[str]) -> PriorChoice:
    """Read `version`, `estimate`, a share of the first label such as `0.05`, or `negative=0.05,neutral=0.1`.

    A part with a comma in the label is in double quotes, as in CSV: `"A, B=0.1",C=0.2`.

    Raises:
        UsageError: it is none of these, a name is not a label, or the shares are not between 0 and 1.
    """
    if text in (VERSION, ESTIMATE):
        return PriorChoice(text)
    parts = next(csv.reader([text], skipinitialspace=True)) if "=" in text else [f"{labels[0]}={text}"]
    given: dict[str, float] = {}
    for part in parts:
        label, _, number = (piece.strip() for piece in part.rpartition("="))
        if label not in labels:
            raise UsageError(
                f"--prior {text}: '{label}' is not one of {', '.join(labels)}.{did_you_mean(label, labels)}"
            )
        given[label] = _share(number, text, labels)
    total = sum(given.values())
    if total >= 1 and len(given) < len(labels):
        raise UsageError(
            f"--prior {text}: the shares add up to {total:g}, which leaves nothing for the others."
        )
    if len(given) == len(labels):
        given = {label: share / total for label, share in given.items()}
    return PriorChoice("given", tuple(given.items()))


def _share(number: str, text: str, labels: Sequence[str]) -> float:
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UsageError(
            f"--prior {text}: write {VERSION}, {ESTIMATE}, or a share between 0 and 1 of the label "
            f"'{labels[0]}', such as 0.05."
        )
    return share
