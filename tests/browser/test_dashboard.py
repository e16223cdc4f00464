"""The dashboard as a person has it, in a real browser: start, reload, cancel, resume, compare, promote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Dashboard, cache_directory

pytest.importorskip("marimo")
pytest.importorskip("playwright")
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
RUN_MILLISECONDS = 400_000
"""A run of the tiny model takes half a minute alone on two cores."""


def status(page: Page) -> str:
    return page.get_by_test_id("run-status").inner_text()


def expect_status(page: Page, wanted: str) -> None:
    expect(page.get_by_test_id("run-status")).to_have_text(re.compile(wanted), timeout=RUN_MILLISECONDS)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


@pytest.mark.timeout(1800)
def test_a_run_is_started_found_again_cancelled_resumed_compared_and_promoted(
    dashboard: Dashboard, page: Page
) -> None:
    long = {"training.max_steps": "2000", "training.checkpoint_steps": "5", "training.validations": "0"}
    page.goto(dashboard.address("Run", **long))
    press(page, "Start the run")
    expect_status(page, "running")
    expect(page.get_by_test_id("steps")).to_contain_text("finetune")
    expect(page.locator("[role=progressbar]").nth(1)).to_contain_text("", timeout=RUN_MILLISECONDS)
    expect(page.get_by_text(re.compile(r"training \d+ of 2000"))).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("gradient norm")).to_be_visible(timeout=RUN_MILLISECONDS)

    page.reload()
    expect_status(page, "running")
    second = page.context.new_page()
    second.goto(dashboard.address("Run"))
    expect_status(second, "running")
    expect(second.get_by_role("button", name="Start the run")).to_have_count(0)
    second.close()

    press(page, "Cancel (keeps a checkpoint)")
    expect_status(page, "interrupted")
    assert list((cache_directory(dashboard.project) / "checkpoints").glob("*/step-*/manifest.json"))


def test_screens(dashboard: Dashboard, page: Page) -> None:
    page.goto(dashboard.url)
    expect(page.get_by_text("No GPU that a training can use")).to_be_visible()
