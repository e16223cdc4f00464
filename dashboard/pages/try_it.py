"""The page to type a review into: labels, probabilities, and the words that moved them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.explain.occlusion import Part, occlude
from dashboard.queries.trial_answers import (
    MAX_CHARACTERS,
    Answer,
    ModelPair,
    ask,
    load_model_pair,
    probabilities_of,
)
from dashboard.queries.versions import NOTHING_YET
from dashboard.widgets.layout import card, column, grid, notice, said
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

EXAMPLE = "The fabric is soft and I love the colour, but it runs small and the seam tore after one wash."
FOR_COLOUR, AGAINST_COLOUR = (0, 114, 178), (230, 159, 0)
"""Blue and orange of M. Okabe and K. Ito."""
SHOWN_FROM = 0.005
"""Change of a probability under which a word stays plain."""


def review_fields() -> mo.ui.dictionary:
    """Return the fields of a review; what is typed counts when the field is left or Ctrl-Enter is pressed."""
    return mo.ui.dictionary(
        {
            "title": mo.ui.text(label="title (may be empty)", full_width=True),
            "text": mo.ui.text_area(
                value=EXAMPLE, label="review", max_length=MAX_CHARACTERS, rows=5, full_width=True
            ),
        }
    )


def rivals_or_notice(version: ModelVersion | None) -> tuple[ModelPair | None, mo.Html | None]:
    """Load a version and its base model, or say why they cannot be."""
    if version is None:
        return None, notice("No version to ask", NOTHING_YET, "info")
    try:
        with mo.status.spinner(title="Loading the version and its base model (some seconds)"):
            return load_model_pair(version), None
    except ReviewSentimentError as error:
        return None, notice("The model cannot be loaded", str(error), "danger")


def answers_view(rivals: ModelPair, title: str, text: str) -> mo.Html:
    """Show both answers to a review."""
    if not f"{title}{text}".strip():
        return notice("Nothing to judge", "Type or paste a review.", "info")
    return grid(
        [
            _answer_card("tuned", ask(rivals.tuned, title, text)),
            _answer_card("untuned, its likelier word", ask(rivals.baseline, title, text)),
        ]
    )


def words_view(rivals: ModelPair, title: str, text: str) -> mo.Html:
    """Show the words that moved each model's answer."""
    if not text.strip():
        return said("")
    shown = []
    for name, rival in (("tuned", rivals.tuned), ("untuned", rivals.baseline)):
        label = ask(rival, title, text).label
        parts = occlude(title, text, partial(probabilities_of, rival, label))
        shown.append(mo.Html(f"<b>{name}: words for and against '{html.escape(label)}'</b>{words(parts)}"))
    note = (
        "Blue and underlined: without it the label is less likely. Orange and dotted: without it, likelier."
    )
    return column([grid(shown, least_rem=24), said(note, small=True)])


def words(parts: Sequence[Part]) -> str:
    """Return the words as HTML, as strongly coloured as they moved the answer."""
    most = max((abs(part.weight) for part in parts), default=0.0)
    return f"<p class=rs-words>{''.join(_word(part, most) for part in parts)}</p>"


def _word(part: Part, most: float) -> str:
    text = html.escape(part.text)
    if abs(part.weight) < SHOWN_FROM:
        return text
    red, green, blue = FOR_COLOUR if part.weight > 0 else AGAINST_COLOUR
    line = "solid" if part.weight > 0 else "dotted"
    strength = 0.1 + 0.45 * abs(part.weight) / most
    return (
        f"<span title='{part.weight:+.3f}' style='background:rgba({red},{green},{blue},{strength:.2f});"
        f"border-bottom:2px {line} rgb({red},{green},{blue})'>{text}</span>"
    )


def _answer_card(name: str, answer: Answer) -> mo.Html:
    others = ", ".join(f"{label} {p:.1%}" for label, p in answer.probabilities.items())
    return card(name, f"{answer.label}, {answer.probability:.1%}", others)
