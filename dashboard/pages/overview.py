"""Overview: the champion, what needs attention, the newest runs, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.routing import Route

from dashboard.queries.runs import outcomes, read_runs
from dashboard.queries.versions import Registry, registry_of
from dashboard.queries.zenml_store import is_on_server, last_scoring
from dashboard.rendering import of_model, render
from front_door.run.summary import tag_figure
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.queries.runs import Run

RUNS_SHOWN = 6
MANY_UNSURE = 0.2
"""Fraction of a scored file's reviews that the rule left to a person, from which on it is worth a look."""


@dataclass(frozen=True)
class Attention:
    """Something to look at: what it is, how bad, and where to act on it."""

    text: str
    judgement: str
    action: str
    address: str


def overview(request: Request) -> HTMLResponse:
    """Show what somebody wants to know first."""
    listed = read_runs(request)
    newest = listed.runs[:RUNS_SHOWN]
    registry, problem = _registry(request)
    return render(
        request,
        "overview.html",
        registry=registry,
        problem=problem,
        figure_of=tag_figure,
        listed=listed,
        runs=newest,
        outcomes=outcomes(newest),
        attention=[
            *_of_versions(registry),
            *_of_runs(newest),
            *(_of_scoring() if not listed.problem else ()),
        ],
    )


def _registry(request: Request) -> tuple[Registry | None, str]:
    """Return the versions, or why they cannot be read: the runs are shown anyway."""
    try:
        return registry_of(request), ""
    except ReviewSentimentError as error:
        return None, str(error)


def _of_versions(registry: Registry | None) -> Iterator[Attention]:
    if registry is None or not registry.versions:
        return
    champion, newest, own = registry.champion, registry.versions[0], of_model(registry.model)
    if champion is None:
        text = "No version is the champion yet, so @champion cannot be loaded."
        yield Attention(text, "warn", "Choose a version", f"/models{own}")
    elif int(newest.version) > int(champion.version):
        passed = newest.tags.get("gate") == "passed"
        verdict = "passed its gate and waits for a promotion" if passed else "did not pass its gate"
        pair = [*registry.parameters().items(), ("models", champion.version), ("models", newest.version)]
        yield Attention(
            f"Version {newest.version} {verdict}.",
            "good" if passed else "warn",
            "Compare with the champion",
            f"/compare?{urlencode(pair)}",
        )
    for warning in champion.warnings if champion else ():
        address = f"/models/{champion.version if champion else ''}{own}"
        yield Attention(f"Champion: {warning}", "warn", "Open the version", address)


def _of_runs(runs: Sequence[Run]) -> Iterator[Attention]:
    """Yield the newest run if it did not complete: older failures have been dealt with."""
    if runs and runs[0].judgement in {"bad", "warn"}:
        text = f"The newest run {runs[0].status_word if runs[0].judgement == 'bad' else 'was stopped'}."
        yield Attention(text, runs[0].judgement, "See why", f"/runs/{runs[0].name}")


def _of_scoring() -> Iterator[Attention]:
    """Yield what the file that was scored last had that the training reviews had not."""
    found = None if is_on_server() else last_scoring()
    if found is None:
        return
    name, figures = found
    if figures.get("drifted"):
        text = f"The last scored file differs from the training reviews in {', '.join(figures['drifted'])}."
        yield Attention(text, "warn", "See the run", f"/runs/{name}")
    if figures.get("rows") and figures["unsure"] / figures["rows"] >= MANY_UNSURE:
        text = f"{figures['unsure'] / figures['rows']:.0%} of the last scored reviews were left to a person."
        yield Attention(text, "warn", "See the run", f"/runs/{name}")


routes = [Route("/", overview)]
