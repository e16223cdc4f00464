"""Pages from templates: what every template can use, and what a page shows if something is missing."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboard.explain.glossary import meaning_of, meaning_of_check, meaning_of_step
from dashboard.queries.versions import MODEL_PARAMETER, default_model

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from starlette.requests import Request

TEMPLATES = Path(__file__).resolve().parent / "templates"
NAVIGATION = {
    "Overview": "/",
    "Runs": "/runs",
    "Models": "/models",
    "Compare": "/compare",
    "Try it": "/try",
    "Data": "/data",
    "Learn": "/learn",
}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page; templates escape every text."""
    return HTMLResponse(environment().get_template(template).render(request=request, **values), status)


def not_found(request: Request, what: str, instead: str, text: str) -> HTMLResponse:
    """Return the page for something that does not exist, such as "Run 7", with a link to its list."""
    return render(
        request, "message.html", 404, title=f"No {what}", text=text, links={instead: NAVIGATION[instead]}
    )


@cache
def environment() -> Environment:
    """Return the templates with their filters and functions."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": clock, "when": when, "capitalised": capitalised}
    made.globals |= {
        "navigation": NAVIGATION,
        "figure": figure_element,
        "query": urlencode,
        "of_model": of_model,
    }
    made.globals |= {"meaning": meaning_of, "of_check": meaning_of_check, "of_step": meaning_of_step}
    return made


def when(moment: datetime) -> Markup:
    """Return a time of this machine's time zone, readable by people and by programs."""
    local = moment.astimezone()
    return Markup("<time datetime='{}'>{}</time>").format(local.isoformat(), f"{local:%Y-%m-%d %H:%M}")


def clock(seconds: float) -> str:
    """Return a duration as text, such as `2 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def of_model(name: str) -> str:
    """Return the part of an address that names a registered model, empty for the default one."""
    return f"?{urlencode({MODEL_PARAMETER: name})}" if name and name != default_model() else ""


def capitalised(text: str) -> str:
    """Return a text with a capital first letter; `str.capitalize` would change the names of labels in it."""
    return text[:1].upper() + text[1:]


def figure_element(name: str, figure: go.Figure) -> Markup:
    """Return a figure as HTML; `app.js` draws it once it scrolls into view. `name` is its id on the page."""
    from plotly.io.json import to_json_plotly

    content = figure.to_plotly_json()
    title = content["layout"].pop("title", {}).get("text", "")
    # A figure without a value at some place has NaN there, which is not JSON: plotly writes null. A script
    # element ends at the first `</`, whatever is around it.
    data = Markup(to_json_plotly(content).replace("</", "<\\/"))
    return Markup(
        "<figure class=figure id='{name}' aria-label='{title}'><figcaption>{title}</figcaption>"
        "<div class=plot style='height:{height}px'></div>"
        "<script type='application/json'>{data}</script></figure>"
    ).format(name=name, title=title, height=content["layout"]["height"], data=data)
