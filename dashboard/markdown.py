"""Model cards as HTML. They are our own Markdown, but contain names of categories and labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

HEADING_LEVELS = {f"h{level}": f"h{level + 1}" for level in range(1, 6)}
"""The page has an h1 of its own."""


def as_html(text: str) -> Markup:
    """Return Markdown as HTML, without HTML that is in it and without pictures, whose files MLflow has."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        token.tag = HEADING_LEVELS.get(token.tag, token.tag)
    tables = (token for token in tokens if token.type == "table_open")
    for number, table in enumerate(tables, start=1):
        table.meta["name"] = f"Table {number} of the model card"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"html": False})
    parser.add_render_rule("image", _nothing)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _nothing(*_: object) -> str:
    return ""


def _table_open(_: object, tokens: Sequence[Token], number: int, *__: object) -> str:
    name = tokens[number].meta["name"]
    return f"<div class='scroll' tabindex='0' role='region' aria-label='{name}'><table>"


def _table_close(*_: object) -> str:
    return "</table></div>"
