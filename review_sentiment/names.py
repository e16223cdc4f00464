"""Names of categories and labels, which users choose, where only some characters are allowed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from review_sentiment.hashing import stable_hash

SHORT = 24
"""Characters of a label in a figure."""
LENGTH = 100
"""MLflow (3.17) allows 250 characters with the prefix, ZenML (0.98) 255."""
_SAFE = re.compile(rf"\w[\w.-]{{0,{LENGTH - 1}}}(?<!-[0-9a-f]{{16}})")
_OTHER = re.compile(r"[^\w.-]")


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Map names to letters, digits, `_`, `.` and `-`: names of MLflow's metrics and ZenML's steps.

    Most names stay, with `_` for spaces. Others, and those that a database may take for equal because only
    case or accents differ, get the hash of the name as a suffix. No two names are mapped to the same one.
    """
    joined = {name: name.replace(" ", "_") for name in names}
    alike = Counter(map(_folded, joined.values()))
    return {
        name: shown if _SAFE.fullmatch(shown) and alike[_folded(shown)] == 1 else _marked(name)
        for name, shown in joined.items()
    }


def shortened(label: str) -> str:
    """Return the start and the end of a long label: those of one data set often start alike."""
    half = SHORT // 2
    return label if len(label) <= SHORT else f"{label[: half - 1]}…{label[-half:]}"


def in_sentence(label: str) -> str:
    """Return a label as it stands among words: in quotes if it may be taken for a number."""
    return f'"{label}"' if label[:1].isdigit() else label


def counted(counts: Iterable[tuple[str, int]]) -> list[str]:
    """Return each number of reviews with its label, such as `1,200 negative`."""
    return [f"{count:,} {in_sentence(label)}" for label, count in counts]


def in_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, also in a cell of a table."""
    return re.sub(r"([\\`*\[\]|~$])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _marked(name: str) -> str:
    return f"{_OTHER.sub('_', name)[: LENGTH - 17].lstrip('.-') or '_'}-{stable_hash(name):016x}"
