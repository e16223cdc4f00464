"""Runs in a real browser: start, follow, reload, second window, cancel, resume, stop; the command line's."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import RUN_MILLISECONDS, Dashboard, reach
from tests.front_door import ROOT, trainings

pytest.importorskip("playwright")
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
LONG = {"training.max_steps": "400", "training.checkpoint_steps": "5"}
"""A run that is long enough to be interrupted."""
ANSWER_MILLISECONDS = 500
"""Long enough for a page to use an answer that it has received."""


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def expect_status(page: Page, wanted: str) -> None:
    expect(page.locator("#state .badge").first).to_contain_text(wanted, timeout=RUN_MILLISECONDS)


def expect_stopped(page: Page) -> None:
    expect_status(page, "stopped")
    expect(page.get_by_role("heading", name="Stopped by you")).to_be_visible()
    expect(page.locator("#state").get_by_text(re.compile("memory|Lower training"))).to_have_count(0)


def expect_training(page: Page, pattern: str = r"training \d+ of 400") -> None:
    expect(page.get_by_text(re.compile(pattern))).to_be_visible(timeout=RUN_MILLISECONDS)


def test_a_run_is_started_by_keyboard_cancelled_resumed_stopped_and_completed(
    dashboard: Dashboard, page: Page
) -> None:
    page.goto(dashboard.new_run(**LONG))
    reach(page, page.get_by_role("button", name="Start the run"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/review_sentiment-"))
    expect_training(page)
    expect(page.get_by_text(re.compile(r"\d+ % of the run"))).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("Gradient norm")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_role("region", name="Last lines of the log")).to_contain_text("finetune")
    expect(page.locator("svg.graph .running")).to_contain_text("finetune")

    # It is still there after a reload and in a second window, and a second run cannot be started
    page.reload()
    expect_status(page, "running")
    second = page.context.new_page()
    second.goto(f"{dashboard.url}runs")
    expect(second.get_by_role("row").nth(1)).to_contain_text("running")
    second.goto(dashboard.new_run())
    expect(second.get_by_text("Only one run at a time")).to_be_visible()
    expect(second.get_by_role("button", name="Start the run")).to_have_count(0)
    second.close()

    # After a cancel it keeps its curves and a checkpoint
    press(page, "Cancel")
    expect_stopped(page)
    expect(page.get_by_text("Gradient norm")).to_be_visible()
    page.get_by_text("List of steps").click()
    expect(page.get_by_test_id("steps")).to_contain_text("finetune: interrupted")
    assert dashboard.project.checkpoints

    # A resumed run goes on from there, and is stopped after a confirmation
    press(page, "Resume with the same settings")
    expect_training(page, r"training ([6-9]|\d\d+) of 400")
    page.get_by_role("link", name="Stop immediately").click()
    expect(page.get_by_role("heading", name="Stop this run immediately?")).to_be_visible()
    page.get_by_role("link", name="Keep it running").click()
    expect_status(page, "running")
    page.get_by_role("link", name="Stop immediately").click()
    press(page, "Yes, stop it now")
    expect_stopped(page)
    (steps,) = [steps for _, steps in trainings(dashboard.project)]
    assert sorted(steps) == list(range(1, len(steps) + 1))  # each once: training did not start over

    press(page, "Resume with the same settings")
    expect_status(page, "completed")
    expect(page.get_by_text(re.compile(r"Version 1 registered as champion\. Gate passed"))).to_be_visible()
    expect(page.get_by_role("link", name="Version 1")).to_have_attribute("href", re.compile("/models/1"))


def test_a_run_from_the_command_line_is_followed_and_cancelled(dashboard: Dashboard, page: Page) -> None:
    project = dashboard.project.with_settings(training={"max_steps": 400, "learning_rate": 0.02})
    page.goto(f"{dashboard.url}runs?status=running")
    process = project.start()
    try:
        row = page.get_by_role("row").filter(has_text="Command line")
        expect(row).to_have_count(1, timeout=RUN_MILLISECONDS)  # the list updates itself
        row.get_by_role("link").first.click()
        expect_training(page)
        press(page, "Cancel")
        expect(page.get_by_role("heading", name="Stopped by you")).to_be_visible(timeout=RUN_MILLISECONDS)
        assert process.wait(60) == 130
    finally:
        process.kill()


def test_runs_are_searched_and_compared_with_a_shared_address(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.url}runs")
    boxes = page.get_by_role("checkbox")
    expect(boxes.nth(1)).to_be_visible()
    boxes.nth(0).check()
    boxes.nth(1).check()
    figure = page.get_by_role("figure", name="Loss")
    expect(figure).to_be_visible()
    page.get_by_label("Search").fill("nothing has this")
    expect(page.get_by_text("0 runs")).to_be_visible()
    expect(figure).to_be_visible()  # the selection stays
    expect(page).to_have_url(re.compile(r"q=nothing.*pick=.*pick="))
    page.reload()
    expect(figure).to_be_visible()
    page.get_by_label("Curve").select_option("Gradient norm")
    expect(page.get_by_role("figure", name="Gradient norm")).to_be_visible()


def test_a_late_answer_does_not_undo_a_selection(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.url}runs")
    boxes = page.get_by_role("checkbox")
    expect(boxes.nth(1)).to_be_visible()
    held: list[Route] = []
    with_one_selected = re.compile(r"/runs\?pick=[^&]*$")
    page.route(re.compile(r"/runs\?pick="), lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handlers
    boxes.nth(0).check()
    expect(page).to_have_url(with_one_selected)
    boxes.nth(1).check()
    expect(page).to_have_url(re.compile("pick=.*pick="))
    with page.expect_response(with_one_selected):
        held.pop(0).continue_()
    page.wait_for_timeout(ANSWER_MILLISECONDS)
    expect(boxes.nth(1)).to_be_checked()
    page.unroute_all()  # what is held goes on
    expect(page.get_by_role("figure", name="Loss")).to_be_visible()
    expect(boxes.nth(0)).to_be_checked()
    expect(boxes.nth(1)).to_be_checked()


def test_settings_are_checked_while_typing_and_survive_a_reload(dashboard: Dashboard, page: Page) -> None:
    page.goto(f"{dashboard.url}runs/new?config=smoke")
    rank, epochs = page.get_by_label("Rank"), page.get_by_label("Epochs")
    rank.fill("many")
    epochs.fill("no number")
    expect(page.locator("[id='problem-lora.rank']")).to_contain_text("valid integer, not 'many'")
    expect(page.locator("[id='problem-training.epochs']")).to_contain_text("not 'no number'")
    expect(page.get_by_text("2 settings are not valid")).to_be_visible()
    expect(rank).to_have_attribute("aria-invalid", "true")
    rank.press("End")
    rank.press_sequentially("!")  # it keeps the focus and what is typed
    expect(rank).to_have_value("many!")
    rank.fill("8")
    epochs.fill("1.0")
    expect(page.get_by_label("Command")).to_contain_text("--set lora.rank=8")
    expect(rank).to_have_attribute("aria-invalid", "false")
    expect(page.get_by_text("Needs about")).to_be_visible()
    expect(page).to_have_url(re.compile(r"config=smoke&lora\.rank=8$"))
    page.reload()
    expect(page.get_by_label("Rank")).to_have_value("8")


def test_zenmls_client_reads_the_same_from_the_database(dashboard: Dashboard) -> None:
    """The tables are ZenML's own: a new version may change them."""
    project = dashboard.project
    code = (
        "from front_door.state import prepare_environment\n"
        "prepare_environment()\n"
        "from dashboard.queries import zenml_server as server, zenml_store as store\n"
        "runs = list(store.stored_runs())\n"
        "assert runs and server.server_runs() == runs\n"
        "expected, found = server.server_details(runs[0].name), store.stored_details(runs[0].name)\n"
        "assert (found.settings, found.parameters) == (expected.settings, expected.parameters)\n"
        "assert set(expected.steps) <= set(found.steps) and set(found.artifacts) == set(expected.artifacts)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=project.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
