"""A browser window that can reach only this machine, and the errors on its page.

SCREENSHOTS=directory keeps the screenshots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

LOOPBACK = "127.0.0.1"
MLFLOW_CHOICES = """
localStorage.setItem('mlflow.workflowType_v1', '"machine_learning"');
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
"""
"""What MLflow's pages (3.17) store for a visitor who has closed the assistant."""
SECONDS_TO_RENDER = 60
"""Timeout for a page on a busy machine."""


@dataclass
class Visit:
    """A page in a window."""

    page: Page
    outside: list[str] = field(default_factory=list)
    """External addresses that were requested and blocked."""
    errors: list[str] = field(default_factory=list)

    def keep(self, name: str, **options: Any) -> None:
        """Save a screenshot if SCREENSHOTS names a directory: one of a whole page takes a second."""
        if directory := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(directory) / f"{name}.png", **options)


@contextmanager
def visiting(
    browser: Browser,
    width: int = 1280,
    height: int = 900,
    scheme: Literal["light", "dark"] = "light",
) -> Iterator[Visit]:
    """Open a window of this size in pixels."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(SECONDS_TO_RENDER * 1000)
    # A file or a sandboxed frame has no storage.
    context.add_init_script(f"try {{ {MLFLOW_CHOICES} }} catch {{}}")
    visit = Visit(context.new_page())

    def let_pass(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != LOOPBACK:
            visit.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", let_pass)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    yield visit
    context.close()
