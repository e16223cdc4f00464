"""Everything after scoring, with 3, 20 and 50 labels of any characters: nothing breaks, all is readable."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from matplotlib.transforms import Bbox

from dashboard import figures
from dashboard.pages.try_it import LABELS_SHOWN, _probabilities
from dashboard.queries import comparison
from dashboard.queries.comparison import Choice, RecordedEvaluation
from dashboard.queries.decision import RecordedDecision, effect_rows, figure_rows, label_rows
from dashboard.queries.trial_answers import Answer
from front_door.commands.scored_file import MAX_SHARES, share_lines
from front_door.run.summary import figures_table, natural_table
from review_sentiment.config import DecisionSettings
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.labels import scheme_of
from review_sentiment.data.review_table import CategoryCounts, ReviewTable
from review_sentiment.decision.objective import objective_of
from review_sentiment.decision.rule import Threshold
from review_sentiment.evaluation.classification_report import classification_report
from review_sentiment.evaluation.decision_curves import decided_reviews
from review_sentiment.evaluation.decision_plots import decision_figure
from review_sentiment.evaluation.examples_page import MAX_LABELS, examples_page
from review_sentiment.evaluation.intervals import scale_figures
from review_sentiment.evaluation.natural import natural_difference
from review_sentiment.evaluation.plots import confusion_figure, probability_figure
from review_sentiment.evaluation.result import Evaluation, decided, fitted_rule
from review_sentiment.names import safe_names
from review_sentiment.registry.gate import Champion, Evaluations, judge
from review_sentiment.registry.model_card import CardIdentity, concerns, write_card
from review_sentiment.registry.paper_results import _balanced, _natural
from review_sentiment.registry.tuned_model import TunedModel
from review_sentiment.scoring.answered_file import BulkResult, LabelShare
from review_sentiment.scoring.answers import answer_table, labels_of, probability_columns
from review_sentiment.settings_files import load_settings
from review_sentiment.tracking.new_version import _shortened
from review_sentiment.training.lora_proof import LoraProof
from tests.many_labels import AWKWARD, STARS, evaluation, names, reviews
from tests.tiny import prompt_of
from tests.unit.dashboard.recorded import version
from tests.unit.review_sentiment.registry.test_lineage import LINEAGE
from tests.unit.test_materializers import VERDICT, adapter

SIZES = (5, 20, 50)
LONG = (
    "A problem with the delivery",
    "A problem with the product",
    "A question about an order",
    "Praise for the staff",
    "Something else",
)


@cache
def tuned(count: int) -> Evaluation:
    """Return the evaluation of a good model."""
    return evaluation("tuned", STARS if count == len(STARS) else names(count), per_label=6)


@cache
def other(count: int) -> Evaluation:
    """Return the evaluation of a worse one on the same reviews."""
    return evaluation("tfidf", tuned(count).metrics.labels, per_label=6, sure=1.0)


every_size = pytest.mark.parametrize("count", SIZES)


def card(found: Evaluation, directory: Path) -> str:
    labels = found.metrics.labels
    table = ReviewTable(reviews(labels, 6))
    assert found.rule
    facts = TunedModel(
        adapter=replace(adapter(directory), prompt=prompt_of(labels)),
        settings={},
        lineage=LINEAGE,
        base_licence="Apache-2.0",
        data_licence="CC0-1.0",
        scheme=scheme_of(labels),
        train=table,
        evaluation=table,
        rule=found.rule,
        categories=(CategoryCounts("all", 1_000, 900, {}),),
        columns=ReviewColumns(),
    )
    evaluations = Evaluations(found, (other(len(labels)),))
    identity = CardIdentity("m", "7", "child", tuple(concerns(found, LoraProof((), 2.0, 0.5))), {})
    return write_card(identity, VERDICT, evaluations, facts)


def bulk_result(labels: tuple[str, ...]) -> BulkResult:
    """Return the result of a file with the estimated shares of labels."""
    shares = {label: LabelShare(n / 1e4, 0, 0.5, 0.1, 0.1) for n, label in enumerate(labels)}
    return BulkResult("a", "b", ReviewColumns(), 9, 0, {}, {"1": 9}, None, "1", "version", shares, None, [])


@every_size
def test_a_card_has_its_main_parts_within_what_mlflow_keeps(count: int, tmp_path: Path) -> None:
    found = card(tuned(count), tmp_path)
    kept = _shortened(found)
    for part in ("**Gate**", "**Use**", "**Limits**", "**Base model**", "**Provenance**", "**Data**"):
        assert part in kept
    html = MarkdownIt().enable("table").render(found)
    assert "<strong>bold</strong>" not in html
    assert "<b>bold</b>" not in html, "a label is text"
    assert ("**In production, by label**" in found) == (count > 5)
    assert ("quadratic kappa" in found) == (count == 5)
    rows = [line for line in found.splitlines() if line.startswith("|") and "skipped" not in line]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
    for number, line in enumerate(rows):
        if line.startswith("|---"):
            assert cells[number - 1] == cells[number] == cells[number + 1], rows[number + 1]


@every_size
def test_figures_are_drawn_and_grow_with_the_labels(count: int) -> None:
    found = tuned(count)
    assert found.rule
    matrix, curves = confusion_figure(found), probability_figure(found)
    rule = decision_figure(found.stratified, found.rule)
    for figure in (matrix, curves, rule):
        figure.savefig(io.BytesIO(), format="png", dpi=30)
    width, height = matrix.get_size_inches()
    assert height / count > 0.27
    assert width / (count + 1) > 0.3
    assert len(curves.axes[0].lines) <= 7
    assert len({line.get_color() for line in rule.axes[1].lines}) == 3, "precision, recall and cost"


@pytest.mark.parametrize("labels", [STARS, LONG[:3], LONG, names(20)])
def test_names_beside_figures_do_not_overlap(labels: tuple[str, ...]) -> None:
    found = evaluation("tuned", labels, per_label=6)
    assert found.rule
    matrix, rule = confusion_figure(found), decision_figure(found.stratified, found.rule)
    (axes,) = matrix.axes
    for figure, rows in (
        (matrix, [axes.get_xticklabels(), axes.get_yticklabels()]),
        (rule, [[axes.title for axes in rule.axes]]),
    ):
        figure.draw_without_rendering()
        for row in rows:
            boxes = [text.get_window_extent() for text in row]
            assert not [pair for pair in combinations(boxes, 2) if Bbox.overlaps(*pair)]
            assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.get_points())


@every_size
def test_the_examples_page_shows_few_probabilities_of_each_review(count: int) -> None:
    page = examples_page(tuned(count))
    assert "<b>bold</b>" not in page
    first = page[page.index("<dl>") : page.index("</dl>")]
    assert first.count("<progress") == min(count, MAX_LABELS)
    assert (f"{count - MAX_LABELS} other labels" in first) == (count > MAX_LABELS)


@every_size
def test_the_console_stays_in_its_columns(count: int) -> None:
    metrics = {}
    for name, found in (("tfidf", other(count)), ("tuned", tuned(count))):
        assert found.natural
        headline = found.metrics.headline() | found.metrics.interval_ends()
        natural = json.loads(json.dumps(found.natural.as_json()))
        metrics[name] = {**headline, "natural": natural}
    lines = natural_table(metrics).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    assert ("kappa" in lines[2]) == (count == 5)
    assert len({len(line) for line in figures_table(metrics).splitlines()}) == 1


@pytest.mark.parametrize("count", [5, 20])
def test_evidentlys_report_has_every_label(count: int) -> None:
    report = classification_report(tuned(count), other(count))
    assert report.figures["Accuracy"] == pytest.approx(tuned(count).metrics.constrained_accuracy)
    shown = unescape(report.html).encode().decode("unicode_escape", errors="ignore")
    assert all(label in shown or not label.isascii() for label in tuned(count).metrics.labels[:3])


@every_size
def test_the_gate_and_the_comparison_work(count: int) -> None:
    good, worse = tuned(count), other(count)
    assert good.rule
    assert worse.rule
    settings = load_settings(None).gate
    verdict = judge(Evaluations(good, (worse,), worse), Champion(), LoraProof((), 2.0, 0.5), settings)
    assert verdict.comparisons[0].overall.gain > 0
    tables, rules = (worse.stratified, good.stratified), (worse.rule, good.rule)
    difference = natural_difference(*tables, rules, good.rule.prior)
    assert difference.macro_f1 > 0


@every_size
def test_answers_have_a_column_per_label(count: int) -> None:
    found = tuned(count)
    assert found.rule
    labels = found.metrics.labels
    p = found.predictions[probability_columns(labels)].to_numpy()
    table = answer_table(found.rule, np.log(p))
    text = table.to_csv(index=False)
    again = pd.read_csv(io.StringIO(text))
    assert labels_of(again) == list(labels)
    assert len(set(again.columns)) == len(again.columns)


@every_size
def test_rules_for_other_objectives_are_fitted(count: int) -> None:
    found = tuned(count)
    labels = found.metrics.labels
    assert found.rule
    for settings in (
        DecisionSettings(objective="macro_f1"),
        DecisionSettings(cost={f"false_{labels[2]}": 5.0}),
    ):
        rule = fitted_rule(found.decision, labels, found.rule.prior, settings)
        assert "decided" in decided(found.stratified, rule)


def test_a_label_with_dots_can_be_set_on_the_command_line() -> None:
    settings = load_settings(None, ["decision.precision.v1.5 (C++)=0.9"]).decision
    assert objective_of(settings, ("v1.5 (C++)", "other")).target == 0.9


@every_size
def test_figures_for_a_paper_name_their_label(count: int) -> None:
    found = tuned(count)
    assert found.natural
    rows = _natural({}, found.natural) + _balanced({}, found.metrics)
    assert {f"recall of {label}" for label in found.metrics.labels} <= {row["figure"] for row in rows}
    assert all(row["low"] <= row["high"] for row in rows)


@every_size
def test_the_dashboard_shows_every_label(count: int) -> None:
    found = tuned(count)
    assert found.rule
    assert found.natural
    recorded = RecordedEvaluation(
        Choice("1", "tuned", version("1")),
        found.predictions,
        found.stratified,
        found.rule,
        found.natural.share,
    )
    assert recorded.labels == list(found.metrics.labels)
    matrix = figures.confusion("tuned", *comparison.confusion_counts(recorded))
    assert matrix.layout.height == figures.confusion_height(recorded.labels)
    assert matrix.layout.height / count > 20
    assert matrix.layout.yaxis.tickvals == matrix.data[0].y, (
        "a tick is at its label, also if that is a number"
    )
    assert (matrix.layout.xaxis.tickangle is None) == (count == len(STARS)), "names are upright"
    assert matrix.layout.xaxis.type == matrix.layout.yaxis.type == "category", "also if labels are numbers"
    assert len(label_rows(found.natural)) == count
    label = comparison.drawn_label(recorded)
    assert label == found.rule.rarest
    for line in (comparison.roc_line(recorded, label), comparison.reliability_line(recorded, label)):
        assert len(line.x) == len(line.y) > 1
    probabilities = dict.fromkeys(found.metrics.labels, 1 / count)
    assert _probabilities(Answer(label, 1 / count, probabilities)).count("%") <= LABELS_SHOWN


def test_long_names_of_few_labels_are_upright_and_short_below_a_matrix() -> None:
    matrix = figures.confusion("tuned", np.eye(5, dtype=int).tolist(), LONG, LONG)
    assert matrix.layout.xaxis.tickangle == -90
    assert matrix.layout.xaxis.ticktext[0] == "A problem w…the delivery"
    assert figures.confusion_height(LONG) > figures.confusion_height(STARS) + 100


def test_the_share_is_that_of_the_label_as_the_user_wrote_it() -> None:
    found = tuned(20)
    assert found.rule
    assert found.natural
    assert found.rule.rarest == "Very negative"
    assert found.natural.share_text() == "as in production: 0.5% Very negative"


def test_the_curves_are_those_of_the_label_with_a_threshold() -> None:
    found = tuned(len(STARS))
    assert found.rule
    assert found.natural
    rule = replace(found.rule, threshold=Threshold(2, 0.4))
    reviews = decided_reviews(found.stratified, rule)
    assert (reviews.label, reviews.own_threshold) == ("3", 0.4)
    recorded = RecordedDecision("7", rule, reviews, found.natural, found.metrics.__dict__)
    (rarest,) = (row for row in figure_rows(recorded) if row[0] == 'recall of "1"')
    assert rarest[2] == "1.000"
    assert found.natural.share_text(reviews.label) == 'as in production: 20.0% "3"'


def test_stars_are_not_taken_for_numbers(tmp_path: Path) -> None:
    found = tuned(len(STARS))
    assert found.rule
    assert found.natural
    text = card(found, tmp_path)
    assert '(6.7% "1", 13.3% "2", 20.0% "3", 26.7% "4", 33.3% "5")' in text
    assert '30 reviews (6 "1", 6 "2", ' in text
    assert found.natural.share_text() == 'as in production: 6.7% "1"'
    rows = effect_rows(decided_reviews(found.stratified, found.rule), [0.5])
    assert [title for title, _ in rows][:2] == ['"1" reviews', 'called "1"']
    shown = _probabilities(Answer("1", 0.2, dict.fromkeys(STARS, 0.2)))
    assert '"4" 20.0%, "5" 20.0%' in shown
    (line,) = share_lines(bulk_result(STARS))
    assert '"1" 0.0% (' in line


def test_answers_that_are_all_the_same_have_a_kappa_of_zero() -> None:
    confusion = np.zeros((100, 3, 3))
    confusion[..., 2] = np.random.default_rng(0).dirichlet([1, 1, 1], size=100)
    kappa = scale_figures(confusion, range(3))["quadratic_kappa"]
    assert {f"{one:.3f}" for one in kappa} == {"0.000"}, "not -0.000"


def test_a_class_that_guessing_would_find_more_often_is_a_warning() -> None:
    found = tuned(20)
    blind = [list(row) for row in found.metrics.confusion]
    for number in range(8):
        blind[number] = [0] * len(blind[number])
        blind[number][19] = 6
    metrics = replace(found.metrics, confusion=tuple(map(tuple, blind)))
    (warning,) = concerns(replace(found, metrics=metrics), LoraProof((), 2.0, 0.5))
    assert "and 3 more are recognised: the model collapsed on 8 classes." in warning
    assert concerns(found, LoraProof((), 2.0, 0.5)) == []


def test_awkward_labels_keep_apart_in_mlflow() -> None:
    safe = safe_names(AWKWARD)
    assert len({name.casefold() for name in safe.values()}) == len(AWKWARD)


@every_size
def test_a_scored_file_names_the_most_frequent_labels(count: int) -> None:
    (line,) = share_lines(bulk_result(names(count)))
    assert line.count("% to ") == min(count, MAX_SHARES)
    assert (f" and {count - MAX_SHARES} more labels" in line) == (count > MAX_SHARES)
