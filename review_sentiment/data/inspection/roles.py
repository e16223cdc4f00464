"""Which column is the text, the label, the title, and so on: by what it holds and by its heading.

A column's score for a role is its content's score times (0.3 + the heading's). Impossible content
scores 0, so no heading makes a column of numbers the text; without a heading, content alone can be enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from review_sentiment.data.inspection.column_profile import REPEATED, ColumnProfile
from review_sentiment.data.inspection.headings import ROLES, WITHIN, heading_score
from review_sentiment.errors import UsageError, did_you_mean

WITHOUT_HEADING = 0.3
LEAST_SCORE = {
    "text": 0.1,
    "label": 0.2,
    "title": 0.35,
    "time": 0.2,
    "group": 0.45,
    "user": 0.45,
    "category": 0.45,
}
"""Below this score a column does not have the role. Those above 0.3 need a heading."""
TYPICAL_TEXT = 60
"""Characters from which a column of different words is as good a text as any."""
WORDS_OF_A_TEXT = 2
LONGEST_TITLE = 15
LONGEST_NAME = 60
MIN_CLASSES, MAX_CLASSES = 2, 50
MAX_NUMERIC_CLASS = 10
UNIQUE = 0.99
"""Fraction of different values from which a column names single rows, not groups of them."""
FEW_ROWS = 20
OPINIONS = frozenset(
    word
    for words in (
        "positive negative neutral mixed pos neg neu good bad p n happy unhappy satisfied dissatisfied",
        "spam ham unsatisfied promoter detractor passive toxic positiv negativ gut schlecht zufrieden",
        "unzufrieden positif négatif neutre bon mauvais positivo negativo neutro bueno malo buono cattivo",
        "bom ruim pozytywny negatywny positief negatief neutraal",
    )
    for word in words.split()
)
"""Names of classes that are opinions, in several languages."""


@dataclass(frozen=True)
class Role:
    """The column of a role and why it was chosen; `given` if the user named it."""

    column: str
    reason: str
    given: bool = False


@dataclass(frozen=True)
class Candidate:
    """A column's scores for a role: by content with the reason, and by heading with the word."""

    profile: ColumnProfile
    content: float
    holds: str
    heading: float
    word: str

    @property
    def score(self) -> float:
        """Return the joint score."""
        return self.content * (WITHOUT_HEADING + self.heading)

    @property
    def reason(self) -> str:
        """Return why the column is a candidate."""
        named = f"its heading has '{self.word}'; " if self.heading else ""
        return f"{named}{self.holds}"


def assign_roles(profiles: Sequence[ColumnProfile], given: Mapping[str, str]) -> dict[str, Role]:
    """Return the column of each role that has one; `given` columns have the role whatever they hold.

    The roles are filled in the order of `ROLES`, and each column is used once.

    Raises:
        UsageError: the role or the column does not exist.
    """
    found = {role: _given(role, column, profiles) for role, column in given.items()}
    for role in ROLES:
        taken = {one.column for one in found.values()}
        if role not in found and (best := _best(role, profiles, taken)):
            found[role] = Role(best.profile.name, best.reason)
    taken = {one.column for one in found.values()}
    if "group" not in found and (item := _item_called_title(profiles, taken)):
        found["group"] = Role(item.name, "called a title, but its values repeat")
    return {role: found[role] for role in ROLES if role in found}


def candidate(role: str, profile: ColumnProfile) -> Candidate:
    """Return the scores of a column for a role."""
    content, holds = _CONTENT[role](profile)
    return Candidate(profile, content, holds, *heading_score(profile.name, role))


def _best(role: str, profiles: Sequence[ColumnProfile], taken: set[str]) -> Candidate | None:
    candidates = [candidate(role, profile) for profile in profiles if profile.name not in taken]
    best = max(candidates, key=lambda one: one.score, default=None)
    return best if best and best.score >= LEAST_SCORE[role] else None


