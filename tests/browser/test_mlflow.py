"""What a visitor sees of a candidate and a version in MLflow, as `run_pipeline.py mlflow-ui` serves it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.browser.conftest import TwoVersions
from tests.browser.visit import LOOPBACK, SECONDS_TO_RENDER
from tests.front_door import Project
from tests.ports import free_ports

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Site:
    """MLflow's pages, and the result of the one run that they show."""

    address: str
    result: dict[str, Any]
    experiment_id: str

    def run(self, key: str) -> str:
        """Return the address of the page of the training (`run_id`) or of its evaluation."""
        return f"{self.address}/#/experiments/{self.experiment_id}/runs/{self.result['mlflow'][key]}"


@pytest.fixture(scope="module")
def site(browser: Any, two_versions: TwoVersions) -> Iterator[Site]:
    """Serve MLflow's pages of the first of two versions."""
    project = two_versions.project
    (port,) = free_ports(1)
    server = project.start("mlflow-ui", "--port", str(port))
    try:
        address = f"http://{LOOPBACK}:{port}"
        _wait_for(address, server)
        yield Site(address, two_versions.first_run, _experiment_id(project))
    finally:
        server.terminate()
        server.communicate(timeout=SECONDS_TO_RENDER)


def _wait_for(address: str, server: Any) -> None:
    deadline = time.monotonic() + 2 * SECONDS_TO_RENDER
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{address}/health", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    server.terminate()
    pytest.fail(f"MLflow did not come up: {server.communicate()[1]}")


def _experiment_id(project: Project) -> str:
    import mlflow

    client = mlflow.MlflowClient(project.tracking_uri)
    return str(client.get_experiment_by_name("review-sentiment").experiment_id)


def test_the_experiment_lists_the_candidate(visit: Callable[..., Any], site: Site) -> None:
    with visit() as found:
        found.page.goto(f"{site.address}/#/experiments/{site.experiment_id}/runs")
        found.page.get_by_role("link", name=site.result["pipeline_run"]).first.wait_for()
        found.keep("experiment")
        assert not found.outside


def test_the_trainings_page_has_settings_figures_and_the_versions(
    visit: Callable[..., Any], site: Site
) -> None:
    with visit(1400, 2400) as found:
        page = found.page
        page.goto(site.run("run_id"))
        page.get_by_text("Each evaluation of the adapter is a child run").first.wait_for()
        for name in ("training/steps", "lora/rank"):
            page.get_by_text(name, exact=True).first.wait_for()
        for text in ("train (", "Registered models", "run_pipeline.py"):
            page.get_by_text(text, exact=False).first.wait_for()
        found.keep("training")
        assert not found.errors
        assert not found.outside


def test_the_evaluations_page_has_card_figures_settings_and_where_it_comes_from(
    visit: Callable[..., Any], site: Site
) -> None:
    with visit(1400, 2400) as found:
        page = found.page
        page.goto(site.run("evaluation_run_id"))
        page.get_by_text("This model labels customer reviews as").first.wait_for()
        page.get_by_text("Show more").click()
        page.get_by_role("table").get_by_text("this model").first.wait_for()
        page.get_by_text("split/evaluation_per_category", exact=True).first.wait_for()
        page.get_by_placeholder("Search metrics").fill("tuned/accuracy")
        page.get_by_role("link", name="tuned/accuracy", exact=True).wait_for()
        for text in ("evaluation (", "zenml_run", "command", "run_pipeline.py"):
            page.get_by_text(text, exact=False).first.wait_for()
        found.keep("run")
        assert not found.errors
        assert not found.outside


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tuned/samples.html", "the extremes, not a random sample"),
        ("tuned/classification_report.html", "Classification Model Performance"),
        ("reports/data_report.html", "Each category against the others"),
    ],
)
def test_pages_among_the_artifacts_are_shown(
    visit: Callable[..., Any], site: Site, path: str, text: str
) -> None:
    with visit(1400, 900) as found:
        found.page.goto(f"{site.run('evaluation_run_id')}/artifacts/{path}")
        shown = found.page.frame_locator("iframe")
        shown.get_by_text(text).first.wait_for()
        if path.endswith("samples.html"):
            shown.get_by_role("button", name="most confident mistakes").click()
            count = shown.get_by_role("button", name="most confident mistakes").locator("span").inner_text()
            assert shown.get_by_role("status").inner_text() == f"{count} shown"
        found.keep(Path(path).stem)
        assert not found.outside


def test_curves_are_a_picture_among_the_artifacts(visit: Callable[..., Any], site: Site) -> None:
    with visit(1400, 900) as found:
        found.page.goto(f"{site.run('run_id')}/artifacts/training/curves.png")
        picture = found.page.locator("img[src^='blob:'], img[src^='data:image/png'], img[src*='curves.png']")
        picture.first.wait_for()
        found.page.wait_for_function(
            "() => [...document.images].some(image => image.complete && image.naturalWidth > 800)"
        )
        found.keep("curves")


def test_metrics_are_drawn_in_groups(visit: Callable[..., Any], site: Site) -> None:
    with visit(1400, 1200) as found:
        for run, groups in (
            ("run_id", ("train",)),
            ("evaluation_run_id", ("tuned", "baseline", "tfidf")),
        ):
            found.page.goto(f"{site.run(run)}/model-metrics")
            for group in groups:
                found.page.get_by_text(re.compile(rf"^{group}\b")).first.wait_for()
        found.page.locator(".js-plotly-plot").first.wait_for()
        found.keep("metrics")


def test_the_registered_model_lists_its_versions(visit: Callable[..., Any], site: Site) -> None:
    with visit() as found:
        found.page.goto(f"{site.address}/#/models/review-sentiment")
        found.page.get_by_text("Version 1").first.wait_for()
        found.page.get_by_text("@ champion").first.wait_for()
        found.page.get_by_text("is the version in use").wait_for()
        found.keep("model")


def test_the_version_shows_its_card_tags_and_alias(visit: Callable[..., Any], site: Site) -> None:
    with visit(1280, 2600) as found:
        page = found.page
        page.goto(f"{site.address}/#/models/review-sentiment/versions/1")
        page.get_by_text("This model labels customer reviews as").first.wait_for()
        page.get_by_role("table").get_by_text("this model").first.wait_for()
        page.get_by_role("link", name=site.result["pipeline_run"]).wait_for()
        for text in ("@ champion", "accuracy_interval", "data_revision", "CC0-1.0", "from_pretrained"):
            page.get_by_text(text, exact=False).first.wait_for()
        found.keep("version")
        assert not found.outside


@pytest.mark.parametrize("page_of", ["training", "evaluation", "version"])
def test_a_link_of_the_dashboard_opens_the_view_for_machine_learning(
    browser: Any, site: Site, page_of: str
) -> None:
    """A first visitor has chosen no view yet, and MLflow's own choice is the one for generative AI."""
    from dashboard.queries.mlflow_links import VIEW

    addresses = {
        "training": site.run("run_id"),
        "evaluation": site.run("evaluation_run_id"),
        "version": f"{site.address}/#/models/review-sentiment/versions/1",
    }
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{addresses[page_of]}{VIEW}")
    navigation = page.get_by_role("navigation")
    navigation.get_by_text("Model registry", exact=True).first.wait_for(timeout=1000 * SECONDS_TO_RENDER)
    for name in ("Judges", "Prompts"):
        assert navigation.get_by_text(name, exact=True).count() == 0
    context.close()
