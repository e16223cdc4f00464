"""What holds on every page of the dashboard: accessibility, width, keyboard, no other servers, bad stores.

A page is known by its address here. A failure names the page, the width and the scheme.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import urlopen

import pytest

from tests.browser.conftest import RUN_MILLISECONDS, WAIT_MILLISECONDS, Dashboard, served
from tests.front_door import Project

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.visit import Visit

Visits = Callable[..., AbstractContextManager["Visit"]]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]
GERMAN = "Das Kleid ist wunderschön und passt perfekt, ich bin begeistert!"
PAGES = {
    "overview": "/",
    "runs": "/runs",
    "run": "/runs/{run}",
    "new run": "/runs/new",
    "new run with problems": "/runs/new?lora.rank=many&training.learning_rate=fast",
    "models": "/models",
    "version": "/models/1",
    "decision": "/models/1/decision",
    "alternatives": "/models/1/alternatives",
    "mistakes": "/models/1/mistakes",
    "model card": "/models/1/card",
    "promotion": "/models/2/promote",
    "rollback": "/models/rollback",
    "compare": "/compare",
    "try it": "/try",
    "answers": f"/try?{urlencode({'text': GERMAN})}",
    "data": "/data",
    "inspected table": "/data?source={table}",
    "learn": "/learn",
    "system": "/system",
    "self-test": "/system/self-test",
    "no such page": "/nowhere",
    "no such run": "/runs/nowhere",
    "no such version": "/models/99",
}
MOST_TABS = 200
MILLISECONDS_TO_REDRAW = 300
"""Figures follow the width and the colours."""
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's database has the paths of files."""
TABBABLE = (
    "a[href], button:enabled, input:enabled:not([type=hidden]), select:enabled, textarea:enabled, summary"
)
WIDER = """
() => [...document.querySelectorAll('main *, header *, footer *')]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .plot, pre'))
  .map((one) => one.outerHTML.slice(0, 100))
"""
SCROLLED = """
() => [...document.querySelectorAll('.scroll:has(> table)')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.getAttribute('aria-label'))
"""
"""Tables that are wider than their place."""
SMALLER = """
() => [...document.querySelectorAll('button, .button, input:not([type=hidden]), select, textarea, summary')]
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.width && (box.width < 24 || box.height < 24) && !one.closest('.plot'))
  .map(([one]) => one.outerHTML.slice(0, 100))
"""


FOCUSED = """
() => {
  const one = document.activeElement;
  const again = one === document.body || 'reached' in one.dataset;
  return { again, outline: getComputedStyle(one).outlineStyle, element: one.outerHTML.slice(0, 100) };
}
"""
MISSED = """
() => [...document.querySelectorAll('[data-expected]:not([data-reached])')]
  .filter((one) => one.checkVisibility() && one.type !== 'radio')
  .map((one) => one.outerHTML.slice(0, 100))
"""
"""Arrow keys reach the other buttons of a group of radio buttons."""


def address(dashboard: Dashboard, page: str) -> str:
    """Return the address of a page of `PAGES`."""
    values = {"table": str(next((dashboard.project.state / "reviews").glob("*.jsonl"))), "run": ""}
    if "{run}" in PAGES[page]:
        with urlopen(urljoin(dashboard.url, "/runs")) as answer:
            values["run"] = re.findall(r'href="/runs/((?!new)[^"/?]+)"', answer.read().decode())[0]
    return urljoin(dashboard.url, PAGES[page].format(**values))


def open_page(dashboard: Dashboard, window: Page, page: str) -> None:
    """Open a page, and wait until its jobs are done and its figures are drawn."""
    window.goto(address(dashboard, page))
    expect(window.locator(".loading")).to_have_count(0, timeout=RUN_MILLISECONDS)
    for figure in window.locator(".figure:visible").all():
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".main-svg").first).to_be_attached(timeout=WAIT_MILLISECONDS)
    window.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_violation_and_nothing_is_cut_off(versions: Dashboard, visit: Visits, page: str) -> None:
    """The system changes to dark colours while the page is open."""
    name = page.replace(" ", "_")
    with visit(1440, 900) as found:
        open_page(versions, found.page, page)
        for scheme, rules in (("light", None), ("dark", ["color-contrast"])):  # colours are all that changes
            found.page.emulate_media(color_scheme=scheme)
            found.page.wait_for_timeout(MILLISECONDS_TO_REDRAW)
            found.keep(f"{name}_{scheme}_1440", full_page=True)
            options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
            violations = Axe().run(found.page, options=options).response["violations"]
            assert not violations, [
                (scheme, one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]])
                for one in violations
            ]
        assert found.page.locator("h1").count() == 1
        assert not found.page.evaluate(SCROLLED), "tables that a wide window does not show whole"
        found.page.set_viewport_size({"width": 390, "height": 844})
        found.page.wait_for_timeout(MILLISECONDS_TO_REDRAW)
        found.keep(f"{name}_dark_390", full_page=True)
        width = found.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, found.page.evaluate(WIDER)
        assert not found.page.evaluate(SMALLER), "targets smaller than 24 pixels"
        assert found.outside == []
        assert found.errors == []


