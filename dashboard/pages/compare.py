"""Compare two to six models on the reviews that all of them answered."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from dashboard.queries import comparison
from dashboard.queries.answers import CHANGES, ORDERS, only
from dashboard.queries.compared import compare_models
from dashboard.queries.comparison import FEWEST, MOST, Choice, version_choice
from dashboard.queries.decision import balanced_figures
from dashboard.queries.versions import registry_of
from dashboard.rendering import render

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.jobs import Job, Jobs
    from dashboard.queries.compared import Compared
    from dashboard.queries.comparison import ComparedFigures
    from dashboard.queries.versions import Registry

MODELS_PARAMETER = "models"
ROWS_PER_PAGE = 20


def compare(request: Request) -> HTMLResponse:
    """Show the chosen models, by default the champion and the newest version."""
    registry = registry_of(request)
    keys = [key.strip() for text in request.query_params.getlist(MODELS_PARAMETER) for key in text.split(",")]
    keys = list(dict.fromkeys(filter(None, keys)))
    found = {key: comparison.find_choice(key, registry) for key in keys[:MOST]}
    chosen = tuple(choice for choice in found.values() if choice)
    problems = [f"There is no model “{key}”." for key, choice in found.items() if choice is None]
    if len(keys) > MOST:
        problems.append(f"At most {MOST} models can be compared; the first {MOST} are shown.")
    if not keys and registry.versions:
        chosen = tuple(comparison.default_choices(registry))
    job = _job(request, chosen) if len(chosen) >= FEWEST else None
    return render(
        request,
        "compare.html",
        registry=registry,
        chosen=chosen,
        titles=[one.title for one in chosen],
        groups=_groups(registry, chosen),
        most=MOST,
        problems=problems,
        job=job,
        **(_parts(request, job.result, chosen) if job and job.result else {}),
    )


def _job(request: Request, chosen: tuple[Choice, ...]) -> Job[Compared]:
    jobs: Jobs = request.app.state.jobs
    key = ("compare", *((one.version.model_id, one.model) for one in chosen))
    return jobs.ask("computations", key, compare_models, chosen)


def _groups(registry: Registry, chosen: Iterable[Choice]) -> dict[str, list[Choice]]:
    """Return what can be chosen: the newest versions, the champion, the chosen ones, and models beside."""
    champion = [registry.champion] if registry.champion else []
    versions = [version_choice(version, registry) for version in (*registry.versions, *champion)]
    versions += [version_choice(one.version, registry) for one in chosen]
    versions = list({one.key: one for one in versions}.values())
    others = [other for one in versions for other in comparison.beside(one)]
    return {"Versions": versions, "Evaluated beside them": others}


def _parts(request: Request, found: Compared, chosen: tuple[Choice, ...]) -> dict[str, Any]:
    """Return what the page shows of models that share reviews."""
    return {
        "found": found,
        "natural": _natural_rows(found.figures),
        "balanced": _balanced_rows(found.figures),
        "tests": _test_rows(found.figures, chosen),
        "categories": _category_rows(found.figures),
        "share_text": found.figures.natural[0].share_text(),
        "answers": _answers(request, found.answers),
    }


def _natural_rows(found: ComparedFigures) -> list[list[str]]:
    titles = {title: figure for one in found.natural for title, figure in one.rows().items()}
    return [[title, *(one.shown(*figure) for one in found.natural)] for title, figure in titles.items()]


def _balanced_rows(found: ComparedFigures) -> list[list[str]]:
    columns = [balanced_figures(asdict(one)) for one in found.balanced]
    rows = ([title, *(column[title] for column in columns)] for title in columns[0])
    return [row for row in rows if set(row[1:]) != {"-"}]


def _test_rows(found: ComparedFigures, chosen: tuple[Choice, ...]) -> list[dict[str, Any]]:
    """Return each model's gain over the first, in production and on balanced reviews."""
    return [
        {"title": choice.title, "natural": natural.overall, "balanced": balanced.overall}
        for choice, natural, balanced in zip(
            chosen[1:], found.natural_tests, found.balanced_tests, strict=True
        )
    ]


def _category_rows(found: ComparedFigures) -> list[list[str]]:
    """Return a row per category: each other model's gain over the first in production."""
    names = list(found.natural_tests[0].categories)
    return [[name, *(str(test.categories[name]) for test in found.natural_tests)] for name in names]


def _answers(request: Request, table: pd.DataFrame) -> dict[str, Any]:
    """Return a page of the answers that the address asks for."""
    asked = request.query_params
    change = asked.get("change", "") if asked.get("change") in CHANGES else "changed"
    order = asked.get("order", "") if asked.get("order") in ORDERS else "change"
    rows = only(table, change, asked.get("search", ""), order)
    pages = max(1, -(-len(rows) // ROWS_PER_PAGE))
    page = asked.get("page", "1")
    number = min(max(int(page), 1), pages) if page.isdecimal() else 1
    shown = rows.iloc[(number - 1) * ROWS_PER_PAGE : number * ROWS_PER_PAGE].to_dict("records")
    counts = table["change"].value_counts()
    return {
        "change": change,
        "order": order,
        "search": asked.get("search", ""),
        "rows": shown,
        "found": len(rows),
        "page": number,
        "pages": pages,
        "counts": {name: int(counts.get(name, 0)) for name in ("won", "lost", "all wrong", "all right")},
        "changes": CHANGES,
        "orders": ORDERS,
    }


routes = [Route("/compare", compare)]
