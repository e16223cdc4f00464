"""The card's table of what production will see in each category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.names import in_markdown

if TYPE_CHECKING:
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.natural import NaturalMetrics

MAX_CATEGORIES = 5
"""Rows of a card's table of categories; MLflow keeps 5,000 characters of a version's description."""
GAP = "&ensp; | "
"""Separator of a table's columns: MLflow's pages (3.17) put no space between them."""
ALL = "all"


def category_table(natural: NaturalMetrics, rule: DecisionRule) -> str:
    """Return a Markdown table with a row per category, largest first, at its own share of the labels.

    With a band of abstention, it has the coverage and the risk, too.
    """
    rarest = rule.rarest
    named = in_markdown(rarest)
    names = ["reviews", f'"{named}" in the source', "accuracy", f'precision of "{named}"']
    names += ["coverage", "risk"] if rule.band else []
    largest = sorted(natural.categories.items(), key=lambda item: -item[1].n)
    shown = {ALL: natural} | {in_markdown(name): found for name, found in largest[:MAX_CATEGORIES]}
    rows = [(name, *_cells(found, rarest, rule.band is not None)) for name, found in shown.items()]
    return "\n".join(
        [
            f"| {GAP.join(('category', *names))} |",
            f"|---|{'---:|' * len(names)}",
            *(f"| {GAP.join(row)} |" for row in rows),
        ]
    )


def _cells(found: NaturalMetrics, rarest: str, abstains: bool) -> list[str]:
    cells = [f"{found.n:,}", f"{found.share[rarest]:.1%}", found.shown("accuracy")]
    cells.append(found.shown("precision", rarest))
    return cells + ([f"{found.coverage:.1%}", found.shown("risk")] if abstains else [])
