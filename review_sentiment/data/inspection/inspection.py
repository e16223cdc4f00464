"""The report on a table: its columns and their roles, its texts and classes, and the warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from review_sentiment.data.cleaning import clean_text
from review_sentiment.data.inspection.column_profile import ColumnProfile, profile
from review_sentiment.data.inspection.findings import Facts, Finding, findings
from review_sentiment.data.inspection.leaks import LEAK_ROWS, Leak, labelled_texts, leaking_columns
from review_sentiment.data.inspection.roles import MAX_CLASSES, MIN_CLASSES, Role, assign_roles
from review_sentiment.data.inspection.table_sample import TableSample, read_sample
from review_sentiment.data.inspection.texts import ChatTokens, TokenLengths, text_facts, token_lengths
from review_sentiment.data.inspection.values import is_missing
from review_sentiment.data.languages import LanguageShare, language_shares

PROFILE_ROWS = 4_000
"""Random rows that say what a column holds; counts of texts and classes take the whole sample."""


@dataclass(frozen=True)
class Tokens:
    """How long chats are for a model: its name, its limit, and the counter for a task with these labels."""

    model: str
    limit: int
    counter: Callable[[Sequence[str]], ChatTokens]


@dataclass(frozen=True)
class TableReport:
    """What an inspection found."""

    facts: Facts
    findings: tuple[Finding, ...]

    @property
    def mapping(self) -> dict[str, str]:
        """Return the suggested column of each role."""
        return {role: found.column for role, found in self.facts.roles.items()}

    def as_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        facts, sample = self.facts, self.facts.sample
        return {
            "source": sample.source,
            "files": list(sample.files),
            "rows": sample.rows,
            "rows_exact": sample.exact,
            "rows_sampled": sample.sampled,
            "rows_unreadable": sample.unreadable,
            "columns": [_column(one) for one in facts.profiles],
            "mapping": self.mapping,
            "reasons": {role: found.reason for role, found in facts.roles.items()},
            "texts": asdict(facts.texts) if facts.texts else None,
            "classes": dict(facts.classes),
            "tokens": asdict(facts.lengths) if facts.lengths else None,
            "languages": [asdict(one) for one in facts.languages],
            "leaking_columns": [asdict(leak) for leak in facts.leaks],
            "texts_that_name_their_label": facts.labelled,
            "findings": [asdict(one) for one in self.findings],
        }


def inspect_table(
    source: Path, seed: int, given: Mapping[str, str], tokens: Tokens, name: str | None = None
) -> TableReport:
    """Inspect a file or a directory of files; `given` names the columns of some roles.

    The report calls the table by its `name`, if it was copied from another place.

    Raises:
        UsageError: the file, a role or a column does not exist, or no row can be read.
        DataError: a file is damaged, or not in UTF-8.
    """
    sample = read_sample(source, seed, name)
    rng = Random(seed)
    some = sample.shuffled(PROFILE_ROWS, rng)
    profiles = [profile(name, values) for name, values in some.items()]
    roles = assign_roles(profiles, given)
    classes = _classes(sample, roles)
    text, label = roles.get("text"), roles.get("label")
    labels = sample.columns[label.column] if label else None
    chat_tokens = _chat_tokens(tokens, tuple(classes)) if text else None
    facts = Facts(
        sample=sample,
        profiles=profiles,
        roles=roles,
        texts=text_facts(sample.columns[text.column], labels, rng) if text else None,
        classes=classes,
        lengths=_lengths(some, roles, chat_tokens, tokens) if chat_tokens else None,
        languages=_languages(some[text.column], chat_tokens) if text and chat_tokens else (),
        leaks=_leaks(sample.shuffled(LEAK_ROWS, rng), roles),
        labelled=labelled_texts(some[text.column], some[label.column]) if text and label else 0.0,
    )
    return TableReport(facts, tuple(findings(facts)))


def _column(one: ColumnProfile) -> dict[str, Any]:
    return {
        "name": one.name,
        "type": one.type,
        "missing": 1 - one.present,
        "different": one.distinct,
        "characters": one.characters,
        "examples": list(one.examples),
    }


def _classes(sample: TableSample, roles: Mapping[str, Role]) -> dict[str, int]:
    """Return the rows of each class in the sample, the most frequent first."""
    if "label" not in roles:
        return {}
    values = sample.columns[roles["label"].column]
    return dict(Counter(str(value).strip() for value in values if not is_missing(value)).most_common())


def _chat_tokens(tokens: Tokens, classes: Sequence[str]) -> ChatTokens:
    """Return the counter of a chat's tokens; its prompt lists the classes if they can be labels."""
    return tokens.counter(sorted(classes) if MIN_CLASSES <= len(classes) <= MAX_CLASSES else ())


def _lengths(
    some: Mapping[str, Sequence[Any]], roles: Mapping[str, Role], chat_tokens: ChatTokens, tokens: Tokens
) -> TokenLengths:
    """Return the lengths of chats."""
    texts = some[roles["text"].column]
    titles = some[roles["title"].column] if "title" in roles else [None] * len(texts)
    return token_lengths(titles, texts, chat_tokens, tokens.limit, tokens.model)


def _languages(texts: Sequence[Any], chat_tokens: ChatTokens) -> tuple[LanguageShare, ...]:
    cleaned = [clean_text(str(text)) for text in texts if not is_missing(text)]
    prompt = chat_tokens("", "")
    return language_shares(cleaned, lambda text: chat_tokens("", text) - prompt)


def _leaks(some: Mapping[str, Sequence[Any]], roles: Mapping[str, Role]) -> list[Leak]:
    if "label" not in roles:
        return []
    texts = {roles[role].column for role in ("text", "title") if role in roles}
    return leaking_columns(some, roles["label"].column, texts)
