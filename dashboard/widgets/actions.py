"""Buttons that run an action and report its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import marimo as mo

from dashboard.widgets.layout import paragraph
from review_sentiment.errors import ReviewSentimentError

Report = Callable[[str], None]
"""Setter of a marimo state: every cell that reads the state runs again."""


def action_button(
    label: str,
    action: Callable[[], str],
    report: Report,
    kind: Literal["neutral", "success", "warn", "danger"] = "neutral",
) -> mo.ui.button:
    """Return a button that runs an action and reports the text it returns, or its error message."""

    def press(_: object) -> None:
        try:
            outcome = action()
        except ReviewSentimentError as error:
            outcome = str(error)
        report(f"{time.time()} {outcome}")  # the time makes every press a new state

    return mo.ui.button(label=label, kind=kind, on_click=press)


def outcome_view(reported: str) -> mo.Html | None:
    """Show the outcome that a button reported last, if any."""
    outcome = reported.partition(" ")[2]
    return paragraph(outcome) if outcome else None
