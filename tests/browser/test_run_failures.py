"""Runs that really fail: the page shows what happened, the values it happened with, and what to do."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import RUN_MILLISECONDS, WAIT_MILLISECONDS, Dashboard, served
from tests.web_server import MODEL, WebServer, serving

pytest.importorskip("playwright")
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.visit import Visit
    from tests.front_door import Project

Visits = Callable[..., AbstractContextManager["Visit"]]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
RESUMABLE = ("gated", "disk")
DISK_BYTES = 4 * 10**8
"""More than a run must find free before it starts."""
DATA_BYTES = 4 * 10**9
"""Limit for a run: it needs 1 GB without the test's large adapters, and 7 with them."""


@contextmanager
def data_limit(limit: int) -> Iterator[None]:
    """Limit the data of each process that is started within the block to this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Return a hub with a gated model, and no access to it."""
    with serving(tmp_path_factory.mktemp("hub")) as hub:
        hub.gated, hub.token = True, "hf_another"
        yield hub


@pytest.fixture(scope="module")
def dashboard(
    dashboard_project: Project, hub: WebServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    """Return a dashboard whose runs have little memory, and no access to a gated model."""
    home = tmp_path_factory.mktemp("hf")
    variables = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    with data_limit(DATA_BYTES), served(dashboard_project, **variables) as dashboard:
        yield dashboard


def see_it_fail(
    dashboard: Dashboard, visit: Visits, name: str, settings: dict[str, str], *texts: str
) -> None:
    """Start a run from the page, and expect these texts after it has failed.

    Resume is offered only if a retry with the same settings can succeed.
    """

    def see_texts(page: Page) -> None:
        for text in texts:
            found = page.get_by_text(re.compile(text)).first
            expect(found).to_be_visible(timeout=WAIT_MILLISECONDS)

    settings |= {"evaluation.skip_baseline": "true"}
    with visit() as found:
        page = found.page
        page.goto(dashboard.new_run(**settings))
        page.get_by_role("button", name="Start the run").click()
        status = page.locator("#state .badge").first
        expect(status).to_contain_text("failed", timeout=RUN_MILLISECONDS)
        see_texts(page)
        expect(page.get_by_role("link", name="Stop immediately")).to_have_count(0)
        resume = page.get_by_role("button", name="Resume with the same settings")
        expect(resume).to_have_count(1 if name in RESUMABLE else 0)
        found.keep(f"failure_{name}_1280", full_page=True)
        assert found.errors == []
        address = page.url
    with visit(390, 844, "dark") as found:
        found.page.goto(address)
        see_texts(found.page)
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        found.keep(f"failure_{name}_390", full_page=True)


def test_a_loss_that_is_not_finite(dashboard: Dashboard, visit: Visits) -> None:
    see_it_fail(
        dashboard,
        visit,
        "nan",
        {"training.learning_rate": "0.99", "training.weight_decay": "1e30"},
        "The loss or the gradient is not finite",
        r"Training stopped at step \d+: (loss|grad_norm) is (nan|inf)",
        r"Present values: .*training\.learning_rate=0\.99",
        "Lower training.learning_rate to a third",
    )


def test_memory_runs_out(dashboard: Dashboard, visit: Visits) -> None:
    see_it_fail(
        dashboard,
        visit,
        "memory",
        {"training.fit": "ignore", "lora.rank": "200000"},
        "Not enough memory",
        "Memory ran out",
        r"Present values: .*lora\.rank=200000",
        "tokens_per_pass is not enough here",
    )


def test_a_gated_model(dashboard: Dashboard, visit: Visits) -> None:
    see_it_fail(
        dashboard,
        visit,
        "gated",
        {"model.name": MODEL},
        "No access to the model",
        f"{MODEL} is gated",
        f"Present values: .*model.name={MODEL}",
        "model.name=embedded works without an account",
    )


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that has room when the run starts, and is filled when it has its first file."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    stop = threading.Event()
    filler = threading.Thread(target=_keep_full_once_used, args=(place, stop))
    filler.start()
    yield place
    stop.set()
    filler.join()
    subprocess.run(["umount", str(place)], check=True)


def _keep_full_once_used(place: Path, stop: threading.Event) -> None:
    """Reserve what is free: on a busy machine, a run ended before 400 MB were written."""
    size = 0
    while not stop.wait(0.02):
        if not any(path.is_file() for path in place.rglob("*")):
            continue
        with (place / "full").open("ab") as file, suppress(OSError):  # the run wrote in between
            free = shutil.disk_usage(place).free
            os.posix_fallocate(file.fileno(), size, free)
            size += free


def test_a_full_disk(dashboard: Dashboard, visit: Visits, full_disk: Path) -> None:
    see_it_fail(
        dashboard,
        visit,
        "disk",
        {"training.checkpoint_dir": str(full_disk), "training.checkpoint_steps": "2"},
        "The disk is full",
        r"no room left to write to",
        f"Present values: .*training.checkpoint_dir={re.escape(str(full_disk))}",
        "Free some space, then resume",
    )