@pytest.mark.parametrize("page", PAGES)
def test_the_keyboard_reaches_everything_and_the_focus_is_seen(
    versions: Dashboard, page: str, visit: Visits
) -> None:
    with visit() as found:
        window = found.page
        open_page(versions, window, page)
        window.keyboard.press("Tab")
        expect(window.locator(":focus")).to_have_text("Skip to content")
        expect(window.locator(":focus")).to_be_in_viewport()
        window.evaluate(
            f"document.querySelectorAll('{TABBABLE}').forEach((one) => one.dataset.expected = '')"
        )
        for _ in range(MOST_TABS):
            window.evaluate("document.activeElement.dataset.reached = ''")
            window.keyboard.press("Tab")
            focused = window.evaluate(FOCUSED)
            if focused["again"]:
                break
            assert focused["outline"] != "none", f"the focus cannot be seen: {focused['element']}"
        assert not window.evaluate(MISSED)


def test_the_skip_link_leads_to_the_content(versions: Dashboard, visit: Visits) -> None:
    with visit() as found:
        found.page.goto(versions.url)
        found.page.keyboard.press("Tab")
        found.page.keyboard.press("Enter")
        expect(found.page.locator("main")).to_be_focused()


def test_links_open_pages_without_a_new_document_and_back_returns(versions: Dashboard, visit: Visits) -> None:
    with visit(1280, 400) as found:  # less than a page is high
        window = found.page

        def follow(name: str) -> None:
            link = window.get_by_role("navigation", name="Main").get_by_role("link", name=name)
            link.evaluate("link => link.click()")  # Playwright's own click would scroll to the link first
            expect(window.get_by_role("heading", level=1, name=name)).to_be_visible()
            expect(window).to_have_title(f"{name} · review-sentiment")
            expect(window.locator("nav [aria-current]")).to_have_text(name)
            expect(window.get_by_role("main")).to_be_focused()

        window.goto(versions.url)
        window.evaluate("document.body.dataset.same = ''")
        follow("Runs")
        window.get_by_label("Sort").select_option("longest")
        expect(window).to_have_url(re.compile("/runs.sort=longest$"))
        window.evaluate("scrollTo(0, 120)")
        follow("Compare")
        assert window.evaluate("scrollY") == 0
        window.locator(".figure:visible").first.scroll_into_view_if_needed()
        expect(window.locator(".figure .main-svg").first).to_be_attached(timeout=WAIT_MILLISECONDS)
        window.go_back()
        expect(window.get_by_label("Sort")).to_have_value("longest")
        assert window.evaluate("scrollY") == 120
        window.go_back()
        expect(window.get_by_role("heading", level=1, name="Overview")).to_be_visible()
        window.go_forward()
        expect(window.get_by_label("Sort")).to_have_value("longest")
        assert window.locator("body[data-same]").count() == 1
        with window.context.expect_page():
            window.get_by_role("link", name="Models").click(modifiers=["Control"])
        expect(window.get_by_role("heading", level=1, name="Runs")).to_be_visible()
        assert found.errors == []


def test_pages_work_without_scripts(versions: Dashboard, browser: Any) -> None:
    with closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(urljoin(versions.url, "/try"))
        page.get_by_label("Review").fill("It is soft.")
        page.get_by_role("button", name="Answer").click()
        deadline = time.monotonic() + RUN_MILLISECONDS / 1000
        while (again := page.get_by_role("link", name="Show the result")).count():
            assert time.monotonic() < deadline
            again.first.click()
        expect(page.get_by_text("Tuned model").first).to_be_visible()


