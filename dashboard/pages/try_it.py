"""Try it: type a review and see both models' answers, and the words that moved them."""

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
from dashboard.widgets.layout import card, column, grid, notice, paragraph
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.names import in_sentence

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

EXAMPLE = "The fabric is soft and I love the colour, but it runs small and the seam tore after one wash."
FOR_COLOUR, AGAINST_COLOUR = (0, 114, 178), (230, 159, 0)
"""Blue and orange of the Okabe-Ito palette."""
MIN_WEIGHT = 0.005
"""A word that changes the probability by less than this is not coloured."""
MAX_LABELS = 5
"""Probabilities that are shown, the largest ones."""
LEGEND = (
    "Blue, solid underline: without this word the label is less likely. "
    "Orange, dotted underline: without it the label is more likely."
)


def review_fields() -> mo.ui.dictionary:
    """Return the fields of a review; their value changes when the field loses focus or on Ctrl-Enter."""
    return mo.ui.dictionary(
        {
            "title": mo.ui.text(label="Title (optional)", full_width=True),
            "text": mo.ui.text_area(
                value=EXAMPLE, label="Review", max_length=MAX_CHARACTERS, rows=5, full_width=True
            ),
        }
    )


def models_or_notice(version: ModelVersion | None) -> tuple[ModelPair | None, mo.Html | None]:
    """Load a version and its base model, or return why that fails."""
    if version is None:
        return None, notice("No version to try", NOTHING_YET, "info")
    try:
        with mo.status.spinner(title="Loading the version and its base model (a few seconds)"):
            return load_model_pair(version), None
    except ReviewSentimentError as error:
        return None, notice("The model cannot be loaded", str(error), "danger")


def both_answers_view(models: ModelPair, title: str, text: str) -> mo.Html:
    """Show both models' answers to a review."""
    if not f"{title}{text}".strip():
        return notice("No review yet", "Type or paste a review.", "info")
    return grid(
        [
            _answer_card("Tuned model", ask(models.tuned, title, text)),
            _answer_card("Untuned base model, its likeliest label", ask(models.baseline, title, text)),
        ]
    )


def words_view(models: ModelPair, title: str, text: str) -> mo.Html:
    """Show the words that moved each model's answer."""
    if not text.strip():
        return paragraph("")
    shown = []
    for name, model in (("Tuned", models.tuned), ("Untuned", models.baseline)):
        label = ask(model, title, text).label
        parts = occlude(title, text, partial(probabilities_of, model, label))
        shown.append(mo.Html(f"<b>{name}: words for and against '{html.escape(label)}'</b>{words(parts)}"))
    return column([grid(shown, min_rem=24), paragraph(LEGEND, small=True)])


def words(parts: Sequence[Part]) -> str:
    """Return the words as HTML; the more a word moved the answer, the stronger its colour."""
    largest = max((abs(part.weight) for part in parts), default=0.0)
    return f"<p class=rs-words>{''.join(_word(part, largest) for part in parts)}</p>"


def _word(part: Part, largest: float) -> str:
    text = html.escape(part.text)
    if abs(part.weight) < MIN_WEIGHT:
        return text
    (red, green, blue), line = (FOR_COLOUR, "solid") if part.weight > 0 else (AGAINST_COLOUR, "dotted")
    strength = 0.1 + 0.45 * abs(part.weight) / largest
    return (
        f"<span title='{part.weight:+.3f}' style='background:rgba({red},{green},{blue},{strength:.2f});"
        f"border-bottom:2px {line} rgb({red},{green},{blue})'>{text}</span>"
    )


def _answer_card(name: str, answer: Answer) -> mo.Html:
    shown = list(answer.probabilities.items())
    if len(shown) > MAX_LABELS:
        shown = sorted(shown, key=lambda item: -item[1])[:MAX_LABELS]
    probabilities = ", ".join(f"{in_sentence(label)} {p:.1%}" for label, p in shown)
    return card(name, f"{in_sentence(answer.label)}, {answer.probability:.1%}", probabilities)
