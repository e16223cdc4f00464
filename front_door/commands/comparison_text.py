"""A comparison of two versions, for people and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from front_door.terminal.text_table import columns

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.registry.version_comparison import VersionComparison

WIDTH = 100


def as_text(found: VersionComparison, examples: int) -> str:
    """Return what is different; `examples` reviews are shown of those won and of those lost."""
    first, second = f"version {found.first.version}", f"version {found.second.version}"
    parts = [columns([("", first, second), *((key, *values) for key, values in found.figures.items())])]
    if found.settings:
        parts.append(
            columns([("setting", first, second), *((key, *both) for key, both in found.settings.items())])
        )
    else:
        parts.append("Both have the same settings.")
    if found.test is None:
        parts.append(f"No paired test: {found.why_no_test}")
        return "\n\n".join(parts)
    overall = found.test.overall
    verdict = "significant" if overall.significant else "not significant"
    parts.append(
        f"{second} against {first}: accuracy {overall} ({verdict}; "
        f"{overall.only_candidate} reviews won, {overall.only_other} lost)"
    )
    parts.append(
        columns(
            [
                ("category (p by Holm)", "gain"),
                *((key, str(one)) for key, one in found.test.categories.items()),
            ]
        )
    )
    lost = found.changed[found.changed["first"] == found.changed["gold"]]
    won = found.changed[found.changed["second"] == found.changed["gold"]]
    parts += [
        _examples(f"Lost by {second}", lost.head(examples)),
        _examples(f"Won by {second}", won.head(examples)),
    ]
    return "\n\n".join(part for part in parts if part)


def as_json_object(found: VersionComparison) -> dict[str, Any]:
    """Return everything, all changed reviews among it."""
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
        said = ". ".join(filter(None, (row["title"], row["text"])))
        lines.append("  " + textwrap.shorten(f"[{row['category']}, {row['gold']}] {said}", WIDTH))
    return "\n".join(lines)
