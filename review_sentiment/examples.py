"""Single predictions to read: the surest right, the surest wrong and the least sure, as a page.

The page is one file that loads nothing. Its look is no part of a step's cache key: an edit of the files in
`pages/` shows with the next evaluation.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pandas as pd

from review_sentiment.predictions import labels_of, probability_columns

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from review_sentiment.metrics import Evaluation

PER_GROUP = 20
GROUPS = {"surest_wrong": "surest wrong", "least_sure": "least sure", "surest_right": "surest right"}
"""Columns of a table of examples that tell its groups, and their names."""
TEMPLATE = "examples.html"
STYLE = "examples.css"
SCRIPT = "examples.js"


def example_table(
    reviews: pd.DataFrame, predictions: pd.DataFrame, labels: Sequence[str], samples: pd.DataFrame
) -> pd.DataFrame:
    """Return the first `PER_GROUP` reviews of each group, wrong ones first, each review once.

    `reviews` and `predictions` have the same rows. Of `samples` (those of `predictions.sample_table`) the
    answers that were generated are taken; `raw_answer` is missing where none was. A review may be in two
    groups: there is a column of truth values for each of `GROUPS`.
    """
    wrong = predictions["gold"] != predictions["predicted"]
    by_sureness = predictions[probability_columns(labels)].max(axis=1).sort_values(kind="stable")
    surest = by_sureness[::-1]
    groups = {
        "surest_wrong": surest[wrong].index[:PER_GROUP],
        "least_sure": by_sureness.index[:PER_GROUP],
        "surest_right": surest[~wrong].index[:PER_GROUP],
    }
    rows = list(dict.fromkeys(row for members in groups.values() for row in members))
    table = pd.concat(
        [
            reviews[["title", "text", "stars"]].iloc[rows].reset_index(drop=True),
            predictions.drop(columns="label_mass").iloc[rows].reset_index(drop=True),
        ],
        axis=1,
    )
    generated = dict(zip(samples["review_id"], samples["raw_answer"], strict=True))
    table["raw_answer"] = pd.Series([generated.get(review) for review in table["review_id"]], dtype="str")
    return table.assign(**{name: pd.Index(rows).isin(members) for name, members in groups.items()})


def examples_page(evaluation: Evaluation) -> str:
    """Return the examples of an evaluation as an HTML page; whatever stands in a review is shown as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=PackageLoader("review_sentiment", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_part(name) for name in (STYLE, SCRIPT))
    table = evaluation.examples
    rows = [_shown(row, labels_of(evaluation.predictions)) for row in table.to_dict("records")]
    return pages.get_template(TEMPLATE).render(
        model=evaluation.model,
        metrics=evaluation.metrics,
        rows=rows,
        groups={name: (title, sum(row[name] for row in rows)) for name, title in GROUPS.items()},
        categories=sorted({row["category"] for row in rows}),
        # Our own files, not input: the only markup that is passed on as it is.
        style=Markup(style),
        script=Markup(script),
        style_hash=_policy_hash(style),
        script_hash=_policy_hash(script),
    )


def _shown(row: dict[Hashable, Any], labels: Sequence[str]) -> dict[Hashable, Any]:
    """Return a row as the template wants it: probabilities by label, None where no answer was generated."""
    answer = row["raw_answer"]
    return row | {
        "probabilities": {label: row[f"p_{label}"] for label in labels},
        "right": row["gold"] == row["predicted"],
        "raw_answer": answer if isinstance(answer, str) else None,
    }


def _part(name: str) -> str:
    return (files("review_sentiment") / "pages" / name).read_text(encoding="utf-8")


def _policy_hash(text: str) -> str:
    """Return the hash by which a content security policy lets one inline part pass (CSP level 2)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
