"""How long the dashboard takes for its first page and for a click, with 2,000 runs and 500 versions.

    python benchmarks/dashboard.py [--json]

Two runs of a tiny model make the store; copies of their rows make it large. The browser is the system's
Chromium. A click is timed until the new page is there, on an idle machine and while a run trains and *Try it*
loads a model.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.front_door import ROOT, Project
from tests.tiny import make_tiny_model, tiny_settings

VERSIONS = 500
RUNS = 2_000
ROUNDS = 5
LONG_TRAINING = 100_000
"""Optimizer steps of the run beside which clicks are timed; it is stopped afterwards."""
PAGES = ("Runs", "Models", "Compare", "Try it", "Data", "Learn", "Overview")


def make_store(project: Project) -> None:
    """Train two versions, and copy their rows until there are `VERSIONS` and `RUNS`."""
    for rank in (2, 8):
        project.with_settings(lora={"rank": rank}).result()
    with closing(sqlite3.connect(project.state / "zenml" / "mlflow" / "mlflow.db")) as database:
        _copy_versions(database)
    with closing(sqlite3.connect(project.state / "stores" / "default_zen_store" / "zenml.db")) as database:
        _copy_runs(database)


def _copy_versions(database: sqlite3.Connection) -> None:
    versions = _rows(database, "model_versions", "ORDER BY version")
    for number in range(len(versions) + 1, VERSIONS + 1):
        source = versions[number % len(versions)]
        _insert(database, "model_versions", source | {"version": number})
        for tag in _rows(database, "model_version_tags", "WHERE version = ?", source["version"]):
            _insert(database, "model_version_tags", tag | {"version": number})
    database.commit()


def _copy_runs(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA foreign_keys = OFF")
    runs = _rows(database, "pipeline_run")
    snapshots = {row["id"]: row for row in _rows(database, "pipeline_snapshot")}
    # Read once: a search for each copy takes the longer, the more copies there are.
    steps = {run["id"]: _rows(database, "step_run", "WHERE pipeline_run_id = ?", run["id"]) for run in runs}
    outputs = _rows(database, "step_run_output_artifact")
    for number in range(RUNS - len(runs)):
        run, began = runs[number % len(runs)], datetime(2026, 1, 1) - timedelta(minutes=10 * number)
        snapshot = snapshots[run["snapshot_id"]] | {"id": uuid.uuid4().hex}
        copy = run | {
            "id": uuid.uuid4().hex,
            "name": f"review_sentiment-{began:%Y_%m_%d-%H_%M_%S_%f}",
            "snapshot_id": snapshot["id"],
            "orchestrator_run_id": uuid.uuid4().hex,
            "index": len(runs) + number + 1,
            "created": str(began),
            "start_time": str(began),
            "end_time": str(began + timedelta(minutes=2)),
        }
        _insert(database, "pipeline_snapshot", snapshot)
        _insert(database, "pipeline_run", copy)
        for step in steps[run["id"]]:
            own = {"id": uuid.uuid4().hex, "pipeline_run_id": copy["id"], "snapshot_id": snapshot["id"]}
            _insert(database, "step_run", step | own)
            for output in outputs:
                if output["step_id"] == step["id"]:
                    _insert(database, "step_run_output_artifact", output | {"step_id": own["id"]})
    database.commit()


def _rows(
    database: sqlite3.Connection, table: str, condition: str = "", *values: object
) -> list[dict[str, Any]]:
    found = database.execute(f"SELECT * FROM {table} {condition}", values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    database.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
    )


@contextmanager
def served(project: Project) -> Iterator[str]:
    """Serve the dashboard of a project's state, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_pipeline.py"), "ui", "--port", "0"],
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def busy(project: Project) -> Iterator[None]:
    """Let a run of a store of its own train as the dashboard starts it, from its first optimizer step on."""
    from dashboard.runs import process
    from review_sentiment.settings_files import load_settings

    project.with_settings(training={"max_steps": LONG_TRAINING}).write_config()
    with patch.dict(os.environ, project.environment):
        options = ("--config", str(project.config))
        run = process.start(load_settings(project.config), options, "a long training")
        events = run.event_file
    try:
        while not (events.is_file() and f'"total": {LONG_TRAINING}' in events.read_text()):
            assert process.is_alive(run), run.errors
            time.sleep(0.2)
        yield
    finally:
        os.killpg(run.pid, signal.SIGKILL)


def seconds_of(page: Any, name: str) -> float:
    """Return the seconds from a click in the navigation until the page is there."""
    started = time.perf_counter()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    page.wait_for_load_state("load")
    return time.perf_counter() - started


def first_page(browser: Any, address: str) -> tuple[Any, float]:
    """Return a new window with the overview, and the seconds that it took."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    started = time.perf_counter()
    page.goto(address)
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    return page, time.perf_counter() - started


def measure() -> dict[str, Any]:
    """Return the seconds by page, idle and busy."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="review-sentiment-dashboard-") as scratch:
        state = Path(scratch)
        model = make_tiny_model(state / "model")
        project = Project(ROOT, state, tiny_settings(state / "reviews", model.name))
        make_store(project)
        (state / "other").mkdir()
        other = Project(ROOT, state / "other", project.settings)
        started = time.perf_counter()
        with served(project) as address, sync_playwright() as driver:
            until_address = time.perf_counter() - started
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = driver.chromium.launch(executable_path=chromium, args=flags)
            page, first = first_page(browser, address)
            idle = [{name: seconds_of(page, name) for name in PAGES} for _ in range(ROUNDS)]
            with busy(other):
                beside = []
                loading = browser.new_context().new_page()  # once: Chromium starts processes for a window
                loading.goto(address)
                for number in range(1, ROUNDS + 1):
                    loading.goto(f"{address}try?version={number}&text=Lovely")  # each loads another version
                    beside.append({name: seconds_of(page, name) for name in PAGES})
            browser.close()
    return {"until_address": until_address, "first_page": first, "idle": idle, "busy": beside}


def main() -> None:
    """Measure and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the raw figures as JSON at the end")
    options = parser.parse_args()
    found = measure()
    print(
        f"{RUNS:,} runs, {VERSIONS} versions; seconds, median (min-max) of {ROUNDS}; {os.cpu_count()} cores"
    )
    print(f"address printed after {found['until_address']:.2f} s, first page {found['first_page']:.2f} s")
    for name in PAGES:
        shown = []
        for kind in ("idle", "busy"):
            values = [one[name] for one in found[kind]]
            shown.append(f"{kind} {median(values):5.2f} ({min(values):.2f}-{max(values):.2f})")
        print(f"{name:10} {'   '.join(shown)}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
