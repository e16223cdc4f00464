"""The dashboard in a real browser: start, reload, cancel, resume, compare, promote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import mlflow
import pytest

from tests.browser.conftest import RUN_MILLISECONDS, WAIT_MILLISECONDS, Dashboard
from tests.front_door import trainings

pytest.importorskip("marimo")
pytest.importorskip("playwright")
from playwright.sync_api import expect

from dashboard.pages.sections import SECTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser
MOST_TABS = 8
"""Maximum presses of Tab from the tabs to a page's first controls."""


def status(page: Page) -> str:
    return page.get_by_test_id("run-status").inner_text()


def expect_status(page: Page, wanted: str) -> None:
    expect(page.get_by_test_id("run-status")).to_have_text(re.compile(wanted), timeout=RUN_MILLISECONDS)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


@pytest.mark.timeout(1800)
def test_a_run_can_be_started_followed_cancelled_resumed_compared_and_promoted(
    dashboard: Dashboard, page: Page
) -> None:
    # A run that is long enough to be interrupted
    page.goto(dashboard.address("Run", **{"training.max_steps": "400", "training.checkpoint_steps": "5"}))
    press(page, "Start the run")
    expect_status(page, "running")
    training = page.get_by_text(re.compile(r"training \d+ of 400"))
    expect(training).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("gradient norm")).to_be_visible(timeout=RUN_MILLISECONDS)

    # It is still shown after a reload and in a second tab; a second run cannot be started
    page.reload()
    expect_status(page, "running")
    expect(page.get_by_role("button", name="Start the run")).to_have_count(0)
    second = page.context.new_page()
    second.goto(dashboard.address("Run"))
    expect(second.get_by_test_id("run-status")).to_have_text("running", timeout=WAIT_MILLISECONDS)
    second.close()

    # After a cancel it keeps its curves and a checkpoint; after a resume it completes
    press(page, "Cancel (keeps a checkpoint)")
    expect_status(page, "interrupted")
    expect(page.get_by_test_id("steps")).to_contain_text("finetuneinterrupted")
    expect(page.get_by_text("gradient norm")).to_be_visible(timeout=WAIT_MILLISECONDS)
    checkpoints = dashboard.project.checkpoints
    assert checkpoints
    press(page, "Resume with the same settings")
    expect_status(page, "running")
    expect(page.get_by_text(re.compile(r"training ([6-9]|\d\d+) of 400"))).to_be_visible(
        timeout=RUN_MILLISECONDS
    )
    expect_status(page, "completed")
    (steps,) = [steps for _, steps in trainings(dashboard.project)]
    assert sorted(steps) == list(range(1, 401))  # each once: training did not start over

    # A second version to compare with and to promote
    page.goto(dashboard.address("Run", **{"lora.rank": "2"}))
    press(page, "Start the run")
    expect_status(page, "running")
    expect_status(page, "completed")

    page.get_by_role("tab", name="Compare").click()
    expect(page.get_by_text("reviews won").first).to_be_visible()
    reliability = page.get_by_role("figure", name="Reliability of “positive”")
    reliability.scroll_into_view_if_needed()  # it is drawn when it scrolls into view
    expect(reliability.get_by_text("Predicted probability")).to_be_visible()
    expect(page.get_by_text("Curves of several runs").first).to_be_visible()

    page.get_by_role("tab", name="Models").click()
    move_the_threshold(page)
    promote_and_roll_back(dashboard, page)
    for section, text in (
        ("Try it", "words for and against"),
        ("Learn", "directions hold"),
        ("Self-test", "checks passed"),
    ):
        page.get_by_role("tab", name=section).click()
        expect(page.get_by_text(text).first).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("✗ failed")).to_have_count(0)


def move_the_threshold(page: Page) -> None:
    """With the keyboard, from the rule's own threshold to the lowest: more reviews are called negative."""
    effect = page.get_by_role("table").filter(has_text="Of 1,000 reviews")
    slider = page.get_by_role("slider")
    expect(effect.get_by_role("columnheader")).to_have_text(
        ["Of 1,000 reviews", re.compile("^from 0.5 on"), re.compile("^the rule: from 0.5 on")]
    )
    slider.press("Home")
    expect(effect.get_by_role("columnheader", name="from 0.01 on")).to_be_visible()
    called = effect.get_by_role("row", name="called negative").get_by_role("cell").all_inner_texts()
    here, by_the_rule = (int(cell.replace(",", "")) for cell in called[1:])
    assert here >= by_the_rule
    curves = page.get_by_role("figure", name="Threshold for “negative”")
    curves.scroll_into_view_if_needed()  # they are drawn when they scroll into view
    expect(curves.get_by_text("the rule: 0.50")).to_be_visible()


