"""A comparison of two versions, as text and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from front_door.run.summary import tag_figure
from front_door.terminal.text_table import columns
from review_sentiment.evaluation.comparison import RULES

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.evaluation.comparison import Comparison
    from review_sentiment.registry.version_comparison import NaturalComparison, VersionComparison

WIDTH = 100


def as_text(found: VersionComparison, examples: int) -> str:
    """Return the differences at the natural share and on balanced reviews, and the settings.

    Up to `examples` reviews are shown that the second version gained in production, and lost.
    """
    titles = f"version {found.first.version}", f"version {found.second.version}"
    parts = [*_natural(found.natural, titles, examples)] if found.natural else []
    figures = [(key, tag_figure(found.first, key), tag_figure(found.second, key)) for key in found.figures]
    parts.append(columns([("balanced", *titles), *figures]))
    if found.test is not None:
        parts += _test(found.test, titles, RULES["balanced"])
    if found.why_no_test:
        missing = "paired test" if found.test is None else "comparison at the natural share"
        parts.append(f"No {missing}: {found.why_no_test}")
    if found.settings:
        rows = [(key, *values) for key, values in found.settings.items()]
        parts.append(columns([("setting", *titles), *rows]))
    else:
        parts.append("Both have the same settings.")
    return "\n\n".join(filter(None, parts))


def as_json_object(found: VersionComparison) -> dict[str, Any]:
    """Return the comparison with all reviews whose answers differ."""
    natural = found.natural
    return {
        "first": found.first.version,
        "second": found.second.version,
        "figures": found.figures,
        "natural": natural
        and {
            "rules": natural.rules,
            "figures": [found.as_json() for found in natural.figures],
            "difference": natural.difference.as_json(),
            "test": asdict(natural.test),
            "changed": natural.changed.to_dict("records"),
        },
        "settings": found.settings,
        "test": asdict(found.test) if found.test else None,
        "why_no_test": found.why_no_test,
        "changed": found.changed.to_dict("records"),
    }


def _natural(natural: NaturalComparison, titles: tuple[str, str], examples: int) -> list[str]:
    changed = natural.changed
    lost, won = changed[changed["first"] == changed["gold"]], changed[changed["second"] == changed["gold"]]
    return [
        columns([(natural.figures[1].share_text(), *titles, "difference"), *natural.rows()]),
        "\n".join(f"{title} answers {rule}" for title, rule in zip(titles, natural.rules, strict=True)),
        *_test(natural.test, titles, RULES["natural"]),
        _examples(f"Lost by {titles[1]}", lost.head(examples)),
        _examples(f"Won by {titles[1]}", won.head(examples)),
    ]


def _test(test: Comparison, titles: tuple[str, str], rule: str) -> list[str]:
    """Return the paired test, overall and by category."""
    overall = test.overall
    verdict = "significant" if overall.significant else "not significant"
    gains = [(category, str(gain)) for category, gain in test.categories.items()]
    return [
        f"{titles[1]} against {titles[0]}: accuracy {overall} ({verdict}; "
        f"{overall.only_candidate} reviews won, {overall.only_other} lost). {rule}",
        columns([("category (p by Holm)", "gain"), *gains]),
    ]


def _examples(title: str, rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    lines = [f"{title}:"]
    for row in rows.to_dict("records"):
        review = ". ".join(filter(None, (row["title"], row["text"])))
        lines.append("  " + textwrap.shorten(f"[{row['category']}, {row['gold']}] {review}", WIDTH))
    return "\n".join(lines)
