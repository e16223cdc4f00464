"""A comparison of two versions, as text and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from front_door.run.summary import tag_figure
from front_door.terminal.text_table import columns
from review_sentiment.evaluation.comparison import RULE

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.registry.version_comparison import VersionComparison

WIDTH = 100


def as_text(found: VersionComparison, examples: int) -> str:
    """Return the differences, with up to `examples` reviews that the second version gained, and lost."""
    first, second = f"version {found.first.version}", f"version {found.second.version}"
    figures = [(key, tag_figure(found.first, key), tag_figure(found.second, key)) for key in found.figures]
    parts = [columns([("", first, second), *figures])]
    if found.settings:
        rows = [(key, *values) for key, values in found.settings.items()]
        parts.append(columns([("setting", first, second), *rows]))
    else:
        parts.append("Both have the same settings.")
    if found.test is None:
        parts.append(f"No paired test: {found.why_no_test}")
        return "\n\n".join(parts)
    overall = found.test.overall
    verdict = "significant" if overall.significant else "not significant"
    gains = [(category, str(gain)) for category, gain in found.test.categories.items()]
    lost = found.changed[found.changed["first"] == found.changed["gold"]]
    won = found.changed[found.changed["second"] == found.changed["gold"]]
    parts += [
        f"{second} against {first}: accuracy {overall} ({verdict}; "
        f"{overall.only_candidate} reviews won, {overall.only_other} lost). {RULE}",
        columns([("category (p by Holm)", "gain"), *gains]),
        _examples(f"Lost by {second}", lost.head(examples)),
        _examples(f"Won by {second}", won.head(examples)),
    ]
    return "\n\n".join(filter(None, parts))


def as_json_object(found: VersionComparison) -> dict[str, Any]:
    """Return the comparison with all reviews whose answers differ."""
    return {
        "first": found.first.version,
        "second": found.second.version,
        "figures": found.figures,
        "settings": found.settings,
        "test": asdict(found.test) if found.test else None,
        "why_no_test": found.why_no_test,
        "changed": found.changed.to_dict("records"),
    }


def _examples(title: str, rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    lines = [f"{title}:"]
    for row in rows.to_dict("records"):
        review = ". ".join(filter(None, (row["title"], row["text"])))
        lines.append("  " + textwrap.shorten(f"[{row['category']}, {row['gold']}] {review}", WIDTH))
    return "\n".join(lines)
