"""The report of `inspect` for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from front_door.terminal.text_table import columns
from review_sentiment.data.inspection.column_profile import shortened

if TYPE_CHECKING:
    from review_sentiment.data.inspection.findings import Facts, Finding
    from review_sentiment.data.inspection.inspection import TableReport

CLASSES_SHOWN = 12
LANGUAGES_SHOWN = 6
LONGEST_NAME = 40


def as_text(report: TableReport) -> str:
    """Return the report: rows, columns, roles, texts, classes, lengths, warnings, mapping."""
    facts = report.facts
    blocks = [
        "\n".join(_rows(facts)),
        columns([("column", "type", "missing", "different", "examples"), *_columns(facts)]),
        columns([("role", "column", "why"), *_roles(facts)]),
        "\n".join([*_texts(facts), *_classes(facts), *_lengths(facts), *_languages(facts)]),
        "\n".join(_findings(report.findings)),
        _mapping(report.mapping),
    ]
    return "\n\n".join(filter(None, blocks))


def _rows(facts: Facts) -> Iterator[str]:
    sample = facts.sample
    files = f" in {len(sample.files)} files" if len(sample.files) > 1 else ""
    yield f"{sample.source}: {'' if sample.exact else 'about '}{sample.rows:,} rows{files}"
    if sample.sampled + sample.unreadable < sample.rows:
        yield f"All figures are from a random sample of {sample.sampled:,} rows."


def _columns(facts: Facts) -> Iterator[tuple[str, ...]]:
    for one in facts.profiles:
        examples = " | ".join(one.examples)
        yield _short(one.name), one.type, f"{1 - one.present:.0%}", f"{one.distinct:.0%}", examples


def _roles(facts: Facts) -> Iterator[tuple[str, ...]]:
    for role, found in facts.roles.items():
        yield role, _short(found.column), found.reason


def _texts(facts: Facts) -> Iterator[str]:
    if (found := facts.texts) is None:
        return
    rows = facts.sample.sampled
    compared, references = found.near_compared
    yield (
        f"texts: {found.empty:,} empty ({found.empty / rows:.1%}), {found.equal:,} that repeat another "
        f"({found.equal / rows:.1%}), {found.near:.1%} of the different ones nearly the same as another "
        f"({compared:,} compared with {references:,})"
    )


def _classes(facts: Facts) -> Iterator[str]:
    if not facts.classes:
        return
    total = sum(facts.classes.values())
    listed = list(facts.classes.items())[:CLASSES_SHOWN]
    shown = ", ".join(f"{_short(name)} {rows:,} ({rows / total:.1%})" for name, rows in listed)
    more = len(facts.classes) - len(listed)
    yield f"classes: {shown}{f' and {more} more' if more else ''}"


def _lengths(facts: Facts) -> Iterator[str]:
    if facts.lengths is None:
        return
    found = facts.lengths
    yield (
        f"tokens of {found.model}, prompt included ({found.reviews:,} reviews): median {found.median}, 95 % "
        f"up to {found.p95}, longest {found.longest}; "
        f"{found.truncated:.1%} exceed prompt.max_tokens = {found.limit}"
    )


def _languages(facts: Facts) -> Iterator[str]:
    if facts.languages:
        shown = ", ".join(f"{one.language} {one.share:.1%}" for one in facts.languages[:LANGUAGES_SHOWN])
        more = len(facts.languages) - LANGUAGES_SHOWN
        yield f"languages: {shown}{f' and {more} more' if more > 0 else ''}"


def _findings(found: tuple[Finding, ...]) -> Iterator[str]:
    for one in found:
        where = f" (column {_short(one.column) or 'without a heading'})" if one.column is not None else ""
        yield f"{one.severity}: {one.code}{where}: {one.problem}\n    {one.remedy}"
    if not found:
        yield "no warnings"


def _mapping(mapping: dict[str, str]) -> str:
    """Return the mapping as YAML; every JSON string is one, so any heading can be written."""
    pairs = ", ".join(f"{role}: {json.dumps(name, ensure_ascii=False)}" for role, name in mapping.items())
    return f"suggested mapping\n  data.columns: {{{pairs}}}"


def _short(name: str) -> str:
    return shortened(name, LONGEST_NAME)