def promote_and_roll_back(dashboard: Dashboard, page: Page) -> None:
    before = champion(dashboard)
    other = "1" if before == "2" else "2"
    versions = page.get_by_label("Version", exact=True).first
    expect(versions.locator("option").first).to_be_attached()
    titles = versions.locator("option").all_inner_texts()
    versions.select_option(label=next(title for title in titles if title.startswith(f"version {other}")))
    press(page, "Promote …")
    expect(page.get_by_text(f"Make version {other}")).to_be_visible()
    assert champion(dashboard) == before  # nothing happens before the confirmation
    press(page, "Yes, do it")
    expect(page.get_by_text(f"Version {other} is the champion.")).to_be_visible()
    assert champion(dashboard) == other

    press(page, "Roll back …")
    press(page, "Yes, do it")
    expect(page.get_by_text(f"Version {before} is the champion again.")).to_be_visible()
    assert champion(dashboard) == before


def champion(dashboard: Dashboard) -> str:
    client = mlflow.MlflowClient(dashboard.project.tracking_uri)
    return str(client.get_registered_model("review-sentiment").aliases["champion"])


def test_settings_are_checked_while_typing_and_survive_a_reload(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.url}?section=Configure&config=smoke")
    rank = page.get_by_label("lora.rank")
    rank.fill("many")
    expect(page.get_by_text("input should be a valid integer, not 'many'")).to_be_visible()
    rank.fill("8")
    expect(page.get_by_text("input should be a valid integer")).to_have_count(0)
    expect(page.get_by_text("--set lora.rank=8").first).to_be_visible()
    expect(page.get_by_text("Memory on this machine")).to_be_visible()
    expect(page).to_have_url(re.compile("lora.rank=8"))
    page.reload()
    expect(page.get_by_label("lora.rank")).to_have_value("8")


def test_a_gpu_configuration_cannot_be_started_without_a_gpu(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.url}?section=Run&config=gpu")
    expect(page.get_by_text("Cannot be started here")).to_be_visible()
    expect(page.get_by_role("button", name="Start the run")).to_have_count(0)


def test_tabs_can_be_reached_with_the_keyboard(dashboard: Dashboard, page: Page) -> None:
    page.goto(dashboard.url)
    expect(page.get_by_text("No usable GPU")).to_be_visible()
    page.get_by_role("tab", name="Machine").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Start from").first).to_be_visible()
    expect(page).to_have_url(re.compile("section=Configure"))


def test_a_click_hides_the_previous_page_at_once(dashboard: Dashboard, page: Page) -> None:
    page.goto(dashboard.url)
    before = page.get_by_text("Processor").first
    expect(before).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.route("**/api/kernel/set_ui_element_value", lambda route: None)  # the server never gets the click
    page.get_by_role("tab", name="Models", exact=True).click()
    expect(before).to_be_hidden(timeout=1_000)
    expect(page.get_by_role("status").get_by_text("Loading Models")).to_be_visible(timeout=1_000)


def test_controls_can_be_reached_and_pressed_with_the_keyboard(dashboard: Dashboard, page: Page) -> None:
    page.goto(dashboard.address("Run"))
    start = page.get_by_role("button", name="Start the run")
    command = page.get_by_role("button", name="Equivalent command")
    expect(start).to_be_visible()
    page.get_by_role("tab", name="Run", exact=True).focus()
    for control in (start, command):  # in visual order
        tab_to(page, control)
        assert control.evaluate("found => getComputedStyle(found).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(command).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Space")
    expect(command).to_have_attribute("aria-expanded", "false")


def tab_to(page: Page, control: Locator) -> None:
    """Press Tab until a control has the visible focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if control.evaluate("found => found.matches(':focus-visible')"):
            return
    raise AssertionError(f"{control} cannot be reached")


def test_the_first_page_loads_plotly_once_the_user_is_idle(dashboard: Dashboard, page: Page) -> None:
    page.add_init_script(
        "pressing = setInterval(() => document.dispatchEvent(new KeyboardEvent('keydown')), 100)"
    )
    page.goto(dashboard.url)
    expect(page.get_by_text("Processor").first).to_be_visible()
    page.wait_for_timeout(3_000)  # twice the idle time
    assert "rs-calm" not in str(page.locator("html").get_attribute("class"))
    unseen = page.locator(".rs-unseen .js-plotly-plot")
    expect(unseen).not_to_be_attached()
    page.evaluate("clearInterval(pressing)")
    expect(unseen).to_be_attached(timeout=30_000)  # another test may keep the machine busy


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_screen(
    dashboard: Dashboard, page: Page, width: int, scheme: Literal["light", "dark"]
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(dashboard.url)
    for section in SECTIONS:
        page.get_by_role("tab", name=section, exact=True).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, section


def test_a_request_from_another_site_is_refused(dashboard: Dashboard, page: Page) -> None:
    answer = page.request.get(dashboard.url, headers={"Origin": "http://evil.example"})
    assert answer.status == 403