def _given(role: str, column: str, profiles: Sequence[ColumnProfile]) -> Role:
    if role not in ROLES:
        raise UsageError(
            f"'{role}' is not a role.{did_you_mean(role, ROLES)} The roles are: {', '.join(ROLES)}."
        )
    names = [profile.name for profile in profiles]
    if column not in names:
        raise UsageError(
            f"There is no column '{column}'.{did_you_mean(column, names)} "
            f"The columns are: {', '.join(names)}."
        )
    return Role(column, "you named it", given=True)


def _item_called_title(profiles: Sequence[ColumnProfile], taken: set[str]) -> ColumnProfile | None:
    """Return a column with the heading of a title whose values repeat: it names what is reviewed."""
    for profile in profiles:
        is_item = profile.type == "category" and profile.classes > 1
        if is_item and profile.name not in taken and heading_score(profile.name, "title")[0] >= WITHIN:
            return profile
    return None


def _as_text(column: ColumnProfile) -> tuple[float, str]:
    if (
        column.type not in ("text", "category")
        or column.words < WORDS_OF_A_TEXT
        or column.classes < MIN_CLASSES
    ):
        return 0.0, ""
    length = min(1.0, column.characters / TYPICAL_TEXT)
    score = length * column.distinct * column.present**0.5
    return score, f"prose of {column.characters:.0f} characters on average, {column.distinct:.0%} different"


def _as_title(column: ColumnProfile) -> tuple[float, str]:
    if column.type not in ("text", "category") or column.words > LONGEST_TITLE:
        return 0.0, ""
    score = min(1.0, 2 * column.distinct)
    return score, f"{column.words:.0f} words on average, {column.distinct:.0%} different"


def _as_label(column: ColumnProfile) -> tuple[float, str]:
    if column.type not in ("number", "boolean", "category", "mixed") or not column.classes:
        return 0.0, ""
    if column.rows >= FEW_ROWS and column.distinct > REPEATED:
        return 0.0, ""
    holds = f"{column.classes} different values in {column.rows:,} rows"
    if not MIN_CLASSES <= column.classes <= MAX_CLASSES:
        return 0.3, holds
    if any(OPINIONS & set(value.casefold().split()) for value in column.values):
        return 1.0, f"{holds}, some of which are opinions"
    if column.numbers and column.type == "number":
        least, most, steps = column.numbers
        is_scale = least >= -1 and most <= MAX_NUMERIC_CLASS
        score = (0.8 if steps else 0.7) if is_scale else 0.2
        return score, f"{holds}, from {least:g} to {most:g}"
    return 0.5, holds


def _as_time(column: ColumnProfile) -> tuple[float, str]:
    if column.type == "date":
        return column.present, f"dates in {column.present:.0%} of the rows"
    if column.is_epoch and heading_score(column.name, "time")[0]:
        return column.present, "seconds or milliseconds since 1970"
    return 0.0, ""


def _as_group(column: ColumnProfile) -> tuple[float, str]:
    if (
        column.type not in ("identifier", "category", "text", "number", "mixed")
        or column.classes < MIN_CLASSES
    ):
        return 0.0, ""
    if column.characters > LONGEST_NAME or (column.rows >= FEW_ROWS and column.distinct > UNIQUE):
        return 0.0, ""
    if column.numbers and column.type == "number" and not (column.numbers[2] and column.numbers[0] >= 0):
        return 0.0, ""
    return column.present, f"{column.classes:,} different values, which repeat"


def _as_user(column: ColumnProfile) -> tuple[float, str]:
    if (
        column.type not in ("identifier", "category", "text", "address", "number")
        or column.classes < MIN_CLASSES
    ):
        return 0.0, ""
    score = column.present if column.characters <= LONGEST_NAME else 0.0
    return score, f"{column.classes:,} different names"


def _as_category(column: ColumnProfile) -> tuple[float, str]:
    if column.type != "category" or column.classes < MIN_CLASSES:
        return 0.0, ""
    return column.present, f"{column.classes} different values"


_CONTENT = {
    "text": _as_text,
    "label": _as_label,
    "title": _as_title,
    "time": _as_time,
    "group": _as_group,
    "user": _as_user,
    "category": _as_category,
}