def test_a_german_review_is_answered_with_a_caution(versions: Dashboard, visit: Visits) -> None:
    with visit() as found:
        page = found.page
        page.goto(urljoin(versions.url, "/try"))
        for review, count in ((GERMAN, 1), ("It is realy soft adn the colour is beautifull", 0)):
            page.get_by_label("Review").fill(review)
            page.get_by_role("button", name="Answer").click()
            expect(page.get_by_text("Words that moved")).to_be_visible(timeout=RUN_MILLISECONDS)
            expect(page.get_by_text("appears to be in German")).to_have_count(count)


def test_a_long_review_of_long_letters_fits_into_an_address(versions: Dashboard) -> None:
    assert fetched(f"{urljoin(versions.url, '/try')}?{urlencode({'text': 'д' * 4_000})}")[0] == HTTPStatus.OK


def test_ten_browsers_at_once(versions: Dashboard) -> None:
    pages = [address(versions, page) for page in PAGES if not page.startswith("no such")]

    def load(number: int) -> list[int]:
        return [fetched(page)[0] for page in (*pages[number:], *pages[:number])]

    with ThreadPoolExecutor(10) as browsers:
        assert {status for statuses in browsers.map(load, range(10)) for status in statuses} == {
            HTTPStatus.OK
        }


def fetched(address: str) -> tuple[int, str]:
    """Return the status and the text of a page."""
    try:
        with urlopen(address, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def problem_of(dashboard: Dashboard, page: str) -> str:
    """Return why a page cannot be read although its store is damaged, or nothing."""
    status, text = fetched(urljoin(dashboard.url, PAGES[page]))
    expected = {HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}
    if status in expected and "<h1>" in text and "bug in the dashboard" not in text:
        return ""
    return f"{page}: {status} {text[-500:]}"


@pytest.fixture
def copied(versions: Dashboard, tmp_path: Path) -> Project:
    """Return a copy of the project's state, to be damaged."""
    state, copy = versions.project.state, tmp_path / "state"
    shutil.copytree(state, copy, symlinks=True)
    config = copy / "zenml" / "config.yaml"
    config.write_text(config.read_text().replace(str(state), str(copy)))
    with closing(sqlite3.connect(copy / "zenml" / "mlflow" / "mlflow.db")) as store, store:
        for table, column in PLACES:
            store.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(state), str(copy)))
    return replace(versions.project, state=copy)


def delete_artifacts(state: Path) -> None:
    shutil.rmtree(state / "zenml" / "mlflow" / "artifacts")


def newer_store(state: Path) -> None:
    with closing(sqlite3.connect(state / "zenml" / "mlflow" / "mlflow.db")) as store, store:
        store.execute("update alembic_version set version_num = 'ffffffffffff'")


def empty_store(state: Path) -> None:
    (state / "zenml" / "mlflow" / "mlflow.db").write_bytes(b"")


def delete_zenml(state: Path) -> None:
    shutil.rmtree(state / "stores")


@pytest.mark.parametrize(
    "damages",
    [(delete_artifacts, delete_zenml), (empty_store,), (newer_store,)],
    ids=lambda ones: ones[0].__name__,
)
def test_a_damaged_store_gives_readable_pages(
    copied: Project, damages: tuple[Callable[[Path], None], ...]
) -> None:
    """The first damage is done before the server starts, others while it runs."""
    first, *others = damages
    first(copied.state)
    with served(copied) as dashboard:
        for damage in (None, *others):
            if damage is not None:
                damage(copied.state)
            problems = [problem_of(dashboard, page) for page, path in PAGES.items() if "{" not in path]
            assert not any(problems), "\n".join(filter(None, problems))


def test_a_locked_store_and_a_server_that_is_gone_give_readable_pages(copied: Project, visit: Visits) -> None:
    with visit() as found:
        page = found.page
        with served(copied) as dashboard:
            with closing(sqlite3.connect(copied.state / "zenml" / "mlflow" / "mlflow.db")) as store:
                store.execute("begin exclusive")
                for name in ("overview", "models", "try it", "learn", "system"):
                    assert not problem_of(dashboard, name)
            assert fetched(urljoin(dashboard.url, "/models"))[0] == HTTPStatus.OK
            page.goto(urljoin(dashboard.url, "/system"))
            expect(page.get_by_text("Processor")).to_be_visible()
            port = str(urlsplit(dashboard.url).port)
        expect(page.locator("html")).to_have_class(re.compile("disconnected"), timeout=30_000)
        message = page.evaluate("getComputedStyle(document.querySelector('main'), '::before').content")
        assert "cannot be reached" in message
        with served(copied, "--port", port):
            expect(page.locator("html")).not_to_have_class(re.compile("disconnected"), timeout=30_000)
