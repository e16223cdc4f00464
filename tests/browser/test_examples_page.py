"""Single predictions in a browser: the page filters, fits a phone, and runs nothing from a review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from review_sentiment.evaluation.examples import example_table, sample_table
from review_sentiment.evaluation.examples_page import examples_page
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation

pytestmark = pytest.mark.browser

LABELS = ("negative", "positive")
COUNT = 120
ATTACK = "</p><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of synthetic answers: review n is the n-th most confident; every fourth is wrong."""
    reviews = pd.DataFrame(
        {
            "review_id": [f"{row:03d}" for row in range(COUNT)],
            "category": ["Tops" if row % 3 else "Trend" for row in range(COUNT)],
            "label": "positive",
            "title": [f"Title {row}" for row in range(COUNT)],
            "text": [f"Text of review {row}." for row in range(COUNT)],
            "source_label": "5",
        }
    )
    reviews.loc[0, ["title", "text"]] = [ATTACK, ATTACK + "wide" * 200]
    reviews.loc[COUNT // 2 :, "label"] = "negative"
    confidence = np.linspace(0.99, 0.51, COUNT)
    right = np.arange(COUNT) % 4 != 0
    positive = np.where((reviews["label"] == "positive") == right, confidence, 1 - confidence)
    found = prediction_table(
        reviews,
        LABELS,
        np.stack([1 - positive, positive], axis=1),
        (positive > 0.5).astype(int),
        np.ones(COUNT),
    )
    samples = sample_table(reviews, found, [0], ["posi\ttive"])
    examples = example_table(reviews, found, samples)
    evaluation = Evaluation(
        "tuned", compute_metrics(found, LABELS), found, samples, pd.DataFrame(), examples=examples
    )
    path = tmp_path_factory.mktemp("page") / "samples.html"
    path.write_text(examples_page(evaluation), encoding="utf-8")
    return path


def test_it_filters_by_group_category_and_text(visit: Callable[..., Any], page_file: Path) -> None:
    with visit() as found:
        page = found.page
        page.goto(page_file.as_uri())
        titles = page.locator("#reviews > li:visible h2")
        assert page.get_by_role("status").inner_text() == "60 shown"
        page.get_by_role("button", name="least confident").click()
        assert titles.all_inner_texts() == [f"Title {row}" for row in range(COUNT - 1, COUNT - 21, -1)]
        page.get_by_role("button", name="most confident mistakes").click()
        assert titles.all_inner_texts()[1:3] == ["Title 4", "Title 8"]
        page.get_by_label("Category").select_option("Trend")
        assert set(page.locator("li:visible .category").all_inner_texts()) == {"Trend"}
        page.get_by_role("searchbox").fill("REVIEW 12.")
        assert titles.all_inner_texts() == ["Title 12"]
        assert page.get_by_role("status").inner_text() == "1 shown"
        page.get_by_role("searchbox").fill("no such words")
        assert page.get_by_text("No review matches.").is_visible()
        page.get_by_role("button", name="Show all").click()
        assert page.get_by_role("status").inner_text() == "60 shown"
        assert not found.errors


def test_the_keyboard_is_enough(visit: Callable[..., Any], page_file: Path) -> None:
    with visit() as found:
        page = found.page
        page.goto(page_file.as_uri())
        for key in ("Tab", "Tab", "Enter"):
            page.keyboard.press(key)
        assert (
            page.get_by_role("button", name="most confident mistakes").get_attribute("aria-pressed") == "true"
        )
        for key in ("Tab", "Tab", "Tab", "ArrowDown", "Tab"):
            page.keyboard.press(key)
        page.keyboard.type("review 8.")
        assert page.locator("#reviews > li:visible").count() == 1


def test_the_content_of_a_review_is_shown_and_not_run(visit: Callable[..., Any], page_file: Path) -> None:
    with visit() as found:
        found.page.goto(page_file.as_uri())
        assert found.page.title() == "Sample predictions: tuned"
        assert found.page.locator("h2").first.inner_text() == ATTACK
        assert found.page.locator("img").count() == 0
        # Even markup that got into the page would run nothing and load nothing.
        found.page.evaluate("text => { document.body.innerHTML += text }", ATTACK)
        found.page.evaluate("() => new Promise(done => setTimeout(done, 200))")
        assert found.page.title() == "Sample predictions: tuned"
        assert not found.outside


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_either_colour_scheme(
    visit: Callable[..., Any], page_file: Path, scheme: str
) -> None:
    with visit(390, 844, scheme) as found:
        found.page.goto(page_file.as_uri())
        found.keep(f"samples_phone_{scheme}")
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(","))
        assert (brightness < 3 * 128) == (scheme == "dark")
