"""One paragraph of an error for whoever must act: what, where, what to do next."""

from __future__ import annotations

import errno
import os

from front_door.state import zenml_directory
from review_sentiment.cache import cache_directory
from review_sentiment.errors import EXIT_FAILED, ReviewSentimentError

INTERRUPTED = "Interrupted. What was finished is kept: the next run goes on from the cache."
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a full quota, a file larger than the user may write."""


def error_text(error: Exception) -> str:
    """Return the paragraph: our own errors are written for people, others are explained."""
    return str(error) if isinstance(error, ReviewSentimentError) else _unexpected(error)


def exit_code_of(error: Exception) -> int:
    """Return the code that the front door exits with for an error."""
    return error.exit_code if isinstance(error, ReviewSentimentError) else EXIT_FAILED


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip() or "no message").splitlines()[0]


def _unexpected(error: Exception) -> str:
    advice = "Run again with --debug for the traceback; what was finished is kept in the cache."
    if _is_full_disk(error):
        own = f"under {zenml_directory()} or {cache_directory()}"
        places = f"{own}, where a step ran, or in training.checkpoint_dir"
        return f"There is no room left to write to ({places}). Free some. {advice}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror} ({error.filename}). Give access to it. {advice}"
    return f"{type(error).__name__}: {first_line(error)} {advice}"


def _is_full_disk(error: BaseException) -> bool:
    """Tell whether the error, or what it was raised from, is a full disk or a quota."""
    cause = error.__cause__ or error.__context__
    return (
        getattr(error, "errno", None) in NO_ROOM
        or any(os.strerror(code) in str(error) for code in NO_ROOM)  # raised in another process
        or "database or disk is full" in str(error)  # SQLite, through SQLAlchemy
        or (cause is not None and _is_full_disk(cause))
    )
