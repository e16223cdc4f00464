"""The nearest right name for a wrong one."""

from collections.abc import Iterable

from rapidfuzz import fuzz, process, utils

MIN_SIMILARITY = 60.0
"""Percent of rapidfuzz's ratio (Indel distance) under which a suggestion misleads more than it helps."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None when nothing is close."""
    match = process.extractOne(
        name,
        list(known),
        scorer=fuzz.ratio,
        processor=utils.default_process,
        score_cutoff=MIN_SIMILARITY,
    )
    return match[0] if match else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty string when nothing is close."""
    suggestion = nearest(name, known)
    return f" Did you mean '{suggestion}'?" if suggestion else ""
