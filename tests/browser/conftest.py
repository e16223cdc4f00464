"""The system's Chromium, and a dashboard with state of its own on a free port of loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import ModelIdentity
from tests.browser.visit import Visit, visiting
from tests.front_door import ROOT, Project
from tests.tiny import tiny_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
WAIT_MILLISECONDS = 60_000
"""A click is answered in a second; a busy machine may take longer."""
RUN_MILLISECONDS = 400_000
"""A run of the tiny model takes half a minute alone on two cores."""
MOST_TABS = 80
"""Presses of Tab that reach every control of a page."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that is served, and what its runs are made with."""

    url: str
    project: Project

    def new_run(self, **parameters: str) -> str:
        """Return the address of New run with the project's settings, and these."""
        settings = {
            f"{section}.{key}": ", ".join(value) if isinstance(value, list) else str(value)
            for section, values in self.project.settings.items()
            for key, value in values.items()
        }
        settings |= {"arms.include": "tfidf"}  # the others need a minute
        return f"{self.url}runs/new?{urlencode(settings | parameters)}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the system's Chromium, with a fresh profile."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Callable[..., AbstractContextManager[Visit]]:
    """Return what opens a window: `with visit(width, height, "dark") as found`."""
    return partial(visiting, browser)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page of a profile of its own, which fails where the page asks another server."""
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT_MILLISECONDS)
    expect.set_options(timeout=WAIT_MILLISECONDS)  # Playwright's 5 s are too few for a slow machine
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    yield page
    context.close()
    others = {
        url for url in asked if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost):|data:|blob:", url)
    }
    assert not others, f"the page asked other servers: {others}"


@pytest.fixture(scope="session")
def settings(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return settings of seconds: the tiny model on made reviews."""
    found = tiny_settings(tmp_path_factory.mktemp("reviews"), tiny_model.name)
    found["training"] |= {"validations": 0}
    return found | {"tracking": {"experiment": "review-sentiment"}}


@dataclass(frozen=True)
class TwoVersions:
    """A project with two registered versions, and the result of the run of the first."""

    project: Project
    first_run: dict[str, Any]


@pytest.fixture(scope="session")
def two_versions(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> TwoVersions:
    """Run the pipeline twice on real reviews with the tiny model: the second does not beat the champion."""
    state = tmp_path_factory.mktemp("versions")
    settings = tiny_settings(state / "reviews", tiny_model.name) | {
        "data": {"source": "embedded", "categories": ["Intimate", "Jackets"]},
        "split": {"train_per_category": 40, "evaluation_per_category": 40},
        "tracking": {"experiment": "review-sentiment"},
    }
    project = Project(ROOT, state, settings)
    # The page Data counts tokens with the embedded model, which takes half a minute to unpack.
    unpacked = embedded_model.model_directory()
    cache_directory(project).mkdir(parents=True)
    (cache_directory(project) / unpacked.name).symlink_to(unpacked)
    never = {"min_gain_over_champion": 0.9}
    with project.kept_open() as shared:
        first = shared.result()
        shared.with_settings(lora={"rank": 2}, gate=never).result()
    return TwoVersions(project, first)


@pytest.fixture(scope="session")
def versions(two_versions: TwoVersions) -> Iterator[Dashboard]:
    """Serve the dashboard of the two versions. A test that promotes one rolls back."""
    with served(two_versions.project) as dashboard:
        yield dashboard


@contextmanager
def served(project: Project, *options: str, **variables: str) -> Iterator[Dashboard]:
    """Serve the dashboard of a project's state."""
    said = project.state / "dashboard.txt"
    with said.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_pipeline.py"), "ui", "--port", "0", *options],
            cwd=project.state,
            env=project.environment | variables,
            stderr=errors,
        )
    try:
        yield Dashboard(_address(process, said), project)
    finally:
        process.terminate()
        process.wait(60)


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    """Return the address that a dashboard prints when it listens."""
    while not (found := re.search(r"http://\S+", said.read_text())):
        assert process.poll() is None, said.read_text()
        time.sleep(0.05)
    return found[0]


@pytest.fixture(scope="module")
def dashboard_project(settings: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a checkout with state of its own."""
    return Project(ROOT, tmp_path_factory.mktemp("dashboard"), dict(settings))


@pytest.fixture(scope="module")
def dashboard(dashboard_project: Project) -> Iterator[Dashboard]:
    """Return a dashboard that the tests of a module share."""
    with served(dashboard_project) as dashboard:
        yield dashboard


def reach(page: Page, control: Locator) -> None:
    """Press Tab until a control has the focus and shows it, on a page that nobody has clicked."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if control.evaluate("control => control.matches(':focus-visible')"):
            return
    pytest.fail(f"Tab does not reach {control}")


def cache_directory(project: Project) -> Path:
    """Return the project's directory of runs, sweeps and logs."""
    return Path(project.environment["XDG_CACHE_HOME"]) / "review-sentiment"


os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
