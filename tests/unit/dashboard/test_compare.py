"""Compare: shared reviews only, figures and tests on them, answers that changed. And the decision rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
from starlette.testclient import TestClient

from dashboard.app import build_app
from dashboard.jobs import Job
from dashboard.pages import compare
from dashboard.queries import answers, compared, comparison, decision
from dashboard.queries import versions as versions_query
from dashboard.queries.comparison import FEWEST, Choice
from dashboard.queries.decision import RecordedDecision
from dashboard.queries.versions import Registry
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import DataError, ReviewSentimentError
from review_sentiment.evaluation.decision_curves import decided_reviews
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.natural import natural_metrics
from review_sentiment.tracking import evidence
from review_sentiment.tracking.model_versions import COMPARED_TAG
from tests.unit.dashboard.recorded import LABELS, recorded, texts, two, version

REGISTRY = Registry(
    "m",
    [version("3", "challenger", **{COMPARED_TAG: "baseline tfidf"}), version("2")],
    version("1", "champion"),
)


class AtOnce:
    """Stands in for `Jobs`: does the work when it is asked for."""

    def ask(self, _: str, __: object, work: Callable[..., Any], *arguments: Any) -> Job[Any]:
        try:
            return Job(0.0, work(*arguments))
        except ReviewSentimentError as error:
            return Job(0.0, problem=str(error))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of pages about versions 1 to 3: 1 and 3 share reviews, 2 has others."""
    by_key = {
        "1": recorded("1", [0.1, 0.9, 0.8, 0.9, 0.1, 0.2, 0.1, 0.9]),
        "2": recorded("2", [0.1, 0.9, 0.1, 0.9], first=8),
        "3": recorded("3", [0.1, 0.9, 0.1, 0.9, 0.7, 0.3]),
        "3:tfidf": recorded("3", [0.2, 0.8, 0.2, 0.8, 0.2, 0.8]),
    }
    monkeypatch.setattr(compare, "registry_of", lambda _: REGISTRY)
    monkeypatch.setattr(versions_query, "find_version", lambda *_: None)
    monkeypatch.setattr(compared, "use_mlflow", lambda: None)
    monkeypatch.setattr(comparison, "read_evaluation", lambda choice: by_key[choice.key])
    monkeypatch.setattr(evidence, "reviews_of", lambda _: texts(8))
    monkeypatch.setattr(evidence, "settings_of", lambda one: {"lora.rank": one.version, "seed": "42"})
    app = build_app()
    with TestClient(app) as found:
        app.state.jobs.close()
        app.state.jobs = AtOnce()
        yield found
        app.state.jobs = type("Closed", (), {"close": lambda _: None})()


def test_only_shared_reviews_are_compared_and_the_page_says_how_many(client: TestClient) -> None:
    page = client.get("/compare").text  # by default the champion and the newest version
    assert "Only the 6 reviews that all models answered are compared" in page
    assert "6 of 8 of version 1, 6 of 6 of version 3" in page
    assert "no difference beyond chance" in page
    assert ">lora.rank<" in page
    assert ">seed<" not in page
    three = client.get("/compare?models=1,3&models=3:tfidf").text
    assert "6 of 6 of TF-IDF + logistic regression of version 3" in three


def test_versions_that_share_no_review_are_not_compared(client: TestClient) -> None:
    page = client.get("/compare?models=1&models=2").text
    assert "The evaluation sets do not overlap" in page
    assert "Paired tests" not in page


def test_unknown_and_too_many_models_are_named(client: TestClient) -> None:
    page = client.get("/compare?models=1&models=9&models=3:nothing").text
    assert "There is no model “9”" in page
    assert "There is no model “3:nothing”" in page
    assert "Choose at least two models" in page
    assert "At most 6" in client.get("/compare?models=1,3,3:tfidf,4,5,6,7").text


def test_answers_are_filtered_searched_and_sorted(client: TestClient) -> None:
    page = client.get("/compare?models=1&models=3").text
    assert "1 won, 1 lost, 1 all wrong, 3 all right" in page
    shown = page[page.index('id="answer-table"') :]
    assert shown.index("<td>lost</td>") < shown.index("<td>won</td>")
    assert "<td>all wrong</td>" not in shown
    found = client.get("/compare?models=1&models=3&change=all&search=T.+F").text
    assert "1 reviews, page 1 of 1" in found
    assert "T. f" in found
    assert client.get("/compare?models=1&models=3&change=x&order=x&page=-7").status_code == 200


