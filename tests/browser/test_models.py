"""Models and Compare in a browser: promotion and rollback by keyboard, thresholds, comparisons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import mlflow
import pytest

from tests.browser.conftest import RUN_MILLISECONDS, Dashboard, reach

pytest.importorskip("playwright")
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(1800)]


def champion(dashboard: Dashboard) -> tuple[str, set[str]]:
    """Return the champion, and the names of all aliases."""
    client = mlflow.MlflowClient(dashboard.project.tracking_uri)
    aliases = client.get_registered_model("review-sentiment").aliases
    return str(aliases["champion"]), set(aliases)


def test_a_version_is_promoted_and_rolled_back_by_keyboard(versions: Dashboard, page: Page) -> None:
    page.goto(f"{versions.url}models")
    expect(page.locator("input:checked")).to_have_count(0)
    reach(page, page.get_by_role("link", name="Version 2", exact=True))
    page.keyboard.press("Enter")
    reach(page, page.get_by_role("link", name="Promote to champion"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Failed gate checks")).to_be_visible()
    expect(page.get_by_text("instead of version 1")).to_be_visible()
    assert champion(versions) == ("1", {"champion", "challenger"}), "nothing happens before the confirmation"
    reach(page, page.get_by_role("button", name="Promote version 2"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="review-sentiment version 2")).to_be_visible()
    assert champion(versions) == ("2", {"champion"})

    reach(page, page.get_by_role("link", name="Roll back to version 1"))
    page.keyboard.press("Enter")
    reach(page, page.get_by_role("button", name="Roll back to version 1"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="review-sentiment version 1")).to_be_visible()
    assert champion(versions)[0] == "1"


def test_a_threshold_is_moved_by_keyboard_and_kept_in_the_address(versions: Dashboard, page: Page) -> None:
    page.goto(f"{versions.url}models/2/decision")
    reach(page, page.get_by_role("slider"))
    page.keyboard.press("Home")
    effect = page.get_by_role("region", name="Effect of the threshold")
    expect(effect.get_by_role("columnheader", name="From 0.01 on")).to_be_visible()
    called = effect.get_by_role("row", name="called negative").get_by_role("cell").all_inner_texts()
    here, by_the_rule = (int(cell.replace(",", "")) for cell in called[1:])
    assert here >= by_the_rule
    assert "threshold=0.01" in page.url
    page.reload()
    expect(page.get_by_role("slider")).to_have_value("0.01")
    curves = page.get_by_role("figure", name="Threshold for “negative”")
    curves.scroll_into_view_if_needed()  # it is drawn when it scrolls into view
    expect(curves.get_by_text("the rule: 0.50")).to_be_visible()


def test_models_are_added_to_a_comparison_without_a_button(versions: Dashboard, page: Page) -> None:
    page.goto(f"{versions.url}compare")
    expect(page.get_by_text(re.compile("^Both models answered the same"))).to_be_visible(
        timeout=RUN_MILLISECONDS
    )
    expect(page.get_by_role("columnheader", name="Against version 1")).to_be_visible()
    page.get_by_label("Add a model").select_option("2:tfidf")
    expect(page.get_by_text(re.compile("^All 3 models answered the same"))).to_be_visible(
        timeout=RUN_MILLISECONDS
    )
    assert "models=1&models=2&models=2%3Atfidf" in page.url
    page.get_by_label("Reviews", exact=True).select_option("all right")
    answers = page.get_by_role("region", name="Answers")
    expect(answers.get_by_role("cell", name="lost", exact=True)).to_have_count(0)
    page.get_by_label("Text contains").fill("no review has this")
    expect(page.get_by_text("0 reviews, page 1 of 1")).to_be_visible()
    reliability = page.get_by_role("figure", name="Reliability of “positive”")
    reliability.scroll_into_view_if_needed()
    expect(reliability.get_by_text("Predicted probability")).to_be_visible()


def test_versions_are_chosen_in_the_list(versions: Dashboard, page: Page) -> None:
    page.goto(f"{versions.url}models")
    for number in ("2", "1"):
        page.get_by_label(f"Compare version {number}").check()
    page.get_by_role("button", name="Compare selected").click()
    expect(page.get_by_label("First model")).to_have_value("2")
