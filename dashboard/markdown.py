"""Model cards as HTML. They are our own Markdown, but contain names of categories and labels."""

from __future__ import annotations

import re
from functools import cache
from itertools import count

from markdown_it import MarkdownIt
from markupsafe import Markup

HEADING_LEVELS = {f"h{level}": f"h{level + 1}" for level in range(1, 6)}
"""The page has an h1 of its own."""


def as_html(text: str) -> Markup:
    """Return Markdown as HTML, without HTML that is in it and without pictures, whose files MLflow has."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        token.tag = HEADING_LEVELS.get(token.tag, token.tag)
        if token.type == "table_open":
            token.attrSet("class", "card")
    html = parser.renderer.render(tokens, parser.options, {})
    number = count(1)

    def scroll(_: re.Match[str]) -> str:
        name = f"Table {next(number)} of the model card"
        return f"<div class='scroll' tabindex='0' role='region' aria-label='{name}'><table>"

    html = re.sub('<table class="card">', scroll, html)
    return Markup(html.replace("</table>", "</table></div>"))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"html": False})
    parser.add_render_rule("image", _nothing)
    return parser


def _nothing(*_: object) -> str:
    return ""
