"""What a decision rule should achieve, from the settings and the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from review_sentiment.decision.bounds import CONFIDENCE
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.config import DecisionSettings

Kind = Literal["accuracy", "macro_f1", "cost", "precision", "recall"]
FALSE = "false_"
"""`false_negative` is the cost of answering `negative` wrongly."""


@dataclass(frozen=True)
class Objective:
    """The best `accuracy` or `macro_f1`, the lowest `costs` of wrong answers by label, or a `target`.

    `label` is the class index that `precision` or `recall` is about, `confidence` that of reaching it. `text`
    says it as in the settings.
    """

    kind: Kind
    text: str
    label: int = 0
    target: float = 0.0
    confidence: float = CONFIDENCE
    costs: tuple[float, ...] = ()


def objective_of(settings: DecisionSettings, labels: Sequence[str]) -> Objective:
    """Return the objective of the settings.

    Raises:
        UsageError: a name is not a label.
    """
    if settings.cost:
        names = [f"{FALSE}{label}" for label in labels]
        for name in settings.cost:
            _require_known(f"decision.cost.{name}", name, names)
        text = ", ".join(f"{name}={value:g}" for name, value in settings.cost.items())
        costs = tuple(settings.cost.get(name, 1.0) for name in names)
        return Objective("cost", f"cost {text}", costs=costs)
    targets: dict[Kind, Mapping[str, float]] = {"precision": settings.precision, "recall": settings.recall}
    for kind, given in targets.items():
        for label, target in given.items():
            _require_known(f"decision.{kind}.{label}", label, labels)
            return Objective(
                kind, f"{kind} {label}={target:g}", list(labels).index(label), target, settings.confidence
            )
    return Objective(settings.objective, settings.objective)


def _require_known(key: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UsageError(f"{key}: '{name}' is not one of {', '.join(known)}.{did_you_mean(name, known)}")