def test_an_empty_registry_leads_to_the_first_run(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "registry_of", lambda _: Registry("m"))
    assert "/runs/new" in client.get("/compare").text


@pytest.mark.parametrize(
    ("registry", "keys"),
    [
        (REGISTRY, ["1", "3"]),
        (Registry("m", [version("2"), version("1")]), ["1", "2"]),
        (Registry("m", [version("1", **{COMPARED_TAG: "tfidf baseline"})]), ["1:baseline", "1"]),
        (Registry("m", [version("1", **{COMPARED_TAG: "tfidf"})]), ["1:tfidf", "1"]),
        (Registry("m", [version("1")]), ["1"]),
    ],
)
def test_the_newest_version_is_compared_with_the_champion_or_what_there_is(
    registry: Registry, keys: list[str]
) -> None:
    assert [one.key for one in comparison.default_choices(registry)] == keys


def test_the_others_are_tested_against_the_first() -> None:
    shared = comparison.shared_of(two())
    found = comparison.figures_of(shared)
    (test,) = found.balanced_tests
    assert (test.overall.only_candidate, test.overall.only_other, test.overall.gain) == (1, 1, 0.0)
    assert len(found.natural) == len(found.balanced) == FEWEST


def test_models_with_other_labels_are_refused() -> None:
    first, second = two()
    other = second.predictions.rename(columns={"p_positive": "p_other"})
    with pytest.raises(DataError, match="different labels"):
        comparison.shared_of([first, comparison.replace(second, predictions=other)])


def test_a_change_is_won_lost_or_shared() -> None:
    third = recorded("third", [0.1, 0.9, 0.1, 0.9, 0.1, 0.9])
    table = answers.answers_table(comparison.shared_of([*two(), third]), texts(6))
    assert dict(zip(table["review_id"], table["change"], strict=True)) == {
        "r0": "all right",
        "r1": "all right",
        "r2": "won",
        "r3": "all right",
        "r4": "lost",
        "r5": "won",
    }
    most = answers.only(table, "all", "", "moved").iloc[0]
    assert most["review_id"] in {"r2", "r5"}
    assert most["moved"] == pytest.approx(0.7)
    assert list(answers.only(table, "changed", "", "change")["change"]) == ["lost", "won", "won"]


def test_the_column_of_unparsed_answers_is_left_out_if_it_is_empty() -> None:
    counts, gold, shown = comparison.confusion_counts(two()[0])
    assert gold == shown == list(LABELS)
    assert counts == [[2, 1], [1, 2]]


def test_curves_lie_in_the_unit_square() -> None:
    first, second = two()
    label = comparison.drawn_label(second)
    for line in (comparison.roc_line(first, label), comparison.reliability_line(first, label)):
        assert all(0 <= float(value) <= 1 for value in (*line.x, *line.y))


def decided_with(rule: DecisionRule) -> RecordedDecision:
    table = two()[1].stratified
    natural = natural_metrics(table, rule, rule.prior)
    return RecordedDecision(
        "1", rule, decided_reviews(table, rule), natural, asdict(compute_metrics(table, LABELS))
    )


def test_a_thousand_reviews_under_the_slider_and_under_the_rule() -> None:
    """Of three negative reviews, the second model finds two, and it calls one positive review negative."""
    found = decided_with(DecisionRule.raw(LABELS, (0.2, 0.8)))
    rows = {title: tuple(values) for title, *values in decision.effect_rows(found.reviews, [0.01, 0.5])}
    assert rows["negative reviews"] == ("200", "200")
    assert rows["called negative"] == ("1,000", "133")
    assert rows["… and right"] == ("200", "133")
    assert rows["negative, but missed"] == ("0", "67")
    figures = {title: values for title, *values in decision.figure_rows(found)}
    assert figures["precision of negative"][1] == f"{2 / 3:.3f}"
    assert figures["reviews"] == ["6", "6"]
    for line in (
        *decision.reliability_lines(found.reviews),
        *decision.threshold_lines(found.reviews),
        *decision.risk_lines(found),
    ):
        assert len(line.x) == len(line.y) > 0


def test_the_most_confident_mistakes_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "read_evaluation", lambda _: two()[0])
    monkeypatch.setattr(evidence, "reviews_of", lambda _: texts(6))
    rows, wrong, n = decision.confident_mistakes(Choice("1", "version 1", version("1")))
    assert (wrong, n) == (2, 6)
    assert rows == [
        ("T. c", "negative", "positive", "80.0%", "Tops"),
        ("T. f", "positive", "negative", "80.0%", "Shoes"),
    ]
