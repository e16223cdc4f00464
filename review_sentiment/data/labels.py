"""From the values of a label column to the labels that the model answers with."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.config import DROP
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from review_sentiment.config import Labels

RATINGS = range(1, 6)
LONGEST_SHOWN = 40
"""Characters of a value that messages show: a longer one is probably a text, which no log may have."""
NOT_LISTED = "is not in data.labels"
"""The end of the reason for dropping a row whose label was not expected."""
TWO_PLACES = 2
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?")
_NAME_OF_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class LabelScheme:
    """The classes of a task, and the source's values of each class.

    `names` are the words that the model answers, in the order of the class index. `of_values` maps values of
    the label column, as `value_text` writes them, to names; `left_out` are the values that are dropped on
    purpose. `has_stars` if the values are ratings from 1 to 5.
    """

    names: tuple[str, ...]
    of_values: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    has_stars: bool = False

    @property
    def ordinal(self) -> bool:
        """Return whether the order of the names means something."""
        return is_ordinal(self.names)

    def described(self) -> str:
        """Return a description of the values of each label, and of those left out."""
        parts = []
        for name in self.names:
            values = [value for value, label in self.of_values.items() if label == name]
            if self.has_stars:
                stars = f"{'-'.join(values)} star{'s' if values != ['1'] else ''}"
                parts.append(stars if values == [name] else f"{stars} {name}")
            else:
                parts.append(name if values == [value_text(name)] else f"{' and '.join(values)} as {name}")
        return ", ".join(parts) + (f"; {', '.join(self.left_out)} left out" if self.left_out else "")

    def label(self, value: object) -> str | None:
        """Return the label of a value of the column, or None if the scheme drops it."""
        return self.of_values.get(value_text(value))

    def shown(self, value: object) -> str:
        """Return a value that the scheme knows as it is counted; all others are counted together."""
        text = value_text(value)
        if self.has_stars or text in self.of_values or text in self.left_out:
            return text
        return "not listed" if text else "no label"

    def reason(self, value: object) -> str:
        """Return why the scheme drops a value; a long one is not the name of a class and is not shown."""
        text = value_text(value)
        if not text:
            return "no label"
        if self.has_stars:
            return f"{text} stars"
        if text in self.left_out:
            return f"label '{text}' is left out"
        return f"label '{text}' {NOT_LISTED}" if len(text) <= LONGEST_SHOWN else f"a long label {NOT_LISTED}"


def value_text(value: object) -> str:
    """Return the text by which values are compared: equal for 5, 5.0 and "5", and for True and "TRUE".

    A missing value is an empty text. Numbers with leading zeros, such as postcodes, are texts.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = unicodedata.normalize("NFC", str(value).strip())
    if text.casefold() in ("true", "false"):
        return text.casefold()
    if not _NUMBER.fullmatch(text):
        return text
    whole, _, decimals = text.removeprefix("+").partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else "0" if whole == "-0" else whole


def number_text(label: str) -> str:
    """Return a number with a decimal point, such as 5.0 for 5, and any other label as it is."""
    return str(float(label)) if _NAME_OF_NUMBER.fullmatch(label) else label


def scheme_of(labels: Labels) -> LabelScheme:
    """Return the scheme of the setting `data.labels`.

    Raises:
        UsageError: two of its values are the same value, such as 5 and 5.0.
    """
    if isinstance(labels, str):
        return STAR_SCHEMES[labels]
    pairs = list(labels.items()) if isinstance(labels, dict) else [(name, name) for name in labels]
    dropped = DROP if isinstance(labels, dict) else None
    written: dict[str, str] = {}
    for value, _ in pairs:
        if (known := written.setdefault(value_text(value), value)) != value:
            raise UsageError(f"data.labels: '{known}' and '{value}' are the same value. List one.")
    names = tuple(dict.fromkeys(name for _, name in pairs if name != dropped))
    return LabelScheme(
        names,
        {value_text(value): name for value, name in pairs if name != dropped},
        left_out=tuple(value_text(value) for value, name in pairs if name == dropped),
    )


def is_ordinal(names: Sequence[str]) -> bool:
    """Return whether labels are on a scale: numbers, and `NEUTRAL`.

    An answer next to the right one is then less wrong than one far from it.
    """
    return tuple(names) == NEUTRAL.names or all(map(_NAME_OF_NUMBER.fullmatch, names))


def places_on_scale(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the place of each label on its scale, from 0; None without one, or if it has only two places."""
    if not is_ordinal(names) or len(names) <= TWO_PLACES:
        return None
    if tuple(names) == NEUTRAL.names:
        return tuple(range(len(names)))
    ordered = sorted(names, key=float)
    return tuple(map(ordered.index, names))


def _of_stars(of_stars: Mapping[int, str]) -> LabelScheme:
    return LabelScheme(
        names=tuple(dict.fromkeys(of_stars.values())),
        of_values={str(stars): name for stars, name in of_stars.items()},
        left_out=tuple(str(stars) for stars in RATINGS if stars not in of_stars),
        has_stars=True,
    )


BINARY = _of_stars({1: "negative", 2: "negative", 4: "positive", 5: "positive"})
"""1-2 stars against 4-5; reviews with 3 stars are dropped."""
NEUTRAL = _of_stars({1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "positive"})
"""3 stars are a class of their own."""
STARS = _of_stars({stars: str(stars) for stars in RATINGS})
"""The rating itself."""

STAR_SCHEMES: Mapping[str, LabelScheme] = {"binary": BINARY, "neutral": NEUTRAL, "stars": STARS}
"""By the values of `data.labels` that are not a list or a mapping."""
