"""The warnings that a careful colleague would give, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from review_sentiment.data.files.text_lines import NOT_UTF8
from review_sentiment.data.inspection.column_profile import ColumnProfile
from review_sentiment.data.inspection.headings import heading_score
from review_sentiment.data.inspection.leaks import IN_TEXT, Leak
from review_sentiment.data.inspection.roles import MAX_CLASSES, Role
from review_sentiment.data.inspection.table_sample import TableSample
from review_sentiment.data.inspection.texts import TextFacts, TokenLengths
from review_sentiment.data.languages import COSTLY_REMEDY, LanguageShare

FEW_OF_A_CLASS = 50
"""With fewer rows, a class can be neither learned nor measured: with 10 held out, an accuracy is known to 30
points (1.96 sqrt(0.25 / 10))."""
MANY_EQUAL = 0.2
MANY_EMPTY = 0.05
MANY_TRUNCATED = 0.2
CONTRADICTING, BROKEN_TEXTS = 0.005, 0.005
STRONG_HEADING = 0.8
CLASSES_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """A problem of the table: its column, if it is about one, and what to do.

    `stop`: the table cannot be used until this is repaired.
    """

    severity: Literal["stop", "warning"]
    code: str
    column: str | None
    problem: str
    remedy: str


_stop, _warning = partial(Finding, "stop"), partial(Finding, "warning")


@dataclass(frozen=True)
class Facts:
    """Everything that the warnings are about."""

    sample: TableSample
    profiles: Sequence[ColumnProfile]
    roles: Mapping[str, Role]
    texts: TextFacts | None
    classes: Mapping[str, int]
    lengths: TokenLengths | None
    languages: Sequence[LanguageShare]
    leaks: Sequence[Leak]
    labelled: float


def findings(facts: Facts) -> list[Finding]:
    """Return the warnings, the most serious first."""
    found = [*_columns(facts), *_label(facts), *_texts(facts), *_languages(facts), *_leaks(facts)]
    return sorted(found, key=lambda one: one.severity != "stop")


def _columns(facts: Facts) -> Iterator[Finding]:
    for role in ("text", "label"):
        if role not in facts.roles:
            yield _missing(role, facts.profiles)
    for profile in facts.profiles:
        yield from _misnamed(profile, facts.roles)
        if profile.type == "empty":
            yield _warning(
                "empty column", profile.name, "it has no values", "Leave it out, or export it again."
            )
        elif profile.type == "mixed":
            kinds = ", ".join(f"{share:.0%} {kind}" for kind, share in profile.kinds.items())
            yield _warning(
                "mixed types",
                profile.name,
                f"its values are of several kinds ({kinds})",
                "Write all values in one way; a column that is used must not mix them.",
            )
    if facts.sample.unreadable:
        share = facts.sample.unreadable / (facts.sample.unreadable + facts.sample.sampled)
        yield _warning(
            "unreadable rows",
            None,
            f"{share:.1%} of the rows cannot be read ({'; '.join(facts.sample.problems)})",
            "Export the table again; if it is not in UTF-8, convert it: iconv -f latin1 -t utf-8 FILE."
            if any(NOT_UTF8 in problem for problem in facts.sample.problems)
            else "Repair them, or export the table again.",
        )


def _missing(role: str, profiles: Sequence[ColumnProfile]) -> Finding:
    names = ", ".join(profile.name or "(no heading)" for profile in profiles)
    holds = "different texts of several words" if role == "text" else "2 to 50 values that repeat"
    return _stop(
        f"missing {role}",
        None,
        f"no column looks like the {role}: none has {holds}. The columns are: {names}",
        f"Add the column, or name it with --column {role}=NAME.",
    )


def _misnamed(profile: ColumnProfile, roles: Mapping[str, Role]) -> Iterator[Finding]:
    """Warn of a heading that promises what the column does not hold."""
    if profile.type == "empty":
        return
    text, used = roles.get("text"), {one.column for one in roles.values()}
    given = text is not None and text.given and text.column == profile.name
    named = heading_score(profile.name, "text")[0] >= STRONG_HEADING and profile.name not in used
    if (named or given) and profile.type in ("number", "date", "identifier", "boolean"):
        finding, instead = _stop, ""
        if text and not given:
            finding, instead = _warning, f"; `{text.column}` was taken instead"
        yield finding(
            "numeric text" if profile.type == "number" else "text without words",
            profile.name,
            f"it is called a text, but holds {profile.type} values{instead}",
            "Check the export: columns may be shifted. Name the right column with --column text=NAME.",
        )


def _label(facts: Facts) -> Iterator[Finding]:
    if "label" not in facts.roles:
        return
    label = facts.roles["label"].column
    count = len(facts.classes)
    if count == 1:
        yield _stop(
            "one class",
            label,
            f"every row has the label '{next(iter(facts.classes))}'",
            "Add rows of another class, or name another column with --column label=NAME.",
        )
    elif count > MAX_CLASSES:
        yield _stop(
            "too many classes",
            label,
            f"it has {count} different values; at most {MAX_CLASSES} can be told apart",
            "Merge classes, bin a number, or name another column with --column label=NAME.",
        )
    rare = [(name, rows) for name, rows in facts.classes.items() if rows < FEW_OF_A_CLASS]
    if rare and 1 < count <= MAX_CLASSES:
        shown = ", ".join(f"'{name}' {rows:,}" for name, rows in rare[:CLASSES_NAMED])
        more = f" and {len(rare) - CLASSES_NAMED} more" if len(rare) > CLASSES_NAMED else ""
        yield _warning(
            "rare classes",
            label,
            f"classes with fewer than {FEW_OF_A_CLASS} rows: {shown}{more}",
            "Collect more of them, merge them with a similar class, or leave them out.",
        )
    missing = 1 - next(profile.present for profile in facts.profiles if profile.name == label)
    if missing > MANY_EMPTY:
        yield _warning(
            "missing labels",
            label,
            f"{missing:.0%} of the rows have no label",
            "Label them, or leave them out; do not turn them into a class.",
        )


def _texts(facts: Facts) -> Iterator[Finding]:
    if facts.texts is None:
        return
    text, rows, found = facts.roles["text"].column, facts.sample.sampled, facts.texts
    if found.empty > MANY_EMPTY * rows:
        yield _warning(
            "empty texts",
            text,
            f"{found.empty / rows:.0%} of the texts are empty",
            "A model cannot learn from them: leave these rows out, or look for the text in another column.",
        )
    if found.equal > MANY_EQUAL * rows:
        yield _warning(
            "duplicates",
            text,
            f"{found.equal / rows:.0%} of the rows repeat a text",
            "Keep one row of each text: copies in training and evaluation make a model look too good.",
        )
    if found.near > MANY_EQUAL:
        yield _warning(
            "near duplicates",
            text,
            f"{found.near:.0%} of the different texts are nearly the same as another one",
            "Remove templates and signatures, and keep similar texts in the same part.",
        )
    if found.contradicting > max(1, CONTRADICTING * rows):
        yield _warning(
            "contradicting labels",
            text,
            f"{found.contradicting:,} rows have a text that another row has with another label",
            "Decide which label is right, or drop these texts: no model can learn both.",
        )
    if found.broken > max(1, BROKEN_TEXTS * rows):
        yield _warning(
            "wrong encoding",
            text,
            f"{found.broken / rows:.1%} of the texts show signs of a wrong encoding, such as Ã¼ for ü",
            "Export the table as UTF-8. If you cannot: text.encode('cp1252').decode('utf-8') in Python.",
        )
    if facts.lengths and facts.lengths.truncated > MANY_TRUNCATED:
        yield _warning(
            "long texts",
            text,
            f"{facts.lengths.truncated:.0%} of the reviews exceed prompt.max_tokens = {facts.lengths.limit}",
            f"Raise prompt.max_tokens; {facts.lengths.p95} would cut 5 % of them.",
        )


def _languages(facts: Facts) -> Iterator[Finding]:
    for one in facts.languages:
        if one.costly:
            yield _warning("costly language", facts.roles["text"].column, one.described, COSTLY_REMEDY)


def _leaks(facts: Facts) -> Iterator[Finding]:
    for leak in facts.leaks:
        yield _warning(
            "leaking column",
            leak.column,
            f"it predicts the label alone (AUC {leak.auc:.3f})",
            "Keep it out of the text. If production has it, you need no model; otherwise it was derived from "
            "the label.",
        )
    if facts.labelled > IN_TEXT:
        yield _warning(
            "label inside the text",
            facts.roles["text"].column,
            f"{facts.labelled:.0%} of the texts name their own label, and hardly any names another",
            "Remove it from the text: a model would learn to copy it, and production texts will not have it.",
        )
