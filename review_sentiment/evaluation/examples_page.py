"""Single predictions as an HTML page in one file, which loads nothing else.

Its style is not part of a step's cache key: an edit in `pages/` shows with the next evaluation.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from review_sentiment.evaluation.examples import GROUPS
from review_sentiment.scoring.answers import labels_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from review_sentiment.evaluation.result import Evaluation

MAX_LABELS = 5
"""Probabilities of a review that are shown: that of the gold label, and the largest others."""


def examples_page(evaluation: Evaluation) -> str:
    """Return the examples of an evaluation as an HTML page; reviews are always shown as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=PackageLoader("review_sentiment.evaluation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_part(f"examples.{kind}") for kind in ("css", "js"))
    table = evaluation.examples
    rows = [_shown(row, labels_of(evaluation.predictions)) for row in table.to_dict("records")]
    return pages.get_template("examples.html").render(
        model=evaluation.model,
        metrics=evaluation.metrics,
        rows=rows,
        groups={name: (title, sum(row[name] for row in rows)) for name, title in GROUPS.items()},
        categories=sorted({row["category"] for row in rows}),
        # Our own files, not input: the only markup that is not escaped.
        style=Markup(style),
        script=Markup(script),
        style_hash=_policy_hash(style),
        script_hash=_policy_hash(script),
    )


def _shown(row: dict[Hashable, Any], labels: Sequence[str]) -> dict[Hashable, Any]:
    """Return a row for the template: the likeliest labels' probabilities, None if no answer was generated."""
    answer = row["raw_answer"]
    by_label = {label: row[f"p_{label}"] for label in labels}
    likeliest = sorted(labels, key=lambda label: (label != row["gold"], -by_label[label]))[:MAX_LABELS]
    shown = [label for label in labels if label in likeliest]
    return row | {
        "probabilities": {label: by_label[label] for label in shown},
        "confidence": max(by_label.values()),
        "others": len(labels) - len(shown),
        "rest": 1 - sum(by_label[label] for label in shown),
        "right": row["gold"] == row["predicted"],
        "raw_answer": answer if isinstance(answer, str) else None,
    }


def _part(name: str) -> str:
    return (files("review_sentiment.evaluation") / "pages" / name).read_text(encoding="utf-8")


def _policy_hash(text: str) -> str:
    """Return the hash by which a content security policy admits one inline part (CSP level 2)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
