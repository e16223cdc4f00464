"""Every name that a file can have becomes a name that MLflow and ZenML accept, and no two the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from review_sentiment.config import DataSettings, comma_separated
from review_sentiment.names import in_markdown, safe_names
from review_sentiment.settings_files import load_settings

AWKWARD = (
    "Home & Garden", "C++", "Men's", "A, B", "#1 Deals", "50% off", 'The "Best"', '"quoted"', "-dash",
    ".hidden", "..", "Café", "日本語", "a|b", "[x]", "{y}", "null", "007", "on", "a: b", "*x", "&x", "!x",
    "`x`", "$x$", "<b>x</b>", "back\\slash", "x" * 240, "x" * 239 + "y", "a=b", "${x", "{{a.b}}", "{date}",
)  # fmt: skip
NAMES = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=60
).map(str.strip).filter(lambda name: name and "${" not in name)


@settings(max_examples=200)
@given(st.lists(NAMES, unique=True, max_size=8))
def test_safe_names_are_accepted_and_differ_whatever_the_case(names: list[str]) -> None:
    safe = safe_names(names)
    assert len({name.casefold() for name in safe.values()}) == len(names)
    for name in safe.values():
        _validate_metric_name(f"tuned/natural_precision_{name}")
        assert len(f"ingest_reviews_{name}") < 255


def test_spaces_become_underscores_unless_that_makes_two_names_equal() -> None:
    assert safe_names(["Fine gauge", "Knits"]) == {"Fine gauge": "Fine_gauge", "Knits": "Knits"}
    assert len(set(safe_names(["a b", "a_b"]).values())) == 2


def test_most_names_stay_and_those_that_only_look_alike_do_not() -> None:
    assert safe_names(["All_Beauty", "v1.5-Books", "Café"]) == {
        n: n for n in ("All_Beauty", "v1.5-Books", "Café")
    }
    for alike in (("Tops", "tops"), ("A&B", "A+B"), ("Café", "Cafe"), ("x" * 240, "x" * 239 + "y")):
        assert len({name.casefold() for name in safe_names(alike).values()}) == 2
    marked = safe_names(["C++"])["C++"]
    assert len(set(safe_names(["C++", marked]).values())) == 2


@settings(max_examples=200)
@given(st.lists(NAMES, unique=True, min_size=1, max_size=5))
def test_names_survive_the_command_line_and_the_dashboard(names: list[str]) -> None:
    chosen = load_settings(None, [f"data.categories={comma_separated(tuple(names))}"])
    assert chosen.data == DataSettings(categories=tuple(names))


@pytest.mark.parametrize("name", AWKWARD)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    from markdown_it import MarkdownIt

    html = MarkdownIt().enable("table").render(f"| a | b |\n|---|---|\n| {in_markdown(name)} | c |\n")
    from html import unescape

    assert f"<td>{name}</td>" in unescape(html)
