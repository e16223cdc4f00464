"""What pages show, computed from what is recorded: comparisons, versions, words, updates, levels, ranks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard.widgets.figures import COLOURS, Line, intervals, lines

from dashboard.pages import models, sections
from dashboard.queries import comparison, decision
from dashboard.queries.comparison import Choice, RecordedEvaluation
from dashboard.queries.decision import RecordedDecision
from dashboard.queries.versions import Registry
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import UsageError
from review_sentiment.evaluation.decision_curves import decided_reviews
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.natural import natural_metrics
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import decided
from review_sentiment.names import in_markdown
from review_sentiment.tracking import evidence
from review_sentiment.tracking.model_versions import COMPARED_TAG, ModelVersion

LABELS = ("negative", "positive")


def recorded(model: str, p_positive: list[float]) -> RecordedEvaluation:
    """Return the evaluation of a model that answers so to reviews that are negative and positive in turn."""
    n = len(p_positive)
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{number}" for number in range(n)],
            "category": ["Tops", "Shoes"] * (n // 2),
            "label": list(LABELS) * (n // 2),
        }
    )
    p = np.array([[1 - value, value] for value in p_positive])
    frame = prediction_table(reviews, LABELS, p, p.argmax(1), np.ones(n))
    metrics = json.loads(json.dumps(compute_metrics(frame, LABELS).__dict__))
    choice, rule = Choice(model, version("1"), model), DecisionRule.raw(LABELS, (0.5, 0.5))
    return RecordedEvaluation(choice, metrics, frame, pd.DataFrame(), decided(frame, rule), rule)


@pytest.fixture
def pair() -> tuple[RecordedEvaluation, RecordedEvaluation]:
    first = recorded("tfidf", [0.1, 0.9, 0.8, 0.9, 0.1, 0.2])  # r2 and r5 wrong
    second = recorded("tuned", [0.1, 0.9, 0.1, 0.9, 0.7, 0.3])  # r4 and r5 wrong
    return first, second


def test_answers_that_changed_come_first(pair: tuple[RecordedEvaluation, RecordedEvaluation]) -> None:
    reviews = pd.DataFrame({"review_id": [f"r{n}" for n in range(6)], "title": "T", "text": list("abcdef")})
    table = comparison.answers_table(*pair, reviews)
    assert list(table["change"]) == ["lost", "won", "both wrong", "both right", "both right", "both right"]
    assert table.iloc[0]["review"] == "T. e"
    assert table.iloc[0]["p first"] == pytest.approx(0.9)
    assert set(comparison.only(table, "changed")["change"]) == {"won", "lost"}
    assert len(comparison.only(table, "all")) == 6


def test_the_paired_test_counts_what_was_won_and_lost(
    pair: tuple[RecordedEvaluation, RecordedEvaluation],
) -> None:
    found = comparison.compare_evaluations(*pair)
    assert (found.overall.only_candidate, found.overall.only_other, found.overall.gain) == (1, 1, 0.0)
    assert "1 reviews won, 1 lost" in comparison.paired_test_text(found, "tfidf", "tuned", "balanced")


def test_figures_have_their_intervals(pair: tuple[RecordedEvaluation, RecordedEvaluation]) -> None:
    rows = comparison.figure_rows(pair)
    low, high = pair[1].metrics["intervals"]["accuracy"]
    assert rows[0] == ["accuracy", rows[0][1], f"{4 / 6:.3f} [{low:.3f}, {high:.3f}]"]
    assert rows[-1] == ["reviews", "6", "6"]


def test_a_thousand_reviews_under_the_slider_and_under_the_rule(
    pair: tuple[RecordedEvaluation, RecordedEvaluation],
) -> None:
    """Of three negative reviews, the second model finds two, and it calls one positive review negative."""
    rule = DecisionRule.raw(LABELS, (0.2, 0.8))
    reviews = decided_reviews(pair[1].stratified, rule)
    found = RecordedDecision(
        "1", rule, reviews, natural_metrics(pair[1].stratified, rule, rule.prior), pair[1].metrics
    )
    assert 0.5 in (steps := decision.threshold_steps(reviews))
    assert steps == sorted(steps)
    rows = {title: tuple(values) for title, *values in decision.effect_rows(reviews, [0.01, 0.5])}
    assert rows["negative reviews"] == ("200", "200")
    assert rows["called negative"] == ("1,000", "133")
    assert rows["… and right"] == ("200", "133")
    assert rows["negative, but missed"] == ("0", "67")
    figures = {title: values for title, *values in decision.figure_rows(found)}
    assert figures["precision of negative"][1] == f"{2 / 3:.3f}"
    assert figures["reviews"] == ["6", "6"]
    for line in (
        *decision.reliability_lines(reviews),
        *decision.threshold_lines(reviews),
        *decision.risk_lines(found),
    ):
        assert len(line.x) == len(line.y) > 0


@pytest.mark.parametrize(
    ("compared", "other"),
    [("baseline tfidf", "untuned base model"), ("tfidf", "TF-IDF + logistic regression")],
)
def test_the_first_version_is_compared_with_a_model_that_was_evaluated(compared: str, other: str) -> None:
    registry = Registry("m", (replace(version("1"), tags={COMPARED_TAG: compared}),))
    first, second = comparison.default_choices(registry)
    assert first == f"{other} beside version 1"
    assert {first, second} <= set(comparison.choices(registry))


def test_curves_lie_in_the_unit_square(pair: tuple[RecordedEvaluation, RecordedEvaluation]) -> None:
    label = comparison.drawn_label(pair[1])
    for line in (comparison.roc_line(pair[0], label), comparison.reliability_line(pair[1], label)):
        assert all(0 <= float(value) <= 1 for value in (*line.x, *line.y))


def test_the_column_of_unparsed_answers_is_left_out_if_it_is_empty(
    pair: tuple[RecordedEvaluation, RecordedEvaluation],
) -> None:
    counts, gold, answers = comparison.confusion_counts(pair[0])
    assert gold == answers == list(LABELS)
    assert counts == [[2, 1], [1, 2]]


def version(number: str, *aliases: str, gate: str = "passed") -> ModelVersion:
    return ModelVersion(
        "m", number, aliases, f"models:/m/{number}", "run", datetime.now(UTC), {"gate": gate}, "m-1"
    )


def test_a_promotion_names_the_champion_it_replaces_and_a_failed_gate() -> None:
    registry = Registry("m", [version("2", "challenger", gate="not passed"), version("1", "champion")])
    assert registry.champion is registry.versions[1]
    text = models.change_text(registry, "2")
    assert "version 2 (challenger)" in text
    assert "instead of version 1" in text
    assert "not passed" in text
    assert "no version 9" in models.change_text(registry, "9")


def test_a_card_is_shown_without_the_pictures_of_mlflows_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = "![Curves](get-artifact?path=tuned/decision.png&run_uuid=1)"
    measured = f"|a|b|\n|---|---|\n|gain|{in_markdown('+0.1 [0.0, 0.2]')}|\n|share|{in_markdown('$x$')}|"
    card = f"First.\n\n{picture}\n\nSecond <script>.\n\n{measured}"
    monkeypatch.setattr(evidence, "card_of", lambda _: card)
    shown = models.card_view(version("1")).text
    assert "First." in shown
    assert "Second &lt;script&gt;." in shown
    assert "get-artifact" not in shown
    assert "<td>+0.1 [0.0, 0.2]</td>" in unescape(shown), "brackets do not start a formula"
    assert "<td>$x$</td>" in unescape(shown)


def test_an_empty_registry_shows_what_to_do() -> None:
    assert "python run_pipeline.py" in models.versions_view(Registry("m", [])).text


def test_a_rollback_without_an_earlier_champion_is_refused(
    mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    mlflow.MlflowClient().create_registered_model("m")
    with pytest.raises(UsageError, match="No version of 'm' is registered"):
        models.roll_back(Registry("m", []))


def test_lines_differ_by_more_than_their_colour() -> None:
    figure = lines("t", "x", "y", [Line(str(n), [0, 1], [n, n]) for n in range(len(COLOURS))])
    looks = {(trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == len({trace.line.color for trace in figure.data}) == len(COLOURS)


def test_intervals_are_drawn_from_end_to_end() -> None:
    trace = intervals("t", "x", [Line("m", ["a"], [0.5], [0.4], [0.7])]).data[0]
    assert trace.error_x.array == pytest.approx((0.2,))
    assert trace.error_x.arrayminus == pytest.approx((0.1,))


def test_cell_names_start_with_their_sections_name() -> None:
    """`head.html` hides the cells of other sections by name."""
    source = (Path(sections.__file__).parents[1] / "app.py").read_text(encoding="utf-8")
    names = re.findall(r"^def (\w+)\(", source, re.MULTILINE)
    slugs = {re.sub(r"[^a-z]+", "_", section.lower()) for section in sections.SECTIONS}
    of_section = {name: [slug for slug in slugs if name.startswith(slug)] for name in names}
    assert all(len(found) == 1 for name, found in of_section.items() if not name.startswith("page_"))
    assert {slug for found in of_section.values() for slug in found} == slugs
