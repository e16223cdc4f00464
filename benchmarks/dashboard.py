"""How long the dashboard takes to load and to respond to a click, with 200 runs and versions in MLflow.

    python benchmarks/dashboard.py [--json]

MLflow's client creates the runs in a temporary sqlite store; the browser is the system's Chromium.
A click is timed until its result is visible.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RUNS = 200
STEPS = 50
ROUNDS = 5
PAUSE_SECONDS = 5.0
"""Pause after the first page and its clicks."""
WIDTHS = (1280, 390)
CLICKS = {
    "Configure": "training.learning_rate",
    "Run": "No run yet",
    "Compare": "constrained accuracy",
    "Models": "base model",
    "Machine": "Processor",
}
"""Tabs, each with a text that is visible once the tab is complete."""


def make_runs(store: str) -> None:
    """Create runs and versions with parameters, metrics and curves, as a pipeline run records them."""
    import pandas as pd
    from mlflow.entities import Metric, Param, RunTag

    from review_sentiment.config import Settings
    from review_sentiment.evaluation.predictions import prediction_table
    from review_sentiment.evaluation.result import evaluation_of
    from review_sentiment.settings_files import flat
    from review_sentiment.tracking import mlflow_store, run_log

    mlflow_store.configure(store)
    client = mlflow_store.client()
    settings = Settings()
    model = settings.registry.model_name
    experiment = run_log.experiment_id(settings.tracking.experiment)
    client.create_registered_model(model)
    parameters = [Param(key.replace(".", "/"), str(value)[:200]) for key, value in flat(settings).items()]
    for number in range(RUNS):
        run = client.create_run(experiment, run_name=f"run-{number}")
        run_id = run.info.run_id
        figures = [
            Metric(f"{name}/{key}", 0.9, 0, 0)
            for name in ("tuned", "baseline", "tfidf")
            for key in ("accuracy", "f1", "roc_auc", "brier", "accuracy_low", "accuracy_high", "n")
        ]
        curve = [
            Metric(f"train/{name}", 1 / (step + 1), step, step)
            for name in ("loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gb")
            for step in range(STEPS)
        ]
        client.log_batch(run_id, params=parameters, metrics=figures + curve, tags=[RunTag("gate", "passed")])
        client.set_terminated(run_id)
        files = client.create_logged_model(experiment, name="model", source_run_id=run_id).model_id
        version = client.create_model_version(model, f"models:/{files}", run_id, model_id=files)
        for key, value in {"accuracy": "0.9", "accuracy_interval": "0.8-0.95", "gate": "passed"}.items():
            client.set_model_version_tag(model, version.version, key, value)
    client.set_registered_model_alias(model, "champion", str(RUNS - 1))
    _log_evaluations(model, pd, prediction_table, evaluation_of)


def _log_evaluations(model: str, pd: Any, prediction_table: Any, evaluation_of: Any) -> None:
    """Log evaluations of 600 reviews for the two newest versions, which Compare shows first."""
    import numpy as np

    from review_sentiment.data.chats import REVIEW_COLUMNS, ChatDataset
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.tracking import evidence, model_versions

    texts = {
        evidence.SETTINGS_FILE: "{}",
        evidence.GATE_FILE: '{"checks": [], "share": "natural"}',
        evidence.CARD_FILE: "A card.",
    }
    n, labels, rng = 600, ("negative", "positive"), np.random.default_rng(0)
    rule = DecisionRule.raw(labels, (0.12, 0.88))
    frame = pd.DataFrame(
        {
            "review_id": [f"r{row}" for row in range(n)],
            "category": [f"category {row % 6}" for row in range(n)],
            "label": [labels[row % 2] for row in range(n)],
            "stars": [1 + 4 * (row % 2) for row in range(n)],
            "verified_purchase": True,
            "title": "A title",
            "text": ["A review of some sixty words. " * 10] * n,
            "prompt": "",
            "prompt_tokens": rng.integers(20, 190, n),
            "truncated": False,
            "weight": 1.0,
            "balanced": True,
        }
    )
    chats = ChatDataset.__new__(ChatDataset)
    object.__setattr__(chats, "frame", frame)
    object.__setattr__(chats, "labels", labels)
    for number in (RUNS - 1, RUNS):
        p = np.clip(0.2 + 0.6 * (np.arange(n) % 2) + rng.normal(0, 0.25, n), 0.01, 0.99)
        both = np.stack([1 - p, p], axis=1)
        table = prediction_table(frame, labels, both, both.argmax(1), np.ones(n))
        model_id = model_versions.get_version(model, str(number)).model_id
        evaluation = evaluation_of("tuned", chats, table).under(rule, rule.prior)
        evidence.log_evidence(model_id, texts, [evaluation], frame[REVIEW_COLUMNS])


@contextmanager
def served(state: Path, store: str) -> Iterator[str]:
    """Serve the dashboard and yield its address."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store,
        "ZENML_CONFIG_PATH": str(state / "zenml"),
        "XDG_CACHE_HOME": str(state / "cache"),
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_pipeline.py"), "ui", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.wait()


def seconds_of(browser: Any, address: str, width: int) -> dict[str, float]:
    """Return the seconds until the first page and the result of each click are visible."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    started = time.perf_counter()
    page.goto(address)
    page.get_by_text("Processor").first.wait_for()
    found = {"load": time.perf_counter() - started}
    for tab, text in CLICKS.items():
        started = time.perf_counter()
        page.get_by_role("tab", name=tab, exact=True).click()
        page.get_by_text(text).first.wait_for()
        found[tab] = time.perf_counter() - started
    context.close()
    return found


def measure() -> dict[str, Any]:
    """Return the seconds by width and click."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="review-sentiment-dashboard-") as scratch:
        state = Path(scratch)
        store = f"sqlite:///{state / 'mlflow' / 'mlflow.db'}"
        make_runs(store)
        started = time.perf_counter()
        with served(state, store) as address:
            until_address = time.perf_counter() - started
            with sync_playwright() as driver:
                flags = ["--no-sandbox", "--disable-gpu"]
                browser = driver.chromium.launch(executable_path=chromium, args=flags)
                first = seconds_of(browser, address, WIDTHS[0])
                time.sleep(PAUSE_SECONDS)
                rounds = {
                    str(width): [seconds_of(browser, address, width) for _ in range(ROUNDS)]
                    for width in WIDTHS
                }
                browser.close()
    return {"until_address": until_address, "first_round": first, "rounds": rounds}


def main() -> None:
    """Measure and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the raw figures as JSON at the end")
    options = parser.parse_args()
    found = measure()
    print(f"{RUNS} runs and versions; seconds, median (min-max) of {ROUNDS} rounds; {os.cpu_count()} cores, ")
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(f"the server prints its address after {found['until_address']:.2f} s; first page and clicks:")
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in found["first_round"].items()))
    for width, rounds in found["rounds"].items():
        for name in rounds[0]:
            values = [one[name] for one in rounds]
            print(f"{width:>5} px  {name:10} {median(values):6.2f} ({min(values):.2f}-{max(values):.2f})")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
